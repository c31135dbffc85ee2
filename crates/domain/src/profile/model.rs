//! The words of a profile.

use std::str::FromStr;

use crate::arch::Arch;
use crate::asset::quoted;
use crate::catalog::{ExtensionRef, OverlayRef};
use crate::goyaml::Mapping;
use crate::schematic::{Bootloader, MetaValue, SchematicId};
use crate::version::TalosVersion;

/// What a path asks for, before schematic and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Platform as written; it need not exist.
    pub platform: String,
    /// Architecture.
    pub arch: Arch,
    /// Whether the machine checks signatures.
    pub secure_boot: bool,
    /// What to make.
    pub output: Output,
}

/// What exactly to build.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Platform as written; it need not exist.
    pub platform: String,
    /// Architecture.
    pub arch: Arch,
    /// Version of Talos.
    pub version: TalosVersion,
    /// What goes into the signed parts. `Some` exactly with Secure Boot.
    pub secure_boot: Option<SecureBootInput>,
    /// Kernel arguments of the overlay's profile and of the schematic, in order.
    pub extra_kernel_args: Vec<String>,
    /// META values of the overlay's profile and of the schematic, in order.
    pub meta: Vec<MetaValue>,
    /// Machine configuration to embed, verbatim. Empty means none.
    pub embedded_machine_configuration: String,
    /// Repository of the image that an installer is made from.
    pub base_installer: Option<&'static str>,
    /// What is added to the initramfs, in order.
    pub extensions: Vec<ExtensionInput>,
    /// Board support.
    pub overlay: Option<OverlayRef>,
    /// What the schematic tells the overlay's program. Empty without an overlay.
    pub overlay_options: Mapping,
    /// What to make.
    pub output: Output,
}

/// What Secure Boot needs besides the server's keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecureBootInput {
    /// Put the well-known vendor certificates into the signature database.
    pub include_well_known_certificates: bool,
}

/// Something that is added to the initramfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtensionInput {
    /// A published extension.
    Official(ExtensionRef),
    /// The extension that tells a machine which schematic it runs.
    Schematic {
        /// The schematic.
        id: SchematicId,
        /// Whether its text is in it too.
        with_text: bool,
    },
    /// The extension that holds [`Profile::embedded_machine_configuration`].
    EmbeddedConfig,
}

/// What to make. Options of another kind than `kind` may be there, because overlays bring theirs along;
/// they have no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Which thing.
    pub kind: Kind,
    /// What it is packed in.
    pub compression: Compression,
    /// Options of disk images.
    pub image: Option<ImageOptions>,
    /// Options of ISO images.
    pub iso: Option<IsoOptions>,
}

/// The things that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The kernel as released.
    Kernel,
    /// The kernel command line as text.
    Cmdline,
    /// The initramfs with extensions.
    Initramfs,
    /// A unified kernel image.
    Uki,
    /// An ISO image.
    Iso,
    /// A disk image.
    Image,
    /// An installer container image.
    Installer,
}

/// Options of disk images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageOptions {
    /// Bytes of the disk before partitions of newer versions are added, see [`super::disk_size`].
    pub base_size: u64,
    /// Format of the disk. None only in what an overlay brought along.
    pub format: Option<DiskFormat>,
    /// Options that the reference hands to its converter. What we do stands in the recipe.
    pub format_options: &'static str,
    /// Bytes per sector; 0 means 512.
    pub sector_size: u64,
    /// Boot loader asked for.
    pub bootloader: Bootloader,
    /// When to enroll Secure Boot keys.
    pub enroll_keys: EnrollKeys,
}

/// Options of ISO images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IsoOptions {
    /// Boot loader asked for.
    pub bootloader: Bootloader,
    /// When to enroll Secure Boot keys.
    pub enroll_keys: EnrollKeys,
}

/// Format of a disk image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiskFormat {
    /// The bare disk.
    Raw,
    /// QEMU's copy-on-write format, version 2.
    Qcow2,
    /// Microsoft's virtual hard disk.
    Vhd,
    /// A virtual machine for VMware.
    Ova,
}

/// What a file is packed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Nothing.
    None,
    /// A gzip-compressed tar archive with the disk as its only member.
    TarGz,
    /// gzip.
    Gz,
    /// xz.
    Xz,
    /// Zstandard.
    Zst,
}

/// When systemd-boot enrolls Secure Boot keys into a machine in setup mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EnrollKeys {
    /// At once in a virtual machine, else after a question.
    #[default]
    IfSafe,
    /// After a choice in the menu.
    Manual,
    /// At once.
    Force,
    /// Never.
    Off,
}

/// A text that is not one of the choices of [`EnrollKeys`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid secureboot enrollKeys value {}: {} does not belong to SDBootEnrollKeys values", quoted(.0), .0)]
pub struct InvalidEnrollKeys(pub String);

impl Output {
    /// An output without options.
    pub const fn of(kind: Kind) -> Self {
        Self { kind, compression: Compression::None, image: None, iso: None }
    }

    /// A disk image.
    pub const fn image(options: ImageOptions, compression: Compression) -> Self {
        Self { kind: Kind::Image, compression, image: Some(options), iso: None }
    }
}

impl Profile {
    /// A profile without any customisation.
    pub fn plain(request: Request, version: TalosVersion) -> Self {
        let Request { platform, arch, secure_boot, output } = request;
        Self {
            platform,
            arch,
            version,
            secure_boot: secure_boot.then(SecureBootInput::default),
            extra_kernel_args: Vec::new(),
            meta: Vec::new(),
            embedded_machine_configuration: String::new(),
            base_installer: None,
            extensions: Vec::new(),
            overlay: None,
            overlay_options: Mapping::new(),
            output,
        }
    }
}

impl Kind {
    /// Whether the output has an initramfs of its own.
    pub const fn has_initramfs(self) -> bool {
        !matches!(self, Self::Kernel | Self::Cmdline)
    }

    /// The word for it in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Cmdline => "cmdline",
            Self::Initramfs => "initramfs",
            Self::Uki => "uki",
            Self::Iso => "iso",
            Self::Image => "image",
            Self::Installer => "installer",
        }
    }
}

impl DiskFormat {
    /// All of them, in the order in which endings are tried.
    pub const ALL: [Self; 4] = [Self::Raw, Self::Qcow2, Self::Vhd, Self::Ova];

    /// The file name extension without its dot.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vhd => "vhd",
            Self::Ova => "ova",
        }
    }
}

impl Compression {
    /// All that pack, in the order in which endings are tried.
    pub const PACKED: [Self; 4] = [Self::TarGz, Self::Gz, Self::Xz, Self::Zst];

    /// The ending of a file name, with its dot.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::TarGz => ".tar.gz",
            Self::Gz => ".gz",
            Self::Xz => ".xz",
            Self::Zst => ".zst",
        }
    }
}

impl EnrollKeys {
    /// The word in `loader.conf` and in schematics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IfSafe => "if-safe",
            Self::Manual => "manual",
            Self::Force => "force",
            Self::Off => "off",
        }
    }
}

impl FromStr for EnrollKeys {
    type Err = InvalidEnrollKeys;

    /// Case does not matter.
    fn from_str(text: &str) -> Result<Self, InvalidEnrollKeys> {
        [Self::IfSafe, Self::Manual, Self::Force, Self::Off]
            .into_iter()
            .find(|choice| choice.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| InvalidEnrollKeys(text.chars().take(200).collect()))
    }
}
