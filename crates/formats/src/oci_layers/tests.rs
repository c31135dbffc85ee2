use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use proptest::prelude::*;
use tar::{EntryType, Header};

use super::*;
use crate::file_tree::NodeKind;
use crate::testing::noise;

/// Puts a tar archive together, odd ones included.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn raw(mut self, entry_type: EntryType, name: &str, link: &str, content: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        let bytes = header.as_mut_bytes();
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(entry_type);
        header.set_mode(if entry_type == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_size(content.len() as u64);
        header.set_mtime(0);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.raw(EntryType::Regular, name, "", content.as_bytes())
    }

    fn directory(self, name: &str) -> Self {
        self.raw(EntryType::Directory, name, "", b"")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(EntryType::Symlink, name, target, b"")
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.raw(EntryType::Link, name, target, b"")
    }

    fn pax(self, records: &[(&str, &str)]) -> Self {
        let mut content = String::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let len = (rest + 1..).find(|len| len.to_string().len() + rest == *len).unwrap();
            content += &format!("{len} {key}={value}\n");
        }
        self.raw(EntryType::XHeader, "PaxHeaders/x", "", content.as_bytes())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

impl Layers for Vec<Vec<u8>> {
    fn count(&self) -> usize {
        self.len()
    }

    fn open(&self, index: usize) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(&self[index][..]))
    }
}

fn flatten(layers: Vec<Vec<u8>>) -> Result<(BTreeMap<String, String>, Vec<Note>), LayersError> {
    let mut spool = Vec::new();
    let flat = flatten_tree(&layers, &Limits::default(), &mut spool)?;
    assert_eq!(flat.spooled, spool.len() as u64);
    let mut spool = Cursor::new(spool);
    let show = |kind: &NodeKind<crate::file_tree::Span>, spool: &mut Cursor<Vec<u8>>| match kind {
        NodeKind::Directory => "/".to_owned(),
        NodeKind::Symlink(target) => format!("-> {target}"),
        NodeKind::File(span) => String::from_utf8(span.read(spool, 1 << 20).unwrap()).unwrap(),
    };
    let list = flat.tree.iter().map(|(path, node)| (path.to_string(), show(&node.kind, &mut spool)));
    Ok((list.collect(), flat.notes))
}

fn listing(layers: Vec<Vec<u8>>) -> Vec<String> {
    flatten(layers).unwrap().0.into_iter().map(|(path, what)| format!("{path} {what}")).collect()
}

fn failure(layer: Archive) -> LayersError {
    flatten(vec![layer.end()]).unwrap_err()
}

#[test]
fn upper_layers_hide_lower_ones() {
    let bottom = Archive::default()
        .directory("a/")
        .file("a/one", "1")
        .file("a/two", "2")
        .file("b/deep/x", "x")
        .file("c/y", "y")
        .symlink("d", "a")
        .file("e", "e")
        .end();
    let middle = Archive::default()
        .file("a/.wh.one", "")
        .file("a/three", "3")
        .file("b/.wh..wh..opq", "")
        .file("b/new", "n")
        .file("d/z", "z")
        .file(".wh.e", "")
        .end();
    let top = Archive::default().file("c", "now a file").file("./a/two", "II").file("e", "again").end();
    assert_eq!(
        listing(vec![bottom, middle, top]),
        ["a /", "a/three 3", "a/two II", "b /", "b/new n", "c now a file", "d /", "d/z z", "e again"]
    );
}

#[test]
fn deletions_spare_their_own_layer() {
    let bottom = Archive::default().file("d/old", "o").file("f", "old").end();
    let top = Archive::default()
        .file("d/.wh..wh..opq", "")
        .file("d/new", "n")
        .file(".wh.f", "")
        .file("f", "new")
        .end();
    assert_eq!(listing(vec![bottom, top]), ["d /", "d/new n", "f new"]);
    let all = Archive::default().file(".wh..wh..opq", "").file(".wh..wh.plnk/1.2", "").end();
    assert_eq!(listing(vec![Archive::default().file("x", "").end(), all]), [""; 0]);
}

#[test]
fn attributes_of_a_directory_may_come_from_below() {
    let bottom = Archive::default()
        .pax(&[("SCHILY.xattr.security.selinux", "system_u:object_r:lib_t:s0\0")])
        .directory("usr/")
        .end();
    let top = Archive::default().file("usr/x", "").directory("./").end();
    let mut spool = Vec::new();
    let flat = flatten_tree(&vec![bottom, top], &Limits::default(), &mut spool).unwrap();
    let usr = flat.tree.get(&"usr".parse().unwrap()).unwrap();
    assert_eq!(usr.attributes.label.as_deref(), Some("system_u:object_r:lib_t:s0"));
}

