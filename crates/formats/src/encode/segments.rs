//! Cutting a layout into what an encoder treats alike: zeros, stored bytes, compressed parts.

use std::collections::BTreeSet;

use super::zeros::ZERO_UNIT;
use super::{Codec, CompressedBlob, CompressedBlobs};
use crate::checksum::GRAIN;
use crate::layout::{Framing, Run};
use crate::{Digest, Extent, Layout, LayoutBuilder};

/// Blobs shorter than this many bytes are stored, however compressible: a part costs a record and a file.
pub const COMPRESS_FROM: u64 = 64 << 10;

/// Consecutive bytes `start..end` of a layout.
pub(super) struct Segment<'a> {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) kind: SegmentKind<'a>,
}

pub(super) enum SegmentKind<'a> {
    /// Zeros, a multiple of [`ZERO_UNIT`].
    Zeros,
    /// Bytes to be stored as they are.
    Stored,
    /// A whole blob that was compressed ahead.
    Part(&'a CompressedBlob),
}

impl Segment<'_> {
    pub(super) fn len(&self) -> u64 {
        self.end - self.start
    }
}

/// The blobs of a layout that should be compressed ahead, sorted, each once.
///
/// `compressible` gives the size of a blob that a compressor would make smaller, and `None` for others.
/// Only blobs that stand in the layout as a whole are named; those inside framed runs are in a stored
/// stream already.
pub fn compressible_blobs(
    layout: &Layout,
    mut compressible: impl FnMut(&Digest) -> Option<u64>,
) -> Vec<Digest> {
    let mut found = BTreeSet::new();
    for extent in layout.extents() {
        if let Extent::Blob(range) = extent
            && range.offset == 0
            && range.len >= COMPRESS_FROM
            && !found.contains(&range.digest)
            && compressible(&range.digest) == Some(range.len)
        {
            found.insert(range.digest);
        }
    }
    found.into_iter().collect()
}

/// Cuts a layout; the segments cover it in order, and no two stored ones touch.
pub(super) fn cut<'a>(layout: &Layout, codec: Codec, parts: &'a CompressedBlobs) -> Vec<Segment<'a>> {
    let mut segments: Vec<Segment<'a>> = Vec::new();
    for (start, extent) in layout.iter() {
        let end = start + extent.len();
        match extent {
            Extent::Zero(len) => {
                // What is left over is stored with what follows.
                let zeros = len - len % ZERO_UNIT;
                push(&mut segments, start, start + zeros, SegmentKind::Zeros);
                push(&mut segments, start + zeros, end, SegmentKind::Stored);
            }
            Extent::Blob(range) => {
                let part = parts.get(&range.digest).filter(|part| {
                    part.codec == codec
                        && range.offset == 0
                        && range.len == part.len
                        && part.part_len < part.len
                });
                let kind = part.map_or(SegmentKind::Stored, SegmentKind::Part);
                push(&mut segments, start, end, kind);
            }
            Extent::Bytes(_) | Extent::Run(_) => push(&mut segments, start, end, SegmentKind::Stored),
        }
    }
    segments
}

fn push<'a>(segments: &mut Vec<Segment<'a>>, start: u64, end: u64, kind: SegmentKind<'a>) {
    match (segments.last_mut(), &kind) {
        _ if start == end => {}
        (Some(last), SegmentKind::Stored) if matches!(last.kind, SegmentKind::Stored) => last.end = end,
        _ => segments.push(Segment { start, end, kind }),
    }
}

/// Appends the bytes `start..end` of `layout` in chunks, `first` framing the first piece and `rest` the
/// others.
///
/// A new piece begins where a long blob's first whole grain does: chunks then hold whole grains, and the
/// CRC of the framed bytes, should they be packed once more, needs no payload either.
pub(super) fn append_framed(
    out: &mut LayoutBuilder,
    layout: &Layout,
    start: u64,
    end: u64,
    first: Framing,
    rest: Framing,
) {
    let mut framing = first;
    let mut from = start;
    let mut at = start;
    for (extent, part) in layout.overlapping(start, end) {
        if let Extent::Blob(range) = extent {
            let offset = range.offset + part.start;
            let whole = at + (offset.next_multiple_of(GRAIN) - offset);
            if whole + GRAIN <= at + (part.end - part.start) && whole > from {
                out.run(Run::framed(layout.slice(from, whole), framing));
                framing = rest;
                from = whole;
            }
        }
        at += part.end - part.start;
    }
    if from < end {
        out.run(Run::framed(layout.slice(from, end), framing));
    }
}
