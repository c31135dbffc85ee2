//! Locks around what several threads know.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock, also after a panic of somebody who held it: what is behind these is right at every instant.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
