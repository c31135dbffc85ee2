//! Sigstore bundles, as far as a signature of an image needs them (`sigstore_bundle.proto`).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::Deserialize;
use serde_json::Value;

/// The oldest version whose bundles count.
const OLDEST: (u32, u32) = (0, 3);

/// Start of the media types of bundles.
pub(super) const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle";

/// A document that is no bundle that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBundle {
    /// Not of the shape of a bundle.
    #[error("it is no bundle: {0}")]
    Shape(#[from] serde_json::Error),
    /// Another version, or no bundle at all.
    #[error("{0:?} is no bundle of version 0.3 or later")]
    Version(String),
    /// It signs a message, not a statement.
    #[error("it has no DSSE envelope")]
    NoEnvelope,
    /// None, or more than one.
    #[error("its envelope has {0} signatures instead of one")]
    Signatures(usize),
    /// Bytes that are no base64.
    #[error("its {0} is not base64")]
    Encoding(&'static str),
}

/// A bundle with a DSSE envelope.
#[derive(Debug)]
pub struct Bundle {
    json: Vec<u8>,
    material: Value,
    payload_type: String,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    media_type: String,
    verification_material: Value,
    dsse_envelope: Option<EnvelopeShape>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnvelopeShape {
    payload: String,
    payload_type: String,
    signatures: Vec<SignatureShape>,
}

#[derive(Deserialize)]
struct SignatureShape {
    sig: String,
}

impl Bundle {
    /// Whether this is a bundle that can be looked into at all; others are passed over.
    pub(super) fn is_one(json: &[u8]) -> bool {
        serde_json::from_slice::<Shape>(json).is_ok_and(|shape| version(&shape.media_type) >= Some(OLDEST))
    }

    /// Reads a bundle. Nothing of it is verified by that.
    ///
    /// # Errors
    /// [`InvalidBundle`].
    pub fn read(json: &[u8]) -> Result<Self, InvalidBundle> {
        let shape: Shape = serde_json::from_slice(json)?;
        if version(&shape.media_type) < Some(OLDEST) {
            return Err(InvalidBundle::Version(shape.media_type));
        }
        let envelope = shape.dsse_envelope.ok_or(InvalidBundle::NoEnvelope)?;
        let [signature] = envelope.signatures.as_slice() else {
            return Err(InvalidBundle::Signatures(envelope.signatures.len()));
        };
        Ok(Self {
            json: json.to_vec(),
            material: shape.verification_material,
            payload: decode(&envelope.payload).ok_or(InvalidBundle::Encoding("payload"))?,
            signature: decode(&signature.sig).ok_or(InvalidBundle::Encoding("signature"))?,
            payload_type: envelope.payload_type,
        })
    }

    /// The whole document, with all that there is to verify with besides a key: certificates, log entries,
    /// timestamps.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// Whether it was made with a certificate.
    pub fn has_certificate(&self) -> bool {
        let has = |name: &str| self.material.get(name).is_some_and(|value| !value.is_null());
        has("certificate") || has("x509CertificateChain")
    }

    /// Type of [`Self::payload`].
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// The statement.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signature over [`Self::signed_bytes`].
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The bytes that are signed: the pre-authentication encoding of DSSE, version 1.
    pub fn signed_bytes(&self) -> Vec<u8> {
        pre_authentication_encoding(&self.payload_type, &self.payload)
    }
}

/// `DSSEv1 <len(type)> <type> <len(body)> <body>`.
pub(super) fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// The version in `…bundle.v0.3+json` and in the older `…bundle+json;version=0.3`.
fn version(media_type: &str) -> Option<(u32, u32)> {
    let rest = media_type.strip_prefix(BUNDLE_TYPE)?;
    let text = match rest.strip_prefix(".v") {
        Some(rest) => rest.strip_suffix("+json")?,
        None => rest.strip_prefix("+json;")?.trim_start().strip_prefix("version=")?,
    };
    let (major, minor) = text.split_once('.')?;
    // A third number, if any, does not matter.
    let minor = minor.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The JSON form of protocol buffers writes standard base64, and reads both alphabets.
fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, expected) in [
            ("application/vnd.dev.sigstore.bundle.v0.3+json", Some((0, 3))),
            ("application/vnd.dev.sigstore.bundle.v0.3.1+json", Some((0, 3))),
            ("application/vnd.dev.sigstore.bundle.v1.0+json", Some((1, 0))),
            ("application/vnd.dev.sigstore.bundle+json;version=0.3", Some((0, 3))),
            ("application/vnd.dev.sigstore.bundle+json;version=0.1", Some((0, 1))),
            ("application/vnd.dev.sigstore.bundle+json", None),
            ("application/vnd.dev.sigstore.bundle.v0.3", None),
            ("application/json", None),
        ] {
            assert_eq!(version(text), expected, "{text}");
        }
    }

    #[test]
    fn the_encoding_of_the_dsse_specification() {
        let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
        assert_eq!(pre_authentication_encoding("http://example.com/HelloWorld", b"hello world"), expected);
    }

    #[test]
    fn odd_bundles_are_refused() {
        let bundle = |version: &str, rest: &str| {
            format!(
                r#"{{"mediaType":"application/vnd.dev.sigstore.bundle.{version}+json","verificationMaterial":{{}}{rest}}}"#
            )
        };
        let envelope = |signatures: &str| {
            format!(r#","dsseEnvelope":{{"payload":"e30=","payloadType":"t","signatures":[{signatures}]}}"#)
        };
        let good = bundle("v0.3", &envelope(r#"{"sig":"AAAA","keyid":""}"#));
        assert_eq!(Bundle::read(good.as_bytes()).unwrap().payload(), b"{}");
        for (json, is_one) in [
            (bundle("v0.2", &envelope(r#"{"sig":"AAAA"}"#)), false),
            (bundle("v0.3", r#","messageSignature":{}"#), true),
            (bundle("v0.3", &envelope("")), true),
            (bundle("v0.3", &envelope(r#"{"sig":"AAAA"},{"sig":"AAAA"}"#)), true),
            (bundle("v0.3", &envelope(r#"{"sig":"?"}"#)), true),
            (bundle("v0.3", &envelope(r#"{"sig":"AAAA"}"#).repeat(2)), false),
            ("{}".to_owned(), false),
            ("[".to_owned(), false),
        ] {
            assert!(Bundle::read(json.as_bytes()).is_err(), "{json}");
            assert_eq!(Bundle::is_one(json.as_bytes()), is_one, "{json}");
        }
    }
}
