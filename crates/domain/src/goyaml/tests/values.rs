//! Texts that are accepted. Every expectation was observed at the library release of the reference.

use super::canonical;

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(canonical(text).as_deref(), Ok(*expected), "{text:?}");
    }
}

#[test]
fn scalars() {
    check(&[
        ("0x1F", "31\n"),
        ("012", "10\n"),
        ("08", "8\n"),
        ("1_000", "1000\n"),
        ("1e6", "1e+06\n"),
        ("1.0", "1\n"),
        ("18446744073709551615", "18446744073709551615\n"),
        ("18446744073709551616", "1.8446744073709552e+19\n"),
        ("1e400", "1e400\n"),
        (".9_1", "0.91\n"),
        ("-0", "-0\n"),
        (".NaN", ".nan\n"),
        ("yes", "'yes'\n"),
        ("nULL", "nULL\n"),
        ("2024-1-2", "2024-01-02T00:00:00Z\n"),
        ("<<", "null\n"),
        ("!!str 12", "\"12\"\n"),
        ("!!int \"12\"", "12\n"),
        ("!foo 12", "\"12\"\n"),
        ("! ~", "\"~\"\n"),
        ("!", "\"\"\n"),
        ("!!binary aGk=", "hi\n"),
        ("!<tag:yaml.org,2002:int> 5", "5\n"),
    ]);
}

#[test]
fn collections() {
    check(&[
        ("- - a\n  - b\n- c", "- - a\n  - b\n- c\n"),
        ("a:\n- b\n- c\nd: e", "a:\n    - b\n    - c\nd: e\n"),
        ("[a, b: c, ? d]", "- a\n- b: c\n- d: null\n"),
        ("{a, b: , c: {}}", "a: null\nb: null\nc: {}\n"),
        ("? a\n? b\n: - c", "a: null\nb:\n    - c\n"),
        ("[a:b, a?b, :a, ?a, -a, \"a\":b]", "- a:b\n- a?b\n- :a\n- ?a\n- -a\n- a: b\n"),
        ("[:, -, ?]", "- null: null\n- '-'\n- '?'\n"),
        ("{a10: 1, a2: 2, 3: 4, b: 5}", "3: 4\na2: 2\na10: 1\nb: 5\n"),
        ("{1: a, 0x1: b}", "1: b\n"),
        ("- a: b\n  c:\n  - d", "- a: b\n  c:\n    - d\n"),
    ]);
}

#[test]
fn block_scalars() {
    check(&[
        ("a: |\n x\n  y\n\n z\n", "a: |\n    x\n     y\n\n    z\n"),
        ("a: >\n x\n y\n\n z\n  w\n q\n", "a: |\n    x y\n    z\n     w\n    q\n"),
        ("a: >-2\n   x", "a: ' x'\n"),
        ("a: |+\n x\n\n", "a: |+\n    x\n\n"),
        ("|\nx\n y", "|-\n    x\n     y\n"),
        ("- |\n  x", "- x\n"),
    ]);
}

#[test]
fn quoted_scalars() {
    check(&[
        ("\"x\n\n y\\\n   z\"", "|-\n    x\n    yz\n"),
        ("'it''s'", "it's\n"),
        ("\"\\x41\\u00e9\\U0001F680\\e\"", "\"Aé\\U0001F680\\e\"\n"),
        ("a\u{2028}b", "'a\u{2028}    b'\n"),
        ("a: \u{FEFF}b", "a: \"\\uFEFF\\x62\"\n"),
    ]);
}

#[test]
fn anchors_aliases_and_merges() {
    check(&[
        ("{a: &x [1], b: *x}", "a:\n    - 1\nb:\n    - 1\n"),
        ("{a: &x 1, b: &x 2, c: *x}", "a: 1\nb: 2\nc: 2\n"),
        ("<<: {a: 1, b: 2}\nb: 3", "a: 1\nb: 3\n"),
        ("<<: [{a: 1}, {a: 2, b: 3}]", "a: 1\nb: 3\n"),
        ("{<<: {<<: {a: 1, c: 9}, a: 2}}", "a: 2\nc: 9\n"),
        ("x: &x {a: 1}\ny: {<<: *x, b: 2}", "x:\n    a: 1\n'y':\n    a: 1\n    b: 2\n"),
        ("\"<<\": {a: 1}", "'<<':\n    a: 1\n"),
    ]);
}

#[test]
fn documents() {
    check(&[
        ("--- a", "a\n"),
        ("---\n...\n---", "null\n"),
        ("{} foo", "{}\n"),
        ("a: b\n...\n]", "a: b\n"),
        ("%TAG !e! tag:example.org,2000:\n---\na", "a\n"),
        ("a: b\r\nc: d\r\n", "a: b\nc: d\n"),
    ]);
    let utf16: Vec<u8> = "\u{FEFF}a: é".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(canonical(&utf16).as_deref(), Ok("a: é\n"));
}

#[test]
fn long_keys_are_explicit() {
    let key = "k".repeat(129);
    check(&[
        (&format!("{{{key}: a}}"), &format!("? {key}\n: a\n")),
        (&format!("[{{{key}: {{a: 1, b: 2}}}}]"), &format!("- ? {key}\n  : a: 1\n    b: 2\n")),
        (&format!("{{{key}: [a, b]}}"), &format!("? {key}\n:   - a\n    - b\n")),
        ("{\"a\\nb\": c}", "? |-\n    a\n    b\n: c\n"),
    ]);
}
