use serde_json::Value;

use super::*;
use crate::esp::Machine;
use crate::fat::FatFile;
use crate::golden::{lines, text};
use crate::gpt::{self, DiskGeometry, Guid};
use crate::grub::tests::images;
use crate::oracle;
use crate::sector::SectorSize;
use crate::testing::{MemoryBlobs, noise};
use crate::{Extent, Layout};

const MIB: u64 = 1 << 20;

fn options(bootloader: Bootloader, sector: SectorSize, skip: u64) -> DiskOptions {
    DiskOptions {
        geometry: DiskGeometry { size: 1000 * MIB, sector, skip },
        machine: Machine::X64,
        bootloader,
        sizes: PartitionSizes { esp: 100 * MIB, boot: 600 * MIB },
        state: StatePartitions::Empty,
        epoch: 1_559_424_892,
    }
}

fn parts(blobs: &mut MemoryBlobs) -> DiskParts {
    let kernel = blobs.layout(noise(900_000, 1));
    let initramfs = blobs.layout(noise(2_000_001, 2));
    let core = blobs.layout(images().disk_efi.clone());
    let mut esp = vec![FatFile::new("EFI/boot/BOOTX64.efi", core)];
    esp.push(FatFile::new("EFI/Linux/Talos-v1.14.0.efi", blobs.layout(noise(3_000_000, 3))));
    DiskParts {
        esp,
        boot: Some(BootVolume { config: "set timeout=3\n".to_owned(), kernel, initramfs }),
        bios: Some(BiosImages { boot: images().boot.clone(), core: images().disk_core.clone() }),
        meta: Layout::from_bytes(vec![7; MIB as usize]),
        raw: Vec::new(),
    }
}

#[test]
fn every_part_of_a_disk_is_clean() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    for sector in [SectorSize::B512, SectorSize::B4096] {
        let mut blobs = MemoryBlobs::new();
        let parts = parts(&mut blobs);
        let made = image(&options(Bootloader::DualBoot, sector, 0), &parts).unwrap();
        let inline: usize =
            made.layout.extents().iter().map(|e| if let Extent::Bytes(b) = e { b.len() } else { 0 }).sum();
        assert!(inline < 2 << 20, "the layout holds {inline} bytes");
        let disk = file("disk");
        oracle::write_sparse(&made.layout, &blobs, &disk);
        if sector == SectorSize::B512 {
            let said = oracle::success("sgdisk", "gdisk", &["-v", oracle::text(&disk)]);
            assert!(said.contains("No problems found"), "{said}");
        }
        let carve = |name: &str| {
            let partition = made.table.partitions.iter().find(|p| p.name == name).unwrap();
            let start = partition.offset(sector);
            let path = file(name);
            oracle::write_sparse(&made.layout.slice(start, start + partition.len(sector)), &blobs, &path);
            path
        };
        let esp = carve(name::EFI);
        oracle::success("fsck.vfat", "dosfstools", &["-n", oracle::text(&esp)]);
        let listed = oracle::success("mdir", "mtools", &["-/", "-b", "-i", oracle::text(&esp), "::"]);
        assert!(listed.contains("::/EFI/boot/BOOTX64.efi"), "{listed}");
        oracle::success("xfs_repair", "xfsprogs", &["-n", "-f", oracle::text(&carve(name::BOOT))]);
        assert!(std::fs::read(carve(name::META)).unwrap().iter().all(|byte| *byte == 7));
        assert!(std::fs::read(carve(name::STATE)).unwrap().iter().all(|byte| *byte == 0));
        let core = std::fs::read(carve(name::BIOS)).unwrap();
        let lba = made.table.partitions[1].offset(sector) / 512;
        assert_eq!(core[0x1F4..0x1FC], (lba + 1).to_le_bytes());
        assert!(core[512..images().disk_core.len()] == images().disk_core[512..]);
        let again = image(&options(Bootloader::DualBoot, sector, 0), &parts).unwrap();
        assert_eq!(made.layout.fingerprint(), again.layout.fingerprint());
    }
}

