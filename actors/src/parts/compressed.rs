//! Blobs that a compressor makes smaller, compressed once for each codec.

use std::io::Write;

use factory_domain::ports::{BlobKind, BlobWriter};
use factory_formats::Digest;
use factory_formats::encode::{Codec, CompressedBlob, compress_blob};

use super::{Bench, Built, PartError, PartKind};
use crate::sources::BlobRead;

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
        format!("{} {}", spec.codec, spec.blob)
    }

    fn label(spec: &CompressBlob) -> String {
        format!("{} of {}", spec.codec, spec.blob)
    }

    fn inputs(spec: &CompressBlob) -> Vec<Digest> {
        vec![spec.blob]
    }

    fn build(spec: &CompressBlob, bench: &Bench) -> Result<Built<CompressedBlob>, PartError> {
        let mut input = BlobRead { store: &*bench.store, digest: spec.blob, at: 0, end: spec.size };
        let mut output = Output(bench.store.create(BlobKind::Part)?);
        let value = compress_blob(spec.codec, &mut input, &mut output)
            .map_err(|error| PartError::input(Self::label(spec), error))?;
        let blob = output.0.commit()?;
        Ok(Built { value, blobs: vec![blob] })
    }
}

/// A blob writer where a plain writer is wanted.
struct Output(Box<dyn BlobWriter>);

impl Write for Output {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
