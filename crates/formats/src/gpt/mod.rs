//! GUID partition tables (UEFI specification, chapter 5): planning them and writing their bytes.

mod guid;
mod plan;
mod table;

pub use guid::{Guid, InvalidGuid};
pub use plan::{DiskGeometry, PartitionRequest, PartitionSize, plan};
pub use table::{ENTRIES_LEN, GptError, Partition, Table, protective_mbr};

/// Partition types that boot media use (specification 41, 3.2).
pub mod types {
    use super::Guid;

    /// EFI system partition.
    pub const EFI_SYSTEM: Guid = Guid::from_u128(0xC12A7328_F81F_11D2_BA4B_00A0C93EC93B);
    /// BIOS boot partition, where GRUB keeps its core image.
    pub const BIOS_BOOT: Guid = Guid::from_u128(0x21686148_6449_6E6F_744E_656564454649);
    /// Linux file system data.
    pub const LINUX_DATA: Guid = Guid::from_u128(0x0FC63DAF_8483_4772_8E79_3D69D8477DE4);
    /// Basic data, which ISO images use for the stretch that holds ISO 9660.
    pub const BASIC_DATA: Guid = Guid::from_u128(0xEBD0A0A2_B9E5_4433_87C0_68B6B72699C7);
}

#[cfg(test)]
mod tests;
