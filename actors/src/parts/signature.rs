//! Signatures of assets: made once, because they are random by nature.

use factory_formats::Digest;
use factory_formats::oci_image::message_bundle;
use serde::{Deserialize, Serialize};

use super::{Bench, Built, PartError, PartKind};

/// Signatures of assets.
pub struct Signatures;

/// What to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureSpec {
    /// For people: the asset's name.
    pub name: String,
    /// SHA-256 of the asset.
    pub digest: Digest,
    /// SHA-256 of the factory's public key, SubjectPublicKeyInfo in DER.
    pub key: Digest,
}

/// A signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignaturePart {
    /// The Sigstore bundle, JSON.
    pub bundle: String,
}

impl PartKind for Signatures {
    const NAME: &'static str = "asset-signature/v1";
    type Spec = SignatureSpec;
    type Value = SignaturePart;

    fn subject(spec: &SignatureSpec) -> String {
        format!("{} {}", spec.key, spec.digest)
    }

    fn label(spec: &SignatureSpec) -> String {
        format!("signature of {}", spec.name)
    }

    fn inputs(_: &SignatureSpec) -> Vec<Digest> {
        Vec::new()
    }

    fn build(spec: &SignatureSpec, bench: &Bench) -> Result<Built<SignaturePart>, PartError> {
        let signature = bench.signer.sign_digest(&spec.digest)?;
        let bundle = message_bundle(&spec.digest, &signature, &spec.key);
        let bundle = String::from_utf8_lossy(&bundle.bytes).into_owned();
        Ok(Built { value: SignaturePart { bundle }, blobs: Vec::new() })
    }
}
