//! What the fuzz targets share: bytes into recipes, and decoders of the field.

use std::io::Read;

use factory_formats::encode::{Codec, EncodeOptions, XzCheck};
use factory_formats::testing::Ingredient;

/// Numbers drawn from the fuzzer's bytes; zeros when they are used up.
pub struct Source<'a>(pub &'a [u8]);

/// Sizes around which formats change their mind.
const EDGES: [u64; 14] =
    [0, 64, 512, 4096, 9000, 32_768, 65_535, 65_536, 131_072, 262_144, 1 << 20, 2 << 20, 300_000, 4 << 20];

impl Source<'_> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        match self.0 {
            [first, rest @ ..] => {
                self.0 = rest;
                *first
            }
            [] => 0,
        }
    }

    /// A size near an edge, or any up to 64 KiB.
    pub fn size(&mut self) -> u64 {
        match EDGES.get(usize::from(self.byte() % 16)) {
            Some(edge) => (edge + u64::from(self.byte())).saturating_sub(128),
            None => u64::from(self.byte()) << 8 | u64::from(self.byte()),
        }
    }

    /// A position in `0..=len`.
    pub fn position(&mut self, len: u64) -> u64 {
        let numerator = u64::from(self.byte()) << 8 | u64::from(self.byte());
        let near = (u128::from(len) * u128::from(numerator) / 0xFFFF) as u64;
        (near + u64::from(self.byte())).saturating_sub(128).min(len)
    }

    /// A short recipe.
    pub fn recipe(&mut self) -> Vec<Ingredient> {
        let count = self.byte() % 10;
        (0..count).map(|_| (self.byte(), self.size())).collect()
    }
}

/// Every codec with every option that changes its bytes.
pub fn kinds() -> [(Codec, EncodeOptions); 5] {
    let named = EncodeOptions { file_name: Some("a".to_owned()), ..Default::default() };
    let kernel = EncodeOptions { xz_check: XzCheck::Crc32, ..Default::default() };
    [
        (Codec::Xz, EncodeOptions::default()),
        (Codec::Xz, kernel),
        (Codec::Zstd, EncodeOptions::default()),
        (Codec::Gzip, EncodeOptions::default()),
        (Codec::Gzip, named),
    ]
}

/// The packed bytes as the codec's library unpacks them.
pub fn unpack(codec: Codec, mut packed: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let done = match codec {
        Codec::Xz => xz2::bufread::XzDecoder::new(&mut packed).read_to_end(&mut out),
        Codec::Zstd => zstd::Decoder::with_buffer(&mut packed).unwrap().read_to_end(&mut out),
        Codec::Gzip => flate2::bufread::GzDecoder::new(&mut packed).read_to_end(&mut out),
    };
    done.unwrap_or_else(|error| panic!("{codec}: {error}"));
    assert!(packed.is_empty(), "{codec} leaves {} bytes", packed.len());
    out
}
