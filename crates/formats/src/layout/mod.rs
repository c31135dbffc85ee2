//! Layouts: the exact bytes of a file as a list of extents, and the engine that streams them.
//!
//! A layout is cheap: it holds metadata and references, never payload. Its length is known before a
//! byte is read, any range of it can be read on its own, and layouts nest by [`LayoutBuilder::append`]
//! and [`Layout::slice`], so a UKI can be part of a FAT volume, which is part of an ISO, which an
//! encoder turns into an `.xz` file: all of them are layouts.

mod builder;
mod extent;
mod grains;
mod numbers;
mod read;
mod run;

pub use builder::LayoutBuilder;
pub use extent::{BlobRange, Extent};
pub use grains::{GRAIN_LEN, GRAIN_STRIDE};
pub use numbers::{NumberForm, Numbers};
pub use read::{Cursor, Piece, ReadBlob};
pub use run::{Framing, Run, RunSource};

use std::ops::Range;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::Digest;

/// The exact bytes of a file: extents back to back, each with at least one byte.
#[derive(Clone, Default)]
pub struct Layout {
    extents: Arc<[Extent]>,
    /// `ends[i]` is the offset just behind extent `i`.
    ends: Arc<[u64]>,
}

impl Layout {
    /// A layout of nothing but the given bytes.
    pub fn from_bytes(bytes: impl Into<bytes::Bytes>) -> Self {
        let mut builder = LayoutBuilder::new();
        builder.bytes(bytes);
        builder.build()
    }

    /// A layout of one whole blob of `len` bytes.
    pub fn from_blob(digest: Digest, len: u64) -> Self {
        let mut builder = LayoutBuilder::new();
        builder.blob(BlobRange { digest, offset: 0, len });
        builder.build()
    }

    fn new(extents: Vec<Extent>) -> Self {
        let mut end = 0;
        let ends = extents
            .iter()
            .map(|extent| {
                end += extent.len();
                end
            })
            .collect();
        Self { extents: extents.into(), ends }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Whether there is no byte at all.
    pub fn is_empty(&self) -> bool {
        self.extents.is_empty()
    }

    /// The extents in order.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The extents with the offset at which each begins.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Extent)> {
        self.extents.iter().zip(self.ends.iter()).map(|(extent, end)| (end - extent.len(), extent))
    }

    /// The extents that hold the bytes `start..end`, each with the range of it that is meant, counted
    /// from the extent's own beginning and never empty. Both ends are cut to the length.
    pub fn overlapping(&self, start: u64, end: u64) -> impl Iterator<Item = (&Extent, Range<u64>)> {
        let first = self.ends.partition_point(|&extent_end| extent_end <= start);
        let extents = self.extents.iter().zip(self.ends.iter()).skip(first);
        extents
            .map(move |(extent, &extent_end)| {
                let begin = extent_end - extent.len();
                let from = start.saturating_sub(begin);
                (extent, from..end.min(extent_end).saturating_sub(begin))
            })
            .take_while(|(_, part)| !part.is_empty())
    }

    /// The bytes `start..end` as a layout of their own; both ends are cut to the length.
    pub fn slice(&self, start: u64, end: u64) -> Self {
        if start == 0 && end >= self.len() {
            return self.clone();
        }
        let mut builder = LayoutBuilder::new();
        for (extent, part) in self.overlapping(start, end) {
            builder.extent(extent.slice(part.start, part.end - part.start));
        }
        builder.build()
    }

    /// Bytes that the layout itself holds in memory.
    pub fn inline_len(&self) -> usize {
        let extents = self.extents.iter().map(|extent| match extent {
            Extent::Bytes(bytes) => bytes.len(),
            Extent::Run(run) => match run.source() {
                RunSource::Repeat(pattern) => pattern.len(),
                RunSource::Numbers(_) => 0,
                RunSource::Framed { inner, .. } | RunSource::Grains { inner, .. } => inner.inline_len(),
            },
            Extent::Zero(_) | Extent::Blob(_) => 0,
        });
        extents.sum::<usize>() + size_of_val(&*self.extents) + size_of_val(&*self.ends)
    }

    /// Every blob that reading this layout may touch, sorted, each once.
    pub fn blobs(&self) -> Vec<Digest> {
        let mut out = Vec::new();
        self.collect_blobs(&mut out);
        out.sort_unstable();
        out.dedup();
        out
    }

    fn collect_blobs(&self, out: &mut Vec<Digest>) {
        for extent in self.extents.iter() {
            match extent {
                Extent::Blob(range) => out.push(range.digest),
                Extent::Run(run) => {
                    if let RunSource::Framed { inner, .. } | RunSource::Grains { inner, .. } = run.source() {
                        inner.collect_blobs(out);
                    }
                }
                Extent::Zero(_) | Extent::Bytes(_) => {}
            }
        }
    }

    /// A digest of the description: equal layouts have equal fingerprints, and layouts with equal
    /// fingerprints have equal bytes. Costs no blob read, so it serves as a strong `ETag`.
    pub fn fingerprint(&self) -> Digest {
        let mut hash = Sha256::new();
        self.describe(&mut hash);
        Digest::from_bytes(hash.finalize().into())
    }

    fn describe(&self, hash: &mut Sha256) {
        hash.update((self.extents.len() as u64).to_le_bytes());
        for extent in self.extents.iter() {
            hash.update(extent.len().to_le_bytes());
            match extent {
                Extent::Zero(_) => hash.update([0]),
                Extent::Bytes(bytes) => {
                    hash.update([1]);
                    hash.update(bytes);
                }
                Extent::Blob(range) => {
                    hash.update([2]);
                    hash.update(range.digest.as_bytes());
                    hash.update(range.offset.to_le_bytes());
                }
                Extent::Run(run) => {
                    hash.update([3]);
                    hash.update(run.start().to_le_bytes());
                    match run.source() {
                        RunSource::Repeat(pattern) => {
                            hash.update([0]);
                            hash.update((pattern.len() as u64).to_le_bytes());
                            hash.update(pattern);
                        }
                        RunSource::Numbers(numbers) => {
                            hash.update([1, numbers.form.tag()]);
                            hash.update(numbers.first.to_le_bytes());
                            hash.update(numbers.step.to_le_bytes());
                        }
                        RunSource::Framed { inner, framing } => {
                            hash.update([2, framing.tag()]);
                            inner.describe(hash);
                        }
                        RunSource::Grains { inner, first } => {
                            hash.update([3]);
                            hash.update(first.to_le_bytes());
                            inner.describe(hash);
                        }
                    }
                }
            }
        }
    }
}

impl std::fmt::Debug for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut list = f.debug_list();
        for (offset, extent) in self.iter() {
            list.entry(&format_args!("{offset:#x}: {extent:?}"));
        }
        list.finish()
    }
}

#[cfg(test)]
mod tests;
