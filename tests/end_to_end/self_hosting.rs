//! Is what docs/self-hosting.md tells true?

use std::process::Command;

use crate::support::server::PROGRAM;

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/self-hosting.md");

/// Blocks of the guide that are fenced as this language.
fn blocks(language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(GUIDE).unwrap();
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn said(arguments: &[&str]) -> (bool, String) {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(PROGRAM)
        .args(arguments)
        .env("HOME", home.path())
        .current_dir(home.path())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn its_settings_are_right() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    let settings = blocks("toml");
    assert!(settings.len() >= 4);
    for block in settings {
        std::fs::write(&file, &block).unwrap();
        let (is_fine, said) = said(&["config", "check", "--config", file.to_str().unwrap()]);
        assert!(is_fine, "{said}\n{block}");
        assert!(!said.contains("warning"), "{said}\n{block}");
    }
}

/// Every command of ours that the guide shows is one, with these options.
#[test]
fn its_commands_exist() {
    let text = std::fs::read_to_string(GUIDE).unwrap();
    let commands: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("    image-factory ")).collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        let nested = ["config", "schematic"].contains(&words[0]);
        let name = &words[..if nested { 2 } else { 1 }];
        let (is_fine, help) = said(&[name, &["--help"]].concat());
        assert!(is_fine, "{command}: {help}");
        for option in words.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(option), "{command}: there is no {option}");
        }
    }
}

#[test]
fn its_addresses_are_not_doubled() {
    let set = |url: &str| said(&["config", "check", "--set", &format!("http.externalURL={url}")]);
    let (is_fine, told) = set("https://factory.example.com");
    assert!(is_fine && told.contains("clients see        https://factory.example.com/\n"), "{told}");
    let (is_fine, told) = set("factory.example.com");
    assert!(!is_fine && told.contains("write a whole address"), "{told}");
}

/// systemd itself says whether the unit is one.
#[test]
fn its_unit_is_one() {
    let home = tempfile::tempdir().unwrap();
    let unit = home.path().join("image-factory.service");
    let text = blocks("ini").remove(0).replace("/usr/local/bin/image-factory", PROGRAM);
    std::fs::write(&unit, text).unwrap();
    let verify = Command::new("systemd-analyze").arg("verify").arg(&unit).output();
    let verify = verify.expect("systemd-analyze comes with Debian's systemd");
    let said = String::from_utf8_lossy(&verify.stderr).into_owned();
    let about_ours: Vec<&str> = said.lines().filter(|line| line.contains("image-factory.service")).collect();
    assert!(verify.status.success() && about_ours.is_empty(), "{said}");
}
