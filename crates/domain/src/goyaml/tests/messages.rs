//! Texts that are refused, with the words of the library release of the reference.

use super::canonical;

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (text, message) in cases {
        assert_eq!(canonical(text), Err((*message).to_owned()), "{text:?}");
    }
}

#[test]
fn nothing_to_read() {
    check(&[("", "EOF"), ("\n", "EOF"), ("# comment", "EOF"), ("...", "EOF")]);
}

#[test]
fn scanner() {
    const TOKEN: &str = "go-yaml load error in scanner (while scanning for the next token) at";
    const QUOTED: &str = "go-yaml load error in scanner (while scanning a quoted scalar) at";
    check(&[
        ("a: @", &format!("{TOKEN} L1.C4: found character that cannot start any token")),
        ("a:\n\t- b", &format!("{TOKEN} L2.C1: found character that cannot start any token")),
        ("{}\n--- @", &format!("{TOKEN} L2.C5: found character that cannot start any token")),
        ("a: \"b\n", &format!("{QUOTED} L1.C4-L2.C1: found unexpected end of stream")),
        ("a: \"\\q\"", &format!("{QUOTED} L1.C4-C5: found unknown escape character")),
        ("a: \"\\uD800\"", &format!("{QUOTED} L1.C4-C7: found invalid Unicode character escape code")),
        ("a: \"\\xZZ\"", &format!("{QUOTED} L1.C4-C7: did not find expected hexadecimal number")),
        ("a: 'x\n...\ny'", &format!("{QUOTED} L1.C4-L2.C1: found unexpected document indicator")),
        ("a: b: c", "go-yaml load error in scanner at L1.C5: mapping values are not allowed in this context"),
        (
            "a: - b",
            "go-yaml load error in scanner at L1.C4: block sequence entries are not allowed in this context",
        ),
        ("a: ? b", "go-yaml load error in scanner at L1.C4: mapping keys are not allowed in this context"),
        (
            "- a\nb",
            "go-yaml load error in scanner (while scanning a simple key) at L2.C1-L3.C1: could not find expected ':'",
        ),
        (
            "a: |0\n x",
            "go-yaml load error in scanner (while scanning a block scalar) at L1.C4-C5: \
             found an indentation indicator equal to 0",
        ),
        (
            "a: x\n\ty",
            "go-yaml load error in scanner (while scanning a plain scalar) at L1.C4-L2.C1: \
             found a tab character that violates indentation",
        ),
        (
            "[!a,b]",
            "go-yaml load error in scanner (while parsing a tag) at L1.C2-C4: \
             found character ',' that is not allowed in a YAML tag",
        ),
        (
            "&",
            "go-yaml load error in scanner (while scanning an anchor) at L1.C1-C2: \
             did not find expected alphabetic or numeric character",
        ),
        (
            "%FOO",
            "go-yaml load error in scanner (while scanning a directive) at L1.C1-C5: found unknown directive name",
        ),
    ]);
}

#[test]
fn parser_and_composer() {
    check(&[
        (
            "{a\nb: c}",
            "go-yaml load error in parser (while parsing a flow mapping) at L1.C1-L2.C2: did not find expected ',' or '}'",
        ),
        (
            "[a:[b]]",
            "go-yaml load error in parser (while parsing a flow sequence) at L1.C1-C4: did not find expected ',' or ']'",
        ),
        (
            "{a,,}",
            "go-yaml load error in parser (while parsing a flow node) at L1.C4: did not find expected node content",
        ),
        (
            "a:\n  b: 1\n c: 2",
            "go-yaml load error in parser (while parsing a block mapping) at L1.C1-L3.C2: did not find expected key",
        ),
        (
            "- a: 1\n b: 2",
            "go-yaml load error in parser (while parsing a block collection) at L1.C1-L2.C2: \
             did not find expected '-' indicator",
        ),
        ("%YAML 1.2\n---\na", "go-yaml load error in parser at L1.C1: found incompatible YAML document"),
        (
            "!a!b c",
            "go-yaml load error in parser (while parsing a node) at L1.C1: found undefined tag handle",
        ),
        ("[*nope]", "go-yaml load error in composer at L1.C2: unknown anchor 'nope' referenced"),
        ("&a [*a]", "go-yaml load error in composer at L1.C5: anchor 'a' value contains itself"),
    ]);
}

#[test]
fn constructor() {
    check(&[
        (
            "!!int abc",
            "go-yaml load error in resolver at <unknown position>: cannot construct !!str `abc` as a !!int",
        ),
        (
            "<<: [a]",
            "go-yaml load error in constructor at L1.C6: map merge requires map or sequence of maps as the value",
        ),
        (
            "{[a]: 1}",
            "go-yaml load error in constructor at L1.C2: \
             cannot use '[]interface {}{\"a\"}' as a map key; try decoding into yaml.Node",
        ),
        (
            "!!binary \"x x\"",
            "go-yaml load error in constructor at L1.C1: !!binary value contains invalid base64 data",
        ),
        ("{a: 1, a: 2}", "yaml: construct errors: line 1: mapping key \"a\" already defined at line 1"),
        (
            "b: {a: 1, a: 2}\nc:\n- ~: 1\n  ~: 2",
            "yaml: construct errors: line 1: mapping key \"a\" already defined at line 1; \
             line 4: mapping key \"~\" already defined at line 3",
        ),
    ]);
}
