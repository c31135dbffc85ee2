//! X.509 certificates of RSA keys, as far as signing needs them (RFC 5280).

use bytes::Bytes;
use der::asn1::{BitString, UintRef};
use der::{Decode, Encode, Sequence};
use sha2::{Digest as _, Sha256};
use x509_cert::ext::pkix::ExtendedKeyUsage;
use x509_cert::spki::ObjectIdentifier;

use crate::{Digest, pem};

/// `rsaEncryption` (RFC 8017, A.1).
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `id-kp-codeSigning` (RFC 5280, 4.2.1.12).
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// `anyExtendedKeyUsage` (RFC 5280, 4.2.1.12).
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// Firmware takes no smaller keys (UEFI 2.10, 32.3.1).
const MIN_MODULUS_BITS: usize = 2048;
/// Longer keys than any firmware or TPM takes; bounds the work of one signature.
const MAX_MODULUS_BITS: usize = 16_384;
/// Longest certificate. Real ones have one or two thousand bytes.
const MAX_CERTIFICATE: usize = 64 << 10;

/// Bytes that are no certificate or no key that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The bytes are something else.
    #[error("not an X.509 certificate in DER: {0}")]
    Malformed(String),
    /// It is one, but not in its one canonical encoding, which signatures refer to.
    #[error("the certificate is not encoded in DER")]
    NotCanonical,
    /// The bytes of a public key are something else.
    #[error("not a public key in DER: {0}")]
    MalformedKey(String),
    /// Secure Boot and measured boot know RSA only.
    #[error("the key is not an RSA key")]
    NotRsa,
    /// Firmware refuses it.
    #[error("the RSA key has {0} bits: use {MIN_MODULUS_BITS} to {MAX_MODULUS_BITS}, in whole bytes")]
    ModulusBits(usize),
    /// The certificate says that it is for other purposes.
    #[error("the certificate's extended key usage does not include code signing")]
    Usage,
}

/// The public half of an RSA key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaPublicKey {
    spki: Bytes,
    pkcs1: Bytes,
    modulus_len: usize,
}

/// `RSAPublicKey` (RFC 8017, A.1.1).
#[derive(Sequence)]
struct Pkcs1<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

/// `SubjectPublicKeyInfo` (RFC 5280, 4.1).
type Spki = x509_cert::spki::SubjectPublicKeyInfo<der::Any, BitString>;

impl RsaPublicKey {
    /// Reads a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// [`CertificateError`] when it is something else, or no RSA key of a size that firmware takes.
    pub fn from_spki(der: &[u8]) -> Result<Self, CertificateError> {
        let malformed = |error: der::Error| CertificateError::MalformedKey(error.to_string());
        let spki = Spki::from_der(der).map_err(malformed)?;
        if spki.algorithm.oid != RSA_ENCRYPTION {
            return Err(CertificateError::NotRsa);
        }
        let pkcs1 = spki.subject_public_key.raw_bytes();
        let key = Pkcs1::from_der(pkcs1).map_err(malformed)?;
        let modulus = key.modulus.as_bytes();
        let zeros = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
        let bits = (modulus.len() * 8).saturating_sub(zeros);
        // Whole bytes, so that a signature is exactly as long as the modulus.
        if !(MIN_MODULUS_BITS..=MAX_MODULUS_BITS).contains(&bits) || !bits.is_multiple_of(8) {
            return Err(CertificateError::ModulusBits(bits));
        }
        Ok(Self {
            spki: Bytes::copy_from_slice(der),
            pkcs1: Bytes::copy_from_slice(pkcs1),
            modulus_len: modulus.len(),
        })
    }

    /// The `SubjectPublicKeyInfo` in DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The `RSAPublicKey` in DER.
    pub fn pkcs1(&self) -> &[u8] {
        &self.pkcs1
    }

    /// PEM with the label `PUBLIC KEY`.
    pub fn pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.spki)
    }

    /// SHA-256 of the `RSAPublicKey`, the fingerprint that PCR signatures name (specification 31, 6.5).
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.pkcs1).into()
    }

    /// Bytes of the modulus, which is the length of a signature.
    pub fn modulus_len(&self) -> usize {
        self.modulus_len
    }
}

/// A certificate of an RSA key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Bytes,
    pub(crate) parsed: x509_cert::Certificate,
    public_key: RsaPublicKey,
}

impl Certificate {
    /// Reads a certificate. Its dates are not looked at, as firmware does not either.
    ///
    /// # Errors
    /// [`CertificateError`] when it is something else, or its key none that firmware takes.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let malformed = |error: &dyn std::fmt::Display| CertificateError::Malformed(error.to_string());
        if der.len() > MAX_CERTIFICATE {
            return Err(malformed(&format_args!("it has {} bytes", der.len())));
        }
        let parsed = x509_cert::Certificate::from_der(der).map_err(|error| malformed(&error))?;
        // It is written anew inside of signatures, and must stay the same there.
        if parsed.to_der().map_err(|error| malformed(&error))? != der {
            return Err(CertificateError::NotCanonical);
        }
        let spki = parsed.tbs_certificate.subject_public_key_info.to_der();
        let public_key = RsaPublicKey::from_spki(&spki.map_err(|error| malformed(&error))?)?;
        Ok(Self { der: Bytes::copy_from_slice(der), parsed, public_key })
    }

    /// Whether the certificate may sign programs: its extended key usage, if there is one, says so.
    ///
    /// # Errors
    /// [`CertificateError::Usage`] when it is for other purposes only.
    pub fn check_code_signing(&self) -> Result<(), CertificateError> {
        let usage = self.parsed.tbs_certificate.get::<ExtendedKeyUsage>();
        match usage.map_err(|error| CertificateError::Malformed(error.to_string()))? {
            Some((_, usage)) if !usage.0.iter().any(|id| [CODE_SIGNING, ANY_USAGE].contains(id)) => {
                Err(CertificateError::Usage)
            }
            _ => Ok(()),
        }
    }

    /// The bytes.
    pub fn der(&self) -> &Bytes {
        &self.der
    }

    /// PEM with the label `CERTIFICATE`.
    pub fn pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.der)
    }

    /// SHA-256 of the bytes.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.der)
    }

    /// The key that it is about.
    pub fn public_key(&self) -> &RsaPublicKey {
        &self.public_key
    }

    /// Seconds from 1970 to the beginning of its validity: a time that belongs to the key, for signatures
    /// that have to name one and shall not depend on a clock.
    pub fn not_before(&self) -> u64 {
        self.parsed.tbs_certificate.validity.not_before.to_unix_duration().as_secs()
    }
}

#[cfg(test)]
pub(crate) mod tests;
