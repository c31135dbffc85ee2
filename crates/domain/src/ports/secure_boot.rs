//! The keys of Secure Boot and measured boot.

use std::fmt;
use std::sync::Arc;

use factory_formats::certificate::{Certificate, CertificateError, RsaPublicKey};

use super::KeyError;

/// The hash that made a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureHash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl SignatureHash {
    /// Bytes of a digest.
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// Signs digests with an RSA key, which may be far away: a call blocks until the signature is there.
pub trait RsaSigner: Send + Sync {
    /// The public half. It never changes: a key that was replaced is another signer.
    fn public_key(&self) -> &RsaPublicKey;

    /// An RSASSA-PKCS1-v1_5 signature (RFC 8017, 8.2) of a digest, as long as the modulus. The same digest
    /// gives the same bytes.
    ///
    /// # Errors
    /// [`KeyError`] when the key cannot sign now, or not this.
    fn sign(&self, hash: SignatureHash, digest: &[u8]) -> Result<Vec<u8>, KeyError>;
}

/// Keys that do not make a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnfitKeys {
    /// What they sign could not be verified with the certificate.
    #[error("the signing key and the certificate do not belong together: the certificate is for another key")]
    Mismatch,
    /// Firmware would refuse it.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// Everything that signs boot files: a key with its certificate for programs and firmware variables, and a key
/// for the policies that measured boot seals secrets with.
#[derive(Clone)]
pub struct SecureBootKeys {
    certificate: Certificate,
    signing: Arc<dyn RsaSigner>,
    pcr: Arc<dyn RsaSigner>,
}

impl SecureBootKeys {
    /// A set of keys.
    ///
    /// # Errors
    /// [`UnfitKeys`] when the certificate is not that of the signing key, or not for programs.
    pub fn new(
        certificate: Certificate,
        signing: Arc<dyn RsaSigner>,
        pcr: Arc<dyn RsaSigner>,
    ) -> Result<Self, UnfitKeys> {
        if certificate.public_key().pkcs1() != signing.public_key().pkcs1() {
            return Err(UnfitKeys::Mismatch);
        }
        certificate.check_code_signing()?;
        Ok(Self { certificate, signing, pcr })
    }

    /// The certificate of what [`Self::signing`] signs.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Signs programs and firmware variables.
    pub fn signing(&self) -> &dyn RsaSigner {
        &*self.signing
    }

    /// Signs PCR policies.
    pub fn pcr(&self) -> &dyn RsaSigner {
        &*self.pcr
    }
}

impl fmt::Debug for SecureBootKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecureBootKeys({})", self.certificate.fingerprint())
    }
}
