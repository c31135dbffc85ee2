use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::gpt::Guid;
use crate::oracle;
use crate::sector::SectorSize;
use crate::testing::{MemoryBlobs, noise};
use crate::{Extent, Layout, LayoutBuilder};

const MIB: u64 = 1 << 20;

fn options(size: u64, sector: SectorSize) -> XfsOptions {
    XfsOptions {
        size,
        sector,
        label: "BOOT".to_owned(),
        uuid: Guid::of_label("BOOT"),
        epoch: 1_559_424_892,
        directory_modes: BTreeMap::from([("grub".to_owned(), 0o700)]),
    }
}

fn file(path: &str, mode: u16, content: Layout) -> XfsFile {
    XfsFile { path: path.to_owned(), mode, content }
}

fn boot_files(blobs: &mut MemoryBlobs) -> Vec<XfsFile> {
    vec![
        file("A/vmlinuz", 0o644, blobs.layout(noise(3_000_001, 1))),
        file("A/initramfs.xz", 0o644, blobs.layout(noise(8_192_000, 2))),
        file("A/empty", 0o644, Layout::default()),
        file("grub/grub.cfg", 0o600, Layout::from_bytes("set timeout=3\n")),
    ]
}

/// `xfs_repair -n` succeeds and neither finds fault nor would change anything.
fn assert_clean(image: &Path) {
    let output = oracle::run("xfs_repair", "xfsprogs", &["-n", "-f", oracle::text(image)]);
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    for line in said.lines().map(str::to_lowercase) {
        // These two announce phases that a dry run leaves out.
        let harmless = line.contains("would be") || line.contains("no modify flag set");
        assert!(
            harmless || !(line.contains("bad") || line.contains("would") || line.contains("wrong")),
            "{said}"
        );
    }
}

#[test]
fn xfs_repair_finds_no_fault() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("xfs");
    for (mib, sector) in [
        (300, SectorSize::B512),
        (1000, SectorSize::B512),
        (2000, SectorSize::B512),
        (300, SectorSize::B4096),
        (2000, SectorSize::B4096),
    ] {
        let mut blobs = MemoryBlobs::new();
        let made = volume(&options(mib * MIB, sector), &boot_files(&mut blobs)).unwrap();
        assert_eq!(made.len(), mib * MIB);
        let inline: usize =
            made.extents().iter().map(|e| if let Extent::Bytes(b) = e { b.len() } else { 0 }).sum();
        assert!(inline < 300_000, "the layout holds {inline} bytes");
        oracle::write_sparse(&made, &blobs, &image);
        assert_clean(&image);
        let superblock = oracle::success(
            "xfs_db",
            "xfsprogs",
            &["-r", "-f", "-c", "sb 0", "-c", "print fname uuid sectsize", oracle::text(&image)],
        );
        assert!(
            superblock.contains("fname = \"BOOT")
                && superblock.contains("24c73076-4092-85dd-9d98-686a2dbf6d81"),
            "{superblock}"
        );
    }
}

#[test]
fn grub_reads_the_files_back() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("xfs");
    let mut blobs = MemoryBlobs::new();
    let files = boot_files(&mut blobs);
    let made = volume(&options(300 * MIB, SectorSize::B512), &files).unwrap();
    oracle::write_sparse(&made, &blobs, &image);
    for file in files.iter().filter(|file| !file.content.is_empty()) {
        let expected = directory.path().join("expected");
        oracle::write_sparse(&file.content, &blobs, &expected);
        let path = format!("(loop0)/{}", file.path);
        oracle::success(
            "grub-fstest",
            "grub-common",
            &[oracle::text(&image), "cmp", &path, oracle::text(&expected)],
        );
    }
    let listed = oracle::success("grub-fstest", "grub-common", &[oracle::text(&image), "ls", "(loop0)/A/"]);
    assert_eq!(listed.split_whitespace().collect::<Vec<_>>(), ["empty", "initramfs.xz", "vmlinuz"]);
}

/// Unmounts when the test is over, whatever happened.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        oracle::run("umount", "mount", &[oracle::text(self.0)]);
    }
}

