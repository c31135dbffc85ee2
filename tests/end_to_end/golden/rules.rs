//! What of a structure is a rule: sizes and places that follow from contents become relations, what only the
//! recorder's machine decided goes.

use serde_json::{Map, Value, json};

/// Time of everything that the factory makes itself, in seconds since 1970 (spec 30 §8, 40 §6).
pub const EPOCH: u64 = 1_559_424_892;

/// Earliest time at which the recorder ran. The reference leaves the time of building on files of the initramfs
/// and of OVAs, ours have the epoch (spec 30 §11, 42 §4).
const RECORDING: u64 = 1_790_000_000;

/// Sections that the imager adds to the stub.
const ADDED: &[&str] = &[
    ".osrel", ".cmdline", ".uname", ".splash", ".pcrpkey", ".linux", ".initrd", ".profile", ".pcrsig", ".dtb",
];

/// Turns a structure, recorded or ours, into what has to be equal.
pub fn apply(structure: &mut Value) {
    match structure {
        Value::Array(items) => items.iter_mut().for_each(apply),
        Value::Object(map) => {
            map.values_mut().for_each(apply);
            rewrite(map);
        }
        _ => {}
    }
}

fn rewrite(map: &mut Map<String, Value>) {
    if map.contains_key("sections") {
        program(map);
    }
    match map.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned().as_str() {
        "initramfs" => initramfs(map),
        "iso" => iso(map),
        "vdisk" => {
            map.remove("file_size");
            let info = map["info"].as_object_mut().expect("qemu-img's report");
            info.remove("actual-size");
            let data = info.get_mut("format-specific").and_then(|told| told["data"].as_object_mut());
            data.map(|data| data.remove("cid"));
        }
        "compressed" => {
            map.remove("compressed_size");
        }
        _ => {}
    }
    exact(map);
    // A file's content decides on its size.
    if ["sha256", "digest", "text"].iter().any(|key| map.contains_key(*key)) {
        map.remove("size");
    }
    if map.get("name").is_some_and(|name| name == "disk.vmdk") {
        map.retain(|key, _| key != "size" && key != "sha256");
    }
    // Layers of ours are packed only where the release's are (spec 52 §3 knows both); names say so.
    if let Some(name) = map.get("name").and_then(Value::as_str).and_then(|name| name.strip_suffix(".tar.gz"))
    {
        map.insert("name".to_owned(), format!("{name}.tar").into());
    }
    if let Some(layer) = map.get_mut("layer").and_then(Value::as_array_mut) {
        before_grub(layer);
    }
    // GRUB's core is as long as the modules of the release make it.
    map.remove("nonzero_length");
    if map.get("mtime").and_then(Value::as_u64).is_some_and(|time| time > RECORDING) {
        map.insert("mtime".to_owned(), EPOCH.into());
    }
    text(map);
}

/// What does not depend on the fixture, for the keys are the recorder's own: certificate and seed are the recorded
/// bytes, signed lists of certificates are as long (they have the time of signing in them).
fn exact(map: &mut Map<String, Value>) {
    let path = map.get("path").and_then(Value::as_str).unwrap_or_default();
    if path.ends_with(".auth") {
        let size = map["size"].clone();
        map.insert("length".to_owned(), size);
    } else if path.ends_with(".der") || path.ends_with("/random-seed") {
        // Cut, so that it is no name of a content.
        let bytes = map["sha256"].as_str().map(|digest| digest.replacen(&digest[..32], "", 1));
        map.insert("bytes".to_owned(), bytes.into());
    }
}

/// Reads texts that are documents.
fn text(map: &mut Map<String, Value>) {
    for key in ["text", "content"] {
        let Some(text) = map.get(key).and_then(Value::as_str) else { continue };
        let told = if text.starts_with("<?xml") {
            elements(text)
        } else if text.starts_with("layers:") {
            serde_yaml::from_str(text).expect("a list of extensions")
        } else if text.starts_with(['{', '[']) {
            let text = text.replace(".tar.gz\"", ".tar\"");
            let Ok(mut document) = serde_json::from_str::<Value>(&text) else { continue };
            unsigned(&mut document);
            apply(&mut document);
            document
        } else {
            continue;
        };
        map.insert(key.to_owned(), told);
    }
}

