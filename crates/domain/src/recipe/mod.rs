//! Recipes: everything that must be known to make an asset, as plain data.
//!
//! A recipe says which files of the release are needed, what is added to them and every text that is
//! written. It holds no bytes of the release: a planner looks them up and hands them, with these
//! texts, to the formats.

mod disk;
mod grub;
mod iso;
mod texts;

pub use disk::{DataPartitions, DiskEncoding, DiskLayout, DiskRecipe};
pub use grub::{GrubCore, GrubCores, GrubMedium, GrubPlatform};
pub use iso::{IsoKind, IsoRecipe};
pub use texts::{iso_label, iso_volume_id, os_release};

use std::collections::BTreeSet;

use crate::arch::Arch;
use crate::asset::quoted;
use crate::catalog::OverlayRef;
use crate::cmdline::{BootProfile, LineTooLong, assemble, boot_profiles, check_length};
use crate::goyaml::Mapping;
use crate::platform::UnknownPlatform;
use crate::profile::{
    EnrollKeys, ExtensionInput, InvalidProfile, Kind, PRODUCT, Profile, Refusal, check_profile,
    fill_defaults, inner_file_name, validate,
};
use crate::version::TalosVersion;

/// A file of the release, below `usr/install/<arch>/` in the image of the builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReleaseFile {
    /// The kernel.
    Kernel,
    /// The initramfs without extensions. Keeps its name whatever it is compressed with.
    Initramfs,
    /// systemd-boot.
    SdBoot,
    /// The stub that a UKI begins with.
    SdStub,
}

impl ReleaseFile {
    /// The name of the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "vmlinuz",
            Self::Initramfs => "initramfs.xz",
            Self::SdBoot => "systemd-boot.efi",
            Self::SdStub => "systemd-stub.efi",
        }
    }

    /// Where the file lies in the image of the builder.
    pub fn path(self, arch: Arch) -> String {
        format!("usr/install/{arch}/{}", self.name())
    }
}

/// How to make one asset.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Version of Talos.
    pub version: TalosVersion,
    /// Architecture.
    pub arch: Arch,
    /// Files of the release that are needed.
    pub release_files: BTreeSet<ReleaseFile>,
    /// What is added to the initramfs, in order. Empty when the output has none.
    pub extensions: Vec<ExtensionInput>,
    /// Machine configuration for [`ExtensionInput::EmbeddedConfig`].
    pub embedded_machine_configuration: String,
    /// Board support. Its program has a say in the command line, and works on disk images.
    pub overlay: Option<OverlayRef>,
    /// What the schematic tells that program.
    pub overlay_options: Mapping,
    /// The UKI that is made, as the asset itself or as a part of it.
    pub uki: Option<UkiRecipe>,
    /// GRUB's images that are on the medium.
    pub grub: GrubCores,
    /// What is made.
    pub output: OutputRecipe,
    /// Name of the file inside a packed one.
    pub inner_file_name: String,
}

/// What is made in the end.
#[derive(Clone, Debug, PartialEq)]
pub enum OutputRecipe {
    /// The kernel as released.
    Kernel,
    /// This very text.
    Cmdline(String),
    /// The initramfs with extensions.
    Initramfs,
    /// The UKI of [`Recipe::uki`].
    Uki,
    /// An ISO image.
    Iso(IsoRecipe),
    /// A disk image.
    Disk(DiskRecipe),
    /// An installer container image.
    Installer(InstallerRecipe),
}

/// How to make a UKI (`31-uki.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UkiRecipe {
    /// Text of the section `.osrel`.
    pub os_release: String,
    /// Text of the section `.cmdline`.
    pub cmdline: String,
    /// Boot profiles. None when the version knows none; then there is no `.profile` section at all.
    /// Else the image has the profile `main`, and these.
    pub profiles: Option<Vec<BootProfile>>,
    /// Whether it is measured and signed.
    pub signing: Signing,
}

/// Whether boot files are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// As released.
    Unsigned,
    /// With the server's keys; UKIs are measured too.
    SecureBoot,
}

/// Files of an EFI system partition that starts a UKI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EspRecipe {
    /// Where systemd-boot goes, in the spelling that nodes look for.
    pub sd_boot_path: String,
    /// Where the UKI goes.
    pub uki_path: String,
    /// Text of `loader/loader.conf`.
    pub loader_conf: String,
    /// Whether a read-only seed file keeps systemd-boot from writing to the medium.
    pub random_seed: RandomSeed,
    /// Keys to put beside it. None without Secure Boot.
    pub enrollment: Option<Enrollment>,
}

