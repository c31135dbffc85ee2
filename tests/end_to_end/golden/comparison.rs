//! Differences between a recorded structure and one of ours, and those among them that are on purpose.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Map, Value};

use super::are_ours;

/// What a difference looks like: where it is, and what is there.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Name of the recorded line.
    pub case: String,
    /// Keys from the top, such as `esp.files[/EFI/].mode`.
    pub path: String,
    /// Both sides.
    pub what: String,
}

/// A difference on purpose.
#[derive(Debug)]
pub struct Exception {
    /// Lines that it is for: patterns with `|` between them, where `*` stands for anything.
    pub case: &'static str,
    /// Paths in them: patterns likewise.
    pub path: &'static str,
    /// What is there: patterns likewise, such as `"ours", not "recorded"`.
    pub what: &'static str,
    /// The reason, with the section of the specification.
    pub why: &'static str,
}

/// A comparison of many lines.
///
/// Digests depend on the fixture and on compressors. What does not depend on them is where the *same* content is:
/// every digest of the record has to be one and the same digest of ours, wherever it stands in things of one
/// version. (Which versions share a kernel is the fixture's affair.) In one thing, what differs in the record has to
/// differ here too.
#[derive(Debug, Default)]
pub struct Comparison {
    digests: Mutex<BTreeMap<(String, String), String>>,
}

impl Comparison {
    /// What is different between a record of a version and ours.
    pub fn differences(&self, version: &str, case: &str, recorded: &Value, ours: &Value) -> Vec<Difference> {
        let mut found = Vec::new();
        let scope = Scope { version, seen: RefCell::default() };
        self.compare(&scope, recorded, ours, String::new(), &mut |path, what| {
            found.push(Difference { case: case.to_owned(), path, what });
        });
        found
    }

    fn compare(
        &self,
        scope: &Scope<'_>,
        recorded: &Value,
        ours: &Value,
        path: String,
        tell: &mut dyn FnMut(String, String),
    ) {
        match (recorded, ours) {
            (Value::Object(recorded), Value::Object(ours)) => {
                let (recorded, ours) = comparable(recorded, ours);
                for key in recorded.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    match (recorded.get(key), ours.get(key)) {
                        (Some(recorded), Some(ours)) => self.compare(scope, recorded, ours, path, tell),
                        (Some(recorded), None) => tell(path, format!("missing: {}", short(recorded))),
                        (None, Some(ours)) => tell(path, format!("not in the record: {}", short(ours))),
                        (None, None) => {}
                    }
                }
            }
            (Value::Array(recorded), Value::Array(ours)) => {
                let names = [recorded, ours].map(|items| names(items));
                for name in names[0].iter().filter(|name| !names[1].contains(name)) {
                    tell(format!("{path}[{name}]"), "missing".to_owned());
                }
                for name in names[1].iter().filter(|name| !names[0].contains(name)) {
                    tell(format!("{path}[{name}]"), "not in the record".to_owned());
                }
                let [mut order, mut other] = names.clone();
                order.retain(|name| names[1].contains(name));
                other.retain(|name| names[0].contains(name));
                if order != other {
                    tell(path.clone(), format!("the order is {other:?}, not {order:?}"));
                }
                for (name, item) in names[0].iter().zip(recorded) {
                    if let Some(at) = names[1].iter().position(|other| other == name) {
                        self.compare(scope, item, &ours[at], format!("{path}[{name}]"), tell);
                    }
                }
            }
            (Value::String(recorded), Value::String(ours)) => {
                if !self.same_text(scope, &path, recorded, ours) {
                    tell(path, format!("{ours:?}, not {recorded:?}"));
                }
            }
            _ if recorded == ours => {}
            _ => tell(path, format!("{}, not {}", short(ours), short(recorded))),
        }
    }

    /// Whether two texts are equal once digests are taken for the same content.
    fn same_text(&self, scope: &Scope<'_>, path: &str, recorded: &str, ours: &str) -> bool {
        let (recorded, ours) = (split(recorded), split(ours));
        recorded.len() == ours.len()
            && recorded.iter().zip(&ours).all(|((text, digest), (our_text, our_digest))| {
                text == our_text
                    && match (digest, our_digest) {
                        (Some(digest), Some(ours)) => self.same_content(scope, path, digest, ours),
                        (digest, ours) => digest == ours,
                    }
            })
    }

    fn same_content(&self, scope: &Scope<'_>, path: &str, recorded: &str, ours: &str) -> bool {
        let mut digests = self.digests.lock().expect("no test has panicked");
        let key = (scope.version.to_owned(), recorded.to_owned());
        let is_the_same_everywhere = digests.entry(key).or_insert_with(|| ours.to_owned()) == ours;
        // A layer that is not packed is what the record has once packed and once not.
        let is_unpacked = path.contains("diff_ids") || path.ends_with("uncompressed_sha256");
        let mut seen = scope.seen.borrow_mut();
        let is_of_one =
            seen.entry((is_unpacked, ours.to_owned())).or_insert_with(|| recorded.to_owned()) == recorded;
        is_the_same_everywhere && is_of_one
    }
}

