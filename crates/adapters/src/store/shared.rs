//! What the store, its writers, its leases and its janitor share.
//!
//! Two locks, always taken in this order:
//!
//! * `publishing` is held by whoever changes files and index together, disk waits included;
//! * `state` guards the accounts in memory and is never held while waiting for a disk.
//!
//! A blob becomes visible when its file is in place and durable and its row is committed. A blob is
//! removed the other way round: first from the accounts, then its file, then its row. Whatever is left
//! half done by a crash is put right when the store is opened.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use factory_domain::ports::{
    Amount, BlobInfo, BlobRef, Clock, Holdings, Lease, Record, RecordKey, RecordKind, StoreError,
};
use factory_formats::Digest;
use factory_formats::checksum::BlobChecks;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::files::{Directory, remove_if_there, storage_failed};
use super::index::{Change, Index};
use super::partials::Partials;
use super::recovery::PARTIAL_MAX_AGE;
use super::state::{EVICT_AT_ONCE, Evicted, Hold, MaxIdle, State};

/// Memory for tables of checks: those of some 300 GiB of blobs.
const CHECKS_CACHE_BYTES: u64 = 32 << 20;

/// Space that one change of the index may need on the disk.
const INDEX_GROWTH: u64 = 4 << 20;

/// Files of blobs kept open between reads.
const OPEN_FILES: u64 = 512;

pub(crate) struct Shared {
    pub directory: Directory,
    pub index: Index,
    pub partials: Partials,
    clock: Arc<dyn Clock>,
    max_idle: MaxIdle,
    state: Mutex<State>,
    publishing: Mutex<()>,
    files: Cache<Digest, Arc<File>>,
    checks: Cache<Digest, Arc<BlobChecks>>,
    janitor: Mutex<Orders>,
    ordered: Condvar,
}

/// What the janitor was told.
#[derive(Default)]
pub(crate) struct Orders {
    pub tidy: bool,
    pub stop: bool,
}

/// When the index is told what was used last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Uses {
    /// Now.
    Always,
    /// Only if it is written anyway: a read must not cost a transaction.
    WithOtherChanges,
}

/// Held by whoever changes files and index together.
pub(crate) struct Publishing<'a>(#[allow(dead_code, reason = "held for its Drop")] MutexGuard<'a, ()>);

