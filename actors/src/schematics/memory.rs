//! Schematics in memory: those seen, bounded by number and bytes, and for a while those that are not there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use factory_domain::ports::Clock;
use factory_domain::schematic::SchematicId;

use super::Stored;
use crate::lock::lock;

/// What may be kept in memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Schematics.
    pub entries: usize,
    /// Bytes of their texts.
    pub bytes: usize,
    /// How long an absence is remembered.
    pub negative_ttl: Duration,
}

/// Absences kept; more are forgotten all at once, which costs one look into the store each.
const MAX_ABSENT: usize = 10_000;

/// What is remembered of an id.
pub(super) enum Seen {
    There(Arc<Stored>),
    Absent,
}

pub(super) struct Memory {
    clock: Arc<dyn Clock>,
    limits: Limits,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    present: HashMap<SchematicId, Entry>,
    /// Ids that do not exist, with the time until which that is believed.
    absent: HashMap<SchematicId, Duration>,
    bytes: usize,
    /// Counts uses; the entry with the lowest number was used longest ago.
    tick: u64,
}

struct Entry {
    stored: Arc<Stored>,
    used: u64,
    /// Whether the store has acknowledged it. One that was only read may lie in a part of the store alone.
    is_kept: bool,
}

impl Memory {
    pub fn new(clock: Arc<dyn Clock>, limits: Limits) -> Self {
        Self { clock, limits, inner: Mutex::default() }
    }

    pub fn find(&self, id: &SchematicId) -> Option<Seen> {
        let mut inner = self.lock();
        inner.tick += 1;
        let tick = inner.tick;
        if let Some(entry) = inner.present.get_mut(id) {
            entry.used = tick;
            return Some(Seen::There(Arc::clone(&entry.stored)));
        }
        let until = *inner.absent.get(id)?;
        if self.clock.since_epoch() < until {
            return Some(Seen::Absent);
        }
        inner.absent.remove(id);
        None
    }

    /// Whether the store has acknowledged to keep it.
    pub fn is_kept(&self, id: &SchematicId) -> bool {
        self.lock().present.get(id).is_some_and(|entry| entry.is_kept)
    }

    /// Remembers what was read.
    pub fn remember(&self, stored: Arc<Stored>) {
        self.insert(stored, false);
    }

    /// Remembers what the store has acknowledged to keep.
    pub fn remember_kept(&self, stored: Arc<Stored>) {
        self.insert(stored, true);
    }

    fn insert(&self, stored: Arc<Stored>, is_kept: bool) {
        let mut inner = self.lock();
        inner.tick += 1;
        let (id, used, size) = (stored.id, inner.tick, stored.canonical.len());
        inner.absent.remove(&id);
        match inner.present.get_mut(&id) {
            Some(entry) => (entry.used, entry.is_kept) = (used, entry.is_kept || is_kept),
            None => {
                inner.present.insert(id, Entry { stored, used, is_kept });
                inner.bytes += size;
            }
        }
        if inner.present.len() > self.limits.entries || inner.bytes > self.limits.bytes {
            inner.shrink(&self.limits);
        }
        metrics::gauge!("image_factory_schematic_cache_size").set(inner.present.len() as f64);
    }

    pub fn remember_absent(&self, id: SchematicId) {
        let until = self.clock.since_epoch() + self.limits.negative_ttl;
        let mut inner = self.lock();
        // An absence found while somebody created it must not hide it.
        if inner.present.contains_key(&id) {
            return;
        }
        if inner.absent.len() >= MAX_ABSENT {
            inner.absent.clear();
        }
        inner.absent.insert(id, until);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    /// Drops the least recently used tenth, so that the sort is paid for rarely.
    fn shrink(&mut self, limits: &Limits) {
        let mut by_use: Vec<(u64, SchematicId)> = self.present.iter().map(|(id, e)| (e.used, *id)).collect();
        by_use.sort_unstable();
        let (entries, bytes) = (limits.entries * 9 / 10, limits.bytes * 9 / 10);
        for (_, id) in by_use {
            if self.present.len() <= entries && self.bytes <= bytes {
                break;
            }
            if let Some(entry) = self.present.remove(&id) {
                self.bytes -= entry.stored.canonical.len();
            }
        }
    }
}
