//! Whether a source image may be trusted.

use async_trait::async_trait;
use factory_formats::Digest;

use super::{Repository, SourceError};

/// What was checked when an image was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Human words for logs: `bundled: public key`, `legacy: certificate subject`, `verification disabled`.
    pub method: String,
}

/// Why an image was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no signature, or none that counts. `reasons` has one line per method tried.
    #[error("failed to verify image signature for {repository}@{digest}: {}", reasons.join("\n"))]
    Refused {
        /// The image's repository.
        repository: Repository,
        /// The image's digest.
        digest: Digest,
        /// Why each method refused it, in the order they were tried.
        reasons: Vec<String>,
    },
    /// The source could not be asked, so nothing is known about the image.
    #[error("cannot look up signatures of {repository}@{digest}: {source}")]
    Unavailable {
        /// The image's repository.
        repository: Repository,
        /// The image's digest.
        digest: Digest,
        /// What the source said.
        source: SourceError,
    },
    /// No method is configured.
    #[error(
        "no verification options provided: set containerSignature.publicKeyFile, \
         containerSignature.subjectRegExp or containerSignature.disabled"
    )]
    NotConfigured,
}

/// Checks signatures of source images. Every configured method (public key, keyless) is an
/// implementation of its own; one that accepts is enough.
#[async_trait]
pub trait SignatureCheck: Send + Sync {
    /// Accepts or refuses the image `repository@digest`. For a multi-platform image this is the
    /// digest of the index.
    ///
    /// # Errors
    /// [`VerifyError`] says whether it was refused or could not be judged.
    async fn verify(&self, repository: &Repository, digest: &Digest) -> Result<Verified, VerifyError>;
}
