//! What the store knows without touching the disk: which blobs there are, who needs them, and which
//! records were not used for longest. No input or output happens here.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use factory_domain::ports::{
    Amount, BlobInfo, BlobKind, Holdings, RecordKey, RecordKind, StoreError, StoreUsage,
};
use factory_formats::Digest;

/// How old a use may be before holding a blob counts as another use of its records.
const HOLDING_COUNTS_AFTER_MS: u64 = 60_000;

/// Part of what there is that is given up at once when room is needed: one big eviction disturbs less
/// than one for each blob.
pub(crate) const EVICT_AT_ONCE: u64 = 20;

/// The accounts of one store.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    budget: u64,
    blobs: HashMap<Digest, Blob>,
    records: HashMap<RecordKey, Entry>,
    /// Time of last use to record; times are unique.
    by_use: BTreeMap<u64, RecordKey>,
    /// The latest time of use that was given out.
    last_use: u64,
    last_serial: u64,
    blob_bytes: u64,
    value_bytes: u64,
    /// Uses that the index on disk does not know yet.
    touched: HashSet<RecordKey>,
    /// Nobody needs these any more, but their bytes still lie on the disk.
    gone: HashMap<Digest, BlobInfo>,
    /// Bytes given up so far, for want of use and for want of room.
    given_up_idle: u64,
    given_up_for_room: u64,
}

#[derive(Clone, Debug)]
struct Blob {
    info: BlobInfo,
    serial: u64,
    leases: usize,
    /// Records that name it, one entry for each.
    records: Vec<RecordKey>,
}

/// One hold on one blob; [`State::release`] ends it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    digest: Digest,
    /// Tells this blob from a later one of the same digest, after the first turned out to be damaged.
    serial: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    label: String,
    blobs: Vec<Digest>,
    value_bytes: u64,
    used: u64,
}

/// What was given up to make room.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Evicted {
    /// These records are gone. Their blobs are in [`State::take_gone`] unless something else needs them.
    pub records: Vec<RecordKey>,
    /// Bytes that this freed.
    pub bytes: u64,
    /// The same for each kind of record.
    pub freed: BTreeMap<RecordKind, Amount>,
}

impl Evicted {
    fn note(&mut self, key: RecordKey, bytes: u64) {
        self.records.push(key);
        self.bytes += bytes;
        let of_kind = self.freed.entry(key.kind).or_default();
        of_kind.items += 1;
        of_kind.bytes += bytes;
    }
}

/// How long a record may go unused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaxIdle {
    /// Of sources; `None` for ever.
    pub sources: Option<Duration>,
    /// Of parts; `None` for ever.
    pub parts: Option<Duration>,
}

impl MaxIdle {
    /// In milliseconds; `None` for ever.
    fn of(&self, kind: RecordKind) -> Option<u64> {
        let limit = match kind {
            RecordKind::Source => self.sources,
            RecordKind::Part => self.parts,
            RecordKind::Memory => None,
        };
        limit.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
    }
}

impl State {
    pub fn new(budget: u64) -> Self {
        Self { budget, ..Self::default() }
    }

    /// What is known about a blob that somebody needs.
    pub fn info(&self, digest: &Digest) -> Option<BlobInfo> {
        self.blobs.get(digest).map(|blob| blob.info)
    }

    /// Adds a blob that is held once already. One that was about to be removed comes back.
    pub fn add_held(&mut self, info: BlobInfo) -> Hold {
        self.gone.remove(&info.digest);
        let blob = self.blobs.entry(info.digest).or_insert_with(|| {
            self.blob_bytes += info.size;
            self.last_serial += 1;
            Blob { info, serial: self.last_serial, leases: 0, records: Vec::new() }
        });
        blob.leases += 1;
        Hold { digest: info.digest, serial: blob.serial }
    }

    /// The blob's entry among those that nobody needs but whose bytes still exist.
    pub fn gone_info(&self, digest: &Digest) -> Option<BlobInfo> {
        self.gone.get(digest).copied()
    }

    /// Holds all blobs, or none and says which one is missing. That is also a use of the records that
    /// name them.
    pub fn hold(&mut self, digests: &[Digest], now_ms: u64) -> Result<Vec<Hold>, Digest> {
        if let Some(missing) = digests.iter().find(|digest| !self.blobs.contains_key(*digest)) {
            return Err(*missing);
        }
        let mut holds = Vec::with_capacity(digests.len());
        let mut used = Vec::new();
        for digest in digests {
            if let Some(blob) = self.blobs.get_mut(digest) {
                blob.leases += 1;
                holds.push(Hold { digest: *digest, serial: blob.serial });
                used.extend_from_slice(&blob.records);
            }
        }
        for key in used {
            if self.records.get(&key).is_some_and(|entry| entry.used + HOLDING_COUNTS_AFTER_MS <= now_ms) {
                self.touch(&key, now_ms);
            }
        }
        Ok(holds)
    }

