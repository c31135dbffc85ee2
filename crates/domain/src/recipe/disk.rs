//! Disk images (`41-disk-images.md` §1 to §5 and §11).

use super::texts::{ResetEntry, disk_grub_cfg, loader_conf};
use super::{EspRecipe, RandomSeed, enrollment, uki_path};
use crate::arch::Arch;
use crate::meta::{DUAL_BOOT, key};
use crate::profile::{Compression, DiskFormat, EnrollKeys, Kind, Profile, disk_size};
use crate::schematic::{Bootloader, MetaValue};

/// Which boot loaders a disk has, and so which partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskLayout {
    /// GRUB on BIOS and UEFI: EFI, BIOS, BOOT, META.
    Grub,
    /// systemd-boot on UEFI: EFI, META.
    SdBoot,
    /// GRUB on BIOS, systemd-boot on UEFI: EFI, BIOS, BOOT, META.
    DualBoot,
}

/// How the disk is written into its file. These are ours: the reference takes a platform's options for
/// any format, also for those that do not know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskEncoding {
    /// As it is.
    Raw,
    /// QCOW2 with clusters of this many bytes.
    Qcow2 {
        /// Bytes per cluster.
        cluster_size: u32,
    },
    /// Fixed VHD whose virtual size is exactly that of the disk, which Azure demands.
    FixedVhd,
    /// OVA with a stream-optimised VMDK.
    Ova,
}

/// How to make a disk image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskRecipe {
    /// Which boot loaders it has.
    pub layout: DiskLayout,
    /// Bytes of the disk.
    pub size: u64,
    /// Bytes per sector, 512 or 4096.
    pub sector_size: u64,
    /// Whether STATE and EPHEMERAL follow META.
    pub data_partitions: DataPartitions,
    /// Values of the META partition in order; of equal keys the last counts.
    pub meta: Vec<MetaValue>,
    /// Text of `/grub/grub.cfg` on BOOT. None without GRUB.
    pub grub_cfg: Option<String>,
    /// Where GRUB's UEFI image lies on the EFI partition. None when it does not start UEFI.
    pub grub_efi_path: Option<String>,
    /// Files of the EFI partition for systemd-boot. None without it.
    pub esp: Option<EspRecipe>,
    /// Option file of `mkfs.xfs` whose features BOOT may use.
    pub xfs_options: &'static str,
    /// Format of the file.
    pub encoding: DiskEncoding,
    /// What the file is packed in.
    pub compression: Compression,
}

/// Whether the image has the partitions that newer nodes make themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPartitions {
    /// It ends with META.
    Absent,
    /// STATE and EPHEMERAL, without file systems.
    Unformatted,
}

impl DiskLayout {
    /// The layout of a profile with settled defaults.
    pub fn of(profile: &Profile) -> Self {
        match profile.output.image.as_ref().map_or(Bootloader::None, |image| image.bootloader) {
            Bootloader::Grub => Self::Grub,
            Bootloader::SdBoot => Self::SdBoot,
            // Defaults are settled, so "none" does not come here.
            Bootloader::DualBoot | Bootloader::None => Self::DualBoot,
        }
    }
}

impl DiskEncoding {
    /// The encoding of a file format.
    pub const fn of(format: DiskFormat) -> Self {
        match format {
            DiskFormat::Raw => Self::Raw,
            DiskFormat::Qcow2 => Self::Qcow2 { cluster_size: 8 << 10 },
            DiskFormat::Vhd => Self::FixedVhd,
            DiskFormat::Ova => Self::Ova,
        }
    }
}

pub(super) fn recipe(profile: &Profile, cmdline: &str) -> DiskRecipe {
    let quirks = profile.version.quirks();
    let image = profile.output.image.clone().unwrap_or_default();
    let layout = DiskLayout::of(profile);
    let reset = match layout {
        DiskLayout::Grub if !quirks.has_grub_reset_entry() => ResetEntry::Absent,
        _ => ResetEntry::Present,
    };
    let loader = format!("EFI/boot/BOOT{}.efi", profile.arch.efi_suffix());
    let enroll =
        (profile.secure_boot.is_some() && image.enroll_keys != EnrollKeys::Off).then_some(image.enroll_keys);
    let esp = EspRecipe {
        sd_boot_path: loader.clone(),
        uki_path: uki_path(&profile.version),
        loader_conf: loader_conf(enroll),
        random_seed: RandomSeed::Absent,
        enrollment: enrollment(profile, image.enroll_keys, Kind::Image),
    };
    DiskRecipe {
        layout,
        size: disk_size(&image, quirks),
        sector_size: if image.sector_size == 0 { 512 } else { image.sector_size },
        data_partitions: if quirks.leaves_out_data_partitions() {
            DataPartitions::Absent
        } else {
            DataPartitions::Unformatted
        },
        meta: meta_values(profile, layout),
        grub_cfg: (layout != DiskLayout::SdBoot).then(|| disk_grub_cfg(&profile.version, cmdline, reset)),
        grub_efi_path: (layout == DiskLayout::Grub).then_some(loader),
        esp: (layout != DiskLayout::Grub).then_some(esp),
        xfs_options: quirks.xfs_options(),
        encoding: DiskEncoding::of(image.format.unwrap_or(DiskFormat::Raw)),
        compression: profile.output.compression,
    }
}

/// The values of the META partition: those of the profile, and a note for the node that it must clear
/// away the boot loader that it did not start with (`23-meta.md` §5).
fn meta_values(profile: &Profile, layout: DiskLayout) -> Vec<MetaValue> {
    let mut values = profile.meta.clone();
    let noted = profile.arch == Arch::Amd64
        && profile.secure_boot.is_none()
        && profile.version.quirks().boots_uefi_with_sd_boot()
        && layout == DiskLayout::DualBoot;
    if noted {
        values.push(MetaValue { key: key::DISK_IMAGE_BOOTLOADER, value: DUAL_BOOT.to_owned() });
    }
    values
}
