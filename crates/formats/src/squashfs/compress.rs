//! Compressing single blocks.

use std::io::{self, Write};

use xz2::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};

use super::{BLOCK_SIZE, Compressor};

/// zstd level of data and metadata blocks.
pub(super) const ZSTD_LEVEL: i32 = 18;

/// Blocks shorter than this are stored: frames alone take almost as much.
const WORTHWHILE: usize = 64;

/// Smallest dictionary that the xz format knows.
const XZ_MIN_DICTIONARY: usize = 4096;

/// A compressor that is used for one block after the other.
pub(super) enum Worker {
    Zstd(zstd::bulk::Compressor<'static>),
    Xz,
    Gzip,
}

impl Worker {
    pub(super) fn new(compressor: Compressor) -> io::Result<Self> {
        Ok(match compressor {
            Compressor::Zstd => Self::Zstd(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
            Compressor::Xz => Self::Xz,
            Compressor::Gzip => Self::Gzip,
        })
    }

    /// The compressed block, or `None` when that would not be smaller.
    pub(super) fn compress(&mut self, block: &[u8]) -> io::Result<Option<Vec<u8>>> {
        if block.len() < WORTHWHILE {
            return Ok(None);
        }
        let compressed = match self {
            // One call with the size known: tables are cut to it, so small blocks are cheap.
            Self::Zstd(zstd) => zstd.compress(block)?,
            Self::Xz => xz(block)?,
            Self::Gzip => {
                let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(9));
                zlib.write_all(block)?;
                zlib.finish()?
            }
        };
        Ok((compressed.len() < block.len()).then_some(compressed))
    }
}

/// One xz stream with CRC-32, the only check besides none that the kernel knows.
fn xz(block: &[u8]) -> io::Result<Vec<u8>> {
    let mut options = LzmaOptions::new_preset(6)?;
    options.dict_size(block.len().clamp(XZ_MIN_DICTIONARY, BLOCK_SIZE) as u32);
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let mut stream = Stream::new_stream_encoder(&filters, Check::Crc32)?;
    // Stored chunks, headers and index fit, so the first call is the last one.
    let mut out = Vec::with_capacity(block.len() + block.len() / 1024 + 256);
    match stream.process_vec(block, &mut out, Action::Finish)? {
        Status::StreamEnd => Ok(out),
        _ => Err(io::Error::other("xz needs more room than its format can take")),
    }
}
