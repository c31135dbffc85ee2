//! Kernel with initramfs, UKI, ISO, disk and network, from the newest and the oldest version with a UKI.

use crate::machine::{Lab, Report};
use crate::support::fixture::{NEWEST, OLDEST_UKI};
use crate::support::tools::text;

/// Extensions of every kind, a mark on the command line, values in META.
const SCHEMATIC: &str = "customization:
  extraKernelArgs:
    - console=ttyS0
    - boots.mark=17
  meta:
    - key: 0xa
      value: 'net: x'
  systemExtensions:
    officialExtensions:
      - siderolabs/hello-world-service
      - siderolabs/intel-ucode
      - siderolabs/wifi-firmware
      - siderolabs/drbd
  bootloader: sd-boot
";

/// What every machine must report, however it was booted.
fn assert_main_path(report: &Report, version: &str, firmware: &str) {
    assert_eq!(report.value("release"), version);
    assert_eq!(report.value("arch"), "amd64");
    assert_eq!(report.value("firmware"), firmware);
    let arguments = report.arguments();
    for argument in ["talos.platform=metal", "boots.mark=17"] {
        assert!(arguments.contains(&argument), "{argument} is not in {arguments:?}");
    }
    let list = report.extensions_yaml();
    for name in ["hello-world-service", "intel-ucode", "wifi-firmware", "drbd", "schematic", "modules.dep"] {
        assert!(list.contains(&format!("name: {name}")), "{name} is not in {list}");
    }
    assert_eq!(report.layers().len(), 6, "{:?}", report.layers());
    assert!(report.layer_has("usr/local/lib/containers/hello-world/hello-world"), "{report:?}");
    assert!(
        report.initramfs_has("usr/lib/firmware/vendor/card.bin"),
        "firmware that the kernel itself asks for"
    );
}

fn assert_disk(report: &Report) {
    let partitions = report.partitions();
    for name in ["EFI", "META"] {
        assert!(partitions.contains(&name), "{name} is not among {partitions:?}");
    }
    assert_eq!(report.value("meta"), "formatted");
    assert_eq!(report.meta().get(&0xa).map(Vec::as_slice), Some(b"net: x".as_slice()), "{:?}", report.meta());
}

#[test]
fn kernel_and_initramfs() {
    let Some(lab) = Lab::open() else { return };
    let schematic = lab.server.client.schematic(SCHEMATIC);
    let (kernel, initramfs) =
        (lab.save(&schematic, NEWEST, "kernel-amd64"), lab.save(&schematic, NEWEST, "initramfs-amd64.xz"));
    let line = lab.save(&schematic, NEWEST, "cmdline-metal-amd64");
    let line = std::fs::read_to_string(line).unwrap();
    let report =
        lab.boot(&["--kernel", text(&kernel), "--initrd", text(&initramfs), "--append", line.trim()]);
    assert_main_path(&report, NEWEST, "bios");
    assert_eq!(report.value("cmdline"), line.trim());
}

#[test]
fn uki() {
    let Some(lab) = Lab::open() else { return };
    let schematic = lab.server.client.schematic(SCHEMATIC);
    let uki = lab.save(&schematic, NEWEST, "metal-amd64-uki.efi");
    let report = lab.boot(&["--uki", text(&uki), "--firmware", "uefi", "--tpm"]);
    assert_main_path(&report, NEWEST, "efi64");
    assert!(report.value("efi-StubInfo").contains("systemd-stub"), "{}", report.value("efi-StubInfo"));
    let measured = report.value("pcr11");
    assert!(!measured.trim_matches('0').is_empty(), "the stub measured nothing: {measured:?}");
}

#[test]
fn iso() {
    let Some(lab) = Lab::open() else { return };
    let schematic = lab.server.client.schematic(SCHEMATIC);
    let iso = lab.save(&schematic, NEWEST, "metal-amd64.iso");
    let report = lab.boot(&["--iso", text(&iso), "--firmware", "uefi"]);
    assert_main_path(&report, NEWEST, "efi64");
    assert!(report.value("efi-LoaderInfo").contains("systemd-boot"), "{}", report.value("efi-LoaderInfo"));
}

#[test]
fn disk() {
    let Some(lab) = Lab::open() else { return };
    let schematic = lab.server.client.schematic(SCHEMATIC);
    let disk = lab.save(&schematic, NEWEST, "metal-amd64.raw");
    let report = lab.boot(&["--disk", text(&disk), "--firmware", "uefi"]);
    assert_main_path(&report, NEWEST, "efi64");
    assert_disk(&report);
    assert!(report.value("efi-LoaderInfo").contains("systemd-boot"), "{}", report.value("efi-LoaderInfo"));
}

#[test]
fn disk_of_the_oldest_version_packed() {
    let Some(lab) = Lab::open() else { return };
    let schematic = lab.server.client.schematic(SCHEMATIC);
    let packed = lab.save(&schematic, OLDEST_UKI, "metal-amd64.raw.zst");
    crate::support::tools::success("zstd", "zstd", &["-dq", "--sparse", text(&packed)]);
    let disk = packed.with_extension("");
    let report = lab.boot(&["--disk", text(&disk), "--firmware", "uefi", "--bus", "nvme"]);
    assert_main_path(&report, OLDEST_UKI, "efi64");
    assert_disk(&report);
}

#[test]
fn network() {
    // The machine sees this host as its gateway.
    let lab = Lab::open_with(|mut config| {
        config.pxe_host = "10.0.2.2".to_owned();
        config
    });
    let Some(lab) = lab else { return };
    let schematic = lab.server.client.schematic(SCHEMATIC);
    let script = format!("{}/pxe/{schematic}/{NEWEST}/metal-amd64", lab.server.pxe_url);
    // Some firmware insists on a disk.
    let blank = lab.folder().join("blank");
    std::fs::write(&blank, vec![0; 1 << 20]).unwrap();
    let report = lab.boot(&["--disk", text(&blank), "--net", &format!("bootfile={script}")]);
    assert_main_path(&report, NEWEST, "bios");
    let log = lab.server.process.output();
    for asset in ["kernel-amd64", "initramfs-amd64.xz"] {
        assert!(
            log.lines().any(|line| line.contains(asset) && line.contains("status=200")),
            "{asset}: {log}"
        );
    }
}
