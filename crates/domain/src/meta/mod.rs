//! META: the small key and value store that a machine finds beside its system.
//!
//! Disk images carry values in a partition (its bytes are `factory_formats::meta_partition`), other
//! media as a kernel argument, see [`encode`].

mod check;
mod env;
mod gzip;

pub use check::{MetaRefusal, RECORD_HEADER, STORE_ROOM, check_argument, check_values, reserved};
pub use env::{MetaArgumentError, argument, decode, encode};

use std::collections::BTreeMap;

use crate::schematic::MetaValue;

/// Keys with a known meaning (`23-meta.md` §4).
pub mod key {
    /// Ends the list of records; not a key.
    pub const TERMINATOR: u8 = 0;
    /// Boot label to fall back to after an upgrade.
    pub const UPGRADE_FALLBACK: u8 = 6;
    /// Image of a staged upgrade.
    pub const STAGED_UPGRADE_IMAGE: u8 = 7;
    /// Options of a staged upgrade.
    pub const STAGED_UPGRADE_OPTIONS: u8 = 8;
    /// How STATE is encrypted.
    pub const STATE_ENCRYPTION: u8 = 9;
    /// Network configuration of the platform metal.
    pub const METAL_NETWORK: u8 = 10;
    /// Text for `${code}` in the address of the machine configuration.
    pub const DOWNLOAD_CODE: u8 = 11;
    /// First of three keys for users.
    pub const USER_RESERVED_1: u8 = 12;
    /// Second of three keys for users.
    pub const USER_RESERVED_2: u8 = 13;
    /// Third of three keys for users.
    pub const USER_RESERVED_3: u8 = 14;
    /// UUID instead of the firmware's.
    pub const UUID_OVERRIDE: u8 = 15;
    /// Token that is unique to the machine.
    pub const MACHINE_TOKEN: u8 = 16;
    /// Boot loader of the disk image; the node clears it at its first boot.
    pub const DISK_IMAGE_BOOTLOADER: u8 = 17;
}

/// What stands under [`key::DISK_IMAGE_BOOTLOADER`] in images with both boot loaders.
pub const DUAL_BOOT: &str = "dual-boot";

/// The records of a META partition by key. A later value of a key replaces an earlier one.
pub fn records(values: &[MetaValue]) -> BTreeMap<u8, Vec<u8>> {
    values.iter().map(|value| (value.key, value.value.clone().into_bytes())).collect()
}
