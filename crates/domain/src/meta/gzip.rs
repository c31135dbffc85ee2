//! Compression of META values, in the shape that the reference's encoder gives.
//!
//! The word stands on the kernel command line, which is measured and compared: where it can be the same as
//! the reference's, it is. Its encoder writes the data in blocks that are not final and ends with an empty
//! stored block that is (RFC 1951, 3.2.3 and 3.2.4); other encoders mark the last block with data. With that
//! ending, the streams are equal for the short and repetitive texts that META values are; for others they
//! may differ in their choice of matches, and nodes read both.

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

/// Magic, deflate, no flags, no time, "slowest", unknown system (RFC 1952, 2.3).
const HEADER: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 2, 255];

/// What an empty stored block ends with: its length and its complement.
const EMPTY: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// One gzip member with `text`. `None` when the encoder gives what it should not.
pub(super) fn member(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = HEADER.to_vec();
    out.extend(deflate(text)?);
    let mut crc = Crc::new();
    crc.update(text);
    out.extend(crc.sum().to_le_bytes());
    out.extend((text.len() as u32).to_le_bytes());
    Some(out)
}

/// The data and a final empty stored block.
fn deflate(text: &[u8]) -> Option<Vec<u8>> {
    let mut codec = Compress::new(Compression::best(), false);
    let mut stream = Vec::with_capacity(text.len() + 64);
    codec.compress_vec(text, &mut stream, FlushCompress::Sync).ok()?;
    // A flush ends with an empty stored block that is not final: three header bits, zeros up to a whole byte,
    // then its length. Which of those zeros is the "final" bit only a decoder can tell.
    let head = stream.len().checked_sub(EMPTY.len())?;
    if stream.get(head..)? != EMPTY || codec.total_in() != text.len() as u64 {
        return None;
    }
    (1..=10).find_map(|back| {
        let bit = (head * 8).checked_sub(back)?;
        let mut candidate = stream.clone();
        let byte = candidate.get_mut(bit / 8)?;
        let mask = 1 << (bit % 8);
        if *byte & mask != 0 {
            return None;
        }
        *byte |= mask;
        ends_with(&candidate, text).then_some(candidate)
    })
}

/// Whether a stream gives `text` and is over with its last byte.
fn ends_with(stream: &[u8], text: &[u8]) -> bool {
    let mut codec = Decompress::new(false);
    let mut out = Vec::with_capacity(text.len() + 1);
    let status = codec.decompress_vec(stream, &mut out, FlushDecompress::Finish);
    matches!(status, Ok(Status::StreamEnd)) && codec.total_in() == stream.len() as u64 && out == text
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_survives(text in prop::collection::vec(any::<u8>(), 0..3000)) {
            let member = member(&text).unwrap();
            let mut out = Vec::new();
            flate2::read::GzDecoder::new(&member[..]).read_to_end(&mut out).unwrap();
            prop_assert_eq!(out, text);
        }
    }
}
