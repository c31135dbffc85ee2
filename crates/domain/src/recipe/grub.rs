//! GRUB's images on media (`40-iso.md` §9, `41-disk-images.md` §7).
//!
//! They depend on the release's GRUB and nothing else, so they are made once for each release. What is in
//! them makes a directory of modules on the medium needless.

use super::{DiskRecipe, IsoRecipe};
use crate::arch::Arch;

/// What GRUB is built for. The name is that of its directory in a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrubPlatform {
    /// BIOS.
    I386Pc,
    /// UEFI on amd64.
    X64Efi,
    /// UEFI on arm64.
    Aa64Efi,
}

/// The kind of medium that GRUB starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrubMedium {
    /// A disk image.
    Disk,
    /// An ISO image.
    Iso,
}

/// One of GRUB's images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrubCore {
    /// What it runs on.
    pub platform: GrubPlatform,
    /// What it is read from.
    pub medium: GrubMedium,
}

/// Modules that are in every image.
const COMMON: &[&str] = &[
    "part_gpt",
    "part_msdos",
    "fat",
    "normal",
    "configfile",
    "linux",
    "boot",
    "search",
    "search_label",
    "search_fs_uuid",
    "search_fs_file",
    "ls",
    "cat",
    "echo",
    "test",
    "help",
    "reboot",
    "halt",
    "all_video",
];

impl GrubPlatform {
    /// The platform that UEFI firmware of a machine starts.
    pub const fn efi(arch: Arch) -> Self {
        match arch {
            Arch::Amd64 => Self::X64Efi,
            Arch::Arm64 => Self::Aa64Efi,
        }
    }

    /// Where a release has the modules, with the last `/`.
    pub const fn directory(self) -> &'static str {
        match self {
            Self::I386Pc => "usr/lib/grub/i386-pc/",
            Self::X64Efi => "usr/lib/grub/x86_64-efi/",
            Self::Aa64Efi => "usr/lib/grub/arm64-efi/",
        }
    }
}

impl GrubCore {
    /// The format of the image, as GRUB's image maker calls it.
    pub const fn format(self) -> &'static str {
        match (self.platform, self.medium) {
            (GrubPlatform::I386Pc, GrubMedium::Disk) => "i386-pc",
            (GrubPlatform::I386Pc, GrubMedium::Iso) => "i386-pc-eltorito",
            (GrubPlatform::X64Efi, _) => "x86_64-efi",
            (GrubPlatform::Aa64Efi, _) => "arm64-efi",
        }
    }

    /// Where the image finds `grub.cfg`.
    ///
    /// On a disk it is the third partition of whichever disk the image was started from; the reference says
    /// `hd0`, and so starts from the first disk only. On an ISO image it is the medium itself, for which
    /// UEFI needs the empty device: the image was started from a partition of it.
    pub const fn prefix(self) -> &'static str {
        match (self.platform, self.medium) {
            (_, GrubMedium::Disk) => "(,gpt3)/grub",
            (GrubPlatform::I386Pc, GrubMedium::Iso) => "/boot/grub",
            (GrubPlatform::X64Efi | GrubPlatform::Aa64Efi, GrubMedium::Iso) => "()/boot/grub",
        }
    }

    /// The modules in the image.
    pub fn modules(self) -> Vec<&'static str> {
        let mut modules = COMMON.to_vec();
        modules.extend(match self.medium {
            GrubMedium::Disk => ["ext2", "xfs"].as_slice(),
            GrubMedium::Iso => &["iso9660"],
        });
        if self.platform == GrubPlatform::I386Pc {
            modules.push("biosdisk");
        }
        modules
    }

    /// The file of the platform's directory that goes into the medium's first sector. Only BIOS has one.
    pub const fn boot_sector(self) -> Option<&'static str> {
        match (self.platform, self.medium) {
            (GrubPlatform::I386Pc, GrubMedium::Disk) => Some("boot.img"),
            (GrubPlatform::I386Pc, GrubMedium::Iso) => Some("boot_hybrid.img"),
            (GrubPlatform::X64Efi | GrubPlatform::Aa64Efi, _) => None,
        }
    }
}

/// GRUB for the two kinds of firmware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrubCores {
    /// For BIOS.
    pub bios: Option<GrubCore>,
    /// For UEFI.
    pub efi: Option<GrubCore>,
}

impl GrubCores {
    /// What an ISO image needs. A hybrid one has the half for BIOS on every architecture, as the
    /// reference's; one with GRUB alone has it where there is BIOS.
    pub(super) fn of_iso(arch: Arch, iso: &IsoRecipe) -> Self {
        let core = |platform| GrubCore { platform, medium: GrubMedium::Iso };
        let has_bios = iso.grub_cfg.is_some() && (arch == Arch::Amd64 || iso.esp.is_some());
        Self {
            bios: has_bios.then(|| core(GrubPlatform::I386Pc)),
            efi: iso.grub_efi_path.as_ref().map(|_| core(GrubPlatform::efi(arch))),
        }
    }

    /// What a disk needs. The half for BIOS counts sectors of 512 bytes, but reads partition tables of any;
    /// so it also starts a disk with large sectors that the firmware shows with small ones.
    pub(super) fn of_disk(arch: Arch, disk: &DiskRecipe) -> Self {
        let core = |platform| GrubCore { platform, medium: GrubMedium::Disk };
        let has_bios = disk.grub_cfg.is_some() && arch == Arch::Amd64;
        Self {
            bios: has_bios.then(|| core(GrubPlatform::I386Pc)),
            efi: disk.grub_efi_path.as_ref().map(|_| core(GrubPlatform::efi(arch))),
        }
    }

    /// All that there are.
    pub fn iter(&self) -> impl Iterator<Item = GrubCore> {
        self.bios.into_iter().chain(self.efi)
    }
}
