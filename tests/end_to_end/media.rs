//! Media of every era and boot loader, as the field's own tools see them.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::support::fixture::{NEWEST, OLDEST_UKI};
use crate::support::tools::{run, says, success, text};
use crate::support::{Config, Fixture, Server};

/// Versions of the fixture before systemd-boot, with and without zstd.
const GRUB_ERA: [&str; 2] = ["v1.7.7", "v1.9.5"];

struct Media {
    server: Server,
    home: tempfile::TempDir,
}

impl Media {
    fn start() -> Option<Self> {
        let fixture = Fixture::find()?;
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let server = Server::start(&Config::on_layouts(&fixture), &home.path().join("factory"));
        Some(Self { server, home })
    }

    fn save(&self, schematic: &str, version: &str, name: &str) -> PathBuf {
        let schematic = self.server.client.schematic(schematic);
        self.server.client.save(&Server::image(&schematic, version, name), self.home.path())
    }

    /// Bytes of an image as a file of their own.
    fn cut(&self, image: &Path, start: u64, len: u64) -> PathBuf {
        let out = self.home.path().join("cut.img");
        let arguments = [
            format!("if={}", text(image)),
            format!("of={}", text(&out)),
            format!("skip={start}"),
            format!("count={len}"),
            "iflag=skip_bytes,count_bytes".to_owned(),
            "bs=1M".to_owned(),
            "conv=sparse".to_owned(),
            "status=none".to_owned(),
        ];
        success("dd", "coreutils", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        out
    }
}

/// Name, first byte and length of the partitions. Read by hand, for Debian 12's tools take the sector size from
/// devices only.
fn partitions(image: &Path, sector: u64) -> Vec<(String, u64, u64)> {
    let file = File::open(image).unwrap();
    let read = |offset: u64, len: usize| {
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, offset).unwrap();
        bytes
    };
    let number = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let header = read(sector, 92);
    assert_eq!(&header[..8], b"EFI PART", "sectors of {sector} bytes");
    let entries = read(number(&header, 72) * sector, 128 * 128);
    let used = entries.chunks(128).filter(|entry| entry.iter().any(|byte| *byte != 0));
    used.map(|entry| {
        let (first, last) = (number(entry, 32), number(entry, 40));
        let name: Vec<u16> =
            entry[56..].chunks(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        let name = String::from_utf16(&name).unwrap().trim_end_matches('\0').to_owned();
        (name, first * sector, (last + 1 - first) * sector)
    })
    .collect()
}

/// What the partitions of a disk must be, and what must be on them.
struct Expected<'a> {
    partitions: &'a str,
    sector: u64,
    esp: &'a str,
}

fn assert_disk(media: &Media, disk: &Path, expected: &Expected<'_>) {
    let found = partitions(disk, expected.sector);
    let names: Vec<_> = found.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names.join(" "), expected.partitions);
    for (name, start, len) in &found {
        match name.as_str() {
            "EFI" => {
                let esp = media.cut(disk, *start, *len);
                success("fsck.vfat", "dosfstools", &["-n", text(&esp)]);
                let files = says("mdir", "mtools", &["-b", "-/", "-i", text(&esp), "::"]);
                assert!(files.contains(expected.esp), "{} is not in {files}", expected.esp);
            }
            "BOOT" => {
                let boot = media.cut(disk, *start, *len);
                let verdict = run("xfs_repair", "xfsprogs", &["-n", text(&boot)]);
                let said = String::from_utf8_lossy(&verdict.stderr);
                assert!(verdict.status.success(), "{said}");
                assert!(!said.contains("bad ") && !said.contains("would "), "{said}");
            }
            "BIOS" => {
                // GRUB's core begins with code that loads the rest of it; without BIOS there is none.
                let core = fs::read(media.cut(disk, *start, 512)).unwrap();
                let boot = fs::read(media.cut(disk, 0, 440)).unwrap();
                let is_empty = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
                assert_eq!(is_empty(&core), is_empty(&boot), "one does not start without the other");
                assert_eq!(is_empty(&core), expected.esp.contains("BOOTAA64"));
            }
            _ => {}
        }
    }
}

