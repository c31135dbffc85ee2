use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::Layout;
use crate::oracle;
use crate::sector::SectorSize;
use crate::testing::{MemoryBlobs, noise};

const MIB: u64 = 1 << 20;
const EPOCH: u64 = 1_559_424_892;

fn options(size: u64, sector: SectorSize) -> FatOptions {
    FatOptions { size, sector, label: "EFI".to_owned(), serial: 0x1234_ABCD, epoch: EPOCH }
}

fn file(blobs: &mut MemoryBlobs, path: &str, len: usize) -> FatFile {
    FatFile::new(path, blobs.layout(noise(len, path.len() as u64 + len as u64)))
}

/// `fsck.vfat -n` says nothing but its name and the count of files.
fn assert_clean(image: &Path) {
    let said = oracle::success("fsck.vfat", "dosfstools", &["-n", oracle::text(image)]);
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[test]
fn every_size_is_clean_and_readable() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("fat");
    for (mib, sector) in [
        (1, SectorSize::B512),
        (3, SectorSize::B512),
        (8, SectorSize::B512),
        (25, SectorSize::B512),
        (34, SectorSize::B512),
        (100, SectorSize::B512),
        (2101, SectorSize::B512),
        (1, SectorSize::B4096),
        (16, SectorSize::B4096),
        (100, SectorSize::B4096),
        (1101, SectorSize::B4096),
    ] {
        let mut blobs = MemoryBlobs::new();
        let mut seed = file(&mut blobs, "loader/random-seed", 32);
        seed.read_only = true;
        let files = [
            file(&mut blobs, "EFI/boot/BOOTX64.efi", 100_000),
            file(&mut blobs, "EFI/Linux/Talos-v1.14.0-alpha.2.efi", 300_001),
            file(&mut blobs, "loader/loader.conf", 65),
            file(&mut blobs, "loader/empty", 0),
            seed,
        ];
        let made = volume(&options(mib * MIB, sector), &files).unwrap();
        assert_eq!(made.layout.len(), mib * MIB);
        let inline = made.layout.extents().iter().map(|extent| match extent {
            crate::Extent::Bytes(bytes) => bytes.len(),
            _ => 0,
        });
        assert!(inline.sum::<usize>() < 400_000, "{mib} MiB: the layout holds too much");
        oracle::write_sparse(&made.layout, &blobs, &image);
        assert_clean(&image);
        let listed = oracle::success("mdir", "mtools", &["-/", "-b", "-i", oracle::text(&image), "::"]);
        let names: Vec<_> = listed.lines().collect();
        assert!(names.contains(&"::/EFI/boot/BOOTX64.efi"), "{listed}");
        assert!(names.contains(&"::/EFI/Linux/Talos-v1.14.0-alpha.2.efi"), "{listed}");
        let attributes =
            oracle::success("mattrib", "mtools", &["-i", oracle::text(&image), "::/loader/random-seed"]);
        assert!(attributes.contains("A    R"), "{attributes}");
        let uki = made.files["EFI/Linux/Talos-v1.14.0-alpha.2.efi"];
        assert!(uki.offset.is_multiple_of(FILE_ALIGNMENT));
        let inside = made.layout.slice(uki.offset, uki.offset + uki.len).to_vec(&blobs).unwrap();
        assert!(inside == noise(300_001, 35 + 300_001));
    }
}

#[test]
fn label_serial_and_times_are_as_asked() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("fat");
    let mut blobs = MemoryBlobs::new();
    let files = [file(&mut blobs, "A.TXT", 3)];
    let made = volume(&options(40 * MIB, SectorSize::B512), &files).unwrap();
    oracle::write_sparse(&made.layout, &blobs, &image);
    let listed = oracle::success("mdir", "mtools", &["-i", oracle::text(&image), "::"]);
    for text in
        ["Volume in drive : is EFI", "Serial Number is 1234-ABCD", "A        TXT         3 2019-06-01  21:34"]
    {
        assert!(listed.contains(text), "{listed}");
    }
    let probed = oracle::success("blkid", "util-linux", &["-p", oracle::text(&image)]);
    for text in [r#"LABEL="EFI""#, r#"UUID="1234-ABCD""#, r#"VERSION="FAT32""#] {
        assert!(probed.contains(text), "{probed}");
    }
}

