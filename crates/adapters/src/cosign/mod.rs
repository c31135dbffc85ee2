//! Signatures made by cosign, in both places where it puts them.
//!
//! | form | place | what is signed |
//! |---|---|---|
//! | bundle | an OCI referrer whose layer is a sigstore bundle 0.3 or later | a DSSE envelope with an in-toto statement about the digest |
//! | legacy | the tag `sha256-<hex>.sig` | a "simple signing" document that names the digest |
//!
//! In both the signed document must be about the very digest that is asked for. A signature that was
//! copied from another image is no signature.
//!
//! [`CosignCheck`] finds signatures and checks their claims; an [`Authority`] says who may have made them.
//! [`PublicKey`] is one, [`Keyless`] (certificates and transparency logs) is another. [`AnyOf`] puts
//! several checks behind each other.

mod any_of;
mod authority;
mod bundle;
mod evidence;
mod identity;
mod keyless;
mod legacy;
mod public_key;
mod statement;

use std::sync::Arc;

use async_trait::async_trait;
use factory_domain::ports::{ReleaseSource, Repository, SignatureCheck, SourceError, Verified, VerifyError};
use factory_formats::Digest;

pub use any_of::{AnyOf, Unchecked};
pub use authority::{Authority, LayerSignature, Refusal};
pub use bundle::{Bundle, InvalidBundle};
pub use identity::{InvalidPolicy, SignerPolicy};
pub use keyless::Keyless;
pub use public_key::{HashAlgorithm, InvalidPublicKey, PublicKey, UnknownHashAlgorithm};

/// Accepts images that an authority has signed with cosign.
pub struct CosignCheck {
    source: Arc<dyn ReleaseSource>,
    authority: Box<dyn Authority>,
}

/// Why one form of signature did not lead to acceptance.
enum NotAccepted {
    /// There is none that counts; this says why.
    Refused(String),
    /// It is not known whether there is one.
    Unknown(SourceError),
}

impl CosignCheck {
    /// Looks for signatures in `source`, where the images are.
    pub fn new(source: Arc<dyn ReleaseSource>, authority: impl Authority + 'static) -> Self {
        Self { source, authority: Box::new(authority) }
    }
}

#[async_trait]
impl SignatureCheck for CosignCheck {
    async fn verify(&self, repository: &Repository, digest: &Digest) -> Result<Verified, VerifyError> {
        let authority = self.authority.as_ref();
        let name = authority.name();
        let bundled = match evidence::bundled(self.source.as_ref(), repository, digest, authority).await {
            Ok(()) => return Ok(Verified { method: format!("bundled: {name}") }),
            Err(not_accepted) => not_accepted,
        };
        let legacy = match legacy::signed(self.source.as_ref(), repository, digest, authority).await {
            Ok(()) => return Ok(Verified { method: format!("legacy: {name}") }),
            Err(not_accepted) => not_accepted,
        };
        match (bundled, legacy) {
            (NotAccepted::Refused(bundled), NotAccepted::Refused(legacy)) => Err(VerifyError::Refused {
                repository: repository.clone(),
                digest: *digest,
                reasons: vec![bundled, legacy],
            }),
            // Half an answer is none: the other half may be the signature.
            (NotAccepted::Unknown(source), _) | (_, NotAccepted::Unknown(source)) => {
                Err(VerifyError::Unavailable { repository: repository.clone(), digest: *digest, source })
            }
        }
    }
}
