//! What happens when the disk is full? Run on a small file system of its own, in a mount namespace.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use factory_domain::ports::{
    BlobKind, BlobStore as _, FactoryBlobs as _, RecordKind, SchematicStore as _, StoreError,
};
use factory_domain::schematic::SchematicId;
use factory_formats::testing::noise;
use factory_formats::{Digest, ReadBlob as _};

use super::{keep, labels, open, read, record, write};

/// Tells the test below that it runs on the small file system, and where that is.
const SMALL_DISK: &str = "FACTORY_SMALL_DISK";

/// Size of the small file system.
const DISK_BYTES: usize = 24 << 20;

#[test]
fn a_full_disk_is_an_answer() {
    if let Some(path) = env::var_os(SMALL_DISK) {
        return on_the_small_disk(Path::new(&path));
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let probe = Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path])
        .output()
        .expect("unshare: install the Debian package util-linux");
    if !probe.status.success() {
        let why = String::from_utf8_lossy(&probe.stderr);
        println!("skipped: a_full_disk_is_an_answer: no mount namespaces here: {why}");
        return;
    }
    let script = format!("mount -t tmpfs -o size={DISK_BYTES} tmpfs \"$1\" && shift && exec \"$@\"");
    let done = Command::new("unshare")
        .args(["-rm", "sh", "-c", &script, "sh", path])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "stores::full_disk::a_full_disk_is_an_answer", "--nocapture"])
        .env(SMALL_DISK, path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert!(said.contains("1 passed"), "the test did not run: {said}");
}

fn on_the_small_disk(path: &Path) {
    let store = open(path, 0);
    let megabyte = |seed: u64| noise(1 << 20, seed);
    let kept = keep(&store, RecordKind::Memory, "stays", &megabyte(0));

    // More than fits, nothing to give up.
    let mut writer = store.create(BlobKind::Source).unwrap();
    let failure =
        (1..40).find_map(|seed| writer.write_all(&megabyte(seed)).err()).expect("the disk is small");
    assert_eq!(failure.kind(), std::io::ErrorKind::StorageFull, "{failure}");
    assert!(matches!(writer.commit(), Err(StoreError::Full { .. })));
    assert_eq!(fs::read_dir(path.join("tmp")).unwrap().count(), 0, "debris");

    // The same for one that could be gone on with: the space is worth more.
    let mut writer = store.resume(BlobKind::Source, &Digest::of(b"?"), 40 << 20).unwrap();
    assert!((1..40).any(|seed| writer.write_all(&megabyte(seed)).is_err()));
    assert!(matches!(writer.commit(), Err(StoreError::Full { .. })));
    assert_eq!(fs::read_dir(path.join("partial")).unwrap().count(), 0, "debris");

    // Old records make way, the least recently used first; a partial nobody works on goes before.
    let mut partial = store.resume(BlobKind::Source, &Digest::of(b"??"), 1 << 20).unwrap();
    partial.write_all(&noise(1 << 19, 99)).unwrap();
    drop(partial);
    for seed in 1..60 {
        let blob = write(&store, &megabyte(seed));
        store.save(record(RecordKind::Part, &seed.to_string(), &[blob.info.digest])).unwrap();
    }
    assert_eq!(fs::read_dir(path.join("partial")).unwrap().count(), 0);
    let left = labels(&store, RecordKind::Part);
    assert_eq!(left.last().unwrap(), "59");
    assert!(left.len() > 5 && left.len() < 30, "{left:?}");
    assert_eq!(labels(&store, RecordKind::Memory), ["stays"]);
    assert_eq!(read(&store, &kept, 1 << 20), megabyte(0));

    // With everything held, it is full again, index included; and works as soon as there is room.
    let digests: Vec<Digest> =
        left.iter().map(|label| Digest::of(&megabyte(label.parse().unwrap()))).collect();
    let lease = store.lease(&digests).unwrap();
    let stuffing = path.join("stuffing");
    let mut file = fs::File::create(&stuffing).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    let saved = (0..2000).find_map(|n| {
        let mut long = record(RecordKind::Memory, &format!("long {n}"), &[]);
        long.value = "x".repeat(20_000);
        store.save(long).err()
    });
    assert!(matches!(saved, Some(StoreError::Full { .. })), "{saved:?}");
    assert_eq!(read(&store, &digests[0], 1 << 20), megabyte(left[0].parse().unwrap()));
    // Parts make way for schematics, and for what is written to the index.
    drop(lease);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for seed in 0..200 {
        let canonical = Bytes::from(noise(40_000, seed));
        runtime.block_on(store.put(&SchematicId::of(&canonical), canonical)).unwrap();
    }
    assert!(labels(&store, RecordKind::Part).len() < left.len());
    fs::remove_file(&stuffing).unwrap();
    let late = keep(&store, RecordKind::Part, "late", b"late");
    drop(store);
    let store = open(path, 0);
    assert_eq!(read(&store, &late, 4), b"late");
    assert!(store.stat(&kept).unwrap().is_some());
    store.read_exact_at(&kept, 0, &mut [0]).unwrap();
}
