//! `.gz` files (RFC 1952): one member of stored blocks, precomputed zeros and compressed parts.
//!
//! Every piece of the Deflate stream ends on a byte boundary and refers to nothing before it, so pieces
//! are glued together as they are. There is never a second member: some importers read the first only.

mod zeros;

use std::io;
use std::sync::LazyLock;

use super::EncodeError;
use super::segments::{Segment, SegmentKind};
use super::zeros::ZeroPieces;
use crate::checksum::{ReadChecks, crc32};
use crate::layout::{BlobRange, Framing, Run};
use crate::{Layout, LayoutBuilder};

/// The header without a name (2.3.1): Deflate, no flags, no time, no extra flags, made on Unix.
const HEADER: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3];
/// In the fourth byte: a name follows the header.
const FLAG_NAME: u8 = 1 << 3;
/// A final block with fixed Huffman codes that holds nothing but its end (RFC 1951, 3.2.6).
const FINAL_BLOCK: [u8; 2] = [3, 0];
/// Zeros in the longest precomputed piece.
const LARGEST_PIECE: u64 = 1 << 20;

static ZEROS: LazyLock<ZeroPieces> = LazyLock::new(|| ZeroPieces::new(LARGEST_PIECE, zeros::deflated_zeros));

/// The member's header, with the packed file's name when there is one.
pub(super) fn header(file_name: Option<&str>) -> Result<Vec<u8>, EncodeError> {
    let mut header = HEADER.to_vec();
    if let Some(name) = file_name {
        header[3] |= FLAG_NAME;
        for character in name.chars() {
            match u8::try_from(character) {
                Ok(byte) if byte != 0 => header.push(byte),
                _ => return Err(EncodeError::FileName(name.to_owned())),
            }
        }
        header.push(0);
    }
    Ok(header)
}

pub(super) fn encode(
    layout: &Layout,
    segments: &[Segment<'_>],
    header: Vec<u8>,
    blobs: &dyn ReadChecks,
) -> io::Result<Layout> {
    let crc = crc32(layout, 0, layout.len(), blobs)?;
    let mut out = LayoutBuilder::new();
    out.slice(&header);
    for segment in segments {
        match segment.kind {
            SegmentKind::Zeros => ZEROS.append(&mut out, segment.len()),
            SegmentKind::Stored => {
                out.run(Run::framed(layout.slice(segment.start, segment.end), Framing::DeflateStored));
            }
            SegmentKind::Part(part) => {
                out.blob(BlobRange { digest: part.part, offset: 0, len: part.part_len });
            }
        }
    }
    // The size is kept modulo 2^32.
    out.slice(&FINAL_BLOCK).slice(&crc.to_le_bytes()).slice(&(layout.len() as u32).to_le_bytes());
    Ok(out.build())
}