    /// Ends holds; [`Self::has_gone`] says whether that leaves something to remove.
    pub fn release(&mut self, holds: &[Hold]) {
        for hold in holds {
            if let Some(blob) = self.blobs.get_mut(&hold.digest)
                && blob.serial == hold.serial
            {
                blob.leases = blob.leases.saturating_sub(1);
                self.drop_if_unneeded(&hold.digest);
            }
        }
    }

    /// Notes a record with its time of last use, in place of one with the same key. Blobs that are not
    /// there are left out.
    pub fn note_record(
        &mut self,
        key: RecordKey,
        label: String,
        blobs: &[Digest],
        value_bytes: u64,
        used: u64,
    ) {
        // First the new names, then the old ones away: a blob that is in both must not go in between.
        let known =
            blobs.iter().filter(|digest| self.blobs.contains_key(*digest)).copied().collect::<Vec<_>>();
        for digest in &known {
            if let Some(blob) = self.blobs.get_mut(digest) {
                blob.records.push(key);
            }
        }
        self.remove_record(&key);
        // That took one entry for each old name; a blob in both sets keeps the other.
        let used = if self.by_use.contains_key(&used) { self.next_use(used) } else { used };
        self.last_use = self.last_use.max(used);
        self.value_bytes += value_bytes;
        self.by_use.insert(used, key);
        self.records.insert(key, Entry { label, blobs: known, value_bytes, used });
    }

    /// Forgets a record; says whether there was one.
    pub fn forget(&mut self, key: &RecordKey) -> bool {
        self.remove_record(key).is_some()
    }

    /// Marks a record as used now; says whether there is one.
    pub fn touch(&mut self, key: &RecordKey, now_ms: u64) -> bool {
        if !self.records.contains_key(key) {
            return false;
        }
        let next = self.next_use(now_ms);
        let Some(entry) = self.records.get_mut(key) else { return false };
        self.by_use.remove(&entry.used);
        entry.used = next;
        self.by_use.insert(next, *key);
        self.touched.insert(*key);
        true
    }

    /// Uses that have not been handed out by this yet, for the index.
    pub fn take_touched(&mut self) -> Vec<(RecordKey, u64)> {
        let touched = std::mem::take(&mut self.touched);
        touched.into_iter().filter_map(|key| Some((key, self.records.get(&key)?.used))).collect()
    }

    /// Blobs whose bytes can be removed now. Whoever takes them removes them.
    pub fn take_gone(&mut self) -> Vec<Digest> {
        std::mem::take(&mut self.gone).into_keys().collect()
    }

    /// Whether something waits to be removed.
    pub fn has_gone(&self) -> bool {
        !self.gone.is_empty()
    }