/// Whether there is a seed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RandomSeed {
    /// systemd-boot makes its own.
    Absent,
    /// `loader/random-seed`, 32 zero bytes.
    Zeros,
}

/// Secure Boot keys on a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrollment {
    /// Put `PK.auth`, `KEK.auth` and `db.auth` into `loader/keys/auto`.
    pub auth_files: bool,
    /// Put the certificate into `EFI/keys/uki-signing-cert.der`.
    pub certificate: bool,
    /// Put the well-known vendor certificates into the signature database.
    pub include_well_known_certificates: bool,
}

/// How to make an installer (`52-installer-images.md` §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallerRecipe {
    /// Repository of the image that it is made from; its tag is the version's.
    pub base_repository: &'static str,
    /// Files to add and where, by ascending path.
    pub files: Vec<(String, InstallerFile)>,
}

/// How many layers of a base image with so many layers stay in an installer (`52-installer-images.md` §2.1).
/// The upper one of two holds boot files, which the installer brings along itself.
pub const fn kept_base_layers(layers: usize) -> usize {
    if layers == 2 { 1 } else { layers }
}

/// A file in an installer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallerFile {
    /// The kernel.
    Kernel,
    /// The initramfs with extensions.
    Initramfs,
    /// systemd-boot.
    SdBoot,
    /// The UKI.
    Uki,
}

