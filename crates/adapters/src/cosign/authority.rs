//! Who may sign. This is where another kind of trust joins in, such as certificates.

use std::collections::BTreeMap;

use factory_formats::Digest;

use super::bundle::Bundle;

/// Somebody whose signatures count.
pub trait Authority: Send + Sync {
    /// For messages: `public key`, `certificate subject`.
    fn name(&self) -> &str;

    /// Accepts a signature of the legacy form. What the payload says is checked elsewhere.
    ///
    /// # Errors
    /// [`Refusal`] says why it does not count.
    fn check_layer(&self, signed: &LayerSignature<'_>) -> Result<(), Refusal>;

    /// Accepts the envelope of a bundle. What the statement says is checked elsewhere.
    ///
    /// # Errors
    /// [`Refusal`] says why it does not count.
    fn check_bundle(&self, bundle: &Bundle) -> Result<(), Refusal>;
}

/// A signature of the legacy form.
#[derive(Clone, Copy, Debug)]
pub struct LayerSignature<'a> {
    /// The document that was signed.
    pub payload: &'a [u8],
    /// The bytes of the signature.
    pub signature: &'a [u8],
    /// Annotations of the layer: certificates and log entries are among them.
    pub annotations: &'a BTreeMap<String, String>,
}

/// Why a signature does not count.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Nobody signed this with that.
    #[error("the signature was not made by the {0}")]
    NotSigned(String),
    /// Made with a certificate, and a key is wanted.
    #[error("it was made with a certificate, not with the public key")]
    CertificateUsed,
    /// Made with a key, and a certificate is wanted.
    #[error("it was made with a key, not with a certificate")]
    KeyUsed,
    /// No transparency log has seen it. None is asked: what counts is what comes with the signature.
    #[error("it comes without an entry of a transparency log")]
    NotLogged,
    /// The certificate is somebody else's.
    #[error("certificate identity {found:?} does not match containerSignature.subjectRegExp {wanted:?}")]
    WrongIdentity {
        /// Name in the certificate; empty when there is none.
        found: String,
        /// The expression of names.
        wanted: String,
    },
    /// Somebody else vouches for the name.
    #[error("issuer {found:?} of certificate identity {identity:?} is not {wanted:?}")]
    WrongIssuer {
        /// Name in the certificate.
        identity: String,
        /// Who vouches for it; empty when nobody does.
        found: String,
        /// Who may.
        wanted: String,
    },
    /// It is not what it should be.
    #[error("it cannot be read: {0}")]
    Malformed(String),
    /// A good signature, of something else.
    #[error("signature-claim-mismatch: it is about {found}, not about {wanted}")]
    OtherImage {
        /// The digest of the image in question.
        wanted: Digest,
        /// What the signed document names.
        found: String,
    },
    /// A good signature under another kind of document.
    #[error("signature-claim-mismatch: it is a {found:?}, not a {wanted:?}")]
    OtherKind {
        /// The kind that is a signature of an image.
        wanted: &'static str,
        /// What the signed document says it is.
        found: String,
    },
    /// Whoever signed is not trusted, for a reason that only the authority knows.
    #[error("not trusted: {0}")]
    Untrusted(String),
}
