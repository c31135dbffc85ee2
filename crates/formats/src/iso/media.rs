//! The three kinds of boot media (specification 40, 7).

use super::PartitionScheme;
use super::image::{BiosBoot, IsoContent, IsoError, IsoFile, IsoImage, IsoOptions, IsoParts, image};
use crate::Layout;
use crate::esp::{LABEL, SERIAL};
use crate::fat::{self, FatError, FatFile, FatOptions, FatVolume};
use crate::pe::Section;
use crate::sector::SectorSize;
use crate::uki::section;

/// What stands on the medium.
#[derive(Clone, Debug)]
pub enum Media {
    /// systemd-boot with a UKI.
    Uefi {
        /// Files of the EFI system partition.
        esp: Vec<FatFile>,
    },
    /// GRUB.
    Grub {
        /// Files of the EFI system partition: GRUB for UEFI.
        esp: Vec<FatFile>,
        /// What GRUB boots.
        menu: GrubMenu,
        /// GRUB for BIOS, where there is one.
        bios: Option<BiosBoot>,
    },
    /// systemd-boot for UEFI, GRUB for BIOS.
    Hybrid {
        /// Files of the EFI system partition.
        esp: Vec<FatFile>,
        /// Path of the UKI among them.
        uki_path: String,
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
    /// The EFI system partition has no UKI where it should be.
    #[error("the EFI system partition has no {0}")]
    NoUki(String),
    /// The UKI has no kernel or no initramfs.
    #[error("the UKI has no {0} section")]
    NoSection(crate::pe::SectionName),
}

impl Media {
    /// The partition table that the reference's media of this kind have: UEFI media a plain master boot
    /// record, all others a GPT. Firmware boots either.
    pub const fn usual_scheme(&self) -> PartitionScheme {
        match self {
            Self::Uefi { .. } => PartitionScheme::Mbr,
            Self::Grub { .. } | Self::Hybrid { .. } => PartitionScheme::Gpt,
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
        Media::Uefi { esp: files } => {
            let esp = esp(options, uefi_size(files), files)?;
            IsoParts { files: shared(&esp), esp: esp.layout, bios: None }
        }
        Media::Hybrid { esp: files, uki_path, sections, config, bios } => {
            let esp = esp(options, uefi_size(files), files)?;
            let uki = esp.files.get(uki_path).ok_or_else(|| MediaError::NoUki(uki_path.clone()))?.offset;
            let inside = |name| {
                let found = sections.iter().find(|section| section.name == name);
                let content = found.ok_or(MediaError::NoSection(name))?.content();
                Ok::<_, MediaError>(IsoContent::InEsp {
                    offset: uki + content.start,
                    len: content.end - content.start,
                })
            };
            let mut files = shared(&esp);
            files.extend(menu_files(config, inside(section::LINUX)?, inside(section::INITRD)?));
            IsoParts { files, esp: esp.layout, bios: Some(bios.clone()) }
        }
        Media::Grub { esp: files, menu, bios } => {
            let grub: u64 = files.iter().map(|file| file.content.len()).sum();
            // Room to spare for a bigger GRUB.
            let size = (grub.next_multiple_of(MIB) + 2 * MIB).max(8 * MIB);
            let esp = esp(options, size, files)?;
            let mut files = shared(&esp);
            let own = |content: &Layout| IsoContent::Own(content.clone());
            files.extend(menu_files(&menu.config, own(&menu.kernel), own(&menu.initramfs)));
            IsoParts { files, esp: esp.layout, bios: bios.clone() }
        }
    };
    Ok(image(options, &parts)?)
}

/// Files below this length share [`SMALL_FILES`]; longer ones count with their own, rounded up.
const COUNTED_FROM: u64 = 64 << 10;

/// Room for everything small on the partition: configuration, keys, directories, the tables.
const SMALL_FILES: u64 = 10 * MIB;

/// Length of a partition for systemd-boot and a UKI (specification 40, 4.1).
fn uefi_size(files: &[FatFile]) -> u64 {
    let programs = files.iter().map(|file| file.content.len()).filter(|&len| len >= COUNTED_FROM);
    SMALL_FILES + programs.map(|len| len.next_multiple_of(MIB)).sum::<u64>()
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

/// The files of the partition as files of the ISO tree. Tools that copy the files of an ISO image to a FAT
/// stick need them in both places.
fn shared(esp: &FatVolume) -> Vec<IsoFile> {
    let spans = esp.files.iter();
    spans
        .map(|(path, span)| IsoFile {
            path: path.clone(),
            content: IsoContent::InEsp { offset: span.offset, len: span.len },
        })
        .collect()
}

fn menu_files(config: &str, kernel: IsoContent, initramfs: IsoContent) -> [IsoFile; 3] {
    let file = |path: &str, content| IsoFile { path: path.to_owned(), content };
    [
        file("boot/vmlinuz", kernel),
        file("boot/initramfs.xz", initramfs),
        file("boot/grub/grub.cfg", IsoContent::Own(Layout::from_bytes(config.to_owned().into_bytes()))),
    ]
}
