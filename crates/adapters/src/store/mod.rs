//! The embedded store: blobs as files, records and schematics in one index file, all in one directory.
//!
//! It implements [`BlobStore`] (with [`FactoryBlobs`] and [`ReadBlob`]) and `SchematicStore`, needs no
//! other service, and survives being killed at any instant: whatever was acknowledged is there after
//! the restart, whatever was not leaves no trace except partial downloads, which are gone on with.
//!
//! ```no_run
//! use factory_adapters::store::{EmbeddedStore, StoreOptions};
//!
//! let options = StoreOptions { budget_bytes: 50 << 30, ..StoreOptions::default() };
//! let store = EmbeddedStore::open("/var/lib/image-factory".as_ref(), options)?;
//! # Ok::<(), factory_adapters::store::OpenError>(())
//! ```

mod files;
mod index;
mod partials;
mod recovery;
mod rows;
mod schematics;
mod scrub;
mod shared;
mod state;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use factory_domain::ports::{
    Amount, BlobInfo, BlobKind, BlobStore, BlobWriter, Clock, FactoryBlobs, Holdings, Lease, Record,
    RecordKey, RecordKind, StoreError, StoreUsage,
};
use factory_formats::checksum::{BlobChecks, ReadChecks};
use factory_formats::{Digest, ReadBlob};

pub(crate) use files::as_io;
pub(crate) use schematics::check_schematic;
pub use shared::Collected;
pub use state::MaxIdle;
pub(crate) use state::{Hold, State};

use crate::clock::SystemClock;
use files::{Directory, DirectoryError};
use index::Index;
use recovery::Findings;
use shared::Shared;

/// Longest value of a record in bytes.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

/// The janitor rests at least so long.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// How a store behaves.
#[derive(Clone)]
pub struct StoreOptions {
    /// Bytes that blobs and records may take; 0 is unlimited. Schematics and partial downloads come on top.
    pub budget_bytes: u64,
    /// How long sources and parts may go unused before they are given up.
    pub max_idle: MaxIdle,
    /// How often uses are written down, and what is idle is given up; a crash forgets the uses since.
    pub flush_uses_every: Duration,
    /// Tells the time of last use.
    pub clock: Arc<dyn Clock>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            budget_bytes: 0,
            max_idle: MaxIdle::default(),
            flush_uses_every: Duration::from_secs(60),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Two processes would destroy each other's blobs.
    #[error("the store in {path} is in use by another process: give every instance a directory of its own")]
    InUse {
        /// The store's directory.
        path: PathBuf,
    },
    /// The directory cannot be made, read or written.
    #[error("the store in {path} cannot be used: {reason}")]
    Directory {
        /// The store's directory.
        path: PathBuf,
        /// What failed.
        reason: String,
    },
    /// The index is damaged or of another version.
    #[error("the index {path} cannot be used: {reason}")]
    Index {
        /// The index file. It holds the schematics: restore it from a copy rather than remove it.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// An open store. Leases and writers may outlive it; the directory is free again when all are gone.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    janitor: Option<JoinHandle<()>>,
    leftovers: Amount,
}

impl EmbeddedStore {
    /// Opens the store in `path`, or makes an empty one. Blocks while it puts right what an interruption
    /// left behind.
    ///
    /// # Errors
    /// [`OpenError`], which says what to do.
    pub fn open(path: &Path, options: StoreOptions) -> Result<Self, OpenError> {
        let unusable = |reason: String| OpenError::Directory { path: path.to_owned(), reason };
        // Often enough that nothing stays much longer than it may.
        let shortest = [options.max_idle.sources, options.max_idle.parts].into_iter().flatten().min();
        let every = shortest.map_or(options.flush_uses_every, |idle| {
            options.flush_uses_every.min((idle / 2).max(SHORTEST_PAUSE))
        });
        let (mut store, findings) = Self::examine(path, options)?;
        let right = findings.put_right(&store.shared.directory, &store.shared.index);
        right.map_err(|error| unusable(error.to_string()))?;
        let shared = Arc::clone(&store.shared);
        let thread = thread::Builder::new().name("store-janitor".to_owned());
        let janitor = thread.spawn(move || tidy_until_told_to_stop(&shared, every));
        store.janitor = Some(janitor.map_err(|error| unusable(error.to_string()))?);
        Ok(store)
    }

    /// Opens the store in `path` to look at it: nothing is put right and nothing given up.
    ///
    /// # Errors
    /// [`OpenError`], which says what to do.
    pub fn look_into(path: &Path, options: StoreOptions) -> Result<Self, OpenError> {
        Ok(Self::examine(path, options)?.0)
    }

