//! The store in memory. It keeps the same accounts as the embedded one and nothing else of it.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use factory_domain::ports::{
    BlobInfo, BlobKind, BlobRef, BlobStore, BlobWriter, Clock, FactoryBlobs, Holdings, Lease, Record,
    RecordKey, RecordKind, SchematicStore, StoreError, StoreUsage,
};
use factory_domain::schematic::SchematicId;
use factory_formats::checksum::{BlobChecks, ChecksBuilder, ReadChecks};
use factory_formats::encode::compression_pays;
use factory_formats::{Digest, ReadBlob};

use super::HandClock;
use crate::store::{Hold, State, as_io, check_record, check_schematic};

/// A store of blobs, records and schematics in memory. Clones share the contents.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

struct Inner {
    state: State,
    blobs: HashMap<Digest, (Bytes, Arc<BlobChecks>)>,
    records: HashMap<RecordKey, Record>,
    partials: HashMap<Digest, Vec<u8>>,
    schematics: HashMap<SchematicId, Bytes>,
    failure: Option<StoreError>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_budget(0)
    }
}

impl MemoryStore {
    /// An empty store without limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store of so many bytes; 0 is unlimited.
    pub fn with_budget(budget_bytes: u64) -> Self {
        let inner = Inner {
            state: State::new(budget_bytes),
            blobs: HashMap::new(),
            records: HashMap::new(),
            partials: HashMap::new(),
            schematics: HashMap::new(),
            failure: None,
        };
        let clock = Arc::new(HandClock::default());
        Self { shared: Arc::new(Shared { clock, inner: Mutex::new(inner) }) }
    }

    /// Makes everything that writes fail like this from now on; `None` ends it.
    pub fn fail_writes(&self, failure: Option<StoreError>) {
        self.shared.inner().failure = failure;
    }

    /// Keeps `bytes` as a blob and a record that names it, so that it stays.
    ///
    /// # Errors
    /// Those of the store.
    pub fn keep(&self, kind: BlobKind, bytes: &[u8]) -> Result<BlobInfo, StoreError> {
        let mut writer = self.create(kind)?;
        let written = writer.write_all(bytes);
        written
            .map_err(|e| StoreError::Failed { what: "keeping a blob".to_owned(), reason: e.to_string() })?;
        let blob = writer.commit()?;
        let label = format!("kept {}", blob.info.digest);
        let key = RecordKey::new(RecordKind::Memory, &label);
        self.save(Record { key, label, value: "{}".to_owned(), blobs: vec![blob.info.digest] })?;
        Ok(blob.info)
    }
}

impl Shared {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.since_epoch().as_millis()).unwrap_or(u64::MAX)
    }

    fn lease(self: &Arc<Self>, holds: Vec<Hold>) -> Lease {
        Lease::new(Held { shared: Arc::clone(self), holds })
    }
}

impl Inner {
    fn writable(&self) -> Result<(), StoreError> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn make_room(&mut self, more: u64, keep: Option<&RecordKey>) -> Result<(), StoreError> {
        let (evicted, done) = self.state.make_room(more, keep);
        for key in &evicted.records {
            self.records.remove(key);
        }
        self.remove_gone();
        done
    }

    fn remove_gone(&mut self) {
        for digest in self.state.take_gone() {
            self.blobs.remove(&digest);
        }
    }
}

struct Held {
    shared: Arc<Shared>,
    holds: Vec<Hold>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut inner = self.shared.inner();
        inner.state.release(&self.holds);
        inner.remove_gone();
    }
}

struct MemoryWriter {
    shared: Arc<Shared>,
    kind: BlobKind,
    expected: Option<(Digest, u64)>,
    /// Whether what was written stays for the next attempt.
    resumable: bool,
    bytes: Vec<u8>,
    failure: Option<StoreError>,
}

impl MemoryWriter {
    fn fail(&mut self, failure: StoreError) -> io::Error {
        self.resumable = false;
        self.failure = Some(failure.clone());
        let kind = match failure {
            StoreError::Full { .. } => io::ErrorKind::StorageFull,
            StoreError::Mismatch { .. } => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, failure)
    }
}

