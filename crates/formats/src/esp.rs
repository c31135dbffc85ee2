//! What EFI system partitions of all media have in common.

/// Label of the volume.
pub const LABEL: &str = "EFI";
/// Serial number of the volume, the reference's.
pub const SERIAL: u32 = 0x1234_ABCD;

/// Machines that firmware of the kind "UEFI" comes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Machine {
    /// x86-64.
    X64,
    /// 64-bit ARM.
    Aa64,
}
