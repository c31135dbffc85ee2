//! Long stretches that a rule makes, so that a layout stays small however long the file is.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::grains::{self, GRAIN_LEN, GRAIN_STRIDE};
use super::{Layout, LayoutBuilder, NumberForm, Numbers, ReadBlob};

/// A window of `len` bytes, from `start` on, of what a [`RunSource`] makes.
#[derive(Clone)]
pub struct Run {
    source: Arc<RunSource>,
    start: u64,
    len: u64,
}

/// What makes the bytes of a run.
#[derive(Debug)]
pub enum RunSource {
    /// The same bytes over and over, without end.
    Repeat(Bytes),
    /// Numbers that count up: a contiguous FAT32 chain, a table of neighbouring clusters.
    Numbers(Numbers),
    /// `inner`, cut into chunks that each have a small header in front: stored blocks of a codec.
    Framed {
        /// The bytes inside the frames.
        inner: Layout,
        /// How they are cut and what stands in front of each chunk.
        framing: Framing,
    },
    /// `inner`, whose length is a multiple of [`GRAIN_LEN`], as grains of a stream-optimised VMDK.
    Grains {
        /// The payload.
        inner: Layout,
        /// Number of the first grain on the disk.
        first: u64,
    },
}

/// Chunk size and chunk headers of a codec's stored blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Raw blocks of 128 KiB in a Zstandard frame (RFC 8878, 3.1.1.2), none of them the last.
    ZstdRaw,
    /// Uncompressed LZMA2 chunks of 64 KiB that continue a block (control byte 2).
    Lzma2,
    /// Uncompressed LZMA2 chunks of 64 KiB; the first one resets the dictionary (control byte 1).
    Lzma2First,
    /// Stored Deflate blocks of 65535 bytes (RFC 1951, 3.2.4), none of them final.
    DeflateStored,
}

/// Longest chunk header of any framing.
const MAX_HEADER: usize = 5;

impl Framing {
    /// Payload bytes of a full chunk.
    pub const fn chunk_len(self) -> u64 {
        match self {
            Self::ZstdRaw => 128 << 10,
            Self::Lzma2 | Self::Lzma2First => 64 << 10,
            Self::DeflateStored => 65535,
        }
    }

    /// Bytes in front of each chunk.
    pub const fn header_len(self) -> u64 {
        match self {
            Self::ZstdRaw | Self::Lzma2 | Self::Lzma2First => 3,
            Self::DeflateStored => 5,
        }
    }

    /// Length of `inner_len` bytes with their headers.
    pub const fn framed_len(self, inner_len: u64) -> u64 {
        inner_len + inner_len.div_ceil(self.chunk_len()) * self.header_len()
    }

    /// The header of chunk number `index` with `len` payload bytes (1 to [`Self::chunk_len`]).
    pub fn header(self, index: u64, len: u64) -> ([u8; MAX_HEADER], usize) {
        debug_assert!(len >= 1 && len <= self.chunk_len());
        match self {
            Self::ZstdRaw => {
                let [a, b, c, _] = ((len as u32) << 3).to_le_bytes();
                ([a, b, c, 0, 0], 3)
            }
            Self::Lzma2 | Self::Lzma2First => {
                let control = if index == 0 && self == Self::Lzma2First { 1 } else { 2 };
                let [high, low] = ((len - 1) as u16).to_be_bytes();
                ([control, high, low, 0, 0], 3)
            }
            Self::DeflateStored => {
                let [low, high] = (len as u16).to_le_bytes();
                ([0, low, high, !low, !high], 5)
            }
        }
    }

    pub(super) const fn tag(self) -> u8 {
        match self {
            Self::ZstdRaw => 0,
            Self::Lzma2 => 1,
            Self::Lzma2First => 2,
            Self::DeflateStored => 3,
        }
    }
}

impl Run {
    /// `pattern` repeated `count` times. Empty when either is nothing.
    pub fn repeat(pattern: Bytes, count: u64) -> Self {
        let len = pattern.len() as u64 * count;
        Self { source: Arc::new(RunSource::Repeat(pattern)), start: 0, len }
    }

    /// `count` little-endian 32-bit numbers counting up by one from `first` on; the caller keeps
    /// `first + count` within 32 bits.
    pub fn counter(first: u32, count: u64) -> Self {
        debug_assert!(u64::from(first) + count <= 1 << 32);
        Self::numbers(Numbers { first: first.into(), step: 1, form: NumberForm::Le32 }, count)
    }

