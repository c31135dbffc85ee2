use std::collections::BTreeMap;
use std::io::{BufReader, Cursor};
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::file_tree::{Attributes, InlineTree, NodeKind, TreePath};
use crate::testing::noise;

fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

fn image(tree: &InlineTree, compressor: Compressor, threads: usize) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let options = Options { compressor, threads: NonZeroUsize::new(threads).unwrap() };
    let len = write(tree.tree(), &mut tree.spool(), &options, &mut out).unwrap();
    assert_eq!(len, out.get_ref().len() as u64);
    assert!(len.is_multiple_of(4096));
    out.into_inner()
}

/// Text that compresses.
fn prose(len: usize) -> Vec<u8> {
    (0u32..).flat_map(|i| format!("line {} of prose\n", i * i % 977).into_bytes()).take(len).collect()
}

fn labelled(mode: u16, label: &str) -> Attributes {
    Attributes { mode, label: Some(label.to_owned()) }
}

/// Everything that an image can hold: long and short files, tails, zeros, twins, links, deep and large
/// directories, odd modes, labels.
fn sample() -> InlineTree {
    let mut tree = InlineTree::new();
    tree.directory(path("empty"), 0o700).directory(path("sticky"), 0o1777);
    let plain = Attributes::mode;
    let with_tail = noise(3 * BLOCK_SIZE + 17, 1);
    tree.file(path("data/noise"), plain(0o644), &with_tail);
    tree.file(path("data/twin"), plain(0o600), &with_tail);
    tree.file(path("data/prose"), plain(0o4755), &prose(2 * BLOCK_SIZE));
    tree.file(path("data/nothing"), plain(0o400), b"");
    let mut holes = vec![0; 5 * BLOCK_SIZE + 3];
    holes[2 * BLOCK_SIZE + 9] = 1;
    tree.file(path("data/holes"), plain(0o644), &holes);
    tree.file(path("data/zeros"), plain(0o644), &vec![0; 2 * BLOCK_SIZE]);
    tree.symlink(path("data/link"), "../empty/nowhere");
    for i in 0..600 {
        let deep = format!("many/{i:03}-{}", "x".repeat(150));
        tree.file(path(&deep), plain(0o644), format!("file {i}\n").as_bytes());
    }
    let deep = vec!["d"; 60].join("/");
    tree.file(path(&format!("{deep}/end")), plain(0o644), b"deep");
    tree.file(path("etc/config.yaml"), labelled(0o400, "system_u:object_r:system_state_t:s0"), b"secret");
    tree.file(path("etc/other"), labelled(0o644, "system_u:object_r:etc_t:s0"), b"other");
    tree.file(path("etc/third"), labelled(0o644, "system_u:object_r:etc_t:s0"), &noise(BLOCK_SIZE + 1, 2));
    tree
}

