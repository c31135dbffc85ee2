//! Blobs that were begun and can be gone on with.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
        // Held all the time, so that nobody begins with a file that goes away.
        let active = self.active();
        let mut freed = 0;
        let listed = directory.each_partial(|digest, metadata| {
            if !active.contains(&digest) && remove_if_there(&directory.partial_path(&digest)).is_ok() {
                freed += metadata.len();
            }
        });
        if let Err(error) = listed {
            tracing::warn!(%error, "partial blobs cannot be listed");
        }
        freed
    }

    fn active(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
