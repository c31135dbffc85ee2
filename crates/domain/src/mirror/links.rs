//! What a manifest names: other manifests, and blobs.

use serde::Deserialize;

use crate::ports::{Descriptor, RawManifest};

/// Media type of an index (OCI image specification, "Image Index").
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Media type of Docker's form of it.
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the manifest cannot be read: {0}")]
pub struct InvalidManifest(String);

/// What a manifest needs to be whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Manifests, for an index.
    pub manifests: Vec<Descriptor>,
    /// Configuration and layers, for an image.
    pub blobs: Vec<Descriptor>,
}

/// Whether this type is that of an index or manifest list.
pub fn is_index_type(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_LIST)
}

impl Links {
    /// Reads them off a manifest. Every entry must be one that can be copied: leaving out what cannot be
    /// read would give an image that only looks whole.
    ///
    /// # Errors
    /// [`InvalidManifest`] when the document is neither index nor manifest, or names something by another
    /// digest than SHA-256.
    pub fn of(manifest: &RawManifest) -> Result<Self, InvalidManifest> {
        #[derive(Deserialize)]
        struct Index {
            manifests: Vec<Descriptor>,
        }
        #[derive(Deserialize)]
        struct Image {
            config: Descriptor,
            layers: Vec<Descriptor>,
        }
        let invalid = |error: serde_json::Error| InvalidManifest(error.to_string());
        if is_index_type(&manifest.media_type) {
            let index: Index = serde_json::from_slice(&manifest.bytes).map_err(invalid)?;
            return Ok(Self { manifests: index.manifests, blobs: Vec::new() });
        }
        let image: Image = serde_json::from_slice(&manifest.bytes).map_err(invalid)?;
        let mut blobs = vec![image.config];
        blobs.extend(image.layers);
        Ok(Self { manifests: Vec::new(), blobs })
    }
}

#[cfg(test)]
mod tests {
    use factory_formats::Digest;

    use super::*;

    fn raw(media_type: &str, text: &str) -> RawManifest {
        let bytes = bytes::Bytes::copy_from_slice(text.as_bytes());
        RawManifest { digest: Digest::of(&bytes), media_type: media_type.to_owned(), bytes }
    }

    #[test]
    fn indexes_and_images() {
        let digest = Digest::of(b"x");
        let entry = format!(r#"{{"mediaType":"m","digest":"{digest}","size":3}}"#);
        for kind in [OCI_INDEX, DOCKER_LIST] {
            let links = Links::of(&raw(kind, &format!(r#"{{"manifests":[{entry}]}}"#))).unwrap();
            assert_eq!((links.manifests.len(), links.blobs.len()), (1, 0));
        }
        let image = format!(r#"{{"config":{entry},"layers":[{entry},{entry}]}}"#);
        let links = Links::of(&raw("application/vnd.oci.image.manifest.v1+json", &image)).unwrap();
        assert_eq!((links.manifests.len(), links.blobs.len()), (0, 3));
        assert_eq!(links.blobs[0].digest, digest);
    }

    #[test]
    fn what_cannot_be_copied_whole_is_refused() {
        for (kind, text) in [
            (OCI_INDEX, "{}"),
            (OCI_INDEX, r#"{"manifests":[{"mediaType":"m","digest":"sha512:00","size":1}]}"#),
            ("m", r#"{"layers":[]}"#),
            ("m", "no JSON"),
        ] {
            assert!(Links::of(&raw(kind, text)).is_err(), "{text}");
        }
    }
}