impl Shared {
    pub fn new(
        directory: Directory,
        index: Index,
        state: State,
        clock: Arc<dyn Clock>,
        max_idle: MaxIdle,
    ) -> Self {
        let weight = |_: &Digest, checks: &Arc<BlobChecks>| {
            u32::try_from(checks.grains().len() * 16 + 64).unwrap_or(u32::MAX)
        };
        Self {
            directory,
            index,
            partials: Partials::default(),
            clock,
            max_idle,
            state: Mutex::new(state),
            publishing: Mutex::default(),
            files: Cache::builder().max_capacity(OPEN_FILES).eviction_policy(EvictionPolicy::lru()).build(),
            checks: Cache::builder().weigher(weight).max_capacity(CHECKS_CACHE_BYTES).build(),
            janitor: Mutex::default(),
            ordered: Condvar::new(),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn publishing(&self) -> Publishing<'_> {
        Publishing(self.publishing.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.since_epoch().as_millis()).unwrap_or(u64::MAX)
    }

    /// A lease that ends these holds.
    pub fn lease(self: &Arc<Self>, holds: Vec<Hold>) -> Lease {
        Lease::new(Held { store: Arc::clone(self), holds })
    }

    /// Holds a blob that is there.
    pub fn reference(self: &Arc<Self>, digest: &Digest) -> Option<BlobRef> {
        let mut state = self.state();
        let info = state.info(digest)?;
        let holds = state.hold(&[*digest], self.now_ms()).ok()?;
        drop(state);
        Some(BlobRef { info, lease: self.lease(holds) })
    }

    /// Makes a finished, synced file the blob `info`, which no one can see before this returns.
    pub fn publish_blob(
        self: &Arc<Self>,
        from: &Path,
        file: &File,
        info: &BlobInfo,
        checks: &BlobChecks,
    ) -> Result<BlobRef, StoreError> {
        let what = format!("keeping blob {}", info.digest);
        let failed = |error: io::Error| storage_failed(&what, &error);
        let publishing = self.publishing();
        if let Some(existing) = self.keep_existing(info) {
            remove_if_there(from).map_err(failed)?;
            return Ok(existing);
        }
        self.make_room(&publishing, info.size, None)?;
        let change = Change { add_blob: Some((info, &checks.to_bytes())), ..Change::default() };
        let done = self
            .directory
            .publish(from, file, &info.digest)
            .map_err(failed)
            .and_then(|()| self.with_relief(&publishing, || self.index.apply(&change)));
        self.files.invalidate(&info.digest);
        if let Err(error) = done {
            self.directory.remove_blob(&info.digest).map_err(failed)?;
            return Err(error);
        }
        let hold = self.state().add_held(*info);
        Ok(BlobRef { info: *info, lease: self.lease(vec![hold]) })
    }

    /// Holds the blob when it exists, one that was about to be removed included.
    fn keep_existing(self: &Arc<Self>, info: &BlobInfo) -> Option<BlobRef> {
        let mut state = self.state();
        let known = state.info(&info.digest).or_else(|| state.gone_info(&info.digest))?;
        let whole = self.directory.blob_path(&info.digest).metadata().is_ok_and(|m| m.len() == known.size);
        if !whole {
            // The copy at hand is good: it takes the place of the damaged one.
            return None;
        }
        let hold = state.add_held(known);
        drop(state);
        Some(BlobRef { info: known, lease: self.lease(vec![hold]) })
    }

    /// Keeps a record whose blobs are all there.
    pub fn save(&self, record: &Record) -> Result<(), StoreError> {
        let publishing = self.publishing();
        let (used, holds) = {
            let mut state = self.state();
            // Its blobs must not go while the index is being written.
            let holds = state.hold(&record.blobs, self.now_ms()).map_err(StoreError::Missing)?;
            (state.next_use(self.now_ms()), holds)
        };
        let change = Change { put_record: Some((record, used)), ..Change::default() };
        let done = self.with_relief(&publishing, || self.index.apply(&change));
        {
            let mut state = self.state();
            if done.is_ok() {
                let value_bytes = record.value.len() as u64;
                state.note_record(record.key, record.label.clone(), &record.blobs, value_bytes, used);
            }
            state.release(&holds);
        }
        done?;
        // What does not fit any more is given up; a record that was just saved stays even if nothing helps.
        match self.make_room(&publishing, 0, Some(&record.key)) {
            Err(StoreError::Full { .. }) => Ok(()),
            done => done,
        }
    }

    /// A record, which counts as a use of it.
    pub fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        // The accounts decide: the index may lag behind after a failed write.
        if !self.state().touch(key, self.now_ms()) {
            return Ok(None);
        }
        match self.index.record(key) {
            Err(error @ StoreError::Damaged { .. }) => {
                self.forget(key)?;
                Err(error)
            }
            found => found,
        }
    }

    /// Forgets a record and removes what only it needed.
    pub fn forget(&self, key: &RecordKey) -> Result<(), StoreError> {
        let publishing = self.publishing();
        if !self.state().forget(key) {
            return Ok(());
        }
        self.remove_unneeded(&publishing, &[*key], Uses::WithOtherChanges)
    }

    /// Gives up records until `more` bytes fit into the budget.
    fn make_room(
        &self,
        publishing: &Publishing<'_>,
        more: u64,
        keep: Option<&RecordKey>,
    ) -> Result<(), StoreError> {
        let (evicted, done) = self.state().make_room(more, keep);
        self.remove_unneeded(publishing, &evicted.records, Uses::WithOtherChanges)?;
        done
    }

    /// Keeps a schematic; it is worth more than anything that can be made again.
    pub fn put_schematic(&self, id: &Digest, canonical: &[u8]) -> Result<(), StoreError> {
        let publishing = self.publishing();
        self.with_relief(&publishing, || self.index.put_schematic(id, canonical))
    }

