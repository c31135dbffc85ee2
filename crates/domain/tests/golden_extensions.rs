//! Generated extensions and lists of layers against those of the reference.

#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop where it is")]

mod golden;

use factory_domain::extension::{
    Edition, Entry, EntryKind, GeneratedExtension, Layer, Manifest, SchematicInfo, embedded_config,
    layers_yaml, schematic,
};
use factory_domain::goyaml::{Decoder, Limits, Mapping, UnknownKeys, Value as Yaml, read};
use factory_domain::schematic::Schematic;
use serde_json::{Value, json};

/// Entries as the golden data show them.
fn shown(extension: &GeneratedExtension) -> Vec<Value> {
    let show = |entry: &Entry| {
        let (kind, contents) = match &entry.kind {
            EntryKind::Directory => ("5", ""),
            EntryKind::File(contents) => ("0", std::str::from_utf8(contents).expect("contents are text")),
        };
        json!({
            "name": entry.name,
            "type": kind,
            "mode": format!("{:o}", entry.mode),
            "size": contents.len(),
            "content": contents,
            // A label needs the newer form of headers.
            "format": if entry.selinux_label.is_some() { "PAX" } else { "USTAR" },
            "uid": 0,
            "gid": 0,
            "mtime": 0,
        })
    };
    extension.entries.iter().map(show).collect()
}

fn entries(line: &Value) -> Vec<Value> {
    line["output"]["entries"].as_array().expect("a list of entries").clone()
}

#[test]
fn golden_schematic_extensions() {
    let Some(lines) = golden::lines("misc.jsonl", "schematic-extension/") else { return };
    for line in &lines {
        let input = &line["input"];
        let text = input["schematic"].as_str().expect("a schematic");
        let parsed = Schematic::parse(text.as_bytes()).expect("a good schematic");
        let canonical = parsed.canonical();
        let info = match input["with_info"].as_bool() {
            Some(true) => SchematicInfo::Text(&canonical),
            _ => SchematicInfo::Id,
        };
        let url = input["base_url"].as_str().expect("an address");
        let extension = schematic(&parsed.id(), info, Edition::Open, url);
        assert_eq!(shown(&extension), entries(line), "{}", line["case"]);
        let Some(EntryKind::File(manifest)) = extension.entries.first().map(|entry| &entry.kind) else {
            panic!("no manifest in {}", line["case"]);
        };
        assert_eq!(Manifest::parse(manifest), Ok(extension.manifest.clone()), "{}", line["case"]);
    }
    println!("{} lines", lines.len());
}

#[test]
fn golden_embedded_config_extensions() {
    let Some(lines) = golden::lines("misc.jsonl", "embedded-config-extension/") else { return };
    for line in &lines {
        let configuration = line["input"].as_str().expect("a configuration");
        assert_eq!(shown(&embedded_config(configuration)), entries(line), "{}", line["case"]);
    }
    println!("{} lines", lines.len());
}

/// All texts of files of this name, wherever they are in the line.
fn texts(value: &Value, name: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            if object.get("name").and_then(Value::as_str) == Some(name) {
                found.extend(object.get("text").and_then(Value::as_str).map(str::to_owned));
            }
            object.values().for_each(|value| texts(value, name, found));
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, name, found)),
        _ => {}
    }
}

fn yaml(text: &str) -> Mapping {
    let limits = Limits::default();
    let document = read(text.as_bytes(), &limits).expect("YAML");
    let mut mapping = Mapping::new();
    let mut decoder = Decoder::new(&document, &limits, UnknownKeys::Refuse);
    decoder.free_mapping(document.root(), "mapping", &mut mapping).expect("bounded YAML");
    decoder.finish().expect("a mapping");
    mapping
}

/// The layout of the file is not part of the rule (the reference folds long lines), its values are.
#[test]
fn golden_lists_of_layers() {
    let Some(lines) = golden::lines("assets.jsonl", "") else { return };
    let mut found = Vec::new();
    lines.iter().for_each(|line| texts(line, "extensions.yaml", &mut found));
    assert!(!found.is_empty());
    for text in &found {
        let theirs = yaml(text);
        let Some(Yaml::Sequence(layers)) = theirs.get("layers") else { panic!("no layers in {text}") };
        let ours: Vec<Layer> = layers.iter().map(layer).collect();
        assert_eq!(yaml(&layers_yaml(&ours)), theirs);
    }
    println!("{} files", found.len());
}

fn layer(value: &Yaml) -> Layer {
    let Yaml::Mapping(layer) = value else { panic!("{value:?} is no layer") };
    let mut manifest = Mapping::new();
    manifest.push("version", "v1alpha1".into());
    manifest.push("metadata", layer.get("metadata").expect("metadata").clone());
    let text = factory_domain::goyaml::emit(&Yaml::Mapping(manifest));
    let Some(Yaml::String(image)) = layer.get("image") else { panic!("{value:?} has no image") };
    Layer { image: image.clone(), metadata: Manifest::parse(text.as_bytes()).expect("a manifest").metadata }
}
