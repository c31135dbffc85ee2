//! Bytes to characters: encodings, characters YAML does not allow, and the place in the text.

use std::collections::VecDeque;

use super::error::{Error, Mark, Stage};

/// Bytes decoded at a time. A bad byte is found when its chunk is decoded, which may be before the
/// text in front of it is looked at; the size decides which of two errors is the one reported.
const CHUNK: usize = 512;

/// What stands after the last character. It cannot occur in the text.
pub(super) const END: char = '\0';

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

/// The characters of a text, decoded as far as they were looked at.
#[derive(Debug)]
pub(super) struct Input<'a> {
    /// Bytes not decoded yet.
    raw: &'a [u8],
    encoding: Encoding,
    /// Characters decoded and not consumed yet.
    ahead: VecDeque<char>,
    mark: Mark,
}

impl<'a> Input<'a> {
    /// A text in UTF-8, or in UTF-16 when it begins with that byte order mark.
    pub fn new(bytes: &'a [u8]) -> Self {
        let (encoding, raw) = match bytes {
            [0xFF, 0xFE, rest @ ..] => (Encoding::Utf16Le, rest),
            [0xFE, 0xFF, rest @ ..] => (Encoding::Utf16Be, rest),
            [0xEF, 0xBB, 0xBF, rest @ ..] => (Encoding::Utf8, rest),
            rest => (Encoding::Utf8, rest),
        };
        Self { raw, encoding, ahead: VecDeque::new(), mark: Mark::default() }
    }

    /// The place of the next character.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// The character `n` places ahead, [`END`] after the last.
    ///
    /// # Errors
    /// [`Error::Load`] when the bytes there are no characters YAML allows.
    pub fn peek(&mut self, n: usize) -> Result<char, Error> {
        loop {
            if let Some(c) = self.ahead.get(n) {
                return Ok(*c);
            }
            if self.raw.is_empty() {
                return Ok(END);
            }
            self.decode_chunk()?;
        }
    }

    /// Consumes one character that is not a line break.
    pub fn skip(&mut self) {
        if self.ahead.pop_front().is_some() {
            self.mark.index += 1;
            self.mark.column += 1;
        }
    }

    /// Consumes `n` characters that are not line breaks.
    pub fn skip_many(&mut self, n: usize) {
        for _ in 0..n {
            self.skip();
        }
    }

    /// Consumes the line break that is next and gives it as it counts in a scalar: CR, LF, CR LF and
    /// NEL are all LF, the Unicode separators are themselves.
    ///
    /// # Errors
    /// As [`peek`](Self::peek).
    pub fn take_break(&mut self) -> Result<char, Error> {
        let c = self.peek(0)?;
        let length = if c == '\r' && self.peek(1)? == '\n' { 2 } else { 1 };
        for _ in 0..length {
            self.ahead.pop_front();
            self.mark.index += 1;
        }
        self.end_line();
        Ok(if matches!(c, '\u{2028}' | '\u{2029}') { c } else { '\n' })
    }

    /// Moves the place to the start of the next line without consuming anything.
    pub fn end_line(&mut self) {
        self.mark.line += 1;
        self.mark.column = 0;
    }

    fn decode_chunk(&mut self) -> Result<(), Error> {
        let mut left = CHUNK.min(self.raw.len());
        while left > 0 {
            let window = self.raw.get(..left).unwrap_or(self.raw);
            let decoded = match self.encoding {
                Encoding::Utf8 => decode_utf8(window)?,
                Encoding::Utf16Le => decode_utf16(window, u16::from_le_bytes)?,
                Encoding::Utf16Be => decode_utf16(window, u16::from_be_bytes)?,
            };
            let (c, width) = match decoded {
                Decoded::Char(c, width) => (c, width),
                // The chunk ends inside a character: the rest of it comes with the next one.
                Decoded::Incomplete(_) if left < self.raw.len() => return Ok(()),
                Decoded::Incomplete(what) => return Err(reader(what)),
            };
            if !is_allowed(c) {
                return Err(reader(&format!("control characters are not allowed (value: {})", u32::from(c))));
            }
            self.ahead.push_back(c);
            self.raw = self.raw.get(width..).unwrap_or_default();
            left -= width;
        }
        Ok(())
    }
}

fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

fn reader(message: &str) -> Error {
    Error::load(Stage::Reader, None, None, message)
}

