//! LZMA2 chunks that unpack to zeros, written without a compressor so that they never change.
//!
//! Each chunk resets dictionary, state and probabilities: it means the same wherever it stands. Inside, a
//! literal zero is followed by matches of the last distance, which is 1 after a reset.

/// Most bytes that one LZMA2 chunk unpacks to.
pub(super) const LARGEST_CHUNK: u64 = 2 << 20;

/// Longest LZMA match.
const LONGEST_MATCH: u64 = 273;

/// Control byte of a compressed chunk with new properties and a dictionary reset; bits 16 to 20 of the
/// unpacked length (less one) are added.
const CONTROL: u8 = 0xE0;

/// No literal context bits, no literal position bits, no position bits: with every probability shared by
/// all positions they adapt fastest.
const PROPERTIES: u8 = 0;

/// A chunk of `len` zeros, 1 to [`LARGEST_CHUNK`].
pub(super) fn zero_chunk(len: u64) -> Vec<u8> {
    let mut encoder = ZeroEncoder::new();
    encoder.literal();
    let mut left = len - 1;
    while left > 0 {
        let now = left.min(LONGEST_MATCH);
        encoder.repeat(now as u32);
        left -= now;
    }
    let data = encoder.range.finish();

    let unpacked = (len - 1) as u32;
    let packed = (data.len() - 1) as u16;
    let mut chunk = vec![CONTROL | (unpacked >> 16) as u8];
    chunk.extend_from_slice(&(unpacked as u16).to_be_bytes());
    chunk.extend_from_slice(&packed.to_be_bytes());
    chunk.push(PROPERTIES);
    chunk.extend_from_slice(&data);
    chunk
}

/// A probability that a bit is 0, in units of 2^-11.
type Probability = u16;

const PROBABILITY_BITS: u32 = 11;
const EVEN: Probability = 1 << (PROBABILITY_BITS - 1);
const ADAPTATION: u32 = 5;

/// States of the LZMA machine that occur here, by number: only literals so far; literal then repeated
/// match, or another repeated match; literal then single repeated byte.
const AFTER_LITERAL: usize = 0;
const AFTER_REPEAT: usize = 8;
const AFTER_REPEATS: usize = 11;
const AFTER_SHORT_REPEAT: usize = 9;

/// The part of an LZMA encoder that zeros need.
struct ZeroEncoder {
    range: RangeEncoder,
    state: usize,
    is_match: [Probability; 12],
    is_rep: [Probability; 12],
    is_rep0: [Probability; 12],
    is_rep0_long: [Probability; 12],
    literal: [Probability; 0x100],
    len_above_low: Probability,
    len_above_mid: Probability,
    len_low: [Probability; 8],
    len_mid: [Probability; 8],
    len_high: [Probability; 256],
}

impl ZeroEncoder {
    fn new() -> Self {
        Self {
            range: RangeEncoder::new(),
            state: AFTER_LITERAL,
            is_match: [EVEN; 12],
            is_rep: [EVEN; 12],
            is_rep0: [EVEN; 12],
            is_rep0_long: [EVEN; 12],
            literal: [EVEN; 0x100],
            len_above_low: EVEN,
            len_above_mid: EVEN,
            len_low: [EVEN; 8],
            len_mid: [EVEN; 8],
            len_high: [EVEN; 256],
        }
    }

    /// The first byte.
    fn literal(&mut self) {
        self.range.bit(&mut self.is_match[self.state], false);
        self.range.tree(&mut self.literal, 8, 0);
        self.state = AFTER_LITERAL;
    }

