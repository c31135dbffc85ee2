//! Several checks of which one is enough, and the check that checks nothing.

use std::sync::Arc;

use async_trait::async_trait;
use factory_domain::ports::{Repository, SignatureCheck, Verified, VerifyError};
use factory_formats::Digest;

/// Asks one check after the other until one accepts.
pub struct AnyOf(Vec<Arc<dyn SignatureCheck>>);

impl AnyOf {
    /// Without any check, every image is refused with [`VerifyError::NotConfigured`].
    pub fn new(checks: Vec<Arc<dyn SignatureCheck>>) -> Self {
        Self(checks)
    }
}

#[async_trait]
impl SignatureCheck for AnyOf {
    async fn verify(&self, repository: &Repository, digest: &Digest) -> Result<Verified, VerifyError> {
        let mut reasons: Vec<String> = Vec::new();
        let mut unknown = None;
        for check in &self.0 {
            match check.verify(repository, digest).await {
                Ok(verified) => return Ok(verified),
                Err(VerifyError::Refused { reasons: more, .. }) => {
                    for reason in more {
                        // "There are none" is true for all who look.
                        if !reasons.contains(&reason) {
                            reasons.push(reason);
                        }
                    }
                }
                Err(error @ VerifyError::Unavailable { .. }) => unknown = Some(error),
                Err(VerifyError::NotConfigured) => {}
                Err(other) => return Err(other),
            }
        }
        // A check that could not be made may be the one that would have accepted.
        if let Some(unknown) = unknown {
            return Err(unknown);
        }
        if reasons.is_empty() {
            return Err(VerifyError::NotConfigured);
        }
        Err(VerifyError::Refused { repository: repository.clone(), digest: *digest, reasons })
    }
}

/// Accepts everything. Only for those who have switched verification off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unchecked;

#[async_trait]
impl SignatureCheck for Unchecked {
    async fn verify(&self, _: &Repository, _: &Digest) -> Result<Verified, VerifyError> {
        Ok(Verified { method: "verification disabled".to_owned() })
    }
}
