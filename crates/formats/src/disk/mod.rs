//! Raw disk images: partition table, boot code and the partitions with their contents
//! (specification 41).

mod image;
mod partitions;

pub use image::{BiosImages, BootVolume, DiskError, DiskImage, DiskOptions, DiskParts, RawWrite, image};
pub use partitions::{
    Bootloader, DISK_GUID_LABEL, DualBootOnArm, PartitionSizes, StatePartitions, partitions,
};

/// Names of the partitions, by which nodes find them.
pub mod name {
    /// EFI system partition.
    pub const EFI: &str = "EFI";
    /// GRUB's core image.
    pub const BIOS: &str = "BIOS";
    /// GRUB's configuration, kernel and initramfs.
    pub const BOOT: &str = "BOOT";
    /// Key-value data for the node.
    pub const META: &str = "META";
    /// Node configuration.
    pub const STATE: &str = "STATE";
    /// Everything else.
    pub const EPHEMERAL: &str = "EPHEMERAL";
}

#[cfg(test)]
mod tests;