    fn examine(path: &Path, options: StoreOptions) -> Result<(Self, Findings), OpenError> {
        let unusable = |reason: String| OpenError::Directory { path: path.to_owned(), reason };
        let directory = Directory::open(path).map_err(|error| match error {
            DirectoryError::InUse => OpenError::InUse { path: path.to_owned() },
            error @ DirectoryError::Io { .. } => unusable(error.to_string()),
        })?;
        let index_path = directory.index_path();
        let index = Index::open(&index_path)
            .map_err(|error| OpenError::Index { path: index_path.clone(), reason: error.to_string() })?;
        let mut findings = recovery::examine(&directory, &index, options.budget_bytes)
            .map_err(|error| unusable(error.to_string()))?;
        let state = std::mem::take(&mut findings.state);
        let shared = Arc::new(Shared::new(directory, index, state, options.clock, options.max_idle));
        let store = Self { shared, janitor: None, leftovers: findings.leftovers };
        Ok((store, findings))
    }

    /// Files that served nobody when the store was opened.
    pub fn leftovers(&self) -> Amount {
        self.leftovers
    }

    /// Gives up what is idle and what there is no room for, now instead of soon.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn collect(&self) -> Result<Collected, StoreError> {
        self.shared.collect()
    }

    /// What [`Self::collect`] would do.
    pub fn would_collect(&self) -> Collected {
        self.shared.would_collect()
    }

    /// Removes what nobody needs any more and writes down what was used, now instead of soon.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn tidy(&self) -> Result<(), StoreError> {
        self.shared.tidy()
    }
}

fn tidy_until_told_to_stop(shared: &Shared, every: Duration) {
    loop {
        let stop = shared.wait_for_order(every);
        if let Err(error) = shared.tidy() {
            tracing::warn!(%error, "the store cannot be tidied");
        }
        if stop {
            return;
        }
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.shared.order(|orders| orders.stop = true);
        if let Some(janitor) = self.janitor.take() {
            // A janitor that panicked has nothing to tell; the store is whole at every instant.
            let _ = janitor.join();
        }
    }
}

impl ReadBlob for EmbeddedStore {
    fn read_exact_at(&self, digest: &Digest, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.shared.read_exact_at(digest, offset, buf)
    }
}

impl ReadChecks for EmbeddedStore {
    fn checks(&self, digest: &Digest) -> io::Result<Arc<BlobChecks>> {
        self.shared.checks(digest).map_err(as_io)
    }
}

impl FactoryBlobs for EmbeddedStore {
    fn stat(&self, digest: &Digest) -> Result<Option<BlobInfo>, StoreError> {
        Ok(self.shared.state().info(digest))
    }
}

impl BlobStore for EmbeddedStore {
    fn create(&self, kind: BlobKind) -> Result<Box<dyn BlobWriter>, StoreError> {
        writer::create(&self.shared, kind)
    }

    fn resume(&self, kind: BlobKind, digest: &Digest, size: u64) -> Result<Box<dyn BlobWriter>, StoreError> {
        writer::resume(&self.shared, kind, digest, size)
    }

    fn lease(&self, digests: &[Digest]) -> Result<Lease, StoreError> {
        let holds = self.shared.state().hold(digests, self.shared.now_ms());
        Ok(self.shared.lease(holds.map_err(StoreError::Missing)?))
    }

    fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.shared.record(key)
    }

    fn save(&self, record: Record) -> Result<(), StoreError> {
        check_record(&record)?;
        self.shared.save(&record)
    }

    fn forget(&self, key: &RecordKey) -> Result<(), StoreError> {
        self.shared.forget(key)
    }

    fn list(&self, kind: RecordKind) -> Result<Vec<(RecordKey, String)>, StoreError> {
        Ok(self.shared.state().list(kind))
    }

    fn usage(&self) -> StoreUsage {
        self.shared.state().usage()
    }

    fn holdings(&self) -> Holdings {
        self.shared.holdings()
    }
}

/// Refuses records that are too big.
pub(crate) fn check_record(record: &Record) -> Result<(), StoreError> {
    if record.value.len() > MAX_RECORD_BYTES {
        return Err(StoreError::Failed {
            what: format!("saving the record {:?}", record.label),
            reason: format!("{} bytes are more than {MAX_RECORD_BYTES}", record.value.len()),
        });
    }
    Ok(())
}