#[test]
fn without_grub_there_is_no_boot_code() {
    let mut blobs = MemoryBlobs::new();
    let parts = parts(&mut blobs);
    let made = image(&options(Bootloader::SystemdBoot, SectorSize::B512, 0), &parts).unwrap();
    let names: Vec<_> = made.table.partitions.iter().map(|partition| partition.name.as_str()).collect();
    assert_eq!(names, ["EFI", "META", "STATE", "EPHEMERAL"]);
    let head = made.layout.slice(0, 446).to_vec(&blobs).unwrap();
    assert!(head.iter().all(|byte| *byte == 0));
    let plain = DiskParts { bios: None, ..parts };
    let made = image(&options(Bootloader::Grub, SectorSize::B512, 0), &plain).unwrap();
    let head = made.layout.slice(0, 446).to_vec(&blobs).unwrap();
    assert!(head.iter().all(|byte| *byte == 0));
}

#[test]
fn boards_write_in_front_of_the_partitions() {
    let mut blobs = MemoryBlobs::new();
    let loader = blobs.layout(noise(9_000_000, 4));
    let with = |offset: u64, skip: u64, content: &Layout| {
        let raw = vec![RawWrite { offset, content: content.clone() }];
        let parts = DiskParts { raw, ..DiskParts::default() };
        image(&options(Bootloader::Grub, SectorSize::B512, skip), &parts)
    };
    let made = with(32768, 20480, &loader).unwrap();
    let found = made.layout.slice(32768, 32768 + 9_000_000).to_vec(&blobs).unwrap();
    assert!(found == noise(9_000_000, 4));

    let said = with(32768, 2048, &loader).unwrap_err().to_string();
    assert!(said.contains("reaches into partition EFI at byte 2097152"), "{said}");
    let small = Layout::from_bytes("loader");
    let said = with(8192, 0, &small).unwrap_err().to_string();
    assert_eq!(
        said,
        "raw data of the board at byte 8192 lies on top of the GPT entries, which ends at byte 17408"
    );
    for offset in [0, 440, 511, 512, 1000] {
        assert!(matches!(with(offset, 0, &small), Err(DiskError::Canvas(_))), "{offset}");
    }
    assert!(matches!(with(u64::MAX, 0, &small), Err(DiskError::RawWrite { .. })));
}

#[test]
fn what_does_not_fit_is_said() {
    let mut blobs = MemoryBlobs::new();
    let options = options(Bootloader::DualBoot, SectorSize::B512, 0);
    let zeros = |len: u64| {
        let mut builder = crate::LayoutBuilder::new();
        builder.zero(len);
        builder.build()
    };
    let error = |parts: &DiskParts| image(&options, parts).unwrap_err();
    let big_uki =
        DiskParts { esp: vec![FatFile::new("EFI/Linux/x.efi", zeros(101 * MIB))], ..parts(&mut blobs) };
    assert!(matches!(error(&big_uki), DiskError::Esp(_)), "{}", error(&big_uki));
    let boot = BootVolume { config: String::new(), kernel: zeros(1), initramfs: zeros(600 * MIB) };
    let big_boot = DiskParts { boot: Some(boot), ..parts(&mut blobs) };
    assert!(
        error(&big_boot).to_string().starts_with("the BOOT partition: A/initramfs.xz has 629145600 bytes")
    );
    let big_meta = DiskParts { meta: zeros(MIB + 1), ..parts(&mut blobs) };
    assert!(matches!(error(&big_meta), DiskError::Content { ref name, .. } if name == "META"));
    let images = BiosImages { core: vec![0; (MIB + 1) as usize].into(), boot: images().boot.clone() };
    let big_core = DiskParts { bios: Some(images), ..parts(&mut blobs) };
    assert!(matches!(error(&big_core), DiskError::Content { ref name, .. } if name == "BIOS"));
    let small = DiskOptions { geometry: DiskGeometry { size: 700 * MIB, ..options.geometry }, ..options };
    assert!(matches!(image(&small, &DiskParts::default()), Err(DiskError::Gpt(_))));
    let arm = DiskOptions { machine: Machine::Aa64, ..options };
    assert!(matches!(image(&arm, &DiskParts::default()), Err(DiskError::Bootloader(_))));
}

