//! Texts made to cost much: they are errors, or values, in bounded time and memory.

use super::*;

const SIZE: usize = 1 << 20;

#[track_caller]
fn refused(text: &[u8]) -> Error {
    let limits = Limits::default();
    read(text, &limits).and_then(|document| decode_any(&document, &limits)).expect_err("was accepted")
}

#[test]
fn nesting_is_limited() {
    for (part, doing) in [
        ("[", "while increasing flow level"),
        ("{", "while increasing flow level"),
        ("{a: ", "while increasing flow level"),
        ("- ", "while increasing indent level"),
        ("? ", "while increasing indent level"),
    ] {
        let message = refused(part.repeat(SIZE / part.len()).as_bytes()).to_string();
        assert!(message.contains(doing) && message.ends_with("exceeded max depth of 10000"), "{message}");
    }
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(canonical(deep(1000)).is_ok());
    assert_eq!(refused(deep(1001).as_bytes()), Error::TooDeep { line: 1, max: 1000 });
    assert_eq!(refused(deep(10_000).as_bytes()), Error::TooDeep { line: 1, max: 1000 });
}

#[test]
fn depth_behind_aliases_counts() {
    let chain: Vec<String> = (0..300)
        .map(|i| {
            let inner = if i == 0 { "x".to_owned() } else { format!("*a{}", i - 1) };
            format!("a{i}: &a{i} {}{inner}{}", "[".repeat(90), "]".repeat(90))
        })
        .collect();
    assert_eq!(refused(chain.join("\n").as_bytes()), Error::TooDeep { line: 1, max: 1000 });
}

#[test]
fn alias_bombs_are_refused() {
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (name, inner) in ('b'..='i').zip('a'..) {
        let aliases = vec![format!("*{inner}"); 10].join(",");
        bomb.push_str(&format!("{name}: &{name} [{aliases}]\n"));
    }
    let message = refused(bomb.as_bytes()).to_string();
    assert!(message.ends_with("document contains excessive aliasing"), "{message}");

    let text = format!("[&a \"{}\"{}]", "x".repeat(500_000), ",*a".repeat(200));
    assert_eq!(refused(text.as_bytes()), Error::TooLarge { line: 1, max: 16 << 20 });

    let keys: Vec<String> = (0..1000).map(|i| format!("k{i}: 1")).collect();
    let merges = format!("a: &a {{{}}}\nb: [{}]", keys.join(","), vec!["{<<: *a}"; 2000].join(","));
    assert_eq!(refused(merges.as_bytes()), Error::TooMany { line: 1, max: 100_000 });
}

#[test]
fn values_are_limited() {
    for part in ["x,", "[],", "*a,", "\"\",", "a: 1,", "? ,", "!a x,"] {
        let text = format!("[&a x,{}]", part.repeat(SIZE / part.len() - 5));
        assert_eq!(refused(text.as_bytes()), Error::TooMany { line: 1, max: 100_000 }, "{part}");
    }
    let lines = "- x\n".repeat(SIZE / 4);
    assert!(matches!(refused(lines.as_bytes()), Error::TooMany { max: 100_000, .. }));
    // Deep and long: most of it would be indentation.
    let text = format!("{}[{}]{}", "{a: ".repeat(900), vec!["x"; 90_000].join(","), "}".repeat(900));
    assert_eq!(refused(text.as_bytes()), Error::TooLarge { line: 1, max: 16 << 20 });
}

#[test]
fn long_texts_are_values() {
    for text in [
        "x".repeat(SIZE),
        "x\n".repeat(SIZE / 2),
        format!("\"{}\"", "x\n".repeat(SIZE / 2 - 1)),
        format!("'{}'", " ".repeat(SIZE - 2)),
        format!("|\n{}", " x\n".repeat(SIZE / 4)),
        format!("\"{}\"", "\\x41".repeat(SIZE / 4 - 1)),
        format!("{}: x", "k".repeat(SIZE - 3)),
        "'".repeat(SIZE),
    ] {
        assert!(canonical(&text).is_ok(), "{}", &text[..20]);
    }
    let too_long = vec![b'x'; SIZE + 1];
    assert_eq!(refused(&too_long), Error::TooLong { len: SIZE + 1, max: SIZE });
}

#[test]
fn messages_are_limited() {
    let limits = Limits::default();
    for text in [format!("{{{}}}", "a: 1,".repeat(20_000)), {
        let key = "k".repeat(1000);
        format!("{{{}}}", format!("{key}: 1,").repeat(1000))
    }] {
        let document = read(text.as_bytes(), &limits).unwrap();
        let message = decode_any(&document, &limits).unwrap_err().to_string();
        assert!(message.len() < 200_000, "{}", message.len());
    }
}

#[test]
fn bytes_that_are_no_text() {
    assert!(canonical([0xFF; 100]).is_err());
    assert!(canonical([0x00; 100]).is_err());
    assert!(canonical([0xFF, 0xFE, 0x00, 0xDC]).is_err());
    let mut utf16 = vec![0xFF, 0xFE];
    utf16.extend(b"[\0".repeat(SIZE / 2 - 1));
    refused(&utf16);
}

#[test]
fn bounds_of_all_documents_are_checked() {
    let limits = Limits { nodes: 10, ..Limits::default() };
    assert_eq!(check_bounds(b"", &limits), Ok(()));
    assert_eq!(check_bounds(b"a: [b]\n---\nc\n...\n---\nd\n", &limits), Ok(()));
    assert!(matches!(check_bounds(b"a\n---\n[1,2,3,4,5,6,7,8,9,10]", &limits), Err(Error::TooMany { .. })));
    assert!(check_bounds(b"a\n---\n]", &limits).is_err());
    assert!(check_bounds(b"a: b\n]", &limits).is_err());
}
