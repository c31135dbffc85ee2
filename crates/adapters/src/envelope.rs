//! Small texts that are kept where others may write: signed with the factory's key, checked when they are read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use factory_domain::ports::{KeyError, Signer};
use serde::{Deserialize, Serialize};

use crate::cosign::PublicKey;

/// A text as it is written.
#[derive(Serialize, Deserialize)]
struct Envelope {
    /// The very bytes that are signed, behind what they are.
    text: String,
    /// ASN.1 DER in base64.
    signature: String,
}

/// Why a text does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("it cannot be read")]
    Unreadable,
    #[error("it was not signed with the factory's key")]
    Signature,
    #[error("it is about something else")]
    Other,
}

/// What a signature is over. The key signs other documents too: `kind`, a line of its own, tells them apart.
fn signed_bytes(kind: &str, text: &str) -> Vec<u8> {
    format!("{kind}\n{text}").into_bytes()
}

/// A text as it is written.
pub(crate) fn seal(kind: &str, text: String, signer: &dyn Signer) -> Result<Vec<u8>, KeyError> {
    let signature = STANDARD.encode(signer.sign(&signed_bytes(kind, &text))?);
    Ok(serde_json::to_vec(&Envelope { text, signature }).unwrap_or_default())
}

/// Reads a text of this kind, which must be signed with `key`.
pub(crate) fn open(kind: &str, bytes: &[u8], key: &PublicKey) -> Result<String, Unfit> {
    let Envelope { text, signature } = serde_json::from_slice(bytes).map_err(|_| Unfit::Unreadable)?;
    let signature = STANDARD.decode(&signature).map_err(|_| Unfit::Unreadable)?;
    if key.verifies(&signed_bytes(kind, &text), &signature) { Ok(text) } else { Err(Unfit::Signature) }
}
