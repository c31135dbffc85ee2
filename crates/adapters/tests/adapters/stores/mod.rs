//! Do the stores keep what they promise?

mod concurrency;
mod contract;
mod full_disk;
mod interruptions;
mod killed;
mod model;

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use factory_adapters::store::{EmbeddedStore, OpenError, StoreOptions};
use factory_adapters::testing::MemoryStore;
use factory_domain::ports::{BlobKind, BlobRef, BlobStore, Record, RecordKey, RecordKind, SchematicStore};
use factory_formats::{Digest, ReadBlob};
use tempfile::TempDir;

/// A store of any kind that a test may fill.
pub trait Store: BlobStore + SchematicStore {}
impl<T: BlobStore + SchematicStore> Store for T {}

/// A store and what must live as long.
pub struct Fresh {
    pub store: Box<dyn Store>,
    _directory: Option<TempDir>,
}

/// Makes an empty store with a budget.
pub type Maker = fn(u64) -> Fresh;

pub fn embedded(budget_bytes: u64) -> Fresh {
    let directory = tempfile::tempdir().unwrap();
    let store = Box::new(open(directory.path(), budget_bytes));
    Fresh { store, _directory: Some(directory) }
}

pub fn memory(budget_bytes: u64) -> Fresh {
    Fresh { store: Box::new(MemoryStore::with_budget(budget_bytes)), _directory: None }
}

pub fn open(path: &Path, budget_bytes: u64) -> EmbeddedStore {
    open_with(path, StoreOptions { budget_bytes, ..StoreOptions::default() })
}

/// Opens a store that nobody else has open. Tests beside this one start programs, and for the blink of an eye
/// such a program has the lock of a store that was just closed: until it becomes itself.
pub fn open_with(path: &Path, options: StoreOptions) -> EmbeddedStore {
    let begun = Instant::now();
    loop {
        match EmbeddedStore::open(path, options.clone()) {
            Err(OpenError::InUse { .. }) if begun.elapsed() < Duration::from_secs(10) => {
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => return opened.unwrap(),
        }
    }
}

pub fn write(store: &dyn BlobStore, bytes: &[u8]) -> BlobRef {
    let mut writer = store.create(BlobKind::Source).unwrap();
    writer.write_all(bytes).unwrap();
    writer.commit().unwrap()
}

pub fn record(kind: RecordKind, label: &str, blobs: &[Digest]) -> Record {
    let key = RecordKey::new(kind, label);
    Record { key, label: label.to_owned(), value: format!("{{\"label\":{label:?}}}"), blobs: blobs.to_vec() }
}

/// Writes a blob and a record of it that has the same name.
pub fn keep(store: &dyn BlobStore, kind: RecordKind, label: &str, bytes: &[u8]) -> Digest {
    let blob = write(store, bytes);
    store.save(record(kind, label, &[blob.info.digest])).unwrap();
    blob.info.digest
}

pub fn read(store: &dyn ReadBlob, digest: &Digest, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    store.read_exact_at(digest, 0, &mut bytes).unwrap();
    bytes
}

pub fn labels(store: &dyn BlobStore, kind: RecordKind) -> Vec<String> {
    store.list(kind).unwrap().into_iter().map(|(_, label)| label).collect()
}
