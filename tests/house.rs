//! Who may use what: the rooms of docs/development.md, checked against `cargo metadata`.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Normal dependencies of each crate of the workspace, by package name.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    let normal = |package: &Value| {
        let all = package["dependencies"].as_array().expect("a list").iter();
        let normal = all.filter(|dependency| dependency["kind"].is_null());
        normal.map(|dependency| dependency["name"].as_str().expect("a name").to_owned()).collect()
    };
    packages
        .iter()
        .map(|package| (package["name"].as_str().expect("a name").to_owned(), normal(package)))
        .collect()
}

#[test]
fn rooms_use_only_what_they_may() {
    let dependencies = dependencies();
    let of = |name: &str| dependencies.get(name).unwrap_or_else(|| panic!("there is no crate {name}"));

    // The pure rooms say what they use; a new crate there is a decision.
    let formats = [
        "backhand",
        "base64",
        "bytes",
        "cms",
        "crc-fast",
        "der",
        "flate2",
        "hex",
        "liblzma",
        "object",
        "serde",
        "serde_json",
        "sha2",
        "simd-adler32",
        "tar",
        "thiserror",
        "x509-cert",
        "zstd",
    ];
    let domain = [
        "async-trait",
        "base64",
        "bytes",
        "factory-formats",
        "flate2",
        "futures-util",
        "saphyr-parser",
        "semver",
        "serde",
        "serde_json",
        "thiserror",
        "yaml_serde",
    ];
    for (name, allowed) in [("factory-formats", &formats[..]), ("factory-domain", &domain[..])] {
        for used in of(name) {
            assert!(allowed.contains(&used.as_str()), "{name} must not use {used}");
        }
    }
    // The others say what they must not.
    let world = [
        "oci-client",
        "reqwest",
        "redb",
        "rust-s3",
        "aws-sdk-kms",
        "azure_security_keyvault_keys",
        "cryptoki",
        "sigstore",
        "sigstore-verify",
        "aws-lc-rs",
        "docker_credential",
    ];
    for (name, refused) in [
        ("factory-adapters", &["factory-actors", "actix", "actix-web", "image-factory"][..]),
        ("factory-actors", &["factory-adapters", "actix-web", "image-factory"][..]),
        ("factory-actors", &world[..]),
        ("image-factory", &world[..]),
    ] {
        for used in of(name) {
            assert!(!refused.contains(&used.as_str()), "{name} must not use {used}");
        }
    }
}

/// Files of the pure rooms that are compiled for tests only, or hold nothing else.
const TEST_SUPPORT: &[&str] = &["testing.rs", "oracle.rs", "golden.rs"];

/// Pure rooms read no clock, no file, no variable and no socket, whatever crates they use.
#[test]
fn pure_rooms_do_not_touch_the_world() {
    let refused = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "SystemTime",
        "Instant::now",
        "std::thread::sleep",
    ];
    for room in ["crates/formats/src", "crates/domain/src"] {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(room);
        let mut folders = vec![root];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("the room exists") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let is_test = path.components().any(|part| {
                    part.as_os_str()
                        .to_str()
                        .is_some_and(|name| name.starts_with("tests") || TEST_SUPPORT.contains(&name))
                });
                if is_test {
                    continue;
                }
                let text = std::fs::read_to_string(&path).expect("a source file");
                // Unit tests at the end of a file may ask the field's tools.
                let text = text.split("#[cfg(test)]").next().unwrap_or_default();
                for word in refused {
                    assert!(!text.contains(word), "{} uses {word}", path.display());
                }
            }
        }
    }
}

#[test]
fn every_declared_crate_is_used() {
    let workspace =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("a manifest");
    let manifests = [
        "Cargo.toml",
        "actors/Cargo.toml",
        "crates/formats/Cargo.toml",
        "crates/domain/Cargo.toml",
        "crates/adapters/Cargo.toml",
    ];
    let members: String = manifests
        .iter()
        .map(|path| {
            std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
                .expect("a manifest")
        })
        .collect();
    let declared = workspace
        .split("[workspace.dependencies]")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next())
        .expect("the table of dependencies");
    for line in declared.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, _)) = line.split_once(" = ") else { continue };
        assert!(
            members.contains(&format!("\n{name}.workspace = true"))
                || members.contains(&format!("\n{name} = {{ workspace = true")),
            "{name} is declared and used by no crate"
        );
    }
}

/// What docs/security.md says was tried can be looked up: files and tests exist under the names given there.
#[test]
fn tests_that_documents_name_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = String::new();
    let mut folders: Vec<_> =
        ["tests", "crates", "actors", "src"].iter().map(|room| root.join(room)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the room exists") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&std::fs::read_to_string(&path).expect("a source file"));
            }
        }
    }
    let document = std::fs::read_to_string(root.join("docs/security.md")).expect("the document");
    let is_name =
        |text: &str| text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_');
    // What stands between backquotes is every second piece.
    let mut tests = 0;
    for quoted in document.split('`').skip(1).step_by(2) {
        if let Some((place, rest)) = quoted.split_once('/').filter(|_| quoted.ends_with(".rs")) {
            let folder = match place {
                "adapters" => "crates/adapters/tests/adapters",
                "end_to_end" => "tests/end_to_end",
                "boots" => "tests/boots",
                _ => "crates/adapters/src/bucket",
            };
            assert!(root.join(folder).join(rest).exists(), "there is no {quoted}");
        } else if is_name(quoted) && quoted.contains('_') && quoted != "end_to_end" {
            assert!(sources.contains(&format!("fn {quoted}(")), "there is no test {quoted}");
            tests += 1;
        }
    }
    assert!(tests > 40, "{tests} tests are named");
}
