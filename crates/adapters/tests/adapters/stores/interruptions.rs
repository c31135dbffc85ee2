//! Is everything right again after the store was closed, or worse, in the middle of something?

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use factory_adapters::store::{EmbeddedStore, OpenError, StoreOptions};
use factory_adapters::testing::HandClock;
use factory_domain::ports::{
    BlobKind, BlobStore, FactoryBlobs as _, RecordKey, RecordKind, SchematicStore as _, StoreError,
};
use factory_domain::schematic::SchematicId;
use factory_formats::checksum::ReadChecks as _;
use factory_formats::testing::noise;
use factory_formats::{Digest, ReadBlob as _};

use super::{keep, labels, open, open_with, read, record, write};

fn blob_path(root: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    root.join("blobs/sha256").join(&hex[..2]).join(hex)
}

/// Names of all files below the directories that hold blobs in any state.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root.join("blobs"), root.join("tmp"), root.join("partial")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { directories.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

#[test]
fn everything_saved_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = noise(400_000, 1);
    let canonical = Bytes::from_static(b"customization: {}\n");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = open(directory.path(), 0);
    let digest = keep(&store, RecordKind::Part, "kept", &bytes);
    let info = store.stat(&digest).unwrap();
    let checks = store.checks(&digest).unwrap();
    runtime.block_on(store.put(&SchematicId::of(&canonical), canonical.clone())).unwrap();
    drop(store);

    let store = open(directory.path(), 0);
    assert_eq!(store.stat(&digest).unwrap(), info);
    assert_eq!(store.checks(&digest).unwrap(), checks);
    assert_eq!(read(&store, &digest, bytes.len()), bytes);
    let kept = record(RecordKind::Part, "kept", &[digest]);
    assert_eq!(store.record(&kept.key).unwrap(), Some(kept));
    assert_eq!(runtime.block_on(store.get(&SchematicId::of(&canonical))).unwrap(), Some(canonical));
    assert_eq!((store.usage().bytes, store.usage().blobs, store.usage().records), (400_000, 1, 1));
}

#[test]
fn a_removed_blob_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 0);
    let blob = write(&store, b"gone soon");
    assert_eq!(files(directory.path()), [blob_path(directory.path(), &blob.info.digest)]);
    drop(blob);
    store.tidy().unwrap();
    assert!(files(directory.path()).is_empty());
    // The janitor does it without being asked, too.
    drop(write(&store, b"gone a little later"));
    let patience = std::time::Instant::now();
    while !files(directory.path()).is_empty() {
        assert!(patience.elapsed() < Duration::from_secs(20), "the janitor does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn leftovers_of_a_crash_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let kept = keep(&open(root, 0), RecordKind::Source, "kept", b"kept");
    let unnamed = {
        // Committed, but the process died before a record named it.
        let store = open(root, 0);
        let blob = write(&store, b"unnamed");
        std::mem::forget(blob.lease);
        let bytes = fs::read(blob_path(root, &blob.info.digest)).unwrap();
        assert_eq!(bytes, b"unnamed");
        blob.info.digest
    };
    // The forgotten lease keeps that store and its lock alive; a copy of the directory is what a crash leaves.
    let copy = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("cp").arg("-a").arg(root).arg(copy.path().join("s")).status();
    assert!(status.unwrap().success());
    let root = copy.path().join("s");
    let stray = Digest::of(b"stray");
    fs::write(blob_path(&root, &stray), b"stray").unwrap();
    fs::write(root.join("tmp/17"), b"half").unwrap();
    fs::write(root.join("partial").join(Digest::of(b"later").hex()), b"lat").unwrap();
    fs::write(root.join("partial").join(kept.hex()), b"ke").unwrap();
    fs::write(root.join("blobs/sha256/00/README"), b"not ours").unwrap();

    let store = open(&root, 0);
    assert_eq!(read(&store, &kept, 4), b"kept");
    for gone in [unnamed, stray] {
        assert_eq!(store.stat(&gone).unwrap(), None);
        assert!(!blob_path(&root, &gone).exists());
    }
    let mut left = vec![
        root.join("blobs/sha256/00/README"),
        blob_path(&root, &kept),
        root.join("partial").join(Digest::of(b"later").hex()),
    ];
    left.sort();
    assert_eq!(files(&root), left);
    let resumed = store.resume(BlobKind::Source, &Digest::of(b"later"), 5).unwrap();
    assert_eq!(resumed.position(), 3);
}

#[test]
fn a_partial_that_is_damaged_is_noticed_and_fetched_anew() {
    let directory = tempfile::tempdir().unwrap();
    let digest = Digest::of(b"0123456789");
    let partial = directory.path().join("partial").join(digest.hex());
    drop(open(directory.path(), 0));
    // A power cut can leave zeros where bytes were not written yet; a longer file is none of ours.
    for (left, position) in [(&b"01234\0\0"[..], 7), (b"0123456789abc", 0)] {
        fs::write(&partial, left).unwrap();
        let store = open(directory.path(), 0);
        let mut writer = store.resume(BlobKind::Source, &digest, 10).unwrap();
        assert_eq!(writer.position(), position);
        writer.write_all(&b"0123456789"[position as usize..]).unwrap();
        match position {
            0 => assert_eq!(writer.commit().unwrap().info.digest, digest),
            _ => assert!(matches!(writer.commit(), Err(StoreError::Mismatch { .. }))),
        }
        assert!(!partial.exists());
    }
}

#[test]
fn records_of_lost_blobs_are_forgotten_except_memories() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let store = open(root, 0);
    let lost = keep(&store, RecordKind::Source, "lost", b"lost");
    let cut = keep(&store, RecordKind::Part, "cut", b"cut off");
    let fine = keep(&store, RecordKind::Part, "fine", b"fine");
    store.save(record(RecordKind::Memory, "memory", &[lost, fine])).unwrap();
    drop(store);
    fs::remove_file(blob_path(root, &lost)).unwrap();
    fs::remove_file(blob_path(root, &cut)).unwrap();
    fs::write(blob_path(root, &cut), b"cut").unwrap();

    let store = open(root, 0);
    assert!(labels(&store, RecordKind::Source).is_empty());
    assert_eq!(labels(&store, RecordKind::Part), ["fine"]);
    assert_eq!(labels(&store, RecordKind::Memory), ["memory"]);
    assert_eq!(store.stat(&lost).unwrap(), None);
    assert_eq!(store.stat(&cut).unwrap(), None);
    assert_eq!(store.usage().bytes, 4);
    assert_eq!(files(root), [blob_path(root, &fine)]);
}

