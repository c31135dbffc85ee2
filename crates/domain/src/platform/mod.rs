//! Platforms and boards: where Talos runs, under which names, and what it needs there.

mod boards;
mod catalogue;
mod kernel_args;

pub use boards::{BOARDS, Board, DEFAULT_BOARD};
pub use catalogue::{HIDDEN, PLATFORMS};
pub(crate) use kernel_args::NVME_TIMEOUT;
pub use kernel_args::kernel_args;

use serde::Serialize;

use crate::arch::Arch;
use crate::asset::quoted;
use crate::version::TalosVersion;

/// A place that Talos runs in, named by the first part of an asset's path and by `talos.platform`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// The name in paths.
    pub name: &'static str,
    /// The name to show.
    pub label: &'static str,
    /// One sentence on what it runs on.
    pub description: &'static str,
    /// Path of its page below the documentation's base address; empty when there is none.
    pub documentation: &'static str,
    /// Architectures that exist there.
    pub architectures: &'static [Arch],
    /// Ending of the disk image that it takes, such as `raw.xz`; empty when it takes none.
    pub disk_suffix: &'static str,
    /// How machines can be booted there, in the order to offer them.
    pub boot_methods: &'static [BootMethod],
    /// Whether to offer Secure Boot.
    pub offers_secure_boot: bool,
    /// First version that knows the platform, as a text; empty for all.
    pub min_version: &'static str,
}

/// A way to start a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootMethod {
    /// From an ISO image.
    Iso,
    /// From a disk image.
    DiskImage,
    /// Over the network.
    Pxe,
}

/// A name that no platform has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown platform: {}", quoted(.0))]
pub struct UnknownPlatform(pub String);

impl Platform {
    /// The platform of this name, also those that are not offered to users.
    ///
    /// # Errors
    /// [`UnknownPlatform`]; names are case-sensitive.
    pub fn find(name: &str) -> Result<&'static Self, UnknownPlatform> {
        PLATFORMS
            .iter()
            .chain(&HIDDEN)
            .find(|platform| platform.name == name)
            .ok_or_else(|| UnknownPlatform(name.to_owned()))
    }

    /// The name in `talos.platform`, which differs for an old alias only.
    pub fn boot_name(&self) -> &'static str {
        match self.name {
            "packet" => "equinixMetal",
            name => name,
        }
    }

    /// Whether users of this version may be offered the platform (full order).
    pub fn is_offered_for(&self, version: &TalosVersion) -> bool {
        version.is_at_least(self.min_version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_platforms_by_their_exact_name() {
        for name in ["metal", "digital-ocean", "equinixMetal", "packet", "container"] {
            assert_eq!(Platform::find(name).unwrap().name, name);
        }
        assert_eq!(Platform::find("packet").unwrap().boot_name(), "equinixMetal");
        for name in ["", "Metal", "nosuch", "metal "] {
            let error = Platform::find(name).unwrap_err();
            assert_eq!(error.to_string(), format!("unknown platform: {name:?}"));
        }
    }

    #[test]
    fn minimum_versions_are_versions() {
        let minimums = PLATFORMS.iter().map(|p| p.min_version).chain(BOARDS.iter().map(|b| b.min_version));
        for min in minimums.filter(|min| !min.is_empty()) {
            assert!(TalosVersion::parse(min).is_ok(), "{min}");
        }
        let version = |text| TalosVersion::parse(text).unwrap();
        let cloudstack = Platform::find("cloudstack").unwrap();
        assert!(!cloudstack.is_offered_for(&version("1.8.0-alpha.1")));
        assert!(cloudstack.is_offered_for(&version("1.8.0-alpha.2")));
        assert!(Platform::find("metal").unwrap().is_offered_for(&version("1.0.0")));
    }

    #[test]
    fn suffixes_give_paths_that_parse() {
        for platform in &PLATFORMS {
            for arch in platform.architectures {
                let path = format!("{}-{arch}.{}", platform.name, platform.disk_suffix);
                let parsed = crate::asset::AssetPath::parse(&path);
                assert_eq!(parsed.is_ok(), !platform.disk_suffix.is_empty(), "{path}");
            }
        }
    }
}