impl Write for MemoryWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(failure) = &self.failure {
            return Err(io::Error::other(failure.clone()));
        }
        if let Some((_, size)) = self.expected
            && (self.bytes.len() + bytes.len()) as u64 > size
        {
            let (expected, got) = (format!("{size} bytes"), format!("more than {size} bytes"));
            return Err(self.fail(StoreError::Mismatch { expected, got }));
        }
        let writable = self.shared.inner().writable();
        if let Err(failure) = writable {
            return Err(self.fail(failure));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for MemoryWriter {
    fn position(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn commit(mut self: Box<Self>) -> Result<BlobRef, StoreError> {
        self.resumable = false;
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let bytes = Bytes::from(std::mem::take(&mut self.bytes));
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        if let Some((expected, expected_size)) = self.expected {
            if size != expected_size {
                let (expected, got) = (format!("{expected_size} bytes"), format!("{size} bytes"));
                return Err(StoreError::Mismatch { expected, got });
            }
            if digest != expected {
                return Err(StoreError::Mismatch { expected: expected.to_string(), got: digest.to_string() });
            }
        }
        let read_at = |offset: u64, buf: &mut [u8]| {
            let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
            let end = start.checked_add(buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            buf.copy_from_slice(bytes.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        };
        let compressible = compression_pays(size, read_at).map_err(|error| StoreError::Failed {
            what: "sampling a blob".to_owned(),
            reason: error.to_string(),
        })?;
        let mut inner = self.shared.inner();
        inner.writable()?;
        let info = match inner.state.info(&digest) {
            Some(existing) => existing,
            None => {
                inner.make_room(size, None)?;
                let mut checks = ChecksBuilder::new();
                checks.update(&bytes);
                inner.blobs.insert(digest, (bytes, Arc::new(checks.finish())));
                BlobInfo { digest, size, kind: self.kind, compressible }
            }
        };
        let hold = inner.state.add_held(info);
        drop(inner);
        Ok(BlobRef { info, lease: self.shared.lease(vec![hold]) })
    }
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        if let Some((digest, _)) = self.expected
            && self.resumable
        {
            self.shared.inner().partials.insert(digest, std::mem::take(&mut self.bytes));
        }
    }
}

/// A blob that is there already.
struct Complete(BlobRef);

impl Write for Complete {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() { Ok(0) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for Complete {
    fn position(&self) -> u64 {
        self.0.info.size
    }

    fn commit(self: Box<Self>) -> Result<BlobRef, StoreError> {
        Ok(self.0)
    }
}

impl ReadBlob for MemoryStore {
    fn read_exact_at(&self, digest: &Digest, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let bytes = match self.shared.inner().blobs.get(digest) {
            Some((bytes, _)) => bytes.clone(),
            None => return Err(io::Error::new(io::ErrorKind::NotFound, StoreError::Missing(*digest))),
        };
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadChecks for MemoryStore {
    fn checks(&self, digest: &Digest) -> io::Result<Arc<BlobChecks>> {
        let inner = self.shared.inner();
        let checks = inner.blobs.get(digest).map(|(_, checks)| Arc::clone(checks));
        checks.ok_or_else(|| as_io(StoreError::Missing(*digest)))
    }
}

impl FactoryBlobs for MemoryStore {
    fn stat(&self, digest: &Digest) -> Result<Option<BlobInfo>, StoreError> {
        Ok(self.shared.inner().state.info(digest))
    }
}

impl BlobStore for MemoryStore {
    fn create(&self, kind: BlobKind) -> Result<Box<dyn BlobWriter>, StoreError> {
        self.shared.inner().writable()?;
        Ok(Box::new(MemoryWriter {
            shared: Arc::clone(&self.shared),
            kind,
            expected: None,
            resumable: false,
            bytes: Vec::new(),
            failure: None,
        }))
    }

    fn resume(&self, kind: BlobKind, digest: &Digest, size: u64) -> Result<Box<dyn BlobWriter>, StoreError> {
        let mut inner = self.shared.inner();
        inner.writable()?;
        if let Some(info) = inner.state.info(digest) {
            if info.size != size {
                let (expected, got) = (format!("{size} bytes"), format!("{} bytes", info.size));
                return Err(StoreError::Mismatch { expected, got });
            }
            let hold = inner.state.add_held(info);
            drop(inner);
            return Ok(Box::new(Complete(BlobRef { info, lease: self.shared.lease(vec![hold]) })));
        }
        if !inner.state.could_ever_fit(size) {
            return Err(StoreError::Full { reason: format!("{digest} has {size} bytes") });
        }
        let mut bytes = inner.partials.remove(digest).unwrap_or_default();
        drop(inner);
        if bytes.len() as u64 > size {
            bytes.clear();
        }
        Ok(Box::new(MemoryWriter {
            shared: Arc::clone(&self.shared),
            kind,
            expected: Some((*digest, size)),
            resumable: true,
            bytes,
            failure: None,
        }))
    }

    fn lease(&self, digests: &[Digest]) -> Result<Lease, StoreError> {
        let holds = self.shared.inner().state.hold(digests, self.shared.now_ms());
        Ok(self.shared.lease(holds.map_err(StoreError::Missing)?))
    }

    fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let mut inner = self.shared.inner();
        inner.state.touch(key, self.shared.now_ms());
        Ok(inner.records.get(key).cloned())
    }

    fn save(&self, record: Record) -> Result<(), StoreError> {
        check_record(&record)?;
        let mut inner = self.shared.inner();
        inner.writable()?;
        if let Some(missing) = record.blobs.iter().find(|digest| inner.state.info(digest).is_none()) {
            return Err(StoreError::Missing(*missing));
        }
        let used = inner.state.next_use(self.shared.now_ms());
        let value_bytes = record.value.len() as u64;
        inner.state.note_record(record.key, record.label.clone(), &record.blobs, value_bytes, used);
        let key = record.key;
        inner.records.insert(key, record);
        // A record that was just saved stays even if nothing else could be given up.
        let _ = inner.make_room(0, Some(&key));
        Ok(())
    }

    fn forget(&self, key: &RecordKey) -> Result<(), StoreError> {
        let mut inner = self.shared.inner();
        inner.writable()?;
        inner.state.forget(key);
        inner.records.remove(key);
        inner.remove_gone();
        Ok(())
    }

    fn list(&self, kind: RecordKind) -> Result<Vec<(RecordKey, String)>, StoreError> {
        Ok(self.shared.inner().state.list(kind))
    }

    fn usage(&self) -> StoreUsage {
        self.shared.inner().state.usage()
    }

    fn holdings(&self) -> Holdings {
        self.shared.inner().state.holdings()
    }
}

#[async_trait]
impl SchematicStore for MemoryStore {
    async fn get(&self, id: &SchematicId) -> Result<Option<Bytes>, StoreError> {
        Ok(self.shared.inner().schematics.get(id).cloned())
    }

    async fn put(&self, id: &SchematicId, canonical: Bytes) -> Result<bool, StoreError> {
        check_schematic(id, &canonical)?;
        let mut inner = self.shared.inner();
        inner.writable()?;
        Ok(inner.schematics.insert(*id, canonical).is_some())
    }
}
