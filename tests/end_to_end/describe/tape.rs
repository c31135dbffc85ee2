//! Tar archives: OVAs, archives of installers, layers.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{content, pe, sha256, virtual_disk};
use crate::support::tools::success;

/// Longest entry that is read whole; what is longer is a disk.
const LONGEST_ENTRY: u64 = 64 << 20;

/// Entries of a tar archive in their order, with their content where `is_wanted`.
pub fn entries(archive: impl Read) -> Vec<(Map<String, Value>, Vec<u8>)> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("a tar archive").map(|entry| {
        let mut entry = entry.expect("an entry");
        let header = entry.header();
        let number = |value: std::io::Result<u64>| value.expect("a number");
        let mut told = Map::new();
        let mode = header.mode().expect("a mode");
        told.insert(
            "mode".to_owned(),
            if mode == 0 { "0o0".to_owned() } else { format!("{mode:#o}") }.into(),
        );
        told.insert("uid".to_owned(), number(header.uid()).into());
        told.insert("gid".to_owned(), number(header.gid()).into());
        told.insert("mtime".to_owned(), number(header.mtime()).into());
        told.insert("type".to_owned(), char::from(header.entry_type().as_byte()).to_string().into());
        let size = entry.size();
        told.insert("size".to_owned(), size.into());
        if let Some(link) = entry.link_name().expect("a link") {
            told.insert("link".to_owned(), link.to_str().expect("printable").into());
        }
        let name =
            entry.path().expect("a name").to_str().expect("printable").trim_end_matches('/').to_owned();
        let mut bytes = Vec::new();
        if size <= LONGEST_ENTRY {
            entry.read_to_end(&mut bytes).expect("the whole entry");
        }
        if header_is_file(&told) && size <= LONGEST_ENTRY {
            told.append(&mut content(&bytes));
        }
        if name.ends_with(".efi") || name.ends_with(".efi.signed") {
            told.remove("text");
            told.insert("pe".to_owned(), pe::describe(&bytes));
        }
        told.insert("name".to_owned(), name.into());
        (told, bytes)
    });
    entries.collect()
}

fn header_is_file(told: &Map<String, Value>) -> bool {
    told["type"] == "0"
}

/// A layer out of its packed form: its entries, and SHA-256 of the archive.
pub fn layer(packed: &[u8]) -> (Vec<Value>, String) {
    let mut archive = Vec::new();
    if packed.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(packed).read_to_end(&mut archive).expect("gzip");
    } else {
        archive.extend_from_slice(packed);
    }
    let entries = entries(&archive[..]).into_iter().map(|(told, _)| Value::Object(told));
    (entries.collect(), sha256(&archive))
}

/// An archive of an installer image.
pub fn installer(file: &Path) -> Value {
    let entries = entries(File::open(file).expect("an archive")).into_iter().map(|(mut told, bytes)| {
        if told["name"].as_str().is_some_and(|name| name.contains(".tar")) {
            told.remove("text");
            told.insert("layer".to_owned(), layer(&bytes).0.into());
        }
        Value::Object(told)
    });
    json!({"kind": "installer", "entries": entries.collect::<Vec<_>>()})
}

/// A virtual machine: its description, its sums, and its disk, whose format only its own tool reads.
pub fn ova(file: &Path, scratch: &Path) -> Value {
    let entries = entries(File::open(file).expect("an archive")).into_iter().map(|(mut told, _)| {
        told.remove("gid");
        told.remove("type");
        Value::Object(told)
    });
    let entries: Vec<_> = entries.collect();
    let archive = file.to_str().expect("a printable path");
    let folder = scratch.to_str().expect("a printable path");
    success("bsdtar", "libarchive-tools", &["-x", "-f", archive, "-C", folder, "disk.vmdk"]);
    let vmdk = scratch.join("disk.vmdk");
    let told = virtual_disk(&vmdk, scratch);
    std::fs::remove_file(vmdk).expect("it was there");
    json!({"kind": "ova", "entries": entries, "vmdk": told})
}