/// What belongs together.
struct Scope<'a> {
    version: &'a str,
    /// Digests of ours in one thing, and what each stands for in the record.
    seen: RefCell<BTreeMap<(bool, String), String>>,
}

/// Fails with the differences that are on no list, and when an entry of the list is for nothing.
pub fn judge(found: &[Difference], exceptions: &[Exception]) {
    let fits = |patterns: &str, text: &str| patterns.split('|').any(|pattern| matches(pattern, text));
    let is_for = |exception: &Exception, found: &Difference| {
        fits(exception.case, &found.case)
            && fits(exception.path, &found.path)
            && fits(exception.what, &found.what)
    };
    let mut faults: Vec<String> = found
        .iter()
        .filter(|found| !exceptions.iter().any(|exception| is_for(exception, found)))
        .map(|found| format!("{}: {}: {}", found.case, found.path, found.what))
        .collect();
    let idle = exceptions
        .iter()
        .filter(|exception| are_ours() && !found.iter().any(|found| is_for(exception, found)));
    faults.extend(idle.map(|exception| {
        let Exception { case, path, why, .. } = exception;
        format!("{case} {path}: there is no such difference any more ({why})")
    }));
    assert!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
}

/// Leaves out what only one side can tell. Where both know a text, its digest and size say nothing more.
fn comparable(
    recorded: &Map<String, Value>,
    ours: &Map<String, Value>,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut recorded, mut ours) = (recorded.clone(), ours.clone());
    for (text, digest) in [("text", "sha256"), ("content", "content_sha256")] {
        if recorded.contains_key(text) && ours.contains_key(text) {
            recorded.remove(digest);
            ours.remove(digest);
        }
        for more in [text, digest] {
            if !recorded.contains_key(more) {
                ours.remove(more);
            }
        }
    }
    (recorded, ours)
}

/// Names of the items of a list: their path or name, with a count where several have the same.
fn names(items: &[Value]) -> Vec<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let name = |(at, item): (usize, &Value)| {
        let name = item["path"].as_str().or(item["name"].as_str());
        // The digests in names are those of contents.
        let name = name.map_or_else(|| at.to_string(), mask);
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name}#{count}") }
    };
    items.iter().enumerate().map(name).collect()
}

fn mask(text: &str) -> String {
    split(text)
        .into_iter()
        .map(|(text, digest)| format!("{text}{}", digest.map_or("", |_| "<digest>")))
        .collect()
}

/// Stretches of text, each with the digest (64 hexadecimal digits) behind it.
fn split(text: &str) -> Vec<(&str, Option<&str>)> {
    const LEN: usize = 64;
    let (bytes, mut found, mut start, mut at) = (text.as_bytes(), Vec::new(), 0, 0);
    while at < bytes.len() {
        let run = bytes[at..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if run == LEN {
            found.push((&text[start..at], Some(&text[at..at + LEN])));
            start = at + LEN;
        }
        at += run.max(1);
    }
    found.push((&text[start..], None));
    found
}

/// Whether a text fits a pattern where `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(start) else { return false };
    (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| matches(rest, &text[at..]))
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(160).collect()
}
