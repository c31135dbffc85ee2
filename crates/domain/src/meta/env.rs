//! META values as a kernel argument (`23-meta.md` §6).

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;

use super::{STORE_ROOM, gzip};
use crate::asset::quoted;
use crate::schematic::MetaValue;
use crate::version::Quirks;

/// Texts up to this many bytes are never compressed.
const COMPRESS_ABOVE: usize = 256;

/// Most that a decoded text may have: every value that fits a partition, written in digits and signs.
const MAX_TEXT: u64 = 8 * STORE_ROOM as u64;

/// Why a node could not read such an argument.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetaArgumentError {
    /// Not base64.
    #[error("illegal base64 data at input byte {0}")]
    Base64(usize),
    /// Compressed, but not as it should be.
    #[error("META values cannot be decompressed: {0}")]
    Gzip(#[source] std::io::Error),
    /// More than a partition can hold.
    #[error("META values are longer than {MAX_TEXT} bytes")]
    TooLong,
    /// Not text.
    #[error("META values are no UTF-8 text")]
    NotText,
    /// A part without `=`.
    #[error("invalid value {}", quoted(.0))]
    InvalidValue(String),
    /// A part whose key is no number from 0 to 255.
    #[error("invalid key {}: expected a number from 0 to 255", quoted(.0))]
    InvalidKey(String),
}

/// The kernel argument that carries values to the node and its installer: its key and value. `None`
/// when there are no values.
pub fn argument(values: &[MetaValue], quirks: Quirks) -> Option<(&'static str, String)> {
    let encoded = encode(values, quirks.reads_compressed_meta());
    (!values.is_empty()).then(|| ("talos.environment", format!("INSTALLER_META_BASE64={encoded}")))
}

/// Values as one word. Long texts are compressed when the reader can undo it.
///
/// Nothing is escaped: a `;` in a value splits it for the reader, see [`super::check_argument`].
pub fn encode(values: &[MetaValue], may_compress: bool) -> String {
    let parts: Vec<String> = values.iter().map(|v| format!("{:#x}={}", v.key, v.value)).collect();
    let text = parts.join(";").into_bytes();
    let packed = if may_compress && text.len() > COMPRESS_ABOVE { gzip::member(&text) } else { None };
    STANDARD.encode(packed.unwrap_or(text))
}

/// Reads an encoded word as a node does.
///
/// # Errors
/// [`MetaArgumentError`] says which part is wrong.
pub fn decode(word: &str) -> Result<Vec<MetaValue>, MetaArgumentError> {
    let bytes = STANDARD.decode(word).map_err(|error| {
        use base64::DecodeError::{InvalidByte, InvalidLastSymbol};
        MetaArgumentError::Base64(match error {
            InvalidByte(at, _) | InvalidLastSymbol(at, _) => at,
            // The last group of four is not whole.
            _ => word.len() / 4 * 4,
        })
    })?;
    let text = if bytes.len() >= 10 && bytes.starts_with(&[0x1f, 0x8b]) { gunzip(&bytes)? } else { bytes };
    let text = String::from_utf8(text).map_err(|_| MetaArgumentError::NotText)?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(';').map(decode_part).collect()
}

fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, MetaArgumentError> {
    let mut text = Vec::new();
    GzDecoder::new(bytes).take(MAX_TEXT + 1).read_to_end(&mut text).map_err(MetaArgumentError::Gzip)?;
    if text.len() as u64 > MAX_TEXT {
        return Err(MetaArgumentError::TooLong);
    }
    Ok(text)
}