    /// Writes to the index, and once more when the disk was full and something could be given up.
    fn with_relief(
        &self,
        publishing: &Publishing<'_>,
        work: impl Fn() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match work() {
            Err(StoreError::Full { .. }) if self.free_space(publishing, INDEX_GROWTH) => work(),
            done => done,
        }
    }

    /// Frees space after the disk turned out to be full; says whether that helped.
    pub fn relieve(&self, wanted: u64) -> bool {
        self.free_space(&self.publishing(), wanted)
    }

    fn free_space(&self, publishing: &Publishing<'_>, wanted: u64) -> bool {
        if self.partials.remove_idle(&self.directory) > 0 {
            return true;
        }
        let evicted = {
            let mut state = self.state();
            let share = state.usage().bytes / EVICT_AT_ONCE;
            state.evict(wanted, wanted.max(share), None)
        };
        let freed = evicted.bytes > 0;
        if let Err(error) = self.remove_unneeded(publishing, &evicted.records, Uses::WithOtherChanges) {
            tracing::warn!(%error, "the index could not be told what was evicted");
        }
        freed
    }

    /// Removes files and rows of all blobs that nobody needs any more, and the rows of `records`.
    fn remove_unneeded(
        &self,
        _: &Publishing<'_>,
        records: &[RecordKey],
        uses: Uses,
    ) -> Result<(), StoreError> {
        let (mut blobs, uses) = {
            let mut state = self.state();
            if !state.has_gone() && records.is_empty() && uses == Uses::WithOtherChanges {
                return Ok(());
            }
            (state.take_gone(), state.take_touched())
        };
        // Files first: on a full disk the index may need their space to be written at all. A file that
        // stays keeps its row, and both go when the store is opened the next time.
        blobs.retain(|digest| {
            self.files.invalidate(digest);
            self.checks.invalidate(digest);
            let removed = self.directory.remove_blob(digest);
            if let Err(error) = &removed {
                tracing::warn!(%digest, %error, "a blob that nobody needs cannot be removed");
            }
            removed.is_ok()
        });
        if blobs.is_empty() && records.is_empty() && uses.is_empty() {
            return Ok(());
        }
        let change =
            Change { remove_blobs: &blobs, remove_records: records, uses: &uses, ..Change::default() };
        self.index.apply(&change)
    }

    /// Removes what nobody needs or was idle for too long, and writes down what was used.
    pub fn tidy(&self) -> Result<(), StoreError> {
        self.partials.remove_old(&self.directory, PARTIAL_MAX_AGE);
        let publishing = self.publishing();
        let idle = self.state().give_up_idle(self.now_ms(), &self.max_idle);
        if !idle.records.is_empty() {
            tracing::info!(
                records = idle.records.len(),
                bytes = idle.bytes,
                "gave up what nobody used for long"
            );
        }
        self.remove_unneeded(&publishing, &idle.records, Uses::Always)
    }

    /// Gives up what is idle, and then what there is no room for.
    pub fn collect(&self) -> Result<Collected, StoreError> {
        let publishing = self.publishing();
        let (idle, room) = give_up(&mut self.state(), self.now_ms(), &self.max_idle);
        let records = [idle.records.as_slice(), &room.records].concat();
        self.remove_unneeded(&publishing, &records, Uses::Always)?;
        Ok(Collected { idle: idle.freed, room: room.freed })
    }

    /// What [`Self::collect`] would do.
    pub fn would_collect(&self) -> Collected {
        // The accounts are in memory: what is tried on a copy of them happens to nothing else.
        let mut state = self.state().clone();
        let (idle, room) = give_up(&mut state, self.now_ms(), &self.max_idle);
        Collected { idle: idle.freed, room: room.freed }
    }

    /// What the space goes to.
    pub fn holdings(&self) -> Holdings {
        let mut found = self.state().holdings();
        found.partial = self.partials.all(&self.directory);
        match self.index.schematics() {
            Ok(schematics) => found.schematics = schematics,
            Err(error) => tracing::warn!(%error, "schematics cannot be counted"),
        }
        found
    }

