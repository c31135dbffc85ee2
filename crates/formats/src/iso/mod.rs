//! Bootable ISO 9660 images (ECMA-119) with Rock Ridge names, El Torito boot entries and a partition
//! table, so that they start as a CD and as a disk, under UEFI and BIOS (specification 40, part B).
//!
//! The EFI system partition is a FAT volume behind the ISO 9660 files. Files of the ISO tree may point
//! into it: kernel, initramfs and UKI are then stored once.

mod descriptors;
mod directory;
mod eltorito;
mod image;
mod media;
mod names;
mod system_area;
mod tree;

pub use image::{BiosBoot, IsoContent, IsoError, IsoFile, IsoImage, IsoOptions, IsoParts, image};
pub use media::{GrubMenu, Media, MediaError, MediaOptions, media};
pub use system_area::PartitionScheme;

/// Bytes of a block.
pub const BLOCK: u64 = 2048;

#[cfg(test)]
mod tests;
