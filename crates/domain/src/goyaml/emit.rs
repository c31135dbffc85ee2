//! Values to text: the one canonical form.

use super::number::format_float;
use super::style::{ScalarStyle, is_printable, style_of};
use super::token::is_break;
use super::value::{Mapping, Value};

/// Columns a level is indented by.
const INDENT: usize = 4;
/// Bytes of a key that may stand on the line of its value.
const MAX_SIMPLE_KEY: usize = 128;

/// Writes a value as a document: four columns a level, lists indented below their keys, no line ever
/// folded, and a line feed at the end. Mappings keep their order.
pub fn emit(value: &Value) -> String {
    let mut emitter = Emitter { out: String::new(), line_is_fresh: true };
    match value {
        Value::Mapping(mapping) if !mapping.is_empty() => emitter.mapping(mapping, 0),
        Value::Sequence(items) if !items.is_empty() => emitter.sequence(items, 0),
        scalar => emitter.scalar(scalar, INDENT),
    }
    emitter.end_line();
    emitter.out
}

struct Emitter {
    out: String,
    /// Nothing was written since the last line break.
    line_is_fresh: bool,
}

/// Where the children of a mapping at `column` stand, and the lines of a block in it.
fn column_below(column: usize) -> usize {
    (column / INDENT + 1) * INDENT
}

impl Emitter {
    fn write(&mut self, text: &str) {
        self.out.push_str(text);
        self.line_is_fresh = false;
    }

    fn end_line(&mut self) {
        if !self.line_is_fresh {
            self.out.push('\n');
            self.line_is_fresh = true;
        }
    }

    fn pad(&mut self, columns: usize) {
        self.out.extend(std::iter::repeat_n(' ', columns));
    }

    fn begin_line(&mut self, column: usize) {
        self.end_line();
        self.pad(column);
    }

    /// Writes entries at `column`, the first one where the line stands if something is there.
    fn mapping(&mut self, mapping: &Mapping, column: usize) {
        for (i, (key, value)) in mapping.iter().enumerate() {
            if i > 0 {
                self.begin_line(column);
            }
            if is_simple_key(key) {
                self.scalar(key, column_below(column));
                self.write(":");
                self.value_of_key(value, column);
            } else {
                self.write("? ");
                self.scalar(key, column_below(column));
                self.begin_line(column);
                self.write(":");
                self.value_of_long_key(value, column);
            }
        }
    }

    fn value_of_key(&mut self, value: &Value, column: usize) {
        let below = column_below(column);
        match value {
            Value::Mapping(mapping) if !mapping.is_empty() => {
                self.begin_line(below);
                self.mapping(mapping, below);
            }
            Value::Sequence(items) if !items.is_empty() => {
                self.begin_line(below);
                self.sequence(items, below);
            }
            scalar => {
                self.write(" ");
                self.scalar(scalar, below);
            }
        }
    }

    /// As [`value_of_key`](Self::value_of_key), on the line of the colon.
    fn value_of_long_key(&mut self, value: &Value, column: usize) {
        let below = column_below(column);
        match value {
            Value::Mapping(mapping) if !mapping.is_empty() => {
                self.pad(below - column - 1);
                self.mapping(mapping, below);
            }
            Value::Sequence(items) if !items.is_empty() => {
                self.pad(below - column - 1);
                self.sequence(items, below);
            }
            scalar => {
                self.write(" ");
                self.scalar(scalar, below);
            }
        }
    }

    fn sequence(&mut self, items: &[Value], column: usize) {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.begin_line(column);
            }
            self.write("- ");
            match item {
                Value::Mapping(mapping) if !mapping.is_empty() => self.mapping(mapping, column + 2),
                Value::Sequence(items) if !items.is_empty() => self.sequence(items, column + 2),
                scalar => self.scalar(scalar, column + 2),
            }
        }
    }

    /// Writes a scalar, or an empty collection; further lines of it stand at `column`.
    fn scalar(&mut self, value: &Value, column: usize) {
        match value {
            Value::Null => self.write("null"),
            Value::Bool(value) => self.write(if *value { "true" } else { "false" }),
            Value::Int(value) => self.write(&value.to_string()),
            Value::Uint(value) => self.write(&value.to_string()),
            Value::Float(value) => self.write(&format_float(*value)),
            Value::Timestamp(moment) => self.write(moment),
            Value::String(text) => self.text(text, column),
            Value::Sequence(_) => self.write("[]"),
            Value::Mapping(_) => self.write("{}"),
        }
    }

    fn text(&mut self, text: &str, column: usize) {
        match style_of(text) {
            ScalarStyle::Plain => self.write(text),
            ScalarStyle::SingleQuoted => self.single_quoted(text, column),
            ScalarStyle::DoubleQuoted => self.double_quoted(text),
            ScalarStyle::Literal => self.literal(text, column),
        }
    }

    fn single_quoted(&mut self, text: &str, column: usize) {
        self.write("'");
        let mut behind_break = false;
        for c in text.chars() {
            if is_break(c) {
                behind_break = true;
            } else if behind_break {
                self.pad(column);
                behind_break = false;
            }
            if c == '\'' {
                self.out.push('\'');
            }
            self.out.push(c);
        }
        self.write("'");
    }

    fn double_quoted(&mut self, text: &str) {
        // The reference looks for the mark at the start of the text whichever character it is at.
        let escape_all = text.starts_with('\u{FEFF}');
        self.write("\"");
        for c in text.chars() {
            if escape_all || !is_printable(c) || is_break(c) || matches!(c, '"' | '\\') {
                self.escape(c);
            } else {
                self.out.push(c);
            }
        }
        self.write("\"");
    }

    fn escape(&mut self, c: char) {
        let short = match c {
            '\0' => '0',
            '\u{7}' => 'a',
            '\u{8}' => 'b',
            '\t' => 't',
            '\n' => 'n',
            '\u{B}' => 'v',
            '\u{C}' => 'f',
            '\r' => 'r',
            '\u{1B}' => 'e',
            '"' | '\\' => c,
            '\u{85}' => 'N',
            '\u{A0}' => '_',
            '\u{2028}' => 'L',
            '\u{2029}' => 'P',
            _ => {
                let code = u32::from(c);
                self.out.push_str(&match code {
                    0..=0xFF => format!("\\x{code:02X}"),
                    0x100..=0xFFFF => format!("\\u{code:04X}"),
                    _ => format!("\\U{code:08X}"),
                });
                return;
            }
        };
        self.out.push('\\');
        self.out.push(short);
    }

    fn literal(&mut self, text: &str, column: usize) {
        self.write("|");
        if text.starts_with(' ') {
            self.write("4");
        }
        let mut from_end = text.chars().rev();
        match (from_end.next().is_some_and(is_break), from_end.next().is_none_or(is_break)) {
            (false, _) => self.write("-"),
            (true, true) => self.write("+"),
            (true, false) => {}
        }
        self.end_line();
        for c in text.chars() {
            if is_break(c) {
                self.out.push(c);
                self.line_is_fresh = true;
            } else {
                if self.line_is_fresh {
                    self.pad(column);
                }
                self.out.push(c);
                self.line_is_fresh = false;
            }
        }
    }
}

/// Whether a key may stand before its colon without `?`.
fn is_simple_key(key: &Value) -> bool {
    match key {
        Value::String(text) => text.len() <= MAX_SIMPLE_KEY && !text.contains(is_break),
        _ => true,
    }
}
