//! Talos versions: reading them, comparing them, and what each of them can do.
//!
//! There are two ways to compare. The **full** order is that of semantic versioning, pre-releases
//! before their release; it decides which versions are offered. Rules about behaviour compare the
//! **core** (major, minor, patch) only, so that `v1.14.0-alpha.1` behaves like 1.14.0; see [`Quirks`].

mod feature;
mod list;
mod quirks;

pub use feature::Feature;
pub use list::{Availability, availability, latest, usable_versions};
pub use quirks::{PartitionSizes, Quirks};

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::asset::quoted;

/// A Talos version. Keeps the text it was read from, because that text names files, labels and tags;
/// two versions are equal when their order is, whatever their build metadata.
#[derive(Clone)]
pub struct TalosVersion {
    version: semver::Version,
    /// Without a leading `v`.
    text: String,
}

/// Major, minor and patch number.
pub type Core = (u64, u64, u64);

/// A text that cannot name a Talos version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid version {}: {reason}", quoted(text))]
pub struct InvalidVersion {
    text: String,
    reason: String,
}

/// Longest version text that is looked at. Tags have at most 128 characters.
const MAX_TEXT: usize = 128;

impl TalosVersion {
    /// Reads `1.13.0` or `v1.13.0`: exactly three numbers without leading zeros, optionally a
    /// pre-release and build metadata (semantic versioning 2.0.0).
    ///
    /// # Errors
    /// [`InvalidVersion`] says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, InvalidVersion> {
        Self::read(text, text.strip_prefix('v').unwrap_or(text))
    }

    /// Reads a version the way registry tags and old clients write it: surrounding blanks, one leading
    /// `v`, leading zeros, and a missing minor or patch number are fine.
    ///
    /// # Errors
    /// [`InvalidVersion`] says what is wrong with the text.
    pub fn parse_tolerant(text: &str) -> Result<Self, InvalidVersion> {
        let trimmed = text.trim();
        let trimmed = trimmed.strip_prefix('v').unwrap_or(trimmed);
        let mut parts: Vec<String> = trimmed.splitn(3, '.').map(without_leading_zeros).collect();
        if parts.len() < 3 {
            if parts.last().is_some_and(|part| part.contains(['-', '+'])) {
                let reason = "a pre-release or build part needs all three numbers before it".to_owned();
                return Err(InvalidVersion { text: shortened(text), reason });
            }
            parts.resize(3, "0".to_owned());
        }
        Self::read(text, &parts.join("."))
    }

    fn read(original: &str, text: &str) -> Result<Self, InvalidVersion> {
        let invalid = |reason: String| InvalidVersion { text: shortened(original), reason };
        if text.len() > MAX_TEXT {
            return Err(invalid(format!("longer than {MAX_TEXT} characters")));
        }
        let version = semver::Version::parse(text).map_err(|error| invalid(error.to_string()))?;
        let too_large = |id: &str| id.bytes().all(|b| b.is_ascii_digit()) && id.parse::<u64>().is_err();
        if !version.pre.is_empty() && version.pre.split('.').any(too_large) {
            return Err(invalid("a pre-release number is too large".to_owned()));
        }
        Ok(Self { version, text: text.to_owned() })
    }

    /// The text without `v`, as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text with `v`, which is the tag of all images of this release.
    pub fn tag(&self) -> String {
        format!("v{}", self.text)
    }

    /// Major, minor and patch number.
    pub fn core(&self) -> Core {
        (self.version.major, self.version.minor, self.version.patch)
    }

    /// The dot-separated parts behind `-`, none for a release.
    pub fn pre_release(&self) -> impl Iterator<Item = &str> {
        self.version.pre.split('.').filter(|part| !part.is_empty())
    }

    /// Whether the version comes before a release.
    pub fn is_pre_release(&self) -> bool {
        !self.version.pre.is_empty()
    }

    /// Whether this version is not before the one that `min` names in our own tables, in full order. An
    /// empty text names none.
    pub(crate) fn is_at_least(&self, min: &'static str) -> bool {
        // Tests read every text of the tables, so a text that names no version is empty.
        Self::parse(min).map_or(true, |min| *self >= min)
    }

    /// What this version can do.
    pub fn quirks(&self) -> Quirks {
        Quirks::of(self.core())
    }

    /// Refuses a version that no release can have: `+` cannot stand in a tag.
    ///
    /// # Errors
    /// [`InvalidVersion`] when there is build metadata.
    pub fn check_tag(&self) -> Result<(), InvalidVersion> {
        if self.version.build.is_empty() {
            return Ok(());
        }
        let reason = "releases have no build metadata, leave out the part from \"+\" on".to_owned();
        Err(InvalidVersion { text: self.text.clone(), reason })
    }
}