    /// Removes a blob whose bytes are bad, and the records that are useless without it.
    pub fn condemn(&self, digest: &Digest, reason: String) -> StoreError {
        let publishing = self.publishing();
        let records = self.state().condemn(digest);
        tracing::error!(%digest, %reason, "a blob is damaged and was removed");
        if let Err(error) = self.remove_unneeded(&publishing, &records, Uses::WithOtherChanges) {
            tracing::warn!(%error, "the index could not be told about a damaged blob");
        }
        StoreError::Damaged { what: format!("blob {digest}"), reason }
    }

    /// Fills `buf` with a blob's bytes from `offset` on.
    pub fn read_exact_at(&self, digest: &Digest, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, StoreError::Missing(*digest));
        let info = self.state().info(digest).ok_or_else(missing)?;
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > info.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let damaged =
            |reason: String| io::Error::new(io::ErrorKind::InvalidData, self.condemn(digest, reason));
        let file = match self.files.get(digest) {
            Some(file) => file,
            None => {
                let file = match File::open(self.directory.blob_path(digest)) {
                    Ok(file) => Arc::new(file),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        // It may have been removed between the look into the accounts and now.
                        if self.state().info(digest).is_none() {
                            return Err(missing());
                        }
                        return Err(damaged("its file is missing".to_owned()));
                    }
                    Err(error) => return Err(error),
                };
                self.files.insert(*digest, Arc::clone(&file));
                if self.state().info(digest).is_none() {
                    self.files.invalidate(digest);
                }
                file
            }
        };
        match file.read_exact_at(buf, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(damaged(format!("its file is shorter than {} bytes", info.size)))
            }
            done => done,
        }
    }

    /// A blob's table of checks.
    pub fn checks(&self, digest: &Digest) -> Result<Arc<BlobChecks>, StoreError> {
        let info = self.state().info(digest).ok_or(StoreError::Missing(*digest))?;
        if let Some(checks) = self.checks.get(digest) {
            return Ok(checks);
        }
        let bytes = self.index.checks(digest)?.ok_or(StoreError::Missing(*digest))?;
        let checks = BlobChecks::from_bytes(info.size, &bytes)
            .map_err(|error| self.condemn(digest, error.to_string()))?;
        let checks = Arc::new(checks);
        self.checks.insert(*digest, Arc::clone(&checks));
        Ok(checks)
    }

    /// Tells the janitor what to do.
    pub fn order(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut self.janitor.lock().unwrap_or_else(PoisonError::into_inner));
        self.ordered.notify_all();
    }

    /// Waits for an order, but not longer than `timeout`; says whether to stop.
    pub fn wait_for_order(&self, timeout: std::time::Duration) -> bool {
        let orders = self.janitor.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |orders: &mut Orders| !orders.tidy && !orders.stop;
        let (mut orders, _) =
            self.ordered.wait_timeout_while(orders, timeout, waiting).unwrap_or_else(PoisonError::into_inner);
        orders.tidy = false;
        orders.stop
    }
}

/// What was given up, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Records that nobody used for longer than they may go unused, and the bytes that this frees.
    pub idle: BTreeMap<RecordKind, Amount>,
    /// Records given up because all together take more than the budget.
    pub room: BTreeMap<RecordKind, Amount>,
}

fn give_up(state: &mut State, now_ms: u64, max_idle: &MaxIdle) -> (Evicted, Evicted) {
    let idle = state.give_up_idle(now_ms, max_idle);
    // What must stay may take more than the budget; then this is all that can be done.
    let (room, _) = state.make_room(0, None);
    (idle, room)
}

/// Ends a hold when dropped.
struct Held {
    store: Arc<Shared>,
    holds: Vec<Hold>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let left_something = {
            let mut state = self.store.state();
            state.release(&self.holds);
            state.has_gone()
        };
        if left_something {
            self.store.order(|orders| orders.tidy = true);
        }
    }
}
