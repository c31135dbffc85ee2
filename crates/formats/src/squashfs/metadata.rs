//! Metadata: inodes, directories and tables in blocks of 8 KiB.

use std::io;

use super::compress::Worker;

/// Uncompressed bytes of a full block.
const BLOCK: usize = 8192;
/// Bit of a block's header that says it is stored as it is.
const STORED: u16 = 0x8000;

/// Where something begins in a stream of metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Offset of the block, in compressed bytes from the stream's start.
    pub(super) block: u32,
    /// Offset in the uncompressed block.
    pub(super) offset: u16,
}

impl Position {
    /// The form in which tables and the superblock refer to inodes and attributes.
    pub(super) fn reference(self) -> u64 {
        u64::from(self.block) << 16 | u64::from(self.offset)
    }
}

/// A stream of metadata blocks in memory.
#[derive(Default)]
pub(super) struct Stream {
    done: Vec<u8>,
    /// Offsets of the blocks in `done`.
    starts: Vec<u64>,
    open: Vec<u8>,
}

impl Stream {
    /// Where the next byte goes.
    pub(super) fn position(&self) -> Position {
        Position { block: self.done.len() as u32, offset: self.open.len() as u16 }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], worker: &mut Worker) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK - self.open.len()));
            self.open.extend_from_slice(now);
            bytes = rest;
            if self.open.len() == BLOCK {
                self.close(worker)?;
            }
        }
        Ok(())
    }

    fn close(&mut self, worker: &mut Worker) -> io::Result<()> {
        self.starts.push(self.done.len() as u64);
        let compressed = worker.compress(&self.open)?;
        let (header, bytes) = match &compressed {
            Some(bytes) => (bytes.len() as u16, bytes),
            None => (self.open.len() as u16 | STORED, &self.open),
        };
        self.done.extend_from_slice(&header.to_le_bytes());
        self.done.extend_from_slice(bytes);
        self.open.clear();
        Ok(())
    }

    /// The blocks, and the offset of each.
    pub(super) fn finish(mut self, worker: &mut Worker) -> io::Result<(Vec<u8>, Vec<u64>)> {
        if !self.open.is_empty() {
            self.close(worker)?;
        }
        Ok((self.done, self.starts))
    }
}

/// A table: metadata blocks that begin at `at` in the image, then a list of their offsets. Gives the
/// bytes and the offset of the list, which is what the superblock points to.
pub(super) fn table(records: &[u8], at: u64, worker: &mut Worker) -> io::Result<(Vec<u8>, u64)> {
    let mut stream = Stream::default();
    stream.push(records, worker)?;
    let (mut bytes, starts) = stream.finish(worker)?;
    let list = at + bytes.len() as u64;
    bytes.extend(starts.iter().flat_map(|start| (at + start).to_le_bytes()));
    Ok((bytes, list))
}
