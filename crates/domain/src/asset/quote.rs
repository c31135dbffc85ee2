//! Texts from outside, quoted for messages.

use std::fmt::Write as _;

/// Longest text that a message repeats.
const MAX_SHOWN: usize = 1000;

/// `text` in double quotes with escapes, the way the reference's messages show it; long texts are cut.
///
/// Printable characters stay as they are, so a user finds his own text again.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_SHOWN) + 2);
    out.push('"');
    for c in text.chars().take(MAX_SHOWN) {
        push_escaped(&mut out, c);
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, c: char) {
    let short = match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{b}' => "\\v",
        _ if c == '\'' || is_printable(c) => {
            out.push(c);
            return;
        }
        _ => "",
    };
    let code = u32::from(c);
    let written = match code {
        _ if !short.is_empty() => write!(out, "{short}"),
        0..=0x7f => write!(out, "\\x{code:02x}"),
        0x80..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
}

/// As the standard library sees it. Asked behind a letter, because it escapes combining marks that
/// stand alone.
fn is_printable(c: char) -> bool {
    let pair: String = ['a', c].iter().collect();
    pair.escape_debug().count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        for (text, shown) in [
            ("", "\"\""),
            ("a'b", "\"a'b\""),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("\u{0}\u{1b}\u{7f}\n\t\u{b}", "\"\\x00\\x1b\\x7f\\n\\t\\v\""),
            ("é日😀e\u{301}", "\"é日😀e\u{301}\""),
            ("\u{a0}\u{202e}\u{e0001}", "\"\\u00a0\\u202e\\U000e0001\""),
        ] {
            assert_eq!(quoted(text), shown);
        }
        assert_eq!(quoted(&"x".repeat(5000)).len(), MAX_SHOWN + 2);
    }
}
