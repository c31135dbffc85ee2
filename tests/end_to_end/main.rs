//! The whole program from outside: over HTTP, on the fixture release, against a real registry, read back with
//! the field's own tools. Every module asks one question.
//!
//! `eval "$(hack/environment)" && cargo test --test end_to_end` runs them; without the fixture they say that
//! they are left out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is how a test fails")]

#[path = "../support/mod.rs"]
mod support;

mod air_gap;
mod answers;
mod catalogue;
mod coalescing;
mod configuration;
mod contents;
mod describe;
mod errors;
mod eviction;
mod failures;
mod golden;
mod golden_assets;
mod golden_changes;
mod golden_http;
mod golden_installers;
#[cfg(any(feature = "aws-kms", feature = "azure-key-vault"))]
mod key_services;
mod keyless;
mod kills;
mod limits;
mod listeners;
mod media;
mod mirror;
mod overlays;
mod pulls;
mod records;
mod registry;
mod replicas;
mod reproducibility;
mod schematic_files;
mod schematics;
mod secure_boot;
mod self_hosting;
mod shutdown;
mod space;
mod storage;
mod trust;

/// A schematic without any content.
const EMPTY: &str = "customization: {}\n";

/// A schematic with extensions of several kinds: files, microcode, firmware, kernel modules.
const EXTENDED: &str = "customization:
  extraKernelArgs:
    - console=ttyS0
    - end.to.end=1
  meta:
    - key: 0xa
      value: some text
  systemExtensions:
    officialExtensions:
      - siderolabs/hello-world-service
      - siderolabs/util-tools
      - siderolabs/intel-ucode
      - siderolabs/wifi-firmware
      - siderolabs/drbd
  bootloader: sd-boot
";