/// Takes measurements and signatures, which follow from contents, out of a `.pcrsig` document.
fn unsigned(document: &mut Value) {
    let banks = document.as_object_mut().into_iter().flat_map(|banks| banks.values_mut());
    for policy in banks.filter_map(Value::as_array_mut).flatten().filter_map(Value::as_object_mut) {
        if policy.contains_key("pcrs") {
            policy.retain(|key, _| key != "pol" && key != "sig");
        }
    }
}

/// Elements and texts of a description of a virtual machine, without words that are for people only.
fn elements(xml: &str) -> Value {
    const FOR_PEOPLE: &[&str] = &["Info", "Label", "Description", "rasd:Description"];
    /// Lengths of files, and a mark of the program that VMware's template comes from.
    const FREE: &[&str] = &["ovf:size=", "ovf:populatedSize=", "vmw:buildId="];
    let mut told = Vec::new();
    for part in xml.split('<').skip(1).filter(|part| !part.starts_with("!--")) {
        let (tag, text) = part.split_once('>').expect("a tag");
        let (tag, end) = tag.strip_suffix('/').map_or((tag, ""), |tag| (tag, "/"));
        let mut words: Vec<&str> = Vec::new();
        let mut rest = tag.trim();
        // Values may have spaces in them.
        while let Some(at) = rest.find('=') {
            let (name, value) = rest.split_at(at);
            let mut names = name.split_whitespace().collect::<Vec<_>>();
            let name = names.pop().expect("the name of an attribute");
            words.extend(names);
            let close = value[2..].find('"').expect("a quoted value") + 3;
            let start = rest.find(name).expect("it is there");
            words.push(&rest[start..at + close]);
            rest = rest[at + close..].trim();
        }
        words.extend(rest.split_whitespace());
        words.retain(|word| !FREE.iter().any(|free| word.starts_with(free)));
        let (element, attributes) = words.split_first_mut().expect("a name");
        let is_for_people = FOR_PEOPLE.contains(element);
        attributes.sort_unstable();
        told.push(format!("<{}{end}>", words.join(" ")));
        if !text.trim().is_empty() && !is_for_people {
            told.push(text.trim().to_owned());
        }
    }
    told.into()
}

/// The files of the release's layer in front of GRUB's modules: the recorder left off after 80 entries.
fn before_grub(layer: &mut Vec<Value>) {
    let is_module =
        |entry: &Value| entry["name"].as_str().is_some_and(|name| name.starts_with("usr/lib/grub/"));
    if let Some(first) = layer.iter().position(is_module) {
        layer.truncate(first);
    }
}

/// The order of things in an initramfs. Frames in a row unpack to the same as one.
fn initramfs(map: &mut Map<String, Value>) {
    map.remove("size");
    let mut merged: Vec<Value> = Vec::new();
    for segment in map["segments"].as_array().expect("segments") {
        match merged.last_mut() {
            Some(last) if last["compression"] == segment["compression"] => {
                let more = segment["entries"].as_array().expect("entries").clone();
                last["entries"].as_array_mut().expect("entries").extend(more);
            }
            _ => merged.push(json!({"compression": segment["compression"], "entries": segment["entries"]})),
        }
    }
    map.insert("segments".to_owned(), merged.into());
}