    /// `len` more of the byte before, 1 to [`LONGEST_MATCH`].
    fn repeat(&mut self, len: u32) {
        let state = self.state;
        self.range.bit(&mut self.is_match[state], true);
        self.range.bit(&mut self.is_rep[state], true);
        self.range.bit(&mut self.is_rep0[state], false);
        self.range.bit(&mut self.is_rep0_long[state], len > 1);
        let first = state == AFTER_LITERAL;
        self.state = match (len, first) {
            (1, true) => AFTER_SHORT_REPEAT,
            (_, true) => AFTER_REPEAT,
            (_, false) => AFTER_REPEATS,
        };
        match len {
            1 => {}
            2..10 => {
                self.range.bit(&mut self.len_above_low, false);
                self.range.tree(&mut self.len_low, 3, len - 2);
            }
            10..18 => {
                self.range.bit(&mut self.len_above_low, true);
                self.range.bit(&mut self.len_above_mid, false);
                self.range.tree(&mut self.len_mid, 3, len - 10);
            }
            _ => {
                self.range.bit(&mut self.len_above_low, true);
                self.range.bit(&mut self.len_above_mid, true);
                self.range.tree(&mut self.len_high, 8, len - 18);
            }
        }
    }
}

/// The range coder of LZMA.
struct RangeEncoder {
    low: u64,
    range: u32,
    /// The last byte that a carry can still change, and how many 0xFF follow it. The first one is a zero
    /// that no carry reaches; it is part of the format.
    pending: u8,
    carried: usize,
    out: Vec<u8>,
}

impl RangeEncoder {
    fn new() -> Self {
        Self { low: 0, range: u32::MAX, pending: 0, carried: 0, out: Vec::new() }
    }

    fn bit(&mut self, probability: &mut Probability, bit: bool) {
        let bound = (self.range >> PROBABILITY_BITS) * u32::from(*probability);
        if bit {
            self.low += u64::from(bound);
            self.range -= bound;
            *probability -= *probability >> ADAPTATION;
        } else {
            self.range = bound;
            *probability += ((1 << PROBABILITY_BITS) - *probability) >> ADAPTATION;
        }
        while self.range < 1 << 24 {
            self.range <<= 8;
            self.shift();
        }
    }

    /// The `count` low bits of `value`, the highest first, each with the probability for the bits before.
    fn tree(&mut self, probabilities: &mut [Probability], count: u32, value: u32) {
        let mut node = 1;
        for shift in (0..count).rev() {
            let bit = value >> shift & 1;
            self.bit(&mut probabilities[node], bit == 1);
            node = node << 1 | bit as usize;
        }
    }

    /// Moves the highest byte of `low` out, as soon as no carry can reach it.
    fn shift(&mut self) {
        if self.low < 0xFF00_0000 || self.low > u64::from(u32::MAX) {
            let carry = (self.low >> 32) as u8;
            self.out.push(self.pending.wrapping_add(carry));
            for _ in 0..self.carried {
                self.out.push(0xFF_u8.wrapping_add(carry));
            }
            self.carried = 0;
            self.pending = (self.low >> 24) as u8;
        } else {
            self.carried += 1;
        }
        self.low = (self.low & 0x00FF_FFFF) << 8;
    }

    fn finish(mut self) -> Vec<u8> {
        for _ in 0..5 {
            self.shift();
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use xz2::stream::{Action, Filters, LzmaOptions, Status, Stream};

    use super::*;

    fn unpacked(lzma2: &[u8], len: usize) -> Vec<u8> {
        let mut filters = Filters::new();
        filters.lzma2(LzmaOptions::new_preset(0).unwrap().dict_size(4096));
        let mut stream = Stream::new_raw_decoder(&filters).unwrap();
        let mut out = vec![0xAA; len + 1];
        assert_eq!(stream.process(lzma2, &mut out, Action::Finish).unwrap(), Status::StreamEnd);
        out.truncate(stream.total_out() as usize);
        out
    }

    #[test]
    fn chunks_unpack_to_so_many_zeros_and_can_be_glued() {
        for len in [1, 2, 3, 5, 10, 17, 18, 273, 274, 275, 276, 4096, 65_536, 100_000, 1 << 20, 2 << 20] {
            let chunk = zero_chunk(len);
            let out = unpacked(&[&chunk[..], &chunk, &[0]].concat(), 2 * len as usize);
            assert_eq!(out.len() as u64, 2 * len);
            assert!(out.iter().all(|byte| *byte == 0), "{len}");
        }
    }

    #[test]
    fn two_mebibytes_take_a_few_hundred_bytes() {
        assert!(zero_chunk(2 << 20).len() < 400, "{}", zero_chunk(2 << 20).len());
    }
}
