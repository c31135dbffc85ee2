//! Old GNU sparse entries: a map of the stretches that hold data, then these alone.

use ::tar::{EntryType, GnuExtSparseHeader, GnuSparseHeader, Header};

use super::{RECORD, append_header, fill, finish};
use crate::occupied::Occupied;
use crate::{Layout, LayoutBuilder};

/// Stretches begin and end at multiples of this many bytes, as on a file system.
const PAGE: u64 = 4096;
/// Holes shorter than this many pages are stored: a map with many entries costs readers a seek each.
const SHORTEST_HOLE: u64 = (64 << 10) / PAGE;
/// Entries of the map in the header itself, and in each record that continues it.
const IN_HEADER: usize = 4;
const IN_RECORD: usize = 21;

/// An archive of one file that is a disk, as Google Cloud wants it: `disk.raw` in the old GNU sparse format.
/// `epoch` is its time in seconds since 1970.
pub fn sparse_disk(disk: &Layout, epoch: u64) -> Layout {
    let size = disk.len();
    let data = Occupied::of(disk, PAGE).without_gaps_below(SHORTEST_HOLE);
    let pieces = || data.ranges().iter().map(|pages| (pages.start * PAGE, (pages.end * PAGE).min(size)));
    // GNU tar ends every map with an empty stretch at the end of the file.
    let map: Vec<_> = pieces().map(|(start, end)| (start, end - start)).chain([(size, 0)]).collect();
    let (first, more) = map.split_at(map.len().min(IN_HEADER));

    let mut header = Header::new_gnu();
    fill(&mut header, "disk.raw", map.iter().map(|(_, len)| len).sum(), epoch);
    header.set_entry_type(EntryType::GNUSparse);
    if let Some(gnu) = header.as_gnu_mut() {
        put(&mut gnu.sparse, first);
        gnu.set_is_extended(!more.is_empty());
        gnu.set_real_size(size);
    }
    let mut out = LayoutBuilder::new();
    append_header(&mut out, header);
    let mut records = more.chunks(IN_RECORD).peekable();
    while let Some(stretches) = records.next() {
        let mut record = GnuExtSparseHeader::new();
        put(record.sparse_mut(), stretches);
        record.set_is_extended(records.peek().is_some());
        out.slice(record.as_bytes());
    }
    for (start, end) in pieces() {
        out.append(&disk.slice(start, end));
    }
    out.align(RECORD);
    finish(out)
}

fn put(slots: &mut [GnuSparseHeader], stretches: &[(u64, u64)]) {
    for (slot, (offset, len)) in slots.iter_mut().zip(stretches) {
        slot.set_offset(*offset);
        slot.set_length(*len);
    }
}