#[test]
fn extended_headers_name_entries() {
    let long = format!("{}/f", ["d"; 60].join("/"));
    let layer = Archive::default()
        .pax(&[("path", &long), ("size", "2"), ("SCHILY.xattr.user.x", "y"), ("mtime", "1.5")])
        .file("short", "hi")
        .raw(EntryType::GNULongName, "././@LongLink", "", b"gnu/name\0")
        .raw(EntryType::GNULongLink, "././@LongLink", "", b"gnu/target\0")
        .symlink("other", "elsewhere")
        .raw(
            EntryType::XGlobalHeader,
            "pax_global_header",
            "",
            b"52 comment=0123456789012345678901234567890123456789\n",
        )
        .raw(EntryType::new(0), "old/", "", b"")
        .end();
    let (list, notes) = flatten(vec![layer]).unwrap();
    assert_eq!(list.get(&long).map(String::as_str), Some("hi"));
    assert_eq!(list.get("gnu/name").map(String::as_str), Some("-> gnu/target"));
    assert_eq!(list.get("old").map(String::as_str), Some("/"));
    let names = vec!["user.x".to_owned()];
    assert_eq!(notes, [Note::AttributesDropped { path: long.parse().unwrap(), names }]);
}

#[test]
fn hard_links_have_the_content_of_their_target() {
    // In one layer; a hidden target; a target one layer further down; a link to a link; to a symlink.
    let bottom = Archive::default().file("low", "low").symlink("s", "low").end();
    let middle = Archive::default()
        .file("a", "a1")
        .link("b", "a")
        .link("c", "./low")
        .link("d", "b")
        .link("e", "/s")
        .end();
    let top = Archive::default().file("a", "a2").file(".wh.low", "").end();
    assert_eq!(listing(vec![bottom, middle, top]), ["a a2", "b a1", "c low", "d a1", "e -> low", "s -> low"]);

    let dead = failure(Archive::default().link("x", "y"));
    assert_eq!(dead.to_string(), "hard link x of the image leads to y, which is no file of it");
    let circle = failure(Archive::default().link("x", "y").link("y", "x"));
    assert!(matches!(circle, LayersError::DeadLink { .. }), "{circle}");
    let directory = failure(Archive::default().directory("y").link("x", "y"));
    assert!(matches!(directory, LayersError::DeadLink { .. }), "{directory}");
}

#[test]
fn links_that_leave_are_dropped_and_reported() {
    let layer = Archive::default()
        .symlink("a/ok", "../b")
        .symlink("a/out", "../../b")
        .symlink("abs", "/../etc/x")
        .link("hard", "../b")
        .symlink("empty", "")
        .end();
    let (list, notes) = flatten(vec![layer]).unwrap();
    assert_eq!(list.into_keys().collect::<Vec<_>>(), ["a", "a/ok", "abs"]);
    let dropped: Vec<_> = notes
        .iter()
        .map(|note| match note {
            Note::LinkDropped { path, .. } => path.as_str(),
            Note::AttributesDropped { .. } => "",
        })
        .collect();
    assert_eq!(dropped, ["a/out", "hard", "empty"]);
}

#[test]
fn bad_entries_are_named() {
    let text = |layer| failure(layer).to_string();
    assert_eq!(
        text(Archive::default().file("../x", "")),
        "image layer 0: entry \"../x\" leads out of the tree"
    );
    assert!(text(Archive::default().file("/x", "")).contains("is absolute"));
    assert!(text(Archive::default().symlink("a", "b").file("a/x", "")).contains("no directory"));
    assert!(text(Archive::default().file("a", "").file("a/x", "")).contains("no directory"));
    assert!(text(Archive::default().raw(EntryType::Char, "null", "", b"")).contains("is a device"));
    assert!(text(Archive::default().raw(EntryType::Fifo, "f", "", b"")).contains("is a fifo"));
    assert!(text(Archive::default().raw(EntryType::new(b'Z'), "f", "", b"")).contains("unknown"));
    assert!(text(Archive::default().pax(&[("size", "3")]).file("x", "ab")).contains("two sizes"));
    assert!(text(Archive::default().pax(&[("path", "a\0b")]).file("x", "")).contains("NUL"));
    assert!(text(Archive::default().raw(EntryType::XHeader, "x", "", b"9 a\n")).contains("malformed"));
}

