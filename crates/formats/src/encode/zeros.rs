//! Precomputed pieces of an encoded file that unpack to zeros.

use bytes::Bytes;

use crate::LayoutBuilder;
use crate::layout::Run;

/// Zeros are packed in multiples of this many bytes: shorter ones are not worth a piece.
pub(super) const ZERO_UNIT: u64 = 4096;

/// Pieces for [`ZERO_UNIT`], twice that, four times that, and so on.
pub(super) struct ZeroPieces {
    pieces: Vec<Bytes>,
}

impl ZeroPieces {
    /// `make` gives a piece that unpacks to that many zeros wherever it stands; `largest` is a power of
    /// two.
    pub(super) fn new(largest: u64, make: impl Fn(u64) -> Vec<u8>) -> Self {
        let sizes = std::iter::successors(Some(ZERO_UNIT), |size| Some(size * 2));
        Self { pieces: sizes.take_while(|size| *size <= largest).map(|size| make(size).into()).collect() }
    }

    /// Appends pieces for `len` zeros, the longest ones first. `len` is a multiple of [`ZERO_UNIT`].
    pub(super) fn append(&self, out: &mut LayoutBuilder, len: u64) {
        debug_assert!(len.is_multiple_of(ZERO_UNIT));
        let mut units = len / ZERO_UNIT;
        for (power, piece) in self.pieces.iter().enumerate().rev() {
            match units >> power {
                0 => {}
                1 => {
                    out.bytes(piece.clone());
                }
                count => {
                    out.run(Run::repeat(piece.clone(), count));
                }
            }
            units &= (1 << power) - 1;
        }
    }
}
