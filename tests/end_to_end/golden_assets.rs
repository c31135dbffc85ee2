//! Is every recorded asset of the reference made here with the same structure?

use std::fs;

use serde_json::Value;

use crate::describe::describe;
use crate::golden::comparison::{Comparison, Difference, Exception, judge};
use crate::golden::server::{self, HOSTS};
use crate::golden::{header, lines, on_each, renamed, rules, text_of};
use crate::support::{Fixture, Server};

/// ISO images that GRUB boots.
const OF_GRUB: &str = "asset/v1.7.7/empty/metal-amd64.iso|asset/v1.9.5/empty/metal-amd64.iso";

/// Where ours differ on purpose.
const EXCEPTIONS: &[Exception] = &[
    Exception {
        case: "asset/v1.9.5/empty/metal-amd64.raw.xz",
        path: "status|content-type|content-disposition",
        what: r#"200, not 500|"application/x-xz", not "text/plain*|"attachment; filename=*"#,
        why: "the recorder's machine failed; ours answers (the record of conformance cases was amended likewise)",
    },
    Exception {
        case: "*.ova",
        path: "content-type",
        what: r#""application/x-tar", not "application/octet-stream""#,
        why: "10 §6: types that do not depend on the host",
    },
    Exception {
        case: "*arm64*",
        path: "*.sections[.uname]",
        what: "not in the record",
        why: "31 §4: a kernel whose release the reference could not tell; every kernel has one here",
    },
    Exception {
        case: "*.tar",
        path: "entries[sha256:<digest>].text.created",
        what: r#""2019-06-01T21:34:52Z", not *"#,
        why: "52 §2.4: a fixed time, so that digests stay",
    },
    Exception {
        case: "*.tar",
        path: "entries[manifest.json].text[0].RepoTags[0]",
        what: r#""factory.example/installer/*", not "siderolabs/*""#,
        why: "52 §3: the name under which this factory serves the image",
    },
    Exception {
        case: "*.tar",
        path: "*.layer[usr/install/*].mode",
        what: r#""0o644", not "0o0""#,
        why: "52 §2.3: files that others than root can read",
    },
    // Volumes of EFI files.
    Exception {
        case: "*",
        path: "*fat.bpb.reserved",
        what: "36, not 32|1, not 32",
        why: "42 §9: files begin at multiples of 4 KiB, so more sectors are reserved",
    },
    Exception {
        case: "*",
        path: "*fat.bpb.fat_size32",
        what: "4194, not 4200|794, not 1576|13, not 25",
        why: "42 §9: the smallest table for the sectors that remain",
    },
    Exception {
        case: "*",
        path: "*fat.bpb.total_sectors*",
        what: "4302848, not 4302837|not in the record: 0",
        why: "41 §6: the exact count, where mkfs.fat rounds down to a track",
    },
    Exception {
        case: "*",
        path: "*[EFI].fat.bpb.sectors_per_cluster",
        what: "2, not 1",
        why: "41 §6 has one sector for 100 MiB, as mkfs.fat by itself; the writer has one rule for all volumes \
              (40 §4.1): clusters as big as FAT32 allows up to 4 KiB",
    },
    Exception {
        case: "*/grub-4k/metal-amd64.qcow2",
        path: "*fat.bpb.fs_type",
        what: r#""FAT16   ", not "FAT32   ""#,
        why: "41 §6: too few clusters of 4 KiB for FAT32; mtools and EDK2 refuse what the reference makes",
    },
    // ISO images: 40 part B is another layout on purpose.
    Exception {
        case: "*.iso",
        path: "esp.bpb.fs_type|esp.bpb.reserved|esp.bpb.sectors_per_cluster",
        what: "*",
        why: "40 §4.1 and §7: a width that fits the number of clusters",
    },
    Exception {
        case: OF_GRUB,
        path: "esp.bpb.label|esp.bpb.oem|esp.bpb.volume_id",
        what: r#""EFI        ", not *|"mkfs.fat", not *|"1234abcd", not *"#,
        why: "40 §7: the usual volume, where the reference has a FAT12 floppy (and the recorder read FAT32's fields)",
    },
    Exception {
        case: "asset/v1.14.0-alpha.2/empty/metal-amd64-secureboot.iso",
        path: "esp.bpb.*",
        what: "*",
        why: "the recorder took a place in the middle of a program for the boot sector",
    },
    Exception {
        case: "*.iso",
        path: "files[boot.catalog]|pvd_eltorito_sysarea.El Torito cat path",
        what: "missing*",
        why: "40 §7: the catalogue is no file of the tree",
    },
    Exception {
        case: "*metal-amd64.iso",
        path: "disk.partitions[Gap*]|disk.partitions[Appended2]|disk.partitions[EFI*]|disk.partitions[HFSPLUS]|\
               disk.partitions[ISO9660]",
        what: "missing|not in the record",
        why: "40 §8.6: one partition for the tree and one for UEFI, named EFI, and none for gaps, HFS+ or Apple",
    },
    Exception {
        case: "*metal-amd64.iso",
        path: "*.sections[.uname].filled|*.sections[.linux].filled",
        what: "false, not true",
        why: "40 §10: kernel and initramfs begin at multiples of 4 KiB, to be shared with the tree",
    },
    Exception {
        case: OF_GRUB,
        path: "files[.disk/*]|files[System/*]|files[mach_kernel]|files[efi.img]|files[efi/*]|files[EFI/*]|\
               esp.files[/efi/*]|esp.files[/EFI/*]",
        what: "missing|not in the record",
        why: "40 §7: GRUB alone at EFI/BOOT, without copies for other machines and firmware",
    },
];

