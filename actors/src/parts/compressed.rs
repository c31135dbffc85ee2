//! Blobs that a compressor makes smaller, compressed once for each codec.

use factory_domain::ports::BlobKind;
use factory_formats::Digest;
use factory_formats::encode::{Codec, CompressedBlob, compress_blob};

use super::{Bench, Built, PartError, PartKind};
use crate::blob_reader::BlobReader;

/// Compressed blobs.
pub struct Compressed;

/// What to compress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompressBlob {
    /// The blob.
    pub blob: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// With what.
    pub codec: Codec,
}

impl PartKind for Compressed {
    const NAME: &'static str = "compressed/v1";
    type Spec = CompressBlob;
    type Value = CompressedBlob;

    fn subject(spec: &CompressBlob) -> String {
        spec.codec.part_subject(&spec.blob)
    }

    fn label(spec: &CompressBlob) -> String {
        format!("{} of {}", spec.codec, spec.blob)
    }

    fn inputs(spec: &CompressBlob) -> Vec<Digest> {
        vec![spec.blob]
    }

    fn build(spec: &CompressBlob, bench: &Bench) -> Result<Built<CompressedBlob>, PartError> {
        let mut input = BlobReader::new(&*bench.store, spec.blob, spec.size);
        let mut output = bench.store.create(BlobKind::Part)?;
        let value = compress_blob(spec.codec, spec.size, &mut input, &mut *output)
            .map_err(|error| PartError::input(Self::label(spec), error))?;
        let blob = output.commit()?;
        Ok(Built { value, blobs: vec![blob] })
    }
}
