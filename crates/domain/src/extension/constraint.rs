//! Version ranges in extension manifests.
//!
//! The language is not that of Cargo: blanks mean "and", `||` means "or", there is no caret and no
//! tilde, and a pre-release is compared by precedence alone.

use std::cmp::Ordering;

use semver::{BuildMetadata, Prerelease, Version};

/// Which versions an extension can be used with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    /// One of these must hold; each is a list of comparators that must hold together.
    alternatives: Vec<Vec<Comparator>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Comparator {
    operator: Operator,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

/// A text that is no range of versions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidConstraint {
    /// There is nothing in it, or nothing on one side of a `||`.
    #[error("version range {0:?} has an empty part")]
    Empty(String),
    /// A part of it begins with something else than a comparison operator or a digit.
    #[error("{0:?} is no comparison of versions: expected one of <, <=, >, >=, =, !=, and a version")]
    Operator(String),
    /// A part of it has no version of the form X.Y.Z.
    #[error("{0:?} is no version: expected X.Y.Z, or x for the last numbers")]
    Version(String),
}

impl Constraint {
    /// Reads a range. A `v` in front of a version is passed over.
    ///
    /// # Errors
    /// [`InvalidConstraint`].
    pub fn parse(text: &str) -> Result<Self, InvalidConstraint> {
        let plain = without_v(text);
        let mut alternatives = vec![Vec::new()];
        for word in words(&plain) {
            if word == "||" {
                alternatives.push(Vec::new());
            } else if let Some(last) = alternatives.last_mut() {
                last.extend(comparators(&word)?);
            }
        }
        if alternatives.iter().any(Vec::is_empty) {
            return Err(InvalidConstraint::Empty(text.to_owned()));
        }
        Ok(Self { alternatives })
    }

    /// Whether a version is in the range. Versions are in order of precedence: a pre-release comes
    /// before its release, build metadata does not count.
    pub fn allows(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|all| all.iter().all(|comparator| comparator.holds(version)))
    }
}

impl Comparator {
    fn holds(&self, version: &Version) -> bool {
        let order = version.cmp_precedence(&self.version);
        match self.operator {
            Operator::Less => order == Ordering::Less,
            Operator::LessOrEqual => order != Ordering::Greater,
            Operator::Greater => order == Ordering::Greater,
            Operator::GreaterOrEqual => order != Ordering::Less,
            Operator::Equal => order == Ordering::Equal,
            Operator::NotEqual => order != Ordering::Equal,
        }
    }
}

/// Deletes every `v` that stands right before a digit.
fn without_v(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != 'v' || !chars.peek().is_some_and(char::is_ascii_digit) {
            plain.push(c);
        }
    }
    plain
}

