//! Which images of a release a factory needs, and for which machines.

use crate::ports::Descriptor;
use crate::{Arch, TalosVersion};

/// An image of the release itself (`50-artifacts.md` §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// Base of installers from 1.10 on.
    InstallerBase,
    /// Installer, the base of installers before.
    Installer,
    /// List of extensions.
    Extensions,
    /// List of overlays.
    Overlays,
    /// Command line clients.
    Talosctl,
    /// Boot assets.
    Imager,
}

impl Component {
    /// For which platforms this image is needed when these are asked for. The factory reads lists and boot
    /// files out of the image for amd64, whatever machine it makes something for.
    pub fn platforms(self, asked: &Platforms) -> Platforms {
        match self {
            Self::InstallerBase | Self::Installer => asked.clone(),
            Self::Extensions | Self::Overlays | Self::Talosctl | Self::Imager => asked.and(Arch::Amd64),
        }
    }
}

/// The images of a release, the imager last: a version is on offer as soon as the imager has its tag, so
/// that must not be before all the others are there.
pub fn components_of(version: &TalosVersion) -> Vec<Component> {
    let quirks = version.quirks();
    let base = if quirks.has_unified_installer() { Component::InstallerBase } else { Component::Installer };
    let mut components = vec![base, Component::Extensions];
    if quirks.has_overlays() {
        components.push(Component::Overlays);
    }
    if quirks.has_talosctl() {
        components.push(Component::Talosctl);
    }
    components.push(Component::Imager);
    components
}

/// Which entries of an index are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platforms {
    /// `None` stands for everything there is, attestations included.
    arches: Option<Vec<Arch>>,
}

impl Platforms {
    /// All there are.
    pub const ALL: Self = Self { arches: None };

    /// Linux on these architectures; all there are when the list is empty.
    pub fn of(arches: &[Arch]) -> Self {
        Self { arches: (!arches.is_empty()).then(|| arches.to_vec()) }
    }

    /// These and one more.
    #[must_use]
    pub fn and(&self, arch: Arch) -> Self {
        let mut arches = self.arches.clone();
        if let Some(arches) = arches.as_mut().filter(|arches| !arches.contains(&arch)) {
            arches.push(arch);
        }
        Self { arches }
    }

    /// Both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        match (&self.arches, &other.arches) {
            (Some(_), Some(arches)) => arches.iter().fold(self.clone(), |all, arch| all.and(*arch)),
            _ => Self::ALL,
        }
    }

    /// Whether an entry is wanted. One without a platform counts as linux/amd64.
    pub fn wants(&self, entry: &Descriptor) -> bool {
        let Some(arches) = &self.arches else { return true };
        match &entry.platform {
            Some(platform) => {
                platform.os == "linux" && arches.iter().any(|arch| arch.as_str() == platform.architecture)
            }
            None => arches.contains(&Arch::Amd64),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use factory_formats::Digest;

    use super::*;
    use crate::ports::Platform;

    fn entry(platform: Option<(&str, &str)>) -> Descriptor {
        Descriptor {
            media_type: String::new(),
            digest: Digest::of(b""),
            size: 0,
            platform: platform
                .map(|(os, arch)| Platform { os: os.to_owned(), architecture: arch.to_owned() }),
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn what_belongs_to_a_version() {
        use Component::{Extensions, Imager, Installer, InstallerBase, Overlays, Talosctl};
        for (version, components) in [
            ("v1.6.7", &[Installer, Extensions, Imager][..]),
            ("v1.9.5", &[Installer, Extensions, Overlays, Imager]),
            ("v1.10.0", &[InstallerBase, Extensions, Overlays, Imager]),
            ("v1.12.4", &[InstallerBase, Extensions, Overlays, Talosctl, Imager]),
        ] {
            assert_eq!(components_of(&TalosVersion::parse(version).unwrap()), components, "{version}");
        }
    }

    #[test]
    fn platforms() {
        let (amd64, arm64) = (entry(Some(("linux", "amd64"))), entry(Some(("linux", "arm64"))));
        let (attestation, bare) = (entry(Some(("unknown", "unknown"))), entry(None));
        let wanted =
            |platforms: &Platforms| [&amd64, &arm64, &attestation, &bare].map(|entry| platforms.wants(entry));
        assert_eq!(wanted(&Platforms::of(&[])), [true; 4]);
        let arm = Platforms::of(&[Arch::Arm64]);
        assert_eq!(wanted(&arm), [false, true, false, false]);
        // Lists and boot files are read out of the image for amd64.
        assert_eq!(wanted(&Component::Imager.platforms(&arm)), [true, true, false, true]);
        assert_eq!(wanted(&Component::InstallerBase.platforms(&arm)), [false, true, false, false]);
        assert_eq!(wanted(&arm.union(&Platforms::of(&[Arch::Amd64]))), [true, true, false, true]);
        assert_eq!(arm.union(&Platforms::ALL), Platforms::ALL);
    }
}
