//! Schematics: what they say, how they are read, their canonical text and its digest, the id.

mod bootloader;
mod canonical;
mod id;
mod parse;

pub use bootloader::{Bootloader, InvalidBootloader};
pub use id::{InvalidSchematicId, SchematicId};
pub use parse::{MAX_SCHEMATIC_SIZE, SchematicError};

use crate::goyaml::Mapping;

#[cfg(test)]
mod tests;

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
    /// What the overlay wants to know, in canonical order.
    pub options: Mapping,
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
