//! Features that are offered to users from some version on.
//!
//! These are about offering, so they compare in full order: a pre-release that came before the feature
//! is not offered it. Whether something *works* is a question for [`super::Quirks`].

use super::TalosVersion;

/// Something that users are offered (`21-quirks.md` §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Images for Secure Boot.
    SecureBoot,
    /// The link to the production guide.
    ProductionGuide,
    /// The link to the troubleshooting guide.
    Troubleshooting,
    /// The choice of a boot loader.
    BootloaderChoice,
    /// A list of what is inside.
    Sbom,
    /// Statements about vulnerabilities, and scans.
    Vex,
    /// Evidence beside installer images.
    InstallerEvidence,
}

impl Feature {
    /// First version that has it: numbers, and the pre-release of it that was the first.
    const fn since(self) -> &'static str {
        match self {
            Self::SecureBoot | Self::ProductionGuide => "1.5.0",
            Self::Troubleshooting => "1.6.0",
            Self::Sbom => "1.11.0",
            Self::BootloaderChoice => "1.12.0-alpha.2",
            Self::Vex | Self::InstallerEvidence => "1.13.0",
        }
    }

    /// Whether users of this version may be offered it.
    pub fn is_offered_for(self, version: &TalosVersion) -> bool {
        version.is_at_least(self.since())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offered_in_full_order() {
        for (feature, before, since) in [
            (Feature::SecureBoot, "1.5.0-rc.0", "1.5.0"),
            (Feature::ProductionGuide, "1.4.8", "1.5.0"),
            (Feature::Troubleshooting, "1.6.0-beta.1", "1.6.0"),
            (Feature::BootloaderChoice, "1.12.0-alpha.1", "1.12.0-alpha.2"),
            (Feature::Sbom, "1.11.0-rc.0", "1.11.0"),
            (Feature::Vex, "1.12.9", "1.13.0"),
            (Feature::InstallerEvidence, "1.13.0-rc.0", "2.0.0-alpha.0"),
        ] {
            let is_offered = |text| feature.is_offered_for(&TalosVersion::parse(text).unwrap());
            assert!(!is_offered(before) && is_offered(since), "{feature:?}");
        }
    }
}
