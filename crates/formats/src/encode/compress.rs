//! Compressing a blob once, ahead, into a part that encoders splice in.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use flate2::{Compress, Compression, FlushCompress};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use xz2::stream::{Action, Filters, LzmaOptions, Status, Stream};

use super::{Codec, xz};
use crate::Digest;
use crate::checksum::GrainChecks;

/// The settings of parts; a change of any makes other bytes, so they belong into a part's key.
const ZSTD_LEVEL: i32 = 12;
const DEFLATE_LEVEL: u32 = 6;
const XZ_PRESET: u32 = 0;

/// Dictionary of the xz preset 0, as block headers say it.
const XZ_DICTIONARY: u32 = 256 << 10;

/// Input is handed to compressors in pieces of this many bytes whatever the reader gives, since some
/// compressors' output depends on it.
const PIECE: usize = 128 << 10;

/// Compressed blobs by the digests of what they unpack to.
pub type CompressedBlobs = BTreeMap<Digest, CompressedBlob>;

/// How a blob was compressed, and where: all that an encoder needs to splice it in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompressedBlob {
    /// The codec.
    pub codec: Codec,
    /// The compressed bytes: xz blocks back to back, one Zstandard frame, or Deflate blocks that end on a
    /// byte boundary without a final one.
    pub part: Digest,
    /// Length of the compressed bytes.
    pub part_len: u64,
    /// Length of the blob.
    pub len: u64,
    /// The xz blocks in order; empty for other codecs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<XzBlock>,
}

/// Sizes of an xz block as its index wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct XzBlock {
    /// Header, data and check, without the padding between the last two.
    pub unpadded: u64,
    /// What it unpacks to.
    pub uncompressed: u64,
}

/// A description of a compressed blob that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPart {
    /// The xz blocks do not add up to the part or to the blob.
    #[error("its {count} xz blocks do not add up to {part_len} bytes that unpack to {len}")]
    Blocks {
        /// Number of blocks.
        count: usize,
        /// Length of the part.
        part_len: u64,
        /// Length of the blob.
        len: u64,
    },
    /// Another codec than xz, yet xz blocks.
    #[error("it is {codec} and lists xz blocks")]
    Foreign {
        /// The codec.
        codec: Codec,
    },
}

/// What kept a blob from being compressed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompressError {
    /// The blob could not be read.
    #[error("reading the blob to compress failed: {0}")]
    Read(#[source] io::Error),
    /// The part could not be written.
    #[error("writing the compressed blob failed: {0}")]
    Write(#[source] io::Error),
    /// The blob is not as long as was said.
    #[error("the blob to compress has {found} bytes instead of {expected}")]
    Length {
        /// The length that was said.
        expected: u64,
        /// Bytes that were there; one more than expected when there were more.
        found: u64,
    },
    /// The compressor gave up, which is for lack of memory.
    #[error("the {codec} compressor failed: {reason}")]
    Codec {
        /// The codec.
        codec: Codec,
        /// What it said.
        reason: String,
    },
}

impl Codec {
    /// A canonical text for the key of the part that holds `blob` compressed: it changes whenever the
    /// bytes would.
    pub fn part_subject(self, blob: &Digest) -> String {
        let settings = match self {
            Self::Xz => format!("preset={XZ_PRESET} block={} check=crc64", xz::BLOCK),
            Self::Zstd => format!("level={ZSTD_LEVEL}"),
            Self::Gzip => format!("level={DEFLATE_LEVEL}"),
        };
        format!("compressed/v1 {self} {settings} {blob}")
    }
}

impl CompressedBlob {
    /// Whether the description is sound in itself.
    pub(super) fn check(&self) -> Result<(), InvalidPart> {
        if self.codec != Codec::Xz {
            let sound = self.blocks.is_empty();
            return if sound { Ok(()) } else { Err(InvalidPart::Foreign { codec: self.codec }) };
        }
        // An overflow leaves nothing, which equals no length.
        let sum = |length: fn(&XzBlock) -> Option<u64>| {
            self.blocks.iter().try_fold(0_u64, |sum, block| sum.checked_add(length(block)?))
        };
        if sum(|block| block.unpadded.checked_next_multiple_of(4)) == Some(self.part_len)
            && sum(|block| Some(block.uncompressed)) == Some(self.len)
        {
            Ok(())
        } else {
            let (count, part_len, len) = (self.blocks.len(), self.part_len, self.len);
            Err(InvalidPart::Blocks { count, part_len, len })
        }
    }
}

/// Compresses a blob of `len` bytes. The bytes written depend on nothing but the blob, the codec and the
/// versions of the compressors.
///
/// # Errors
/// See [`CompressError`]; what was written so far is of no use then.
pub fn compress_blob(
    codec: Codec,
    len: u64,
    input: &mut dyn Read,
    output: &mut dyn Write,
) -> Result<CompressedBlob, CompressError> {
    let mut input = Input { reader: input, left: len, len };
    let mut output = Output { writer: output, hash: Sha256::new(), len: 0 };
    let mut blocks = Vec::new();
    match codec {
        Codec::Xz => blocks = compress_xz(&mut input, &mut output)?,
        Codec::Zstd => compress_zstd(len, &mut input, &mut output)?,
        Codec::Gzip => compress_deflate(&mut input, &mut output)?,
    }
    input.finish()?;
    let part = Digest::from_bytes(output.hash.finalize().into());
    Ok(CompressedBlob { codec, part, part_len: output.len, len, blocks })
}

/// Reads exactly what was announced, in full pieces.
struct Input<'a> {
    reader: &'a mut dyn Read,
    left: u64,
    len: u64,
}

