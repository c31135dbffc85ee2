//! Disks: boot code, partition table, and what lies in the partitions.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{fat, sha256, xfs};
use crate::support::tools::{success, text};

/// Type of an EFI system partition.
pub const ESP: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";

/// Stretches of META that are not zero are told apart by this many zero bytes.
const GAP: usize = 16;

/// Everything on a raw image.
pub fn describe(image: &Path, scratch: &Path) -> Value {
    let mut told = table(image);
    let sector = told["gpt"]["sector_size"].as_u64().expect("a partition table");
    for partition in told["partitions"].as_array_mut().expect("partitions") {
        let start = partition["first_lba"].as_u64().expect("a number") * sector;
        let len = partition["size_bytes"].as_u64().expect("a number");
        for (key, value) in partition_content(image, partition, (start, len), scratch) {
            partition[key] = value;
        }
    }
    told
}

/// Boot sector and partition table alone.
pub fn table(image: &Path) -> Value {
    let file = File::open(image).expect("an image");
    let size = file.metadata().expect("an image").len();
    let mbr = read(&file, 0, 512);
    let mut told = json!({
        "kind": "disk",
        "size": size,
        "gpt": null,
        "mbr": {
            "boot_code_all_zero": mbr[..440].iter().all(|byte| *byte == 0),
            "boot_code_sha256": sha256(&mbr[..440]),
            "disk_signature": hex::encode(&mbr[440..446]),
            "magic": hex::encode(&mbr[510..]),
            "partition_entries_hex": hex::encode(&mbr[446..510]),
        },
    });
    let Some(sector) = [512, 4096].into_iter().find(|sector| read(&file, *sector, 8) == b"EFI PART") else {
        return told;
    };
    let header = read(&file, sector, 92);
    let (entries_lba, count, entry_size) = (long(&header, 72), short(&header, 80), short(&header, 84));
    let backup = long(&header, 32);
    told["gpt"] = json!({
        "sector_size": sector,
        "revision": format!("{:08x}", short(&header, 8)),
        "header_size": short(&header, 12),
        "current_lba": long(&header, 24),
        "backup_lba": backup,
        "first_usable": long(&header, 40),
        "last_usable": long(&header, 48),
        "disk_guid": guid(&header[56..72]),
        "entries_lba": entries_lba,
        "entries": count,
        "entry_size": entry_size,
        "backup_header_present": read(&file, backup * sector, 8) == b"EFI PART",
    });
    let entries = read(&file, entries_lba * sector, count as usize * entry_size as usize);
    let used = entries.chunks(entry_size as usize).filter(|entry| entry[..16] != [0; 16]);
    let partitions = used.enumerate().map(|(index, entry)| {
        let (first, last) = (long(entry, 32), long(entry, 40));
        let name = entry[56..128].chunks(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
        let name: Vec<u16> = name.take_while(|unit| *unit != 0).collect();
        json!({
            "index": index + 1,
            "name": String::from_utf16(&name).expect("a name"),
            "type_guid": guid(&entry[..16]),
            "unique_guid": guid(&entry[16..32]),
            "first_lba": first,
            "last_lba": last,
            "size_bytes": (last + 1 - first) * sector,
            "attributes": format!("{:#x}", long(entry, 48)),
        })
    });
    told["partitions"] = partitions.collect();
    told
}

fn partition_content(
    image: &Path,
    partition: &Value,
    span: (u64, u64),
    scratch: &Path,
) -> Map<String, Value> {
    let (start, len) = span;
    let file = File::open(image).expect("an image");
    let mut told = Map::new();
    match partition["name"].as_str().expect("a name") {
        "EFI" => {
            assert_eq!(partition["type_guid"], ESP);
            told.insert("fat".to_owned(), fat::describe(image, start, scratch));
        }
        "BOOT" => {
            let volume = scratch.join("boot.xfs");
            success(
                "dd",
                "coreutils",
                &[
                    &format!("if={}", text(image)),
                    &format!("of={}", text(&volume)),
                    &format!("skip={start}"),
                    &format!("count={len}"),
                    "iflag=skip_bytes,count_bytes",
                    "bs=4M",
                    "conv=sparse",
                    "status=none",
                ],
            );
            success("truncate", "coreutils", &["-s", &len.to_string(), text(&volume)]);
            told.insert("xfs".to_owned(), xfs::describe(&volume));
            fs::remove_file(volume).expect("it was there");
        }
        "BIOS" => {
            let bytes = read(&file, start, len as usize);
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            told.insert("nonzero_length".to_owned(), used.into());
            told.insert("sha256_nonzero".to_owned(), sha256(&bytes[..used]).into());
        }
        "META" => {
            let bytes = read(&file, start, len as usize);
            told.insert("meta_nonzero".to_owned(), stretches(&bytes));
        }
        _ => {
            let head = read(&file, start, 1 << 20);
            told.insert("head_zero".to_owned(), head.iter().all(|byte| *byte == 0).into());
        }
    }
    told
}

/// The stretches that are not zero.
fn stretches(bytes: &[u8]) -> Value {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte != 0) {
        match found.last_mut() {
            Some((_, end)) if at < *end + GAP => *end = at + 1,
            _ => found.push((at, at + 1)),
        }
    }
    found
        .iter()
        .map(|(start, end)| json!({"offset": start, "hex": hex::encode(&bytes[*start..*end])}))
        .collect()
}

fn read(file: &File, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset).expect("the image is long enough");
    bytes
}

fn short(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// A GUID as the field writes it.
fn guid(bytes: &[u8]) -> String {
    let reversed = |part: &[u8]| part.iter().rev().map(|byte| format!("{byte:02X}")).collect::<String>();
    let plain = |part: &[u8]| hex::encode_upper(part);
    format!(
        "{}-{}-{}-{}-{}",
        reversed(&bytes[..4]),
        reversed(&bytes[4..6]),
        reversed(&bytes[6..8]),
        plain(&bytes[8..10]),
        plain(&bytes[10..16])
    )
}
