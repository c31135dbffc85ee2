//! ISO images: volume, boot entries, files, and the EFI system partition.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{content, disk, fat, tree};
use crate::support::tools::{says, success, text};

/// Sectors of 512 bytes in a block of an ISO.
const SECTORS: u64 = 4;

/// Everything on an ISO image.
pub fn describe(image: &Path, scratch: &Path) -> Value {
    let report = says(
        "xorriso",
        "xorriso",
        &[
            "-abort_on",
            "WARNING",
            "-indev",
            text(image),
            "-pvd_info",
            "-report_el_torito",
            "plain",
            "-report_system_area",
            "plain",
        ],
    );
    let lines: Vec<&str> = report.lines().map(str::trim_end).filter(|line| line.contains(':')).collect();
    let efi = lines.iter().find(|line| line.starts_with("El Torito boot img") && line.contains("UEFI"));
    let block = efi.and_then(|line| line.split_whitespace().last());
    let start = block.expect("an image for UEFI").parse::<u64>().expect("a block") * SECTORS;
    let mut esp = fat::describe(image, start * 512, scratch);
    esp["start"] = start.into();
    let (files, modules) = files(image, scratch);
    json!({
        "kind": "iso",
        "size": fs::metadata(image).expect("an image").len(),
        "pvd_eltorito_sysarea": lines,
        "disk": disk::table(image),
        "esp": esp,
        "files": files,
        "grub_module_files": modules,
    })
}

/// The files, and how many GRUB has below its directory.
fn files(image: &Path, scratch: &Path) -> (Vec<Value>, usize) {
    let root = scratch.join("iso");
    success("xorriso", "xorriso", &["-osirrox", "on", "-indev", text(image), "-extract", "/", text(&root)]);
    success("chmod", "coreutils", &["-R", "u+w", text(&root)]);
    let (mut files, mut modules) = (Vec::new(), 0);
    for path in tree(&root) {
        if path.ends_with('/') {
            continue;
        }
        if path.starts_with("boot/grub/") && path != "boot/grub/grub.cfg" {
            modules += 1;
            continue;
        }
        let mut told: Map<_, _> = content(&fs::read(root.join(&path)).expect("a file"));
        told.insert("path".to_owned(), path.into());
        files.push(Value::Object(told));
    }
    fs::remove_dir_all(root).expect("it was there");
    (files, modules)
}
