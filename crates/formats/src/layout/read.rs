//! Reading layouts: at any place, or as a stream.

use std::io;

use super::{Extent, Layout};
use crate::Digest;

/// Contents of blobs, as a format sees them.
pub trait ReadBlob {
    /// Fills `buf` with the blob's bytes from `offset` on.
    ///
    /// # Errors
    /// `NotFound` when there is no such blob, `UnexpectedEof` when it ends before `buf` is full.
    fn read_exact_at(&self, digest: &Digest, offset: u64, buf: &mut [u8]) -> io::Result<()>;
}

/// Zeros shorter than this are filled in with their neighbours instead of ending a piece.
const ZERO_PIECE: u64 = 64 << 10;

/// Bytes that [`Layout::visit`] reads at a time.
const VISITED: u64 = 1 << 20;

static ZEROS: [u8; ZERO_PIECE as usize] = [0; ZERO_PIECE as usize];

/// What [`Cursor::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many bytes were written to the buffer's start.
    Data(usize),
    /// So many zero bytes come next; the buffer was left alone.
    Zeros(u64),
    /// Nothing is left.
    End,
}

/// A position in a range of a layout that moves forward as pieces are read.
#[derive(Clone, Debug)]
pub struct Cursor {
    layout: Layout,
    at: u64,
    end: u64,
}

impl Layout {
    /// Fills `buf` with the bytes from `offset` on.
    ///
    /// # Errors
    /// Those of the blobs, and `UnexpectedEof` when the layout ends before `buf` is full.
    pub fn read_exact_at(&self, blobs: &dyn ReadBlob, offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
        let end = offset.saturating_add(buf.len() as u64);
        for (extent, part) in self.overlapping(offset, end) {
            let (now, rest) = buf.split_at_mut((part.end - part.start) as usize);
            read_extent(extent, blobs, part.start, now)?;
            buf = rest;
        }
        if buf.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// All bytes. For small layouts and tests: this is the one call that holds an asset in memory.
    ///
    /// # Errors
    /// Those of the blobs.
    pub fn to_vec(&self, blobs: &dyn ReadBlob) -> io::Result<Vec<u8>> {
        let mut out = vec![0; self.len() as usize];
        self.read_exact_at(blobs, 0, &mut out)?;
        Ok(out)
    }

    /// The bytes, when they need no blob: `None` when any do.
    pub fn inline_bytes(&self) -> Option<Vec<u8>> {
        struct NoBlobs;
        impl ReadBlob for NoBlobs {
            fn read_exact_at(&self, _: &Digest, _: u64, _: &mut [u8]) -> io::Result<()> {
                Err(io::ErrorKind::NotFound.into())
            }
        }
        self.to_vec(&NoBlobs).ok()
    }

    /// Hands the bytes `start..end` to `each`, piece by piece; both ends are cut to the length.
    ///
    /// # Errors
    /// Those of the blobs.
    pub fn visit(
        &self,
        start: u64,
        end: u64,
        blobs: &dyn ReadBlob,
        each: &mut dyn FnMut(&[u8]),
    ) -> io::Result<()> {
        let mut cursor = self.cursor(start, end);
        let mut buf = vec![0; cursor.remaining().min(VISITED) as usize];
        loop {
            match cursor.next(blobs, &mut buf)? {
                Piece::Data(len) => each(&buf[..len]),
                Piece::Zeros(mut left) => {
                    while left > 0 {
                        let zeros = &ZEROS[..left.min(ZEROS.len() as u64) as usize];
                        each(zeros);
                        left -= zeros.len() as u64;
                    }
                }
                Piece::End => return Ok(()),
            }
        }
    }

    /// A stream of the bytes `start..end`; both ends are cut to the length.
    pub fn cursor(&self, start: u64, end: u64) -> Cursor {
        let end = end.min(self.len());
        Cursor { layout: self.clone(), at: start.min(end), end }
    }
}

impl Cursor {
    /// Bytes left.
    pub fn remaining(&self) -> u64 {
        self.end - self.at
    }

    /// Reads on: as many bytes as fit into `buf`, stopping in front of a long run of zeros, or the
    /// length of that run. After an error the position is unchanged.
    ///
    /// # Errors
    /// Those of the blobs.
    pub fn next(&mut self, blobs: &dyn ReadBlob, buf: &mut [u8]) -> io::Result<Piece> {
        if self.at == self.end || buf.is_empty() {
            return Ok(Piece::End);
        }
        let mut done = 0;
        for (extent, part) in self.layout.overlapping(self.at, self.end) {
            let here = part.end - part.start;
            if let Extent::Zero(_) = extent
                && here >= ZERO_PIECE
            {
                if done == 0 {
                    self.at += here;
                    return Ok(Piece::Zeros(here));
                }
                break;
            }
            let take = here.min((buf.len() - done) as u64) as usize;
            read_extent(extent, blobs, part.start, &mut buf[done..done + take])?;
            done += take;
            if done == buf.len() {
                break;
            }
        }
        self.at += done as u64;
        Ok(Piece::Data(done))
    }
}

fn read_extent(extent: &Extent, blobs: &dyn ReadBlob, inside: u64, buf: &mut [u8]) -> io::Result<()> {
    match extent {
        Extent::Zero(_) => buf.fill(0),
        Extent::Bytes(bytes) => {
            let start = inside as usize;
            buf.copy_from_slice(&bytes[start..start + buf.len()]);
        }
        Extent::Blob(range) => blobs.read_exact_at(&range.digest, range.offset + inside, buf)?,
        Extent::Run(run) => run.read(blobs, inside, buf)?,
    }
    Ok(())
}
