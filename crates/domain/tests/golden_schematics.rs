//! Schematics against the answers of the reference.

#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop where it is")]

mod golden;

use factory_domain::schematic::Schematic;
use serde_json::Value;

fn input(line: &Value) -> Vec<u8> {
    match (line["input"].as_str(), line["input_hex"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (_, Some(hex)) => hex::decode(hex).expect("golden data are hex"),
        _ => panic!("no input in {line}"),
    }
}

#[test]
fn golden_schematics() {
    let Some(lines) = golden::lines("schematics.jsonl", "") else { return };
    let mut differences = Vec::new();
    for line in &lines {
        let answer = match Schematic::parse(&input(line)) {
            Ok(schematic) => {
                let mut output = serde_json::json!({
                    "canonical": schematic.canonical(),
                    "id": schematic.id().to_string(),
                });
                if let Err(error) = schematic.check_without_users() {
                    output["validate_error"] = error.to_string().into();
                }
                ("output", output)
            }
            Err(error) => ("error", error.to_string().into()),
        };
        if line.get(answer.0) != Some(&answer.1) {
            differences.push(format!("{}: {answer:?}\n    expected {line}", line["case"]));
        }
    }
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), lines.len(), differences.join("\n"));
    println!("{} lines", lines.len());
}

#[test]
fn golden_schematics_can_be_stored() {
    let Some(lines) = golden::lines("schematics.jsonl", "") else { return };
    for line in &lines {
        let Some(canonical) = line["output"]["canonical"].as_str() else { continue };
        let stored = Schematic::parse_stored(canonical.as_bytes()).expect("canonical texts can be read");
        assert_eq!(stored.canonical(), canonical, "{}", line["case"]);
    }
}
