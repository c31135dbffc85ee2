//! Lists of what refers to an image, and artifacts that do (OCI image specification, "Guidelines for Artifact
//! Usage"; 52-installer-images.md, 6.3).

use super::image::rfc3339;
use super::{Annotations, Descriptor, Document, Index, Manifest, NO_ANNOTATIONS, SCHEMA_VERSION, media_type};
use crate::Digest;

/// The configuration of artifacts that have none.
pub fn empty_config() -> Document {
    Document::new(media_type::EMPTY, &b"{}"[..])
}

/// A manifest that refers to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// The manifest.
    pub manifest: Document,
    /// What kind of artifact it is.
    pub artifact_type: &'static str,
    /// Its notes, which lists of referrers repeat.
    pub annotations: Annotations,
}

/// What an artifact refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What it is: a manifest or an index.
    pub media_type: &'static str,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// An artifact that holds the Sigstore bundle of this digest and length in bytes about `subject`. `predicate`
/// says what the bundle claims; `created` is in seconds since 1970.
pub fn sigstore_referrer(subject: Subject, bundle: (Digest, u64), predicate: &str, created: u64) -> Referrer {
    let annotations: Annotations = [
        ("org.opencontainers.image.created", rfc3339(created)),
        ("dev.sigstore.bundle.content", "dsse-envelope".to_owned()),
        ("dev.sigstore.bundle.predicateType", predicate.to_owned()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    let manifest = Manifest {
        schema_version: SCHEMA_VERSION,
        media_type: media_type::MANIFEST,
        config: Descriptor { artifact_type: Some(media_type::BUNDLE), ..empty_config().descriptor() },
        layers: vec![Descriptor::new(media_type::BUNDLE, bundle.0, bundle.1)],
        annotations: &annotations,
        subject: Some(Descriptor::new(subject.media_type, subject.digest, subject.size)),
        artifact_type: Some(media_type::BUNDLE),
    };
    let manifest = Document::json(media_type::MANIFEST, &manifest);
    Referrer { manifest, artifact_type: media_type::BUNDLE, annotations }
}

/// The list of these referrers.
pub fn referrers<'a>(list: impl IntoIterator<Item = &'a Referrer>) -> Document {
    let entry = |referrer: &'a Referrer| Descriptor {
        annotations: Some(&referrer.annotations),
        artifact_type: Some(referrer.artifact_type),
        ..referrer.manifest.descriptor()
    };
    let index = Index {
        schema_version: SCHEMA_VERSION,
        media_type: media_type::INDEX,
        manifests: list.into_iter().map(entry).collect(),
        annotations: &NO_ANNOTATIONS,
    };
    Document::json(media_type::INDEX, &index)
}