/// A program of UEFI: places of sections as relations to the section before.
fn program(map: &mut Map<String, Value>) {
    let number = |value: &Value| value.as_u64().expect("a number");
    let optional = map["optional"].clone();
    let (page, sector) = (number(&optional["section_alignment"]), number(&optional["file_alignment"]));
    let mut file_end = number(&optional["size_of_headers"]);
    let headers = number(&map["pe_offset"]) + 24 + number(&map["size_of_optional_header"]);
    let mut memory_end = file_end.next_multiple_of(page);
    let (mut data, mut code) = (0, 0);
    for section in map["sections"].as_array_mut().expect("sections") {
        let [start, len, address, size] =
            ["raw_offset", "raw_size", "virtual_address", "virtual_size"].map(|key| number(&section[key]));
        let flags =
            section["characteristics"].as_str().and_then(|flags| u64::from_str_radix(&flags[2..], 16).ok());
        let flags = flags.expect("flags");
        section["file"] = if start == file_end { json!("follows") } else { json!(start) };
        section["filled"] = json!(len == size.next_multiple_of(sector));
        section["memory"] = if address == memory_end { json!("follows") } else { json!(address) };
        file_end = start + len;
        memory_end = (address + size).next_multiple_of(page);
        if flags & 0x40 != 0 {
            data += len;
        }
        if flags & 0x20 != 0 {
            code += len;
        }
        let section = section.as_object_mut().expect("a section");
        section.retain(|key, _| {
            !["raw_offset", "raw_size", "virtual_address", "virtual_size"].contains(&key.as_str())
        });
    }
    let table = &optional["certificate_table"];
    let (offset, size) = (number(&table["offset"]), number(&table["size"]));
    let told = map["optional"].as_object_mut().expect("a header");
    told.remove("certificate_table");
    told.insert("is_signed".to_owned(), (size > 0).into());
    let end = if size > 0 { offset + size } else { file_end };
    let file_size = number(&map["file_size"]);
    let told = map["optional"].as_object_mut().expect("a header");
    told.insert("signature_follows".to_owned(), (size == 0 || offset == file_end.next_multiple_of(8)).into());
    told.insert("ends_with_file".to_owned(), (end == file_size).into());
    let known = |value: &Value, wanted: u64, word: &str| {
        if number(value) == wanted { json!(word) } else { value.clone() }
    };
    let image = known(&optional["size_of_image"], memory_end, "all sections");
    told.insert("size_of_image".to_owned(), image);
    let initialized = known(&optional["size_of_initialized_data"], data, "all data");
    told.insert("size_of_initialized_data".to_owned(), initialized);
    let all_code = known(&optional["size_of_code"], code, "all code");
    told.insert("size_of_code".to_owned(), all_code);
    let count = map["sections"].as_array().expect("sections").len() as u64;
    // A header of a section takes 40 bytes.
    let headers = (headers + 40 * count).next_multiple_of(sector);
    let size_of_headers = known(&optional["size_of_headers"], headers, "all headers");
    told_headers(map, size_of_headers, count);
    map.remove("file_size");
    // Length and then revision and type.
    if let Some(head) =
        map.get("authenticode_head_hex").and_then(Value::as_str).map(|head| head[8..].to_owned())
    {
        map.insert("authenticode_head_hex".to_owned(), head.into());
    }
}

/// Puts in what is known of the headers, and takes out the picture: it is the vendor's artwork, whether and which
/// one there is is free (spec 31 §5).
fn told_headers(map: &mut Map<String, Value>, size_of_headers: Value, count: u64) {
    map["optional"]["size_of_headers"] = size_of_headers;
    let is_counted = map["number_of_sections"] == count;
    map.insert("number_of_sections".to_owned(), if is_counted { "all".into() } else { count.into() });
    let sections = map["sections"].as_array_mut().expect("sections");
    sections.retain(|section| section["name"] != ".splash");
    for section in sections.iter_mut().filter(|section| section["name"] == ".uname") {
        // The kernel's name, like the kernel, is the fixture's: the same wherever it is the same in the record.
        section.as_object_mut().expect("a section").remove("content");
    }
}

/// Whether a program is one that the imager made from a stub.
pub fn is_uki(program: &Value) -> bool {
    section(program, ".linux").is_some()
}

fn section<'a>(program: &'a Value, name: &str) -> Option<&'a Value> {
    program["sections"].as_array()?.iter().find(|section| section["name"] == name)
}