enum Decoded {
    Char(char, usize),
    Incomplete(&'static str),
}

fn decode_utf8(bytes: &[u8]) -> Result<Decoded, Error> {
    let lead = bytes.first().copied().unwrap_or_default();
    let (width, bits) = match lead {
        0x00..=0x7F => (1, lead),
        0xC0..=0xDF => (2, lead & 0x1F),
        0xE0..=0xEF => (3, lead & 0x0F),
        0xF0..=0xF7 => (4, lead & 0x07),
        _ => return Err(reader(&format!("invalid leading UTF-8 octet (value: {lead})"))),
    };
    let Some(rest) = bytes.get(1..width) else {
        return Ok(Decoded::Incomplete("incomplete UTF-8 octet sequence"));
    };
    let mut value = u32::from(bits);
    for byte in rest {
        if byte & 0xC0 != 0x80 {
            return Err(reader(&format!("invalid trailing UTF-8 octet (value: {byte})")));
        }
        value = value << 6 | u32::from(byte & 0x3F);
    }
    let shortest = match value {
        0..=0x7F => 1,
        0x80..=0x7FF => 2,
        0x800..=0xFFFF => 3,
        _ => 4,
    };
    if width != shortest {
        return Err(reader("invalid length of a UTF-8 sequence"));
    }
    match char::from_u32(value) {
        Some(c) => Ok(Decoded::Char(c, width)),
        None => Err(reader(&format!("invalid Unicode character (value: {value})"))),
    }
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Decoded, Error> {
    let unit_at = |at: usize| match bytes.get(at..at + 2) {
        Some(&[a, b]) => Some(unit([a, b])),
        _ => None,
    };
    let Some(first) = unit_at(0) else {
        return Ok(Decoded::Incomplete("incomplete UTF-16 character"));
    };
    match first {
        0xDC00..=0xDFFF => Err(reader(&format!("unexpected low surrogate area (value: {first})"))),
        0xD800..=0xDBFF => {
            let Some(second) = unit_at(2) else {
                return Ok(Decoded::Incomplete("incomplete UTF-16 surrogate pair"));
            };
            match char::decode_utf16([first, second]).next() {
                Some(Ok(c)) => Ok(Decoded::Char(c, 4)),
                _ => Err(reader(&format!("expected low surrogate area (value: {second})"))),
            }
        }
        _ => Ok(Decoded::Char(char::from_u32(u32::from(first)).unwrap_or(END), 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<String, String> {
        let mut input = Input::new(bytes);
        let mut text = String::new();
        loop {
            match input.peek(0).map_err(|e| e.to_string())? {
                END => return Ok(text),
                c => text.push(c),
            }
            input.skip();
        }
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(bytes).collect()
    }

    #[test]
    fn reads_every_encoding_across_chunk_borders() {
        for pad in 0..8 {
            let text = format!("{}{}", "x".repeat(pad), "aé日🚀".repeat(300));
            assert_eq!(all(text.as_bytes()).as_ref(), Ok(&text));
            assert_eq!(all(format!("\u{FEFF}{text}").as_bytes()).as_ref(), Ok(&text));
            assert_eq!(all(&utf16(&text, u16::to_le_bytes)).as_ref(), Ok(&text));
            assert_eq!(all(&utf16(&text, u16::to_be_bytes)).as_ref(), Ok(&text));
        }
    }

    #[test]
    fn names_what_is_wrong_with_the_bytes() {
        let cases: [(&[u8], &str); 13] = [
            (b"a\0", "control characters are not allowed (value: 0)"),
            (b"\x1b", "control characters are not allowed (value: 27)"),
            (b"\xef\xbf\xbf", "control characters are not allowed (value: 65535)"),
            (b"\xff", "invalid leading UTF-8 octet (value: 255)"),
            (b"\xf8\x88\x80\x80\x80", "invalid leading UTF-8 octet (value: 248)"),
            (b"\xc3", "incomplete UTF-8 octet sequence"),
            (b"\xc3(", "invalid trailing UTF-8 octet (value: 40)"),
            (b"\xc0\x80", "invalid length of a UTF-8 sequence"),
            (b"\xed\xa0\x80", "invalid Unicode character (value: 55296)"),
            (b"\xf4\x90\x80\x80", "invalid Unicode character (value: 1114112)"),
            (b"\xff\xfea", "incomplete UTF-16 character"),
            (b"\xff\xfe\x00\xd8", "incomplete UTF-16 surrogate pair"),
            (b"\xff\xfe\x00\xdc", "unexpected low surrogate area (value: 56320)"),
        ];
        for (bytes, message) in cases {
            let expected = format!("go-yaml load error in reader at <unknown position>: {message}");
            assert_eq!(all(bytes), Err(expected), "{bytes:?}");
        }
    }

    #[test]
    fn line_breaks_move_the_place() {
        let mut input = Input::new("\r\n\r\u{85}\u{2028}x".as_bytes());
        let breaks: Vec<char> = (0..4).map(|_| input.take_break().unwrap()).collect();
        assert_eq!(breaks, ['\n', '\n', '\n', '\u{2028}']);
        assert_eq!((input.mark().line, input.mark().column, input.mark().index), (4, 0, 5));
    }
}
