//! Contents of files: blocks, and fragments made of tails.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, Write};
use std::num::NonZeroUsize;

use sha2::{Digest as _, Sha256};

use super::compress::Worker;
use super::inode::blocks_of;
use super::{BLOCK_SIZE, Compressor};
use crate::file_tree::Span;

/// Blocks that are read before they are compressed together.
const BATCH: usize = 32;
/// Bit of a block's size that says it is stored as it is.
const STORED: u32 = 1 << 24;

/// Where a file's content is in the image.
#[derive(Clone, Debug, Default)]
pub(super) struct FileData {
    pub(super) size: u64,
    /// Offset of its first block that is not zeros.
    pub(super) start: Option<u64>,
    /// Stored sizes of its blocks; 0 is a block of zeros that takes no room.
    pub(super) blocks: Vec<u32>,
    /// Index of the fragment with its tail and the offset in it.
    pub(super) fragment: Option<(u32, u32)>,
    /// Bytes of its blocks of zeros.
    pub(super) sparse: u64,
}

/// A block on its way.
struct Job {
    owner: Owner,
    bytes: Vec<u8>,
    compressed: io::Result<Option<Vec<u8>>>,
}

enum Owner {
    Block { file: usize, index: usize },
    Fragment,
}

/// Writes contents behind each other to the image.
pub(super) struct DataWriter<'a, W> {
    out: &'a mut W,
    at: u64,
    compressor: Compressor,
    threads: usize,
    /// Made when they are needed; small images need none.
    workers: Vec<Worker>,
    batch: Vec<Job>,
    files: Vec<FileData>,
    /// Tails that will be the next fragment.
    tails: Vec<u8>,
    fragments_begun: u32,
    /// Offset and stored size of each fragment.
    fragments: Vec<(u64, u32)>,
}

/// All contents.
pub(super) struct Contents {
    pub(super) files: Vec<FileData>,
    pub(super) fragments: Vec<(u64, u32)>,
    /// Offset behind the last block.
    pub(super) end: u64,
}

impl<'a, W: Write> DataWriter<'a, W> {
    /// Blocks begin at `at`, where `out` stands.
    pub(super) fn new(out: &'a mut W, at: u64, compressor: Compressor, threads: NonZeroUsize) -> Self {
        Self {
            out,
            at,
            compressor,
            threads: threads.get(),
            workers: Vec::new(),
            batch: Vec::new(),
            files: Vec::new(),
            tails: Vec::new(),
            fragments_begun: 0,
            fragments: Vec::new(),
        }
    }

    /// Takes the next file and gives its index in [`Contents::files`].
    pub(super) fn file(&mut self, size: u64, content: &mut dyn Read) -> io::Result<usize> {
        let file = self.files.len();
        let (blocks, tail) = blocks_of(size);
        self.files.push(FileData { size, blocks: vec![0; blocks as usize], ..FileData::default() });
        for index in 0..blocks as usize {
            let mut bytes = vec![0; BLOCK_SIZE];
            content.read_exact(&mut bytes)?;
            if bytes.iter().all(|&byte| byte == 0) {
                self.files[file].sparse += BLOCK_SIZE as u64;
            } else {
                self.push(Owner::Block { file, index }, bytes)?;
            }
        }
        if tail > 0 {
            if self.tails.len() + tail > BLOCK_SIZE {
                self.close_fragment()?;
            }
            let start = self.tails.len();
            self.tails.resize(start + tail, 0);
            content.read_exact(&mut self.tails[start..])?;
            self.files[file].fragment = Some((self.fragments_begun, start as u32));
        }
        Ok(file)
    }

    fn close_fragment(&mut self) -> io::Result<()> {
        self.fragments_begun += 1;
        let bytes = std::mem::take(&mut self.tails);
        self.push(Owner::Fragment, bytes)
    }

    fn push(&mut self, owner: Owner, bytes: Vec<u8>) -> io::Result<()> {
        self.batch.push(Job { owner, bytes, compressed: Ok(None) });
        if self.batch.len() == BATCH { self.flush() } else { Ok(()) }
    }

    /// Compresses what waits, spread over the workers, and writes it in order.
    fn flush(&mut self) -> io::Result<()> {
        let share = self.batch.len().div_ceil(self.threads).max(1);
        while self.workers.len() < self.batch.len().div_ceil(share) {
            self.workers.push(Worker::new(self.compressor)?);
        }
        let mut shares = self.batch.chunks_mut(share).zip(&mut self.workers);
        std::thread::scope(|scope| {
            let own = shares.next();
            for (jobs, worker) in shares {
                scope.spawn(|| compress(jobs, worker));
            }
            if let Some((jobs, worker)) = own {
                compress(jobs, worker);
            }
        });
        for job in self.batch.drain(..) {
            let compressed = job.compressed?;
            let (bytes, size) = match &compressed {
                Some(bytes) => (bytes, bytes.len() as u32),
                None => (&job.bytes, job.bytes.len() as u32 | STORED),
            };
            self.out.write_all(bytes)?;
            match job.owner {
                Owner::Fragment => self.fragments.push((self.at, size)),
                Owner::Block { file, index } => {
                    let file = &mut self.files[file];
                    file.start.get_or_insert(self.at);
                    file.blocks[index] = size;
                }
            }
            self.at += bytes.len() as u64;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<Contents> {
        if !self.tails.is_empty() {
            self.close_fragment()?;
        }
        self.flush()?;
        Ok(Contents { files: self.files, fragments: self.fragments, end: self.at })
    }
}

fn compress(jobs: &mut [Job], worker: &mut Worker) {
    for job in jobs {
        job.compressed = worker.compress(&job.bytes);
    }
}

/// Says which contents were seen before. Contents are hashed only when another one has their length.
pub(super) struct Duplicates {
    /// How many distinct spans have a length.
    lengths: BTreeMap<u64, u32>,
    spans: BTreeMap<(u64, u64), usize>,
    digests: BTreeMap<[u8; 32], usize>,
}

/// A content that was not seen before, to be remembered with [`Duplicates::remember`].
pub(super) struct Unseen {
    span: Span,
    digest: Option<[u8; 32]>,
}

impl Duplicates {
    pub(super) fn new(spans: impl Iterator<Item = Span>) -> Self {
        let mut distinct: Vec<_> = spans.map(|span| (span.len, span.offset)).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let mut lengths = BTreeMap::new();
        distinct.into_iter().for_each(|(len, _)| *lengths.entry(len).or_insert(0) += 1);
        Self { lengths, spans: BTreeMap::new(), digests: BTreeMap::new() }
    }

    /// The index of an equal content.
    pub(super) fn find<R: Read + Seek>(
        &self,
        span: Span,
        spool: &mut R,
    ) -> io::Result<Result<usize, Unseen>> {
        if let Some(&index) = self.spans.get(&(span.offset, span.len)) {
            return Ok(Ok(index));
        }
        if span.len == 0 || self.lengths.get(&span.len).is_none_or(|&count| count < 2) {
            return Ok(Err(Unseen { span, digest: None }));
        }
        let mut hash = Sha256::new();
        io::copy(&mut span.open(spool)?, &mut Hashing(&mut hash))?;
        let digest = hash.finalize().into();
        Ok(self.digests.get(&digest).copied().ok_or(Unseen { span, digest: Some(digest) }))
    }

    pub(super) fn remember(&mut self, unseen: Unseen, index: usize) {
        self.spans.insert((unseen.span.offset, unseen.span.len), index);
        if let Some(digest) = unseen.digest {
            self.digests.insert(digest, index);
        }
    }
}

struct Hashing<'a>(&'a mut Sha256);

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
