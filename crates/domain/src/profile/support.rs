//! What we refuse beforehand because it cannot work.
//!
//! The reference finds most of this out in the middle of a build. Asking first costs nothing and lets
//! the answer say what to do instead.

use super::model::{Compression, DiskFormat, Kind, Profile, Request};
use super::overlay::drop_unusable;
use crate::arch::Arch;
use crate::asset::quoted;
use crate::meta::{MetaRefusal, check_argument, check_values};
use crate::platform::{PLATFORMS, Platform};
use crate::schematic::Bootloader;
use crate::version::TalosVersion;

/// Why an asset cannot be made, and what to ask for instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No platform has this name.
    #[error("unknown platform: {}, use one of: {}", quoted(.0), platform_names())]
    UnknownPlatform(String),
    /// Secure Boot needs what the version does not have.
    #[error("secure boot is not possible for Talos version {}: use 1.5.0 or later", .0.tag())]
    SecureBootTooOld(TalosVersion),
    /// The version has no stub to make a UKI with.
    #[error("a UKI is not possible for Talos version {}: use 1.5.0 or later", .0.tag())]
    UkiTooOld(TalosVersion),
    /// Such archives are defined for bare disks only.
    #[error("a .tar.gz archive holds a raw disk: use .raw.tar.gz or .{}.gz", .0.as_str())]
    ArchiveOf(DiskFormat),
    /// There is no GRUB for BIOS on arm64.
    #[error(
        "dual-boot bootloader is not supported on arm64 architecture, either GRUB or sd-boot must be used"
    )]
    DualBootOnArm64,
    /// Disks have sectors of two sizes.
    #[error("a disk cannot have sectors of {0} bytes: use 512 or 4096")]
    SectorSize(u64),
    /// META cannot carry the values.
    #[error(transparent)]
    Meta(#[from] MetaRefusal),
    /// The platform has no machines of this architecture.
    #[error("platform {platform} has no {arch} machines")]
    NotOnPlatform {
        /// The platform.
        platform: &'static str,
        /// The architecture.
        arch: Arch,
    },
    /// The platform came later.
    #[error("platform {platform} is supported from Talos {since} on, not for {version}")]
    PlatformTooNew {
        /// The platform.
        platform: &'static str,
        /// First version that knows it.
        since: &'static str,
        /// The version asked for.
        version: TalosVersion,
    },
}

fn platform_names() -> String {
    PLATFORMS.iter().map(|platform| platform.name).collect::<Vec<_>>().join(", ")
}

/// Refuses what no schematic can make possible.
///
/// # Errors
/// [`Refusal`] for a platform that does not exist, for Secure Boot or a UKI before Talos 1.5, and for
/// an archive of anything but a raw disk.
pub fn check_request(request: &Request, version: &TalosVersion) -> Result<(), Refusal> {
    let Request { platform, secure_boot, output, .. } = request;
    if Platform::find(platform).is_err() {
        return Err(Refusal::UnknownPlatform(platform.clone()));
    }
    let has_uki = version.quirks().has_uki();
    if *secure_boot && !has_uki {
        return Err(Refusal::SecureBootTooOld(version.clone()));
    }
    if output.kind == Kind::Uki && !has_uki {
        return Err(Refusal::UkiTooOld(version.clone()));
    }
    match output.image.as_ref().and_then(|image| image.format) {
        Some(format) if format != DiskFormat::Raw && output.compression == Compression::TarGz => {
            Err(Refusal::ArchiveOf(format))
        }
        _ => Ok(()),
    }
}

/// Refuses what the table of platforms does not offer. The reference makes such assets, so this is for
/// servers that are set to be strict.
///
/// # Errors
/// [`Refusal`] when the platform does not exist, has no such architecture or came later.
pub fn check_offered(request: &Request, version: &TalosVersion) -> Result<(), Refusal> {
    let platform =
        Platform::find(&request.platform).map_err(|_| Refusal::UnknownPlatform(request.platform.clone()))?;
    if !platform.architectures.contains(&request.arch) {
        return Err(Refusal::NotOnPlatform { platform: platform.name, arch: request.arch });
    }
    if !platform.is_offered_for(version) {
        let (platform, since) = (platform.name, platform.min_version);
        return Err(Refusal::PlatformTooNew { platform, since, version: version.clone() });
    }
    Ok(())
}