/// Runs a tool of the Debian package `package` and gives its standard output.
fn run(package: &str, program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|_| panic!("{program} of the Debian package {package} is installed"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// What `unsquashfs` makes of an image, and the directory that it lies in.
fn unsquashed(image: &[u8]) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("image");
    std::fs::write(&file, image).unwrap();
    let file = file.to_str().unwrap();
    let out = directory.path().join("out");
    run("squashfs-tools", "unsquashfs", &["-no-progress", "-no-xattrs", "-d", out.to_str().unwrap(), file]);
    let listing = run("squashfs-tools", "unsquashfs", &["-lln", "-UTC", file]);
    (directory, listing)
}

fn compare_with_disk(tree: &InlineTree, root: &Path) {
    for (path, node) in tree.tree().iter() {
        let at = root.join(path.as_str());
        let found = std::fs::symlink_metadata(&at).unwrap();
        match &node.kind {
            NodeKind::Directory => assert!(found.is_dir(), "{path}"),
            NodeKind::Symlink(target) => {
                assert_eq!(std::fs::read_link(&at).unwrap(), Path::new(target), "{path}");
                continue;
            }
            NodeKind::File(span) => {
                let content = span.read(&mut tree.spool(), u64::MAX).unwrap();
                assert!(std::fs::read(&at).unwrap() == content, "{path}");
            }
        }
        assert_eq!(found.permissions().mode() as u16 & 0o7777, node.attributes.mode, "{path}");
    }
}

#[test]
fn unsquashfs_finds_the_tree_again() {
    let tree = sample();
    for compressor in [Compressor::Zstd, Compressor::Xz, Compressor::Gzip] {
        let (directory, listing) = unsquashed(&image(&tree, compressor, 2));
        compare_with_disk(&tree, &directory.path().join("out"));
        let lines: Vec<_> = listing.lines().collect();
        assert_eq!(lines.len(), tree.tree().len() + 1);
        assert!(lines[0].starts_with("drwxr-xr-x 0/0"), "{}", lines[0]);
        for line in &lines {
            assert!(line.contains(" 0/0 ") && line.contains(" 2019-06-01 21:34 "), "{line}");
        }
    }
}

#[test]
fn unsquashfs_reports_what_the_release_tools_would_have_set() {
    let report = |compressor| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("image");
        std::fs::write(&file, image(&sample(), compressor, 1)).unwrap();
        run("squashfs-tools", "unsquashfs", &["-s", "-UTC", file.to_str().unwrap()])
    };
    let zstd = report(Compressor::Zstd);
    for line in [
        "Sat Jun  1 21:34:52 2019",
        "Compression zstd",
        "compression-level 18",
        "Block size 131072",
        "Filesystem is exportable via NFS",
        "Duplicates are removed",
        "Number of ids 1",
        "Number of xattr ids 2",
    ] {
        assert!(zstd.contains(line), "{line} in {zstd}");
    }
    assert!(report(Compressor::Xz).contains("Compression xz"));
    assert!(report(Compressor::Gzip).contains("Compression gzip"));
}

#[test]
fn our_reader_finds_the_tree_again() {
    let tree = sample();
    let image = image(&tree, Compressor::Zstd, 1);
    let reader = Reader::open(BufReader::new(Cursor::new(&image))).unwrap();
    assert_eq!(reader.directories_in(&path("d")).unwrap(), ["d"]);
    assert_eq!(reader.directories_in(&path("nowhere")).unwrap(), [""; 0]);
    let files = reader.files_below(&path("data")).unwrap();
    let names: Vec<_> = files.iter().map(|f| f.path.name()).collect();
    assert_eq!(names, ["holes", "noise", "nothing", "prose", "twin", "zeros"]);
    for file in &files {
        let Some(NodeKind::File(span)) = tree.tree().get(&file.path).map(|node| &node.kind) else { panic!() };
        let content = reader.read(file, 1 << 20).unwrap();
        assert!(content == span.read(&mut tree.spool(), u64::MAX).unwrap(), "{}", file.path);
    }
    let prose = files.iter().find(|f| f.path.name() == "prose").unwrap();
    assert_eq!((prose.mode, prose.size), (0o4755, 2 * BLOCK_SIZE as u64));
    let error = reader.read(prose, 1000).unwrap_err().to_string();
    assert!(error.contains("data/prose") && error.contains("at most 1000"), "{error}");
}

/// Labels of an image by path, as `unsquashfs` restores them. Needs root, like every label.
fn restored_labels(image: &[u8]) -> Option<BTreeMap<String, String>> {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("probe"), "").unwrap();
    let args = ["-n", "security.selinux", "-v", "x", &at("probe")];
    if !Command::new("setfattr").args(args).status().is_ok_and(|status| status.success()) {
        return None;
    }
    std::fs::write(at("image"), image).unwrap();
    run("squashfs-tools", "unsquashfs", &["-no-progress", "-xattrs", "-d", &at("out"), &at("image")]);
    let args = ["-R", "-h", "-n", "security.selinux", "--absolute-names", &at("out")];
    let dump = Command::new("getfattr").args(args).output().unwrap().stdout;
    let dump = String::from_utf8(dump).unwrap();
    let mut labels = BTreeMap::new();
    for block in dump.split("\n\n") {
        let mut lines = block.lines();
        let file = lines.next().and_then(|l| l.strip_prefix(&format!("# file: {}", at("out"))));
        let label = lines.next().and_then(|l| l.strip_prefix("security.selinux=\"")?.strip_suffix('"'));
        if let (Some(file), Some(label)) = (file, label) {
            labels.insert(file.trim_start_matches('/').to_owned(), label.to_owned());
        }
    }
    Some(labels)
}

