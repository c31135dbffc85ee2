//! The store: blobs by digest, and records that give them a meaning.
//!
//! A *blob* is immutable bytes. A *record* says what some blobs are: the files of a release image, the
//! parts of an extension, the last good list of versions. A blob lives as long as a record names it or a
//! [`Lease`] holds it; records of the kinds that can be fetched or built again are given up, least
//! recently used first, when the store is over its budget.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::Arc;

use factory_formats::Digest;
use factory_formats::checksum::ReadChecks;

/// What kept the store from doing its work.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The blob is not there (any more): fetch or build it again.
    #[error("blob {0} is not in the store")]
    Missing(Digest),
    /// The bytes are not what their name says. They are gone from the store now.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// The blob, record or schematic.
        what: String,
        /// How that was noticed.
        reason: String,
    },
    /// What was written is not what was announced.
    #[error("expected {expected}, got {got}")]
    Mismatch {
        /// Digest or size that was announced.
        expected: String,
        /// Digest or size of what came.
        got: String,
    },
    /// The disk is full or the budget is used up by what must stay.
    #[error("the store is full: {reason}")]
    Full {
        /// What could not be kept, and why.
        reason: String,
    },
    /// The disk, the index or the service behind it failed.
    #[error("the store failed at {what}: {reason}")]
    Failed {
        /// What was being done.
        what: String,
        /// The cause.
        reason: String,
    },
}

/// What a blob is, for accounting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlobKind {
    /// Out of a release image.
    Source,
    /// Made by the factory.
    Part,
}

/// What is known about a blob without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its name.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// What it is.
    pub kind: BlobKind,
    /// Whether a compressor would make it noticeably smaller (samples said so when it was written).
    pub compressible: bool,
}

/// A blob that cannot be evicted as long as this exists.
#[derive(Clone, Debug)]
pub struct BlobRef {
    /// What is known about it.
    pub info: BlobInfo,
    /// Holds it.
    pub lease: Lease,
}

/// Keeps blobs from being evicted until the last clone is dropped.
#[derive(Clone)]
pub struct Lease(#[allow(dead_code, reason = "held for its Drop")] Arc<dyn Any + Send + Sync>);

impl Lease {
    /// Wraps whatever the adapter needs dropped at the end.
    pub fn new(guard: impl Any + Send + Sync) -> Self {
        Self(Arc::new(guard))
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}

/// Writes one blob. Dropped before [`BlobWriter::commit`], nothing of it is visible; a resumable one
/// keeps what it has for the next attempt.
///
/// An error of a write carries the [`StoreError`] inside (`io::Error::get_ref`): its kind is `StorageFull`
/// for [`StoreError::Full`], and `InvalidData` when more bytes come than were announced. The writer is of no
/// use afterwards; its commit gives the same error.
pub trait BlobWriter: io::Write + Send {
    /// Bytes written so far, those of an earlier interrupted attempt included: write on from here.
    fn position(&self) -> u64;

    /// Makes the blob visible and durable. One that exists already is kept, this copy discarded.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] when digest or size are not those announced: nothing is kept, not even for
    /// a resumed attempt.
    fn commit(self: Box<Self>) -> Result<BlobRef, StoreError>;
}

/// What kind of thing a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// What a release image holds. Can be fetched again.
    Source,
    /// Something derived. Can be built again.
    Part,
    /// Small facts that must outlive a restart: tags seen, last good lists. Never evicted.
    Memory,
}

/// Name of a record: its kind, and a digest of everything that it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// The kind.
    pub kind: RecordKind,
    /// Digest of the canonical description of what the record is about.
    pub key: Digest,
}

impl RecordKey {
    /// The key of `subject`, a canonical text that starts with a name and a version of its own, such as
    /// `extension/v1 …`.
    pub fn new(kind: RecordKind, subject: &str) -> Self {
        Self { kind, key: Digest::of(subject.as_bytes()) }
    }
}

/// A record: small text with a meaning, and the blobs that the meaning needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub key: RecordKey,
    /// For people who look into the store: `imager v1.12.4`, `extension siderolabs/drbd amd64`.
    pub label: String,
    /// JSON, up to 16 MiB.
    pub value: String,
    /// Blobs that live as long as this record.
    pub blobs: Vec<Digest>,
}

/// How much the store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreUsage {
    /// Bytes of all blobs.
    pub bytes: u64,
    /// Number of blobs.
    pub blobs: u64,
    /// Number of records.
    pub records: u64,
    /// Configured budget in bytes; 0 is unlimited.
    pub budget: u64,
}

/// How many of something, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub items: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// What the space of a store goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Records of sources, and bytes of their blobs and values.
    pub sources: Amount,
    /// Records of parts, and bytes of their blobs and values.
    pub parts: Amount,
    /// Records that are never given up.
    pub memory: Amount,
    /// Schematics, which are never given up.
    pub schematics: Amount,
    /// Downloads that were begun.
    pub partial: Amount,
    /// Bytes given up since the store was opened, because nobody had used them for long.
    pub given_up_idle: u64,
    /// Bytes given up since the store was opened, because there was no room for them.
    pub given_up_for_room: u64,
}

/// What planners need of blobs: contents, tables of checks, and whether compression pays.
pub trait FactoryBlobs: ReadChecks + Send + Sync {
    /// What is known about a blob; `None` when it is not there.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn stat(&self, digest: &Digest) -> Result<Option<BlobInfo>, StoreError>;
}

/// The store of sources and parts. Its calls block for as long as a disk takes: call them from a build
/// thread, not from an async one, except for the look-ups, which touch memory or one page of the index.
pub trait BlobStore: FactoryBlobs {
    /// Starts a blob whose digest is not known yet.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Failed`].
    fn create(&self, kind: BlobKind) -> Result<Box<dyn BlobWriter>, StoreError>;

    /// Starts, or goes on with, a blob of known digest and size. Only one writer for a digest exists at a
    /// time: a second one starts anew beside it. When the blob is there already, the position is its end
    /// and nothing is left but to commit.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Failed`].
    fn resume(&self, kind: BlobKind, digest: &Digest, size: u64) -> Result<Box<dyn BlobWriter>, StoreError>;

    /// Keeps all these blobs from eviction.
    ///
    /// # Errors
    /// [`StoreError::Missing`] names the first that is not there; none is held then.
    fn lease(&self, digests: &[Digest]) -> Result<Lease, StoreError>;

    /// A record, marked as used now.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError>;

    /// Keeps a record, in place of one with the same key. It is durable when this returns, and may evict
    /// others.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when a blob of it is not there.
    fn save(&self, record: Record) -> Result<(), StoreError>;

    /// Forgets a record and the blobs that nothing else needs. None is no error.
    ///
    /// # Errors
    /// When the index cannot be written.
    fn forget(&self, key: &RecordKey) -> Result<(), StoreError>;

    /// Labels and keys of all records of a kind, least recently used first.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn list(&self, kind: RecordKind) -> Result<Vec<(RecordKey, String)>, StoreError>;

    /// How much there is.
    fn usage(&self) -> StoreUsage;

    /// What it is. Looks at everything, so this is for people and metrics, not for every request. A store that
    /// cannot tell says nothing.
    fn holdings(&self) -> Holdings {
        Holdings::default()
    }
}
