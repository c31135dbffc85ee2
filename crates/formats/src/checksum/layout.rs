//! CRCs of layouts from the tables of their blobs.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crc_fast::{CrcAlgorithm, checksum};

use super::field::{self, Field};
use super::{BlobChecks, GRAIN, GrainChecks};
use crate::layout::{BlobRange, Framing, GRAIN_STRIDE, Run, RunSource};
use crate::{Digest, Extent, Layout, ReadBlob};

/// Blobs together with their tables of checks.
pub trait ReadChecks: ReadBlob {
    /// The table of a blob.
    ///
    /// # Errors
    /// `NotFound` when there is no such blob, and what else keeps a store from answering.
    fn checks(&self, digest: &Digest) -> io::Result<Arc<BlobChecks>>;
}

/// CRC-32 (ISO-HDLC) of the bytes `start..end`, both ends cut to the length.
///
/// # Errors
/// Those of the blobs; `InvalidData` when a table is shorter than the blob is said to be.
pub fn crc32(layout: &Layout, start: u64, end: u64, blobs: &dyn ReadChecks) -> io::Result<u32> {
    LayoutChecks::new(blobs).crc32(layout, start, end)
}

/// CRC-64 (XZ) of the bytes `start..end`, both ends cut to the length.
///
/// # Errors
/// As [`crc32()`].
pub fn crc64(layout: &Layout, start: u64, end: u64, blobs: &dyn ReadChecks) -> io::Result<u64> {
    LayoutChecks::new(blobs).crc64(layout, start, end)
}

/// Computes CRCs of ranges of layouts over the same blobs, asking for each table once.
///
/// Payload is read only where a range, or a chunk of a framed run, begins or ends inside a grain (see
/// [`cheap_cut`]), and where a run's own checksums need it ([`RunSource::Grains`]).
pub struct LayoutChecks<'a> {
    blobs: &'a dyn ReadChecks,
    tables: BTreeMap<Digest, Arc<BlobChecks>>,
    scratch: Vec<u8>,
}

/// Which CRC is computed.
#[derive(Clone, Copy)]
enum Kind {
    Crc32,
    Crc64,
}

impl Kind {
    fn field(self) -> &'static Field {
        match self {
            Self::Crc32 => &field::CRC32,
            Self::Crc64 => &field::CRC64,
        }
    }

    fn of(self, bytes: &[u8]) -> u64 {
        match self {
            Self::Crc32 => checksum(CrcAlgorithm::Crc32IsoHdlc, bytes),
            Self::Crc64 => checksum(CrcAlgorithm::Crc64Xz, bytes),
        }
    }

    fn pick(self, grain: &GrainChecks) -> u64 {
        match self {
            Self::Crc32 => grain.crc32.into(),
            Self::Crc64 => grain.crc64,
        }
    }
}

/// The value of everything seen so far.
struct Sum {
    kind: Kind,
    value: u64,
}

impl Sum {
    fn append(&mut self, value: u64, len: u64) {
        self.value = self.kind.field().combine(self.value, value, len);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.append(self.kind.of(bytes), bytes.len() as u64);
    }
}

impl<'a> LayoutChecks<'a> {
    /// Over these blobs; nothing is asked of them yet.
    pub fn new(blobs: &'a dyn ReadChecks) -> Self {
        Self { blobs, tables: BTreeMap::new(), scratch: Vec::new() }
    }

    /// CRC-32 (ISO-HDLC) of the bytes `start..end`.
    ///
    /// # Errors
    /// As [`crc32()`].
    pub fn crc32(&mut self, layout: &Layout, start: u64, end: u64) -> io::Result<u32> {
        Ok(self.sum(Kind::Crc32, layout, start, end)? as u32)
    }

    /// CRC-64 (XZ) of the bytes `start..end`.
    ///
    /// # Errors
    /// As [`crc32()`].
    pub fn crc64(&mut self, layout: &Layout, start: u64, end: u64) -> io::Result<u64> {
        self.sum(Kind::Crc64, layout, start, end)
    }

    fn sum(&mut self, kind: Kind, layout: &Layout, start: u64, end: u64) -> io::Result<u64> {
        // The value of no bytes is 0 for both kinds.
        let mut sum = Sum { kind, value: 0 };
        self.add(&mut sum, layout, start, end)?;
        Ok(sum.value)
    }

    fn add(&mut self, sum: &mut Sum, layout: &Layout, start: u64, end: u64) -> io::Result<()> {
        for (extent, part) in layout.overlapping(start, end) {
            let len = part.end - part.start;
            match extent {
                Extent::Zero(_) => sum.append(sum.kind.field().zeros(len), len),
                Extent::Bytes(bytes) => sum.bytes(&bytes[part.start as usize..part.end as usize]),
                Extent::Blob(range) => {
                    let range = BlobRange { digest: range.digest, offset: range.offset + part.start, len };
                    self.add_blob(sum, &range)?;
                }
                Extent::Run(run) => self.add_run(sum, run, run.start() + part.start, len)?,
            }
        }
        Ok(())
    }

    /// `len` bytes from `at` on of what the run's source makes.
    fn add_run(&mut self, sum: &mut Sum, run: &Run, at: u64, len: u64) -> io::Result<()> {
        match run.source() {
            RunSource::Repeat(pattern) => {
                add_repeat(sum, pattern, at, len);
                Ok(())
            }
            RunSource::Numbers(_) => self.add_read(sum, len, at - run.start(), GRAIN, run),
            // Their own checksums need the payload, so there is nothing to gain from tables.
            RunSource::Grains { .. } => self.add_read(sum, len, at - run.start(), GRAIN_STRIDE, run),
            RunSource::Framed { inner, framing } => self.add_framed(sum, inner, *framing, at, at + len),
        }
    }