/// Why there is no recipe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// It cannot be made.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The profile contradicts itself.
    #[error("profile is invalid: {0}")]
    Invalid(#[from] InvalidProfile),
    /// There is no such platform.
    #[error(transparent)]
    Platform(#[from] UnknownPlatform),
    /// The kernel would cut the command line.
    #[error(transparent)]
    LineTooLong(#[from] LineTooLong),
    /// Text that would break out of its place in a boot menu.
    #[error("the kernel command line contains a control character: {}", quoted(.0))]
    ControlCharacter(String),
    /// The version has no UKI stub.
    #[error("a UKI is not possible for Talos version {}: use 1.5.0 or later", .0.tag())]
    NoUki(TalosVersion),
}

impl Recipe {
    /// The recipe of a profile. Settles its defaults first. `overlay_args` is what the overlay's own
    /// program asks for.
    ///
    /// # Errors
    /// [`RecipeError`] for what cannot be made.
    pub fn of(mut profile: Profile, overlay_args: &[String]) -> Result<Self, RecipeError> {
        fill_defaults(&mut profile);
        check_profile(&mut profile)?;
        validate(&profile)?;
        profile.extensions = without_repetitions(profile.extensions);
        let cmdline = checked_cmdline(&profile, overlay_args)?;
        let uki = uki(&profile, &cmdline)?;
        let output = match profile.output.kind {
            Kind::Kernel => OutputRecipe::Kernel,
            Kind::Cmdline => OutputRecipe::Cmdline(cmdline),
            Kind::Initramfs => OutputRecipe::Initramfs,
            Kind::Uki => OutputRecipe::Uki,
            Kind::Iso => OutputRecipe::Iso(iso::recipe(&profile, &cmdline)),
            Kind::Image => OutputRecipe::Disk(disk::recipe(&profile, &cmdline)),
            Kind::Installer => OutputRecipe::Installer(installer(&profile)),
        };
        let grub = match &output {
            OutputRecipe::Iso(iso) => GrubCores::of_iso(profile.arch, iso),
            OutputRecipe::Disk(disk) => GrubCores::of_disk(profile.arch, disk),
            _ => GrubCores::default(),
        };
        Ok(Self {
            release_files: release_files(&output, uki.is_some()),
            inner_file_name: inner_file_name(&profile),
            version: profile.version,
            arch: profile.arch,
            extensions: profile.extensions,
            embedded_machine_configuration: profile.embedded_machine_configuration,
            overlay: profile.overlay,
            overlay_options: profile.overlay_options,
            uki,
            grub,
            output,
        })
    }
}

/// A repeated extension would only make the initramfs larger.
fn without_repetitions(extensions: Vec<ExtensionInput>) -> Vec<ExtensionInput> {
    let mut seen = BTreeSet::new();
    let is_new = |input: &ExtensionInput| match input {
        ExtensionInput::Official(reference) => seen.insert(reference.clone()),
        ExtensionInput::Schematic { .. } | ExtensionInput::EmbeddedConfig => true,
    };
    extensions.into_iter().filter(is_new).collect()
}

fn checked_cmdline(profile: &Profile, overlay_args: &[String]) -> Result<String, RecipeError> {
    let line = assemble(profile, overlay_args)?.to_string();
    let embedded = !matches!(profile.output.kind, Kind::Kernel | Kind::Initramfs);
    // White space separates arguments, so what is left are characters that nobody means.
    if embedded && line.contains(char::is_control) {
        return Err(RecipeError::ControlCharacter(line));
    }
    if embedded {
        check_length(&line)?;
    }
    Ok(line)
}

/// The UKI of a profile, if its output has one. Outputs that start with GRUB alone have none, although
/// the reference makes one and throws it away.
fn uki(profile: &Profile, cmdline: &str) -> Result<Option<UkiRecipe>, RecipeError> {
    let quirks = profile.version.quirks();
    let has_uki = match profile.output.kind {
        Kind::Kernel | Kind::Cmdline | Kind::Initramfs => false,
        Kind::Uki => true,
        Kind::Iso => IsoKind::of(profile) != IsoKind::Grub,
        Kind::Image => DiskLayout::of(profile) != DiskLayout::Grub,
        Kind::Installer => profile.secure_boot.is_some() || quirks.has_unified_installer(),
    };
    if !has_uki {
        return Ok(None);
    }
    if !quirks.has_uki() {
        return Err(RecipeError::NoUki(profile.version.clone()));
    }
    Ok(Some(UkiRecipe {
        os_release: os_release(PRODUCT, &profile.version.tag()),
        cmdline: cmdline.to_owned(),
        profiles: quirks.has_uki_profiles().then(|| boot_profiles(profile.output.kind, quirks, cmdline)),
        signing: signing(profile),
    }))
}

fn signing(profile: &Profile) -> Signing {
    if profile.secure_boot.is_some() { Signing::SecureBoot } else { Signing::Unsigned }
}

/// Where on a medium the UKI lies.
fn uki_path(version: &TalosVersion) -> String {
    format!("EFI/Linux/{PRODUCT}-{}.efi", version.tag())
}

fn installer(profile: &Profile) -> InstallerRecipe {
    use InstallerFile::{Initramfs, Kernel, SdBoot, Uki};
    let quirks = profile.version.quirks();
    let files: &[(&str, InstallerFile)] = match profile.secure_boot {
        _ if quirks.boots_uefi_with_sd_boot() => &[("systemd-boot.efi", SdBoot), ("vmlinuz.efi", Uki)],
        Some(_) => &[("systemd-boot.efi", SdBoot), ("vmlinuz.efi.signed", Uki)],
        None => &[("initramfs.xz", Initramfs), ("vmlinuz", Kernel)],
    };
    let path = |name: &str| format!("usr/install/{}/{name}", profile.arch);
    InstallerRecipe {
        base_repository: profile.base_installer.unwrap_or(quirks.base_installer()),
        files: files.iter().map(|&(name, file)| (path(name), file)).collect(),
    }
}

fn release_files(output: &OutputRecipe, has_uki: bool) -> BTreeSet<ReleaseFile> {
    use ReleaseFile::{Initramfs, Kernel, SdBoot, SdStub};
    let mut files = BTreeSet::new();
    match output {
        OutputRecipe::Cmdline(_) => return files,
        OutputRecipe::Kernel => return BTreeSet::from([Kernel]),
        OutputRecipe::Initramfs => return BTreeSet::from([Initramfs]),
        OutputRecipe::Uki => {}
        OutputRecipe::Iso(iso) => files.extend(iso.esp.as_ref().map(|_| SdBoot)),
        OutputRecipe::Disk(disk) => files.extend(disk.esp.as_ref().map(|_| SdBoot)),
        OutputRecipe::Installer(installer) => {
            files.extend(
                installer.files.iter().any(|(_, file)| *file == InstallerFile::SdBoot).then_some(SdBoot),
            );
        }
    }
    files.extend([Kernel, Initramfs]);
    files.extend(has_uki.then_some(SdStub));
    files
}

/// What Secure Boot puts on a medium for this choice.
fn enrollment(profile: &Profile, choice: EnrollKeys, medium: Kind) -> Option<Enrollment> {
    let secure_boot = profile.secure_boot?;
    let iso = medium == Kind::Iso;
    Some(Enrollment {
        // An ISO carries them even when nobody is asked to enroll: a user may do it by hand.
        auth_files: iso || choice != EnrollKeys::Off,
        certificate: iso,
        include_well_known_certificates: secure_boot.include_well_known_certificates,
    })
}

#[cfg(test)]
mod tests;