fn decode_part(part: &str) -> Result<MetaValue, MetaArgumentError> {
    let (key, value) =
        part.split_once('=').ok_or_else(|| MetaArgumentError::InvalidValue(part.to_owned()))?;
    let lower = key.to_ascii_lowercase();
    let (digits, radix) = [("0x", 16), ("0o", 8), ("0b", 2), ("0", 8)]
        .into_iter()
        .find_map(|(prefix, radix)| Some((lower.strip_prefix(prefix)?, radix)))
        .filter(|_| lower != "0")
        .unwrap_or((&lower, 10));
    let number = if digits.starts_with('+') { None } else { u8::from_str_radix(digits, radix).ok() };
    let key = number.ok_or_else(|| MetaArgumentError::InvalidKey(key.to_owned()))?;
    Ok(MetaValue { key, value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(key: u8, value: &str) -> MetaValue {
        MetaValue { key, value: value.to_owned() }
    }

    #[test]
    fn known_words() {
        let word = encode(&[value(10, "foo"), value(11, "bar")], true);
        assert_eq!(word, "MHhhPWZvbzsweGI9YmFy");
        assert_eq!(
            encode(&[value(10, "{\"externalIPs\":[\"1.2.3.4\"]}")], true),
            "MHhhPXsiZXh0ZXJuYWxJUHMiOlsiMS4yLjMuNCJdfQ=="
        );
        assert_eq!(encode(&[value(255, "")], true), "MHhmZj0=");
        let long = [value(10, &"foobar".repeat(256)), value(11, &"baz".repeat(256))];
        assert_eq!(encode(&long, false).len(), 3084);
        assert!(encode(&long, true).len() <= 80);
        assert_eq!(decode(&encode(&long, true)).unwrap(), long);
    }

    #[test]
    fn compression_starts_above_256_bytes() {
        for (len, start) in [(256, "MHhh"), (257, "H4sI")] {
            let word = encode(&[value(10, &"x".repeat(len - 4))], true);
            assert!(word.starts_with(start), "{len}: {word}");
        }
    }

    #[test]
    fn the_compressed_form_has_a_fixed_header() {
        let bytes = gzip::member(&[b'x'; 300]).unwrap();
        assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
        assert_eq!(bytes, gzip::member(&[b'x'; 300]).unwrap());
    }

    /// Words that the reference gave for these values.
    #[test]
    fn compressed_words_equal_the_references() {
        let word = encode(&[value(10, &"foobar".repeat(256)), value(11, &"baz".repeat(256))], true);
        let wanted = "H4sIAAAAAAAC/zKoSLRNy89PSiwaJUfJUXKUHCVHGmltUJFkm5RYNYpG0YhFgAAAAP//YXrxKgkJAAA=";
        assert_eq!(word, wanted);
    }

    #[test]
    fn no_values_are_no_argument() {
        let quirks = |text| crate::version::TalosVersion::parse(text).unwrap().quirks();
        assert_eq!(argument(&[], quirks("1.13.0")), None);
        let long = [value(10, &"x".repeat(300))];
        let of = |version| argument(&long, quirks(version)).unwrap().1;
        assert!(of("1.6.2").starts_with("INSTALLER_META_BASE64=MHhh"));
        assert!(of("1.6.3").starts_with("INSTALLER_META_BASE64=H4sI"));
    }

    #[test]
    fn keys_in_every_notation() {
        let word = STANDARD.encode("0b11=x;0o17=y;010=z;0xA=w;255=;0=n");
        let keys: Vec<u8> = decode(&word).unwrap().iter().map(|value| value.key).collect();
        assert_eq!(keys, [3, 15, 8, 10, 255, 0]);
    }

    #[test]
    fn refuses_what_no_node_reads() {
        for text in ["256=x", "=x", "-1=x", "0x=x", "0xg=x", "09=x", "+1=x", "10=a;b=c", "é=x", "foo"] {
            assert!(decode(&STANDARD.encode(text)).is_err(), "{text}");
        }
        let mut broken = gzip::member(&[b'x'; 300]).unwrap();
        broken.truncate(15);
        assert!(matches!(decode(&STANDARD.encode(broken)), Err(MetaArgumentError::Gzip(_))));
        assert!(decode("a").is_err());
        let bomb = gzip::member(&vec![b'x'; MAX_TEXT as usize + 1]).unwrap();
        assert!(matches!(decode(&STANDARD.encode(bomb)), Err(MetaArgumentError::TooLong)));
    }

    proptest! {
        #[test]
        fn nodes_read_what_we_write(values in prop::collection::vec((any::<u8>(), "[^;]{0,100}"), 1..6), may_compress: bool) {
            let values: Vec<_> = values.iter().map(|(key, text)| value(*key, text)).collect();
            prop_assert_eq!(decode(&encode(&values, may_compress)).unwrap(), values);
        }

        #[test]
        fn any_word_is_read_or_refused(word in "[A-Za-z0-9+/=]{0,40}") {
            let _ = decode(&word);
        }
    }
}
