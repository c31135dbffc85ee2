//! PKCS#7 `SignedData` with one RSA signer (RFC 2315, 9; RFC 5652, 5).
//!
//! Nothing here holds a key: [`Unsigned::digest`] says what is to be signed, [`Unsigned::sign`] takes the
//! signature. Authenticode and EFI variables differ in the content only.

use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::CmsVersion;
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedAttributes, SignedData, SignerIdentifier, SignerInfo,
    SignerInfos,
};
use der::asn1::{GeneralizedTime, Null, ObjectIdentifier, OctetString, SetOfVec, UtcTime};
use der::{Any, DateTime, Encode, Tag};
use sha2::{Digest as _, Sha256};
use x509_cert::attr::Attribute;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;

use crate::certificate::Certificate;

const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");

/// What cannot be put into DER, or not be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignedDataError {
    /// The encoder refused.
    #[error("the signature cannot be encoded: {0}")]
    Encoding(String),
    /// What was given as signature is none by this key.
    #[error("a signature by this key has {expected} bytes, not {found}")]
    Length {
        /// Bytes of the key's modulus.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
}

impl From<der::Error> for SignedDataError {
    fn from(error: der::Error) -> Self {
        Self::Encoding(error.to_string())
    }
}

/// What is signed.
pub(crate) enum Content<'a> {
    /// Bytes of a `SEQUENCE` of this type, inside of the message. Their digest leaves out tag and length.
    Sequence(ObjectIdentifier, &'a [u8]),
    /// Bytes outside of the message, by their SHA-256.
    Detached([u8; 32]),
}

/// `id-data` (RFC 5652, 4).
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");

/// A message that lacks its signature.
#[derive(Clone, Debug)]
pub struct Unsigned<'a> {
    certificate: &'a Certificate,
    content: EncapsulatedContentInfo,
    attributes: SignedAttributes,
    digest: [u8; 32],
}

impl<'a> Unsigned<'a> {
    /// Content to be signed by the key of `certificate`. `time` is said to be that of signing, in seconds
    /// since 1970.
    pub(crate) fn new(
        certificate: &'a Certificate,
        content: Content<'_>,
        time: u64,
    ) -> Result<Self, SignedDataError> {
        let (content_type, econtent, message_digest) = match content {
            Content::Sequence(id, bytes) => {
                (id, Some(Any::new(Tag::Sequence, bytes)?), Sha256::digest(bytes).into())
            }
            Content::Detached(digest) => (DATA, None, digest),
        };
        let attributes = [
            (CONTENT_TYPE, Any::encode_from(&content_type)?),
            (SIGNING_TIME, Any::encode_from(&signing_time(time)?)?),
            (MESSAGE_DIGEST, Any::encode_from(&OctetString::new(message_digest)?)?),
        ]
        .map(|(oid, value)| Ok(Attribute { oid, values: SetOfVec::try_from(vec![value])? }));
        let attributes: Vec<Attribute> = attributes.into_iter().collect::<der::Result<_>>()?;
        let attributes = SetOfVec::try_from(attributes)?;
        // Signed as the SET that they are, whatever tag they have inside of the message (RFC 5652, 5.4).
        let digest = Sha256::digest(attributes.to_der()?).into();
        let content = EncapsulatedContentInfo { econtent_type: content_type, econtent };
        Ok(Self { certificate, content, attributes, digest })
    }

    /// SHA-256 of what is to be signed, with RSASSA-PKCS1-v1_5.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The message with its signature.
    pub(crate) fn signed(&self, signature: &[u8]) -> Result<SignedData, SignedDataError> {
        let expected = self.certificate.public_key().modulus_len();
        if signature.len() != expected {
            return Err(SignedDataError::Length { expected, found: signature.len() });
        }
        let algorithm = |oid| {
            Ok::<_, der::Error>(AlgorithmIdentifierOwned { oid, parameters: Some(Any::encode_from(&Null)?) })
        };
        let subject = &self.certificate.parsed.tbs_certificate;
        let signer = SignerInfo {
            version: CmsVersion::V1,
            sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
                issuer: subject.issuer.clone(),
                serial_number: subject.serial_number.clone(),
            }),
            digest_alg: algorithm(SHA256)?,
            signed_attrs: Some(self.attributes.clone()),
            signature_algorithm: algorithm(RSA_ENCRYPTION)?,
            signature: OctetString::new(signature)?,
            unsigned_attrs: None,
        };
        let certificate = CertificateChoices::Certificate(self.certificate.parsed.clone());
        Ok(SignedData {
            version: CmsVersion::V1,
            digest_algorithms: SetOfVec::try_from(vec![algorithm(SHA256)?])?,
            encap_content_info: self.content.clone(),
            certificates: Some(CertificateSet(SetOfVec::try_from(vec![certificate])?)),
            crls: None,
            signer_infos: SignerInfos(SetOfVec::try_from(vec![signer])?),
        })
    }
}

/// A time as X.509 writes it: two digits of the year as long as they suffice (RFC 5652, 11.3).
fn signing_time(seconds: u64) -> der::Result<Time> {
    let date = DateTime::from_unix_duration(std::time::Duration::from_secs(seconds))?;
    Ok(match UtcTime::from_date_time(date) {
        Ok(time) => Time::UtcTime(time),
        Err(_) => Time::GeneralTime(GeneralizedTime::from_date_time(date)),
    })
}
