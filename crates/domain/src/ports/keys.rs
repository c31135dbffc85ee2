//! The factory's own signing key.

use factory_formats::Digest;

/// Why a key cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key file is not what it should be.
    #[error("the signing key {location} cannot be used: {reason}")]
    Invalid {
        /// Where the key lies.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The key, or the service that holds it, does not answer.
    #[error("the signing key {location} cannot be reached: {reason}")]
    Unavailable {
        /// Where the key lies.
        location: String,
        /// What happened.
        reason: String,
    },
}

/// Signs with the factory's key, which signs what the factory publishes.
pub trait Signer: Send + Sync {
    /// The public half, PEM with the label `PUBLIC KEY` (SubjectPublicKeyInfo, RFC 5280, 4.1).
    fn public_key_pem(&self) -> &str;

    /// An ECDSA P-256 signature, ASN.1 DER, over the SHA-256 of `message`.
    ///
    /// # Errors
    /// [`KeyError`] when the key cannot sign now.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;

    /// The same over a message whose SHA-256 is known: assets are too long to be held.
    ///
    /// # Errors
    /// [`KeyError`] when the key cannot sign now.
    fn sign_digest(&self, digest: &Digest) -> Result<Vec<u8>, KeyError>;
}
