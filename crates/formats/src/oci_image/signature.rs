//! Signatures of images with a key, in both forms that `cosign` knows: the older image under the tag
//! `sha256-<hex>.sig` (51-builds-and-caching.md, 4.3) and the bundle that refers to the image (52, 6.3).
//!
//! Nothing here signs: these are the bytes to sign, and the documents that carry the signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::empty::{NoMembers, one_layer_config};
use super::image::rfc3339;
use super::{Annotations, Descriptor, Document, Manifest, NO_ANNOTATIONS, SCHEMA_VERSION, media_type};
use crate::Digest;

/// Annotation of a layer that holds its signature in base64.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// Payload type of in-toto statements in DSSE envelopes.
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// What makes a statement a signature of an image.
pub const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

/// What makes a statement a bill of materials in SPDX 2.3.
pub const SPDX_PREDICATE: &str = "https://spdx.dev/Document/v2.3";

/// What makes a statement tell how an image was made (SLSA 1.0, "Provenance").
pub const PROVENANCE_PREDICATE: &str = "https://slsa.dev/provenance/v1";

#[derive(Serialize)]
struct SimpleSigning<'a> {
    critical: Critical<'a>,
    optional: Option<()>,
}

#[derive(Serialize)]
struct Critical<'a> {
    identity: Identity<'a>,
    image: Image,
    r#type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Identity<'a> {
    docker_reference: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: Digest,
}

/// The document that is signed in the older form. `repository` is `<host>/<path>`, without tag.
pub fn simple_signing(repository: &str, manifest: &Digest) -> Document {
    let document = SimpleSigning {
        critical: Critical {
            identity: Identity { docker_reference: repository },
            image: Image { docker_manifest_digest: *manifest },
            r#type: "cosign container image signature",
        },
        optional: None,
    };
    Document::json(media_type::SIMPLE_SIGNING, &document)
}

/// The image that carries a signature of the older form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureImage {
    /// Its manifest, which lies under the tag `sha256-<hex>.sig`.
    pub manifest: Document,
    /// Its configuration, that of an empty image.
    pub config: Document,
}

/// The image that carries `signature` (ASN.1 DER) over `payload`; `created` is in seconds since 1970.
pub fn signature_image(payload: &Document, signature: &[u8], created: u64) -> SignatureImage {
    let config = one_layer_config(media_type::CONFIG, rfc3339(created), payload.digest);
    let annotations = Annotations::from([(SIGNATURE.to_owned(), STANDARD.encode(signature))]);
    let manifest = Manifest {
        schema_version: SCHEMA_VERSION,
        media_type: media_type::MANIFEST,
        config: config.descriptor(),
        layers: vec![Descriptor { annotations: Some(&annotations), ..payload.descriptor() }],
        annotations: &NO_ANNOTATIONS,
        subject: None,
        artifact_type: None,
    };
    let manifest = Document::json(media_type::MANIFEST, &manifest);
    SignatureImage { manifest, config }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement<'a, P> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: Vec<Subject<'a>>,
    predicate_type: &'static str,
    predicate: &'a P,
}

#[derive(Serialize)]
struct Subject<'a> {
    name: &'a str,
    digest: Sha256,
}

#[derive(Serialize)]
struct Sha256 {
    sha256: String,
}

/// The in-toto statement that a predicate holds for manifests of `repository`.
pub fn statement(
    repository: &str,
    manifests: &[Digest],
    predicate_type: &'static str,
    predicate: &impl Serialize,
) -> Vec<u8> {
    let subject = |digest: &Digest| Subject { name: repository, digest: Sha256 { sha256: digest.hex() } };
    let statement = Statement {
        kind: "https://in-toto.io/Statement/v1",
        subject: manifests.iter().map(subject).collect(),
        predicate_type,
        predicate,
    };
    serde_json::to_vec(&statement).unwrap_or_default()
}

/// The in-toto statement that an image is signed.
pub fn sign_statement(repository: &str, manifest: &Digest) -> Vec<u8> {
    statement(repository, &[*manifest], SIGN_PREDICATE, &NoMembers {})
}

/// The bytes that are signed for a statement: the pre-authentication encoding of DSSE, version 1.
pub fn pre_authentication_encoding(statement: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {IN_TOTO} {} ", IN_TOTO.len(), statement.len());
    [head.as_bytes(), statement].concat()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: &'static str,
    verification_material: Material,
    dsse_envelope: Envelope,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: PublicKey,
}

#[derive(Serialize)]
struct PublicKey {
    hint: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: &'static str,
    signatures: [EnvelopeSignature; 1],
}

#[derive(Serialize)]
struct EnvelopeSignature {
    sig: String,
}

/// The Sigstore bundle of a statement and its signature (ASN.1 DER) with the key whose SubjectPublicKeyInfo
/// has the digest `key`.
pub fn sigstore_bundle(statement: &[u8], signature: &[u8], key: &Digest) -> Document {
    let bundle = Bundle {
        media_type: media_type::BUNDLE,
        verification_material: Material { public_key: PublicKey { hint: STANDARD.encode(key.as_bytes()) } },
        dsse_envelope: Envelope {
            payload: STANDARD.encode(statement),
            payload_type: IN_TOTO,
            signatures: [EnvelopeSignature { sig: STANDARD.encode(signature) }],
        },
    };
    Document::json(media_type::BUNDLE, &bundle)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageBundle {
    media_type: &'static str,
    verification_material: Material,
    message_signature: MessageSignature,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageSignature {
    message_digest: MessageDigest,
    signature: String,
}

#[derive(Serialize)]
struct MessageDigest {
    algorithm: &'static str,
    digest: String,
}

/// The Sigstore bundle of a file and its signature (ASN.1 DER over its SHA-256 `digest`) with the key whose
/// SubjectPublicKeyInfo has the digest `key`.
pub fn message_bundle(digest: &Digest, signature: &[u8], key: &Digest) -> Document {
    let bundle = MessageBundle {
        media_type: media_type::BUNDLE,
        verification_material: Material { public_key: PublicKey { hint: STANDARD.encode(key.as_bytes()) } },
        message_signature: MessageSignature {
            message_digest: MessageDigest {
                algorithm: "SHA2_256",
                digest: STANDARD.encode(digest.as_bytes()),
            },
            signature: STANDARD.encode(signature),
        },
    };
    Document::json(media_type::BUNDLE, &bundle)
}
