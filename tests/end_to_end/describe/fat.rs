//! FAT volumes: the boot sector's fields and, through mtools, the files.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{content, pe, tree};
use crate::support::tools::{says, success, text};

/// The volume that begins at a byte of an image.
pub fn describe(image: &Path, start: u64, scratch: &Path) -> Value {
    let mut sector = [0; 512];
    File::open(image).expect("an image").read_exact_at(&mut sector, start).expect("a boot sector");
    let volume = format!("{}@@{start}", text(image));
    let root = scratch.join("fat");
    fs::create_dir(&root).expect("a new directory");
    success("mcopy", "mtools", &["-s", "-n", "-m", "-i", &volume, "::/*", text(&root)]);
    let files = tree(&root).into_iter().map(|path| {
        let mut told = Map::new();
        if !path.ends_with('/') {
            let bytes = fs::read(root.join(&path)).expect("a file");
            told = content(&bytes);
            if path.to_lowercase().ends_with(".efi") {
                told.remove("text");
                told.insert("pe".to_owned(), pe::describe(&bytes));
            }
        }
        told.insert("path".to_owned(), format!("/{path}").into());
        Value::Object(told)
    });
    let files: Vec<_> = files.collect();
    fs::remove_dir_all(&root).expect("it was there");
    let attributes = says("mattrib", "mtools", &["-/", "-i", &volume, "::/"]);
    let readonly = attributes.lines().filter(|line| line.split("::").next().is_some_and(|a| a.contains('R')));
    let paths = readonly.map(|line| line.split_once("::").expect("a path").1);
    json!({
        "bpb": boot_sector(&sector),
        "files": files,
        "readonly_attr": paths.map(|path| format!("A    R     ::{path}")).collect::<Vec<_>>(),
    })
}

/// The parameter block, with the extension at the place that the FAT's width gives it.
fn boot_sector(sector: &[u8; 512]) -> Value {
    let short = |at: usize| u16::from_le_bytes([sector[at], sector[at + 1]]);
    let long = |at: usize| u32::from_le_bytes([sector[at], sector[at + 1], sector[at + 2], sector[at + 3]]);
    let letters = |at: usize, len: usize| sector[at..at + len].iter().map(|byte| char::from(*byte));
    let extension = if short(22) == 0 { 64 } else { 36 };
    json!({
        "oem": letters(3, 8).collect::<String>(),
        "bytes_per_sector": short(11),
        "sectors_per_cluster": sector[13],
        "reserved": short(14),
        "fats": sector[16],
        "total_sectors16": short(19),
        "hidden": long(28),
        "total_sectors32": long(32),
        "fat_size32": if short(22) == 0 { long(36) } else { u32::from(short(22)) },
        "volume_id": format!("{:08x}", long(extension + 3)),
        "label": letters(extension + 7, 11).collect::<String>(),
        "fs_type": letters(extension + 18, 8).collect::<String>(),
    })
}
