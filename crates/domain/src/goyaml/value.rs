//! Free-form values and the order of their keys.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};

/// A value without a schema.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// Truth.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above those of [`Int`](Self::Int).
    Uint(u64),
    /// A floating point number.
    Float(f64),
    /// A moment, in the form of RFC 3339.
    Timestamp(String),
    /// A text.
    String(String),
    /// Values in order.
    Sequence(Vec<Value>),
    /// Values by key.
    Mapping(Mapping),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

/// Keys and values in the order they are written out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapping {
    entries: Vec<(Value, Value)>,
}

impl Mapping {
    /// No entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry at the end. Keys are not compared with those that are there.
    pub fn push(&mut self, key: impl Into<Value>, value: Value) {
        self.entries.push((key.into(), value));
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// The value of a key that is this text.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.iter()
            .find(|(candidate, _)| matches!(candidate, Value::String(text) if text == key))
            .map(|e| e.1)
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Orders the entries as a mapping without a schema is written: numbers by value, then texts in
    /// natural order, in which `a2` comes before `a10`.
    pub(super) fn sort(&mut self) {
        // The order is not proven to be total for every text, and the library's sort may panic on one
        // that is not. Merging never does.
        self.entries = merge_sort(std::mem::take(&mut self.entries));
    }
}

fn merge_sort(mut entries: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    if entries.len() < 2 {
        return entries;
    }
    let right = merge_sort(entries.split_off(entries.len() / 2));
    let left = merge_sort(entries);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let first = if compare_keys(&b.0, &a.0) == Ordering::Less { right.next() } else { left.next() };
        merged.extend(first);
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

/// Order of two keys.
pub(super) fn compare_keys(a: &Value, b: &Value) -> Ordering {
    let by_kind = kind_rank(a).cmp(&kind_rank(b));
    match (a, b) {
        (Value::String(a), Value::String(b)) => natural_order(a, b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        _ => match (as_number(a), as_number(b)) {
            (Some(x), Some(y)) => x.total_cmp(&y).then(by_kind).then_with(|| exact_order(a, b)),
            _ => by_kind,
        },
    }
}

fn kind_rank(value: &Value) -> u8 {
    match value {
        Value::Bool(_) => 0,
        Value::Int(_) => 1,
        Value::Uint(_) => 2,
        Value::Float(_) => 3,
        Value::Null => 4,
        Value::Mapping(_) => 5,
        Value::Sequence(_) => 6,
        Value::String(_) => 7,
        Value::Timestamp(_) => 8,
    }
}

fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::Int(n) => Some(*n as f64),
        Value::Uint(n) => Some(*n as f64),
        // Positive and negative zero are one key.
        Value::Float(x) => Some(x + 0.0),
        _ => None,
    }
}

/// Order of integers that are the same as doubles.
fn exact_order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Uint(a), Value::Uint(b)) => a.cmp(b),
        _ => Ordering::Equal,
    }
}

/// Compares texts at their first difference: letters by code point, digits by the number that begins
/// there, and letters before other characters only behind a digit.
fn natural_order(a: &str, b: &str) -> Ordering {
    let same = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).map(|(x, _)| x.len_utf8()).sum();
    let common = a.get(..same).unwrap_or_default();
    let (rest_a, rest_b) = (a.get(same..).unwrap_or_default(), b.get(same..).unwrap_or_default());
    let (Some(x), Some(y)) = (rest_a.chars().next(), rest_b.chars().next()) else {
        return rest_a.len().cmp(&rest_b.len());
    };
    let after_digit = common.ends_with(|c: char| c.is_numeric());
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(&y),
        (true, false) => return if after_digit { Ordering::Less } else { Ordering::Greater },
        (false, true) => return if after_digit { Ordering::Greater } else { Ordering::Less },
        (false, false) => {}
    }
    // A zero in the middle of a number is a digit of it, not a leading zero.
    let inside_number =
        (x == '0' || y == '0') && common.chars().rev().take_while(|c| c.is_numeric()).any(|c| c != '0');
    let start = if inside_number { 1 } else { 0 };
    let (run_a, run_b) = (DigitRun::at_start(rest_a, start), DigitRun::at_start(rest_b, start));
    run_a.value.cmp(&run_b.value).then(run_a.length.cmp(&run_b.length)).then(x.cmp(&y))
}

