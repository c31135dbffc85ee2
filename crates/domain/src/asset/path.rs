//! The last part of an asset's address, such as `metal-amd64-secureboot.raw.zst` (`20-profiles.md` §2).

use std::fmt;

use super::quoted;
use crate::arch::{Arch, InvalidArch};
use crate::profile::{Compression, DiskFormat, Kind, Output, Request, built_in_image};

/// An asset as its path names it. [`AssetPath::parse`] and `Display` are each other's inverse, up to
/// aliases.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AssetPath {
    /// `kernel-<arch>`.
    Kernel(Arch),
    /// `initramfs-<arch>.xz`, whatever it is compressed with.
    Initramfs(Arch),
    /// `cmdline-<target>`.
    Cmdline(Target),
    /// `<target>.iso`.
    Iso(Target),
    /// `<target>-uki.efi`.
    Uki(Target),
    /// `<platform>-installer-<arch>[-secureboot].tar`; for metal the platform may be left out.
    Installer(Target),
    /// `<target>.<format>[<compression>]`.
    Disk {
        /// What it is for.
        target: Target,
        /// Format of the disk.
        format: DiskFormat,
        /// What it is packed in.
        compression: Compression,
    },
}

/// What an asset is for, written `<platform>-<arch>[-secureboot]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Platform as written; it need not exist.
    pub platform: String,
    /// Architecture.
    pub arch: Arch,
    /// Whether the machine checks signatures.
    pub secure_boot: bool,
}

/// Why a path names no asset. The texts are part of the HTTP interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPath {
    /// No form fits.
    #[error("invalid profile path: {}", quoted(.0))]
    Unknown(String),
    /// A platform and an architecture are missing.
    #[error("invalid platform-arch: {}", quoted(.0))]
    Target(String),
    /// There is no such architecture.
    #[error(transparent)]
    Arch(#[from] InvalidArch),
}

const SECURE_BOOT: &str = "-secureboot";

impl Target {
    /// Reads `<platform>-<arch>[-secureboot]`.
    ///
    /// # Errors
    /// [`InvalidPath`]; whether the platform exists is not asked here.
    pub fn parse(text: &str) -> Result<Self, InvalidPath> {
        let (text, secure_boot) = cut(text, SECURE_BOOT);
        let (platform, arch) = text.split_once('-').ok_or_else(|| InvalidPath::Target(text.to_owned()))?;
        // The only platform with a dash in its name.
        let (platform, arch) = match arch.strip_prefix("ocean-") {
            Some(arch) if platform == "digital" => ("digital-ocean", arch),
            _ => (platform, arch),
        };
        Ok(Self { platform: platform.to_owned(), arch: arch.parse()?, secure_boot })
    }

    fn metal(arch: Arch, secure_boot: bool) -> Self {
        Self { platform: "metal".to_owned(), arch, secure_boot }
    }
}

fn cut<'a>(text: &'a str, suffix: &str) -> (&'a str, bool) {
    text.strip_suffix(suffix).map_or((text, false), |rest| (rest, true))
}

impl AssetPath {
    /// Reads a path without sidecar suffix, exactly as the reference does: forms are tried in a fixed
    /// order, and one whose beginning fits does not fall back to another.
    ///
    /// # Errors
    /// [`InvalidPath`]; neither platform nor version is looked at here.
    pub fn parse(path: &str) -> Result<Self, InvalidPath> {
        if let Some(arch) = path.strip_prefix("kernel-") {
            return Ok(Self::Kernel(arch.parse()?));
        }
        if let Some(target) = path.strip_prefix("cmdline-") {
            return Ok(Self::Cmdline(Target::parse(target)?));
        }
        if let Some(arch) = path.strip_prefix("initramfs-").and_then(|rest| rest.strip_suffix(".xz")) {
            return Ok(Self::Initramfs(arch.parse()?));
        }
        if let Some(target) = path.strip_suffix(".iso") {
            return Ok(Self::Iso(Target::parse(target)?));
        }
        if let Some(target) = path.strip_suffix("-uki.efi") {
            return Ok(Self::Uki(Target::parse(target)?));
        }
        if let Some(stem) = path.strip_suffix(".tar") {
            if let Some(arch) = stem.strip_prefix("installer-") {
                let (arch, secure_boot) = cut(arch, SECURE_BOOT);
                return Ok(Self::Installer(Target::metal(arch.parse()?, secure_boot)));
            }
            if let Some((platform, arch)) = stem.split_once("-installer-") {
                return Ok(Self::Installer(Target::parse(&format!("{platform}-{arch}"))?));
            }
        }
        Self::parse_disk(path)
    }

