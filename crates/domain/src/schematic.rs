//! Schematics and their ids.

use std::fmt;
use std::str::FromStr;

use factory_formats::Digest;

/// Identity of a schematic: the SHA-256 of its canonical YAML, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchematicId(Digest);

/// A text that cannot be a schematic id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schematic ID {0:?} not found")]
pub struct InvalidSchematicId(pub String);

impl SchematicId {
    /// The id of canonical bytes.
    pub fn of(canonical: &[u8]) -> Self {
        Self(Digest::of(canonical))
    }

    /// The digest of the canonical bytes.
    pub fn digest(&self) -> &Digest {
        &self.0
    }
}

impl FromStr for SchematicId {
    type Err = InvalidSchematicId;

    fn from_str(text: &str) -> Result<Self, InvalidSchematicId> {
        Digest::from_hex(text).map(Self).map_err(|_| InvalidSchematicId(text.chars().take(100).collect()))
    }
}

impl fmt::Display for SchematicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.hex())
    }
}

impl fmt::Debug for SchematicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a user wants beyond plain Talos. Field order is the canonical order of the YAML keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schematic {
    /// Name of the owner; part of the id. Empty without authentication.
    pub owner: String,
    /// Board support.
    pub overlay: Overlay,
    /// Everything else.
    pub customization: Customization,
}

/// Board support by an overlay image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overlay {
    /// Image as the user wrote it. Part of the id, not used to find the overlay.
    pub image: String,
    /// Selects the overlay in the version's list. Empty means none.
    pub name: String,
}

/// The customisations of a schematic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Customization {
    /// Machine configuration to embed, verbatim. Empty means none.
    pub embedded_machine_configuration: String,
    /// Kernel arguments in order; one that starts with `-` removes.
    pub extra_kernel_args: Vec<String>,
    /// META values in order.
    pub meta: Vec<MetaValue>,
    /// Official extensions by repository path, in order.
    pub official_extensions: Vec<String>,
    /// Boot loader asked for.
    pub bootloader: Bootloader,
    /// Secure Boot options.
    pub secureboot: SecureBoot,
    /// Disk image options.
    pub disk_image: DiskImage,
}

/// One META value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaValue {
    /// Key, see the table of known keys of the META partition.
    pub key: u8,
    /// Value.
    pub value: String,
}

/// Boot loader of a disk image or ISO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Bootloader {
    /// Not chosen: version and architecture decide.
    #[default]
    None,
    /// GRUB for BIOS and systemd-boot for UEFI.
    DualBoot,
    /// systemd-boot, UEFI only.
    SdBoot,
    /// GRUB for both.
    Grub,
}

/// Secure Boot options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecureBoot {
    /// `off`, `manual`, `if-safe` or `force`; checked when an asset is planned. Empty means the default.
    pub enroll_keys: String,
    /// Put the well-known vendor certificates into the signature database.
    pub include_well_known_certificates: bool,
}

/// Disk image options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskImage {
    /// Bytes per sector; 0 means 512. Checked when a disk image is planned.
    pub sector_size: u64,
}
