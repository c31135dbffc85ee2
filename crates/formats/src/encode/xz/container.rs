//! The fixed parts of the .xz file format (specification 1.2.1; section numbers below are its own).

use crc_fast::{CrcAlgorithm, checksum};

/// The check behind each block's data (2.1.1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum XzCheck {
    /// CRC-32: the only one that every Linux kernel unpacks.
    Crc32,
    /// CRC-64, the default of `xz`.
    #[default]
    Crc64,
}

/// Ends the LZMA2 data of a block.
pub(super) const DATA_END: u8 = 0;

/// A dictionary of 256 KiB (5.3.1): that of preset 0, which parts are made with, and more than precomputed
/// zeros need.
const DICTIONARY: u8 = 12;

/// LZMA2 (5.3.1).
const FILTER_LZMA2: u8 = 0x21;

/// Compressed and uncompressed size stand in the block header; one filter (3.1.2).
const BLOCK_FLAGS: u8 = 0xC0;

fn crc32(bytes: &[u8]) -> [u8; 4] {
    (checksum(CrcAlgorithm::Crc32IsoHdlc, bytes) as u32).to_le_bytes()
}

fn stream_flags(check: XzCheck) -> [u8; 2] {
    match check {
        XzCheck::Crc32 => [0, 1],
        XzCheck::Crc64 => [0, 4],
    }
}

/// 2.1.1.
pub(super) fn stream_header(check: XzCheck) -> Vec<u8> {
    let flags = stream_flags(check);
    [b"\xFD7zXZ\0", &flags[..], &crc32(&flags)].concat()
}

/// 2.1.2. `index_len` is the length of the index before it.
pub(super) fn stream_footer(check: XzCheck, index_len: u64) -> Vec<u8> {
    let backward = (index_len / 4 - 1) as u32;
    let fields = [&backward.to_le_bytes()[..], &stream_flags(check)].concat();
    [&crc32(&fields)[..], &fields, b"YZ"].concat()
}

/// 3.1: the header of a block of `compressed` bytes of LZMA2 data that unpack to `uncompressed`.
pub(in super::super) fn block_header(compressed: u64, uncompressed: u64) -> Vec<u8> {
    let mut header = vec![0, BLOCK_FLAGS];
    put_number(&mut header, compressed);
    put_number(&mut header, uncompressed);
    header.extend_from_slice(&[FILTER_LZMA2, 1, DICTIONARY]);
    header.resize(header.len().next_multiple_of(4), 0);
    // The length with the CRC, in units of four bytes, less one.
    header[0] = (header.len() / 4) as u8;
    let crc = crc32(&header);
    header.extend_from_slice(&crc);
    header
}

/// What follows `compressed` bytes of data: padding (3.3) and the check (3.4).
pub(in super::super) fn block_end(compressed: u64, check: &[u8]) -> Vec<u8> {
    let mut end = vec![0; (compressed.next_multiple_of(4) - compressed) as usize];
    end.extend_from_slice(check);
    end
}

/// The index (4): the sizes of all blocks.
#[derive(Default)]
pub(super) struct Index {
    count: u64,
    records: Vec<u8>,
}

impl Index {
    /// Notes a block (4.3): its length without padding, and that of what it unpacks to.
    pub(super) fn push(&mut self, unpadded: u64, uncompressed: u64) {
        self.count += 1;
        put_number(&mut self.records, unpadded);
        put_number(&mut self.records, uncompressed);
    }

    pub(super) fn build(&self) -> Vec<u8> {
        let mut index = vec![0];
        put_number(&mut index, self.count);
        index.extend_from_slice(&self.records);
        index.resize(index.len().next_multiple_of(4), 0);
        let crc = crc32(&index);
        index.extend_from_slice(&crc);
        index
    }
}

/// 1.2: seven bits a byte, the lowest first, the highest bit set in all but the last.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_stream_is_the_well_known_32_bytes() {
        // What `xz < /dev/null` writes.
        let index = Index::default().build();
        let stream =
            [stream_header(XzCheck::Crc64), index.clone(), stream_footer(XzCheck::Crc64, index.len() as u64)];
        let want = "fd377a585a000004e6d6b446000000001cdf44211fb6f37d010000000004595a";
        assert_eq!(hex::encode(stream.concat()), want);
    }

    #[test]
    fn block_headers_say_how_long_they_are() {
        for (compressed, uncompressed) in [(1, 1), (200, 1 << 20), (1 << 40, 1 << 62)] {
            let header = block_header(compressed, uncompressed);
            assert_eq!((usize::from(header[0]) + 1) * 4, header.len());
        }
    }
}
