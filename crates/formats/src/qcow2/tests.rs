use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::golden;
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

fn judged_by_qemu(disk: &Layout, image: &Layout, blobs: &MemoryBlobs) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    oracle::write_sparse(disk, blobs, &file("raw"));
    oracle::write_sparse(image, blobs, &file("qcow2"));
    let (raw, qcow2) = (file("raw"), file("qcow2"));
    let qemu_img = |args: &[&str]| oracle::success("qemu-img", "qemu-utils", args);
    let checked: Value =
        serde_json::from_str(&qemu_img(&["check", "--output=json", "-f", "qcow2", text(&qcow2)])).unwrap();
    assert_eq!(checked["check-errors"], 0, "{checked}");
    assert!(checked.get("leaks").is_none() && checked.get("corruptions").is_none(), "{checked}");
    // Nothing is behind the last cluster.
    assert_eq!(checked["image-end-offset"], image.len());
    qemu_img(&["compare", "-f", "raw", text(&raw), text(&qcow2)]);
    serde_json::from_str(&qemu_img(&["info", "--output=json", text(&qcow2)])).unwrap()
}

#[test]
fn qemu_finds_no_fault_and_the_same_disk() {
    let mut blobs = MemoryBlobs::new();
    for (size, cluster) in [
        (2247 * MIB, 8192),
        (9193 * MIB, 8192),
        (200 * MIB + 512, 65536),
        (100 * MIB, 512),
        (100 * MIB, 2 << 20),
    ] {
        let disk = disk(&mut blobs, size);
        let made = image(&disk, cluster).unwrap();
        let info = judged_by_qemu(&disk, &made, &blobs);
        assert_eq!((&info["virtual-size"], &info["cluster-size"]), (&size.into(), &cluster.into()));
    }
}

#[test]
fn disks_of_nothing_and_of_one_sector() {
    let blobs = MemoryBlobs::new();
    let mut zeros = LayoutBuilder::new();
    zeros.zero(64 * MIB);
    for disk in [Layout::from_bytes(vec![5; 512]), zeros.build()] {
        judged_by_qemu(&disk, &image(&disk, 8192).unwrap(), &blobs);
    }
}

/// What qemu says of the reference's images, but for sizes.
#[test]
fn golden_facts() {
    let Some(lines) = golden::lines("assets.jsonl") else { return };
    let mut blobs = MemoryBlobs::new();
    let mut seen = 0;
    for line in lines {
        let want = &line["structure"]["info"];
        if want["format"] != "qcow2" {
            continue;
        }
        seen += 1;
        let size = want["virtual-size"].as_u64().unwrap();
        let disk = disk(&mut blobs, size);
        let info = judged_by_qemu(&disk, &image(&disk, 8192).unwrap(), &blobs);
        for key in ["cluster-size", "dirty-flag", "format", "format-specific", "virtual-size"] {
            assert_eq!(info[key], want[key], "{} {key}", line["case"]);
        }
    }
    assert!(seen > 0, "assets.jsonl has no QCOW2 image");
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
    builder.pad_to(100 << 30);
    let made = image(&builder.build(), 8192).unwrap();
    assert!(made.len() > 128 * MIB && made.len() < 130 * MIB, "{}", made.len());
    assert!(made.inline_len() < 40_000, "{}", made.inline_len());
}

#[test]
fn what_cannot_be_is_refused() {
    let zeros = |len| {
        let mut builder = LayoutBuilder::new();
        builder.zero(len);
        builder.build()
    };
    for cluster in [0, 256, 8191, 4 << 20] {
        assert_eq!(image(&zeros(512), cluster).unwrap_err(), Qcow2Error::ClusterSize(cluster));
    }
    assert_eq!(image(&zeros(1000), 8192).unwrap_err(), Qcow2Error::Sectors(1000));
    let size = 33 << 40;
    assert_eq!(image(&zeros(size), 8192).unwrap_err(), Qcow2Error::TooLarge { size, cluster: 8192 });
}

#[test]
fn counters_of_counters_are_counted() {
    for cluster in [512, 8192] {
        for data in (0..400_000).step_by(997) {
            let plan = Plan::new(cluster, 3, data / 64, data);
            let blocks = plan.l1 - plan.refcount_blocks;
            let table = plan.refcount_blocks - plan.refcount_table;
            assert!(blocks * cluster / 2 >= plan.total && (blocks - 1) * cluster / 2 < plan.total);
            assert!(table * cluster / 8 >= blocks && (table - 1) * cluster / 8 < blocks);
            assert_eq!(plan.total, 1 + table + blocks + 3 + data / 64 + data);
        }
    }
}

/// The disk inside, read by the format's rules.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let be64 = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let be32 = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let (cluster, size, l1) = (1 << be32(20), be64(24), be64(40));
    let per_table = cluster / 8;
    let target = |entry: usize| entry & !(1 << 63);
    let mut disk = vec![0; size.next_multiple_of(cluster)];
    for (k, out) in disk.chunks_mut(cluster).enumerate() {
        let table = target(be64(l1 + k / per_table * 8));
        if table != 0 {
            let at = target(be64(table + k % per_table * 8));
            if at != 0 {
                out.copy_from_slice(&bytes[at..at + cluster]);
            }
        }
    }
    disk.truncate(size);
    disk
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_disk_comes_back_and_any_range_is_a_slice(
        recipe in prop::collection::vec((any::<u8>(), 0u64..200_000), 0..8),
        cluster in prop::sample::select(vec![512_u32, 4096, 8192, 65536]),
        cut in (0.0f64..=1.0, 0.0f64..=1.0),
    ) {
        let mut blobs = MemoryBlobs::new();
        let mut disk = LayoutBuilder::new();
        disk.append(&layout_of(&recipe, &mut blobs, 1)).align(512);
        let disk = disk.build();
        let made = image(&disk, cluster).unwrap();
        let bytes = made.to_vec(&blobs).unwrap();
        prop_assert!(unpacked(&bytes) == disk.to_vec(&blobs).unwrap());
        let (start, end) = (cut.0.min(cut.1), cut.0.max(cut.1));
        let (start, end) = ((start * made.len() as f64) as usize, (end * made.len() as f64) as usize);
        let mut range = vec![0; end - start];
        made.read_exact_at(&blobs, start as u64, &mut range).unwrap();
        prop_assert!(range == bytes[start..end]);
    }
}