#[test]
fn disks() {
    let Some(media) = Media::start() else { return };
    const EMPTY: &str = "customization: {}\n";
    const GRUB: &str = "customization:\n  bootloader: grub\n";
    const LARGE: &str = "customization:\n  diskImage:\n    sectorSize: 4096\n";
    let old = "EFI BIOS BOOT META STATE EPHEMERAL";
    let new = "EFI BIOS BOOT META";
    for (schematic, version, name, partitions, sector, esp) in [
        (EMPTY, GRUB_ERA[0], "metal-amd64.raw", old, 512, "::/EFI/boot/BOOTX64.efi"),
        (EMPTY, GRUB_ERA[0], "metal-arm64.raw", old, 512, "::/EFI/boot/BOOTAA64.efi"),
        (EMPTY, GRUB_ERA[1], "metal-amd64.raw", new, 512, "::/EFI/boot/BOOTX64.efi"),
        (EMPTY, OLDEST_UKI, "metal-amd64.raw", new, 512, "::/EFI/Linux/Talos-v1.10.3.efi"),
        (EMPTY, NEWEST, "metal-amd64.raw", new, 512, "::/EFI/Linux/Talos-v1.12.4.efi"),
        (LARGE, NEWEST, "metal-amd64.raw", new, 4096, "::/EFI/Linux/Talos-v1.12.4.efi"),
        (GRUB, NEWEST, "metal-arm64.raw", new, 512, "::/EFI/boot/BOOTAA64.efi"),
    ] {
        let disk = media.save(schematic, version, name);
        assert_disk(&media, &disk, &Expected { partitions, sector, esp });
        fs::remove_file(disk).unwrap();
    }
}

#[test]
fn iso_images() {
    let Some(media) = Media::start() else { return };
    const EMPTY: &str = "customization: {}\n";
    const GRUB: &str = "customization:\n  bootloader: grub\n";
    for (schematic, version, name, boots, loader) in [
        (EMPTY, GRUB_ERA[0], "metal-amd64.iso", "BIOS UEFI", "/EFI/BOOT/BOOTX64.EFI"),
        (EMPTY, GRUB_ERA[1], "metal-arm64.iso", "UEFI", "/EFI/BOOT/BOOTAA64.EFI"),
        (EMPTY, OLDEST_UKI, "metal-amd64.iso", "BIOS UEFI", "/EFI/Linux/Talos-v1.10.3.efi"),
        (EMPTY, NEWEST, "metal-amd64.iso", "BIOS UEFI", "/EFI/Linux/Talos-v1.12.4.efi"),
        (EMPTY, NEWEST, "metal-arm64.iso", "UEFI", "/EFI/Linux/Talos-v1.12.4.efi"),
        (GRUB, NEWEST, "metal-amd64.iso", "BIOS UEFI", "/EFI/BOOT/BOOTX64.EFI"),
    ] {
        let iso = media.save(schematic, version, name);
        let ask = |what: &[&str]| {
            let arguments = [&["-abort_on", "WARNING", "-indev", text(&iso)], what].concat();
            says("xorriso", "xorriso", &arguments)
        };
        let catalog = ask(&["-report_el_torito", "plain"]);
        let images = catalog.lines().filter(|line| line.starts_with("El Torito boot img"));
        let found: Vec<_> = images.filter_map(|line| line.split_whitespace().nth(6)).collect();
        assert_eq!(found.join(" "), boots, "{version} {name}\n{catalog}");
        let files = ask(&["-find", "/"]);
        assert!(files.contains(loader), "{version} {name}: {loader} is not in {files}");
        if boots.contains("BIOS") || loader.contains("BOOTAA64") {
            let kernel = media.home.path().join("kernel");
            success(
                "xorriso",
                "xorriso",
                &["-osirrox", "on", "-indev", text(&iso), "-extract", "/boot/vmlinuz", text(&kernel)],
            );
            let arch = if name.contains("arm64") { "kernel-arm64" } else { "kernel-amd64" };
            let released = media.save(schematic, version, arch);
            assert_eq!(fs::read(&kernel).unwrap(), fs::read(released).unwrap(), "{version} {name}");
            fs::remove_file(kernel).unwrap();
        }
        let payload: u64 = ["kernel-amd64", "initramfs-amd64.xz"]
            .iter()
            .map(|asset| fs::metadata(media.save(schematic, version, asset)).unwrap().len())
            .sum();
        let size = fs::metadata(&iso).unwrap().len();
        let limit = payload + if name.contains("amd64") { 14 << 20 } else { 40 << 20 };
        assert!(size < limit, "{version} {name}: {size} bytes, but kernel and initramfs have {payload}");
        fs::remove_file(iso).unwrap();
    }
}

#[test]
fn what_a_version_cannot_do_is_a_bad_request() {
    let Some(media) = Media::start() else { return };
    let dual = "customization:\n  bootloader: dual-boot\n";
    let large = "customization:\n  diskImage:\n    sectorSize: 1024\n";
    for (schematic, name, reason) in
        [(dual, "metal-arm64.raw", "not supported on arm64"), (large, "metal-amd64.raw", "512 or 4096")]
    {
        let id = media.server.client.post("/schematics", schematic);
        // What is wrong for every version is refused with the schematic.
        let answer = match id.status {
            201 => {
                let id = id.json()["id"].as_str().unwrap().to_owned();
                media.server.client.get(&Server::image(&id, NEWEST, name))
            }
            _ => id,
        };
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
        assert!(answer.text().contains(reason), "{name}: {}", answer.text());
    }
}
