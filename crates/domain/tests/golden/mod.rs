//! Golden data: what the reference answered, one JSON object a line.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The lines of a golden file whose case begins with `prefix`, or nothing when the file is not there.
pub fn lines(file: &str, prefix: &str) -> Option<Vec<Value>> {
    let folder = std::env::var_os("GOLDEN_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden"), PathBuf::from);
    let Ok(text) = std::fs::read_to_string(folder.join(file)) else {
        println!("skipped: no {file} in {}", folder.display());
        return None;
    };
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("golden data are JSON"));
    Some(lines.filter(|line| line["case"].as_str().is_some_and(|case| case.starts_with(prefix))).collect())
}
