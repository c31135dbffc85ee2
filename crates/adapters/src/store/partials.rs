//! Blobs that were begun and can be gone on with.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use factory_domain::ports::Amount;
use factory_formats::Digest;

use super::files::{Directory, remove_if_there};

/// Which partial blobs are being written right now.
#[derive(Default)]
pub(crate) struct Partials {
    active: Mutex<HashSet<Digest>>,
}

impl Partials {
    /// Opens the partial file of a blob for its only writer; `None` when there is one already.
    pub fn claim(&self, directory: &Directory, digest: &Digest) -> io::Result<Option<(PathBuf, File)>> {
        let mut active = self.active();
        if active.contains(digest) {
            return Ok(None);
        }
        let opened = directory.open_partial(digest)?;
        active.insert(*digest);
        Ok(Some(opened))
    }

    /// Ends what [`Self::claim`] began. The file may be there or not.
    pub fn release(&self, digest: &Digest) {
        self.active().remove(digest);
    }

    /// Removes all partial files that nobody writes to; gives the bytes that this freed.
    pub fn remove_idle(&self, directory: &Directory) -> u64 {
        self.remove(directory, |_| true).bytes
    }

    fn remove(&self, directory: &Directory, which: impl Fn(&Metadata) -> bool) -> Amount {
        // Held all the time, so that nobody begins with a file that goes away.
        let active = self.active();
        let mut freed = Amount::default();
        let listed = directory.each_partial(|digest, metadata| {
            let goes = !active.contains(&digest) && which(&metadata);
            if goes && remove_if_there(&directory.partial_path(&digest)).is_ok() {
                freed.items += 1;
                freed.bytes += metadata.len();
            }
        });
        if let Err(error) = listed {
            tracing::warn!(%error, "partial blobs cannot be listed");
        }
        freed
    }

    /// All partial files.
    pub fn all(&self, directory: &Directory) -> Amount {
        let mut found = Amount::default();
        let listed = directory.each_partial(|_, metadata| {
            found.items += 1;
            found.bytes += metadata.len();
        });
        if let Err(error) = listed {
            tracing::warn!(%error, "partial blobs cannot be listed");
        }
        found
    }

    /// Removes partial files that nobody wrote to for so long; says what that freed.
    pub fn remove_old(&self, directory: &Directory, age: Duration) -> Amount {
        self.remove(directory, |metadata| is_older(metadata, age))
    }

    fn active(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a file was not written to for so long. What cannot be told is young.
pub(crate) fn is_older(metadata: &Metadata, age: Duration) -> bool {
    let modified = metadata.modified().ok();
    modified.and_then(|modified| SystemTime::now().duration_since(modified).ok()).is_some_and(|old| old > age)
}
