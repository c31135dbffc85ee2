//! Whether compressing a blob pays, judged from samples.

use std::io;

use flate2::{Compress, Compression, FlushCompress};

/// Bytes of one sample.
const SAMPLE: u64 = 64 << 10;
/// Samples of a blob. They are taken from the middle of its thirds: kernels and archives often begin and
/// end with a little that is not compressed inside.
const SAMPLES: u64 = 3;

/// Whether a blob of `size` bytes shrinks by a tenth or more, judged by Deflate at its fastest over three
/// samples of 64 KiB (all of it when it is not longer). `read_at` fills a buffer from an offset.
///
/// # Errors
/// Those of `read_at`.
pub fn compression_pays(
    size: u64,
    mut read_at: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
) -> io::Result<bool> {
    let samples: Vec<(u64, u64)> = if size <= SAMPLE * SAMPLES {
        vec![(0, size)]
    } else {
        (0..SAMPLES).map(|i| (size / (2 * SAMPLES) * (2 * i + 1) - SAMPLE / 2, SAMPLE)).collect()
    };
    let (mut plain, mut packed) = (0, 0);
    for (offset, len) in samples {
        let mut sample = vec![0; len as usize];
        read_at(offset, &mut sample)?;
        plain += len;
        packed += deflated_len(&sample);
    }
    Ok(packed * 10 < plain * 9)
}

/// Length of `bytes` after Deflate at level 1. Stops counting where nothing is gained.
fn deflated_len(bytes: &[u8]) -> u64 {
    let mut codec = Compress::new(Compression::fast(), false);
    let mut out = vec![0; bytes.len()];
    match codec.compress(bytes, &mut out, FlushCompress::Finish) {
        Ok(flate2::Status::StreamEnd) => codec.total_out(),
        _ => bytes.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    fn pays(bytes: &[u8]) -> bool {
        compression_pays(bytes.len() as u64, |offset, buf| {
            buf.copy_from_slice(&bytes[offset as usize..offset as usize + buf.len()]);
            Ok(())
        })
        .unwrap()
    }

    #[test]
    fn text_pays_and_noise_does_not() {
        for len in [1 << 10, 196_608, 196_609, 5 << 20] {
            assert!(pays(&b"kernel modules and firmware, "[..].repeat(len / 29)), "{len}");
            assert!(!pays(&noise(len, 1)), "{len}");
        }
        assert!(!pays(&[]));
    }

    #[test]
    fn a_plain_beginning_does_not_deceive() {
        let mut kernel = noise(8 << 20, 2);
        kernel[..200_000].fill(0);
        assert!(!pays(&kernel));
        let mut firmware = vec![0xFF; 8 << 20];
        firmware[..200_000].copy_from_slice(&noise(200_000, 3));
        assert!(pays(&firmware));
    }

    #[test]
    fn a_failing_read_is_an_error() {
        assert!(compression_pays(9, |_, _| Err(io::ErrorKind::NotFound.into())).is_err());
    }
}
