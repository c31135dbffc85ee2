//! The field's own tools, run on what was downloaded.

use std::path::Path;
use std::process::{Command, Output};

/// Runs a tool and gives what it said; `package` is named when the tool is missing.
pub fn run(tool: &str, package: &str, arguments: &[&str]) -> Output {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(tool)
        .args(arguments)
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .env("MTOOLSRC", "/dev/null")
        .output();
    output.unwrap_or_else(|error| {
        panic!("{tool} cannot be run ({error}): install the Debian package {package}")
    })
}

/// Runs a tool that has to succeed, and gives its standard output.
pub fn success(tool: &str, package: &str, arguments: &[&str]) -> Vec<u8> {
    let output = run(tool, package, arguments);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{tool} {arguments:?} failed: {}\n{out}\n{err}", output.status);
    output.stdout
}

/// The same with the output as text.
pub fn says(tool: &str, package: &str, arguments: &[&str]) -> String {
    String::from_utf8_lossy(&success(tool, package, arguments)).into_owned()
}

/// A path as the text that command lines want.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a printable path")
}
