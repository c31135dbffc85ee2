//! The index: one `redb` file that says what the blobs are, holds the records and the schematics, and
//! changes only in whole transactions.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use factory_domain::ports::{Amount, BlobInfo, Record, RecordKey, StoreError};
use factory_formats::Digest;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};

use super::files::storage_failed;
use super::rows::{
    InvalidRow, RECORD_KEY_LEN, blob_row, read_blob_row, read_record_key, read_record_row, record_key,
    record_row,
};

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const BLOBS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("blobs");
const CHECKS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("checks");
const RECORDS: TableDefinition<&[u8; RECORD_KEY_LEN], &[u8]> = TableDefinition::new("records");
const USES: TableDefinition<&[u8; RECORD_KEY_LEN], u64> = TableDefinition::new("uses");
const SCHEMATICS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("schematics");

/// Name of the number in [`META`] that says which tables there are.
const FORMAT: &str = "format";

/// Name of the number in [`META`] that says how many bytes all schematics have. Reading them all to find out
/// would take long.
const SCHEMATIC_BYTES: &str = "schematic-bytes";

/// The tables as of this version.
const KNOWN_FORMAT: u64 = 1;

/// Memory for pages of the index. Hot rows are a few megabytes even with thousands of blobs.
const PAGE_CACHE_BYTES: usize = 32 << 20;

/// Why an index cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    #[error("it was written by a newer version (form {found}; this one knows up to {KNOWN_FORMAT})")]
    Newer { found: u64 },
    #[error(transparent)]
    Row(#[from] InvalidRow),
    #[error(transparent)]
    Database(Box<redb::Error>),
}

impl<E: Into<redb::Error>> From<E> for IndexError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// The open index.
pub(crate) struct Index {
    path: PathBuf,
    current: RwLock<Current>,
}

/// `redb` refuses all work after one failed write (a full disk, say) until the file is opened again.
struct Current {
    /// `None` while opening it again has not worked yet.
    database: Option<Database>,
    /// How often it was opened again.
    openings: u64,
}

/// What one transaction changes.
#[derive(Default)]
pub(crate) struct Change<'a> {
    pub add_blob: Option<(&'a BlobInfo, &'a [u8])>,
    pub put_record: Option<(&'a Record, u64)>,
    pub remove_blobs: &'a [Digest],
    pub remove_records: &'a [RecordKey],
    pub uses: &'a [(RecordKey, u64)],
}

/// What the index says about a record, without its value.
pub(crate) struct RecordSummary {
    pub key: RecordKey,
    pub label: String,
    pub blobs: Vec<Digest>,
    pub value_bytes: u64,
    pub used: u64,
}

/// Everything that the accounts in memory are made of.
pub(crate) struct Contents {
    pub blobs: Vec<BlobInfo>,
    pub records: Vec<RecordSummary>,
}

