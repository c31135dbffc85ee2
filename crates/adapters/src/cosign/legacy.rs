//! Signatures under the tag `sha256-<hex>.sig`: an image whose layers are signed documents.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use factory_domain::ports::{Descriptor, Reference, ReleaseSource, Repository};
use factory_formats::Digest;

use super::NotAccepted;
use super::authority::{Authority, LayerSignature, Refusal};
use super::evidence::{Layers, absent_or_unknown, document, some_of};
use super::statement::check_simple_signing;

/// Annotation of a layer that holds its signature in base64.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// Signatures of one image that are looked at.
const MAX_SIGNATURES: usize = 1000;

/// Longest payload. They have some 250 bytes, annotations of the signer included.
const MAX_PAYLOAD_BYTES: u64 = 1 << 20;

/// Looks for a signed document in which the authority says that the image is signed.
pub(super) async fn signed(
    source: &dyn ReleaseSource,
    repository: &Repository,
    digest: &Digest,
    authority: &dyn Authority,
) -> Result<(), NotAccepted> {
    let none = || NotAccepted::Refused("no signatures found".to_owned());
    let tag = format!("sha256-{}.sig", digest.hex());
    let manifest = match source.fetch_manifest(repository, &Reference::Tag(tag)).await {
        Ok(manifest) => manifest,
        Err(error) => return absent_or_unknown(error).and_then(|()| Err(none())),
    };
    let Layers { layers } = serde_json::from_slice(&manifest.bytes).map_err(|error| {
        NotAccepted::Refused(format!("no matching signatures: the signature image cannot be read: {error}"))
    })?;
    let mut reasons = Vec::new();
    for layer in layers.iter().take(MAX_SIGNATURES) {
        let Some(signature) = layer.annotations.get(SIGNATURE) else { continue };
        match check_layer(source, repository, digest, authority, layer, signature).await? {
            Ok(()) => return Ok(()),
            Err(refusal) => reasons.push(refusal.to_string()),
        }
    }
    if reasons.is_empty() {
        return Err(none());
    }
    Err(NotAccepted::Refused(format!("no matching signatures: {}", some_of(reasons))))
}

async fn check_layer(
    source: &dyn ReleaseSource,
    repository: &Repository,
    digest: &Digest,
    authority: &dyn Authority,
    layer: &Descriptor,
    signature: &str,
) -> Result<Result<(), Refusal>, NotAccepted> {
    if layer.size > MAX_PAYLOAD_BYTES {
        return Ok(Err(Refusal::Malformed(format!("its payload is longer than {MAX_PAYLOAD_BYTES} bytes"))));
    }
    // Some tools break lines.
    let text: String = signature.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let Ok(signature) = STANDARD.decode(text) else {
        return Ok(Err(Refusal::Malformed("its signature is not base64".to_owned())));
    };
    let payload = match document(source, repository, layer).await {
        Ok(payload) => payload,
        Err(error) => {
            let reason = error.to_string();
            return absent_or_unknown(error).map(|()| Err(Refusal::Malformed(reason)));
        }
    };
    let signed = LayerSignature { payload: &payload, signature: &signature, annotations: &layer.annotations };
    // First who said it, then what: nothing unsigned is looked into.
    Ok(authority.check_layer(&signed).and_then(|()| check_simple_signing(&payload, digest)))
}
