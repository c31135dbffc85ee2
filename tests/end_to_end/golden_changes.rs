//! Would the comparisons notice it if anything that was recorded were different?
//!
//! Every kind of value in every kind of structure is changed, one at a time, and must be noticed. What is not is
//! what the fixture, a compressor or the recorder's machine decides, and is listed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::golden::comparison::{Comparison, Difference, Exception, judge};
use crate::golden::{are_ours, lines, rules, text_of};

/// Places whose values are free: kinds of structures and ends of paths, where `*` is any item of a list.
const FREE: &[(&str, &str)] = &[
    // Sizes follow from contents, which are the fixture's, and from compressors.
    ("compressed", "/compressed_size"),
    ("", "/size"),
    ("", "/file_size"),
    ("", "/actual-size"),
    ("", "/nonzero_length"),
    ("", "/virtual_size"),
    ("initramfs", "/segments/*/offset"),
    // Told by other fields: by the entries, by the text, by where the signature is.
    ("initramfs", "/entry_count"),
    ("initramfs", "/trailer"),
    ("installer", "/sha256"),
    ("", "/content_sha256"),
    ("", "/certificate_table/offset"),
    // Chosen at random, and the time of building.
    ("ova", "/data/cid"),
    ("ova", "/entries/*/mtime"),
    // Tables and places of ISO images: 40 §8 is another layout. `media.rs` lets the field's tools judge it.
    ("iso", "/disk/gpt/*"),
    ("iso", "/disk/mbr/boot_code_sha256"),
    ("iso", "/disk/mbr/partition_entries_hex"),
    ("iso", "_lba"),
    ("iso", "/index"),
    ("iso", "/size_bytes"),
    ("iso", "/unique_guid"),
    ("iso", "/bpb/fat_size32"),
    ("iso", "/bpb/total_sectors*"),
    ("iso", "/esp/start"),
    ("iso", "/grub_module_files"),
    ("iso", "/sfdisk/*"),
];

/// Paths of all values below, each with the same path without numbers.
fn values(structure: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match structure {
        Value::Object(map) => {
            for (key, value) in map {
                values(value, &format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                values(item, &format!("{path}/{at}"), found);
            }
        }
        _ => {
            let kind = path.split('/').map(|key| if key.parse::<usize>().is_ok() { "*" } else { key });
            found.push((path.to_owned(), kind.collect::<Vec<_>>().join("/")));
        }
    }
}

/// Another value of the same type.
fn change(value: &mut Value) {
    *value = match &*value {
        Value::Bool(is) => (!is).into(),
        Value::Number(number) => (number.as_u64().expect("a natural number") + 1).into(),
        Value::String(text) => match text.rfind(|char: char| char.is_ascii_alphanumeric()) {
            Some(at) => {
                let other = if text[at..].starts_with('1') { "2" } else { "1" };
                format!("{}{other}{}", &text[..at], &text[at + 1..]).into()
            }
            None => format!("{text}1").into(),
        },
        _ => 1.into(),
    };
}

#[test]
fn golden_structures_cannot_change_unnoticed() {
    let lines = lines("assets.jsonl");
    let comparison = Comparison::default();
    let ruled = |structure: &Value| {
        let mut structure = structure.clone();
        rules::apply(&mut structure);
        structure
    };
    let of = |line: &Value| text_of(&line["case"]).split('/').nth(1).expect("a version").to_owned();
    // As when all other lines have been compared.
    let mut cases = BTreeMap::new();
    for line in lines.iter().filter(|line| line.get("structure").is_some()) {
        let recorded = ruled(&line["structure"]);
        let differences = comparison.differences(&of(line), "", &recorded, &recorded);
        assert!(differences.is_empty(), "{differences:?}");
        let mut found = Vec::new();
        values(&line["structure"], "", &mut found);
        for (path, kind) in found {
            let places = cases.entry((text_of(&line["structure"]["kind"]), kind)).or_insert_with(Vec::new);
            places.truncate(1);
            places.push((line, path));
        }
    }
    let mut unnoticed = BTreeSet::new();
    for ((kind, place), places) in &cases {
        // The first and the last of a kind: the code of programs, which comes first, tells whose program it is.
        let is_noticed = places.iter().any(|(line, path)| {
            let mut changed = line["structure"].clone();
            change(changed.pointer_mut(path).expect("it was found"));
            let (mut recorded, mut ours) = (ruled(&line["structure"]), ruled(&changed));
            rules::without_other_programs(&mut recorded, &mut ours);
            !comparison.differences(&of(line), "", &recorded, &ours).is_empty()
        });
        if !is_noticed {
            unnoticed.insert((*kind, place.as_str()));
        }
    }
    let is_for = |(of, end): &(&str, &str), (kind, place): &(&str, &str)| {
        let is_end = match end.strip_suffix('*') {
            Some(start) => place.contains(start),
            None => place.ends_with(end),
        };
        is_end && (of.is_empty() || of == kind)
    };
    let faults: Vec<_> =
        unnoticed.iter().filter(|place| !FREE.iter().any(|free| is_for(free, place))).collect();
    assert!(
        faults.is_empty(),
        "{} of {} places are free:\n{}",
        faults.len(),
        cases.len(),
        format_args!("{faults:#?}")
    );
    for free in FREE {
        assert!(
            unnoticed.iter().any(|place| is_for(free, place)) || !are_ours() || lines.is_empty(),
            "{free:?} is not free"
        );
    }
}

#[test]
fn golden_digests_stand_for_contents() {
    let digest = |letter: &str| letter.repeat(64);
    let thing =
        |a: &str, b: &str| serde_json::json!({"a": digest(a), "b": format!("blobs/{}.tar", digest(b))});
    let comparison = Comparison::default();
    let count = |version: &str, recorded: &Value, ours: &Value| {
        comparison.differences(version, "", recorded, ours).len()
    };
    assert_eq!(count("v1", &thing("1", "2"), &thing("a", "b")), 0, "others, but in the same places");
    assert_eq!(count("v1", &thing("2", "1"), &thing("b", "a")), 0, "and so elsewhere");
    assert_eq!(count("v1", &thing("2", "1"), &thing("a", "b")), 2, "the contents are exchanged");
    assert_eq!(count("v1", &thing("3", "4"), &thing("c", "c")), 1, "two contents have become one");
    assert_eq!(count("v2", &thing("2", "1"), &thing("a", "b")), 0, "another version has other contents");
}

#[test]
#[should_panic(expected = "there is no such difference any more")]
fn golden_exceptions_for_nothing_are_told() {
    assert!(are_ours(), "there is no such difference any more: lines from elsewhere need not have them all");
    const IDLE: Exception = Exception { case: "*", path: "a|b", what: "1, not *", why: "because" };
    let found = |path: &str, what: &str| {
        vec![Difference { case: "x".to_owned(), path: path.to_owned(), what: what.to_owned() }]
    };
    judge(&found("b", "1, not 2"), &[IDLE]);
    let outcome = std::panic::catch_unwind(|| judge(&found("b", "3, not 2"), &[]));
    assert!(outcome.is_err(), "a difference that is on no list");
    judge(&[], &[IDLE]);
}
