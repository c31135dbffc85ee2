//! How a text is written: plain if it can be read back as that text, else quoted or as a block.

use super::resolve::{Resolved, resolve_plain};
use super::token::{is_blank, is_break, is_break_or_end};

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScalarStyle {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Literal,
}

/// What the characters of a text permit.
struct Permits {
    plain: bool,
    single_quotes: bool,
    literal: bool,
}

/// Style of a text.
pub(super) fn style_of(text: &str) -> ScalarStyle {
    let wanted = wanted_style(text);
    let permits = permits(text);
    match wanted {
        ScalarStyle::Literal if permits.literal => ScalarStyle::Literal,
        ScalarStyle::Plain if permits.plain => ScalarStyle::Plain,
        ScalarStyle::Plain | ScalarStyle::SingleQuoted if permits.single_quotes => ScalarStyle::SingleQuoted,
        _ => ScalarStyle::DoubleQuoted,
    }
}

/// The style that suits what the text means.
fn wanted_style(text: &str) -> ScalarStyle {
    if text.contains('\n') {
        // The reference takes "white space" from Unicode and counts bytes.
        let is_blank_text = text.len() < 2 || text.chars().all(char::is_whitespace);
        return if is_blank_text { ScalarStyle::DoubleQuoted } else { ScalarStyle::Literal };
    }
    match resolve_plain(text) {
        // Readers of YAML 1.1 would take these for something else.
        Resolved::Merge => ScalarStyle::SingleQuoted,
        Resolved::String if is_old_bool(text) || is_base_60(text) => ScalarStyle::SingleQuoted,
        Resolved::String => ScalarStyle::Plain,
        _ => ScalarStyle::DoubleQuoted,
    }
}

fn is_old_bool(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    )
}

/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (places, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let Some((first, rest)) = places.split_once(':') else { return false };
    first.starts_with(|c: char| c.is_ascii_digit())
        && is_digits(first)
        && is_digits(fraction)
        && rest.split(':').all(|place| match place.as_bytes() {
            [ones] => ones.is_ascii_digit(),
            [tens, ones] => matches!(tens, b'0'..=b'5') && ones.is_ascii_digit(),
            _ => false,
        })
}

/// Characters that are written as they are.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{A0}'..='\u{FEFE}' | '\u{FF00}'..='\u{FFFD}')
}

fn permits(text: &str) -> Permits {
    if text.is_empty() {
        return Permits { plain: true, single_quotes: true, literal: false };
    }
    let mut indicator = text.starts_with("---") || text.starts_with("...");
    let (mut tab, mut special, mut breaks) = (false, false, false);
    let (mut break_then_space, mut space_then_break) = (false, false);
    let mut previous = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let before_gap = chars.peek().is_none_or(|next| is_blank(*next) || is_break_or_end(*next));
        let after_gap = previous.is_none_or(|p| is_blank(p) || is_break_or_end(p));
        indicator |= match c {
            '#' => after_gap,
            ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
                previous.is_none()
            }
            '?' | '-' => previous.is_none() && before_gap,
            ':' => before_gap,
            _ => false,
        };
        tab |= c == '\t';
        special |= c != '\t' && !is_printable(c);
        breaks |= is_break(c);
        break_then_space |= c == ' ' && previous.is_some_and(is_break);
        space_then_break |= is_break(c) && previous == Some(' ');
        previous = Some(c);
    }
    let ends_in_space = previous == Some(' ');
    let unquotable = space_then_break || tab || special;
    Permits {
        plain: !(indicator || breaks || unquotable || ends_in_space || text.starts_with(' ')),
        single_quotes: !(unquotable || break_then_space),
        literal: !(ends_in_space || space_then_break || special),
    }
}

#[cfg(test)]
mod tests {
    use super::ScalarStyle::{DoubleQuoted, Literal, Plain, SingleQuoted};
    use super::*;

    #[test]
    fn every_text_has_its_style() {
        let plain = [
            "vga=791",
            "nULL",
            ".",
            "1.e",
            "_1",
            "+",
            "=",
            "-console",
            "a:b",
            "a#b",
            "it's",
            "é",
            "x,y",
            "nbsp\u{a0}",
        ];
        let single = [
            "yes",
            "off",
            "N",
            "1:20",
            "190:20:30",
            "-1:59.5",
            "<<",
            "-",
            "- x",
            "a: b",
            "key:",
            "a #b",
            "{}",
            "[x]",
            "\"q\"",
            " lead",
            "trail ",
            "@x",
            "%x",
            "!x",
            "*a",
            "&a",
            "---",
            "...x",
            "? x",
            ":",
            "ls\u{2028}",
        ];
        let double = [
            "",
            "true",
            "null",
            "~",
            "123",
            "0x1F",
            "1_000",
            "012",
            "08",
            "1e3",
            ".5",
            "1.",
            "2024-01-02",
            "tab\there",
            "\u{FEFF}",
            "🚀",
            "\n",
            " \n",
            "a \nb",
            "a\r",
            "a\nb ",
            "del\u{7f}",
        ];
        let literal = ["a\nb", "a\n", "\na", " a\nb\n", "a\n\tb", "a\n b"];
        for (texts, style) in
            [(&plain[..], Plain), (&single, SingleQuoted), (&double, DoubleQuoted), (&literal, Literal)]
        {
            for text in texts {
                assert_eq!(style_of(text), style, "{text:?}");
            }
        }
    }

    #[test]
    fn base_60_has_its_shape() {
        for text in ["1:2", "1_0:59", "+1:02:3.", "0:0.1_"] {
            assert!(is_base_60(text), "{text}");
        }
        for text in ["1", "1:", ":1", "1:60", "1:2:", "1:222", "a:1", "_1:2", "1:2.x", ""] {
            assert!(!is_base_60(text), "{text}");
        }
    }
}