#[test]
fn labels_are_attributes() {
    let mut tree = sample();
    tree.file(path("new"), labelled(0o644, &"l".repeat(300)), b"x");
    let want: BTreeMap<_, _> = tree
        .tree()
        .iter()
        .filter_map(|(path, node)| Some((path.to_string(), node.attributes.label.clone()?)))
        .collect();
    assert_eq!(want.len(), 4);
    let image = image(&tree, Compressor::Zstd, 1);
    assert_eq!(xattrs::labels(&image), want);
    match restored_labels(&image) {
        Some(found) => assert_eq!(found, want),
        None => println!("skipped: restoring labels needs root and the Debian package attr"),
    }
}

#[test]
fn labels_of_directories_links_and_the_root() {
    let mut tree = crate::file_tree::FileTree::new();
    tree.set_root(labelled(0o755, "root"));
    let mut link = crate::file_tree::Node::symlink("x");
    link.attributes.label = Some("link".into());
    tree.put(path("a/l"), link);
    let directory = crate::file_tree::Node { attributes: labelled(0o711, "dir"), kind: NodeKind::Directory };
    tree.put(path("a"), directory);
    let options = Options { compressor: Compressor::Zstd, threads: NonZeroUsize::MIN };
    let mut out = Cursor::new(Vec::new());
    write(&tree, &mut Cursor::new([]), &options, &mut out).unwrap();
    let labels = xattrs::labels(out.get_ref());
    let want = [("", "root"), ("a", "dir"), ("a/l", "link")];
    assert_eq!(labels, want.map(|(p, l)| (p.to_owned(), l.to_owned())).into());
}

#[test]
fn bytes_depend_on_nothing_but_the_tree() {
    let tree = sample();
    for compressor in [Compressor::Zstd, Compressor::Xz, Compressor::Gzip] {
        let one = image(&tree, compressor, 1);
        assert!(one == image(&tree, compressor, 3));
        assert!(one == image(&sample(), compressor, 40));
    }
}

#[test]
fn equal_contents_are_stored_once() {
    let content = noise(1 << 20, 5);
    let mut once = InlineTree::new();
    once.file(path("a"), Attributes::mode(0o644), &content);
    let mut twice = once.clone();
    twice.file(path("b"), Attributes::mode(0o644), &content);
    let (one, two) = (image(&once, Compressor::Zstd, 1), image(&twice, Compressor::Zstd, 1));
    assert_eq!(one.len(), two.len());
}

#[test]
fn an_image_begins_where_the_output_stands() {
    let tree = sample();
    let mut out = Cursor::new(b"before".to_vec());
    out.set_position(6);
    let options = Options { compressor: Compressor::Gzip, threads: NonZeroUsize::MIN };
    write(tree.tree(), &mut tree.spool(), &options, &mut out).unwrap();
    assert!(out.into_inner()[6..] == image(&tree, Compressor::Gzip, 1));
}

#[test]
fn names_and_links_that_no_image_can_hold() {
    let attempt = |build: &dyn Fn(&mut InlineTree)| {
        let mut tree = InlineTree::new();
        build(&mut tree);
        let options = Options { compressor: Compressor::Zstd, threads: NonZeroUsize::MIN };
        write(tree.tree(), &mut tree.spool(), &options, &mut Cursor::new(Vec::new()))
    };
    let long = path(&"n".repeat(256));
    assert!(matches!(attempt(&|t| _ = t.directory(long.clone(), 0o755)), Err(WriteError::Name(_))));
    for target in ["", &"t".repeat(4096)] {
        assert!(matches!(attempt(&|t| _ = t.symlink(path("l"), target)), Err(WriteError::Target(_))));
    }
    assert!(attempt(&|t| _ = t.symlink(path("l"), &"t".repeat(4095))).is_ok());
}