/// The sizes of specification 20, 4.3 and 21, 4.3; the rules themselves belong to the domain.
struct Formula {
    size: u64,
    sizes: PartitionSizes,
    state: StatePartitions,
}

fn formula(version: &str, profile: &str, bootloader: Bootloader) -> Formula {
    let minor: u32 = version.split(['.', '-']).nth(1).unwrap().parse().unwrap();
    let base = match profile {
        "metal" | "secureboot-metal" | "akamai" | "alibabacloud" | "hcloud" | "nocloud" | "opennebula"
        | "openstack" | "scaleway" => 1246,
        "exoscale" => 10240,
        _ => 8192,
    };
    let boot = if minor < 11 { 1000 } else { 2000 };
    let dual = if bootloader == Bootloader::DualBoot { 1 + boot } else { 0 };
    let esp = if bootloader == Bootloader::Grub { 100 } else { 101 + boot };
    Formula {
        size: (base + boot - 1000 + dual) * MIB,
        sizes: PartitionSizes { esp: esp * MIB, boot: boot * MIB },
        state: if minor < 8 { StatePartitions::Empty } else { StatePartitions::Absent },
    }
}

fn golden_layout(line: &Value) -> Result<gpt::Table, DualBootOnArm> {
    let input = &line["input"];
    let bootloader = match text(&line["effective_bootloader"]) {
        "grub" => Bootloader::Grub,
        "sd-boot" => Bootloader::SystemdBoot,
        "dual-boot" => Bootloader::DualBoot,
        other => panic!("boot loader {other}"),
    };
    let machine = if text(&input["arch"]) == "arm64" { Machine::Aa64 } else { Machine::X64 };
    let formula = formula(text(&input["version"]), text(&input["default_profile"]), bootloader);
    let sector = if input["sector_size"] == 4096 { SectorSize::B4096 } else { SectorSize::B512 };
    let geometry = DiskGeometry { size: formula.size, sector, skip: 0 };
    let requests = partitions(machine, bootloader, formula.sizes, formula.state)?;
    Ok(gpt::plan(geometry, Guid::of_label(DISK_GUID_LABEL), &requests).unwrap())
}

#[test]
fn golden_layouts() {
    let Some(lines) = lines("layouts.jsonl") else { return };
    let mut count = 0;
    for line in &lines {
        let case = text(&line["case"]);
        // Which versions know Secure Boot is decided elsewhere.
        if text(&line["error"]).starts_with("secureboot") {
            continue;
        }
        count += 1;
        let Ok(table) = golden_layout(line) else {
            assert!(line["error"].is_string(), "{case}");
            continue;
        };
        let sector = table.sector.bytes();
        let partitions: Vec<Value> = table
            .partitions
            .iter()
            .enumerate()
            .map(|(index, partition)| {
                serde_json::json!({
                    "attributes": format!("{:#x}", partition.attributes),
                    "first_lba": partition.first_lba,
                    "index": index + 1,
                    "last_lba": partition.last_lba,
                    "name": partition.name,
                    "size_bytes": partition.len(table.sector),
                    "type_guid": partition.type_guid.to_string(),
                    "unique_guid": partition.unique_guid.to_string(),
                })
            })
            .collect();
        let header = table.primary_header();
        let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap());
        let ours = serde_json::json!({
            "backup_lba": number(32),
            "current_lba": number(24),
            "disk_guid": table.disk_guid.to_string(),
            "disk_size": (table.last_lba + 1) * sector,
            "entries": u32::from_le_bytes(header[80..84].try_into().unwrap()),
            "entries_lba": number(72),
            "entry_size": u32::from_le_bytes(header[84..88].try_into().unwrap()),
            "first_usable_lba": number(40),
            "last_usable_lba": number(48),
            "partitions": partitions,
            "protective_mbr_hex": hex::encode(&table.protective_mbr()[440..]),
            "sector_size": sector,
        });
        assert_eq!(ours, line["output"], "{case}");
    }
    println!("{count} layouts");
}
