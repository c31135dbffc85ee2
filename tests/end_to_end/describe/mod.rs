//! What an asset consists of, in the form of the recorded structures (`tests/golden/assets.jsonl`).
//!
//! Everything is read back with the field's tools (xorriso, mtools, qemu-img, xfs_db, grub-fstest, blkid, sfdisk,
//! xz) or with parsers of others (`object`, `tar`, `zstd`, `liblzma`), never with the code that wrote it.

pub mod disk;
pub mod fat;
pub mod initramfs;
pub mod iso;
pub mod pe;
pub mod tape;
pub mod xfs;

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::support::tools::{says, success, text};

/// Longest text, in bytes, that is told as text.
const LONGEST_TEXT: usize = 16 << 10;

/// Describes the asset in `file`, whose name tells what it is. `scratch` is an empty directory.
pub fn describe(file: &Path, scratch: &Path) -> Value {
    let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
    let size = fs::metadata(file).expect("a file").len();
    match name {
        _ if name.starts_with("kernel-") => json!({"kind": "kernel"}),
        _ if name.starts_with("cmdline-") => {
            json!({"kind": "cmdline", "text": fs::read_to_string(file).expect("a text")})
        }
        _ if name.starts_with("initramfs-") => initramfs::describe(&fs::read(file).expect("a file")),
        _ if name.ends_with(".efi") => {
            json!({"kind": "uki", "pe": pe::describe(&fs::read(file).expect("a file"))})
        }
        _ if name.ends_with(".iso") => iso::describe(file, scratch),
        _ if name.ends_with(".ova") => tape::ova(file, scratch),
        _ if name.ends_with(".tar") => tape::installer(file),
        _ if name.ends_with(".qcow2") => virtual_disk(file, scratch),
        _ if name.ends_with(".xz") => {
            let raw = scratch.join("unpacked.raw");
            let command = format!(
                "xz -dc {} | dd of={} bs=1M iflag=fullblock conv=sparse status=none",
                text(file),
                text(&raw)
            );
            success("bash", "xz-utils", &["-o", "pipefail", "-c", &command]);
            let inner = disk::describe(&raw, scratch);
            fs::remove_file(raw).expect("it was there");
            let magic = hex::encode(&fs::read(file).expect("a file")[..6]);
            json!({"kind": "compressed", "suffix": ".xz", "magic": magic, "compressed_size": size, "inner": inner})
        }
        _ => panic!("nobody knows how to describe {name}"),
    }
}

/// An image that `qemu-img` can tell about, and the disk in it.
pub fn virtual_disk(file: &Path, scratch: &Path) -> Value {
    let info = says("qemu-img", "qemu-utils", &["info", "--output", "json", text(file)]);
    let mut info: Map<String, Value> = serde_json::from_str(&info).expect("JSON");
    // The name is ours, and newer versions tell about files below.
    info.retain(|key, _| !["filename", "children"].contains(&key.as_str()));
    let extents = info.get_mut("format-specific").and_then(|told| told.pointer_mut("/data/extents"));
    for extent in extents.and_then(Value::as_array_mut).into_iter().flatten() {
        extent.as_object_mut().expect("an extent").remove("filename");
    }
    if info["format"] == "qcow2" {
        success("qemu-img", "qemu-utils", &["check", "-q", text(file)]);
    }
    let raw = scratch.join("converted.raw");
    success("qemu-img", "qemu-utils", &["convert", "-O", "raw", text(file), text(&raw)]);
    let inner = disk::describe(&raw, scratch);
    fs::remove_file(raw).expect("it was there");
    json!({
        "kind": "vdisk",
        "file_size": fs::metadata(file).expect("a file").len(),
        "info": info,
        "inner": inner,
    })
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The bytes as text, if that is what they are.
pub fn printable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= LONGEST_TEXT)?;
    text.chars().all(|char| !char.is_control() || "\n\r\t".contains(char)).then_some(text)
}

/// Size, digest and, where it is one, the text of a file.
pub fn content(bytes: &[u8]) -> Map<String, Value> {
    let mut told = Map::new();
    told.insert("sha256".to_owned(), sha256(bytes).into());
    told.insert("size".to_owned(), bytes.len().into());
    if let Some(text) = printable(bytes) {
        told.insert("text".to_owned(), text.into());
    }
    told
}

/// Paths below a directory, directories with a slash at the end, in the order of their bytes.
pub fn tree(root: &Path) -> Vec<String> {
    let found = says("find", "findutils", &[text(root), "-mindepth", "1", "-printf", "%P %y\\n"]);
    let paths = found.lines().map(|line| {
        let (path, kind) = line.rsplit_once(' ').expect("a path and a type");
        if kind == "d" { format!("{path}/") } else { path.to_owned() }
    });
    let mut paths: Vec<_> = paths.collect();
    paths.sort();
    paths
}