    /// The first `count` of some numbers.
    pub fn numbers(numbers: Numbers, count: u64) -> Self {
        let len = count * numbers.form.width();
        Self { source: Arc::new(RunSource::Numbers(numbers)), start: 0, len }
    }

    /// `inner` as grains of a stream-optimised VMDK, the last one filled up with zeros; `first` is the
    /// number of the first grain on the disk. Each takes [`GRAIN_STRIDE`] bytes.
    pub fn grains(inner: &Layout, first: u64) -> Self {
        let mut whole = LayoutBuilder::new();
        whole.append(inner).align(GRAIN_LEN);
        let inner = whole.build();
        let len = inner.len() / GRAIN_LEN * GRAIN_STRIDE;
        Self { source: Arc::new(RunSource::Grains { inner, first }), start: 0, len }
    }

    /// All of `inner` in frames.
    pub fn framed(inner: Layout, framing: Framing) -> Self {
        let len = framing.framed_len(inner.len());
        Self { source: Arc::new(RunSource::Framed { inner, framing }), start: 0, len }
    }

    /// What makes the bytes.
    pub fn source(&self) -> &RunSource {
        &self.source
    }

    /// Where the window begins in what the source makes.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Length of the window in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the window has no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn slice(&self, start: u64, len: u64) -> Self {
        Self { source: Arc::clone(&self.source), start: self.start + start, len }
    }

    /// Fills `buf` with the bytes from `offset` of the window on; the caller keeps it inside.
    pub(super) fn read(&self, blobs: &dyn ReadBlob, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let at = self.start + offset;
        match &*self.source {
            RunSource::Repeat(pattern) => read_repeat(pattern, at, buf),
            RunSource::Numbers(numbers) => numbers.read(at, buf),
            RunSource::Framed { inner, framing } => {
                return read_framed(inner, *framing, blobs, at, buf);
            }
            RunSource::Grains { inner, first } => return grains::read(inner, *first, blobs, at, buf),
        }
        Ok(())
    }
}

fn read_repeat(pattern: &[u8], at: u64, buf: &mut [u8]) {
    let phase = (at % pattern.len() as u64) as usize;
    let head = (pattern.len() - phase).min(buf.len());
    let (first, rest) = buf.split_at_mut(head);
    first.copy_from_slice(&pattern[phase..phase + head]);
    // One whole copy, then ever longer copies of what is there: patterns can be as short as a byte.
    let mut done = pattern.len().min(rest.len());
    rest[..done].copy_from_slice(&pattern[..done]);
    while done < rest.len() {
        let take = done.min(rest.len() - done);
        rest.copy_within(..take, done);
        done += take;
    }
}

fn read_framed(
    inner: &Layout,
    framing: Framing,
    blobs: &dyn ReadBlob,
    at: u64,
    mut buf: &mut [u8],
) -> io::Result<()> {
    let (chunk, head) = (framing.chunk_len(), framing.header_len());
    let mut index = at / (chunk + head);
    let mut phase = at % (chunk + head);
    while !buf.is_empty() {
        let start = index * chunk;
        let len = chunk.min(inner.len() - start);
        if phase < head {
            let (header, header_len) = framing.header(index, len);
            let take = (header_len - phase as usize).min(buf.len());
            let (now, rest) = buf.split_at_mut(take);
            now.copy_from_slice(&header[phase as usize..phase as usize + take]);
            buf = rest;
            phase += take as u64;
        }
        let inside = phase.saturating_sub(head);
        let take = ((len - inside).min(buf.len() as u64)) as usize;
        let (now, rest) = buf.split_at_mut(take);
        inner.read_exact_at(blobs, start + inside, now)?;
        buf = rest;
        index += 1;
        phase = 0;
    }
    Ok(())
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &*self.source {
            RunSource::Repeat(pattern) => write!(f, "Repeat({:#x} bytes", pattern.len())?,
            RunSource::Numbers(n) => {
                write!(f, "Numbers({:?} from {:#x} by {:#x}", n.form, n.first, n.step)?;
            }
            RunSource::Framed { inner, framing } => write!(f, "Framed({framing:?}, {inner:?}")?,
            RunSource::Grains { inner, first } => write!(f, "Grains(from {first}, {inner:?}")?,
        }
        write!(f, ", {:#x}+{:#x})", self.start, self.len)
    }
}
