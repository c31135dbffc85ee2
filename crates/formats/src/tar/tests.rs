use std::io::Read as _;

use proptest::prelude::*;

use super::*;
use crate::encode::{Codec, CompressedBlobs, EncodeOptions, encode};
use crate::layout::Run;
use crate::oracle::{self, text};
use crate::testing::{MemoryBlobs, layout_of, noise};

const MIB: u64 = 1 << 20;
const EPOCH: u64 = 1_559_424_892;

/// A disk with so many stretches of data.
fn disk(blobs: &mut MemoryBlobs, size: u64, stretches: u64) -> Layout {
    let mut disk = LayoutBuilder::new();
    disk.slice(b"EFI PART").align(1 << 20);
    for stretch in 2..stretches {
        disk.append(&blobs.layout(noise(100_000 + stretch as usize, stretch))).align(4096);
        // One that is too short to be left out.
        disk.zero(60 << 10).slice(b"more").align(4096).zero(300_000).align(4096);
    }
    disk.pad_to(size - 8).slice(b"the end.");
    disk.build()
}

fn success(tool: &str, args: &[&str]) -> String {
    let package = if tool == "tar" { "tar" } else { "libarchive-tools" };
    oracle::success(tool, package, args)
}

#[test]
fn tar_and_bsdtar_unpack_the_same_disk() {
    let mut blobs = MemoryBlobs::new();
    for (size, stretches) in [(100 * MIB, 2), (9193 * MIB, 4), (8192 * MIB, 5), (60 * MIB + 512, 100)] {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let disk = disk(&mut blobs, size, stretches);
        oracle::write_sparse(&disk, &blobs, &file("raw"));
        let archive = sparse_disk(&disk, EPOCH);
        // As it is downloaded.
        let parts = CompressedBlobs::new();
        let packed = encode(&archive, Codec::Gzip, &EncodeOptions::default(), &parts, &blobs).unwrap();
        oracle::write_sparse(&packed, &blobs, &file("tar.gz"));
        let (raw, packed) = (file("raw"), file("tar.gz"));

        let listed = success("tar", &["-tvzf", text(&packed), "--numeric-owner", "--utc", "--full-time"]);
        assert_eq!(listed.trim(), format!("-rw-r--r-- 0/0 {size:>15} 2019-06-01 21:34:52 disk.raw"));
        for tool in ["tar", "bsdtar"] {
            let out = file(tool);
            std::fs::create_dir(&out).unwrap();
            success(tool, &["-xzSf", text(&packed), "-C", text(&out)]);
            let disk = out.join("disk.raw");
            // Compares without reading holes.
            let compare = ["compare", "-f", "raw", "-F", "raw", text(&raw), text(&disk)];
            oracle::success("qemu-img", "qemu-utils", &compare);
            assert_eq!(std::fs::metadata(&disk).unwrap().len(), size, "{tool}");
            std::fs::remove_dir_all(out).unwrap();
        }
    }
}

/// The map of the archive GNU tar itself makes of the same file is the same; only holes that we store are
/// left out there, so there is none in this one.
#[test]
fn the_header_is_that_of_gnu_tar() {
    let directory = tempfile::tempdir().unwrap();
    let mut blobs = MemoryBlobs::new();
    for stretches in [1, 3, 4, 30] {
        let mut disk = LayoutBuilder::new();
        for stretch in 0..stretches {
            disk.append(&blobs.layout(noise(200_000, stretch))).align(4096).zero(1 << 20);
        }
        disk.pad_to(8192 * MIB - 4).slice(b"tail");
        let disk = disk.build();
        let path = directory.path().join("disk.raw");
        oracle::write_sparse(&disk, &blobs, &path);
        let theirs = directory.path().join("tar");
        let time = format!("--mtime=@{EPOCH}");
        let who = ["--owner=0", "--group=0", "--numeric-owner", "--mode=0644", &time];
        let mut args = vec!["-C", text(directory.path()), "--format=gnu", "--sparse", "-cf", text(&theirs)];
        args.extend(who);
        args.push("disk.raw");
        success("tar", &args);
        let theirs = std::fs::read(theirs).unwrap();
        let ours = sparse_disk(&disk, EPOCH).to_vec(&blobs).unwrap();
        assert!(ours == theirs, "{stretches}: {:?}", ours.iter().zip(&theirs).position(|(a, b)| a != b));
    }
}

#[test]
fn whole_files_are_listed_and_unpacked() {
    let directory = tempfile::tempdir().unwrap();
    let mut blobs = MemoryBlobs::new();
    let payload = blobs.layout(noise(100_001, 1));
    let made = archive(&[("disk.ovf", &Layout::from_bytes("text")), ("disk.vmdk", &payload)], EPOCH);
    assert!(made.len().is_multiple_of(10_240));
    let path = directory.path().join("tar");
    oracle::write_sparse(&made, &blobs, &path);
    for tool in ["tar", "bsdtar"] {
        let names = success(tool, &["-tf", text(&path)]);
        assert_eq!(names.lines().collect::<Vec<_>>(), ["disk.ovf", "disk.vmdk"]);
        success(tool, &["-xf", text(&path), "-C", text(directory.path())]);
        assert_eq!(std::fs::read(directory.path().join("disk.ovf")).unwrap(), b"text");
        assert!(
            std::fs::read(directory.path().join("disk.vmdk")).unwrap() == payload.to_vec(&blobs).unwrap()
        );
    }
}

#[test]
fn the_plan_stays_small_whatever_the_disk_holds() {
    let mut blobs = MemoryBlobs::new();
    let blob = blobs.layout(noise(8 << 20, 1));
    let mut builder = LayoutBuilder::new();
    builder.slice(b"head").align(4096);
    for _ in 0..16 {
        builder.append(&blob).zero(40 * MIB);
    }
    builder.run(Run::counter(3, 1 << 20)).pad_to(100 << 30);
    let made = sparse_disk(&builder.build(), EPOCH);
    assert!(made.len() > 132 * MIB && made.len() < 133 * MIB, "{}", made.len());
    assert!(made.inline_len() < 20_000, "{}", made.inline_len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_disk_comes_back_and_any_range_is_a_slice(
        recipe in prop::collection::vec((any::<u8>(), 0u64..200_000), 0..8),
        cut in (0.0f64..=1.0, 0.0f64..=1.0),
    ) {
        let mut blobs = MemoryBlobs::new();
        let disk = layout_of(&recipe, &mut blobs, 1);
        let made = sparse_disk(&disk, EPOCH);
        let bytes = made.to_vec(&blobs).unwrap();
        let mut reader = ::tar::Archive::new(&bytes[..]);
        let mut found = Vec::new();
        for entry in reader.entries().unwrap() {
            entry.unwrap().read_to_end(&mut found).unwrap();
        }
        prop_assert!(found == disk.to_vec(&blobs).unwrap());
        let (start, end) = (cut.0.min(cut.1), cut.0.max(cut.1));
        let (start, end) = ((start * made.len() as f64) as usize, (end * made.len() as f64) as usize);
        let mut range = vec![0; end - start];
        made.read_exact_at(&blobs, start as u64, &mut range).unwrap();
        prop_assert!(range == bytes[start..end]);
    }
}
