//! Images that hold one file and nothing to run: how the reference keeps schematics and assets in registries
//! (51-builds-and-cache.md, 4.1 and 7). Bytes for bytes the same, so that either reads what the other wrote.

use super::empty::{NO_TIME, one_layer_config};
use super::{Annotations, Descriptor, Document, Manifest, SCHEMA_VERSION};
use crate::Digest;

/// Type of the manifest (Docker image manifest, version 2, schema 2).
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Type of the configuration.
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// An image around one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataImage {
    /// Its configuration.
    pub config: Document,
    /// Its manifest.
    pub manifest: Document,
}

/// The image around a file of this type, digest and length in bytes. The file counts as not compressed, which the
/// reference writes otherwise for files that are, and nobody reads. It writes no notes either.
pub fn data_image(media_type: &str, digest: Digest, size: u64, notes: &Annotations) -> DataImage {
    let config = one_layer_config(CONFIG, NO_TIME.to_owned(), digest);
    let manifest = Manifest {
        schema_version: SCHEMA_VERSION,
        media_type: MANIFEST,
        config: config.descriptor(),
        layers: vec![Descriptor::new(media_type, digest, size)],
        annotations: notes,
        subject: None,
        artifact_type: None,
    };
    let manifest = Document::json(MANIFEST, &manifest);
    DataImage { config, manifest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_reference() {
        let digest = Digest::of(b"asset");
        let image = data_image("application/data", digest, 5, &Annotations::new());
        let config = format!(
            r#"{{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{{"created":"0001-01-01T00:00:00Z"}}],"os":"","rootfs":{{"type":"layers","diff_ids":["{digest}"]}},"config":{{}}}}"#
        );
        assert_eq!(String::from_utf8_lossy(&image.config.bytes), config);
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"{CONFIG}","size":{},"digest":"{}"}},"layers":[{{"mediaType":"application/data","size":5,"digest":"{digest}"}}]}}"#,
            config.len(),
            Digest::of(config.as_bytes())
        );
        assert_eq!(String::from_utf8_lossy(&image.manifest.bytes), manifest);
    }
}
