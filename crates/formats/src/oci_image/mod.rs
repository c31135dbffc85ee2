//! Container images as documents: configuration, manifest, index (OCI image specification 1.1), the archive
//! that `docker load` reads, and signatures. Every document is exact bytes, the same in every run.
//!
//! An installer is built on a base image: its layers are referenced as they are, its configuration is
//! copied, and layers of our own come on top (52-installer-images.md, 2 to 4).

mod base;
mod data;
mod docker;
mod empty;
mod image;
mod referrers;
mod signature;

pub use base::{BaseConfig, InvalidBase};
pub use data::{DataImage, data_image};
pub use docker::docker_archive;
pub use image::{Image, ImageOptions, Layer, LayerType, UnknownLayerType, index};
pub use referrers::{Referrer, Subject, empty_config, referrers, sigstore_referrer};
pub use signature::{
    PROVENANCE_PREDICATE, SIGN_PREDICATE, SPDX_PREDICATE, SignatureImage, message_bundle,
    pre_authentication_encoding, sign_statement, signature_image, sigstore_bundle, simple_signing, statement,
};

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

use crate::Digest;

/// Media types (OCI image specification, "Media Types").
pub mod media_type {
    /// An index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// A manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// A configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A layer, not compressed.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A layer in gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer in zstd.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// The configuration of what has none.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// A signed simple-signing document.
    pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
    /// A Sigstore bundle.
    pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
}

/// Free-form notes of a document, sorted.
pub type Annotations = BTreeMap<String, String>;

/// Exact bytes with a type, named by their digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What it is.
    pub media_type: &'static str,
    /// Its bytes.
    pub bytes: Bytes,
    /// SHA-256 of them.
    pub digest: Digest,
}

impl Document {
    /// A document of these bytes.
    pub fn new(media_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { media_type, digest: Digest::of(&bytes), bytes }
    }

    /// Compact JSON. The documents here have text as keys, so there is nothing that could fail.
    fn json(media_type: &'static str, value: &impl Serialize) -> Self {
        Self::new(media_type, serde_json::to_vec(value).unwrap_or_default())
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn descriptor(&self) -> Descriptor<'static> {
        Descriptor::new(self.media_type, self.digest, self.size())
    }
}

/// A descriptor (OCI image specification, "Content Descriptors"). The members are in the order in which the
/// reference writes them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'a> {
    media_type: &'a str,
    size: u64,
    digest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<&'a Annotations>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<Platform<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
}

impl<'a> Descriptor<'a> {
    fn new(media_type: &'a str, digest: Digest, size: u64) -> Self {
        Self { media_type, size, digest, annotations: None, platform: None, artifact_type: None }
    }
}

#[derive(Serialize)]
struct Platform<'a> {
    architecture: &'a str,
    os: &'static str,
}

/// An image manifest, or an artifact in the form of one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u8,
    media_type: &'static str,
    config: Descriptor<'a>,
    layers: Vec<Descriptor<'a>>,
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    annotations: &'a Annotations,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Descriptor<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
}

/// An index, or a list of referrers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Descriptor<'a>>,
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    annotations: &'a Annotations,
}

const SCHEMA_VERSION: u8 = 2;

static NO_ANNOTATIONS: Annotations = Annotations::new();

#[cfg(test)]
mod tests;
