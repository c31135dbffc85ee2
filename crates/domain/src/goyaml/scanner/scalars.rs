//! Plain, quoted and block scalars.

use super::super::error::{Error, Mark};
use super::super::input::END;
use super::super::token::{Style, TokenKind, is_blank, is_break, is_break_or_end, is_gap};
use super::{BlockIndent, Position, Scanner};

/// Blanks and line breaks between two parts of a scalar, of which folding decides what is left.
#[derive(Default)]
struct Gap {
    blanks: String,
    first_break: Option<char>,
    more_breaks: String,
}

impl Gap {
    /// Appends what is left of the gap to `text` and forgets it.
    fn fold_into(&mut self, text: &mut String) {
        match self.first_break.take() {
            // One line feed alone is a space; the Unicode separators stay.
            Some('\n') if self.more_breaks.is_empty() => text.push(' '),
            Some('\n') => text.push_str(&self.more_breaks),
            Some(separator) => {
                text.push(separator);
                text.push_str(&self.more_breaks);
            }
            None => text.push_str(&self.blanks),
        }
        self.blanks.clear();
        self.more_breaks.clear();
    }

    fn add_break(&mut self, line_break: char) {
        if self.first_break.is_none() {
            self.first_break = Some(line_break);
            self.blanks.clear();
        } else {
            self.more_breaks.push(line_break);
        }
    }
}

/// Columns a level is indented by in emitted texts.
const EMITTED_INDENT: i64 = 4;

/// What happens to the line breaks at the end of a block scalar.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chomping {
    Strip,
    Clip,
    Keep,
}

