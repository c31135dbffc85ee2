//! Lines of the golden data, for tests.

use std::path::PathBuf;

use serde_json::Value;

/// All lines of a file, or `None`, said on standard output, when it is not there.
pub fn lines(file: &str) -> Option<Vec<Value>> {
    let directory = std::env::var_os("GOLDEN_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden")),
        PathBuf::from,
    );
    let path = directory.join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not there", path.display());
        return None;
    };
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The value's text, or nothing for a missing one.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
