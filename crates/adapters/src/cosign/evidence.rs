//! Finding signatures: bundles among the referrers, and the small documents that all signatures are.

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use factory_domain::ports::{Descriptor, Reference, ReleaseSource, Repository, SourceError};
use factory_formats::Digest;
use futures_util::StreamExt as _;
use serde::Deserialize;

use super::NotAccepted;
use super::authority::Authority;
use super::bundle::{BUNDLE_TYPE, Bundle};
use super::statement::check_statement;

/// Referrers that are looked at; images have a handful.
const MAX_REFERRERS: usize = 256;

/// Longest bundle that is looked into. Those of signatures have a few kilobytes; the rest of the room is
/// for attestations, which are bundles too.
const MAX_BUNDLE_BYTES: u64 = 16 << 20;

/// Reasons that are passed on when nothing was accepted.
const MAX_REASONS: usize = 5;

/// The layers of an image manifest.
#[derive(Deserialize)]
pub(super) struct Layers {
    pub layers: Vec<Descriptor>,
}

/// Looks for a bundle in which the authority says that the image is signed.
pub(super) async fn bundled(
    source: &dyn ReleaseSource,
    repository: &Repository,
    digest: &Digest,
    authority: &dyn Authority,
) -> Result<(), NotAccepted> {
    let mut referrers = match source.list_referrers(repository, digest).await {
        Ok(referrers) => referrers,
        Err(error) => absent_or_unknown(error).map(|()| Vec::new())?,
    };
    let mut seen = HashSet::new();
    referrers.retain(|referrer| seen.insert(referrer.digest));
    // Those that say they are bundles come first; the others may be, too.
    referrers
        .sort_by_key(|referrer| !referrer.artifact_type.as_deref().unwrap_or("").starts_with(BUNDLE_TYPE));
    let mut reasons = Vec::new();
    for referrer in referrers.iter().take(MAX_REFERRERS) {
        let Some(json) = bundle_of(source, repository, referrer).await? else { continue };
        let checked = match Bundle::read(&json) {
            Ok(bundle) => authority.check_bundle(&bundle).and_then(|()| check_statement(&bundle, digest)),
            Err(invalid) => Err(super::Refusal::Malformed(invalid.to_string())),
        };
        match checked {
            Ok(()) => return Ok(()),
            Err(refusal) => reasons.push(refusal.to_string()),
        }
    }
    Err(NotAccepted::Refused(match reasons.is_empty() {
        true => "no valid bundles exist in registry".to_owned(),
        false => format!("no matching attestations: {}", some_of(reasons)),
    }))
}

/// The JSON of the bundle that a referrer is, or `None` when it is something else.
async fn bundle_of(
    source: &dyn ReleaseSource,
    repository: &Repository,
    referrer: &Descriptor,
) -> Result<Option<Bytes>, NotAccepted> {
    let manifest = match source.fetch_manifest(repository, &Reference::Digest(referrer.digest)).await {
        Ok(manifest) => manifest,
        Err(error) => return absent_or_unknown(error).map(|()| None),
    };
    let Ok(Layers { layers }) = serde_json::from_slice(&manifest.bytes) else { return Ok(None) };
    let [layer] = layers.as_slice() else { return Ok(None) };
    if !layer.media_type.starts_with(BUNDLE_TYPE) || layer.size > MAX_BUNDLE_BYTES {
        return Ok(None);
    }
    let json = match document(source, repository, layer).await {
        Ok(json) => json,
        Err(error) => return absent_or_unknown(error).map(|()| None),
    };
    Ok(Bundle::is_one(&json).then_some(json))
}

/// A short blob, with its digest checked. Whoever asks has looked at its size.
pub(super) async fn document(
    source: &dyn ReleaseSource,
    repository: &Repository,
    descriptor: &Descriptor,
) -> Result<Bytes, SourceError> {
    let mut stream = source.open_blob(repository, &descriptor.digest, descriptor.size, 0).await?;
    let mut bytes = BytesMut::new();
    let wrong = |reason: String| SourceError::Invalid {
        what: format!("blob {} of {repository}", descriptor.digest),
        source_name: source.name().to_owned(),
        reason,
    };
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        if (bytes.len() + piece.len()) as u64 > descriptor.size {
            return Err(wrong(format!("it has more than {} bytes", descriptor.size)));
        }
        bytes.extend_from_slice(&piece);
    }
    let got = Digest::of(&bytes);
    if got == descriptor.digest {
        Ok(bytes.freeze())
    } else {
        Err(wrong(format!("its bytes have the digest {got}")))
    }
}

/// Something that is not there or not what it should be is no signature. Everything else says nothing
/// about signatures at all, and must never be taken for "unsigned".
pub(super) fn absent_or_unknown(error: SourceError) -> Result<(), NotAccepted> {
    match error {
        SourceError::NotFound { .. } => Ok(()),
        SourceError::Invalid { .. } => {
            tracing::debug!(%error, "passed over while looking for signatures");
            Ok(())
        }
        error => Err(NotAccepted::Unknown(error)),
    }
}

/// Different reasons in one line, not too many.
pub(super) fn some_of(mut reasons: Vec<String>) -> String {
    let mut seen = HashSet::new();
    reasons.retain(|reason| seen.insert(reason.clone()));
    let more = reasons.len().saturating_sub(MAX_REASONS);
    reasons.truncate(MAX_REASONS);
    if more > 0 {
        reasons.push(format!("and {more} more"));
    }
    reasons.join(", ").replace('\n', " ")
}