impl Input<'_> {
    /// The next bytes, as many as fit; none at the end.
    fn fill<'b>(&mut self, buf: &'b mut [u8]) -> Result<&'b [u8], CompressError> {
        let want = self.left.min(buf.len() as u64) as usize;
        let mut done = 0;
        while done < want {
            match self.reader.read(&mut buf[done..want]) {
                Ok(0) => {
                    let found = self.len - self.left + done as u64;
                    return Err(CompressError::Length { expected: self.len, found });
                }
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(CompressError::Read(error)),
            }
        }
        self.left -= want as u64;
        Ok(&buf[..want])
    }

    /// Makes sure that nothing follows.
    fn finish(self) -> Result<(), CompressError> {
        match self.reader.take(1).read_to_end(&mut Vec::new()).map_err(CompressError::Read)? {
            0 => Ok(()),
            _ => Err(CompressError::Length { expected: self.len, found: self.len + 1 }),
        }
    }
}

/// Hashes what it writes.
struct Output<'a> {
    writer: &'a mut dyn Write,
    hash: Sha256,
    len: u64,
}

impl Write for Output<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let count = self.writer.write(buf)?;
        self.hash.update(&buf[..count]);
        self.len += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Raw LZMA2 in blocks of our own: the library's encoder of whole streams would add what is cut off again.
fn compress_xz(input: &mut Input<'_>, output: &mut Output<'_>) -> Result<Vec<XzBlock>, CompressError> {
    let failed =
        |error: xz2::stream::Error| CompressError::Codec { codec: Codec::Xz, reason: error.to_string() };
    let mut blocks = Vec::new();
    let mut buf = vec![0; xz::BLOCK as usize];
    let mut data = Vec::new();
    loop {
        let bytes = input.fill(&mut buf)?;
        if bytes.is_empty() {
            return Ok(blocks);
        }
        let mut filters = Filters::new();
        filters.lzma2(LzmaOptions::new_preset(XZ_PRESET).map_err(failed)?.dict_size(XZ_DICTIONARY));
        let mut stream = Stream::new_raw_encoder(&filters).map_err(failed)?;
        data.clear();
        loop {
            data.reserve(PIECE);
            let rest = &bytes[stream.total_in() as usize..];
            if stream.process_vec(rest, &mut data, Action::Finish).map_err(failed)? == Status::StreamEnd {
                break;
            }
        }
        let (compressed, uncompressed) = (data.len() as u64, bytes.len() as u64);
        let header = xz::block_header(compressed, uncompressed);
        let check = GrainChecks::of(bytes).crc64.to_le_bytes();
        for piece in [&header, &data, &xz::block_end(compressed, &check)] {
            output.write_all(piece).map_err(CompressError::Write)?;
        }
        blocks
            .push(XzBlock { unpadded: header.len() as u64 + compressed + check.len() as u64, uncompressed });
    }
}

/// One frame with its content size and without a checksum, by a single thread.
fn compress_zstd(len: u64, input: &mut Input<'_>, output: &mut Output<'_>) -> Result<(), CompressError> {
    let failed = |error: io::Error| CompressError::Codec { codec: Codec::Zstd, reason: error.to_string() };
    let mut encoder = zstd::Encoder::new(output, ZSTD_LEVEL).map_err(failed)?;
    encoder.set_pledged_src_size(Some(len)).map_err(failed)?;
    encoder.include_checksum(false).map_err(failed)?;
    let mut buf = vec![0; PIECE];
    loop {
        let bytes = input.fill(&mut buf)?;
        if bytes.is_empty() {
            break;
        }
        encoder.write_all(bytes).map_err(CompressError::Write)?;
    }
    encoder.finish().map_err(CompressError::Write)?;
    Ok(())
}

/// Deflate blocks, ended by an empty stored one on a byte boundary.
fn compress_deflate(input: &mut Input<'_>, output: &mut Output<'_>) -> Result<(), CompressError> {
    let mut codec = Compress::new(Compression::new(DEFLATE_LEVEL), false);
    let mut buf = vec![0; PIECE];
    let mut packed = vec![0; PIECE];
    loop {
        let mut bytes = input.fill(&mut buf)?;
        let last = input.left == 0;
        let flush = if last { FlushCompress::Sync } else { FlushCompress::None };
        loop {
            let (taken, made) = (codec.total_in(), codec.total_out());
            codec
                .compress(bytes, &mut packed, flush)
                .map_err(|error| CompressError::Codec { codec: Codec::Gzip, reason: error.to_string() })?;
            bytes = &bytes[(codec.total_in() - taken) as usize..];
            let made = (codec.total_out() - made) as usize;
            output.write_all(&packed[..made]).map_err(CompressError::Write)?;
            // A buffer that was not filled up says that nothing is held back.
            if bytes.is_empty() && made < packed.len() {
                break;
            }
        }
        if last {
            return Ok(());
        }
    }
}
