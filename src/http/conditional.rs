//! Conditional requests and ranges (RFC 9110, sections 13 and 14): what of a representation is sent.

use actix_web::http::header::{self, HeaderMap};

/// What to answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// `200` with everything.
    Whole,
    /// `206` with the bytes `start..end`.
    Part {
        /// First byte.
        start: u64,
        /// One behind the last byte.
        end: u64,
    },
    /// `304`.
    NotModified,
    /// `412`: the client wants another version than there is.
    PreconditionFailed,
    /// `416`: the range lies behind the end.
    Unsatisfiable,
}

/// Decides for a representation of `len` bytes with the strong entity tag `etag` (with its quotes).
pub fn decide(headers: &HeaderMap, is_get: bool, etag: &str, len: u64) -> Delivery {
    if let Some(wanted) = joined(headers, header::IF_MATCH)
        && !matches_any(&wanted, etag, false)
    {
        return Delivery::PreconditionFailed;
    }
    if let Some(known) = joined(headers, header::IF_NONE_MATCH)
        && matches_any(&known, etag, true)
    {
        return Delivery::NotModified;
    }
    let Some(range) = joined(headers, header::RANGE).filter(|_| is_get) else {
        return Delivery::Whole;
    };
    // A date cannot be equal to what has no modification date, so it asks for the whole.
    if let Some(condition) = joined(headers, header::IF_RANGE)
        && condition.trim() != etag
    {
        return Delivery::Whole;
    }
    match single_range(&range, len) {
        Some(Some((start, end))) => Delivery::Part { start, end },
        Some(None) => Delivery::Unsatisfiable,
        None => Delivery::Whole,
    }
}

/// All values of a header as one list.
fn joined(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// Whether a list of entity tags, or `*`, covers `etag`. Weak tags count only where comparison is weak.
fn matches_any(list: &str, etag: &str, weak: bool) -> bool {
    list.trim() == "*"
        || list.split(',').map(str::trim).any(|tag| match tag.strip_prefix("W/") {
            Some(tag) => weak && tag == etag,
            None => tag == etag,
        })
}

/// One range in bytes. `None` is a header to ignore (malformed, another unit, several ranges);
/// `Some(None)` is a valid range that lies outside.
fn single_range(text: &str, len: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = text.trim().strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // More digits than fit are a place far behind any end.
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    if first.is_empty() {
        let suffix = number(last)?;
        return Some((suffix > 0 && len > 0).then(|| (len - suffix.min(len), len)));
    }
    let start = number(first)?;
    let end = if last.is_empty() { len } else { number(last)?.saturating_add(1).min(len) };
    if !last.is_empty() && number(last)? < start {
        return None;
    }
    Some((start < len).then_some((start, end)))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    const TAG: &str = "\"abc\"";

    fn ask(pairs: &[(HeaderName, &'static str)]) -> Delivery {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        decide(&headers, true, TAG, 100)
    }

    #[test]
    fn ranges() {
        let range = |text| ask(&[(header::RANGE, text)]);
        for (text, start, end) in [
            ("bytes=0-0", 0, 1),
            ("bytes=99-", 99, 100),
            ("bytes=-1", 99, 100),
            ("bytes=-1000", 0, 100),
            ("bytes=10-19", 10, 20),
            ("bytes=90-99999999999999999999999", 90, 100),
            ("bytes=0-", 0, 100),
        ] {
            assert_eq!(range(text), Delivery::Part { start, end }, "{text}");
        }
        for text in ["bytes=100-", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(range(text), Delivery::Unsatisfiable, "{text}");
        }
        for text in
            ["bytes=9-2", "lines=0-1", "bytes=", "bytes=a-b", "bytes=0-1,5-6", "bytes=+1-2", "bytes=1"]
        {
            assert_eq!(range(text), Delivery::Whole, "{text}");
        }
    }

    #[test]
    fn an_empty_representation_has_no_range() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=-1"));
        assert_eq!(decide(&headers, true, TAG, 0), Delivery::Unsatisfiable);
        assert_eq!(decide(&headers, false, TAG, 100), Delivery::Whole, "HEAD has no ranges");
    }

    #[test]
    fn conditions() {
        for list in ["\"abc\"", "*", "\"x\", \"abc\"", "W/\"abc\""] {
            assert_eq!(ask(&[(header::IF_NONE_MATCH, list)]), Delivery::NotModified, "{list}");
        }
        assert_eq!(ask(&[(header::IF_NONE_MATCH, "\"x\"")]), Delivery::Whole);
        assert_eq!(ask(&[(header::IF_MATCH, "\"x\"")]), Delivery::PreconditionFailed);
        assert_eq!(ask(&[(header::IF_MATCH, "W/\"abc\"")]), Delivery::PreconditionFailed);
        assert_eq!(ask(&[(header::IF_MATCH, "*")]), Delivery::Whole);
        let part = Delivery::Part { start: 0, end: 10 };
        let range = (header::RANGE, "bytes=0-9");
        assert_eq!(ask(&[range.clone(), (header::IF_RANGE, "\"abc\"")]), part);
        for other in ["\"x\"", "W/\"abc\"", "Sat, 01 Jun 2019 21:34:52 GMT"] {
            assert_eq!(ask(&[range.clone(), (header::IF_RANGE, other)]), Delivery::Whole, "{other}");
        }
    }
}
