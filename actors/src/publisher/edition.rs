//! What is remembered of a published image: enough to know its digests, and to make it again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use factory_domain::Arch;
use factory_formats::Digest;
use factory_formats::oci_image::media_type;
use serde::{Deserialize, Serialize};

/// An image as it was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Edition {
    /// Version of Talos.
    pub version: String,
    /// Its index.
    pub index: Signed,
    /// What the index names.
    pub platforms: Vec<PlatformEdition>,
    /// Digest of the public key that verifies the signatures.
    pub key: Digest,
}

/// The image for one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlatformEdition {
    /// Architecture, on Linux.
    pub arch: Arch,
    /// Its manifest.
    pub manifest: Signed,
    /// Its configuration.
    pub config: Digest,
    /// Its layers, bottom first.
    pub layers: Vec<Digest>,
}

/// A manifest that is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Signed {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Signature over the simple-signing document.
    pub simple: Signature,
    /// Signature over the statement.
    pub statement: Signature,
}

/// A signature, ASN.1 DER. Made once and kept: another one over the same bytes would be another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Signature(pub Vec<u8>);

impl TryFrom<String> for Signature {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, base64::DecodeError> {
        STANDARD.decode(text).map(Self)
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        STANDARD.encode(signature.0)
    }
}

impl Edition {
    /// The manifests that are signed, the index and those that it names, with their media types.
    pub fn signed(&self) -> impl Iterator<Item = (&'static str, &Signed)> {
        let platforms = self.platforms.iter().map(|platform| (media_type::MANIFEST, &platform.manifest));
        platforms.chain([(media_type::INDEX, &self.index)])
    }

    /// Whether a digest is that of the image's own manifests, configurations or layers.
    pub fn names(&self, digest: &Digest) -> bool {
        let is_in =
            |platform: &PlatformEdition| platform.config == *digest || platform.layers.contains(digest);
        self.signed().any(|(_, signed)| signed.digest == *digest) || self.platforms.iter().any(is_in)
    }
}
