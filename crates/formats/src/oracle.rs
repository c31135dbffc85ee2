//! The field's own tools, run on what we wrote.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Output};

use crate::layout::Piece;
use crate::{Layout, ReadBlob};

/// Runs a tool and gives what it said; `package` is named when the tool is missing.
pub fn run(tool: &str, package: &str, args: &[&str]) -> Output {
    let output = Command::new(tool)
        .args(args)
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
        .env("LC_ALL", "C.UTF-8")
        .env("MTOOLSRC", "/dev/null")
        .output();
    match output {
        Ok(output) => output,
        Err(e) => panic!("{tool} cannot be run ({e}): install the Debian package {package}"),
    }
}

/// Runs a tool that has to succeed, and gives its standard output.
pub fn success(tool: &str, package: &str, args: &[&str]) -> String {
    let output = run(tool, package, args);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{tool} {args:?} failed: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// Writes a layout to a file, with holes where it is zero.
pub fn write_sparse(layout: &Layout, blobs: &dyn ReadBlob, path: &Path) {
    let mut file = File::create(path).unwrap();
    let mut cursor = layout.cursor(0, u64::MAX);
    let mut buf = vec![0; 1 << 20];
    loop {
        match cursor.next(blobs, &mut buf).unwrap() {
            Piece::Data(n) => file.write_all(&buf[..n]).unwrap(),
            Piece::Zeros(n) => {
                file.seek(SeekFrom::Current(n as i64)).unwrap();
            }
            Piece::End => break,
        }
    }
    file.set_len(layout.len()).unwrap();
}

/// A path as the text that command lines want.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
