//! The three kinds of boot media (specification 40, 7).

use super::PartitionScheme;
use super::image::{BiosBoot, IsoContent, IsoError, IsoFile, IsoImage, IsoOptions, IsoParts, image};
use crate::Layout;
use crate::esp::{LABEL, Machine, Medium, SERIAL, SystemdBoot, grub_files};
use crate::fat::{self, FatError, FatFile, FatOptions, FatVolume};
use crate::pe::Section;
use crate::sector::SectorSize;
use crate::uki::section;

/// What stands on the medium.
#[derive(Clone, Debug)]
pub enum Media {
    /// systemd-boot with a UKI.
    Uefi(SystemdBoot),
    /// GRUB.
    Grub(GrubBoot),
    /// systemd-boot for UEFI, GRUB for BIOS.
    Hybrid {
        /// The UEFI half.
        systemd_boot: SystemdBoot,
        /// The UKI's sections, which say where kernel and initramfs are inside of it.
        sections: Vec<Section>,
        /// `grub.cfg`.
        config: String,
        /// The BIOS half.
        bios: BiosBoot,
    },
}

/// What GRUB boots.
#[derive(Clone, Debug)]
pub struct GrubMenu {
    /// `grub.cfg`.
    pub config: String,
    /// Kernel.
    pub kernel: Layout,
    /// Initramfs.
    pub initramfs: Layout,
}

/// A medium that only GRUB boots.
#[derive(Clone, Debug)]
pub struct GrubBoot {
    /// Machine.
    pub machine: Machine,
    /// What it boots.
    pub menu: GrubMenu,
    /// GRUB for UEFI.
    pub efi_core: Layout,
    /// GRUB for BIOS, where there is one.
    pub bios: Option<BiosBoot>,
}

/// Properties of a medium.
pub type MediaOptions = IsoOptions;

/// A medium that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// The EFI system partition cannot be.
    #[error("the EFI system partition: {0}")]
    Esp(#[from] FatError),
    /// The image cannot be.
    #[error(transparent)]
    Iso(#[from] IsoError),
    /// The UKI has no kernel or no initramfs.
    #[error("the UKI has no {0} section")]
    NoSection(crate::pe::SectionName),
}

impl Media {
    /// The partition table that the reference's media of this kind have: UEFI media a plain master boot
    /// record, all others a GPT. Firmware boots either.
    pub const fn usual_scheme(&self) -> PartitionScheme {
        match self {
            Self::Uefi(_) => PartitionScheme::Mbr,
            Self::Grub(_) | Self::Hybrid { .. } => PartitionScheme::Gpt,
        }
    }
}

const MIB: u64 = 1 << 20;

/// Makes a medium.
///
/// # Errors
/// See [`MediaError`].
pub fn media(options: &MediaOptions, media: &Media) -> Result<IsoImage, MediaError> {
    let parts = match media {
        Media::Uefi(boot) => {
            let (esp, files) = uefi(options, boot)?;
            IsoParts { files, esp: esp.layout, bios: None }
        }
        Media::Hybrid { systemd_boot, sections, config, bios } => {
            let (esp, mut files) = uefi(options, systemd_boot)?;
            let uki = esp.files.get(&systemd_boot.uki_path()).map_or(0, |span| span.offset);
            let inside = |name| {
                let found = sections.iter().find(|section| section.name == name);
                let content = found.ok_or(MediaError::NoSection(name))?.content();
                Ok::<_, MediaError>(IsoContent::InEsp {
                    offset: uki + content.start,
                    len: content.end - content.start,
                })
            };
            files.extend(menu(config, inside(section::LINUX)?, inside(section::INITRD)?));
            IsoParts { files, esp: esp.layout, bios: Some(bios.clone()) }
        }
        Media::Grub(boot) => {
            let core = boot.efi_core.len();
            // Room to spare for a bigger GRUB.
            let size = (core.next_multiple_of(MIB) + 2 * MIB).max(8 * MIB);
            let esp = esp(options, size, &grub_files(boot.machine, &boot.efi_core, Medium::Iso))?;
            let mut files = shared(&esp);
            let GrubMenu { config, kernel, initramfs } = &boot.menu;
            let own = |content: &Layout| IsoContent::Own(content.clone());
            files.extend(menu(config, own(kernel), own(initramfs)));
            IsoParts { files, esp: esp.layout, bios: boot.bios.clone() }
        }
    };
    Ok(image(options, &parts)?)
}

/// The EFI system partition with systemd-boot, and the ISO files that are the same ones. Tools that copy
/// the files of an ISO image to a FAT stick need them in both places.
fn uefi(options: &MediaOptions, boot: &SystemdBoot) -> Result<(FatVolume, Vec<IsoFile>), MediaError> {
    let size = 10 * MIB + boot.loader.len().next_multiple_of(MIB) + boot.uki.len().next_multiple_of(MIB);
    let esp = esp(options, size, &boot.files(Medium::Iso))?;
    let files = shared(&esp);
    Ok((esp, files))
}

fn esp(options: &MediaOptions, size: u64, files: &[FatFile]) -> Result<FatVolume, FatError> {
    let volume = FatOptions {
        size,
        sector: SectorSize::B512,
        label: LABEL.to_owned(),
        serial: SERIAL,
        epoch: options.epoch,
    };
    fat::volume(&volume, files)
}

fn shared(esp: &FatVolume) -> Vec<IsoFile> {
    let spans = esp.files.iter();
    spans
        .map(|(path, span)| IsoFile {
            path: path.clone(),
            content: IsoContent::InEsp { offset: span.offset, len: span.len },
        })
        .collect()
}

fn menu(config: &str, kernel: IsoContent, initramfs: IsoContent) -> [IsoFile; 3] {
    let file = |path: &str, content| IsoFile { path: path.to_owned(), content };
    [
        file("boot/vmlinuz", kernel),
        file("boot/initramfs.xz", initramfs),
        file("boot/grub/grub.cfg", IsoContent::Own(Layout::from_bytes(config.to_owned().into_bytes()))),
    ]
}