    fn add_framed(
        &mut self,
        sum: &mut Sum,
        inner: &Layout,
        framing: Framing,
        mut at: u64,
        end: u64,
    ) -> io::Result<()> {
        let (chunk, head) = (framing.chunk_len(), framing.header_len());
        while at < end {
            let (index, phase) = (at / (chunk + head), at % (chunk + head));
            let begin = index * chunk;
            let payload = chunk.min(inner.len() - begin);
            let stop = (phase + (end - at)).min(head + payload);
            if phase < head {
                let (header, _) = framing.header(index, payload);
                sum.bytes(&header[phase as usize..stop.min(head) as usize]);
            }
            self.add(sum, inner, begin + phase.saturating_sub(head), begin + stop.saturating_sub(head))?;
            at += stop - phase;
        }
        Ok(())
    }

    fn add_blob(&mut self, sum: &mut Sum, range: &BlobRange) -> io::Result<()> {
        let table = self.table(&range.digest)?;
        let (mut at, end) = (range.offset, range.offset + range.len);
        if end > table.size() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a layout wants {end} bytes of blob {}, which has {}", range.digest, table.size()),
            ));
        }
        while at < end {
            let index = at / GRAIN;
            let grain_end = ((index + 1) * GRAIN).min(table.size());
            let stop = end.min(grain_end);
            if at == index * GRAIN && stop == grain_end {
                let grain = table.grains().get(index as usize).ok_or(io::ErrorKind::InvalidData)?;
                sum.append(sum.kind.pick(grain), stop - at);
            } else {
                let len = (stop - at) as usize;
                self.scratch.resize(GRAIN as usize, 0);
                let buf = &mut self.scratch[..len];
                self.blobs.read_exact_at(&range.digest, at, buf)?;
                sum.bytes(buf);
            }
            at = stop;
        }
        Ok(())
    }

    /// `len` bytes from `at` on of the run's window, read in steps that end where a unit of what the run
    /// makes does.
    fn add_read(&mut self, sum: &mut Sum, len: u64, mut at: u64, unit: u64, run: &Run) -> io::Result<()> {
        let mut layout = crate::LayoutBuilder::new();
        layout.run(run.clone());
        let layout = layout.build();
        let end = at + len;
        while at < end {
            let room = unit - (run.start() + at) % unit;
            self.scratch.resize(room.min(end - at) as usize, 0);
            layout.read_exact_at(self.blobs, at, &mut self.scratch)?;
            sum.bytes(&self.scratch);
            at += self.scratch.len() as u64;
        }
        Ok(())
    }

    fn table(&mut self, digest: &Digest) -> io::Result<Arc<BlobChecks>> {
        if let Some(table) = self.tables.get(digest) {
            return Ok(Arc::clone(table));
        }
        let table = self.blobs.checks(digest)?;
        self.tables.insert(*digest, Arc::clone(&table));
        Ok(table)
    }
}

fn add_repeat(sum: &mut Sum, pattern: &[u8], at: u64, len: u64) {
    let period = pattern.len() as u64;
    let phase = at % period;
    // The end of a first copy, whole copies, the beginning of a last one.
    let head = ((period - phase) % period).min(len);
    sum.bytes(&pattern[phase as usize..(phase + head) as usize]);
    let count = (len - head) / period;
    if count > 0 {
        let value = sum.kind.field().repeat(sum.kind.of(pattern), period, count);
        sum.append(value, count * period);
    }
    sum.bytes(&pattern[..((len - head) % period) as usize]);
}

/// The last offset in `after + 1 ..= until` at which a layout can be cut without a blob's grain being
/// torn, so that the CRCs of both sides need no payload; `until` itself when there is none.
pub fn cheap_cut(layout: &Layout, after: u64, until: u64) -> u64 {
    find_cut(layout, after, until).unwrap_or(until)
}

fn find_cut(layout: &Layout, after: u64, until: u64) -> Option<u64> {
    let (extent, part) = layout.overlapping(until.saturating_sub(1), until).next()?;
    let (inside, begin) = (part.end, until - part.end);
    let floor = after.saturating_sub(begin);
    let in_extent = match extent {
        Extent::Blob(range) if inside < range.len => {
            inside.checked_sub((range.offset + inside) % GRAIN).filter(|&cut| cut > floor)
        }
        Extent::Run(run) if inside < run.len() => match run.source() {
            RunSource::Framed { inner, framing } => find_framed_cut(run, inner, *framing, floor, inside),
            RunSource::Repeat(_) | RunSource::Numbers(_) | RunSource::Grains { .. } => Some(inside),
        },
        _ => Some(inside),
    };
    in_extent.map(|cut| begin + cut).or(Some(begin)).filter(|&cut| cut > after)
}

/// [`find_cut`] inside a framed run, offsets counted in its window.
fn find_framed_cut(run: &Run, inner: &Layout, framing: Framing, after: u64, until: u64) -> Option<u64> {
    let (chunk, head) = (framing.chunk_len(), framing.header_len());
    let payload_before = |offset: u64| {
        let at = run.start() + offset;
        at / (chunk + head) * chunk + (at % (chunk + head)).saturating_sub(head)
    };
    let cut = find_cut(inner, payload_before(after), payload_before(until))?;
    // In front of a chunk's header, or as far inside the chunk.
    let at = match cut % chunk {
        0 => cut / chunk * (chunk + head),
        inside => cut / chunk * (chunk + head) + head + inside,
    };
    at.checked_sub(run.start()).filter(|&cut| cut > after)
}

#[cfg(test)]
mod tests;
