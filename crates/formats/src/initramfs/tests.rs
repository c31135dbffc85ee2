use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use super::*;
use crate::decompress;
use crate::file_tree::{Node, TreePath};
use crate::layout::{Framing, Run};
use crate::testing::{MemoryBlobs, noise};

fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

/// Stored blocks in a frame with a window of 128 KiB and no content size; the last block is empty.
fn zstd_frame(content: &Layout) -> Layout {
    let mut out = LayoutBuilder::new();
    out.slice(&[0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x38]);
    out.run(Run::framed(content.clone(), Framing::ZstdRaw));
    out.slice(&[1, 0, 0]);
    out.build()
}

fn xz_stream(content: &Layout, blobs: &MemoryBlobs) -> Layout {
    let stream = xz2::stream::Stream::new_easy_encoder(0, xz2::stream::Check::Crc32).unwrap();
    let bytes = content.to_vec(blobs).unwrap();
    let mut out = Vec::new();
    xz2::read::XzEncoder::new_stream(&bytes[..], stream).read_to_end(&mut out).unwrap();
    Layout::from_bytes(out)
}

fn compress(compression: Compression, content: &Layout, blobs: &MemoryBlobs) -> Layout {
    match compression {
        Compression::Xz => xz_stream(content, blobs),
        _ => zstd_frame(content),
    }
}

/// A base initramfs as it is published.
fn base(compression: Compression, blobs: &mut MemoryBlobs) -> Layout {
    let mut archive = cpio::Builder::new();
    archive.file(&path("init"), 0o755, &Layout::from_bytes(&b"#!"[..])).unwrap();
    archive.file(&path(ROOTFS), 0o644, &Layout::from_bytes(noise(300_000, 3))).unwrap();
    let bytes = compress(compression, &archive.finish(), blobs).to_vec(blobs).unwrap();
    blobs.layout(bytes)
}

fn ingredients(compression: Compression, blobs: &mut MemoryBlobs) -> Ingredients {
    let mut firmware = FileTree::new();
    firmware.put(path("usr/lib/firmware/b/x.bin"), Node::file(0o600, blobs.layout(noise(5000, 4))));
    firmware.put(path("usr/lib/firmware/b/link"), Node::symlink("x.bin"));
    firmware.put(path("usr/lib/firmware/b-c"), Node::directory(0o755));
    Ingredients {
        base: base(compression, blobs),
        compression,
        microcode: Microcode {
            intel: vec![blobs.layout(&b"one"[..]), blobs.layout(&b"two"[..])],
            amd: vec![],
        },
        layers: (0..12).map(|i| blobs.layout(noise(4096, i))).collect(),
        modules_dep: Some(blobs.layout(noise(8192, 99))),
        extensions_yaml: Bytes::from_static(b"layers: []\n"),
        firmware,
    }
}

fn assembled(ingredients: &Ingredients, blobs: &MemoryBlobs) -> Vec<u8> {
    let wrap = |compression, content: &Layout| Ok(compress(compression, content, blobs));
    ingredients.assemble::<std::convert::Infallible>(wrap).unwrap().to_vec(blobs).unwrap()
}

/// Name, type and permission bits, and content of an entry.
type Record = (String, u32, Vec<u8>);

/// The entries of the archive in front, if there is one, and of all others in one stream.
fn entries(bytes: &[u8]) -> (Vec<Record>, Vec<Record>) {
    let mut early = Vec::new();
    let mut rest = bytes;
    if bytes.starts_with(b"0707") {
        let mut reader = cpio::Reader::new(&mut rest);
        collect(&mut reader, &mut early);
        // The trailer fills up its block.
        let read = bytes.len() - rest.len();
        rest = &bytes[read.next_multiple_of(512)..];
    }
    let mut later = Vec::new();
    let mut reader = cpio::Reader::new(decompress::sniffing_decoder(rest).unwrap());
    collect(&mut reader, &mut later);
    while reader.next_archive().unwrap() {
        collect(&mut reader, &mut later);
    }
    (early, later)
}

fn collect<R: Read>(reader: &mut cpio::Reader<R>, into: &mut Vec<Record>) {
    while let Some(mut entry) = reader.next_entry().unwrap() {
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        into.push((entry.name, entry.mode, content));
    }
}

