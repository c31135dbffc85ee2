//! Which partitions a disk has (specification 41, 3.2).

use super::name;
use crate::esp::Machine;
use crate::gpt::{Guid, PartitionRequest, PartitionSize, types};

/// The text that the disk's GUID is made from.
pub const DISK_GUID_LABEL: &str = "talos-image-disk";
const MIB: u64 = 1 << 20;
/// Legacy BIOS bootable (UEFI specification, 5.3.3).
const LEGACY_BOOTABLE: u64 = 1 << 2;

/// What boots the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bootloader {
    /// systemd-boot with a UKI.
    SystemdBoot,
    /// GRUB.
    Grub,
    /// systemd-boot under UEFI, GRUB under BIOS.
    DualBoot,
}

/// Lengths that depend on the Talos version and the boot loader, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionSizes {
    /// EFI system partition.
    pub esp: u64,
    /// BOOT; of no effect with systemd-boot alone.
    pub boot: u64,
}

/// Whether the image already has the partitions that newer nodes make themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatePartitions {
    /// The node makes them: Talos 1.8 and later.
    #[default]
    Absent,
    /// STATE and EPHEMERAL, all zero.
    Empty,
}

/// Dual boot was asked for on a machine that has no BIOS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("dual boot is not possible on arm64: choose grub or sd-boot")]
pub struct DualBootOnArm;

/// The partitions in order.
///
/// # Errors
/// [`DualBootOnArm`].
pub fn partitions(
    machine: Machine,
    bootloader: Bootloader,
    sizes: PartitionSizes,
    state: StatePartitions,
) -> Result<Vec<PartitionRequest>, DualBootOnArm> {
    if bootloader == Bootloader::DualBoot && machine == Machine::Aa64 {
        return Err(DualBootOnArm);
    }
    let request = |name: &str, type_guid: Guid, attributes: u64, size: PartitionSize| PartitionRequest {
        name: name.to_owned(),
        type_guid,
        attributes,
        size,
    };
    let data = |name, size| request(name, types::LINUX_DATA, 0, size);
    let mut out = vec![request(name::EFI, types::EFI_SYSTEM, 0, PartitionSize::Bytes(sizes.esp))];
    if bootloader != Bootloader::SystemdBoot {
        // GRUB looks for its files in the third partition, so this one is there even where there is no BIOS.
        out.push(request(name::BIOS, types::BIOS_BOOT, LEGACY_BOOTABLE, PartitionSize::Bytes(MIB)));
        out.push(data(name::BOOT, PartitionSize::Bytes(sizes.boot)));
    }
    out.push(data(name::META, PartitionSize::Bytes(MIB)));
    if state == StatePartitions::Empty {
        out.push(data(name::STATE, PartitionSize::Bytes(100 * MIB)));
        out.push(data(name::EPHEMERAL, PartitionSize::Rest));
    }
    Ok(out)
}
