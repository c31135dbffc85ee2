//! CRC-32 and CRC-64 of one blob, kept per grain.

use crc_fast::{CrcAlgorithm, checksum};

/// Bytes that one pair of values covers: as many as the smallest chunk of a stored stream that may be packed
/// once more, which is LZMA2's. The last grain of a blob may be shorter.
pub const GRAIN: u64 = 64 << 10;

/// CRC-32 (ISO-HDLC, as in gzip) and CRC-64 (as in xz) of each grain of one blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobChecks {
    size: u64,
    grains: Vec<GrainChecks>,
}

/// The values of one grain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrainChecks {
    /// CRC-32/ISO-HDLC.
    pub crc32: u32,
    /// CRC-64/XZ.
    pub crc64: u64,
}

/// Stored bytes that are no table of checks, or not one of a blob of this size.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a table of checks for {size} bytes has {found} bytes instead of {expected}")]
pub struct InvalidChecks {
    size: u64,
    found: usize,
    expected: usize,
}

/// Bytes of one grain in [`BlobChecks::to_bytes`].
const RECORD: usize = 12;

impl GrainChecks {
    /// The values of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            crc32: checksum(CrcAlgorithm::Crc32IsoHdlc, bytes) as u32,
            crc64: checksum(CrcAlgorithm::Crc64Xz, bytes),
        }
    }
}

impl BlobChecks {
    /// Length of the blob in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// One pair for each [`GRAIN`] bytes, in order.
    pub fn grains(&self) -> &[GrainChecks] {
        &self.grains
    }

    /// The form in which a store keeps it: little-endian pairs.
    pub fn to_bytes(&self) -> Vec<u8> {
        let pairs = self.grains.iter();
        pairs.flat_map(|g| [&g.crc32.to_le_bytes()[..], &g.crc64.to_le_bytes()].concat()).collect()
    }

    /// Reads what [`Self::to_bytes`] gave for a blob of `size` bytes.
    ///
    /// # Errors
    /// [`InvalidChecks`] when the length does not fit the size.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Result<Self, InvalidChecks> {
        let expected = size.div_ceil(GRAIN) as usize * RECORD;
        if bytes.len() != expected {
            return Err(InvalidChecks { size, found: bytes.len(), expected });
        }
        let grains = bytes
            .as_chunks::<RECORD>()
            .0
            .iter()
            .map(|record| {
                let [a, b, c, d, rest @ ..] = *record;
                GrainChecks { crc32: u32::from_le_bytes([a, b, c, d]), crc64: u64::from_le_bytes(rest) }
            })
            .collect();
        Ok(Self { size, grains })
    }
}

/// Computes [`BlobChecks`] of bytes that come in pieces of any size.
#[derive(Default)]
pub struct ChecksBuilder {
    size: u64,
    grains: Vec<GrainChecks>,
    open: Option<(crc_fast::Digest, crc_fast::Digest)>,
}

impl ChecksBuilder {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (GRAIN - self.size % GRAIN) as usize;
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            let (crc32, crc64) = self.open.get_or_insert_with(|| {
                (
                    crc_fast::Digest::new(CrcAlgorithm::Crc32IsoHdlc),
                    crc_fast::Digest::new(CrcAlgorithm::Crc64Xz),
                )
            });
            crc32.update(now);
            crc64.update(now);
            self.size += now.len() as u64;
            if self.size.is_multiple_of(GRAIN) {
                self.close();
            }
            bytes = rest;
        }
    }

    /// The table of all bytes seen.
    pub fn finish(mut self) -> BlobChecks {
        self.close();
        BlobChecks { size: self.size, grains: self.grains }
    }

    fn close(&mut self) {
        if let Some((crc32, crc64)) = self.open.take() {
            self.grains.push(GrainChecks { crc32: crc32.finalize() as u32, crc64: crc64.finalize() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    #[test]
    fn the_well_known_check_values() {
        let nine = GrainChecks::of(b"123456789");
        assert_eq!(nine, GrainChecks { crc32: 0xCBF4_3926, crc64: 0x995D_C9BB_DF19_39FA });
    }

    #[test]
    fn pieces_of_any_size_give_the_values_of_whole_grains() {
        for size in [0, 1, GRAIN - 1, GRAIN, GRAIN + 1, 3 * GRAIN + 77] {
            let bytes = noise(size as usize, size);
            for step in [1009, 65536, 1 << 20] {
                let mut builder = ChecksBuilder::new();
                bytes.chunks(step).for_each(|piece| builder.update(piece));
                let checks = builder.finish();
                let want: Vec<_> = bytes.chunks(GRAIN as usize).map(GrainChecks::of).collect();
                assert_eq!((checks.size(), checks.grains()), (size, &want[..]));
                assert_eq!(BlobChecks::from_bytes(size, &checks.to_bytes()), Ok(checks));
            }
        }
    }

    #[test]
    fn a_table_of_another_length_is_refused() {
        assert!(BlobChecks::from_bytes(GRAIN + 1, &[0; RECORD]).is_err());
        assert!(BlobChecks::from_bytes(1, &[0; RECORD + 1]).is_err());
    }
}
