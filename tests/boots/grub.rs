//! GRUB, alone and beside systemd-boot, on disks and ISO images, from before and after version 1.10.

use crate::machine::{Lab, Report};
use crate::support::fixture::NEWEST;
use crate::support::tools::text;

/// Oldest version of the fixture: GRUB only, xz, modules in `/lib`.
const OLDEST: &str = "v1.7.7";

const SCHEMATIC: &str = "customization:
  extraKernelArgs:
    - console=ttyS0
    - boots.mark=$23
  systemExtensions:
    officialExtensions:
      - siderolabs/hello-world-service
      - siderolabs/drbd
";

/// What every machine must report. The mark shows that GRUB does not take an argument for a variable.
fn assert_booted(report: &Report, version: &str, firmware: &str) {
    assert_eq!(report.value("release"), version);
    assert_eq!(report.value("firmware"), firmware);
    let arguments = report.arguments();
    assert!(arguments.contains(&"boots.mark=$23"), "{arguments:?}");
    assert_eq!(report.layers().len(), 4, "{:?}", report.layers());
}

fn assert_partitions(report: &Report, names: &[&str]) {
    let partitions = report.partitions();
    for name in names {
        assert!(partitions.contains(name), "{name} is not among {partitions:?}");
    }
}

#[test]
fn oldest_disk() {
    let Some(lab) = Lab::open() else { return };
    let schematic = lab.server.client.schematic(SCHEMATIC);
    let disk = lab.save(&schematic, OLDEST, "metal-amd64.raw");
    let bios = lab.boot(&["--disk", text(&disk), "--firmware", "bios"]);
    assert_booted(&bios, OLDEST, "bios");
    assert_partitions(&bios, &["EFI", "BIOS", "BOOT", "META", "STATE", "EPHEMERAL"]);
    // Behind a disk with nothing on it, which is GRUB's first.
    let blank = lab.folder().join("blank");
    std::fs::write(&blank, vec![0; 1 << 20]).unwrap();
    let uefi = ["--disk", text(&blank), "--extra-disk", text(&disk), "--firmware", "uefi"];
    assert_booted(&lab.boot(&uefi), OLDEST, "efi64");
}

#[test]
fn oldest_iso() {
    let Some(lab) = Lab::open() else { return };
    let schematic = lab.server.client.schematic(SCHEMATIC);
    let iso = lab.save(&schematic, OLDEST, "metal-amd64.iso");
    assert_booted(&lab.boot(&["--iso", text(&iso), "--firmware", "uefi"]), OLDEST, "efi64");
    assert_booted(&lab.boot(&["--disk", text(&iso), "--firmware", "bios"]), OLDEST, "bios");
}

#[test]
fn dual_boot_disk() {
    let Some(lab) = Lab::open() else { return };
    let schematic = lab.server.client.schematic(SCHEMATIC);
    let disk = lab.save(&schematic, NEWEST, "metal-amd64.raw");
    let bios = lab.boot(&["--disk", text(&disk), "--firmware", "bios"]);
    assert_booted(&bios, NEWEST, "bios");
    assert_partitions(&bios, &["EFI", "BIOS", "BOOT", "META"]);
    assert_eq!(bios.meta().get(&17).map(Vec::as_slice), Some(b"dual-boot".as_slice()));
    let uefi = lab.boot(&["--disk", text(&disk), "--firmware", "uefi"]);
    assert_booted(&uefi, NEWEST, "efi64");
    assert!(uefi.value("efi-LoaderInfo").contains("systemd-boot"), "{}", uefi.value("efi-LoaderInfo"));
}

#[test]
fn dual_boot_disk_with_large_sectors() {
    let Some(lab) = Lab::open() else { return };
    let schematic = lab.server.client.schematic(&format!("{SCHEMATIC}  diskImage:\n    sectorSize: 4096\n"));
    let disk = lab.save(&schematic, NEWEST, "metal-amd64.raw");
    let report = lab.boot(&["--disk", text(&disk), "--firmware", "uefi", "--sector", "4096"]);
    assert_booted(&report, NEWEST, "efi64");
}

#[test]
fn hybrid_iso() {
    let Some(lab) = Lab::open() else { return };
    let schematic = lab.server.client.schematic(SCHEMATIC);
    let iso = lab.save(&schematic, NEWEST, "metal-amd64.iso");
    assert_booted(&lab.boot(&["--iso", text(&iso), "--firmware", "bios"]), NEWEST, "bios");
    assert_booted(&lab.boot(&["--disk", text(&iso), "--firmware", "uefi"]), NEWEST, "efi64");
}