#[test]
fn directories_that_differ_in_case_are_one() {
    let mut blobs = MemoryBlobs::new();
    let files =
        [file(&mut blobs, "EFI/boot/a", 1), file(&mut blobs, "efi/BOOT/b", 1), file(&mut blobs, "dtb/c", 1)];
    let made = volume(&options(8 * MIB, SectorSize::B512), &files).unwrap();
    let paths: Vec<_> = made.files.keys().map(String::as_str).collect();
    assert_eq!(paths, ["EFI/boot/a", "EFI/boot/b", "dtb/c"]);
    let clash = [file(&mut blobs, "EFI/boot/a", 1), file(&mut blobs, "efi/boot/A", 1)];
    assert!(matches!(volume(&options(8 * MIB, SectorSize::B512), &clash), Err(FatError::Path(_))));
}

#[test]
fn what_does_not_fit_is_said() {
    let mut blobs = MemoryBlobs::new();
    let big = [file(&mut blobs, "big", 2_000_000)];
    let said = volume(&options(MIB, SectorSize::B512), &big).unwrap_err().to_string();
    assert!(said.starts_with("the files need 2000") && said.contains("which has 10"), "{said}");
    let many: Vec<_> = (0..600).map(|i| file(&mut blobs, &format!("N{i}"), 0)).collect();
    assert!(matches!(volume(&options(MIB, SectorSize::B512), &many), Err(FatError::DirectorySize(_))));
    assert!(volume(&options(40 * MIB, SectorSize::B512), &many).is_ok());

    let mut zero = crate::LayoutBuilder::new();
    zero.zero(1 << 32);
    let huge = [FatFile::new("huge", zero.build())];
    assert!(matches!(volume(&options(8192 * MIB, SectorSize::B512), &huge), Err(FatError::FileSize { .. })));

    for (path, label) in [("a:b", "EFI"), ("ok", "efi"), ("ok", ""), ("ok", "TWELVE-CHARS"), ("../x", "EFI")]
    {
        let mut options = options(MIB, SectorSize::B512);
        options.label = label.to_owned();
        assert!(volume(&options, &[FatFile::new(path, Layout::default())]).is_err(), "{path} {label}");
    }
    let odd = options(MIB + 512, SectorSize::B4096);
    assert!(matches!(volume(&odd, &[]), Err(FatError::VolumeSize { .. })));
}

/// Paths with a few directories, names of every kind and sizes around the cluster's.
fn trees() -> impl Strategy<Value = BTreeMap<String, usize>> {
    let name = prop_oneof![
        "[A-Z]{1,8}",
        "[A-Z0-9]{1,8}\\.[A-Z]{1,3}",
        "[a-z][a-zA-Z0-9 ._+,;=\\[\\]-]{0,30}[a-z0-9]",
        "[äöüßéñ日本語]{1,20}",
    ];
    let path = prop::collection::vec(name, 1..5).prop_map(|names| names.join("/"));
    prop::collection::btree_map(
        path,
        prop_oneof![Just(0usize), 1usize..5000, Just(4096), 10_000usize..60_000],
        0..25,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn random_trees_come_back(tree in trees(), kind in 0usize..4) {
        let (mib, sector) = [(4, SectorSize::B512), (16, SectorSize::B512), (36, SectorSize::B512), (8, SectorSize::B4096)][kind];
        let mut blobs = MemoryBlobs::new();
        // Names that clash are dropped here; that they are refused is tested elsewhere.
        let mut files: Vec<FatFile> = Vec::new();
        for (path, len) in &tree {
            files.push(file(&mut blobs, path, *len));
            if matches!(volume(&options(64 * MIB, SectorSize::B512), &files), Err(FatError::Path(_))) {
                files.pop();
            }
        }
        let made = volume(&options(mib * MIB, sector), &files).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("fat");
        oracle::write_sparse(&made.layout, &blobs, &image);
        assert_clean(&image);
        let out = directory.path().join("out");
        std::fs::create_dir(&out).unwrap();
        if !files.is_empty() {
            oracle::success("mcopy", "mtools", &["-s", "-n", "-i", oracle::text(&image), "::/*", oracle::text(&out)]);
        }
        for (path, span) in &made.files {
            let read = std::fs::read(out.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
            let inside = made.layout.slice(span.offset, span.offset + span.len).to_vec(&blobs).unwrap();
            prop_assert!(read == inside, "{}", path);
        }
        prop_assert_eq!(made.files.len(), files.len());
        prop_assert_eq!(made.layout.fingerprint(), volume(&options(mib * MIB, sector), &files).unwrap().layout.fingerprint());
    }
}
