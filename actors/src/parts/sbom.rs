//! SPDX documents of extensions.

use std::io::BufWriter;
use std::sync::Arc;

use factory_formats::Digest;
use factory_formats::file_tree::NodeKind;
use factory_formats::oci_layers::{Limits, flatten_tree};
use serde::{Deserialize, Serialize};

use super::piece::{Bundle, Piece, disk};
use super::{Bench, Built, PartError, PartKind};
use crate::sources::{SourceLayer, StoredLayers};

/// SPDX documents of extensions.
pub struct Sboms;

/// Of which extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SbomSpec {
    /// For people: `siderolabs/drbd amd64`.
    pub name: String,
    /// The layers of its image, bottom first.
    pub layers: Vec<SourceLayer>,
}

/// The documents in the order of their names; most extensions have one, some none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SbomPart {
    /// The documents.
    pub documents: Vec<Piece>,
}

/// Where extensions have them (50-artifacts.md, §2).
const FOLDER: &str = "rootfs/usr/local/share/spdx/";
const SUFFIX: &str = ".spdx.json";

impl PartKind for Sboms {
    const NAME: &'static str = "spdx/v1";
    type Spec = SbomSpec;
    type Value = SbomPart;

    fn subject(spec: &SbomSpec) -> String {
        let layers: Vec<_> = spec.layers.iter().map(|layer| layer.digest.to_string()).collect();
        layers.join(" ")
    }

    fn label(spec: &SbomSpec) -> String {
        format!("SPDX documents of {}", spec.name)
    }

    fn inputs(spec: &SbomSpec) -> Vec<Digest> {
        spec.layers.iter().map(|layer| layer.digest).collect()
    }

    fn build(spec: &SbomSpec, bench: &Bench) -> Result<Built<SbomPart>, PartError> {
        let wrong = |error: &dyn std::fmt::Display| PartError::input(Self::label(spec), error);
        let layers = spec.layers.iter().map(|layer| (layer.digest, layer.size)).collect();
        let layers = StoredLayers::new(Arc::clone(&bench.store), layers);
        let mut spool = BufWriter::new(bench.scratch.file().map_err(|error| disk(&error))?);
        let flat = flatten_tree(&layers, &Limits::default(), &mut spool).map_err(|error| wrong(&error))?;
        let mut spool = spool.into_inner().map_err(|error| disk(error.error()))?;
        let (mut bundle, mut found) = (Bundle::new(&*bench.store)?, Vec::new());
        for (path, node) in flat.tree.iter() {
            let is_wanted = path.as_str().starts_with(FOLDER) && path.as_str().ends_with(SUFFIX);
            if let NodeKind::File(content) = &node.kind
                && is_wanted
            {
                let mut content = content.open(&mut spool).map_err(|error| disk(&error))?;
                found.push(bundle.append(&mut content)?);
            }
        }
        let Some(blob) = bundle.finish()? else {
            return Ok(Built { value: SbomPart { documents: Vec::new() }, blobs: Vec::new() });
        };
        let documents = found.into_iter().map(|piece| piece.named(blob.info.digest)).collect();
        Ok(Built { value: SbomPart { documents }, blobs: vec![blob] })
    }
}