impl Scanner<'_> {
    pub(super) fn read_plain(&mut self) -> Result<(), Error> {
        let start = self.input.mark();
        let mut text = String::new();
        let mut gap = Gap::default();
        loop {
            if self.document_marker()?.is_some() || self.input.peek(0)? == '#' {
                break;
            }
            loop {
                let c = self.input.peek(0)?;
                if is_gap(c) || self.ends_plain(c)? {
                    break;
                }
                gap.fold_into(&mut text);
                text.push(c);
                self.input.skip();
            }
            let c = self.input.peek(0)?;
            if !is_blank(c) && !is_break(c) {
                break;
            }
            self.read_plain_gap(start, &mut gap)?;
            if !self.in_flow() && i64::from(self.input.mark().column) <= self.indent {
                break;
            }
        }
        if gap.first_break.is_some() {
            self.key_allowed = true;
        }
        self.push(TokenKind::Scalar { text, style: Style::Plain }, start);
        Ok(())
    }

    /// Whether `c`, which is next, is not part of a plain scalar.
    fn ends_plain(&mut self, c: char) -> Result<bool, Error> {
        let flow = self.in_flow();
        Ok(match c {
            ':' => {
                let next = self.input.peek(1)?;
                is_gap(next) || flow && matches!(next, ',' | ']' | '}')
            }
            '?' if flow => is_gap(self.input.peek(1)?),
            ',' | '[' | ']' | '{' | '}' => flow,
            _ => false,
        })
    }

    fn read_plain_gap(&mut self, start: Mark, gap: &mut Gap) -> Result<(), Error> {
        loop {
            let c = self.input.peek(0)?;
            if is_blank(c) {
                if gap.first_break.is_none() {
                    gap.blanks.push(c);
                } else if c == '\t' && i64::from(self.input.mark().column) <= self.indent {
                    let message = "found a tab character that violates indentation";
                    return Err(self.error("while scanning a plain scalar", start, message));
                }
                self.input.skip();
            } else if is_break(c) {
                gap.add_break(self.input.take_break()?);
            } else {
                return Ok(());
            }
        }
    }

    pub(super) fn read_quoted(&mut self, quote: char) -> Result<(), Error> {
        const DOING: &str = "while scanning a quoted scalar";
        let start = self.input.mark();
        self.input.skip();
        let mut text = String::new();
        loop {
            if self.document_marker()?.is_some() {
                return Err(self.error(DOING, start, "found unexpected document indicator"));
            }
            if self.input.peek(0)? == END {
                return Err(self.error(DOING, start, "found unexpected end of stream"));
            }
            let mut gap = Gap::default();
            if self.read_quoted_words(quote, start, &mut text)? {
                // A line break that was escaped leaves nothing, not even a space.
                gap.first_break = Some('\n');
                gap.more_breaks.clear();
                self.read_quoted_gap(&mut gap)?;
                text.push_str(&gap.more_breaks);
                continue;
            }
            if self.input.peek(0)? == quote {
                break;
            }
            self.read_quoted_gap(&mut gap)?;
            gap.fold_into(&mut text);
        }
        self.input.skip();
        let style = if quote == '"' { Style::DoubleQuoted } else { Style::SingleQuoted };
        self.push(TokenKind::Scalar { text, style }, start);
        Ok(())
    }

    /// Reads up to a blank, a line break, the end or the closing quote. Says whether it consumed an
    /// escaped line break last.
    fn read_quoted_words(&mut self, quote: char, start: Mark, text: &mut String) -> Result<bool, Error> {
        loop {
            let c = self.input.peek(0)?;
            if is_gap(c) {
                return Ok(false);
            }
            if c == quote {
                if quote == '\'' && self.input.peek(1)? == '\'' {
                    text.push('\'');
                    self.input.skip_many(2);
                    continue;
                }
                return Ok(false);
            }
            if quote == '"' && c == '\\' {
                if is_break(self.input.peek(1)?) {
                    self.input.skip();
                    self.input.take_break()?;
                    return Ok(true);
                }
                text.push(self.read_escape(start)?);
                continue;
            }
            text.push(c);
            self.input.skip();
        }
    }

    fn read_quoted_gap(&mut self, gap: &mut Gap) -> Result<(), Error> {
        loop {
            let c = self.input.peek(0)?;
            if is_blank(c) {
                if gap.first_break.is_none() {
                    gap.blanks.push(c);
                }
                self.input.skip();
            } else if is_break(c) {
                gap.add_break(self.input.take_break()?);
            } else {
                return Ok(());
            }
        }
    }

    /// A backslash and what it escapes.
    fn read_escape(&mut self, start: Mark) -> Result<char, Error> {
        const DOING: &str = "while scanning a quoted scalar";
        let c = match self.input.peek(1)? {
            '0' => '\0',
            'a' => '\u{7}',
            'b' => '\u{8}',
            't' | '\t' => '\t',
            'n' => '\n',
            'v' => '\u{B}',
            'f' => '\u{C}',
            'r' => '\r',
            'e' => '\u{1B}',
            ' ' => ' ',
            '"' => '"',
            '\'' => '\'',
            '\\' => '\\',
            'N' => '\u{85}',
            '_' => '\u{A0}',
            'L' => '\u{2028}',
            'P' => '\u{2029}',
            'x' => return self.read_hex_escape(start, 2),
            'u' => return self.read_hex_escape(start, 4),
            'U' => return self.read_hex_escape(start, 8),
            _ => return Err(self.error(DOING, start, "found unknown escape character")),
        };
        self.input.skip_many(2);
        Ok(c)
    }

    fn read_hex_escape(&mut self, start: Mark, digits: usize) -> Result<char, Error> {
        const DOING: &str = "while scanning a quoted scalar";
        self.input.skip_many(2);
        let mut value = 0_u32;
        for place in 0..digits {
            let Some(digit) = self.input.peek(place)?.to_digit(16) else {
                return Err(self.error(DOING, start, "did not find expected hexadecimal number"));
            };
            value = value << 4 | digit;
        }
        let Some(c) = char::from_u32(value) else {
            return Err(self.error(DOING, start, "found invalid Unicode character escape code"));
        };
        self.input.skip_many(digits);
        Ok(c)
    }

    pub(super) fn read_block_scalar(&mut self, indicator: char) -> Result<(), Error> {
        let start = self.input.mark();
        let literal = indicator == '|';
        self.input.skip();
        let in_sequence = self.position == Position::BlockEntry;
        let (chomping, increment) = self.read_block_header(start)?;
        let outer = self.indent.max(0);
        let mut indent = match self.block_indent {
            BlockIndent::Standard => increment.map(|increment| outer + increment),
            BlockIndent::Emitted if in_sequence => Some(outer + 2),
            BlockIndent::Emitted => Some((outer / EMITTED_INDENT + 1) * EMITTED_INDENT),
        };
        let mut text = String::new();
        // The break behind the last line read, and those of the empty lines that follow it.
        let mut line_break: Option<char> = None;
        let mut empty_lines = String::new();
        self.read_empty_lines(&mut indent, start, &mut empty_lines)?;
        let mut previous_blank = false;
        while Some(i64::from(self.input.mark().column)) == indent && self.input.peek(0)? != END {
            // A folded text keeps the breaks around lines that begin with a blank.
            let blank = is_blank(self.input.peek(0)?);
            match line_break.take() {
                Some('\n') if !literal && !previous_blank && !blank => {
                    text.push_str(if empty_lines.is_empty() { " " } else { "" });
                }
                Some(line_break) => text.push(line_break),
                None => {}
            }
            text.push_str(&empty_lines);
            empty_lines.clear();
            previous_blank = blank;
            loop {
                let c = self.input.peek(0)?;
                if is_break_or_end(c) {
                    break;
                }
                text.push(c);
                self.input.skip();
            }
            if is_break(self.input.peek(0)?) {
                line_break = Some(self.input.take_break()?);
            }
            self.read_empty_lines(&mut indent, start, &mut empty_lines)?;
        }
        if chomping != Chomping::Strip {
            text.extend(line_break);
        }
        if chomping == Chomping::Keep {
            text.push_str(&empty_lines);
        }
        let style = if literal { Style::Literal } else { Style::Folded };
        self.push(TokenKind::Scalar { text, style }, start);
        Ok(())
    }

    /// The rest of the line after `|` or `>`: chomping and indentation indicators in any order.
    fn read_block_header(&mut self, start: Mark) -> Result<(Chomping, Option<i64>), Error> {
        const DOING: &str = "while scanning a block scalar";
        let (mut chomping, mut increment) = (None, None);
        loop {
            let c = self.input.peek(0)?;
            match c {
                '+' | '-' if chomping.is_none() => {
                    chomping = Some(if c == '+' { Chomping::Keep } else { Chomping::Strip });
                }
                '0' if increment.is_none() => {
                    return Err(self.error(DOING, start, "found an indentation indicator equal to 0"));
                }
                '1'..='9' if increment.is_none() => increment = c.to_digit(10).map(i64::from),
                _ => break,
            }
            self.input.skip();
        }
        while is_blank(self.input.peek(0)?) {
            self.input.skip();
        }
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
        Ok((chomping.unwrap_or(Chomping::Clip), increment))
    }

    /// Reads indentation and empty lines in front of a line of a block scalar. Where `indent` is not
    /// known yet, it becomes that of the line found.
    fn read_empty_lines(
        &mut self,
        indent: &mut Option<i64>,
        start: Mark,
        breaks: &mut String,
    ) -> Result<(), Error> {
        let mut widest = 0;
        loop {
            let mut column = i64::from(self.input.mark().column);
            let is_indentation = |column| indent.is_none_or(|indent| column < indent);
            while is_indentation(column) && self.input.peek(0)? == ' ' {
                self.input.skip();
                column += 1;
            }
            widest = widest.max(column);
            let c = self.input.peek(0)?;
            if c == '\t' && is_indentation(column) {
                let message = "found a tab character where an indentation space is expected";
                return Err(self.error("while scanning a block scalar", start, message));
            }
            if !is_break(c) {
                break;
            }
            breaks.push(self.input.take_break()?);
        }
        if indent.is_none() {
            *indent = Some(widest.max(self.indent + 1));
        }
        Ok(())
    }
}
