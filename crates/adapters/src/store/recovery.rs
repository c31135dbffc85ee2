//! Putting right at start what an interruption left half done.
//!
//! | found | then |
//! |---|---|
//! | a file without a row | it was never visible: removed |
//! | a row without its file, or with one of another length | the row goes, and with it the records that need the blob |
//! | a blob that no record names | whoever wrote it did not get to say what it is: removed |
//! | a partial file | kept, unless it is old or the blob is there |

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Duration;

use factory_domain::ports::{Amount, BlobInfo, RecordKey, RecordKind, StoreError};
use factory_formats::Digest;

use super::files::{Directory, remove_if_there, storage_failed};
use super::index::{Change, Contents, Index};
use super::partials::is_older;
use super::state::{Hold, State};

/// Age at which nobody comes back for a partial blob.
pub(crate) const PARTIAL_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// What was found in a store.
pub(crate) struct Findings {
    /// The accounts, as if all was put right.
    pub state: State,
    /// Files that serve nobody.
    pub leftovers: Amount,
    strays: Vec<Digest>,
    unneeded: Vec<Digest>,
    lost: Vec<Digest>,
    useless: Vec<RecordKey>,
    partials: Vec<Digest>,
}

/// Compares files and index. Changes nothing.
pub(crate) fn examine(directory: &Directory, index: &Index, budget: u64) -> Result<Findings, StoreError> {
    let failed = |error: io::Error| storage_failed("looking through the store", &error);
    let Contents { blobs, records } = index.contents()?;
    let mut leftovers = directory.temporary_files().map_err(failed)?;
    let mut leave = |bytes: u64| {
        leftovers.items += 1;
        leftovers.bytes += bytes;
    };

    let mut rows: HashMap<Digest, BlobInfo> = blobs.into_iter().map(|info| (info.digest, info)).collect();
    let mut whole = HashSet::new();
    let mut strays = Vec::new();
    directory
        .each_blob(|digest, len| match rows.get(&digest) {
            Some(info) if info.size == len => {
                whole.insert(digest);
            }
            _ => {
                leave(len);
                strays.push(digest);
            }
        })
        .map_err(failed)?;
    let lost: Vec<Digest> = rows.keys().filter(|digest| !whole.contains(*digest)).copied().collect();
    rows.retain(|digest, _| whole.contains(digest));

    let mut state = State::new(budget);
    let holds: Vec<Hold> = rows.values().map(|info| state.add_held(*info)).collect();
    let mut useless: Vec<RecordKey> = Vec::new();
    for record in records {
        let complete = record.blobs.iter().all(|digest| rows.contains_key(digest));
        if complete || record.key.kind == RecordKind::Memory {
            state.note_record(record.key, record.label, &record.blobs, record.value_bytes, record.used);
        } else {
            useless.push(record.key);
        }
    }
    state.release(&holds);
    let unneeded = state.take_gone();
    unneeded.iter().filter_map(|digest| rows.get(digest)).for_each(|info| leave(info.size));
    let partials = worthless_partials(directory, &state).map_err(failed)?;
    partials.iter().for_each(|(_, bytes)| leave(*bytes));
    let partials = partials.into_iter().map(|(digest, _)| digest).collect();
    Ok(Findings { state, leftovers, strays, unneeded, lost, useless, partials })
}

impl Findings {
    /// Makes files and index agree.
    pub fn put_right(&self, directory: &Directory, index: &Index) -> Result<(), StoreError> {
        let failed = |error: io::Error| storage_failed("putting the store right", &error);
        directory.remove_temporary_files().map_err(failed)?;
        for digest in self.strays.iter().chain(&self.unneeded) {
            directory.remove_blob(digest).map_err(failed)?;
        }
        let removed = [self.lost.as_slice(), &self.unneeded].concat();
        if !removed.is_empty() || !self.useless.is_empty() {
            let change =
                Change { remove_blobs: &removed, remove_records: &self.useless, ..Change::default() };
            index.apply(&change)?;
        }
        if !self.strays.is_empty() || !removed.is_empty() {
            tracing::info!(
                stray_files = self.strays.len(),
                rows = removed.len(),
                records = self.useless.len(),
                "put the store right after an interruption"
            );
        }
        let remove = |digest: &Digest| remove_if_there(&directory.partial_path(digest));
        self.partials.iter().try_for_each(remove).map_err(failed)
    }
}

fn worthless_partials(directory: &Directory, state: &State) -> io::Result<Vec<(Digest, u64)>> {
    let mut worthless = Vec::new();
    directory.each_partial(|digest, metadata| {
        if state.info(&digest).is_some() || is_older(&metadata, PARTIAL_MAX_AGE) {
            worthless.push((digest, metadata.len()));
        }
    })?;
    Ok(worthless)
}