#[test]
fn three_parts_make_an_initramfs() {
    for compression in [Compression::Zstd, Compression::Xz] {
        let mut blobs = MemoryBlobs::new();
        let ingredients = ingredients(compression, &mut blobs);
        let (early, later) = entries(&assembled(&ingredients, &blobs));

        let listed: Vec<_> = early.iter().map(|(name, mode, _)| (name.as_str(), *mode)).collect();
        let directory = 0o40755;
        assert_eq!(
            listed,
            [
                ("kernel", directory),
                ("kernel/x86", directory),
                ("kernel/x86/microcode", directory),
                ("kernel/x86/microcode/GenuineIntel.bin", 0o100644)
            ]
        );
        assert_eq!(early[3].2, b"onetwo");

        let names: Vec<_> = later.iter().map(|(name, ..)| name.as_str()).collect();
        let mut want = vec!["init".to_owned(), ROOTFS.to_owned()];
        want.extend((0..12).map(|i| format!("{i}.sqsh")));
        want.extend(["extensions.yaml", "modules.dep.sqsh", "usr", "usr/lib"].map(str::to_owned));
        let firmware = ["", "/b", "/b/link", "/b/x.bin", "/b-c"];
        want.extend(firmware.map(|name| format!("usr/lib/firmware{name}")));
        assert_eq!(names, want);
        let modes: BTreeMap<_, _> = later.iter().map(|(name, mode, _)| (name.as_str(), *mode)).collect();
        for (name, mode) in [
            ("10.sqsh", 0o100644),
            ("usr/lib", 0o40755),
            ("usr/lib/firmware/b/x.bin", 0o100600),
            ("usr/lib/firmware/b/link", 0o120777),
        ] {
            assert_eq!(modes[name], mode, "{name}");
        }
        let content = |name: &str| &later.iter().find(|(n, ..)| n == name).unwrap().2;
        assert!(*content("11.sqsh") == noise(4096, 11));
        assert_eq!(content("usr/lib/firmware/b/link"), b"x.bin");
    }
}

#[test]
fn without_microcode_the_base_comes_first() {
    let mut blobs = MemoryBlobs::new();
    let mut ingredients = ingredients(Compression::Zstd, &mut blobs);
    ingredients.microcode = Microcode::default();
    let bytes = assembled(&ingredients, &blobs);
    let base = ingredients.base.to_vec(&blobs).unwrap();
    assert!(bytes.starts_with(&base));
    assert_eq!(base_compression(&Layout::from_bytes(bytes), &blobs).unwrap(), Compression::Zstd);
}

#[test]
fn errors_of_the_compression_come_through() {
    let mut blobs = MemoryBlobs::new();
    let ingredients = ingredients(Compression::Zstd, &mut blobs);
    let error = ingredients.assemble(|_, _| Err(std::fmt::Error)).unwrap_err();
    assert!(matches!(error, AssembleError::Compress(std::fmt::Error)));
}

#[test]
fn files_are_copied_out_of_a_base() {
    for compression in [Compression::Zstd, Compression::Xz] {
        let mut blobs = MemoryBlobs::new();
        let base = base(compression, &mut blobs);
        assert_eq!(base_compression(&base, &blobs).unwrap(), compression);
        let bytes = base.to_vec(&blobs).unwrap();
        let mut out = Vec::new();
        assert_eq!(copy_file(&bytes[..], ROOTFS, 1 << 20, &mut out).unwrap(), 300_000);
        assert!(out == noise(300_000, 3));
        let text =
            |name, limit, bytes| copy_file(bytes, name, limit, &mut Vec::new()).unwrap_err().to_string();
        assert_eq!(text("x", 9, &bytes[..]), "the base initramfs holds no x");
        assert!(text(ROOTFS, 9, &bytes[..]).contains("300000 bytes, 9 are accepted"));
        let cut = copy_file(&bytes[..1000], ROOTFS, 1 << 20, &mut Vec::new());
        assert!(matches!(cut, Err(BaseError::Read(_) | BaseError::Archive(_))), "{cut:?}");
        assert!(text(ROOTFS, 1 << 20, &b"hello"[..]).contains("damaged"));
    }
    let gzip = base_compression(&Layout::from_bytes(&[0x1F, 0x8B, 8][..]), &MemoryBlobs::new());
    assert!(gzip.unwrap_err().to_string().contains("begins with 1f8b08"));
}

