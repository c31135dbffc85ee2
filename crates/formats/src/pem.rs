//! PEM as OpenSSL writes it (RFC 7468): 64 columns, line feeds, a final one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// Characters in a line (RFC 7468, 2).
const LINE: usize = 64;

/// The text of `der` under `label`, such as `CERTIFICATE`.
pub fn encode(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII, so any place is a boundary.
        let (line, more) = rest.split_at(LINE.min(rest.len()));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_full_and_none_is_empty() {
        assert_eq!(encode("X", b""), "-----BEGIN X-----\n-----END X-----\n");
        assert_eq!(encode("X", b"a"), "-----BEGIN X-----\nYQ==\n-----END X-----\n");
        let text = encode("X", &[0; 48]);
        assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [17, 64, 15]);
        let text = encode("X", &[0; 49]);
        assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [17, 64, 4, 15]);
    }
}