impl Index {
    /// Opens the index, or makes an empty one.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        let database = open_database(path, true)?;
        let transaction = database.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            let found = meta.get(FORMAT)?.map(|value| value.value());
            match found {
                None => {
                    meta.insert(FORMAT, KNOWN_FORMAT)?;
                }
                Some(KNOWN_FORMAT) => {}
                Some(found) => return Err(IndexError::Newer { found }),
            }
            transaction.open_table(BLOBS)?;
            transaction.open_table(CHECKS)?;
            transaction.open_table(RECORDS)?;
            transaction.open_table(USES)?;
            let schematics = transaction.open_table(SCHEMATICS)?;
            // An index of an earlier version does not know it yet.
            if meta.get(SCHEMATIC_BYTES)?.is_none() {
                let mut bytes = 0;
                for row in schematics.iter()? {
                    bytes += row?.1.value().len() as u64;
                }
                meta.insert(SCHEMATIC_BYTES, bytes)?;
            }
        }
        transaction.commit()?;
        let current = RwLock::new(Current { database: Some(database), openings: 0 });
        Ok(Self { path: path.to_owned(), current })
    }

    /// All blobs and records.
    pub fn contents(&self) -> Result<Contents, StoreError> {
        self.with("reading the index", |database| {
            let transaction = database.begin_read()?;
            let mut blobs = Vec::new();
            for row in transaction.open_table(BLOBS)?.iter()? {
                let (digest, row) = row?;
                blobs.push(read_blob_row(Digest::from_bytes(*digest.value()), row.value())?);
            }
            let uses = transaction.open_table(USES)?;
            let mut records = Vec::new();
            for row in transaction.open_table(RECORDS)?.iter()? {
                let (key, row) = row?;
                let used = uses.get(key.value())?.map_or(0, |used| used.value());
                let key = read_record_key(key.value())?;
                let Record { label, blobs, value, .. } = read_record_row(key, row.value())?;
                records.push(RecordSummary { key, label, blobs, value_bytes: value.len() as u64, used });
            }
            Ok(Contents { blobs, records })
        })
    }

    /// Makes a change durable, all of it or nothing.
    pub fn apply(&self, change: &Change<'_>) -> Result<(), StoreError> {
        self.with("writing the index", |database| {
            let transaction = database.begin_write()?;
            {
                let mut blobs = transaction.open_table(BLOBS)?;
                let mut checks = transaction.open_table(CHECKS)?;
                let mut records = transaction.open_table(RECORDS)?;
                let mut uses = transaction.open_table(USES)?;
                for digest in change.remove_blobs {
                    blobs.remove(digest.as_bytes())?;
                    checks.remove(digest.as_bytes())?;
                }
                for key in change.remove_records {
                    records.remove(&record_key(key))?;
                    uses.remove(&record_key(key))?;
                }
                for (key, used) in change.uses {
                    uses.insert(&record_key(key), used)?;
                }
                if let Some((info, table)) = change.add_blob {
                    blobs.insert(info.digest.as_bytes(), &blob_row(info)[..])?;
                    checks.insert(info.digest.as_bytes(), table)?;
                }
                if let Some((record, used)) = change.put_record {
                    records.insert(&record_key(&record.key), &record_row(record)[..])?;
                    uses.insert(&record_key(&record.key), used)?;
                }
            }
            transaction.commit()?;
            Ok(())
        })
    }

    /// A record with its value.
    pub fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.with("reading a record", |database| {
            let records = database.begin_read()?.open_table(RECORDS)?;
            let Some(row) = records.get(&record_key(key))? else { return Ok(None) };
            Ok(Some(read_record_row(*key, row.value())?))
        })
    }

    /// The stored form of a blob's table of checks.
    pub fn checks(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.with("reading a table of checks", |database| {
            let checks = database.begin_read()?.open_table(CHECKS)?;
            Ok(checks.get(digest.as_bytes())?.map(|row| row.value().to_vec()))
        })
    }

    /// The bytes kept under a schematic's id.
    pub fn schematic(&self, id: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.with("reading a schematic", |database| {
            let schematics = database.begin_read()?.open_table(SCHEMATICS)?;
            Ok(schematics.get(id.as_bytes())?.map(|row| row.value().to_vec()))
        })
    }

    /// How many schematics there are, and their bytes.
    pub fn schematics(&self) -> Result<Amount, StoreError> {
        self.with("counting schematics", |database| {
            let transaction = database.begin_read()?;
            let items = transaction.open_table(SCHEMATICS)?.len()?;
            let bytes = transaction.open_table(META)?.get(SCHEMATIC_BYTES)?.map_or(0, |bytes| bytes.value());
            Ok(Amount { items, bytes })
        })
    }

    /// Keeps a schematic.
    pub fn put_schematic(&self, id: &Digest, canonical: &[u8]) -> Result<(), StoreError> {
        self.with("writing a schematic", |database| {
            let transaction = database.begin_write()?;
            {
                let mut schematics = transaction.open_table(SCHEMATICS)?;
                let before = schematics.insert(id.as_bytes(), canonical)?.map_or(0, |old| old.value().len());
                let mut meta = transaction.open_table(META)?;
                let all = meta.get(SCHEMATIC_BYTES)?.map_or(0, |bytes| bytes.value());
                meta.insert(SCHEMATIC_BYTES, all.saturating_sub(before as u64) + canonical.len() as u64)?;
            }
            transaction.commit()?;
            Ok(())
        })
    }

    /// Runs `work`, with the file opened anew when an earlier failure closed it.
    fn with<T>(
        &self,
        what: &str,
        work: impl Fn(&Database) -> Result<T, IndexError>,
    ) -> Result<T, StoreError> {
        let seen = {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            match current.database.as_ref().map(&work) {
                Some(Err(IndexError::Database(error))) if is_closed(&error) => {}
                Some(done) => return done.map_err(|error| store_error(what, error)),
                None => {}
            }
            current.openings
        };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // Of those who saw it closed, only the first opens it again.
        if current.openings == seen {
            // The old one holds the lock of the file.
            current.database = None;
            current.database =
                Some(open_database(&self.path, false).map_err(|e| store_error(what, e.into()))?);
            current.openings += 1;
        }
        match current.database.as_ref().map(work) {
            Some(done) => done.map_err(|error| store_error(what, error)),
            None => {
                Err(StoreError::Failed { what: what.to_owned(), reason: "the index is closed".to_owned() })
            }
        }
    }
}

fn open_database(path: &Path, create: bool) -> Result<Database, redb::DatabaseError> {
    let mut builder = Database::builder();
    builder.set_cache_size(PAGE_CACHE_BYTES);
    // A damaged file must be found now, as an error, and not in the middle of a request.
    builder.set_check_integrity_on_open(true);
    if create { builder.create(path) } else { builder.open(path) }
}

fn is_closed(error: &redb::Error) -> bool {
    matches!(error, redb::Error::PreviousIo | redb::Error::DatabaseClosed)
}

fn store_error(what: &str, error: IndexError) -> StoreError {
    match error {
        IndexError::Database(error) => match *error {
            redb::Error::Io(error) => storage_failed(what, &error),
            error => StoreError::Failed { what: what.to_owned(), reason: error.to_string() },
        },
        IndexError::Row(error) => StoreError::Damaged { what: what.to_owned(), reason: error.to_string() },
        error => StoreError::Failed { what: what.to_owned(), reason: error.to_string() },
    }
}
