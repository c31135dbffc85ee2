//! Deflate pieces that unpack to zeros, written without a compressor so that they never change.

/// Longest match of Deflate (RFC 1951, 3.2.5): length code 285 without extra bits.
const MATCH: u64 = 258;

/// The order in which code lengths of the code length code are written (3.2.7).
const LENGTHS_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// A block with its own codes, then an empty stored block that ends on a byte boundary; neither is final.
///
/// The literal/length code has three symbols: `0` for a match of 258 (symbol 285), `10` for the literal
/// zero, `11` for the end (256). The distance code has one, `0`, for distance 1.
pub(super) fn deflated_zeros(len: u64) -> Vec<u8> {
    let mut bits = BitWriter::default();
    // Not final, dynamic codes.
    bits.put(0b100, 3);
    code_lengths(&mut bits);
    // The first zero is a literal, and so are those that fill no match.
    let (matches, literals) = match len.checked_sub(1) {
        Some(rest) => (rest / MATCH, rest % MATCH + 1),
        None => (0, 0),
    };
    for _ in 0..literals {
        bits.put(0b01, 2);
    }
    for _ in 0..matches {
        bits.put(0b00, 2);
    }
    bits.put(0b11, 2);
    // An empty stored block, not final.
    bits.put(0b000, 3);
    let mut out = bits.finish();
    out.extend_from_slice(&[0, 0, 0xFF, 0xFF]);
    out
}

/// The block header's description of both codes.
///
/// The lengths to be written are 2 for symbol 0, 2 for 256 and 1 for 285, then 1 for distance symbol 0.
/// The code that they are written in has three symbols: `0` for 18 (a run of zeros, 7 bits of length),
/// `10` for 1, `11` for 2.
fn code_lengths(bits: &mut BitWriter) {
    // How many literal/length symbols above 257, and how many distance symbols above one.
    bits.put(286 - 257, 5);
    bits.put(0, 5);
    // Symbol 1 is the eighteenth in the order, so all but the last of the nineteen are written.
    bits.put(18 - 4, 4);
    for symbol in &LENGTHS_ORDER[..18] {
        bits.put(
            match symbol {
                18 => 1,
                1 | 2 => 2,
                _ => 0,
            },
            3,
        );
    }
    // Huffman codes are written from their first bit on, hence reversed.
    let zeros = |bits: &mut BitWriter, count: u32| bits.put((count - 11) << 1, 8);
    let one = |bits: &mut BitWriter| bits.put(0b01, 2);
    let two = |bits: &mut BitWriter| bits.put(0b11, 2);
    two(bits);
    zeros(bits, 138);
    zeros(bits, 255 - 138);
    two(bits);
    zeros(bits, 28);
    one(bits);
    one(bits);
}

/// Bits into bytes, the lowest bit first.
#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    open: u64,
    count: u32,
}

impl BitWriter {
    fn put(&mut self, value: u32, count: u32) {
        self.open |= u64::from(value) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.open as u8);
            self.open >>= 8;
            self.count -= 8;
        }
    }

    /// The bytes, the last one filled up with zero bits.
    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.open as u8);
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn pieces_unpack_to_so_many_zeros_and_can_be_glued() {
        for len in [1, 2, 258, 259, 4096, 65_536, 1 << 20] {
            let piece = deflated_zeros(len);
            let glued = [&piece[..], &piece, &[3, 0]].concat();
            let mut out = Vec::new();
            flate2::read::DeflateDecoder::new(&glued[..]).read_to_end(&mut out).unwrap();
            assert_eq!(out.len() as u64, 2 * len);
            assert!(out.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn a_mebibyte_takes_a_kibibyte() {
        assert!(deflated_zeros(1 << 20).len() < 1060, "{}", deflated_zeros(1 << 20).len());
    }
}
