//! Grains of a stream-optimised VMDK, their checksums computed as they are read.
//!
//! A grain ends with the Adler-32 of its payload. The value is made when the grain is read, for whoever
//! reads a grain has the payload at hand: so planning needs neither the payload nor a table beside each
//! blob, which would have to be as fine as blobs may lie on a disk, that is per sector.

use std::io;

use simd_adler32::Adler32;

use super::{Layout, ReadBlob};

/// Payload bytes of a grain (42-output-formats.md, 7.3).
pub const GRAIN_LEN: u64 = 64 << 10;

/// Bytes that a grain takes in the file: whole sectors of 512 bytes.
pub const GRAIN_STRIDE: u64 = END.next_multiple_of(512);

/// Sectors of 512 bytes in a grain's payload.
const GRAIN_SECTORS: u64 = GRAIN_LEN / 512;

/// A zlib header (RFC 1950, 2.2): Deflate, window of 32 KiB, fastest level, no dictionary.
const ZLIB: [u8; 2] = [0x78, 0x01];
/// Header of a stored Deflate block of 65535 bytes that is not the last (RFC 1951, 3.2.4).
const LONG_BLOCK: [u8; 5] = [0, 0xFF, 0xFF, 0, 0];
/// Payload bytes of that block, the most that it can have.
const LONG: u64 = 65535;
/// Header of a stored block of the one byte that is left, the last block.
const LAST_BLOCK: [u8; 5] = [1, 1, 0, 0xFE, 0xFF];

/// Marker, zlib header and first block header.
const HEAD: u64 = 12 + 2 + 5;
/// Where the second block header begins.
const MIDDLE: u64 = HEAD + LONG;
/// Where the last payload byte is.
const LAST: u64 = MIDDLE + 5;
/// Where the checksum begins.
const SUM: u64 = LAST + 1;
/// Where padding begins.
const END: u64 = SUM + 4;

/// Marker (first sector on the disk, length of the zlib stream) and headers of grain number `grain` of a
/// disk.
fn head(grain: u64) -> [u8; HEAD as usize] {
    let mut head = [0; HEAD as usize];
    head[..8].copy_from_slice(&(grain * GRAIN_SECTORS).to_le_bytes());
    head[8..12].copy_from_slice(&((END - 12) as u32).to_le_bytes());
    head[12..14].copy_from_slice(&ZLIB);
    head[14..].copy_from_slice(&LONG_BLOCK);
    head
}

/// Fills `buf` with the bytes from `at` on of the grains that hold `inner`, whose length is a multiple of
/// [`GRAIN_LEN`]; `first` is the number on the disk of the first grain.
pub(super) fn read(
    inner: &Layout,
    first: u64,
    blobs: &dyn ReadBlob,
    at: u64,
    mut buf: &mut [u8],
) -> io::Result<()> {
    let mut index = at / GRAIN_STRIDE;
    let mut phase = at % GRAIN_STRIDE;
    while !buf.is_empty() {
        let take = (GRAIN_STRIDE - phase).min(buf.len() as u64) as usize;
        let (now, rest) = buf.split_at_mut(take);
        let grain = Grain { inner, start: index * GRAIN_LEN, number: first + index };
        grain.read(blobs, phase, now)?;
        buf = rest;
        index += 1;
        phase = 0;
    }
    Ok(())
}

/// One grain.
struct Grain<'a> {
    inner: &'a Layout,
    /// Where its payload begins in `inner`.
    start: u64,
    number: u64,
}

impl Grain<'_> {
    /// Fills `buf`, which ends inside the grain, with its bytes from `phase` on.
    fn read(&self, blobs: &dyn ReadBlob, phase: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = phase + buf.len() as u64;
        // The part of the buffer that holds `from..to` of the grain.
        let part = |from: u64, to: u64| {
            let (from, to) = (from.clamp(phase, end), to.clamp(phase, end));
            (from - phase) as usize..(to - phase) as usize
        };
        put(&mut buf[part(0, HEAD)], &head(self.number), phase);
        let payload = part(HEAD, MIDDLE);
        self.inner.read_exact_at(
            blobs,
            self.start + phase.saturating_sub(HEAD),
            &mut buf[payload.clone()],
        )?;
        put(&mut buf[part(MIDDLE, LAST)], &LAST_BLOCK, phase.saturating_sub(MIDDLE));
        self.inner.read_exact_at(blobs, self.start + LONG, &mut buf[part(LAST, SUM)])?;
        if phase < END && end > SUM {
            let sum = self.adler32(blobs, &buf[payload], &buf[part(LAST, SUM)])?.to_be_bytes();
            put(&mut buf[part(SUM, END)], &sum, phase.saturating_sub(SUM));
        }
        buf[part(END, GRAIN_STRIDE)].fill(0);
        Ok(())
    }

    /// The checksum of the payload, of which the ends of the two blocks are known as far as they are read
    /// already.
    fn adler32(&self, blobs: &dyn ReadBlob, long: &[u8], last: &[u8]) -> io::Result<u32> {
        let mut sum = Adler32::new();
        for (start, len, known) in [(0, LONG, long), (LONG, 1, last)] {
            let mut missing = vec![0; (len as usize).saturating_sub(known.len())];
            self.inner.read_exact_at(blobs, self.start + start, &mut missing)?;
            sum.write(&missing);
            sum.write(known);
        }
        Ok(sum.finish())
    }
}

/// Fills `buf` with what `bytes` has from `skip` on.
fn put(buf: &mut [u8], bytes: &[u8], skip: u64) {
    let skip = (skip as usize).min(bytes.len());
    let take = buf.len().min(bytes.len() - skip);
    buf[..take].copy_from_slice(&bytes[skip..skip + take]);
}
