//! ISO images (`40-iso.md` §1 to §6).

use super::texts::{ResetEntry, iso_grub_cfg, loader_conf};
use super::{EspRecipe, RandomSeed, enrollment, iso_label, iso_volume_id, uki_path};
use crate::profile::{EnrollKeys, Kind, Profile};
use crate::schematic::Bootloader;

/// What starts from an ISO image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsoKind {
    /// GRUB on BIOS and UEFI.
    Grub,
    /// systemd-boot on UEFI.
    Uefi,
    /// GRUB on BIOS, systemd-boot on UEFI.
    Hybrid,
}

/// How to make an ISO image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsoRecipe {
    /// What starts from it.
    pub kind: IsoKind,
    /// Volume id.
    pub volume_id: String,
    /// Volume set id; empty for none.
    pub volume_set_id: String,
    /// Text of `/boot/grub/grub.cfg`. None without GRUB.
    pub grub_cfg: Option<String>,
    /// Where GRUB's UEFI image lies on the EFI system partition. None when it does not start UEFI.
    pub grub_efi_path: Option<String>,
    /// Files of the EFI system partition for systemd-boot. None when GRUB starts UEFI as well.
    pub esp: Option<EspRecipe>,
}

/// Volume id of images without a label, the default of the reference's tool.
const UNLABELLED: &str = "ISOIMAGE";

impl IsoKind {
    /// The kind of a profile with settled defaults.
    pub fn of(profile: &Profile) -> Self {
        let quirks = profile.version.quirks();
        if profile.secure_boot.is_some() {
            return Self::Uefi;
        }
        if !quirks.has_iso_bootloader_choice() {
            return if quirks.boots_uefi_with_sd_boot() { Self::Hybrid } else { Self::Grub };
        }
        match profile.output.iso.unwrap_or_default().bootloader {
            Bootloader::Grub => Self::Grub,
            Bootloader::SdBoot => Self::Uefi,
            // Defaults are settled, so "none" does not come here.
            Bootloader::DualBoot | Bootloader::None => Self::Hybrid,
        }
    }
}

pub(super) fn recipe(profile: &Profile, cmdline: &str) -> IsoRecipe {
    let quirks = profile.version.quirks();
    let kind = IsoKind::of(profile);
    let label = iso_label(&profile.version.tag());
    let (volume_id, volume_set_id) = if quirks.labels_iso() {
        (iso_volume_id(&label), label)
    } else {
        (UNLABELLED.to_owned(), String::new())
    };
    let reset = if quirks.has_grub_reset_entry() { ResetEntry::Present } else { ResetEntry::Absent };
    let enroll = match profile.secure_boot {
        Some(_) => profile.output.iso.unwrap_or_default().enroll_keys,
        None => EnrollKeys::Off,
    };
    let loader = format!("EFI/BOOT/BOOT{}.EFI", profile.arch.efi_suffix());
    let esp = EspRecipe {
        sd_boot_path: loader.clone(),
        uki_path: uki_path(&profile.version),
        loader_conf: loader_conf(Some(enroll)),
        random_seed: RandomSeed::Zeros,
        enrollment: enrollment(profile, enroll, Kind::Iso),
    };
    IsoRecipe {
        kind,
        volume_id,
        volume_set_id,
        grub_cfg: (kind != IsoKind::Uefi).then(|| iso_grub_cfg(cmdline, reset)),
        grub_efi_path: (kind == IsoKind::Grub).then_some(loader),
        esp: (kind != IsoKind::Grub).then_some(esp),
    }
}