    fn parse_disk(path: &str) -> Result<Self, InvalidPath> {
        let (stem, compression) = Compression::PACKED
            .into_iter()
            .find_map(|compression| Some((path.strip_suffix(compression.suffix())?, compression)))
            .unwrap_or((path, Compression::None));
        let (target, format) = DiskFormat::ALL
            .into_iter()
            .find_map(|format| Some((stem.strip_suffix(format.as_str())?.strip_suffix('.')?, format)))
            .ok_or_else(|| InvalidPath::Unknown(stem.to_owned()))?;
        Ok(Self::Disk { target: Target::parse(target)?, format, compression })
    }

    /// [`Self::parse`], and the names that we take beyond it: `aarch64` for `arm64`.
    ///
    /// # Errors
    /// [`InvalidPath`] about the path as it was given.
    pub fn accept(path: &str) -> Result<Self, InvalidPath> {
        Self::parse(path).or_else(|error| {
            let renamed = path.replacen("-aarch64", "-arm64", 1);
            if renamed == path { Err(error) } else { Self::parse(&renamed).map_err(|_| error) }
        })
    }

    /// What the asset is for. Kernel and initramfs are the same on all platforms and count as metal.
    pub fn target(&self) -> Target {
        match self {
            Self::Kernel(arch) | Self::Initramfs(arch) => Target::metal(*arch, false),
            Self::Cmdline(target)
            | Self::Iso(target)
            | Self::Uki(target)
            | Self::Installer(target)
            | Self::Disk { target, .. } => target.clone(),
        }
    }

    /// What to make, before a schematic adds to it.
    pub fn request(&self) -> Request {
        let Target { platform, arch, secure_boot } = self.target();
        let output = match self {
            Self::Kernel(_) => Output::of(Kind::Kernel),
            Self::Initramfs(_) => Output::of(Kind::Initramfs),
            Self::Cmdline(_) => Output::of(Kind::Cmdline),
            Self::Iso(_) => Output::of(Kind::Iso),
            Self::Uki(_) => Output::of(Kind::Uki),
            Self::Installer(_) => Output::of(Kind::Installer),
            Self::Disk { format, compression, .. } => {
                Output::image(built_in_image(&platform, *format), *compression)
            }
        };
        Request { platform, arch, secure_boot, output }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { platform, arch, secure_boot } = self;
        write!(f, "{platform}-{arch}{}", if *secure_boot { SECURE_BOOT } else { "" })
    }
}

