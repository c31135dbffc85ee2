//! Does the program say what it will do, and what is wrong with its configuration?

use std::path::Path;
use std::process::{Command, Output};

use crate::support::server::PROGRAM;

fn run(arguments: &[&str], home: &Path, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).current_dir(home).env("HOME", home).envs(environment.iter().copied());
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn an_empty_configuration_is_fine() {
    let home = tempfile::tempdir().unwrap();
    let output = run(&["config", "check"], home.path(), &[]);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("the configuration is fine"), "{text}");
    assert!(text.contains(&format!("{}/.local/state/image-factory", home.path().display())), "{text}");
}

#[test]
fn what_is_wrong_comes_all_at_once_with_hints() {
    let home = tempfile::tempdir().unwrap();
    let toml = "[http]\nexternalUrll = \"http://a/\"\n[store]\nmaxByte = \"1GiB\"\n[build]\nmaxConcurrency = \"many\"\n";
    std::fs::write(home.path().join("wrong.toml"), toml).unwrap();
    for command in [&["config", "check"][..], &["serve"]] {
        let arguments = [command, &["--config", "wrong.toml"]].concat();
        let output = run(&arguments, home.path(), &[("IF_HTTP_CERTFIL", "x")]);
        let text = said(&output);
        assert!(!output.status.success(), "{text}");
        for hint in [
            "did you mean http.externalURL?",
            "did you mean store.maxBytes?",
            "did you mean http.certFile?",
            "maxConcurrency",
        ] {
            assert!(text.contains(hint), "{hint} is missing: {text}");
        }
    }
    let lenient = run(&["config", "check", "--config-lenient", "--set", "a.b=1"], home.path(), &[]);
    assert!(lenient.status.success() && said(&lenient).contains("warning"), "{}", said(&lenient));
    let missing = run(&["serve", "--config", "nowhere.toml"], home.path(), &[]);
    assert!(!missing.status.success() && said(&missing).contains("nowhere.toml"), "{}", said(&missing));
}

#[test]
fn what_is_printed_can_be_loaded_and_keeps_secrets() {
    let home = tempfile::tempdir().unwrap();
    let toml = "[[registries]]\nhost = \"a\"\nusername = \"u\"\npassword = \"hunter2\"\n[store]\nmaxBytes = \"3GiB\"\n";
    std::fs::write(home.path().join("a.toml"), toml).unwrap();
    for format in ["toml", "yaml", "env"] {
        let printed = run(&["config", "print", "--config", "a.toml", "--format", format], home.path(), &[]);
        let text = said(&printed);
        assert!(printed.status.success() && text.contains("3GiB"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        let file = format!("printed.{format}");
        std::fs::write(home.path().join(&file), text).unwrap();
        let again = run(&["config", "check", "--config", &file], home.path(), &[]);
        assert!(again.status.success(), "{format}: {}", said(&again));
    }
}

#[test]
fn every_sample_is_right() {
    let home = tempfile::tempdir().unwrap();
    let mut samples = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/config")).unwrap() {
        let path = entry.unwrap().path();
        let output = run(&["config", "check", "--config", path.to_str().unwrap()], home.path(), &[]);
        assert!(output.status.success(), "{}: {}", path.display(), said(&output));
        samples += 1;
    }
    assert!(samples >= 4, "{samples} samples");
}

/// The table of keys in README.md is complete and names no key that does not exist.
#[test]
fn the_readme_names_every_key() {
    let home = tempfile::tempdir().unwrap();
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let printed = said(&run(&["config", "print", "--format", "toml"], home.path(), &[]));
    let table: toml::Table = printed.parse().unwrap();
    let mut keys = Vec::new();
    collect("", &table, &mut keys);
    assert!(keys.len() > 30, "{keys:?}");
    for key in &keys {
        assert!(readme.contains(&format!("`{key}`")), "README.md does not name {key}");
    }
    let named = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let sections: Vec<&str> = table.keys().map(String::as_str).collect();
    for (name, _) in named {
        let is_key = name.split('.').next().is_some_and(|section| sections.contains(&section));
        assert!(
            !is_key || name.starts_with("registries") || keys.iter().any(|key| key == name),
            "{name} is no key"
        );
    }
}

fn collect(prefix: &str, table: &toml::Table, keys: &mut Vec<String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(table) => collect(&path, table, keys),
            _ => keys.push(path),
        }
    }
}

#[test]
fn flags_of_old_how_tos_still_work() {
    let home = tempfile::tempdir().unwrap();
    let output =
        run(&["config", "check", "-http-port", ":9999", "-external-url=http://old/"], home.path(), &[]);
    let text = said(&output);
    assert!(output.status.success() && text.contains(":9999") && text.contains("http://old/"), "{text}");
}