/// The parts between blanks; blanks behind `<`, `>` and `=` separate nothing.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in text.split(' ').filter(|part| !part.is_empty()) {
        match words.last_mut() {
            Some(word) if word.ends_with(['<', '>', '=']) => word.push_str(part),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// What one word asks for: one comparator, or two when it has a wildcard.
fn comparators(word: &str) -> Result<Vec<Comparator>, InvalidConstraint> {
    let operator_length = word.find(|c: char| c.is_ascii_digit()).unwrap_or(word.len());
    let (operator, version) = word.split_at(operator_length);
    let operator = match operator {
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        "" | "=" | "==" => Operator::Equal,
        "!" | "!=" => Operator::NotEqual,
        _ => return Err(InvalidConstraint::Operator(word.to_owned())),
    };
    let invalid = || InvalidConstraint::Version(word.to_owned());
    let Some((first, beyond)) = wildcard(version).ok_or_else(invalid)? else {
        let version = Version::parse(version).map_err(|_| invalid())?;
        return Ok(vec![Comparator { operator, version }]);
    };
    let below = |version| Comparator { operator: Operator::Less, version };
    let from = |version| Comparator { operator: Operator::GreaterOrEqual, version };
    Ok(match operator {
        Operator::Less => vec![below(first)],
        Operator::LessOrEqual => vec![below(beyond)],
        Operator::Greater => vec![from(beyond)],
        Operator::GreaterOrEqual => vec![from(first)],
        Operator::Equal => vec![from(first), below(beyond)],
        // Both at once hold for no version. The reference has it so, and extensions were made for it.
        Operator::NotEqual => vec![below(first), from(beyond)],
    })
}

/// The first version that `1.2.x`, `1.x` or `1.x.x` stands for, and the first behind them. The outer
/// `None` is a wildcard that is none.
#[expect(clippy::option_option, reason = "no wildcard and a bad one are different things")]
fn wildcard(version: &str) -> Option<Option<(Version, Version)>> {
    let parts: Vec<&str> = version.split('.').collect();
    let number = |text: &str| Version::parse(&format!("{text}.0.0")).ok().map(|version| version.major);
    let at = |major, minor| Version {
        major,
        minor,
        patch: 0,
        pre: Prerelease::EMPTY,
        build: BuildMetadata::EMPTY,
    };
    match parts.as_slice() {
        [major, "x"] => {
            let major = number(major)?;
            Some(Some((at(major, 0), at(major.checked_add(1)?, 0))))
        }
        // The reference reads this as `1.0.x`.
        [major, "x", "x"] => {
            let major = number(major)?;
            Some(Some((at(major, 0), at(major, 1))))
        }
        [major, minor, "x"] => {
            let (major, minor) = (number(major)?, number(minor)?);
            Some(Some((at(major, minor), at(major, minor.checked_add(1)?))))
        }
        _ => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allows(constraint: &str, version: &str) -> bool {
        Constraint::parse(constraint).unwrap().allows(&version.parse().unwrap())
    }

    #[test]
    fn ranges() {
        for (constraint, allowed, refused) in [
            (">= v1.9.0", &["1.10.0-alpha.1", "1.9.5", "1.9.0"][..], &["1.8.0", "1.9.0-beta.1"][..]),
            (">= 1.9.0-alpha.0", &["1.10.0-alpha.1", "1.9.5", "1.9.0-alpha.0"], &["1.8.0", "1.9.0-0"]),
            (">=v1.8.0 <v1.10.0", &["1.9.5", "1.8.0", "1.10.0-alpha.1"], &["1.10.0", "1.7.9"]),
            (">=v1.8.0   <  v1.10.0-0", &["1.9.5", "1.8.0"], &["1.10.0-alpha.1"]),
            ("<v1.9.0 || >=v1.10.0", &["1.8.0", "1.10.0"], &["1.9.5", "1.10.0-alpha.1"]),
            (
                ">1.0.0 <1.2.0 || =1.3.0 || ==1.4.0",
                &["1.1.0", "1.3.0", "1.4.0"],
                &["1.0.0", "1.2.0", "1.3.1"],
            ),
            ("1.2.3", &["1.2.3", "1.2.3+build"], &["1.2.4", "1.2.3-pre"]),
            ("!=1.2.3 !1.2.4", &["1.2.5"], &["1.2.3", "1.2.4"]),
            ("1.2.x", &["1.2.0", "1.2.9", "1.3.0-alpha"], &["1.3.0", "1.1.9", "1.2.0-rc"]),
            ("1.x", &["1.0.0", "1.99.0"], &["2.0.0", "0.9.0"]),
            ("1.x.x", &["1.0.0", "1.0.9"], &["1.1.0", "0.9.0"]),
            (">1.2.x", &["1.3.0"], &["1.2.9"]),
            ("<=1.2.x", &["1.2.9", "0.1.0"], &["1.3.0"]),
            ("<1.2.x", &["1.1.9"], &["1.2.0"]),
            (">=1.2.x", &["1.2.0"], &["1.1.9"]),
            ("!=1.2.x", &[], &["1.1.0", "1.2.0", "1.3.0"]),
        ] {
            for version in allowed {
                assert!(allows(constraint, version), "{constraint} {version}");
            }
            for version in refused {
                assert!(!allows(constraint, version), "{constraint} {version}");
            }
        }
    }

    #[test]
    fn texts_that_are_no_ranges() {
        for text in [
            "",
            " ",
            "~1.9",
            "^1.0.0",
            "1.9",
            "1",
            "x",
            ">=",
            "|| 1.0.0",
            "1.0.0 ||",
            "1.0.0 || || 1.2.0",
            "1.0.0,<2.0.0",
            "1.0.0||2.0.0",
            "=>1.0.0",
            "v",
            ">= vv1.0.0",
            "1.2.3.4",
            "01.2.3",
            "1.2.x-pre",
            "99999999999999999999.0.0",
            "18446744073709551615.x",
            "1.0.0\t<2.0.0",
        ] {
            assert!(Constraint::parse(text).is_err(), "{text:?}");
        }
    }

    fn version() -> impl Strategy<Value = Version> {
        (0_u64..4, 0_u64..4, 0_u64..4, proptest::sample::select(vec!["", "-alpha.1", "-beta", "-rc.10+b"]))
            .prop_map(|(major, minor, patch, rest)| format!("{major}.{minor}.{patch}{rest}").parse().unwrap())
    }

    proptest! {
        #[test]
        fn comparators_follow_precedence(a in version(), b in version(), prefix in "v?", blank in " {0,2}") {
            let order = a.cmp_precedence(&b);
            for (operator, expected) in [
                ("<", order.is_lt()), ("<=", order.is_le()), (">", order.is_gt()), (">=", order.is_ge()),
                ("=", order.is_eq()), ("==", order.is_eq()), ("!=", order.is_ne()),
            ] {
                prop_assert_eq!(allows(&format!("{operator}{blank}{prefix}{b}"), &a.to_string()), expected);
            }
        }

        #[test]
        fn blanks_mean_and_and_bars_mean_or(v in version(), a in version(), b in version(), c in version()) {
            let v = v.to_string();
            let (x, y, z) = (format!(">={a}"), format!("<{b}"), format!("={c}"));
            let both = allows(&x, &v) && allows(&y, &v);
            let text = format!("{x} {y}");
            prop_assert_eq!(allows(&text, &v), both);
            let text = format!("{x} {y} || {z}");
            prop_assert_eq!(allows(&text, &v), both || allows(&z, &v));
        }

        #[test]
        fn no_text_causes_a_panic(text in "[<>=!|vx0-9. ~-]{0,20}") {
            let _ = Constraint::parse(&text);
        }
    }
}