#[test]
fn limits_hold() {
    let limited = |layer: Vec<u8>, change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        flatten_tree(&vec![layer], &limits, &mut io::sink()).unwrap_err()
    };
    let zeros = vec![0; 4 << 20];
    let big = Archive::default().raw(EntryType::Regular, "zeros", "", &zeros).end();
    let bomb = zstd::bulk::compress(&big, 1).unwrap();
    assert!(bomb.len() < 10_000);
    let error = limited(bomb, |l| l.unpacked_bytes = 1 << 20);
    assert!(matches!(error, LayersError::TooManyBytes(_)), "{error}");
    // Bytes behind the end mark count as well.
    let tail = zstd::bulk::compress(&zeros, 1).unwrap();
    let error = limited(tail, |l| l.unpacked_bytes = 1 << 20);
    assert!(matches!(error, LayersError::TooManyBytes(_)), "{error}");

    let many = || (0..100).fold(Archive::default(), |a, i| a.file(&format!("a/b/c/{i}"), "")).end();
    assert!(matches!(limited(many(), |l| l.entries = 99), LayersError::TooManyEntries(99)));
    assert!(matches!(limited(many(), |l| l.metadata_bytes = 9000), LayersError::TooMuchMetadata(_)));
    let fault = |error| match error {
        LayersError::Entry { fault, .. } => fault,
        other => panic!("{other}"),
    };
    assert_eq!(fault(limited(many(), |l| l.depth = 3)), EntryFault::TooDeep);
    assert_eq!(fault(limited(many(), |l| l.path_len = 6)), EntryFault::TooLong);
    let link = Archive::default().symlink("l", "0123456789").end();
    assert_eq!(fault(limited(link, |l| l.path_len = 6)), EntryFault::TooLong);
    let header = Archive::default().pax(&[("comment", &"x".repeat(600))]).file("f", "").end();
    assert_eq!(fault(limited(header, |l| l.header_bytes = 600)), EntryFault::HeaderTooBig);
    let mut cut = Archive::default().file("f", &"x".repeat(600)).end();
    cut.truncate(600);
    assert_eq!(fault(limited(cut, |_| ())), EntryFault::Truncated);
}

/// A layer that tells how much of it was read.
struct Counting<'a>(&'a [u8], std::cell::Cell<usize>);

impl Layers for Counting<'_> {
    fn count(&self) -> usize {
        1
    }

    fn open(&self, _: usize) -> io::Result<Box<dyn Read + '_>> {
        struct Reader<'a>(&'a [u8], &'a std::cell::Cell<usize>);
        impl Read for Reader<'_> {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let n = self.0.read(buf)?;
                self.1.set(self.1.get() + n);
                Ok(n)
            }
        }
        Ok(Box::new(Reader(self.0, &self.1)))
    }
}

#[test]
fn streams_are_read_to_their_end() {
    let plain = [Archive::default().file("f", "x").end(), noise(300_000, 1)].concat();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    for layer in [gzip.finish().unwrap(), zstd::bulk::compress(&plain, 1).unwrap(), plain] {
        let layers = Counting(&layer, std::cell::Cell::new(0));
        flatten_tree(&layers, &Limits::default(), &mut io::sink()).unwrap();
        assert_eq!(layers.1.get(), layer.len());
    }
}

#[derive(Default)]
struct InstallFiles(BTreeMap<String, Vec<u8>>);

impl Picker for InstallFiles {
    type Writer = Vec<u8>;

    fn wants(&self, path: &TreePath) -> bool {
        path.is_within(&"usr/install".parse().unwrap())
    }

    fn open(&mut self, _: &TreePath, size: u64) -> io::Result<Vec<u8>> {
        Ok(Vec::with_capacity(size as usize))
    }

    fn close(&mut self, path: &TreePath, writer: Vec<u8>) -> io::Result<()> {
        self.0.insert(path.to_string(), writer);
        Ok(())
    }
}

#[test]
fn picks_only_what_is_wanted() {
    let bottom = Archive::default()
        .raw(EntryType::Char, "dev/null", "", b"")
        .file("usr/install/amd64/vmlinuz", "old")
        .file("usr/install/amd64/gone", "")
        .file("usr/bin/x", "x")
        .symlink("usr/install/amd64/link", "vmlinuz")
        .end();
    let top = Archive::default()
        .file("usr/install/amd64/vmlinuz", "new kernel")
        .link("usr/install/amd64/same", "usr/install/amd64/vmlinuz")
        .link("usr/install/amd64/x", "usr/bin/x")
        .file("usr/install/amd64/.wh.gone", "")
        .end();
    let mut picker = InstallFiles::default();
    let picked = pick_files(&vec![bottom, top], &Limits::default(), &mut picker).unwrap();
    let names = ["same", "vmlinuz", "x"].map(|name| format!("usr/install/amd64/{name}"));
    assert_eq!(picked.files.keys().map(ToString::to_string).collect::<Vec<_>>(), names);
    assert_eq!(picked.files.values().copied().collect::<Vec<_>>(), [10, 10, 1]);
    assert_eq!(
        picker.0.values().map(Vec::as_slice).collect::<Vec<_>>(),
        [&b"new kernel"[..], b"new kernel", b"x"]
    );
}