/// Leaves out what the release's boot programs decide where the fixture has others than the recorder had.
pub fn without_other_programs(recorded: &mut Value, ours: &mut Value) {
    match (&mut *recorded, &mut *ours) {
        (Value::Array(recorded), Value::Array(ours)) => {
            let name = |value: &Value| value["path"].as_str().or(value["name"].as_str()).map(str::to_owned);
            for (at, recorded) in recorded.iter_mut().enumerate() {
                let pair = match name(recorded) {
                    Some(wanted) => ours.iter_mut().find(|ours| name(ours).as_ref() == Some(&wanted)),
                    None => ours.get_mut(at),
                };
                if let Some(ours) = pair {
                    without_other_programs(recorded, ours);
                }
            }
        }
        (Value::Object(_), Value::Object(_)) => {
            if recorded["sections"].is_array() && ours["sections"].is_array() {
                let code =
                    |program: &Value| section(program, ".text").map(|text| text["content_sha256"].clone());
                if code(recorded) != code(ours) {
                    reduce(recorded);
                    reduce(ours);
                }
                return;
            }
            let code =
                |file: &Value| section(&file["pe"], ".text").map(|text| text["content_sha256"].clone());
            let is_other = code(recorded) != code(ours);
            let (Some(recorded), Some(ours)) = (recorded.as_object_mut(), ours.as_object_mut()) else {
                return;
            };
            if is_other {
                recorded.remove("sha256");
                ours.remove("sha256");
            }
            for (key, recorded) in recorded.iter_mut() {
                if let Some(ours) = ours.get_mut(key) {
                    without_other_programs(recorded, ours);
                }
            }
        }
        _ => {}
    }
}

/// What remains of a program when its code is another one.
fn reduce(program: &mut Value) {
    let is_ours = is_uki(program);
    let map = program.as_object_mut().expect("a program");
    map.retain(|key, _| {
        !["number_of_sections", "pe_offset", "coff_characteristics", "sha256"].contains(&key.as_str())
    });
    if !is_ours {
        map.remove("timestamp");
    }
    let sections = map["sections"].as_array_mut().expect("sections");
    sections.retain(|section| is_ours && ADDED.iter().any(|name| section["name"] == *name));
    let optional = map["optional"].as_object_mut().expect("a header");
    optional
        .retain(|key, _| ["checksum", "is_signed", "ends_with_file", "subsystem"].contains(&key.as_str()));
}

/// Of an ISO, the lines of xorriso's report that do not depend on lengths.
fn iso(map: &mut Map<String, Value>) {
    for key in ["size", "sfdisk", "grub_module_files"] {
        map.remove(key);
    }
    let disk = map["disk"].as_object_mut().expect("a disk");
    disk.remove("size");
    // The code has the place of GRUB's image in it.
    let mbr = disk["mbr"].as_object_mut().expect("a boot sector");
    mbr.retain(|key, _| key != "partition_entries_hex" && key != "boot_code_sha256");
    let has_table = !disk["gpt"].is_null();
    disk.insert("gpt".to_owned(), has_table.into());
    for partition in disk.get_mut("partitions").and_then(Value::as_array_mut).into_iter().flatten() {
        let partition = partition.as_object_mut().expect("a partition");
        partition.retain(|key, _| ["name", "type_guid", "attributes"].contains(&key.as_str()));
    }
    let esp = map["esp"].as_object_mut().expect("a FAT");
    esp.remove("start");
    let bpb = esp["bpb"].as_object_mut().expect("a boot sector");
    bpb.retain(|key, _| !key.starts_with("total_sectors") && key != "fat_size32");
    let lines = map["pvd_eltorito_sysarea"].as_array().expect("a report");
    let mut report = Map::new();
    for line in lines {
        let (name, value) = line.as_str().and_then(|line| line.split_once(':')).expect("a line");
        let (name, value) = (name.trim(), value.trim());
        if name == "El Torito boot img" {
            // Number, platform, bootable, emulation, segment, type, sectors, block.
            let words: Vec<_> = value.split_whitespace().take(6).collect();
            report.insert(format!("{name} {}", words[0]), words[1..].join(" ").into());
        } else if name.starts_with("El Torito img opts") || PVD.contains(&name) {
            report.insert(name.to_owned(), value.into());
        }
    }
    map.insert("pvd_eltorito_sysarea".to_owned(), report.into());
}

/// Fields of the volume descriptor, by xorriso's names. `Preparer Id` names the program that made it.
const PVD: &[&str] = &[
    "PVD address",
    "Volume Id",
    "Volume Set Id",
    "Publisher Id",
    "App Id",
    "System Id",
    "CopyrightFile",
    "Abstract File",
    "Biblio File",
    "Creation Time",
    "Modif. Time",
    "Expir. Time",
    "Eff. Time",
    "El Torito cat path",
];
