//! Do the stores behave like the simplest thing that could be called a store?

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use factory_domain::ports::{BlobKind, BlobStore, Lease, RecordKey, RecordKind, StoreError};
use factory_formats::Digest;
use factory_formats::testing::noise;
use proptest::prelude::*;

use super::{memory, open, read, record};

/// Something that a user of the store does. Numbers choose among a few blobs and records.
#[derive(Clone, Debug)]
enum Step {
    Write(u8),
    Resume {
        blob: u8,
        up_to: usize,
    },
    Drop(u8),
    Save {
        record: u8,
        blobs: Vec<u8>,
    },
    Forget(u8),
    Use(u8),
    /// Closes the store and opens it again, where that is possible.
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..6u8).prop_map(Step::Write),
        3 => (0..6u8, 0..40_000usize).prop_map(|(blob, up_to)| Step::Resume { blob, up_to }),
        3 => (0..6u8).prop_map(Step::Drop),
        4 => (0..4u8, prop::collection::vec(0..6u8, 0..4)).prop_map(|(record, blobs)| Step::Save { record, blobs }),
        1 => (0..4u8).prop_map(Step::Forget),
        2 => (0..4u8).prop_map(Step::Use),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

fn contents(blob: u8) -> Vec<u8> {
    noise(usize::from(blob) * 7001, blob.into())
}

fn key(number: u8) -> RecordKey {
    record(RecordKind::Source, &number.to_string(), &[]).key
}

/// What a store holds, in the plainest words: no budget, no files.
#[derive(Default)]
struct Model {
    held: BTreeMap<u8, usize>,
    records: BTreeMap<u8, Vec<u8>>,
    order: Vec<u8>,
}

impl Model {
    fn blobs(&self) -> BTreeSet<u8> {
        let held = self.held.iter().filter(|(_, holds)| **holds > 0).map(|(blob, _)| *blob);
        held.chain(self.records.values().flatten().copied()).collect()
    }

    fn used(&mut self, number: u8) {
        self.order.retain(|other| *other != number);
        self.order.push(number);
    }
}

/// Runs the steps against a store and the model, and compares after each.
fn follow(steps: &[Step], mut store: Box<dyn BlobStore>, reopen: Option<&dyn Fn() -> Box<dyn BlobStore>>) {
    let mut model = Model::default();
    let mut leases: BTreeMap<u8, Vec<Lease>> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Write(blob) => {
                let mut writer = store.create(BlobKind::Source).unwrap();
                writer.write_all(&contents(*blob)).unwrap();
                leases.entry(*blob).or_default().push(writer.commit().unwrap().lease);
                *model.held.entry(*blob).or_default() += 1;
            }
            Step::Resume { blob, up_to } => {
                let bytes = contents(*blob);
                let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
                let mut writer = store.resume(BlobKind::Source, &digest, size).unwrap();
                let from = writer.position() as usize;
                let up_to = (*up_to).clamp(from, bytes.len());
                writer.write_all(&bytes[from..up_to]).unwrap();
                if up_to == bytes.len() {
                    leases.entry(*blob).or_default().push(writer.commit().unwrap().lease);
                    *model.held.entry(*blob).or_default() += 1;
                }
            }
            Step::Drop(blob) => {
                if leases.entry(*blob).or_default().pop().is_some() {
                    *model.held.entry(*blob).or_default() -= 1;
                }
            }
            Step::Save { record: number, blobs } => {
                let digests: Vec<Digest> = blobs.iter().map(|blob| Digest::of(&contents(*blob))).collect();
                let saved = store.save(record(RecordKind::Source, &number.to_string(), &digests));
                let there = model.blobs();
                match blobs.iter().position(|blob| !there.contains(blob)) {
                    Some(at) => {
                        assert!(matches!(saved, Err(StoreError::Missing(missing)) if missing == digests[at]));
                    }
                    None => {
                        saved.unwrap();
                        model.records.insert(*number, blobs.clone());
                        model.used(*number);
                    }
                }
            }
            Step::Forget(number) => {
                store.forget(&key(*number)).unwrap();
                model.records.remove(number);
                model.order.retain(|other| other != number);
            }
            Step::Use(number) => {
                let found = store.record(&key(*number)).unwrap();
                assert_eq!(found.is_some(), model.records.contains_key(number));
                if found.is_some() {
                    model.used(*number);
                }
            }
            Step::Reopen => {
                if let Some(reopen) = reopen {
                    leases.clear();
                    model.held.clear();
                    drop(store);
                    store = reopen();
                }
            }
        }
        let there = model.blobs();
        for blob in 0..6u8 {
            let bytes = contents(blob);
            let digest = Digest::of(&bytes);
            assert_eq!(store.stat(&digest).unwrap().is_some(), there.contains(&blob), "blob {blob}");
            if there.contains(&blob) {
                assert_eq!(read(&*store, &digest, bytes.len()), bytes);
                assert_eq!(store.checks(&digest).unwrap().size(), bytes.len() as u64);
            }
        }
        let listed: Vec<u8> =
            store.list(RecordKind::Source).unwrap().iter().map(|(_, label)| label.parse().unwrap()).collect();
        assert_eq!(listed, model.order);
        let usage = store.usage();
        let bytes: u64 = there.iter().map(|blob| contents(*blob).len() as u64).sum();
        assert_eq!((usage.bytes, usage.blobs), (bytes, there.len() as u64));
        assert_eq!(usage.records, model.records.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_embedded_store_follows_the_model(steps in steps()) {
        let directory = tempfile::tempdir().unwrap();
        let reopen = || Box::new(open(directory.path(), 0)) as Box<dyn BlobStore>;
        follow(&steps, reopen(), Some(&reopen));
    }

    #[test]
    fn the_store_in_memory_follows_the_model(steps in steps()) {
        let fresh = memory(0);
        let store: Box<dyn BlobStore> = fresh.store;
        follow(&steps, store, None);
    }
}
