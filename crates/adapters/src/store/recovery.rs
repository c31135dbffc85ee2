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
use std::time::{Duration, SystemTime};

use factory_domain::ports::{BlobInfo, RecordKey, RecordKind, StoreError};
use factory_formats::Digest;

use super::files::{Directory, remove_if_there, storage_failed};
use super::index::{Change, Contents, Index};
use super::state::{Hold, State};

/// Age at which nobody comes back for a partial blob.
const PARTIAL_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Makes files and index agree, and the accounts from them.
pub(crate) fn recover(directory: &Directory, index: &Index, budget: u64) -> Result<State, StoreError> {
    let failed = |error: io::Error| storage_failed("looking through the store", &error);
    let Contents { blobs, records } = index.contents()?;

    let mut rows: HashMap<Digest, BlobInfo> = blobs.into_iter().map(|info| (info.digest, info)).collect();
    let mut whole = HashSet::new();
    let mut strays = Vec::new();
    directory
        .each_blob(|digest, len| match rows.get(&digest) {
            Some(info) if info.size == len => {
                whole.insert(digest);
            }
            _ => strays.push(digest),
        })
        .map_err(failed)?;
    for digest in &strays {
        directory.remove_blob(digest).map_err(failed)?;
    }
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
    for digest in &unneeded {
        directory.remove_blob(digest).map_err(failed)?;
    }

    let removed = [lost, unneeded].concat();
    if !removed.is_empty() || !useless.is_empty() {
        index.apply(&Change { remove_blobs: &removed, remove_records: &useless, ..Change::default() })?;
    }
    if !strays.is_empty() || !removed.is_empty() {
        tracing::info!(
            stray_files = strays.len(),
            rows = removed.len(),
            records = useless.len(),
            "put the store right after an interruption"
        );
    }
    remove_old_partials(directory, &state).map_err(failed)?;
    Ok(state)
}

fn remove_old_partials(directory: &Directory, state: &State) -> io::Result<()> {
    let now = SystemTime::now();
    let mut worthless = Vec::new();
    directory.each_partial(|digest, metadata| {
        let age = metadata.modified().ok().and_then(|modified| now.duration_since(modified).ok());
        if state.info(&digest).is_some() || age.is_some_and(|age| age > PARTIAL_MAX_AGE) {
            worthless.push(digest);
        }
    })?;
    worthless.iter().try_for_each(|digest| remove_if_there(&directory.partial_path(digest)))
}
