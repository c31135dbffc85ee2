//! Are schematics in files as good as those that somebody posted?

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::process::wait_for;
use crate::support::server::PROGRAM;
use crate::support::tools::text;
use crate::support::{Config, Fixture, Server};

/// A schematic that differs from others by this argument.
fn schematic(argument: &str) -> String {
    format!("customization:\n  extraKernelArgs:\n    - {argument}\n")
}

/// The id that a factory gives it, which is the same everywhere.
fn id(argument: &str) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(format!("customization:\n    extraKernelArgs:\n        - {argument}\n")))
}

fn has(server: &Server, argument: &str) -> bool {
    server.client.get(&format!("/schematics/{}", id(argument))).status == 200
}

fn wait_until_there(server: &Server, argument: &str) {
    // An absence is believed for a while.
    wait_for(argument, Duration::from_secs(20), || has(server, argument).then_some(()));
}

#[test]
fn a_directory_is_read_and_watched() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("schematics");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("one.yaml"), schematic("one=1")).unwrap();
    std::fs::write(directory.join("bad.yml"), "customization: {nonsense: 1}\n").unwrap();
    std::fs::write(directory.join("two.yml"), schematic("two=1")).unwrap();
    std::fs::write(directory.join("readme.txt"), schematic("text=1")).unwrap();
    let config = Config::on_layouts(&fixture)
        .set_top("schematicsDirectory", text(&directory))
        .set("cache.schematic.negativeTTL", "100ms");
    let server = Server::start(&config, home.path());
    assert!(has(&server, "one=1") && has(&server, "two=1"), "at once");
    assert!(!has(&server, "text=1"));
    let log = server.process.output();
    assert!(log.contains("bad.yml") && log.contains("nonsense"), "{log}");
    assert!(log.contains(&id("one=1")), "{log}");

    std::fs::write(directory.join("three.yaml"), schematic("three=1")).unwrap();
    std::fs::write(directory.join("one.yaml"), schematic("one=2345")).unwrap();
    std::fs::write(directory.join("bad.yml"), schematic("good=1")).unwrap();
    for argument in ["three=1", "one=2345", "good=1"] {
        wait_until_there(&server, argument);
    }
    assert!(has(&server, "one=1"), "what was there once stays");
    std::fs::remove_file(directory.join("two.yml")).unwrap();
    server.stop();
    let server = Server::start(&config, home.path());
    assert!(has(&server, "two=1"), "what is removed there stays here");
}

#[test]
fn a_config_map_is_replaced_as_a_whole() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("schematics");
    let fill = |folder: &str, argument: &str| {
        std::fs::create_dir_all(directory.join(folder)).unwrap();
        std::fs::write(directory.join(folder).join("a.yaml"), schematic(argument)).unwrap();
    };
    fill("..2026_01", "map=1");
    symlink("..2026_01", directory.join("..data")).unwrap();
    symlink("..data/a.yaml", directory.join("a.yaml")).unwrap();
    let config = Config::on_layouts(&fixture)
        .set_top("schematicsDirectory", text(&directory))
        .set("cache.schematic.negativeTTL", "100ms");
    let server = Server::start(&config, home.path());
    assert!(has(&server, "map=1"));
    // As the kubelet does it: the new directory first, then the link in one step.
    fill("..2026_02", "map=2");
    symlink("..2026_02", directory.join("..data_tmp")).unwrap();
    std::fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
    std::fs::remove_dir_all(directory.join("..2026_01")).unwrap();
    wait_until_there(&server, "map=2");
    assert!(!server.process.output().contains("this is no schematic"), "{}", server.process.output());
}

#[test]
fn a_directory_that_is_not_there_is_told_at_once() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let config = Config::on_layouts(&fixture)
        .set_top("schematicsDirectory", "/nowhere/at/all")
        .set("http.httpListenAddr", "127.0.0.1:0")
        .set("metrics.addr", "")
        .set("store.path", text(&home.path().join("store")));
    let file = home.path().join("a.toml");
    std::fs::write(&file, config.to_toml()).unwrap();
    let output = Command::new(PROGRAM).args(["serve", "--config", text(&file)]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("schematicsDirectory /nowhere/at/all"), "{said}");
}

fn apply(home: &Path, arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(PROGRAM)
        .args(["schematic", "apply"])
        .args(arguments)
        .current_dir(home)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn files_are_applied_to_a_factory_or_its_store() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let at = |name: &str| home.path().join(name);
    std::fs::create_dir(at("some")).unwrap();
    std::fs::write(at("some/a.yaml"), schematic("a=1")).unwrap();
    std::fs::write(at("some/b.yml"), schematic("b=1")).unwrap();
    let (is_fine, out, err) = apply(home.path(), &["some", "--to", &server.url]);
    assert!(is_fine, "{err}");
    assert_eq!(out, format!("{}  some/a.yaml\n{}  some/b.yml\n", id("a=1"), id("b=1")));
    assert!(has(&server, "a=1") && has(&server, "b=1"));

    std::fs::write(at("some/aa.yaml"), "customization: {nonsense: 1}\n").unwrap();
    std::fs::write(at("some/c.yaml"), schematic("c=1")).unwrap();
    let (is_fine, out, err) = apply(home.path(), &["some", "--to", &server.url]);
    assert!(!is_fine && err.contains("some/aa.yaml: ") && err.contains("nonsense"), "{err}");
    assert!(err.contains("1 of 4 files"), "{err}");
    assert_eq!(out.lines().count(), 3, "one bad file does not stop the others: {out}");

    // Into the store there is only one way at a time.
    let config = at("image-factory.toml");
    let (is_fine, _, err) = apply(home.path(), &["some/c.yaml", "--config", text(&config)]);
    assert!(!is_fine && err.contains("--to"), "{err}");
    server.stop();
    std::fs::write(at("d.yaml"), schematic("d=1")).unwrap();
    let (is_fine, out, err) = apply(home.path(), &["d.yaml", "--config", text(&config)]);
    assert!(is_fine && out == format!("{}  d.yaml\n", id("d=1")), "{out}{err}");
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    assert!(has(&server, "d=1"));

    let (is_fine, _, err) = apply(home.path(), &["some", "--to", "http://127.0.0.1:1/"]);
    assert!(!is_fine && err.contains("does not answer"), "{err}");
    std::fs::create_dir(at("none")).unwrap();
    let (is_fine, _, err) = apply(home.path(), &["none", "--to", &server.url]);
    assert!(!is_fine && err.contains("holds no *.yaml"), "{err}");
}
