//! The archive that `docker save` writes and `docker load` reads (52-installer-images.md, 3).

use std::collections::BTreeSet;

use serde::Serialize;

use super::image::{Image, Layer};
use crate::Layout;
use crate::tar_layer::{TarEntry, TarError, archive};

/// The file that tells what the others are.
const MANIFEST: &str = "manifest.json";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    config: String,
    repo_tags: &'a [String],
    layers: Vec<String>,
}

/// An archive with one image: configuration, layers, and what they are. `contents` are the layers' bytes as
/// transported, in the order of the image's layers; `tags` are the full names that the image gets where it is
/// loaded.
///
/// # Errors
/// Never in fact: the names in the archive are digests.
pub fn docker_archive(image: &Image, contents: &[Layout], tags: &[String]) -> Result<Layout, TarError> {
    let name = |layer: &Layer| format!("{}{}", layer.digest.hex(), layer.kind.suffix());
    let config = image.config.digest.to_string();
    let mut entries = vec![TarEntry::file(config.clone(), Layout::from_bytes(image.config.bytes.clone()))];
    let mut written = BTreeSet::new();
    for (layer, content) in image.layers.iter().zip(contents) {
        if written.insert(layer.digest) {
            entries.push(TarEntry::file(name(layer), content.clone()));
        }
    }
    let entry = Entry { config, repo_tags: tags, layers: image.layers.iter().map(name).collect() };
    let manifest = serde_json::to_vec(&[entry]).unwrap_or_default();
    entries.push(TarEntry::file(MANIFEST, Layout::from_bytes(manifest)));
    archive(&entries)
}
