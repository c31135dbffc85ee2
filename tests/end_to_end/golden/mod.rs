//! What the reference answered, as `tests/golden/` recorded it, and how answers of ours are held against it.

pub mod comparison;
pub mod rules;
pub mod server;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where other lines of the same kinds are, when somebody has some.
fn elsewhere() -> Option<PathBuf> {
    std::env::var_os("GOLDEN_DIR").map(PathBuf::from)
}

/// Whether the lines are those that the lists of differences were made for.
pub fn are_ours() -> bool {
    elsewhere().is_none()
}

/// The folder of golden data that belongs to the tests.
fn our_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The lines of a golden file; none, with a note, when the file is not there.
pub fn lines(name: &str) -> Vec<Value> {
    lines_in(&elsewhere().unwrap_or_else(our_folder), name)
}

fn lines_in(folder: &Path, name: &str) -> Vec<Value> {
    let path = folder.join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not there", path.display());
        return Vec::new();
    };
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// A text in a recorded line.
pub fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// A recorded header; nothing when it is missing.
pub fn header<'a>(response: &'a Value, name: &str) -> &'a str {
    let headers = response["headers"].as_array().expect("headers");
    let found = headers.iter().find(|pair| text_of(&pair[0]).eq_ignore_ascii_case(name));
    found.map_or("", |pair| text_of(&pair[1]))
}

/// Puts our names in the place of the recorder's.
pub fn renamed(value: &mut Value, names: &[(&str, &str)]) {
    match value {
        Value::String(text) => {
            for (name, ours) in names {
                if text.contains(name) {
                    *text = text.replace(name, ours);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| renamed(item, names)),
        Value::Object(map) => map.values_mut().for_each(|item| renamed(item, names)),
        _ => {}
    }
}

/// Works on all items with a few threads, and gathers what they give.
pub fn on_each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Vec<R> + Sync) -> Vec<R> {
    /// Cores of the machines that run the tests.
    const WORKERS: usize = 2;
    let next = std::sync::atomic::AtomicUsize::new(0);
    let one = || {
        let mut found = Vec::new();
        while let Some(item) = items.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            found.extend(work(item));
        }
        found
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(one)).collect();
        let found = workers.into_iter().map(|worker| worker.join());
        found.flat_map(|found| found.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}