#[test]
fn the_order_of_use_survives() {
    let directory = tempfile::tempdir().unwrap();
    let options = || StoreOptions {
        clock: Arc::new(HandClock::at(Duration::from_secs(1_700_000_000))),
        ..StoreOptions::default()
    };
    let store = open_with(directory.path(), options());
    for label in ["a", "b", "c", "d"] {
        store.save(record(RecordKind::Part, label, &[])).unwrap();
    }
    for label in ["b", "a"] {
        store.record(&RecordKey::new(RecordKind::Part, label)).unwrap();
    }
    assert_eq!(labels(&store, RecordKind::Part), ["c", "d", "b", "a"]);
    drop(store);
    let store = open_with(directory.path(), options());
    assert_eq!(labels(&store, RecordKind::Part), ["c", "d", "b", "a"]);
}

#[test]
fn a_smaller_budget_is_kept_to_from_the_next_blob_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 0);
    for label in ["a", "b", "c"] {
        keep(&store, RecordKind::Part, label, &noise(30_000, label.as_bytes()[0].into()));
    }
    drop(store);
    let store = open(directory.path(), 65_000);
    keep(&store, RecordKind::Part, "d", &noise(30_000, 1));
    assert_eq!(labels(&store, RecordKind::Part), ["c", "d"]);
}

#[test]
fn damaged_blobs_are_found_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let store = open(root, 0);
    let damage = |digest: &Digest, bytes: &[u8]| {
        let path = blob_path(root, digest);
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    };
    // Other bytes: only reading all of it shows that.
    let digest = keep(&store, RecordKind::Part, "flipped", b"0123456789");
    store.verify(&digest).unwrap();
    damage(&digest, b"012345678X");
    drop(store);
    let store = open(root, 0);
    assert!(store.digests().contains(&digest));
    assert!(matches!(store.verify(&digest), Err(StoreError::Damaged { .. })));
    assert_eq!(store.stat(&digest).unwrap(), None);
    assert!(labels(&store, RecordKind::Part).is_empty());
    assert!(files(root).is_empty());

    // A shorter file, and none at all: the first read shows it.
    for bytes in [Some(&b"01234"[..]), None] {
        let digest = keep(&store, RecordKind::Part, "shorter", b"0123456789");
        match bytes {
            Some(bytes) => damage(&digest, bytes),
            None => fs::remove_file(blob_path(root, &digest)).unwrap(),
        }
        let error = store.read_exact_at(&digest, 0, &mut [0; 10]).unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
        assert_eq!(store.stat(&digest).unwrap(), None);
        assert!(labels(&store, RecordKind::Part).is_empty());
    }

    // Writing it again heals it, whoever still held the damaged one.
    let digest = keep(&store, RecordKind::Part, "healed", b"0123456789");
    let held = store.lease(&[digest]).unwrap();
    damage(&digest, b"01234");
    let again = write(&store, b"0123456789");
    assert_eq!(read(&store, &digest, 10), b"0123456789");
    drop(held);
    assert_eq!(read(&store, &digest, 10), b"0123456789");
    drop(again);
    assert_eq!(labels(&store, RecordKind::Part), ["healed"]);
}

#[test]
fn a_hold_on_a_damaged_blob_does_not_end_that_on_its_successor() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 0);
    let first = write(&store, b"0123456789");
    let digest = first.info.digest;
    fs::remove_file(blob_path(directory.path(), &digest)).unwrap();
    assert!(store.read_exact_at(&digest, 0, &mut [0; 10]).is_err());
    let second = write(&store, b"0123456789");
    drop(first);
    assert_eq!(read(&store, &digest, 10), b"0123456789");
    drop(second);
    assert_eq!(store.stat(&digest).unwrap(), None);
}

#[test]
fn a_second_store_in_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 0);
    let Err(error) = EmbeddedStore::open(directory.path(), StoreOptions::default()) else {
        panic!("two stores in one directory")
    };
    assert!(matches!(error, OpenError::InUse { .. }));
    assert!(error.to_string().contains("in use by another process"), "{error}");
    // What is still held keeps the directory, too.
    let blob = write(&store, b"held");
    drop(store);
    assert!(matches!(
        EmbeddedStore::open(directory.path(), StoreOptions::default()),
        Err(OpenError::InUse { .. })
    ));
    drop(blob);
    open(directory.path(), 0);
}

#[test]
fn a_damaged_index_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 0);
    keep(&store, RecordKind::Part, "kept", b"kept");
    drop(store);
    let index = directory.path().join("index.redb");
    let mut bytes = fs::read(&index).unwrap();
    let middle = bytes.len() / 2;
    bytes[..middle].fill(0xA5);
    fs::write(&index, bytes).unwrap();
    let Err(error) = EmbeddedStore::open(directory.path(), StoreOptions::default()) else {
        panic!("a damaged index was accepted")
    };
    assert!(matches!(&error, OpenError::Index { path, .. } if *path == index), "{error}");
}
