//! What a scalar is: the types that plain texts and tags stand for.

use super::error::{Error, Stage};
use super::timestamp;

/// Prefix of the tags of the YAML type repository; messages write `!!`.
pub(super) const CORE_PREFIX: &str = "tag:yaml.org,2002:";

/// A scalar, resolved.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer beyond those of [`Int`](Self::Int).
    Uint(u64),
    Float(f64),
    /// In the form of RFC 3339.
    Timestamp(String),
    /// `<<`, which takes the place of a key.
    Merge,
    /// The text itself.
    String,
    /// A string given by the Base64 of its bytes, not decoded yet.
    Binary,
}

/// A core tag as messages write it, any other unchanged.
pub(super) fn short_tag(tag: &str) -> String {
    match tag.strip_prefix(CORE_PREFIX) {
        Some(name) => format!("!!{name}"),
        None => tag.to_owned(),
    }
}

impl Resolved {
    /// The tag of the type.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::Null => "!!null",
            Self::Bool(_) => "!!bool",
            Self::Int(_) | Self::Uint(_) => "!!int",
            Self::Float(_) => "!!float",
            Self::Timestamp(_) => "!!timestamp",
            Self::Merge => "!!merge",
            Self::String => "!!str",
            Self::Binary => "!!binary",
        }
    }
}

/// Resolves a scalar by its tag or, when it is plain and has none, by its text.
///
/// # Errors
/// [`Error::Load`] when the text is not of the type the tag asks for.
pub(super) fn resolve(tag: Option<&str>, text: &str, plain: bool) -> Result<Resolved, Error> {
    let Some(tag) = tag.map(short_tag) else {
        return Ok(if plain { resolve_plain(text) } else { Resolved::String });
    };
    let by_text = match tag.as_str() {
        "!!binary" => return Ok(Resolved::Binary),
        "!!merge" => return Ok(Resolved::Merge),
        "!!null" | "!!bool" | "!!int" | "!!float" | "!!timestamp" => resolve_plain(text),
        _ => return Ok(Resolved::String),
    };
    match (tag.as_str(), by_text) {
        ("!!float", Resolved::Int(n)) => Ok(Resolved::Float(n as f64)),
        ("!!float", Resolved::Uint(n)) => Ok(Resolved::Float(n as f64)),
        ("!!timestamp", found @ Resolved::Timestamp(_)) => Ok(found),
        // Moments are not looked for when another type is wanted.
        (_, Resolved::Timestamp(_)) => Err(wrong_type(Resolved::String.tag(), text, &tag)),
        (wanted, found) if wanted == found.tag() => Ok(found),
        (wanted, found) => Err(wrong_type(found.tag(), text, wanted)),
    }
}

fn wrong_type(found: &str, text: &str, wanted: &str) -> Error {
    /// Characters of the text in a message.
    const MAX_SHOWN: usize = 1000;
    let text: String = text.chars().take(MAX_SHOWN).collect();
    Error::load(Stage::Resolver, None, None, format!("cannot construct {found} `{text}` as a {wanted}"))
}

/// Resolves the text of a plain scalar.
pub(super) fn resolve_plain(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        "<<" => return Resolved::Merge,
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        "-0" | "-0.0" => return Resolved::Float(-0.0),
        _ => {}
    }
    let number = match text.bytes().next() {
        // Here underscores must stand between digits; elsewhere they may stand anywhere.
        Some(b'.') if underscores_separate_digits(text) => {
            parse_float(&text.replace('_', "")).map(Resolved::Float)
        }
        Some(b'+' | b'-' | b'0'..=b'9') => resolve_number(text),
        _ => None,
    };
    number.unwrap_or(Resolved::String)
}

fn resolve_number(text: &str) -> Option<Resolved> {
    if let Some(moment) = timestamp::normalize(text) {
        return Some(Resolved::Timestamp(moment));
    }
    let digits = text.replace('_', "");
    if let Some(integer) = parse_integer(&digits) {
        return Some(integer);
    }
    if is_float_text(&digits) { parse_float(&digits).map(Resolved::Float) } else { None }
}

