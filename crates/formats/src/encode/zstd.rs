//! `.zst` files (RFC 8878) of raw and RLE blocks, with compressed parts as frames of their own.
//!
//! A frame states its content size and carries no checksum: hashing gigabytes of zeros would be all that
//! a stored file costs, and files are served with a digest. As long as nothing compressible was packed
//! ahead there is exactly one frame, because some libraries stop behind the first.

use super::segments::{Segment, SegmentKind, append_framed, cut};
use super::{Codec, CompressedBlobs};
use crate::layout::{BlobRange, Framing, Run};
use crate::{Layout, LayoutBuilder};

/// Magic number, little-endian (3.1.1).
const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// Content size in eight bytes, a window descriptor, no checksum, no dictionary (3.1.1.1.1).
const FRAME_DESCRIPTOR: u8 = 0xC0;
/// A window of 1 MiB, `(20 - 10) << 3` (3.1.1.1.2). Far below the 128 MiB that Linux accepts, and at least
/// the 128 KiB without which blocks would have to be smaller.
const WINDOW_DESCRIPTOR: u8 = 10 << 3;
/// Longest block (3.1.1.2.3).
const BLOCK: u64 = 128 << 10;
/// An empty raw block that is the last one: it ends a frame whatever came before.
const LAST_BLOCK: [u8; 3] = [1, 0, 0];

/// A layout as one Zstandard frame that stores it. It reads nothing and splices nothing, so it suits
/// streams that are unpacked by a kernel or packed again: the appended part of an initramfs.
pub fn zstd_stored(layout: &Layout) -> Layout {
    let parts = CompressedBlobs::new();
    encode(layout, &cut(layout, Codec::Zstd, &parts))
}

pub(super) fn encode(layout: &Layout, segments: &[Segment<'_>]) -> Layout {
    let mut out = LayoutBuilder::new();
    for group in segments.chunk_by(|a, b| !is_part(a) && !is_part(b)) {
        match group {
            [Segment { kind: SegmentKind::Part(part), .. }] => {
                out.blob(BlobRange { digest: part.part, offset: 0, len: part.part_len });
            }
            _ => frame(&mut out, layout, group),
        }
    }
    if segments.is_empty() {
        frame(&mut out, layout, segments);
    }
    out.build()
}

fn is_part(segment: &Segment<'_>) -> bool {
    matches!(segment.kind, SegmentKind::Part(_))
}

/// One frame of neighbouring segments, none of which is a part.
fn frame(out: &mut LayoutBuilder, layout: &Layout, segments: &[Segment<'_>]) {
    let len: u64 = segments.iter().map(Segment::len).sum();
    out.slice(&MAGIC).slice(&[FRAME_DESCRIPTOR, WINDOW_DESCRIPTOR]).slice(&len.to_le_bytes());
    for segment in segments {
        match segment.kind {
            SegmentKind::Zeros => zeros(out, segment.len()),
            // There is no part here; one would be stored.
            SegmentKind::Stored | SegmentKind::Part(_) => {
                let (start, end) = (segment.start, segment.end);
                append_framed(out, layout, start, end, Framing::ZstdRaw, Framing::ZstdRaw);
            }
        }
    }
    out.slice(&LAST_BLOCK);
}

fn zeros(out: &mut LayoutBuilder, len: u64) {
    out.run(Run::repeat(rle_block(BLOCK).to_vec().into(), len / BLOCK));
    if !len.is_multiple_of(BLOCK) {
        out.slice(&rle_block(len % BLOCK));
    }
}

/// A block, not the last, that is `len` zero bytes (3.1.1.2.2): type 1 in bits 1 and 2, size above.
fn rle_block(len: u64) -> [u8; 4] {
    let [a, b, c, _] = ((len as u32) << 3 | 1 << 1).to_le_bytes();
    [a, b, c, 0]
}