/// Differences of one recorded asset and ours.
fn differences(
    server: &Server,
    home: &std::path::Path,
    line: &Value,
    comparison: &Comparison,
) -> Vec<Difference> {
    let (case, path, response) =
        (text_of(&line["case"]), text_of(&line["request"]["path"]), &line["response"]);
    let mut found = Vec::new();
    let mut tell = |path: &str, what: String| {
        found.push(Difference { case: case.to_owned(), path: path.to_owned(), what });
    };
    let head = server.client.head(path);
    if u64::from(head.status) != response["status"] {
        tell("status", format!("{}, not {}", head.status, response["status"]));
    }
    for name in ["content-type", "content-disposition", "vary"] {
        let (ours, recorded) = (head.header(name), header(response, name));
        if ours != recorded {
            tell(name, format!("{ours:?}, not {recorded:?}"));
        }
    }
    let scratch = tempfile::tempdir_in(home).unwrap();
    let file = server.client.save(path, scratch.path());
    let len = fs::metadata(&file).unwrap().len();
    if head.header("content-length") != len.to_string() {
        tell("content-length", format!("{}, but there are {len}", head.header("content-length")));
    }
    let Some(recorded) = line.get("structure") else { return found };
    let (mut recorded, mut ours) = (recorded.clone(), describe(&file, scratch.path()));
    renamed(&mut recorded, HOSTS);
    rules::apply(&mut recorded);
    rules::apply(&mut ours);
    rules::without_other_programs(&mut recorded, &mut ours);
    found.extend(comparison.differences(path.split('/').nth(3).expect("a version"), case, &recorded, &ours));
    found
}

#[test]
fn golden_assets_have_the_recorded_structure() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let server = server::start(&fixture, &home.path().join("factory"));
    let schematics = server::create_schematics(&server);
    let mut lines = lines("assets.jsonl");
    lines.retain(|line| server::is_known(&schematics, line));
    if lines.is_empty() {
        return;
    }
    let comparison = Comparison::default();
    let found = on_each(&lines, |line| differences(&server, home.path(), line, &comparison));
    judge(&found, EXCEPTIONS);
}
