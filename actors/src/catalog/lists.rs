//! The lists in memory, each with the time when it was read.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use factory_domain::TalosVersion;
use factory_domain::catalog::{ExtensionCatalog, OverlayCatalog};

/// The versions on offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionList {
    /// Offered versions, ascending.
    pub versions: Vec<TalosVersion>,
    /// Withdrawn ones, in the operator's order.
    pub broken: Vec<TalosVersion>,
}

/// A list out of memory.
pub(super) struct Found<T> {
    pub value: Arc<T>,
    /// Whether it is time to read it again.
    pub is_stale: bool,
}

struct Entry<T> {
    value: Arc<T>,
    /// When it is to be read again.
    until: Duration,
}

type Versioned<T> = RwLock<HashMap<TalosVersion, Entry<T>>>;

#[derive(Default)]
pub(super) struct Lists {
    versions: RwLock<Option<Arc<VersionList>>>,
    extensions: Versioned<ExtensionCatalog>,
    overlays: Versioned<OverlayCatalog>,
}

impl Lists {
    pub fn versions(&self) -> Option<Arc<VersionList>> {
        self.versions.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_versions(&self, list: Arc<VersionList>) {
        *self.versions.write().unwrap_or_else(PoisonError::into_inner) = Some(list);
    }

    pub fn extensions(&self, version: &TalosVersion, now: Duration) -> Option<Found<ExtensionCatalog>> {
        find(&self.extensions, version, now)
    }

    pub fn set_extensions(&self, version: TalosVersion, value: Arc<ExtensionCatalog>, until: Duration) {
        set(&self.extensions, version, value, until);
    }

    pub fn overlays(&self, version: &TalosVersion, now: Duration) -> Option<Found<OverlayCatalog>> {
        find(&self.overlays, version, now)
    }

    pub fn set_overlays(&self, version: TalosVersion, value: Arc<OverlayCatalog>, until: Duration) {
        set(&self.overlays, version, value, until);
    }
}

fn find<T>(lists: &Versioned<T>, version: &TalosVersion, now: Duration) -> Option<Found<T>> {
    let lists = lists.read().unwrap_or_else(PoisonError::into_inner);
    let entry = lists.get(version)?;
    Some(Found { value: Arc::clone(&entry.value), is_stale: now >= entry.until })
}

fn set<T>(lists: &Versioned<T>, version: TalosVersion, value: Arc<T>, until: Duration) {
    lists.write().unwrap_or_else(PoisonError::into_inner).insert(version, Entry { value, until });
}
