use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;
use crate::Layout;
use crate::file_tree::TreePath;
use crate::testing::{MemoryBlobs, noise};

fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

/// Entries of all kinds; the file `name` has these contents.
fn sample(contents: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut blobs = MemoryBlobs::new();
    let mut builder = Builder::new();
    builder.directory(&path("etc"), 0o755);
    for (name, content) in contents {
        builder.file(&path(name), 0o640, &blobs.layout(content.clone())).unwrap();
    }
    builder.symlink(&path("etc/link"), "../x").unwrap();
    builder.finish().to_vec(&blobs).unwrap()
}

/// Runs a command of the Debian package `cpio` with some input.
fn cpio(directory: &Path, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("cpio")
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the Debian package cpio is installed");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "cpio {args:?}");
    output.stdout
}

#[test]
fn the_bytes_are_those_of_gnu_cpio() {
    let contents = [("etc/big", noise(70_001, 1)), ("etc/empty", vec![]), ("etc/four", b"four".to_vec())];
    let ours = sample(&contents);
    assert!(ours.len().is_multiple_of(512));

    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir(at("etc")).unwrap();
    for (name, content) in &contents {
        std::fs::write(at(name), content).unwrap();
    }
    std::os::unix::fs::symlink("../x", at("etc/link")).unwrap();
    let script = "chmod 755 etc && chmod 640 etc/big etc/empty etc/four && \
                  touch -h -d @1559424892 etc/* etc";
    assert!(Command::new("sh").args(["-c", script]).current_dir(&directory).status().unwrap().success());
    let names = b"etc\netc/big\netc/empty\netc/four\netc/link\n";
    let theirs = cpio(directory.path(), &["-o", "-H", "newc", "--reproducible", "-R", "0:0"], names);
    assert!(ours == theirs, "{} bytes against {}", ours.len(), theirs.len());
}

#[test]
fn gnu_cpio_unpacks_it() {
    let contents = [("etc/big", noise(70_001, 1)), ("etc/empty", vec![])];
    let directory = tempfile::tempdir().unwrap();
    cpio(directory.path(), &["-id", "-H", "newc"], &sample(&contents));
    for (name, content) in &contents {
        assert!(std::fs::read(directory.path().join(name)).unwrap() == *content, "{name}");
    }
    let link = std::fs::read_link(directory.path().join("etc/link")).unwrap();
    assert_eq!(link, Path::new("../x"));
}

#[test]
fn four_gibibytes_are_too_much() {
    let content = {
        let mut builder = crate::LayoutBuilder::new();
        builder.zero(1 << 32);
        builder.build()
    };
    let error = Builder::new().file(&path("a/b"), 0o644, &content).unwrap_err();
    assert_eq!(error.to_string(), "a/b has 4294967296 bytes; a cpio archive takes files below 4 GiB");
    let mut builder = Builder::new();
    builder.file(&path("a/b"), 0o644, &content.slice(1, 1 << 32)).unwrap();
    assert_eq!(builder.finish().len(), (1u64 << 32) + 512);
}

#[test]
fn an_empty_archive_is_its_trailer() {
    let bytes = Builder::new().finish().inline_bytes().unwrap();
    assert_eq!(bytes.len(), 512);
    assert!(Reader::new(&bytes[..]).next_entry().unwrap().is_none());
}

/// Names and contents of all archives in a stream.
fn read_all(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
    let mut reader = Reader::new(bytes);
    let mut all = Vec::new();
    loop {
        while let Some(mut entry) = reader.next_entry()? {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(|source| ReadError::Io { offset: 0, source })?;
            all.push((entry.name, content));
        }
        if !reader.next_archive()? {
            return Ok(all);
        }
    }
}

#[test]
fn archives_follow_one_another() {
    let one = sample(&[("a", b"12345".to_vec())]);
    let stream = [&one[..], &[0; 1024], &one, &[0; 3]].concat();
    let names: Vec<_> = read_all(&stream).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["etc", "a", "etc/link", "etc", "a", "etc/link"]);
    assert!(read_all(&[&one[..], b"\0\0\0"].concat()).is_ok());
    for rubbish in [&b"x"[..], &[&b"\0\0"[..], &one].concat(), &one[..20]] {
        assert!(read_all(&[&one[..], rubbish].concat()).is_err());
    }
}

#[test]
fn contents_may_be_left_unread() {
    let bytes = sample(&[("a", b"12345".to_vec()), ("b", b"6".to_vec())]);
    let mut reader = Reader::new(&bytes[..]);
    let mut kinds = Vec::new();
    while let Some(mut entry) = reader.next_entry().unwrap() {
        if entry.name == "a" {
            entry.read_exact(&mut [0; 2]).unwrap();
        }
        kinds.push((
            entry.name.clone(),
            entry.is_directory(),
            entry.is_file(),
            entry.is_symlink(),
            entry.size,
        ));
    }
    let want = [("etc", 'd', 0), ("a", 'f', 5), ("b", 'f', 1), ("etc/link", 'l', 4)];
    assert_eq!(kinds, want.map(|(name, k, size)| (name.into(), k == 'd', k == 'f', k == 'l', size)));
}

#[test]
fn what_is_no_archive_is_told_with_its_place() {
    let text = |bytes: &[u8]| read_all(bytes).unwrap_err().to_string();
    let good = sample(&[]);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    assert_eq!(text(&with(0, b'1')), "no cpio record at offset 110: its magic is not 070701");
    assert!(text(&with(14, b'+')).contains("not hexadecimal"));
    assert!(text(&with(94, b'F')).contains("out of bounds"));
    assert!(text(&with(113, b'x')).contains("closing NUL"));
    assert!(text(&with(111, 0)).contains("closing NUL"));
    assert!(text(&with(110, 0xFF)).contains("UTF-8"));
    assert!(text(&good[..50]).contains("offset 0"));
    assert!(text(b"").contains("offset 0"));
}

proptest! {
    #[test]
    fn reading_gives_what_was_written(
        files in prop::collection::btree_map("[a-z]{1,9}", prop::collection::vec(any::<u8>(), 0..300), 0..8)
    ) {
        let mut builder = Builder::new();
        for (name, content) in &files {
            builder.file(&path(name), 0o644, &Layout::from_bytes(content.clone())).unwrap();
        }
        let bytes = builder.finish().inline_bytes().unwrap();
        prop_assert_eq!(read_all(&bytes).unwrap(), files.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn hostile_bytes_are_errors_and_not_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = sample(&[("a", vec![7; 50])]);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let _ = read_all(&bytes);
    }
}
