//! Records of a PAX extended header.

/// The records of one header: `"<length> <key>=<value>\n"`, where the length counts the whole record.
#[derive(Clone, Copy)]
pub(super) struct Records<'a>(&'a [u8]);

impl<'a> Records<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

/// Bytes that are not a record.
pub(super) struct Malformed;

impl<'a> Iterator for Records<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        // Some writers fill the last block with NULs and count them.
        if self.0.iter().all(|&byte| byte == 0) {
            return None;
        }
        let record = split(self.0);
        self.0 = record.map_or(&[], |(_, rest)| rest);
        Some(record.map(|(pair, _)| pair).ok_or(Malformed))
    }
}

type Pair<'a> = (&'a [u8], &'a [u8]);

fn split(bytes: &[u8]) -> Option<(Pair<'_>, &[u8])> {
    let blank = bytes.iter().take(20).position(|&byte| byte == b' ')?;
    let len: usize = std::str::from_utf8(bytes.get(..blank)?).ok()?.parse().ok()?;
    let rest = bytes.get(len..)?;
    let record = bytes.get(blank + 1..len)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    Some(((record.get(..equals)?, record.get(equals + 1..)?), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Option<Vec<(String, String)>> {
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        Records::new(bytes).map(|r| r.ok().map(|(k, v)| (text(k), text(v)))).collect()
    }

    #[test]
    fn records_may_hold_anything() {
        let pairs = parse(b"9 a=b=c\n\n16 path=x\ny = 1\n5 k=\n\0\0").unwrap();
        let want = [("a", "b=c\n"), ("path", "x\ny = 1"), ("k", "")];
        assert_eq!(pairs, want.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(parse(b""), Some(vec![]));
    }

    #[test]
    fn broken_records_are_told() {
        for bad in
            [&b"x"[..], b"5 a=b", b"99 a=b\n", b"6 a=bc\n", b"2 a=b\n", b"6 abc\n", b"-6 a=b\n", b"0 a=b\n"]
        {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