/// One step of a layer, for the model below.
#[derive(Clone, Debug)]
enum Step {
    File(String),
    Directory(String),
    Delete(String),
    Empty(String),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let path = "[ab](/[ab]){0,2}";
    let step = prop_oneof![
        4 => path.prop_map(Step::File),
        2 => path.prop_map(Step::Directory),
        1 => path.prop_map(Step::Delete),
        1 => path.prop_map(Step::Empty),
    ];
    prop::collection::vec(step, 0..6)
}

/// The directories that a step's entry lies in, from the top; layer writers list them all.
fn directories(step: &Step) -> Vec<&str> {
    let (Step::File(path) | Step::Directory(path) | Step::Delete(path) | Step::Empty(path)) = step;
    let own = matches!(step, Step::Directory(_) | Step::Empty(_)).then_some(path.len());
    path.match_indices('/').map(|(end, _)| end).chain(own).map(|end| &path[..end]).collect()
}

/// Applies layers from the bottom up, the way an overlay file system sees them.
fn model(layers: &[Vec<Step>]) -> BTreeMap<String, String> {
    let mut tree = BTreeMap::<String, String>::new();
    for (number, steps) in layers.iter().enumerate() {
        for step in steps {
            match step {
                Step::Delete(path) => tree.retain(|p, _| p != path && !p.starts_with(&format!("{path}/"))),
                Step::Empty(path) => tree.retain(|p, _| !p.starts_with(&format!("{path}/"))),
                _ => {}
            }
        }
        for (index, step) in steps.iter().enumerate() {
            for directory in directories(step) {
                tree.insert(directory.to_owned(), "/".to_owned());
            }
            if let Step::File(path) = step {
                tree.retain(|p, _| !p.starts_with(&format!("{path}/")));
                tree.insert(path.clone(), format!("{number}.{index}"));
            }
        }
    }
    tree
}

/// Whether no file of the layer stands where another entry of it needs a directory or a file.
fn is_sane(steps: &[Step]) -> bool {
    let files: Vec<&str> = steps
        .iter()
        .filter_map(|step| match step {
            Step::File(path) => Some(path.as_str()),
            _ => None,
        })
        .collect();
    let mut distinct = files.clone();
    distinct.sort_unstable();
    distinct.dedup();
    distinct.len() == files.len()
        && !steps.iter().flat_map(directories).any(|directory| files.contains(&directory))
}

proptest! {
    #[test]
    fn layers_add_up_as_in_an_overlay(
        layers in prop::collection::vec(steps().prop_filter("sane", |s| is_sane(s)), 1..4)
    ) {
        let archives = layers.iter().enumerate().map(|(number, steps)| {
            let add = |archive: Archive, (index, step): (usize, &Step)| {
                let archive = directories(step).into_iter().fold(archive, Archive::directory);
                match step {
                    Step::File(path) => archive.file(path, &format!("{number}.{index}")),
                    Step::Directory(_) => archive,
                    Step::Delete(path) => match path.rsplit_once('/') {
                        Some((parent, name)) => archive.file(&format!("{parent}/.wh.{name}"), ""),
                        None => archive.file(&format!(".wh.{path}"), ""),
                    },
                    Step::Empty(path) => archive.file(&format!("{path}/.wh..wh..opq"), ""),
                }
            };
            steps.iter().enumerate().fold(Archive::default(), add).end()
        });
        prop_assert_eq!(flatten(archives.collect()).unwrap().0, model(&layers));
    }

    #[test]
    fn hostile_layers_are_errors_and_not_panics(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let mut bytes = Archive::default()
            .pax(&[("path", "long"), ("SCHILY.xattr.security.selinux", "l")])
            .file("f", "content")
            .link("g", "long")
            .symlink("s", "../x")
            .end();
        for (at, value) in cuts {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = flatten_tree(&vec![bytes], &Limits::default(), &mut io::sink());
    }
}
