//! One version of each era between those that other tests boot, and the other architecture.

use crate::machine::{Lab, Report};
use crate::support::fixture::NEWEST;
use crate::support::tools::text;

/// Modules packed with zstd, from before a release is out.
const NEXT: &str = "v1.14.0-alpha.2";

/// GRUB only, but zstd already.
const BEFORE_UNIFIED_MEDIA: &str = "v1.9.5";

fn schematic(console: &str) -> String {
    format!(
        "customization:
  extraKernelArgs:
    - console={console}
    - boots.mark=31
  systemExtensions:
    officialExtensions:
      - siderolabs/hello-world-service
"
    )
}

fn assert_booted(report: &Report, version: &str, arch: &str, firmware: &str) {
    assert_eq!(report.value("release"), version);
    assert_eq!(report.value("arch"), arch);
    assert_eq!(report.value("firmware"), firmware);
    let arguments = report.arguments();
    assert!(arguments.contains(&"boots.mark=31"), "{arguments:?}");
    assert_eq!(report.layers().len(), 2, "{:?}", report.layers());
    assert!(report.layer_has("usr/local/lib/containers/hello-world/hello-world"), "{report:?}");
}

#[test]
fn next_version() {
    let Some(lab) = Lab::open() else { return };
    let schematic = lab.server.client.schematic(&schematic("ttyS0"));
    let iso = lab.save(&schematic, NEXT, "metal-amd64.iso");
    assert_booted(&lab.boot(&["--iso", text(&iso), "--firmware", "uefi"]), NEXT, "amd64", "efi64");
    assert_booted(&lab.boot(&["--disk", text(&iso), "--firmware", "bios"]), NEXT, "amd64", "bios");
}

#[test]
fn version_before_unified_media() {
    let Some(lab) = Lab::open() else { return };
    let schematic = lab.server.client.schematic(&schematic("ttyS0"));
    let disk = lab.save(&schematic, BEFORE_UNIFIED_MEDIA, "metal-amd64.qcow2");
    let report = lab.boot(&["--disk", text(&disk), "--firmware", "bios"]);
    assert_booted(&report, BEFORE_UNIFIED_MEDIA, "amd64", "bios");
}

#[test]
fn other_architecture() {
    let Some(lab) = Lab::open() else { return };
    let schematic = lab.server.client.schematic(&schematic("ttyAMA0"));
    for (option, name) in [("--uki", "metal-arm64-uki.efi"), ("--iso", "metal-arm64.iso")] {
        let medium = lab.save(&schematic, NEWEST, name);
        let report = lab.boot(&["--arch", "arm64", option, text(&medium), "--firmware", "uefi"]);
        assert_booted(&report, NEWEST, "arm64", "efi64");
    }
}
