//! What every store must do, run against each.

use std::io::{self, Write as _};

use bytes::Bytes;
use factory_domain::ports::{BlobKind, RecordKey, RecordKind, StoreError};
use factory_domain::schematic::SchematicId;
use factory_formats::Digest;
use factory_formats::checksum::{ChecksBuilder, GRAIN};
use factory_formats::testing::noise;

use super::{Maker, embedded, keep, labels, memory, read, record, write};

macro_rules! contract {
    ($($name:ident)*) => {
        mod embedded_store { $(#[test] fn $name() { super::$name(super::embedded) })* }
        mod memory_store { $(#[test] fn $name() { super::$name(super::memory) })* }
    };
}

contract! {
    a_blob_comes_back_whole_and_in_pieces
    an_empty_blob_is_a_blob
    what_is_not_there_is_missing
    an_uncommitted_blob_leaves_nothing
    a_second_copy_is_the_same_blob
    a_blob_lives_as_long_as_a_lease_or_a_record
    a_lease_is_all_or_nothing
    a_record_needs_its_blobs
    a_record_replaces_its_predecessor
    a_forgotten_record_takes_its_own_blobs_along
    an_interrupted_blob_is_gone_on_with
    a_wrong_digest_or_size_is_refused_and_forgotten
    a_second_writer_starts_beside_the_first
    a_blob_that_is_there_need_not_be_written_again
    the_least_recently_used_record_goes_first
    what_is_leased_or_remembered_stays
    a_budget_that_must_stay_used_up_is_full
    compressibility_is_noted
    schematics_come_back
    a_record_that_is_too_long_is_refused
}

const SOURCE: RecordKind = RecordKind::Source;

fn a_blob_comes_back_whole_and_in_pieces(make: Maker) {
    let fresh = make(0);
    let bytes = noise(3 * GRAIN as usize + 77, 1);
    let mut writer = fresh.store.create(BlobKind::Part).unwrap();
    for piece in bytes.chunks(100_001) {
        writer.write_all(piece).unwrap();
    }
    assert_eq!(writer.position(), bytes.len() as u64);
    let blob = writer.commit().unwrap();
    let digest = Digest::of(&bytes);
    assert_eq!((blob.info.digest, blob.info.size), (digest, bytes.len() as u64));
    assert_eq!(blob.info.kind, BlobKind::Part);
    assert_eq!(fresh.store.stat(&digest).unwrap(), Some(blob.info));
    assert_eq!(read(&*fresh.store, &digest, bytes.len()), bytes);
    let mut piece = [0; 1000];
    fresh.store.read_exact_at(&digest, 131_000, &mut piece).unwrap();
    assert_eq!(piece, bytes[131_000..132_000]);
    let past = fresh.store.read_exact_at(&digest, bytes.len() as u64 - 999, &mut piece).unwrap_err();
    assert_eq!(past.kind(), io::ErrorKind::UnexpectedEof);
    let past = fresh.store.read_exact_at(&digest, u64::MAX, &mut piece).unwrap_err();
    assert_eq!(past.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(read(&*fresh.store, &digest, bytes.len()), bytes, "a bad question must not harm the blob");
    let mut checks = ChecksBuilder::new();
    checks.update(&bytes);
    assert_eq!(*fresh.store.checks(&digest).unwrap(), checks.finish());
}

fn an_empty_blob_is_a_blob(make: Maker) {
    let fresh = make(0);
    let blob = write(&*fresh.store, b"");
    assert_eq!((blob.info.digest, blob.info.size), (Digest::of(b""), 0));
    assert_eq!(read(&*fresh.store, &blob.info.digest, 0), b"");
    assert_eq!(fresh.store.checks(&blob.info.digest).unwrap().grains().len(), 0);
    let resumed = fresh.store.resume(BlobKind::Source, &Digest::of(b""), 0).unwrap();
    assert_eq!(resumed.commit().unwrap().info, blob.info);
}

fn what_is_not_there_is_missing(make: Maker) {
    let fresh = make(0);
    let digest = Digest::of(b"nobody");
    assert_eq!(fresh.store.stat(&digest).unwrap(), None);
    assert_eq!(fresh.store.checks(&digest).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert!(matches!(fresh.store.lease(&[digest]), Err(StoreError::Missing(d)) if d == digest));
    let read = fresh.store.read_exact_at(&digest, 0, &mut [0]).unwrap_err();
    assert_eq!(read.kind(), io::ErrorKind::NotFound);
    let key = RecordKey::new(SOURCE, "nobody");
    assert_eq!(fresh.store.record(&key).unwrap(), None);
    fresh.store.forget(&key).unwrap();
    assert!(fresh.store.list(SOURCE).unwrap().is_empty());
}

fn an_uncommitted_blob_leaves_nothing(make: Maker) {
    let fresh = make(0);
    let mut writer = fresh.store.create(BlobKind::Source).unwrap();
    writer.write_all(b"half").unwrap();
    assert_eq!(fresh.store.stat(&Digest::of(b"half")).unwrap(), None);
    drop(writer);
    assert_eq!(fresh.store.usage().blobs, 0);
}

fn a_second_copy_is_the_same_blob(make: Maker) {
    let fresh = make(0);
    let first = write(&*fresh.store, b"same");
    let mut writer = fresh.store.create(BlobKind::Part).unwrap();
    writer.write_all(b"same").unwrap();
    let second = writer.commit().unwrap();
    assert_eq!(first.info, second.info);
    assert_eq!((fresh.store.usage().blobs, fresh.store.usage().bytes), (1, 4));
    drop(first);
    assert_eq!(read(&*fresh.store, &second.info.digest, 4), b"same");
}

fn a_blob_lives_as_long_as_a_lease_or_a_record(make: Maker) {
    let fresh = make(0);
    let blob = write(&*fresh.store, b"short life");
    let digest = blob.info.digest;
    let lease = fresh.store.lease(&[digest]).unwrap();
    let same = lease.clone();
    drop(blob);
    drop(lease);
    assert!(fresh.store.stat(&digest).unwrap().is_some());
    drop(same);
    assert_eq!(fresh.store.stat(&digest).unwrap(), None);
    assert!(fresh.store.read_exact_at(&digest, 0, &mut [0]).is_err());
    assert_eq!(fresh.store.usage().bytes, 0);
    // It can come back at once.
    let digest = keep(&*fresh.store, SOURCE, "long life", b"short life");
    assert_eq!(read(&*fresh.store, &digest, 10), b"short life");
}

fn a_lease_is_all_or_nothing(make: Maker) {
    let fresh = make(0);
    let blob = write(&*fresh.store, b"there");
    let digest = blob.info.digest;
    assert!(fresh.store.lease(&[digest, Digest::of(b"not there")]).is_err());
    drop(blob);
    assert_eq!(fresh.store.stat(&digest).unwrap(), None, "the failed lease must not hold it");
}

fn a_record_needs_its_blobs(make: Maker) {
    let fresh = make(0);
    let blob = write(&*fresh.store, b"one");
    let other = Digest::of(b"two");
    let wrong = record(SOURCE, "r", &[blob.info.digest, other]);
    assert!(matches!(fresh.store.save(wrong), Err(StoreError::Missing(d)) if d == other));
    assert_eq!(fresh.store.usage().records, 0);
    let right = record(SOURCE, "r", &[blob.info.digest, blob.info.digest]);
    fresh.store.save(right.clone()).unwrap();
    assert_eq!(fresh.store.record(&right.key).unwrap(), Some(right));
}

fn a_record_replaces_its_predecessor(make: Maker) {
    let fresh = make(0);
    let (a, b) = (write(&*fresh.store, b"a"), write(&*fresh.store, b"b"));
    let digests = [a.info.digest, b.info.digest];
    fresh.store.save(record(SOURCE, "r", &digests)).unwrap();
    drop((a, b));
    let mut next = record(SOURCE, "r", &digests[1..]);
    next.value = "{}".to_owned();
    fresh.store.save(next.clone()).unwrap();
    assert_eq!(fresh.store.record(&next.key).unwrap(), Some(next));
    let left = digests.map(|digest| fresh.store.stat(&digest).unwrap().is_some());
    assert_eq!(left, [false, true]);
    assert_eq!((fresh.store.usage().records, fresh.store.usage().blobs), (1, 1));
}

fn a_forgotten_record_takes_its_own_blobs_along(make: Maker) {
    let fresh = make(0);
    let shared = keep(&*fresh.store, SOURCE, "first", b"shared");
    let blob = write(&*fresh.store, b"own");
    let own = blob.info.digest;
    fresh.store.save(record(RecordKind::Part, "second", &[shared, own])).unwrap();
    drop(blob);
    assert!(fresh.store.stat(&own).unwrap().is_some());
    fresh.store.forget(&RecordKey::new(RecordKind::Part, "second")).unwrap();
    assert_eq!(fresh.store.stat(&own).unwrap(), None);
    assert!(fresh.store.stat(&shared).unwrap().is_some());
    assert_eq!(fresh.store.record(&RecordKey::new(RecordKind::Part, "second")).unwrap(), None);
}

fn an_interrupted_blob_is_gone_on_with(make: Maker) {
    let fresh = make(0);
    let bytes = noise(900_000, 4);
    let digest = Digest::of(&bytes);
    let size = bytes.len() as u64;
    let mut writer = fresh.store.resume(BlobKind::Source, &digest, size).unwrap();
    assert_eq!(writer.position(), 0);
    writer.write_all(&bytes[..500_001]).unwrap();
    drop(writer);
    assert_eq!(fresh.store.stat(&digest).unwrap(), None);
    let mut writer = fresh.store.resume(BlobKind::Source, &digest, size).unwrap();
    assert_eq!(writer.position(), 500_001);
    writer.write_all(&bytes[500_001..]).unwrap();
    let blob = writer.commit().unwrap();
    assert_eq!(blob.info.digest, digest);
    assert_eq!(read(&*fresh.store, &digest, bytes.len()), bytes);
    let mut checks = ChecksBuilder::new();
    checks.update(&bytes);
    assert_eq!(*fresh.store.checks(&digest).unwrap(), checks.finish());
}

fn a_wrong_digest_or_size_is_refused_and_forgotten(make: Maker) {
    let fresh = make(0);
    let digest = Digest::of(b"right");
    let attempt = |bytes: &[u8]| {
        let mut writer = fresh.store.resume(BlobKind::Source, &digest, 5).unwrap();
        assert_eq!(writer.position(), 0, "nothing of a wrong attempt may be kept");
        let written = writer.write_all(bytes);
        (written.is_ok(), writer.commit())
    };
    for (bytes, written) in [(&b"wrong"[..], true), (b"shor", true), (b"too long", false)] {
        let (accepted, committed) = attempt(bytes);
        assert_eq!(accepted, written, "{bytes:?}");
        assert!(matches!(committed, Err(StoreError::Mismatch { .. })), "{bytes:?}: {committed:?}");
    }
    let (_, committed) = attempt(b"right");
    assert_eq!(committed.unwrap().info.digest, digest);
}

fn a_second_writer_starts_beside_the_first(make: Maker) {
    let fresh = make(0);
    let bytes = noise(100_000, 5);
    let digest = Digest::of(&bytes);
    let size = bytes.len() as u64;
    let mut first = fresh.store.resume(BlobKind::Source, &digest, size).unwrap();
    first.write_all(&bytes[..70_000]).unwrap();
    let mut second = fresh.store.resume(BlobKind::Source, &digest, size).unwrap();
    assert_eq!(second.position(), 0);
    second.write_all(&bytes).unwrap();
    let second = second.commit().unwrap();
    first.write_all(&bytes[70_000..]).unwrap();
    assert_eq!(first.commit().unwrap().info, second.info);
    assert_eq!(fresh.store.usage().bytes, size);
}

fn a_blob_that_is_there_need_not_be_written_again(make: Maker) {
    let fresh = make(0);
    let digest = keep(&*fresh.store, SOURCE, "r", b"there");
    let mut writer = fresh.store.resume(BlobKind::Source, &digest, 5).unwrap();
    assert_eq!(writer.position(), 5);
    assert!(writer.write_all(b"more").is_err());
    assert_eq!(writer.commit().unwrap().info.digest, digest);
    assert!(matches!(fresh.store.resume(BlobKind::Source, &digest, 6), Err(StoreError::Mismatch { .. })));
}

fn the_least_recently_used_record_goes_first(make: Maker) {
    let fresh = make(100_000);
    for label in ["a", "b", "c"] {
        keep(&*fresh.store, SOURCE, label, &noise(30_000, label.as_bytes()[0].into()));
    }
    assert!(fresh.store.record(&RecordKey::new(SOURCE, "a")).unwrap().is_some());
    assert_eq!(labels(&*fresh.store, SOURCE), ["b", "c", "a"]);
    let d = write(&*fresh.store, &noise(30_000, 1));
    assert_eq!(labels(&*fresh.store, SOURCE), ["c", "a"]);
    assert_eq!(fresh.store.record(&RecordKey::new(SOURCE, "b")).unwrap(), None);
    assert_eq!(fresh.store.usage().blobs, 3);
    assert!(fresh.store.stat(&d.info.digest).unwrap().is_some());
}

fn what_is_leased_or_remembered_stays(make: Maker) {
    let fresh = make(100_000);
    keep(&*fresh.store, RecordKind::Memory, "remembered", &noise(30_000, 1));
    let leased = keep(&*fresh.store, SOURCE, "leased", &noise(30_000, 2));
    keep(&*fresh.store, RecordKind::Part, "idle", &noise(30_000, 3));
    let lease = fresh.store.lease(&[leased]).unwrap();
    keep(&*fresh.store, SOURCE, "new", &noise(30_000, 4));
    assert_eq!(labels(&*fresh.store, RecordKind::Memory), ["remembered"]);
    assert_eq!(labels(&*fresh.store, SOURCE), ["leased", "new"]);
    assert!(labels(&*fresh.store, RecordKind::Part).is_empty());
    drop(lease);
    keep(&*fresh.store, SOURCE, "newer", &noise(30_000, 5));
    assert_eq!(labels(&*fresh.store, SOURCE), ["new", "newer"]);
}

fn a_budget_that_must_stay_used_up_is_full(make: Maker) {
    let fresh = make(100_000);
    let first = write(&*fresh.store, &noise(60_000, 1));
    let mut writer = fresh.store.create(BlobKind::Source).unwrap();
    writer.write_all(&noise(60_000, 2)).unwrap();
    assert!(matches!(writer.commit(), Err(StoreError::Full { .. })));
    assert_eq!(fresh.store.usage().bytes, 60_000);
    drop(first);
    assert_eq!(write(&*fresh.store, &noise(60_000, 2)).info.size, 60_000);
    let huge = fresh.store.resume(BlobKind::Source, &Digest::of(b""), 100_001);
    assert!(matches!(huge, Err(StoreError::Full { .. })));
}

fn compressibility_is_noted(make: Maker) {
    let fresh = make(0);
    assert!(!write(&*fresh.store, &noise(300_000, 1)).info.compressible);
    let text = b"every asset is a recipe, not a file; ".repeat(9000);
    assert!(write(&*fresh.store, &text).info.compressible);
}

fn schematics_come_back(make: Maker) {
    let fresh = make(10);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let canonical = Bytes::from_static(b"customization: {}\n");
        let id = SchematicId::of(&canonical);
        assert_eq!(fresh.store.get(&id).await.unwrap(), None);
        assert!(!fresh.store.put(&id, canonical.clone()).await.unwrap());
        assert!(fresh.store.put(&id, canonical.clone()).await.unwrap());
        assert_eq!(fresh.store.get(&id).await.unwrap(), Some(canonical));
        let other = fresh.store.put(&id, Bytes::from_static(b"other")).await;
        assert!(matches!(other, Err(StoreError::Mismatch { .. })));
    });
}

fn a_record_that_is_too_long_is_refused(make: Maker) {
    let fresh = make(0);
    let mut long = record(SOURCE, "long", &[]);
    long.value = "x".repeat((16 << 20) + 1);
    assert!(matches!(fresh.store.save(long.clone()), Err(StoreError::Failed { .. })));
    long.value.pop();
    fresh.store.save(long.clone()).unwrap();
    assert_eq!(fresh.store.record(&long.key).unwrap().unwrap().value.len(), 16 << 20);
}
