//! Texts inside built assets, and scripts for machines that boot over the network.

use factory_domain::asset::{AssetPath, Target};
use factory_domain::profile::SecureBootService;
use factory_domain::pxe;
use factory_domain::recipe::{OutputRecipe, RandomSeed, Recipe};
use factory_domain::schematic::{Schematic, SchematicId};
use serde_json::Value;

use crate::support::{Fixture, lines, text, version};

/// The canonical text of the empty schematic.
const EMPTY: &[u8] = b"customization: {}\n";

fn recipe(path: &str, tag: &str) -> Recipe {
    let id = SchematicId::of(EMPTY);
    let profile = Fixture::new()
        .enhance(path, &Schematic::default(), id, &version(tag), SecureBootService::Enabled)
        .unwrap();
    Recipe::of(profile, &[]).unwrap()
}

/// Every text anywhere in a structure that begins like this.
fn texts<'a>(structure: &'a Value, start: &str, found: &mut Vec<&'a str>) {
    match structure {
        Value::String(text) if text.starts_with(start) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, start, found)),
        Value::Object(map) => map.values().for_each(|item| texts(item, start, found)),
        _ => {}
    }
}

#[test]
fn golden_boot_menus() {
    let mut menus = 0;
    let all = lines("assets.jsonl");
    for line in &all {
        let parts: Vec<&str> = text(&line["case"]).split('/').collect();
        let [_, tag, "empty", path] = parts.as_slice() else { continue };
        let structure = &line["structure"];
        if structure.is_null() {
            continue;
        }
        let (grub_cfg, esp, volume_id) = match recipe(path, tag).output {
            OutputRecipe::Iso(iso) => (iso.grub_cfg, iso.esp, iso.volume_id),
            OutputRecipe::Disk(disk) => (disk.grub_cfg, disk.esp, String::new()),
            _ => continue,
        };
        let shown = structure.to_string();
        assert!(shown.contains(&volume_id), "{tag} {path}: {volume_id}");
        if let Some(esp) = &esp {
            for name in [&esp.sd_boot_path, &esp.uki_path] {
                assert!(shown.contains(&format!("/{name}\"")), "{tag} {path}: {name}");
            }
            let has_seed = esp.random_seed == RandomSeed::Zeros;
            assert_eq!(shown.contains("/loader/random-seed"), has_seed, "{tag} {path}");
            let keys = esp.enrollment;
            assert_eq!(shown.contains("/PK.auth"), keys.is_some_and(|k| k.auth_files), "{tag} {path}");
            assert_eq!(
                shown.contains("signing-cert.der"),
                keys.is_some_and(|k| k.certificate),
                "{tag} {path}"
            );
        }
        for (start, made) in [
            ("set default=", grub_cfg),
            ("# systemd-boot configuration", esp.as_ref().map(|esp| esp.loader_conf.clone())),
        ] {
            let mut found = Vec::new();
            texts(structure, start, &mut found);
            menus += found.len();
            for expected in found {
                assert_eq!(made.as_deref(), Some(expected), "{tag} {path}");
            }
        }
    }
    assert!(menus > 0 || all.is_empty(), "the lines show no boot menu any more");
}

#[test]
fn golden_network_boot_scripts() {
    let mut scripts = 0;
    let all = lines("http.jsonl");
    for line in &all {
        let (Some(address), response) = (line["request"]["path"].as_str(), &line["response"]) else {
            continue;
        };
        let parts: Vec<&str> = address.split('/').collect();
        let ["", "pxe", id, tag, path] = parts.as_slice() else { continue };
        let body = response["text"].as_str().unwrap_or_default();
        match (Target::parse(path), response["status"].as_u64()) {
            (Ok(target), Some(200)) => {
                let id: SchematicId = id.parse().unwrap();
                let cmdline = AssetPath::Cmdline(target.clone()).to_string();
                let OutputRecipe::Cmdline(cmdline) = recipe(&cmdline, tag).output else {
                    panic!("{cmdline}")
                };
                if id == SchematicId::of(EMPTY) {
                    let made = pxe::script("http://PXE.EXAMPLE", &id, &version(tag), &target, &cmdline);
                    assert_eq!(made, body, "{address}");
                    scripts += 1;
                }
            }
            (Err(error), Some(400)) => {
                assert_eq!(format!("error parsing profile from path: {error}\n"), body, "{address}");
            }
            _ => {}
        }
    }
    assert!(scripts > 0 || all.is_empty(), "the lines show no script any more");
}