#[test]
fn linux_mounts_it_where_the_machine_allows() {
    let directory = tempfile::tempdir().unwrap();
    let (image, root) = (directory.path().join("xfs"), directory.path().join("root"));
    std::fs::create_dir(&root).unwrap();
    let mut blobs = MemoryBlobs::new();
    let files = boot_files(&mut blobs);
    oracle::write_sparse(&volume(&options(300 * MIB, SectorSize::B512), &files).unwrap(), &blobs, &image);
    let arguments = ["-t", "xfs", "-o", "loop,ro,nouuid", oracle::text(&image), oracle::text(&root)];
    let output = oracle::run("mount", "mount", &arguments);
    if !output.status.success() {
        println!("skipped: no right to mount: {}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let _mounted = Mounted(&root);
    for file in files {
        assert!(std::fs::read(root.join(&file.path)).unwrap() == file.content.to_vec(&blobs).unwrap());
    }
    let mode =
        |path: &str| std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(root.join(path)).unwrap());
    assert_eq!(["A", "grub", "grub/grub.cfg"].map(mode), [0o40755, 0o40700, 0o100_600]);
}

#[test]
fn big_files_go_on_in_other_groups() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("xfs");
    let blobs = MemoryBlobs::new();
    // Three parts that are easy to tell apart, holes in between: 205 MiB in groups of 75 MiB.
    let mut builder = LayoutBuilder::new();
    builder.slice(b"begin").pad_to(100 * MIB).slice(b"middle").pad_to(205 * MIB - 3).slice(b"end");
    let files =
        [file("A/big", 0o644, builder.build()), file("grub/grub.cfg", 0o600, Layout::from_bytes("x"))];
    for sector in [SectorSize::B512, SectorSize::B4096] {
        let made = volume(&options(300 * MIB, sector), &files).unwrap();
        oracle::write_sparse(&made, &blobs, &image);
        assert_clean(&image);
    }
    let expected = directory.path().join("expected");
    oracle::write_sparse(&files[0].content, &blobs, &expected);
    oracle::success(
        "grub-fstest",
        "grub-common",
        &[oracle::text(&image), "cmp", "(loop0)/A/big", oracle::text(&expected)],
    );
    let mut zeros = LayoutBuilder::new();
    zeros.zero(240 * MIB);
    let too_big = [file("A/big", 0o644, zeros.build())];
    let error = volume(&options(300 * MIB, SectorSize::B512), &too_big).unwrap_err();
    assert!(matches!(error, XfsError::NoRoom { ref path, .. } if path == "A/big"), "{error}");
}

#[test]
fn a_full_volume_is_still_clean() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("xfs");
    let free = |size: u64| {
        let mut zeros = LayoutBuilder::new();
        zeros.zero(size);
        volume(&options(300 * MIB, SectorSize::B512), &[file("all", 0o644, zeros.build())])
    };
    let groups = 300 * MIB / 4096 - 4 * 8 - 8 - 16384;
    oracle::write_sparse(&free(groups * 4096).unwrap(), &MemoryBlobs::new(), &image);
    assert_clean(&image);
    assert!(free(groups * 4096 + 1).is_err());
}

#[test]
fn every_inode_may_be_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("xfs");
    let files = |count: usize| {
        let path = |i: usize| format!("d{}/{i:02}", i % 2);
        (0..count).map(|i| file(&path(i), 0o600, Layout::from_bytes("x"))).collect::<Vec<_>>()
    };
    // Root, two directories, two special inodes.
    let made = volume(&options(300 * MIB, SectorSize::B512), &files(59)).unwrap();
    oracle::write_sparse(&made, &MemoryBlobs::new(), &image);
    assert_clean(&image);
    assert!(volume(&options(300 * MIB, SectorSize::B512), &files(60)).is_err());
}

#[test]
fn what_cannot_be_is_refused() {
    let empty = |path: &str| file(path, 0o644, Layout::default());
    let with = |size, files: &[XfsFile]| volume(&options(size, SectorSize::B512), files);
    for size in [0, 4096, 200 * MIB, 300 * MIB + 512] {
        assert_eq!(with(size, &[]).unwrap_err(), XfsError::VolumeSize(size));
    }
    let many: Vec<_> = (0..70).map(|i| empty(&format!("d{}/{i}", i % 10))).collect();
    assert_eq!(with(300 * MIB, &many).unwrap_err(), XfsError::Inodes(81));
    let names: Vec<_> = (0..30).map(|i| empty(&format!("a long name {i}"))).collect();
    assert_eq!(with(300 * MIB, &names).unwrap_err(), XfsError::DirectorySize(String::new()));
    assert!(matches!(with(300 * MIB, &[empty("a"), empty("a/b")]), Err(XfsError::Path(_))));
    let mut label = options(300 * MIB, SectorSize::B512);
    label.label = "thirteen-char".to_owned();
    assert!(matches!(volume(&label, &[]), Err(XfsError::Label(_))));
}
