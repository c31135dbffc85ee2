//! Plans made recently, so that ranges and repeated downloads are not planned again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{PlanAsset, PlannedAsset};
use crate::lock::lock;

/// Bytes that remembered plans may hold inline. A plan of a disk has some hundred kilobytes.
const MAX_BYTES: usize = 48 << 20;

/// Plans remembered.
const MAX_PLANS: usize = 4096;

/// What a plan takes beside its inline bytes.
const OVERHEAD: usize = 1024;

#[derive(Default)]
pub(super) struct Recent {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    plans: HashMap<PlanAsset, Entry>,
    bytes: usize,
    tick: u64,
}

struct Entry {
    asset: Arc<PlannedAsset>,
    bytes: usize,
    used: u64,
}

impl Recent {
    pub fn find(&self, want: &PlanAsset) -> Option<Arc<PlannedAsset>> {
        let mut inner = self.lock();
        inner.tick += 1;
        let tick = inner.tick;
        let entry = inner.plans.get_mut(want)?;
        entry.used = tick;
        Some(Arc::clone(&entry.asset))
    }

    pub fn remember(&self, want: PlanAsset, asset: Arc<PlannedAsset>) {
        let bytes = asset.layout.inline_len() + OVERHEAD;
        let mut inner = self.lock();
        inner.tick += 1;
        let used = inner.tick;
        inner.bytes += bytes;
        if let Some(old) = inner.plans.insert(want, Entry { asset, bytes, used }) {
            inner.bytes -= old.bytes;
        }
        while inner.bytes > MAX_BYTES || inner.plans.len() > MAX_PLANS {
            let oldest = inner.plans.iter().min_by_key(|(_, entry)| entry.used).map(|(want, _)| want.clone());
            let Some(oldest) = oldest else { break };
            inner.remove(&oldest);
        }
    }

    pub fn forget(&self, want: &PlanAsset) {
        self.lock().remove(want);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    fn remove(&mut self, want: &PlanAsset) {
        if let Some(entry) = self.plans.remove(want) {
            self.bytes -= entry.bytes;
        }
    }
}