    /// Removes a blob whatever needs it, because its bytes are bad, with the records that could be made
    /// again and are useless without it. They are named in the answer.
    pub fn condemn(&mut self, digest: &Digest) -> Vec<RecordKey> {
        let Some(blob) = self.blobs.get(digest) else { return Vec::new() };
        let records: HashSet<RecordKey> = blob.records.iter().copied().collect();
        let (lost, kept): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|key| key.kind != RecordKind::Memory);
        for key in &lost {
            self.remove_record(key);
        }
        for key in kept {
            if let Some(entry) = self.records.get_mut(&key) {
                entry.blobs.retain(|named| named != digest);
            }
        }
        if let Some(blob) = self.blobs.remove(digest) {
            self.blob_bytes -= blob.info.size;
            self.gone.insert(*digest, blob.info);
        }
        lost
    }

    /// Whether `bytes` could be kept if everything else were given up.
    pub fn could_ever_fit(&self, bytes: u64) -> bool {
        self.budget == 0 || bytes <= self.budget
    }

    /// Gives up records until `more` bytes fit into the budget. The second value is an error when that is
    /// not enough.
    pub fn make_room(&mut self, more: u64, keep: Option<&RecordKey>) -> (Evicted, Result<(), StoreError>) {
        let mut evicted = Evicted::default();
        let excess = self.excess(more);
        if excess > 0 && self.could_ever_fit(more) {
            evicted = self.evict(excess, excess.max(self.budget / EVICT_AT_ONCE), keep);
        }
        if self.excess(more) == 0 {
            return (evicted, Ok(()));
        }
        let reason = format!(
            "{more} bytes do not fit into the budget of {} bytes: {} bytes are in use and must stay",
            self.budget, self.blob_bytes
        );
        (evicted, Err(StoreError::Full { reason }))
    }

    fn excess(&self, more: u64) -> u64 {
        if self.budget == 0 {
            return 0;
        }
        (self.blob_bytes + self.value_bytes).saturating_add(more).saturating_sub(self.budget)
    }

    /// Gives up records, least recently used first, until `wanted` bytes are freed. Records of what must stay
    /// and `keep` are passed over. Those with a blob that is held come last, and only until `needed` bytes are
    /// freed: a held blob frees nothing until it is let go, but the record's others do, and images of a
    /// release share blobs.
    pub fn evict(&mut self, needed: u64, wanted: u64, keep: Option<&RecordKey>) -> Evicted {
        let mut evicted = Evicted::default();
        let candidates =
            self.by_use.values().filter(|key| key.kind != RecordKind::Memory && Some(*key) != keep);
        let (held, free): (Vec<RecordKey>, Vec<RecordKey>) = candidates.partition(|key| self.is_held(key));
        let free = free.into_iter().map(|key| (key, wanted));
        for (key, enough) in free.chain(held.into_iter().map(|key| (key, needed))) {
            if evicted.bytes >= enough {
                continue;
            }
            if let Some(freed) = self.remove_record(&key) {
                evicted.note(key, freed);
            }
        }
        self.given_up_for_room += evicted.bytes;
        evicted
    }

    /// Gives up records that nobody used for longer than they may go unused. Those with a blob that is held
    /// are in use.
    pub fn give_up_idle(&mut self, now_ms: u64, max_idle: &MaxIdle) -> Evicted {
        let is_idle = |used: u64, key: &RecordKey| {
            max_idle.of(key.kind).is_some_and(|limit| used.saturating_add(limit) < now_ms)
        };
        let idle = self.by_use.iter().filter(|(used, key)| is_idle(**used, key) && !self.is_held(key));
        let idle: Vec<RecordKey> = idle.map(|(_, key)| *key).collect();
        let mut evicted = Evicted::default();
        for key in idle {
            if let Some(freed) = self.remove_record(&key) {
                evicted.note(key, freed);
            }
        }
        self.given_up_idle += evicted.bytes;
        evicted
    }

    /// Whether somebody holds a blob of the record.
    fn is_held(&self, key: &RecordKey) -> bool {
        let is_leased = |digest: &Digest| self.blobs.get(digest).is_some_and(|blob| blob.leases > 0);
        self.records.get(key).is_some_and(|entry| entry.blobs.iter().any(is_leased))
    }

    /// Keys and labels of a kind, least recently used first.
    pub fn list(&self, kind: RecordKind) -> Vec<(RecordKey, String)> {
        let keys = self.by_use.values().filter(|key| key.kind == kind);
        keys.filter_map(|key| Some((*key, self.records.get(key)?.label.clone()))).collect()
    }

    pub fn usage(&self) -> StoreUsage {
        StoreUsage {
            bytes: self.blob_bytes,
            blobs: self.blobs.len() as u64,
            records: self.records.len() as u64,
            budget: self.budget,
        }
    }

    /// What the space goes to, as far as it is known here.
    pub fn holdings(&self) -> Holdings {
        let mut found = Holdings {
            given_up_idle: self.given_up_idle,
            given_up_for_room: self.given_up_for_room,
            ..Holdings::default()
        };
        for blob in self.blobs.values() {
            let kind = match blob.info.kind {
                BlobKind::Source => &mut found.sources,
                BlobKind::Part => &mut found.parts,
            };
            kind.bytes += blob.info.size;
        }
        for (key, entry) in &self.records {
            let kind = match key.kind {
                RecordKind::Source => &mut found.sources,
                RecordKind::Part => &mut found.parts,
                RecordKind::Memory => &mut found.memory,
            };
            kind.items += 1;
            kind.bytes += entry.value_bytes;
        }
        found
    }

    /// All blobs, in the order of their digests.
    pub fn digests(&self) -> Vec<Digest> {
        let mut digests: Vec<Digest> = self.blobs.keys().copied().collect();
        digests.sort_unstable();
        digests
    }

    /// Removes the record and gives the bytes that this freed, or `None` when there is none.
    fn remove_record(&mut self, key: &RecordKey) -> Option<u64> {
        let entry = self.records.remove(key)?;
        self.by_use.remove(&entry.used);
        self.touched.remove(key);
        self.value_bytes -= entry.value_bytes;
        let mut freed = entry.value_bytes;
        for digest in &entry.blobs {
            if let Some(blob) = self.blobs.get_mut(digest)
                && let Some(at) = blob.records.iter().position(|named| named == key)
            {
                blob.records.swap_remove(at);
                freed += self.drop_if_unneeded(digest);
            }
        }
        Some(freed)
    }

    /// Moves a blob that nobody needs to those that are gone; gives the bytes that this frees.
    fn drop_if_unneeded(&mut self, digest: &Digest) -> u64 {
        let needed = |blob: &Blob| blob.leases > 0 || !blob.records.is_empty();
        if self.blobs.get(digest).is_none_or(needed) {
            return 0;
        }
        let Some(blob) = self.blobs.remove(digest) else { return 0 };
        self.blob_bytes -= blob.info.size;
        self.gone.insert(*digest, blob.info);
        blob.info.size
    }

    /// A time of use that is later than all others and not before `now_ms`.
    pub fn next_use(&mut self, now_ms: u64) -> u64 {
        self.last_use = now_ms.max(self.last_use + 1);
        self.last_use
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with a record of each kind, each with a blob of ten bytes, used at the given times.
    fn filled(uses: [(RecordKind, u64); 4]) -> (State, Vec<RecordKey>) {
        let mut state = State::new(0);
        let mut keys = Vec::new();
        for (number, (kind, used)) in uses.into_iter().enumerate() {
            let digest = Digest::of(&[number as u8]);
            let of = if kind == RecordKind::Part { BlobKind::Part } else { BlobKind::Source };
            let hold = state.add_held(BlobInfo { digest, size: 10, kind: of, compressible: false });
            let key = RecordKey::new(kind, &number.to_string());
            state.note_record(key, String::new(), &[digest], 1, used);
            state.release(&[hold]);
            keys.push(key);
        }
        (state, keys)
    }

    const USES: [(RecordKind, u64); 4] = [
        (RecordKind::Source, 1_000),
        (RecordKind::Part, 2_000),
        (RecordKind::Memory, 3_000),
        (RecordKind::Source, 90_000),
    ];

    #[test]
    fn what_nobody_used_for_long_is_given_up() {
        let (mut state, keys) = filled(USES);
        let never = MaxIdle::default();
        assert_eq!(state.give_up_idle(u64::MAX, &never), Evicted::default());
        let max_idle = MaxIdle { sources: Some(Duration::from_secs(60)), parts: None };
        assert_eq!(state.give_up_idle(61_000, &max_idle), Evicted::default(), "not a moment too early");
        let evicted = state.give_up_idle(61_001, &max_idle);
        assert_eq!((evicted.records, evicted.bytes), (vec![keys[0]], 11));
        assert_eq!(evicted.freed[&RecordKind::Source], Amount { items: 1, bytes: 11 });
        let all = MaxIdle { sources: Some(Duration::ZERO), parts: Some(Duration::ZERO) };
        assert_eq!(state.give_up_idle(u64::MAX, &all).records, [keys[1], keys[3]], "what must stay stays");
        let held = state.holdings();
        assert_eq!((held.memory.items, held.sources.items, held.parts), (1, 0, Amount::default()));
        assert_eq!(held.given_up_idle, 33);
    }

    #[test]
    fn what_is_held_is_in_use() {
        let (mut state, keys) = filled(USES);
        let holds = state.hold(&[Digest::of(&[0])], 1_000).unwrap();
        let all = MaxIdle { sources: Some(Duration::ZERO), parts: Some(Duration::ZERO) };
        assert_eq!(state.give_up_idle(u64::MAX, &all).records, [keys[1], keys[3]]);
        state.release(&holds);
        assert_eq!(state.give_up_idle(u64::MAX, &all).records, [keys[0]]);
    }

    #[test]
    fn holdings_tell_where_the_space_goes() {
        let (mut state, _) = filled(USES);
        let held = state.holdings();
        // A blob of a release stays one whoever names it.
        assert_eq!(held.sources, Amount { items: 2, bytes: 32 });
        assert_eq!(held.parts, Amount { items: 1, bytes: 11 });
        assert_eq!(held.memory, Amount { items: 1, bytes: 1 });
        assert_eq!(state.evict(1, 1, None).bytes, 11);
        assert_eq!(state.holdings().given_up_for_room, 11);
    }
}