/// An integer in decimal, or in another base by the prefixes `0x`, `0o`, `0`, `0b`.
fn parse_integer(text: &str) -> Option<Resolved> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (radix, digits) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, unsigned.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, unsigned.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, unsigned.get(2..)?),
        [b'0', _, ..] => (8, unsigned.get(1..)?),
        _ => (10, unsigned),
    };
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        0_i64.checked_sub_unsigned(magnitude).map(Resolved::Int)
    } else if let Ok(n) = i64::try_from(magnitude) {
        Some(Resolved::Int(n))
    } else if text.starts_with('+') {
        None
    } else {
        Some(Resolved::Uint(magnitude))
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float_text(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_mantissa = !whole.is_empty() || !fraction.is_empty();
    has_mantissa
        && digits(whole)
        && digits(fraction)
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

fn underscores_separate_digits(text: &str) -> bool {
    let is_digit = |b: Option<&u8>| b.is_some_and(u8::is_ascii_digit);
    text.match_indices('_').all(|(at, _)| {
        let (before, after) = text.as_bytes().split_at(at);
        is_digit(before.last()) && is_digit(after.get(1))
    })
}

/// A decimal number that fits a double.
fn parse_float(text: &str) -> Option<f64> {
    if !is_float_text(text) {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_texts() {
        let cases = [
            ("0x1F", Resolved::Int(31)),
            ("-0x10", Resolved::Int(-16)),
            ("0o17", Resolved::Int(15)),
            ("012", Resolved::Int(10)),
            ("08", Resolved::Float(8.0)),
            ("0b101", Resolved::Int(5)),
            ("1_000", Resolved::Int(1000)),
            ("+1", Resolved::Int(1)),
            ("9223372036854775808", Resolved::Uint(1 << 63)),
            ("-9223372036854775808", Resolved::Int(i64::MIN)),
            ("18446744073709551616", Resolved::Float(18446744073709551616.0)),
            ("1.", Resolved::Float(1.0)),
            (".5", Resolved::Float(0.5)),
            (".9_1", Resolved::Float(0.91)),
            (".9_", Resolved::String),
            ("._9", Resolved::String),
            ("1._5", Resolved::Float(1.5)),
            ("1e3", Resolved::Float(1000.0)),
            ("1e400", Resolved::String),
            ("+", Resolved::String),
            (".", Resolved::String),
            ("1.e", Resolved::String),
            ("_1", Resolved::String),
            ("0x", Resolved::String),
            ("1:20", Resolved::String),
            ("yes", Resolved::String),
            ("nULL", Resolved::String),
            ("<<", Resolved::Merge),
            ("2024-01-02", Resolved::Timestamp("2024-01-02T00:00:00Z".into())),
        ];
        for (text, expected) in cases {
            assert_eq!(resolve(None, text, true), Ok(expected), "{text}");
            assert_eq!(resolve(None, text, false), Ok(Resolved::String), "{text}");
        }
    }

    #[test]
    fn tags_ask_for_a_type() {
        assert_eq!(resolve(Some("tag:yaml.org,2002:int"), "12", false), Ok(Resolved::Int(12)));
        assert_eq!(resolve(Some("tag:yaml.org,2002:float"), "12", true), Ok(Resolved::Float(12.0)));
        assert_eq!(resolve(Some("tag:yaml.org,2002:str"), "12", true), Ok(Resolved::String));
        assert_eq!(resolve(Some("!own"), "12", true), Ok(Resolved::String));
        assert_eq!(
            resolve(Some("tag:yaml.org,2002:int"), "abc", true).unwrap_err().to_string(),
            "go-yaml load error in resolver at <unknown position>: cannot construct !!str `abc` as a !!int"
        );
    }
}
