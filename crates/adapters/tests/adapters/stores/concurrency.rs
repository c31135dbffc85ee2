//! Do many threads get along?

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use factory_domain::ports::{BlobKind, RecordKey, RecordKind, StoreError};
use factory_formats::Digest;
use factory_formats::testing::noise;

use super::{Maker, embedded, memory, read, record, write};

const THREADS: usize = 8;

/// All threads write the same few blobs, name, read and forget them, under a budget that makes the
/// store give up records all the time. A blob that is held must be whole at every moment.
fn a_held_blob_is_whole(make: Maker) {
    let fresh = make(120_000);
    let store = &*fresh.store;
    let turns = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let turns = &turns;
            scope.spawn(move || {
                for turn in 0..12 {
                    let number = (thread * 5 + turn * 3) % 7;
                    let bytes = noise(10_000 + number * 11, number as u64);
                    let digest = Digest::of(&bytes);
                    let mut writer = match turn % 2 {
                        0 => store.create(BlobKind::Source).unwrap(),
                        _ => store.resume(BlobKind::Source, &digest, bytes.len() as u64).unwrap(),
                    };
                    let from = writer.position() as usize;
                    writer.write_all(&bytes[from..]).unwrap();
                    let blob = match writer.commit() {
                        Ok(blob) => blob,
                        Err(StoreError::Full { .. }) => continue,
                        Err(error) => panic!("{error}"),
                    };
                    let label = format!("{number}");
                    store.save(record(RecordKind::Source, &label, &[digest])).unwrap();
                    assert_eq!(read(store, &digest, bytes.len()), bytes);
                    assert_eq!(store.checks(&digest).unwrap().size(), bytes.len() as u64);
                    drop(blob);
                    if turn % 5 == 0 {
                        store.forget(&RecordKey::new(RecordKind::Source, &label)).unwrap();
                    }
                    turns.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(turns.into_inner() > THREADS, "most turns must get through");
    let usage = store.usage();
    assert!(usage.bytes <= 120_000, "{usage:?}");
    for (key, _) in store.list(RecordKind::Source).unwrap() {
        let Some(found) = store.record(&key).unwrap() else { panic!("a listed record is missing") };
        for digest in found.blobs {
            let size = store.stat(&digest).unwrap().unwrap().size;
            assert_eq!(Digest::of(&read(store, &digest, size as usize)), digest);
        }
    }
}

#[test]
fn a_held_blob_is_whole_in_the_embedded_store() {
    a_held_blob_is_whole(embedded);
}

#[test]
fn a_held_blob_is_whole_in_memory() {
    a_held_blob_is_whole(memory);
}

#[test]
fn one_blob_is_written_by_many_at_once() {
    let fresh = embedded(0);
    let store = &*fresh.store;
    let bytes = noise(200_000, 9);
    let blobs: Vec<_> = thread::scope(|scope| {
        let writers: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| write(store, &bytes))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert!(blobs.iter().all(|blob| blob.info == blobs[0].info));
    assert_eq!(store.usage().blobs, 1);
    assert_eq!(read(store, &blobs[0].info.digest, bytes.len()), bytes);
}