/// Refuses a profile with settled defaults that cannot be built, and takes out of it what its overlay
/// brought along for other kinds of output.
///
/// # Errors
/// [`Refusal`] for a boot loader that the architecture does not have, for sector sizes that no disk
/// has, and for META values that get lost on the way.
pub fn check_profile(profile: &mut Profile) -> Result<(), Refusal> {
    drop_unusable(profile);
    let kind = profile.output.kind;
    if let Some(image) = profile.output.image.as_ref().filter(|_| kind == Kind::Image) {
        if profile.arch == Arch::Arm64 && image.bootloader == Bootloader::DualBoot {
            return Err(Refusal::DualBootOnArm64);
        }
        if !matches!(image.sector_size, 0 | 512 | 4096) {
            return Err(Refusal::SectorSize(image.sector_size));
        }
    }
    check_values(&profile.meta)?;
    if kind != Kind::Image {
        check_argument(&profile.meta)?;
    }
    Ok(())
}

/// Why the image builder of the reference does not take a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidProfile {
    /// Secure Boot before Talos 1.5.
    #[error("secureboot is not supported for Talos version {}", quoted(&.0.tag()))]
    SecureBoot(TalosVersion),
    /// Arguments for an output that has no command line.
    #[error("{} output takes no kernel arguments", .0.as_str())]
    KernelArgs(Kind),
    /// META values for an output that has no place for them.
    #[error("{} output takes no META values", .0.as_str())]
    Meta(Kind),
}

