//! Kernels: what their images say about themselves.

use std::io::BufReader;

use factory_formats::Digest;
use factory_formats::kernel::release;
use serde::{Deserialize, Serialize};

use super::{Bench, Built, PartError, PartKind};
use crate::blob_reader::BlobReader;

/// Facts about kernels.
pub struct Kernel;

/// Which kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSpec {
    /// Its image.
    pub image: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// What a kernel image says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelFacts {
    /// The kernel release. None when the image does not tell; nothing depends on it but a note in the UKI.
    pub release: Option<String>,
}

impl PartKind for Kernel {
    const NAME: &'static str = "kernel/v1";
    type Spec = KernelSpec;
    type Value = KernelFacts;

    fn subject(spec: &KernelSpec) -> String {
        spec.image.to_string()
    }

    fn label(spec: &KernelSpec) -> String {
        format!("release of kernel {}", spec.image)
    }

    fn inputs(spec: &KernelSpec) -> Vec<Digest> {
        vec![spec.image]
    }

    fn build(spec: &KernelSpec, bench: &Bench) -> Result<Built<KernelFacts>, PartError> {
        let mut image = BufReader::new(BlobReader::new(&*bench.store, spec.image, spec.size));
        let found = release(&mut image);
        if let Err(error) = &found {
            tracing::info!(kernel = %spec.image, %error, "the kernel does not tell its release");
        }
        Ok(Built { value: KernelFacts { release: found.ok() }, blobs: Vec::new() })
    }
}