fn without_leading_zeros(part: &str) -> String {
    let stripped = part.trim_start_matches('0');
    if stripped.starts_with(|c: char| c.is_ascii_digit()) || stripped.len() == part.len() {
        stripped.to_owned()
    } else {
        format!("0{stripped}")
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

impl PartialEq for TalosVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for TalosVersion {}

impl PartialOrd for TalosVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TalosVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.version.cmp_precedence(&other.version)
    }
}

impl Hash for TalosVersion {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.core().hash(state);
        self.version.pre.hash(state);
    }
}

/// Without `v`; see [`TalosVersion::tag`].
impl fmt::Display for TalosVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for TalosVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> TalosVersion {
        TalosVersion::parse(text).unwrap()
    }

    #[test]
    fn keeps_the_text_and_takes_one_v() {
        for text in ["1.13.0", "v1.13.0"] {
            assert_eq!(version(text).as_str(), "1.13.0");
            assert_eq!(version(text).tag(), "v1.13.0");
        }
        assert_eq!(version("v1.14.0-rc.1-5-gabc").core(), (1, 14, 0));
    }

    #[test]
    fn refuses_what_is_no_version() {
        for text in [
            "",
            "v",
            "latest",
            "1.13",
            "vv1.13.0",
            "V1.13.0",
            "1.013.0",
            "1.13.0-",
            "1.13.0-a..b",
            "1.13.0-01",
            "1.13.0+",
            " 1.13.0",
            "1.13.0 ",
            "1.13.x",
            "20240101",
            "1.2.3.4",
            "-1.2.3",
            "99999999999999999999.0.0",
            "1.0.0-99999999999999999999",
            "1.0.0-é",
        ] {
            assert!(TalosVersion::parse(text).is_err(), "{text}");
        }
        let long = format!("1.0.0-{}", "a".repeat(MAX_TEXT));
        assert!(TalosVersion::parse(&long).unwrap_err().to_string().len() < 300);
    }

    #[test]
    fn the_error_names_the_text() {
        let error = TalosVersion::parse("1.13").unwrap_err().to_string();
        assert!(error.starts_with("invalid version \"1.13\": "), "{error}");
    }

    #[test]
    fn tolerant_reading() {
        for (text, normal) in [
            ("1.8", "1.8.0"),
            ("2", "2.0.0"),
            (" v1.8.0 ", "1.8.0"),
            ("1.09.01", "1.9.1"),
            ("00.0.000", "0.0.0"),
            ("v1.14.0-alpha.1", "1.14.0-alpha.1"),
            ("1.2.0-alpha.1+b", "1.2.0-alpha.1+b"),
            ("20240101", "20240101.0.0"),
        ] {
            assert_eq!(TalosVersion::parse_tolerant(text).unwrap().as_str(), normal, "{text}");
        }
        for text in ["", "vv1", "1.8-rc.1", "1+b", "latest", "sha256-00.sig", "1.2.3.4", "1..2"] {
            assert!(TalosVersion::parse_tolerant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn full_order() {
        let ascending = [
            "1.2.0-alpha.0",
            "1.2.0-alpha.2",
            "1.2.0-alpha.10",
            "1.2.0-alpha.10.x",
            "1.2.0-alpha.beta",
            "1.2.0-beta.0",
            "1.2.0-rc.0",
            "1.2.0",
            "1.2.1",
            "1.10.0",
            "2.0.0",
        ];
        for pair in ascending.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn build_metadata_counts_nowhere_but_cannot_be_a_tag() {
        let plain = version("1.13.0");
        let built = version("1.13.0+x");
        assert_eq!(plain, built);
        assert!(plain.check_tag().is_ok());
        assert!(built.check_tag().unwrap_err().to_string().contains("build metadata"));
    }

    proptest! {
        #[test]
        fn strict_texts_read_the_same_tolerantly(text in "v?[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}(-[a-z0-9.]{1,8})?") {
            if let Ok(strict) = TalosVersion::parse(&text) {
                let tolerant = TalosVersion::parse_tolerant(&text).unwrap();
                prop_assert_eq!(tolerant.as_str(), strict.as_str());
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = TalosVersion::parse(&text);
            let _ = TalosVersion::parse_tolerant(&text);
        }
    }
}
