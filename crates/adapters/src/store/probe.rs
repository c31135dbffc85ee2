//! Whether compression would make a blob noticeably smaller, judged by a few samples.

use std::io;

/// Reads bytes of the blob in question at an offset.
pub type ReadAt<'a> = &'a dyn Fn(u64, &mut [u8]) -> io::Result<()>;

/// Says whether a compressor would make a blob of this many bytes noticeably smaller.
pub type Probe = fn(ReadAt<'_>, u64) -> bool;

/// Number of places looked at.
const SAMPLES: u64 = 16;

/// Bytes looked at in each place.
const SAMPLE_BYTES: u64 = 4 << 10;

/// Bits per byte above which a sample counts as compressed already. Compressed and encrypted data has
/// 7.95 and more in 4 KiB, machine code and text 4 to 6.5.
const DENSE_BITS_PER_BYTE: f64 = 7.5;

/// Judges by how unevenly byte values are spread in samples from all over the blob. A blob that cannot
/// be read counts as compressible: that costs time later, not correctness.
pub fn spread_of_bytes(read_at: ReadAt<'_>, size: u64) -> bool {
    if size == 0 {
        return false;
    }
    let step = (size / SAMPLES).max(SAMPLE_BYTES);
    let mut sample = [0; SAMPLE_BYTES as usize];
    let mut bits = 0.0;
    let mut bytes = 0.0;
    let mut offset = 0;
    while offset < size {
        let len = SAMPLE_BYTES.min(size - offset) as usize;
        let Some(sample) = sample.get_mut(..len) else { break };
        if read_at(offset, sample).is_err() {
            return true;
        }
        bits += entropy_bits(sample);
        bytes += len as f64;
        offset += step;
    }
    // A short blob cannot reach the limit by its length alone: 100 different bytes carry 6.6 bits each.
    bits < bytes * DENSE_BITS_PER_BYTE.min((size as f64).log2() * 0.95)
}

/// Shannon entropy of the byte values, for the whole sample.
fn entropy_bits(sample: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for &byte in sample {
        counts[usize::from(byte)] += 1;
    }
    let total = sample.len() as f64;
    counts.iter().filter(|&&n| n > 0).map(|&n| f64::from(n) * (total / f64::from(n)).log2()).sum()
}

#[cfg(test)]
mod tests {
    use factory_formats::testing::noise;

    use super::*;

    fn compressible(bytes: &[u8]) -> bool {
        let read_at = |offset: u64, buf: &mut [u8]| {
            let start = offset as usize;
            buf.copy_from_slice(&bytes[start..start + buf.len()]);
            Ok(())
        };
        spread_of_bytes(&read_at, bytes.len() as u64)
    }

    #[test]
    fn noise_is_not_and_text_is() {
        for len in [700, 4096, 100_000, 1 << 20] {
            assert!(!compressible(&noise(len, 1)), "noise of {len}");
            let text: Vec<u8> =
                b"the quick brown fox jumps over the lazy dog. ".iter().copied().cycle().take(len).collect();
            assert!(compressible(&text), "text of {len}");
            assert!(compressible(&vec![0; len]), "zeros of {len}");
        }
        assert!(!compressible(b""));
    }

    #[test]
    fn a_blob_that_is_half_text_pays() {
        let mut half = noise(1 << 20, 1);
        half[..1 << 19].fill(b'x');
        assert!(compressible(&half));
    }

    #[test]
    fn one_that_cannot_be_read_counts_as_compressible() {
        assert!(spread_of_bytes(&|_, _| Err(io::ErrorKind::Other.into()), 1 << 20));
    }
}