#[test]
fn a_spool_that_ends_early_is_an_error() {
    let mut tree = crate::file_tree::FileTree::new();
    for (name, len) in [("a", 10), ("b", 200_000)] {
        let span = crate::file_tree::Span { offset: 0, len };
        tree.put(path(name), crate::file_tree::Node::file(0o644, span));
        let options = Options { compressor: Compressor::Zstd, threads: NonZeroUsize::MIN };
        let result = write(&tree, &mut Cursor::new(b"short"), &options, &mut Cursor::new(Vec::new()));
        assert!(matches!(result, Err(WriteError::Io(_))));
    }
}

#[test]
fn the_kernel_mounts_it_and_shows_the_labels() {
    // Mounting needs root and loop devices, which not every build machine has.
    let tree = sample();
    for compressor in [Compressor::Zstd, Compressor::Xz, Compressor::Gzip] {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(at("image"), image(&tree, compressor, 2)).unwrap();
        std::fs::create_dir(at("root")).unwrap();
        let args = ["-t", "squashfs", "-o", "loop,ro", &at("image"), &at("root")];
        if !Command::new("mount").args(args).output().is_ok_and(|o| o.status.success()) {
            println!("skipped: cannot loop-mount a squashfs here");
            return;
        }
        let checked = std::panic::catch_unwind(|| compare_with_disk(&tree, &directory.path().join("root")));
        let args = ["-h", "-n", "security.selinux", "--only-values", &at("root/etc/config.yaml")];
        let label = Command::new("getfattr").args(args).output();
        assert!(Command::new("umount").arg(at("root")).status().unwrap().success());
        checked.unwrap();
        if let Ok(label) = label {
            assert_eq!(label.stdout, b"system_u:object_r:system_state_t:s0");
        }
    }
}

#[test]
fn what_is_no_image_is_refused() {
    let good = image(&sample(), Compressor::Gzip, 1);
    for bytes in [&b""[..], b"hello", &good[..96], &good[..good.len() / 2], &vec![0xFF; 4096]] {
        assert!(Reader::open(BufReader::new(Cursor::new(bytes))).is_err());
    }
    let mut many = good.clone();
    many[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let refused = Reader::open(BufReader::new(Cursor::new(&many)));
    assert!(matches!(refused.err(), Some(ReadError::TooBig { inodes: u32::MAX, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_tree_is_read_back(
        files in prop::collection::btree_map("[a-c]{1,2}(/[a-c]{1,2}){0,3}", (0usize..300_000, 0u64..3), 0..8),
    ) {
        let mut tree = InlineTree::new();
        for (name, (size, seed)) in &files {
            // Lengths repeat, so that twins come up.
            let size = size - size % 100_000;
            let content = if *seed == 0 { vec![0; size] } else { noise(size, *seed) };
            tree.file(path(name), Attributes::mode(0o644), &content);
        }
        let image = image(&tree, Compressor::Gzip, 2);
        let reader = Reader::open(BufReader::new(Cursor::new(&image))).unwrap();
        for (at, node) in tree.tree().iter() {
            let NodeKind::File(span) = node.kind else { continue };
            let listed = match at.parent() {
                Some(parent) => reader.files_below(&parent).unwrap(),
                None => continue,
            };
            let file = listed.iter().find(|file| file.path == *at).unwrap();
            let content = span.read(&mut tree.spool(), u64::MAX).unwrap();
            prop_assert!(reader.read(file, u64::MAX).unwrap() == content);
        }
    }
}

/// An independent reader of labels, which `backhand` passes over.
mod xattrs;
