use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::oracle::{self, text};
use crate::testing::{MemoryBlobs, layout_of, noise};

const MIB: u64 = 1 << 20;

/// Headers, payload and a backup at the end, as a disk has them.
fn disk(blobs: &mut MemoryBlobs, size: u64) -> Layout {
    let mut disk = LayoutBuilder::new();
    disk.slice(b"EFI PART").zero(MIB + 512).append(&blobs.layout(noise(9_300_017, 1))).align(512);
    disk.zero(70 * MIB).run(Run::counter(3, 70_000)).append(&blobs.layout(noise(70_000, 2)));
    disk.pad_to(size - 8).slice(b"the end.");
    disk.build()
}

fn judged_by_qemu(disk: &Layout, vmdk: &Layout, blobs: &MemoryBlobs) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    oracle::write_sparse(disk, blobs, &file("raw"));
    oracle::write_sparse(vmdk, blobs, &file("vmdk"));
    let (raw, vmdk) = (file("raw"), file("vmdk"));
    let qemu_img = |args: &[&str]| oracle::success("qemu-img", "qemu-utils", args);
    qemu_img(&["check", "-f", "vmdk", text(&vmdk)]);
    // By content, as importers do.
    qemu_img(&["compare", "-f", "raw", text(&raw), text(&vmdk)]);
    let info = qemu_img(&["info", "--output=json", text(&vmdk)]);
    serde_json::from_str(&info).unwrap()
}

#[test]
fn qemu_finds_the_same_disk_in_it() {
    let mut blobs = MemoryBlobs::new();
    for size in [2247 * MIB, 9193 * MIB, 100 * MIB + 512] {
        let disk = disk(&mut blobs, size);
        let vmdk = stream_optimized(&disk).unwrap();
        let info = judged_by_qemu(&disk, &vmdk, &blobs);
        assert_eq!(info["virtual-size"], size);
        let data = &info["format-specific"]["data"];
        assert_eq!(data["create-type"], "streamOptimized");
        assert_eq!(data["parent-cid"], u32::MAX);
        assert_eq!(data["extents"][0]["compressed"], true);
        assert_eq!(data["extents"][0]["cluster-size"], GRAIN_LEN);
    }
}

#[test]
fn disks_of_nothing_and_of_one_sector() {
    let blobs = MemoryBlobs::new();
    for disk in [Layout::from_bytes(vec![5; 512]), {
        let mut zeros = LayoutBuilder::new();
        zeros.zero(64 * MIB);
        zeros.build()
    }] {
        judged_by_qemu(&disk, &stream_optimized(&disk).unwrap(), &blobs);
    }
}

#[test]
fn the_plan_stays_small_whatever_the_disk_holds() {
    let mut blobs = MemoryBlobs::new();
    // Sixteen times the same blob of 8 MiB, so that the test itself needs little memory.
    let blob = blobs.layout(noise(8 << 20, 1));
    let mut builder = LayoutBuilder::new();
    builder.slice(b"head").align(4096);
    for _ in 0..16 {
        builder.append(&blob).zero(40 * MIB);
    }
    builder.pad_to(100 << 30);
    let disk = builder.build();
    let vmdk = stream_optimized(&disk).unwrap();
    assert!(vmdk.len() > 128 * MIB && vmdk.len() < 140 * MIB, "{}", vmdk.len());
    assert!(vmdk.inline_len() < 40_000, "{}", vmdk.inline_len());
}

#[test]
fn the_same_disk_gives_the_same_ids_and_another_one_others() {
    let ids = |bytes: &[u8]| {
        let vmdk = stream_optimized(&Layout::from_bytes(bytes.to_vec())).unwrap();
        let bytes = vmdk.inline_bytes().unwrap();
        let descriptor = String::from_utf8_lossy(&bytes[512..21 * 512]).into_owned();
        let line = |name: &str| {
            let line = descriptor.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_matches([' ', '=', '"']).to_owned()
        };
        (line("CID"), line("ddb.longContentID"))
    };
    let (short, long) = ids(&[1; 512]);
    assert_eq!((short.len(), long.len()), (8, 32));
    assert!(long.ends_with(&short));
    assert_eq!(ids(&[1; 512]), (short.clone(), long));
    assert_ne!(ids(&[2; 512]).0, short);
}

#[test]
fn odd_and_huge_disks_are_refused() {
    let zeros = |len| {
        let mut builder = LayoutBuilder::new();
        builder.zero(len);
        builder.build()
    };
    assert_eq!(stream_optimized(&zeros(1000)).unwrap_err(), VmdkError::Sectors(1000));
    let huge = Layout::from_blob(crate::Digest::of(b""), 1 << 41);
    assert_eq!(stream_optimized(&huge).unwrap_err(), VmdkError::TooLarge(1 << 41));
}

/// The disk inside, read by the format's rules with the decompressor of zlib.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let le32 = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let le64 = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let (capacity, directory) = (le64(12), le64(56) * 512);
    let mut disk = Vec::new();
    for grain in 0..capacity.div_ceil(128) {
        let table = le32(directory + grain / 512 * 4) * 512;
        let at = le32(table + grain % 512 * 4) * 512;
        if at == 0 {
            disk.resize(disk.len() + 65536, 0);
            continue;
        }
        assert_eq!(le64(at), grain * 128);
        let packed = &bytes[at + 12..at + 12 + le32(at + 8)];
        std::io::copy(&mut flate2::read::ZlibDecoder::new(packed), &mut disk).unwrap();
    }
    disk.truncate(capacity * 512);
    disk
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_disk_comes_back_and_any_range_is_a_slice(
        recipe in prop::collection::vec((any::<u8>(), 0u64..200_000), 0..8),
        cut in (0.0f64..=1.0, 0.0f64..=1.0),
    ) {
        let mut blobs = MemoryBlobs::new();
        let mut disk = LayoutBuilder::new();
        disk.append(&layout_of(&recipe, &mut blobs, 1)).align(512);
        let disk = disk.build();
        let vmdk = stream_optimized(&disk).unwrap();
        let bytes = vmdk.to_vec(&blobs).unwrap();
        prop_assert!(unpacked(&bytes) == disk.to_vec(&blobs).unwrap());
        prop_assert_eq!(bytes[bytes.len() - 512..].iter().max(), Some(&0));
        let (start, end) = (cut.0.min(cut.1), cut.0.max(cut.1));
        let (start, end) = ((start * vmdk.len() as f64) as usize, (end * vmdk.len() as f64) as usize);
        let mut range = vec![0; end - start];
        vmdk.read_exact_at(&blobs, start as u64, &mut range).unwrap();
        prop_assert!(range == bytes[start..end]);
    }
}
