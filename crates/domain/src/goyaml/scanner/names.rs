//! Directives, anchors, aliases and tags.

use super::super::error::{Error, Mark};
use super::super::token::{TokenKind, is_blank, is_break, is_break_or_end, is_gap, is_name_char};
use super::Scanner;

/// Digits of a version number in a `%YAML` directive.
const MAX_VERSION_DIGITS: usize = 2;

/// Where a tag is read, which decides the words of errors about it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TagPlace {
    Directive,
    Verbatim,
    Shorthand,
}

impl TagPlace {
    fn parsing(self) -> &'static str {
        if self == Self::Directive { "while parsing a %TAG directive" } else { "while parsing a tag" }
    }

    fn scanning(self) -> &'static str {
        if self == Self::Directive { "while scanning a %TAG directive" } else { "while scanning a tag" }
    }
}

impl Scanner<'_> {
    /// `&name` or `*name`.
    pub(super) fn read_anchor(&mut self, indicator: char) -> Result<(), Error> {
        let start = self.input.mark();
        self.input.skip();
        let mut name = String::new();
        loop {
            let c = self.input.peek(0)?;
            if !c.is_ascii_graphic() || matches!(c, ':' | ',' | '[' | ']' | '{' | '}') {
                break;
            }
            name.push(c);
            self.input.skip();
        }
        let next = self.input.peek(0)?;
        if name.is_empty() || !(is_gap(next) || matches!(next, ':' | ',' | ']' | '}')) {
            let doing = if indicator == '*' { "while scanning an alias" } else { "while scanning an anchor" };
            return Err(self.error(doing, start, "did not find expected alphabetic or numeric character"));
        }
        self.push(if indicator == '*' { TokenKind::Alias(name) } else { TokenKind::Anchor(name) }, start);
        Ok(())
    }

    /// `!suffix`, `!handle!suffix`, `!<uri>` or a lone `!`.
    pub(super) fn read_tag(&mut self) -> Result<(), Error> {
        let start = self.input.mark();
        let (mut handle, mut suffix) = (String::new(), String::new());
        if self.input.peek(1)? == '<' {
            self.input.skip_many(2);
            self.read_uri(TagPlace::Verbatim, start, &mut suffix)?;
            if self.input.peek(0)? != '>' {
                return Err(self.error("while scanning a tag", start, "did not find the expected '>'"));
            }
            self.input.skip();
        } else {
            self.read_handle(TagPlace::Shorthand, start, &mut handle)?;
            if handle.len() > 1 && handle.ends_with('!') {
                self.read_uri(TagPlace::Shorthand, start, &mut suffix)?;
            } else {
                // What looked like a handle is the beginning of the suffix, which may be empty here.
                suffix = handle.split_off(1);
                self.read_uri_chars(TagPlace::Shorthand, start, &mut suffix)?;
            }
            if suffix.is_empty() {
                std::mem::swap(&mut handle, &mut suffix);
            }
        }
        if !is_gap(self.input.peek(0)?) {
            let message = "did not find expected whitespace or line break";
            return Err(self.error("while scanning a tag", start, message));
        }
        self.push(TokenKind::Tag { handle, suffix }, start);
        Ok(())
    }

    /// `!`, `!!` or `!name!`; in a tag also the `!name` that turns out to be no handle.
    fn read_handle(&mut self, place: TagPlace, start: Mark, handle: &mut String) -> Result<(), Error> {
        if self.input.peek(0)? != '!' {
            return Err(self.error(place.parsing(), start, "did not find expected '!'"));
        }
        handle.push('!');
        self.input.skip();
        loop {
            let c = self.input.peek(0)?;
            if !is_name_char(c) {
                break;
            }
            handle.push(c);
            self.input.skip();
        }
        if self.input.peek(0)? == '!' {
            handle.push('!');
            self.input.skip();
        } else if place == TagPlace::Directive && handle != "!" {
            return Err(self.error(place.parsing(), start, "did not find expected '!'"));
        }
        Ok(())
    }

    /// Reads the URI that must come next.
    fn read_uri(&mut self, place: TagPlace, start: Mark, uri: &mut String) -> Result<(), Error> {
        self.read_uri_chars(place, start, uri)?;
        if uri.is_empty() {
            return Err(self.error(place.parsing(), start, "did not find expected tag URI"));
        }
        Ok(())
    }

    /// Appends the URI characters that come next to `uri`.
    fn read_uri_chars(&mut self, place: TagPlace, start: Mark, uri: &mut String) -> Result<(), Error> {
        loop {
            let c = self.input.peek(0)?;
            match c {
                '%' => self.read_escaped_octets(place, start, uri)?,
                ';' | '/' | '?' | ':' | '@' | '&' | '=' | '+' | '$' | '.' | '!' | '~' | '*' | '\'' | '('
                | ')' => {
                    uri.push(c);
                    self.input.skip();
                }
                ',' | '[' | ']' | '{' | '}' if place != TagPlace::Shorthand => {
                    uri.push(c);
                    self.input.skip();
                }
                _ if is_name_char(c) => {
                    uri.push(c);
                    self.input.skip();
                }
                _ if place == TagPlace::Shorthand && c.is_ascii_graphic() => {
                    let message = format!("found character '{c}' that is not allowed in a YAML tag");
                    return Err(self.error(place.parsing(), start, message));
                }
                _ => return Ok(()),
            }
        }
    }

    /// One character written as `%XX` octets of its UTF-8 form.
    fn read_escaped_octets(&mut self, place: TagPlace, start: Mark, uri: &mut String) -> Result<(), Error> {
        let mut octets = Vec::with_capacity(4);
        let mut width = 0;
        loop {
            let digits = (self.input.peek(1)?.to_digit(16), self.input.peek(2)?.to_digit(16));
            let (Some(high), Some(low), '%') = (digits.0, digits.1, self.input.peek(0)?) else {
                return Err(self.error(place.parsing(), start, "did not find URI escaped octet"));
            };
            let octet = u8::try_from(high << 4 | low).unwrap_or_default();
            if octets.is_empty() {
                width = match octet {
                    0x00..=0x7F => 1,
                    0xC0..=0xDF => 2,
                    0xE0..=0xEF => 3,
                    0xF0..=0xF7 => 4,
                    _ => {
                        return Err(self.error(
                            place.parsing(),
                            start,
                            "found an incorrect leading UTF-8 octet",
                        ));
                    }
                };
            } else if octet & 0xC0 != 0x80 {
                return Err(self.error(place.parsing(), start, "found an incorrect trailing UTF-8 octet"));
            }
            octets.push(octet);
            self.input.skip_many(3);
            if octets.len() == width {
                uri.push_str(&String::from_utf8_lossy(&octets));
                return Ok(());
            }
        }
    }

    /// `%YAML` or `%TAG`.
    pub(super) fn read_directive(&mut self) -> Result<(), Error> {
        const DOING: &str = "while scanning a directive";
        let start = self.input.mark();
        self.input.skip();
        let mut name = String::new();
        loop {
            let c = self.input.peek(0)?;
            if !is_name_char(c) {
                break;
            }
            name.push(c);
            self.input.skip();
        }
        if name.is_empty() {
            return Err(self.error(DOING, start, "could not find expected directive name"));
        }
        if !is_gap(self.input.peek(0)?) {
            return Err(self.error(DOING, start, "found unexpected non-alphabetical character"));
        }
        let kind = match name.as_str() {
            "YAML" => self.read_version(start)?,
            "TAG" => self.read_tag_directive(start)?,
            _ => return Err(self.error(DOING, start, "found unknown directive name")),
        };
        self.skip_blanks()?;
        if self.input.peek(0)? == '#' {
            while !is_break_or_end(self.input.peek(0)?) {
                self.input.skip();
            }
        }
        if !is_break_or_end(self.input.peek(0)?) {
            return Err(self.error(DOING, start, "did not find expected comment or line break"));
        }
        if is_break(self.input.peek(0)?) {
            self.input.take_break()?;
        }
        self.push(kind, start);
        Ok(())
    }

    fn skip_blanks(&mut self) -> Result<(), Error> {
        while is_blank(self.input.peek(0)?) {
            self.input.skip();
        }
        Ok(())
    }

    fn read_version(&mut self, start: Mark) -> Result<TokenKind, Error> {
        self.skip_blanks()?;
        let major = self.read_version_number(start)?;
        if self.input.peek(0)? != '.' {
            let message = "did not find expected digit or '.' character";
            return Err(self.error("while scanning a %YAML directive", start, message));
        }
        self.input.skip();
        let minor = self.read_version_number(start)?;
        Ok(TokenKind::Version(major, minor))
    }

    fn read_version_number(&mut self, start: Mark) -> Result<u32, Error> {
        const DOING: &str = "while scanning a %YAML directive";
        let (mut value, mut digits) = (0, 0);
        while let Some(digit) = self.input.peek(0)?.to_digit(10) {
            digits += 1;
            if digits > MAX_VERSION_DIGITS {
                return Err(self.error(DOING, start, "found extremely long version number"));
            }
            value = value * 10 + digit;
            self.input.skip();
        }
        if digits == 0 {
            return Err(self.error(DOING, start, "did not find expected version number"));
        }
        Ok(value)
    }

    fn read_tag_directive(&mut self, start: Mark) -> Result<TokenKind, Error> {
        let place = TagPlace::Directive;
        self.skip_blanks()?;
        let (mut handle, mut prefix) = (String::new(), String::new());
        self.read_handle(place, start, &mut handle)?;
        if !is_blank(self.input.peek(0)?) {
            return Err(self.error(place.scanning(), start, "did not find expected whitespace"));
        }
        self.skip_blanks()?;
        self.read_uri(place, start, &mut prefix)?;
        if !is_gap(self.input.peek(0)?) {
            let message = "did not find expected whitespace or line break";
            return Err(self.error(place.scanning(), start, message));
        }
        Ok(TokenKind::TagHandle { handle, prefix })
    }
}
