//! Paths to requests, and requests with schematics to profiles.

use std::collections::BTreeMap;

use factory_domain::asset::AssetPath;
use factory_domain::profile::SecureBootService;
use factory_domain::schematic::SchematicId;
use serde_json::Value;

use crate::support::{Fixture, lines, per_version, profile_json, request_json, schematic, text};

#[test]
fn golden_paths() {
    for line in lines("profiles.jsonl") {
        let path = text(&line["input"]["path"]);
        match (AssetPath::parse(path), line.get("error")) {
            (Ok(parsed), None) => {
                assert_eq!(request_json(&parsed.request()), line["output"], "{path}");
                assert_eq!(AssetPath::parse(&parsed.to_string()), Ok(parsed), "{path}");
            }
            (Err(error), Some(expected)) => assert_eq!(error.to_string(), text(expected), "{path}"),
            (parsed, expected) => panic!("{path}: {parsed:?}, {expected:?}"),
        }
    }
}

#[test]
fn golden_enhanced_profiles() {
    let fixture = Fixture::new();
    let ids = schematic_ids();
    for line in lines("profiles-enhanced.jsonl") {
        let case = text(&line["case"]);
        let path = text(&line["input"]["path"]);
        let yaml = text(&line["input"]["schematic"]);
        let (schematic, options) = schematic(yaml);
        let secure_boot = match line["input"].get("secureboot").and_then(Value::as_str) {
            Some("disabled") => SecureBootService::Disabled,
            _ => SecureBootService::Enabled,
        };
        for (version, expected) in per_version(&line) {
            let named = expected.as_ref().ok().and_then(named_id);
            if let (Some(named), Some(known)) = (named, ids.get(yaml)) {
                assert_eq!(named, *known, "{case}");
            }
            let id = named.or(ids.get(yaml).copied()).unwrap_or(SchematicId::of(yaml.as_bytes()));
            let made = fixture.enhance(path, &schematic, id, &version, secure_boot);
            let made = made.map(|profile| profile_json(&profile, &options)).map_err(|e| e.to_string());
            let expected = expected.map_err(|error| {
                // The reference prints what it did not find as an empty struct.
                error.replace(r#"{"" "" ""}"#, &format!("{:?}", schematic.overlay.name))
            });
            assert_eq!(made, expected, "{case} {version}");
        }
    }
}

/// Ids by schematic text, from the file that pins them.
fn schematic_ids() -> BTreeMap<String, SchematicId> {
    lines("schematics.jsonl")
        .iter()
        .filter_map(|line| {
            let id = line["output"]["id"].as_str().or(line["id"].as_str())?;
            Some((line["input"].as_str()?.to_owned(), id.parse().unwrap()))
        })
        .collect()
}

/// The id in the name of the schematic extension.
fn named_id(profile: &Value) -> Option<SchematicId> {
    let last = profile["input"]["systemExtensions"].as_array()?.last()?;
    let name = last["tarballPath"].as_str()?.strip_prefix("SCHEMATICS/")?;
    name.split('-').next()?.parse().ok()
}
