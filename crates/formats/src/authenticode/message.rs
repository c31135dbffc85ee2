//! The signed statement "a program with this digest".

use cms::content_info::ContentInfo;
use der::asn1::ObjectIdentifier;
use der::{Any, Encode};

use crate::certificate::Certificate;
use crate::signed_data::{Content, SignedDataError, Unsigned};

/// `SPC_INDIRECT_DATA_OBJID`.
const INDIRECT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");
/// `id-signedData` (RFC 5652, 5.1).
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// `SpcAttributeTypeAndOptionalValue` for a program: no flags, and the file name that Windows' own tool
/// writes ("<<<Obsolete>>>" in UTF-16). The same in every signature.
const PE_IMAGE_DATA: [u8; 53] = *b"\x30\x33\
    \x06\x0A\x2B\x06\x01\x04\x01\x82\x37\x02\x01\x0F\
    \x30\x25\x03\x01\x00\xA0\x20\xA2\x1E\x80\x1C\
    \0<\0<\0<\0O\0b\0s\0o\0l\0e\0t\0e\0>\0>\0>";
/// `DigestInfo` of a SHA-256 up to the digest itself.
const SHA256_INFO: [u8; 19] =
    *b"\x30\x31\x30\x0D\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";

/// A statement that lacks its signature.
#[derive(Clone, Debug)]
pub struct Statement<'a>(Unsigned<'a>);

/// States that the program with this [`digest`](super::Program::digest) is from the owner of `certificate`.
/// `time` is said to be that of signing, in seconds since 1970; nobody checks it.
///
/// # Errors
/// [`SignedDataError::Encoding`].
pub fn statement<'a>(
    digest: &[u8; 32],
    certificate: &'a Certificate,
    time: u64,
) -> Result<Statement<'a>, SignedDataError> {
    let content = [&PE_IMAGE_DATA[..], &SHA256_INFO, digest].concat();
    Ok(Statement(Unsigned::new(certificate, Content::Sequence(INDIRECT_DATA, &content), time)?))
}

impl Statement<'_> {
    /// SHA-256 of what the certificate's key has to sign, with RSASSA-PKCS1-v1_5.
    pub fn digest(&self) -> &[u8; 32] {
        self.0.digest()
    }

    /// The PKCS#7 message with its signature, in DER.
    ///
    /// # Errors
    /// [`SignedDataError::Length`] when the key gives no signature of this length.
    pub fn sign(&self, signature: &[u8]) -> Result<Vec<u8>, SignedDataError> {
        let signed = self.0.signed(signature)?;
        let message = ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&signed)? };
        Ok(message.to_der()?)
    }
}