/// The digits a text begins with.
struct DigitRun {
    value: i64,
    length: usize,
}

impl DigitRun {
    fn at_start(text: &str, start: i64) -> Self {
        let mut run = Self { value: start, length: 0 };
        for c in text.chars().take_while(|c| c.is_numeric()) {
            // The reference lets the number overflow.
            let digit = i64::from(u32::from(c)) - i64::from(u32::from('0'));
            run.value = run.value.wrapping_mul(10).wrapping_add(digit);
            run.length += 1;
        }
        run
    }
}

/// A value as messages of the reference show one, cut off when it is long.
pub(super) struct Shown<'a>(pub &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Characters of a value in a message.
        const MAX: usize = 1000;
        let mut text = String::new();
        show(self.0, &mut text, MAX)?;
        match text.char_indices().nth(MAX) {
            Some((end, _)) => write!(f, "{}…", text.get(..end).unwrap_or_default()),
            None => f.write_str(&text),
        }
    }
}

fn show(value: &Value, out: &mut String, max: usize) -> fmt::Result {
    match value {
        Value::Null => out.write_str("interface {}(nil)"),
        Value::Bool(b) => write!(out, "{b}"),
        Value::Int(n) => write!(out, "{n}"),
        Value::Uint(n) => write!(out, "{n:#x}"),
        Value::Float(x) if x.is_nan() => out.write_str("NaN"),
        Value::Float(x) if x.is_infinite() => out.write_str(if *x > 0.0 { "+Inf" } else { "-Inf" }),
        Value::Float(x) => out.write_str(&super::number::format_float(*x)),
        Value::Timestamp(moment) => out.write_str(moment),
        Value::String(text) => out.write_str(&quote(text)),
        Value::Sequence(items) => {
            out.write_str("[]interface {}{")?;
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.write_str(", ")?;
                }
                if out.len() > max {
                    break;
                }
                show(item, out, max)?;
            }
            out.write_char('}')
        }
        Value::Mapping(mapping) => {
            let all_strings = mapping.iter().all(|(key, _)| matches!(key, Value::String(_)));
            let kind =
                if all_strings { "map[string]interface {}{" } else { "map[interface {}]interface {}{" };
            out.write_str(kind)?;
            for (i, (key, item)) in mapping.iter().enumerate() {
                if i > 0 {
                    out.write_str(", ")?;
                }
                if out.len() > max {
                    break;
                }
                show(key, out, max)?;
                out.write_char(':')?;
                show(item, out, max)?;
            }
            out.write_char('}')
        }
    }
}

/// A text in double quotes, with the escapes messages of the reference use.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{C}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{B}' => out.push_str("\\v"),
            '\0'..=' ' | '\u{7F}' if c != ' ' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            _ if is_printable(c) => out.push(c),
            '\u{10000}'.. => out.push_str(&format!("\\U{:08x}", u32::from(c))),
            _ => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

fn is_printable(c: char) -> bool {
    // Marks that combine with a character before them are printable behind one, hence the letter.
    let escapes = || format!("a{c}").escape_debug().count() > 2;
    matches!(c, ' ' | '\'') || !(c.is_whitespace() || c.is_control() || escapes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_in_natural_order() {
        let sorted = [
            "", "_x", "1", "2", "10", "A", "B", "a", "a b", "a-b", "a_b", "a1", "a01", "a2", "a10", "aB",
            "ab", "b", "z", "é",
        ];
        let mut mapping = Mapping::new();
        for key in sorted.iter().rev() {
            mapping.push(*key, Value::Null);
        }
        mapping.sort();
        let keys: Vec<_> = mapping.iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(keys, sorted.map(Value::from));
    }

    #[test]
    fn kinds_have_an_order() {
        let sorted = [
            Value::Int(-1),
            Value::Bool(true),
            Value::Int(1),
            Value::Float(1.0),
            Value::Float(1.5),
            Value::Null,
            Value::from("x"),
            Value::Timestamp("2020-01-01T00:00:00Z".into()),
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(compare_keys(a, b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn quotes_as_messages_do() {
        assert_eq!(quote("a\nb\u{a0}\u{7f}😀\u{feff}\"\\"), "\"a\\nb\\u00a0\\x7f😀\\ufeff\\\"\\\\\"");
    }
}
