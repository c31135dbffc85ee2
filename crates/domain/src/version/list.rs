//! Which versions are offered, out of the tags that a registry has.

use super::TalosVersion;

/// Versions to offer, ascending, each once (`50-artifacts.md` §3).
///
/// Offered is every release, and of the pre-releases those of the newest minor version whose second
/// part is a number: `alpha.N`, `beta.N`, `rc.N`. Left out is what comes before `min` and what is in
/// `broken`. Tags that are not exactly `v` and a version are no releases and count for nothing, so
/// that a tag such as `20240101` cannot pass for the newest version.
pub fn usable_versions<'a>(
    tags: impl IntoIterator<Item = &'a str>,
    min: &TalosVersion,
    broken: &[TalosVersion],
) -> Vec<TalosVersion> {
    let mut versions: Vec<TalosVersion> = tags.into_iter().filter_map(release_tag).collect();
    versions.sort();
    versions.dedup();
    // Taken before anything is left out: a broken pre-release still opens its series.
    let Some(newest) = versions.last().map(TalosVersion::core) else { return Vec::new() };
    versions.retain(|version| {
        version >= min
            && !broken.contains(version)
            && (!version.is_pre_release() || is_listed_pre_release(version, (newest.0, newest.1)))
    });
    versions
}

fn release_tag(tag: &str) -> Option<TalosVersion> {
    let version = TalosVersion::parse(tag.strip_prefix('v')?).ok()?;
    (version.check_tag().is_ok() && version.tag() == tag).then_some(version)
}

fn is_listed_pre_release(version: &TalosVersion, newest: (u64, u64)) -> bool {
    let (major, minor, _) = version.core();
    let parts: Vec<&str> = version.pre_release().collect();
    (major, minor) == newest
        && matches!(parts.as_slice(), ["alpha" | "beta" | "rc", number]
            if number.bytes().all(|b| b.is_ascii_digit()))
}

/// The newest release among offered versions, which the tag `latest` stands for.
pub fn latest(versions: &[TalosVersion]) -> Option<&TalosVersion> {
    versions.iter().filter(|version| !version.is_pre_release()).max()
}

/// Whether a version may be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It is offered.
    Offered,
    /// The operator has withdrawn it.
    Broken {
        /// The next offered patch release of the same minor version, if any.
        instead: Option<TalosVersion>,
    },
    /// There is no such release, or it is too old.
    Unknown,
}

/// Looks a version up in the list of [`usable_versions`] and in the list of broken ones.
pub fn availability(
    version: &TalosVersion,
    offered: &[TalosVersion],
    broken: &[TalosVersion],
) -> Availability {
    if broken.contains(version) {
        let (major, minor, _) = version.core();
        let instead = offered
            .iter()
            .filter(|other| *other > version && !other.is_pre_release())
            .filter(|other| (other.core().0, other.core().1) == (major, minor))
            .min();
        return Availability::Broken { instead: instead.cloned() };
    }
    if offered.contains(version) { Availability::Offered } else { Availability::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> TalosVersion {
        TalosVersion::parse(text).unwrap()
    }

    fn usable(tags: &[&str], min: &str, broken: &[&str]) -> Vec<String> {
        let broken: Vec<_> = broken.iter().map(|text| version(text)).collect();
        usable_versions(tags.iter().copied(), &version(min), &broken).iter().map(TalosVersion::tag).collect()
    }

    const TAGS: [&str; 7] = [
        "v1.9.5",
        "v1.10.0",
        "v1.11.0-alpha.1",
        "v1.11.0-alpha.1-3-gabc",
        "v1.10.1-rc.0",
        "latest",
        "sha256-00.sig",
    ];

    #[test]
    fn releases_and_the_newest_pre_releases() {
        assert_eq!(usable(&TAGS, "1.2.0", &[]), ["v1.9.5", "v1.10.0", "v1.11.0-alpha.1"]);
        assert_eq!(usable(&TAGS, "1.2.0", &["1.10.0"]), ["v1.9.5", "v1.11.0-alpha.1"]);
        assert_eq!(usable(&TAGS, "1.10.0", &[]), ["v1.10.0", "v1.11.0-alpha.1"]);
        assert_eq!(usable(&[], "1.2.0", &[]), [""; 0]);
        assert_eq!(usable(&["latest"], "1.2.0", &[]), [""; 0]);
    }

    #[test]
    fn pre_releases_stay_after_their_release_and_go_with_the_next_series() {
        let mut tags = vec!["v1.14.0", "v1.14.0-rc.1", "v1.14.0-beta.0", "v1.14.0-alpha.1.2", "v1.14.0-rc.x"];
        assert_eq!(usable(&tags, "1.2.0", &[]), ["v1.14.0-beta.0", "v1.14.0-rc.1", "v1.14.0"]);
        tags.push("v1.15.0-alpha.0");
        assert_eq!(usable(&tags, "1.2.0", &[]), ["v1.14.0", "v1.15.0-alpha.0"]);
        assert_eq!(usable(&tags, "1.2.0", &["1.15.0-alpha.0"]), ["v1.14.0"], "taken before the filter");
    }

    #[test]
    fn odd_tags_count_for_nothing() {
        let tags =
            ["v1.14.0-rc.1", "20240101", "v20240101", "1.99.0", "v1.13", "v1.99.0+x", "v1.13.0", "v1.13.0"];
        assert_eq!(usable(&tags, "1.2.0", &[]), ["v1.13.0", "v1.14.0-rc.1"]);
    }

    #[test]
    fn the_minimum_is_in_full_order() {
        assert_eq!(usable(&["v1.2.0-beta.1", "v1.2.0"], "1.2.0", &[]), ["v1.2.0"]);
    }

    #[test]
    fn latest_is_a_release() {
        let versions: Vec<_> = ["1.13.0", "1.14.0-rc.1"].map(version).to_vec();
        assert_eq!(latest(&versions), Some(&version("1.13.0")));
        assert_eq!(latest(&versions[1..]), None);
    }

    #[test]
    fn a_broken_version_points_to_the_next_patch() {
        let offered: Vec<_> = ["1.9.5", "1.10.2", "1.10.3", "1.11.0"].map(version).to_vec();
        let broken: Vec<_> = ["1.10.1", "1.11.1"].map(version).to_vec();
        let of = |text| availability(&version(text), &offered, &broken);
        assert_eq!(of("1.10.2"), Availability::Offered);
        assert_eq!(of("1.10.1"), Availability::Broken { instead: Some(version("1.10.2")) });
        assert_eq!(of("1.11.1"), Availability::Broken { instead: None });
        assert_eq!(of("1.10.9"), Availability::Unknown);
    }
}
