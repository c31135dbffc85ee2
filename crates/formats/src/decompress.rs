//! Recognising and undoing compression, in bounded memory.
//!
//! Image layers, initramfs archives, kernel modules and kernels come compressed in one of a few ways. The
//! first bytes say which; names and media types are not trusted.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use xz2::bufread::XzDecoder;
use xz2::stream::{CONCATENATED, Stream};

/// Memory that an xz or lzma decoder may take: the dictionary of preset 9 is half of it.
const LZMA_MEMORY: u64 = 128 << 20;

/// Largest zstd window, as a power of two: what the Linux kernel accepts as well.
const ZSTD_WINDOW_LOG: u32 = 27;

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// They are not.
    None,
    /// RFC 1952 members.
    Gzip,
    /// `.xz` streams.
    Xz,
    /// RFC 8878 frames.
    Zstd,
    /// The old `.lzma` format, which has no magic worth the name.
    Lzma,
}

/// Bytes that [`Compression::sniff`] looks at.
pub const MAGIC_LEN: usize = 6;

impl Compression {
    /// Recognises the first bytes of a file. Fewer than [`MAGIC_LEN`] are fine; `.lzma` is never
    /// recognised, as any text could be one.
    pub fn sniff(head: &[u8]) -> Self {
        match head {
            [0x1F, 0x8B, ..] => Self::Gzip,
            [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Self::Zstd,
            // A skippable frame; nothing but zstd (and lz4, which nobody uses here) begins so.
            [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// The uncompressed bytes. Members, streams and frames that follow one another count as one file;
    /// anything else behind them is an error.
    ///
    /// # Errors
    /// When a decoder cannot be set up.
    pub fn decoder<'a, R: BufRead + 'a>(self, compressed: R) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::None => Box::new(compressed),
            Self::Gzip => Box::new(MultiGzDecoder::new(compressed)),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(LZMA_MEMORY, CONCATENATED)?;
                Box::new(XzDecoder::new_stream(compressed, stream))
            }
            Self::Lzma => {
                let stream = Stream::new_lzma_decoder(LZMA_MEMORY)?;
                Box::new(XzDecoder::new_stream(compressed, stream))
            }
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

/// The uncompressed bytes of a stream whose compression its first bytes tell.
///
/// # Errors
/// Those of reading the first bytes and of setting up a decoder.
pub fn sniffing_decoder<'a, R: BufRead + 'a>(mut compressed: R) -> io::Result<Box<dyn Read + 'a>> {
    // A buffered reader need not give more than one byte at a time, so the head is read and put back.
    let mut head = Vec::with_capacity(MAGIC_LEN);
    (&mut compressed).take(MAGIC_LEN as u64).read_to_end(&mut head)?;
    let compression = Compression::sniff(&head);
    compression.decoder(io::Cursor::new(head).chain(compressed))
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = xz2::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(bytes, 1).unwrap()
    }

    fn decoded(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        sniffing_decoder(BufReader::with_capacity(1, bytes))?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn every_kind_in_two_parts() {
        for pack in [gzip, xz, zstd, <[u8]>::to_vec] {
            let parts = [pack(b"hello "), pack(b"world")].concat();
            assert_eq!(decoded(&parts).unwrap(), b"hello world");
        }
        for short in [&b""[..], b"x", b"\x1f"] {
            assert_eq!(decoded(short).unwrap(), short);
        }
    }

    #[test]
    fn cut_and_dirty_files_are_errors() {
        for pack in [gzip, xz, zstd] {
            let whole = pack(b"hello world");
            assert!(decoded(&whole[..whole.len() - 3]).is_err());
            assert!(decoded(&[&whole[..], b"rubbish"].concat()).is_err());
        }
    }
}
