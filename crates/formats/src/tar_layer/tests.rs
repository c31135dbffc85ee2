use std::collections::BTreeMap;
use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::file_tree::{Node, TreePath};
use crate::oracle;
use crate::testing::{MemoryBlobs, noise};

fn directory(path: &str) -> TarEntry {
    TarEntry { path: path.to_owned(), mode: 0o755, kind: TarKind::Directory }
}

fn link(path: &str, target: &str) -> TarEntry {
    TarEntry { path: path.to_owned(), mode: 0o777, kind: TarKind::Symlink(target.to_owned()) }
}

#[test]
fn gnu_tar_reads_it() {
    let mut blobs = MemoryBlobs::new();
    let deep = format!("{}/{}/{}", "d".repeat(90), "e".repeat(90), "f".repeat(90));
    let long = format!("{}/{}", "g".repeat(120), "h".repeat(120));
    let entries = [
        TarEntry::file("usr/install/amd64/vmlinuz.efi", blobs.layout(noise(100_001, 1))),
        TarEntry { mode: 0o755, ..TarEntry::file("empty", Layout::default()) },
        directory("overlay/artifacts"),
        link("overlay/link", "../target"),
        link("overlay/far", &"t/".repeat(80)),
        TarEntry::file(deep.clone(), Layout::from_bytes("deep")),
        TarEntry::file(long.clone(), Layout::from_bytes("long")),
        TarEntry::file("naïve", Layout::from_bytes("é")),
    ];
    let layout = archive(&entries).unwrap();
    assert!(layout.len().is_multiple_of(BLOCK));
    assert!(layout.inline_len() < 20_000, "contents are referenced");
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("a.tar");
    oracle::write_sparse(&layout, &blobs, &file);
    let listed = oracle::success(
        "tar",
        "tar",
        &["-tvf", oracle::text(&file), "--numeric-owner", "--quoting-style=literal"],
    );
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), entries.len(), "{listed}");
    assert!(lines[0].starts_with("-rw-r--r-- 0/0"), "{listed}");
    assert!(lines[0].contains("100001 1970-01-01") && lines[0].ends_with(" usr/install/amd64/vmlinuz.efi"));
    assert!(lines[1].starts_with("-rwxr-xr-x") && lines[2].starts_with("drwxr-xr-x"));
    assert!(lines[2].ends_with(" overlay/artifacts/"));
    assert!(lines[3].ends_with(" overlay/link -> ../target"));
    for path in [deep.as_str(), long.as_str(), "naïve"] {
        assert!(lines.iter().any(|line| line.ends_with(&format!(" {path}"))), "{path} in {listed}");
    }
    oracle::success("tar", "tar", &["-xf", oracle::text(&file), "-C", oracle::text(root.path())]);
    assert_eq!(std::fs::read(root.path().join("usr/install/amd64/vmlinuz.efi")).unwrap(), noise(100_001, 1));
    assert_eq!(std::fs::read(root.path().join(&long)).unwrap(), b"long");
}

#[test]
fn a_tree_lies_below_its_prefix() {
    let mut tree = FileTree::new();
    let path = |text: &str| TreePath::clean(text).unwrap().unwrap();
    tree.put(path("arm64/u-boot/u-boot.bin"), Node::file(0o644, Layout::from_bytes("x")));
    tree.put(path("arm64/dtb"), Node::symlink("u-boot"));
    let entries = entries_of("overlay/artifacts", &tree);
    let paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "overlay/artifacts/arm64",
            "overlay/artifacts/arm64/dtb",
            "overlay/artifacts/arm64/u-boot",
            "overlay/artifacts/arm64/u-boot/u-boot.bin",
        ]
    );
}

#[test]
fn sizes_beyond_octal_digits_are_told_apart() {
    let huge = 9 << 30;
    let mut content = LayoutBuilder::new();
    content.zero(huge);
    let layout = archive(&[TarEntry::file("huge", content.build())]).unwrap();
    assert_eq!(layout.len(), 3 * BLOCK + huge + TRAILER);
    let head = layout.slice(0, 3 * BLOCK).inline_bytes().unwrap();
    assert_eq!(&head[512..531], b"19 size=9663676416\n");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for path in ["", "/", "/a", "a/", "a//b", "../a", "a/../b", ".", "a\0b"] {
        let error = archive(&[TarEntry::file(path, Layout::default())]).unwrap_err();
        assert_eq!(error, TarError::Path(path.to_owned()));
    }
    for target in ["", "a\0"] {
        assert!(matches!(archive(&[link("a", target)]), Err(TarError::Target { .. })));
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        files in prop::collection::btree_map("[a-zé]{1,120}(/[a-z]{1,70}){0,3}", (0usize..2000, 0u16..0o1000), 0..8)
    ) {
        let mut blobs = MemoryBlobs::new();
        let entries: Vec<TarEntry> = files
            .iter()
            .map(|(path, (len, mode))| {
                let content = blobs.layout(noise(*len, path.len() as u64));
                TarEntry { mode: *mode, ..TarEntry::file(path.clone(), content) }
            })
            .collect();
        let layout = archive(&entries).unwrap();
        prop_assert_eq!(layout.fingerprint(), archive(&entries).unwrap().fingerprint());
        let bytes = layout.to_vec(&blobs).unwrap();
        let mut read = BTreeMap::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            prop_assert_eq!(&content, &noise(content.len(), path.len() as u64));
            read.insert(path, (content.len(), entry.header().mode().unwrap() as u16));
        }
        prop_assert_eq!(read, files);
    }
}