/// The checks of the reference's image builder (`20-profiles.md` §4.4), for profiles that did not pass
/// through [`check_request`] and [`check_profile`].
///
/// # Errors
/// [`InvalidProfile`].
pub fn validate(profile: &Profile) -> Result<(), InvalidProfile> {
    if profile.secure_boot.is_some() && !profile.version.quirks().has_uki() {
        return Err(InvalidProfile::SecureBoot(profile.version.clone()));
    }
    let kind = profile.output.kind;
    let mut usable = profile.clone();
    drop_unusable(&mut usable);
    if usable.extra_kernel_args.len() != profile.extra_kernel_args.len() {
        return Err(InvalidProfile::KernelArgs(kind));
    }
    if usable.meta.len() != profile.meta.len() {
        return Err(InvalidProfile::Meta(kind));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::AssetPath;
    use crate::profile::fill_defaults;
    use crate::schematic::MetaValue;

    fn version(text: &str) -> TalosVersion {
        TalosVersion::parse(text).unwrap()
    }

    fn request(path: &str) -> Request {
        AssetPath::parse(path).unwrap().request()
    }

    #[test]
    fn requests() {
        let check = |path, text| check_request(&request(path), &version(text)).map_err(|e| e.to_string());
        for (path, text) in [
            ("metal-amd64.iso", "1.2.0"),
            ("packet-amd64.iso", "1.2.0"),
            ("metal-amd64-secureboot.iso", "1.5.0-alpha.0"),
            ("metal-amd64-uki.efi", "1.5.0"),
            ("azure-amd64.qcow2", "1.13.0"),
            ("metal-amd64.ova.gz", "1.13.0"),
            ("hcloud-arm64.raw.tar.gz", "1.13.0"),
        ] {
            assert_eq!(check(path, text), Ok(()), "{path}");
        }
        for (path, text, message) in [
            ("nosuch-amd64.iso", "1.13.0", "unknown platform: \"nosuch\", use one of: metal, aws, gcp, "),
            ("-amd64.iso", "1.13.0", "unknown platform: \"\", "),
            ("iso-amd64.raw", "1.13.0", "unknown platform: \"iso\", "),
            ("metal-amd64-secureboot.iso", "1.4.9", "secure boot is not possible for Talos version v1.4.9: "),
            ("metal-amd64-uki.efi", "v1.4.9", "a UKI is not possible for Talos version v1.4.9: use 1.5.0"),
            (
                "metal-amd64.qcow2.tar.gz",
                "1.13.0",
                "a .tar.gz archive holds a raw disk: use .raw.tar.gz or .qcow2.gz",
            ),
        ] {
            let refused = check(path, text).unwrap_err();
            assert!(refused.starts_with(message), "{path}: {refused}");
        }
    }

    #[test]
    fn the_table_of_platforms_is_for_strict_servers() {
        let check = |path, text| check_offered(&request(path), &version(text));
        assert_eq!(check("metal-arm64.iso", "1.2.0"), Ok(()));
        let refused = check("hcloud-arm64.raw", "1.13.0").unwrap_err();
        assert_eq!(refused.to_string(), "platform hcloud has no arm64 machines");
        let refused = check("alibabacloud-amd64.qcow2", "1.14.0-beta.1").unwrap_err().to_string();
        assert_eq!(
            refused,
            "platform alibabacloud is supported from Talos 1.14.0-beta.2 on, not for 1.14.0-beta.1"
        );
        assert!(check("nosuch-amd64.iso", "1.13.0").is_err());
    }

    fn profile(path: &str, change: impl FnOnce(&mut Profile)) -> Profile {
        let mut profile = Profile::plain(request(path), version("1.13.0"));
        change(&mut profile);
        fill_defaults(&mut profile);
        profile
    }

    fn disk(path: &str, bootloader: Bootloader, sector_size: u64) -> Result<(), Refusal> {
        check_profile(&mut profile(path, |profile| {
            let image = profile.output.image.as_mut().unwrap();
            image.bootloader = bootloader;
            image.sector_size = sector_size;
        }))
    }

    #[test]
    fn disks() {
        let none = Bootloader::None;
        assert_eq!(disk("metal-arm64.raw", none, 0), Ok(()));
        assert_eq!(disk("metal-amd64.raw", Bootloader::DualBoot, 4096), Ok(()));
        assert_eq!(disk("metal-arm64.raw", Bootloader::DualBoot, 0), Err(Refusal::DualBootOnArm64));
        // Secure Boot overrides the choice, so there is nothing to refuse.
        assert_eq!(disk("metal-arm64-secureboot.raw", Bootloader::DualBoot, 0), Ok(()));
        for size in [1, 520, 1024, u64::MAX] {
            assert_eq!(disk("metal-amd64.raw", none, size), Err(Refusal::SectorSize(size)));
        }
    }

    #[test]
    fn meta_values() {
        let check = |path: &str, key: u8, text: &str| {
            let value = MetaValue { key, value: text.to_owned() };
            check_profile(&mut profile(path, |profile| profile.meta = vec![value]))
        };
        assert_eq!(check("metal-amd64.raw", 10, "a;b"), Ok(()));
        assert!(check("metal-amd64.iso", 10, "a;b").unwrap_err().to_string().contains("use a disk image"));
        assert_eq!(check("metal-amd64.raw", 0, "a"), Err(Refusal::Meta(MetaRefusal::KeyZero)));
        // From an overlay: dropped, so nothing is wrong with it.
        assert_eq!(check("installer-amd64.tar", 0, "a;b"), Ok(()));
    }

    #[test]
    fn the_builders_own_checks() {
        let old = Profile::plain(request("metal-amd64-secureboot.iso"), version("1.2.0"));
        let text = "secureboot is not supported for Talos version \"v1.2.0\"";
        assert_eq!(validate(&old).unwrap_err().to_string(), text);
        let args = profile("initramfs-amd64.xz", |profile| profile.extra_kernel_args = vec!["a".into()]);
        assert_eq!(validate(&args), Err(InvalidProfile::KernelArgs(Kind::Initramfs)));
        let meta = profile("installer-amd64.tar", |profile| profile.meta = vec![MetaValue::default()]);
        assert_eq!(validate(&meta), Err(InvalidProfile::Meta(Kind::Installer)));
        assert_eq!(validate(&profile("metal-amd64.raw", |_| {})), Ok(()));
    }
}
