//! `.xz` files: one stream of independent blocks, stored or spliced in, with an index.
//!
//! Blocks are at most about 4 MiB of payload, so that readers can seek and unpack in parallel; both sizes
//! stand in every block header, without which `xz` does neither. Blocks end where a blob's grain does:
//! then their checks come from tables.

mod container;
mod zeros;

use std::io;
use std::sync::LazyLock;

pub use container::XzCheck;
pub(super) use container::{block_end, block_header};

use container::{DATA_END, Index, stream_footer, stream_header};

use super::segments::{Segment, SegmentKind, append_framed};
use super::zeros::ZeroPieces;
use crate::checksum::{LayoutChecks, ReadChecks, cheap_cut};
use crate::layout::{BlobRange, Framing, Run};
use crate::{Layout, LayoutBuilder};

/// Longest block of payload, before packing.
pub(super) const BLOCK: u64 = 4 << 20;
/// Zeros in a block of nothing else: few index records for them, yet little memory for who unpacks.
const ZERO_BLOCK: u64 = 16 << 20;
/// Zeros that are worth blocks of their own.
const ZERO_BLOCK_FROM: u64 = 1 << 20;

static ZEROS: LazyLock<ZeroPieces> =
    LazyLock::new(|| ZeroPieces::new(zeros::LARGEST_CHUNK, zeros::zero_chunk));

pub(super) fn encode(
    layout: &Layout,
    segments: &[Segment<'_>],
    check: XzCheck,
    blobs: &dyn ReadChecks,
) -> io::Result<Layout> {
    let mut writer = Writer {
        layout,
        check,
        checks: LayoutChecks::new(blobs),
        out: LayoutBuilder::new(),
        index: Index::default(),
        open: Vec::new(),
    };
    writer.out.slice(&stream_header(check));
    for segment in segments {
        writer.segment(segment)?;
    }
    writer.close()?;
    let index = writer.index.build();
    writer.out.slice(&index).slice(&stream_footer(check, index.len() as u64));
    Ok(writer.out.build())
}

/// A stretch `start..end` of the block being put together.
struct Item {
    start: u64,
    end: u64,
    zeros: bool,
}

struct Writer<'a> {
    layout: &'a Layout,
    check: XzCheck,
    checks: LayoutChecks<'a>,
    out: LayoutBuilder,
    index: Index,
    /// What the next block will hold.
    open: Vec<Item>,
}

impl Writer<'_> {
    fn segment(&mut self, segment: &Segment<'_>) -> io::Result<()> {
        match segment.kind {
            SegmentKind::Zeros if segment.len() >= ZERO_BLOCK_FROM => {
                self.close()?;
                self.zero_blocks(segment.start, segment.len())
            }
            SegmentKind::Zeros => {
                if self.open_len() + segment.len() > BLOCK {
                    self.close()?;
                }
                self.open.push(Item { start: segment.start, end: segment.end, zeros: true });
                Ok(())
            }
            SegmentKind::Stored => self.stored(segment.start, segment.end),
            SegmentKind::Part(part) => {
                self.close()?;
                self.out.blob(BlobRange { digest: part.part, offset: 0, len: part.part_len });
                for block in &part.blocks {
                    self.index.push(block.unpadded, block.uncompressed);
                }
                Ok(())
            }
        }
    }

    fn open_len(&self) -> u64 {
        match (self.open.first(), self.open.last()) {
            (Some(first), Some(last)) => last.end - first.start,
            _ => 0,
        }
    }

    /// Spreads stored bytes over blocks.
    fn stored(&mut self, mut start: u64, end: u64) -> io::Result<()> {
        while start < end {
            let full = start + (BLOCK - self.open_len());
            let stop = if end <= full {
                end
            } else if self.open.is_empty() {
                cheap_cut(self.layout, start, full)
            } else {
                // To close the block in front of these bytes is a cut, too.
                cheap_cut(self.layout, start - 1, full.max(start))
            };
            if stop > start {
                self.open.push(Item { start, end: stop, zeros: false });
                start = stop;
            }
            if start < end {
                self.close()?;
            }
        }
        Ok(())
    }

    /// Writes the open block, if there is anything in it.
    fn close(&mut self) -> io::Result<()> {
        let (Some(first), Some(last)) = (self.open.first(), self.open.last()) else { return Ok(()) };
        let (start, end) = (first.start, last.end);
        let mut data = LayoutBuilder::new();
        let mut framing = Framing::Lzma2First;
        for item in self.open.drain(..) {
            if item.zeros {
                ZEROS.append(&mut data, item.end - item.start);
            } else {
                append_framed(&mut data, self.layout, item.start, item.end, framing, Framing::Lzma2);
            }
            framing = Framing::Lzma2;
        }
        data.slice(&[DATA_END]);
        self.block(&data.build(), start, end)
    }

    /// Blocks of nothing but `len` zeros from `start` on.
    fn zero_blocks(&mut self, start: u64, len: u64) -> io::Result<()> {
        let (count, rest) = (len / ZERO_BLOCK, len % ZERO_BLOCK);
        if count > 0 {
            let (block, unpadded) = self.assemble(&zero_data(ZERO_BLOCK), start, start + ZERO_BLOCK)?;
            let bytes = block.inline_bytes().unwrap_or_default();
            self.out.run(Run::repeat(bytes.into(), count));
            for _ in 0..count {
                self.index.push(unpadded, ZERO_BLOCK);
            }
        }
        if rest > 0 {
            self.block(&zero_data(rest), start + len - rest, start + len)?;
        }
        Ok(())
    }

    /// A block of `data` that unpacks to the layout's bytes `start..end`.
    fn block(&mut self, data: &Layout, start: u64, end: u64) -> io::Result<()> {
        let (block, unpadded) = self.assemble(data, start, end)?;
        self.out.append(&block);
        self.index.push(unpadded, end - start);
        Ok(())
    }

    /// The whole block, and its length without padding.
    fn assemble(&mut self, data: &Layout, start: u64, end: u64) -> io::Result<(Layout, u64)> {
        let header = block_header(data.len(), end - start);
        let check = match self.check {
            XzCheck::Crc32 => self.checks.crc32(self.layout, start, end)?.to_le_bytes().to_vec(),
            XzCheck::Crc64 => self.checks.crc64(self.layout, start, end)?.to_le_bytes().to_vec(),
        };
        let mut block = LayoutBuilder::new();
        block.slice(&header).append(data).slice(&block_end(data.len(), &check));
        Ok((block.build(), header.len() as u64 + data.len() + check.len() as u64))
    }
}

fn zero_data(len: u64) -> Layout {
    let mut data = LayoutBuilder::new();
    ZEROS.append(&mut data, len);
    data.slice(&[DATA_END]);
    data.build()
}
