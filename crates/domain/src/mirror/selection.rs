//! Which versions somebody means.
//!
//! | written | means |
//! |---|---|
//! | `v1.12.4`, `1.14.0-alpha.2` | this version |
//! | `v1.12.*`, `1.12` | all releases of this minor version |
//! | `v1.11.0..v1.12.4`, `1.11.0..` | all releases from the first to the second, both included |
//! | `latest` | the newest release |
//!
//! Several are joined by commas. Pre-releases are meant only where they are named.

use std::str::FromStr;

use crate::asset::quoted;
use crate::version::{TalosVersion, latest};

/// Versions as somebody wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionSelection {
    terms: Vec<(String, Term)>,
}

/// A text that selects nothing that could exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is no version: write v1.12.4, v1.12.* for all releases of 1.12, v1.11.0..v1.12.4 for a range, or latest",
    quoted(.0)
)]
pub struct InvalidSelection(pub String);

/// A part of a selection that fits no version on offer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no version fits {}; on offer are: {}", quoted(term), offered.join(", "))]
pub struct NoSuchVersion {
    /// The part.
    pub term: String,
    /// What there is instead.
    pub offered: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    Exact(TalosVersion),
    Minor(u64, u64),
    Range(TalosVersion, Option<TalosVersion>),
    Latest,
}

impl FromStr for VersionSelection {
    type Err = InvalidSelection;

    fn from_str(text: &str) -> Result<Self, InvalidSelection> {
        let terms = text.split(',').map(str::trim).map(|term| Ok((term.to_owned(), read(term)?)));
        Ok(Self { terms: terms.collect::<Result<_, _>>()? })
    }
}

fn read(term: &str) -> Result<Term, InvalidSelection> {
    let invalid = || InvalidSelection(term.to_owned());
    let version = |text: &str| TalosVersion::parse(text.trim()).map_err(|_| invalid());
    if term == "latest" {
        return Ok(Term::Latest);
    }
    if let Some((from, to)) = term.split_once("..") {
        let to = if to.trim().is_empty() { None } else { Some(version(to)?) };
        return Ok(Term::Range(version(from)?, to));
    }
    let plain = term.strip_prefix('v').unwrap_or(term);
    let minor = plain.strip_suffix(".*").unwrap_or(plain);
    if let Some((major, minor)) = minor.split_once('.')
        && let (Ok(major), Ok(minor)) = (major.parse(), minor.parse())
    {
        return Ok(Term::Minor(major, minor));
    }
    Ok(Term::Exact(version(term)?))
}

impl Term {
    fn fits(&self, version: &TalosVersion, newest: Option<&TalosVersion>) -> bool {
        let is_release = !version.is_pre_release();
        match self {
            Self::Exact(wanted) => wanted == version,
            Self::Minor(major, minor) => {
                let (of_major, of_minor, _) = version.core();
                is_release && (*major, *minor) == (of_major, of_minor)
            }
            Self::Range(from, to) => {
                is_release && version >= from && to.as_ref().is_none_or(|to| version <= to)
            }
            Self::Latest => newest == Some(version),
        }
    }
}

impl VersionSelection {
    /// The versions on offer that are meant, ascending.
    ///
    /// # Errors
    /// [`NoSuchVersion`] for a part that fits none.
    pub fn choose(&self, offered: &[TalosVersion]) -> Result<Vec<TalosVersion>, NoSuchVersion> {
        let newest = latest(offered);
        let mut chosen = Vec::new();
        for (term, rule) in &self.terms {
            let before = chosen.len();
            chosen.extend(offered.iter().filter(|version| rule.fits(version, newest)).cloned());
            if chosen.len() == before {
                let offered = offered.iter().map(TalosVersion::tag).collect();
                return Err(NoSuchVersion { term: term.clone(), offered });
            }
        }
        chosen.sort();
        chosen.dedup();
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered() -> Vec<TalosVersion> {
        ["1.11.0", "1.11.5", "1.12.0", "1.12.4", "1.13.0-beta.0", "1.13.0-rc.0"]
            .map(|text| TalosVersion::parse(text).unwrap())
            .to_vec()
    }

    fn chosen(text: &str) -> Vec<String> {
        let selection: VersionSelection = text.parse().unwrap();
        selection.choose(&offered()).unwrap().iter().map(TalosVersion::tag).collect()
    }

    #[test]
    fn what_can_be_written() {
        assert_eq!(chosen("v1.12.4"), ["v1.12.4"]);
        assert_eq!(chosen("1.13.0-rc.0"), ["v1.13.0-rc.0"]);
        for minor in ["v1.12.*", "1.12.*", "1.12", "v1.12"] {
            assert_eq!(chosen(minor), ["v1.12.0", "v1.12.4"], "{minor}");
        }
        assert_eq!(chosen("v1.11.5..v1.12.0"), ["v1.11.5", "v1.12.0"]);
        assert_eq!(chosen("1.11.1.. "), ["v1.11.5", "v1.12.0", "v1.12.4"], "no pre-releases by accident");
        assert_eq!(chosen("latest"), ["v1.12.4"]);
        assert_eq!(chosen("latest, v1.12.*,v1.11.0"), ["v1.11.0", "v1.12.0", "v1.12.4"], "each once");
    }

    #[test]
    fn what_fits_nothing_is_told() {
        for (text, term) in [("v1.99.0", "v1.99.0"), ("v1.12.4,1.13.*", "1.13.*"), ("1.12.5..", "1.12.5..")] {
            let selection: VersionSelection = text.parse().unwrap();
            let error = selection.choose(&offered()).unwrap_err();
            assert_eq!(error.term, term);
            assert!(error.to_string().contains("v1.12.4"), "{error}");
        }
        assert!("latest".parse::<VersionSelection>().unwrap().choose(&[]).is_err());
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in
            ["", "x", "v1.12.4,", "1.x", "*", "..", "..1.2.3", "1.12.4..x", "v1.12.4 v1.12.5", "1.2.3.4"]
        {
            assert!(text.parse::<VersionSelection>().is_err(), "{text}");
        }
    }
}
