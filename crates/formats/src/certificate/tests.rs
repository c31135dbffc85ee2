use std::sync::LazyLock;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use rcgen::PublicKeyData as _;

use super::*;

/// A key that signs digests, for tests.
pub(crate) struct TestKey(RsaKeyPair);

impl TestKey {
    /// The key in the first block of a PEM text with `RSAPrivateKey` or `PrivateKeyInfo`.
    pub fn from_pem(text: &str) -> Self {
        let der = unarmored(text);
        Self(RsaKeyPair::from_der(&der).or_else(|_| RsaKeyPair::from_pkcs8(&der)).unwrap())
    }

    /// RSASSA-PKCS1-v1_5 over a digest, whose length says which hash made it.
    pub fn sign(&self, digest: &[u8]) -> Vec<u8> {
        let (encoding, algorithm): (&'static dyn RsaEncoding, _) = match digest.len() {
            32 => (&RSA_PKCS1_SHA256, &digest::SHA256),
            48 => (&RSA_PKCS1_SHA384, &digest::SHA384),
            _ => (&RSA_PKCS1_SHA512, &digest::SHA512),
        };
        let digest = digest::Digest::import_less_safe(digest, algorithm).unwrap();
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign_digest(encoding, &digest, &mut signature).unwrap();
        signature
    }
}

/// The bytes of the first block of a PEM text.
pub(crate) fn unarmored(pem: &str) -> Vec<u8> {
    let lines = pem.lines().skip_while(|line| !line.starts_with("-----BEGIN")).skip(1);
    BASE64_STANDARD.decode(lines.take_while(|line| !line.starts_with('-')).collect::<String>()).unwrap()
}

/// A self-signed certificate and its key.
pub(crate) struct Identity {
    pub certificate: Certificate,
    pub key: TestKey,
}

fn identity(change: impl FnOnce(&mut rcgen::CertificateParams)) -> Identity {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let mut parameters = rcgen::CertificateParams::default();
    change(&mut parameters);
    let certificate = parameters.self_signed(&pair).unwrap();
    Identity {
        certificate: Certificate::from_der(certificate.der()).unwrap(),
        key: TestKey(RsaKeyPair::from_pkcs8(pair.serialized_der()).unwrap()),
    }
}

/// One identity for all tests that need any.
pub(crate) static IDENTITY: LazyLock<Identity> = LazyLock::new(|| identity(|_| {}));
/// Another one.
pub(crate) static STRANGER: LazyLock<Identity> = LazyLock::new(|| identity(|_| {}));

#[test]
fn a_certificate_says_what_openssl_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("certificate.pem");
    std::fs::write(&path, IDENTITY.certificate.pem()).unwrap();
    let path = crate::oracle::text(&path);
    let ask = |what: &[&str]| {
        crate::oracle::success("openssl", "openssl", &[&["x509", "-in", path], what].concat())
    };
    assert_eq!(ask(&["-outform", "pem"]), IDENTITY.certificate.pem(), "the same columns");
    assert_eq!(ask(&["-pubkey", "-noout"]), IDENTITY.certificate.public_key().pem());
    let fingerprint = ask(&["-fingerprint", "-sha256", "-noout"]);
    let fingerprint = fingerprint.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
    assert_eq!(fingerprint, IDENTITY.certificate.fingerprint().hex());
    assert_eq!(IDENTITY.certificate.public_key().modulus_len(), 256);
}

#[test]
fn the_beginning_of_validity() {
    let dated = identity(|parameters| parameters.not_before = rcgen::date_time_ymd(2024, 2, 29));
    assert_eq!(dated.certificate.not_before(), 1_709_164_800);
    let late = identity(|parameters| {
        parameters.not_before = rcgen::date_time_ymd(2051, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2052, 1, 1);
    });
    assert_eq!(late.certificate.not_before(), 2_556_144_000);
}

#[test]
fn usage_is_looked_at_where_it_is_said() {
    use rcgen::ExtendedKeyUsagePurpose::{Any, CodeSigning, ServerAuth};
    for (purposes, fits) in [
        (vec![], true),
        (vec![CodeSigning], true),
        (vec![ServerAuth, CodeSigning], true),
        (vec![Any], true),
        (vec![ServerAuth], false),
    ] {
        let made = identity(|parameters| parameters.extended_key_usages = purposes.clone());
        assert_eq!(made.certificate.check_code_signing().is_ok(), fits, "{purposes:?}");
    }
}

#[test]
fn other_keys_are_refused() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519] {
        let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let made = rcgen::CertificateParams::default().self_signed(&pair).unwrap();
        assert_eq!(Certificate::from_der(made.der()), Err(CertificateError::NotRsa));
        assert_eq!(RsaPublicKey::from_spki(&pair.subject_public_key_info()), Err(CertificateError::NotRsa));
    }
}

#[test]
fn small_keys_are_refused() {
    // The smallest modulus that was ever usual, as SubjectPublicKeyInfo; its value does not matter.
    let mut key = vec![0x30, 0x81, 0x87, 0x02, 0x81, 0x81, 0x00];
    key.extend([0xA5; 128]);
    key.extend([0x02, 0x01, 0x03]);
    let mut bits = vec![0x03, 0x81, 0x8B, 0x00];
    bits.extend(key);
    let mut spki = vec![0x30, 0x81, 0x9D, 0x30, 0x0D];
    spki.extend([0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00]);
    spki.extend(bits);
    assert_eq!(RsaPublicKey::from_spki(&spki), Err(CertificateError::ModulusBits(1024)));
}

proptest! {
    #[test]
    fn damaged_certificates_are_never_taken_for_the_same(at in 0usize..600, byte: u8) {
        let mut der = IDENTITY.certificate.der().to_vec();
        let at = at % der.len();
        prop_assume!(der[at] != byte);
        der[at] = byte;
        if let Ok(read) = Certificate::from_der(&der) {
            prop_assert_ne!(read.fingerprint(), IDENTITY.certificate.fingerprint());
        }
        for cut in [0, at, der.len() - 1] {
            prop_assert!(Certificate::from_der(&der[..cut]).is_err());
        }
    }
}

#[test]
fn a_key_made_of_its_parts_is_the_same() {
    let public = IDENTITY.certificate.public_key();
    let key = Pkcs1::from_der(public.pkcs1()).unwrap();
    let (modulus, exponent) = (key.modulus.as_bytes(), key.public_exponent.as_bytes());
    assert_eq!(RsaPublicKey::from_parts(modulus, exponent).as_ref(), Ok(public));
    let padded = [&[0], modulus].concat();
    assert_eq!(RsaPublicKey::from_parts(&padded, exponent).as_ref(), Ok(public), "as tokens may give it");
    assert!(RsaPublicKey::from_parts(&[], exponent).is_err());
    // The first half: only there is the highest bit sure to be set.
    assert_eq!(
        RsaPublicKey::from_parts(&modulus[..128], exponent).unwrap_err(),
        CertificateError::ModulusBits(1024)
    );
}