/// One entry of a published initramfs.
#[derive(serde::Deserialize)]
struct GoldenEntry {
    name: String,
    mode: String,
    uid: u32,
    gid: u32,
    nlink: u32,
}

/// Everything that the factory adds to a base, in the order and with the modes of the reference. There,
/// layers are sorted as text, which puts `10.sqsh` before `2.sqsh`; ours are sorted by number.
#[test]
fn golden_entries_are_added_in_the_same_order() {
    let directory = std::env::var_os("GOLDEN_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden"), PathBuf::from);
    let Ok(text) = std::fs::read_to_string(directory.join("assets.jsonl")) else {
        println!("skipped: no assets.jsonl in {}", directory.display());
        return;
    };
    let mut compared = 0;
    for line in text.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let structure = &case["structure"];
        if structure["kind"] != "initramfs" {
            continue;
        }
        let segments: Vec<(bool, Vec<GoldenEntry>)> = structure["segments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| (s["compression"] == "none", serde_json::from_value(s["entries"].clone()).unwrap()))
            .collect();
        compare_with_golden(case["case"].as_str().unwrap(), segments);
        compared += 1;
    }
    println!("{compared} lines compared");
}

fn compare_with_golden(case: &str, segments: Vec<(bool, Vec<GoldenEntry>)>) {
    let (mut early, mut later) = (Vec::new(), Vec::new());
    for (is_early, entries) in segments {
        if is_early { &mut early } else { &mut later }.extend(entries);
    }
    let base_end = later.iter().position(|entry: &GoldenEntry| entry.name == ROOTFS).unwrap() + 1;
    let mut added = later.split_off(base_end);
    let number = |name: &str| name.strip_suffix(".sqsh").and_then(|n| n.parse::<usize>().ok());
    added.sort_by_key(|entry| number(&entry.name).unwrap_or(usize::MAX));

    let mut blobs = MemoryBlobs::new();
    let mut ingredients = Ingredients {
        firmware: FileTree::new(),
        modules_dep: None,
        ..ingredients(Compression::Zstd, &mut blobs)
    };
    ingredients.layers.clear();
    ingredients.microcode = Microcode::default();
    let content = Layout::from_bytes(&b"x"[..]);
    for entry in &early {
        match entry.name.rsplit('/').next().unwrap() {
            "GenuineIntel.bin" => ingredients.microcode.intel.push(content.clone()),
            "AuthenticAMD.bin" => ingredients.microcode.amd.push(content.clone()),
            _ => {}
        }
    }
    // In the opposite order, which must not matter.
    for entry in added.iter().rev() {
        let mode = u32::from_str_radix(entry.mode.trim_start_matches("0o"), 8).unwrap();
        let permissions = (mode & 0o7777) as u16;
        match (entry.name.as_str(), mode >> 12) {
            (EXTENSIONS_YAML, _) => {}
            (MODULES_DEP, _) => ingredients.modules_dep = Some(content.clone()),
            (name, _) if number(name).is_some() => ingredients.layers.push(content.clone()),
            (name, 4) => ingredients.firmware.put(path(name), Node::directory(permissions)),
            (name, 10) => ingredients.firmware.put(path(name), Node::symlink("x")),
            (name, _) => ingredients.firmware.put(path(name), Node::file(permissions, content.clone())),
        }
    }
    let wrap = |_, content: &Layout| Ok::<_, std::convert::Infallible>(zstd_frame(content));
    let bytes = ingredients.assemble(wrap).unwrap().to_vec(&blobs).unwrap();
    let (ours_early, ours_later) = entries(&bytes);
    let show = |entry: &GoldenEntry| {
        assert_eq!((entry.uid, entry.gid), (0, 0), "{case}");
        assert_eq!(entry.nlink, if entry.mode.starts_with("0o4") { 2 } else { 1 }, "{case}");
        format!("{} {}", entry.mode, entry.name)
    };
    let ours =
        |entries: &[Record]| entries.iter().map(|(n, m, _)| format!("0o{m:o} {n}")).collect::<Vec<_>>();
    assert_eq!(ours(&ours_early), early.iter().map(show).collect::<Vec<_>>(), "{case}");
    // Our stand-in for a base has two entries.
    assert_eq!(ours(&ours_later[2..]), added.iter().map(show).collect::<Vec<_>>(), "{case}");
}