impl fmt::Display for AssetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(arch) => write!(f, "kernel-{arch}"),
            Self::Initramfs(arch) => write!(f, "initramfs-{arch}.xz"),
            Self::Cmdline(target) => write!(f, "cmdline-{target}"),
            Self::Iso(target) => write!(f, "{target}.iso"),
            Self::Uki(target) => write!(f, "{target}-uki.efi"),
            Self::Installer(Target { platform, arch, secure_boot }) => {
                let prefix = if platform == "metal" { "" } else { &format!("{platform}-") };
                write!(f, "{prefix}installer-{arch}{}.tar", if *secure_boot { SECURE_BOOT } else { "" })
            }
            Self::Disk { target, format, compression } => {
                write!(f, "{target}.{}{}", format.as_str(), compression.suffix())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{HIDDEN, PLATFORMS};
    use proptest::prelude::*;

    fn error(path: &str) -> String {
        AssetPath::parse(path).unwrap_err().to_string()
    }

    #[test]
    fn forms() {
        let path = AssetPath::parse("digital-ocean-installer-amd64-secureboot.tar").unwrap();
        let target = Target { platform: "digital-ocean".into(), arch: Arch::Amd64, secure_boot: true };
        assert_eq!(path, AssetPath::Installer(target));
        assert_eq!(AssetPath::parse("kernel-x86_64").unwrap(), AssetPath::Kernel(Arch::Amd64));
        assert_eq!(AssetPath::parse("metal-installer-amd64.tar").unwrap().to_string(), "installer-amd64.tar");
    }

    #[test]
    fn a_form_that_begins_right_does_not_fall_back() {
        assert_eq!(error("kernel-amd64.iso"), "invalid architecture: \"amd64.iso\"");
        assert_eq!(error("initramfs-amd64.raw.xz"), "invalid architecture: \"amd64.raw\"");
        assert_eq!(error("metal-amd64.foo.xz"), "invalid profile path: \"metal-amd64.foo\"");
        assert_eq!(error("metal-secureboot.iso"), "invalid platform-arch: \"metal\"");
    }

    #[test]
    fn aarch64_is_ours() {
        assert_eq!(error("metal-aarch64.iso"), "invalid architecture: \"aarch64\"");
        for (path, same) in [
            ("metal-aarch64.iso", "metal-arm64.iso"),
            ("kernel-aarch64", "kernel-arm64"),
            ("initramfs-aarch64.xz", "initramfs-arm64.xz"),
            ("aws-installer-aarch64-secureboot.tar", "aws-installer-arm64-secureboot.tar"),
            ("metal-amd64.iso", "metal-amd64.iso"),
        ] {
            assert_eq!(AssetPath::accept(path), AssetPath::parse(same), "{path}");
        }
        assert_eq!(AssetPath::accept("metal-aarch64.foo"), AssetPath::parse("metal-aarch64.foo"));
    }

    fn targets() -> impl Strategy<Value = Target> {
        let names: Vec<&str> = PLATFORMS.iter().chain(&HIDDEN).map(|p| p.name).collect();
        let arch = prop::sample::select(Arch::ALL.to_vec());
        (prop::sample::select(names), arch, any::<bool>()).prop_map(|(name, arch, secure_boot)| Target {
            platform: name.to_owned(),
            arch,
            secure_boot,
        })
    }

    fn paths() -> impl Strategy<Value = AssetPath> {
        let arch = prop::sample::select(Arch::ALL.to_vec());
        let format = prop::sample::select(DiskFormat::ALL.to_vec());
        let mut packings = Compression::PACKED.to_vec();
        packings.push(Compression::None);
        prop_oneof![
            arch.clone().prop_map(AssetPath::Kernel),
            arch.prop_map(AssetPath::Initramfs),
            targets().prop_map(AssetPath::Cmdline),
            targets().prop_map(AssetPath::Iso),
            targets().prop_map(AssetPath::Uki),
            targets().prop_map(AssetPath::Installer),
            (targets(), format, prop::sample::select(packings))
                .prop_map(|(target, format, compression)| AssetPath::Disk { target, format, compression }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(path in paths()) {
            prop_assert_eq!(AssetPath::parse(&path.to_string()), Ok(path.clone()));
            prop_assert_eq!(AssetPath::accept(&path.to_string()), Ok(path));
        }

        #[test]
        fn what_is_read_prints_as_something_equal(
            path in "(kernel-|cmdline-|initramfs-|installer-)?[a-z]{0,3}-?(installer-|ocean-)?(amd64|arm64|i386|x)(-secureboot)?(\\.raw|\\.ova|\\.tar|\\.iso|-uki\\.efi)?(\\.xz|\\.tar\\.gz)?"
        ) {
            if let Ok(read) = AssetPath::parse(&path) {
                prop_assert_eq!(AssetPath::parse(&read.to_string()), Ok(read));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(path in ".{0,60}") {
            let _ = AssetPath::accept(&path);
        }
    }
}
