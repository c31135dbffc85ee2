//! Signatures by a key that we know.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA224_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use ed25519_dalek::VerifyingKey;
use sha2::{Digest as _, Sha512};
use sigstore::crypto::{CosignVerificationKey, Signature};

use super::authority::{Authority, LayerSignature, Refusal};
use super::bundle::Bundle;

/// What is hashed before it is signed with. Ed25519 does that in its own way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// SHA-224.
    Sha224,
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A text that names no hash algorithm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown hash algorithm {0:?}: expected sha224, sha256, sha384 or sha512")]
pub struct UnknownHashAlgorithm(pub String);

impl FromStr for HashAlgorithm {
    type Err = UnknownHashAlgorithm;

    /// Reads the name in letters of any case; blank means SHA-256.
    fn from_str(text: &str) -> Result<Self, UnknownHashAlgorithm> {
        match text.trim().to_ascii_lowercase().as_str() {
            "sha224" => Ok(Self::Sha224),
            "" | "sha256" => Ok(Self::Sha256),
            "sha384" => Ok(Self::Sha384),
            "sha512" => Ok(Self::Sha512),
            _ => Err(UnknownHashAlgorithm(text.chars().take(100).collect())),
        }
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        })
    }
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPublicKey {
    /// It is no PEM of an ECDSA, RSA or Ed25519 public key.
    #[error("the public key cannot be read: {0}")]
    Unreadable(String),
    /// The key is fine, but not together with this hash.
    #[error("{key} keys with {hash} are not supported: use sha256, sha384 or sha512")]
    Combination {
        /// Kind of key.
        key: &'static str,
        /// The hash asked for.
        hash: HashAlgorithm,
    },
}

/// A public key whose signatures count.
pub struct PublicKey {
    way: Way,
}

/// How a signature is checked.
enum Way {
    /// Key and hash are a pair that sigstore knows.
    Sigstore(CosignVerificationKey),
    /// Another pair.
    Pair { algorithm: &'static dyn VerificationAlgorithm, spki: Vec<u8> },
    /// Ed25519, over the message or, as cosign 3 does it, over its hash (Ed25519ph, RFC 8032).
    Edwards { whole: CosignVerificationKey, hashed: VerifyingKey },
    /// ECDSA with SHA-224 on P-256 and P-384.
    ShortHash { algorithm: &'static dyn VerificationAlgorithm, spki: Vec<u8> },
}

impl PublicKey {
    /// Reads a PEM with the label `PUBLIC KEY`: ECDSA on P-256, P-384 or P-521, RSA (2048 to 8192 bits,
    /// PKCS#1 v1.5), or Ed25519.
    ///
    /// # Errors
    /// [`InvalidPublicKey`].
    pub fn from_pem(pem: &str, hash: HashAlgorithm) -> Result<Self, InvalidPublicKey> {
        use CosignVerificationKey as Key;
        use HashAlgorithm::{Sha224, Sha256, Sha384, Sha512};
        let key = Key::try_from_pem(pem.as_bytes())
            .map_err(|error| InvalidPublicKey::Unreadable(error.to_string()))?;
        let pair = |algorithm, spki| Way::Pair { algorithm, spki };
        let way = match (key, hash) {
            (key @ Key::ECDSA_P256_SHA256_ASN1(_), Sha256)
            | (key @ Key::ECDSA_P384_SHA384_ASN1(_), Sha384)
            | (key @ Key::ECDSA_P521_SHA512_ASN1(_), Sha512)
            | (key @ Key::RSA_PKCS1_SHA256(_), Sha256) => Way::Sigstore(key),
            (Key::ED25519(spki), _) => {
                let point = spki.last_chunk().and_then(|point| VerifyingKey::from_bytes(point).ok());
                let hashed =
                    point.ok_or_else(|| InvalidPublicKey::Unreadable("no point of Ed25519".to_owned()))?;
                Way::Edwards { whole: Key::ED25519(spki), hashed }
            }
            (Key::ECDSA_P256_SHA256_ASN1(spki), Sha384) => pair(&ECDSA_P256_SHA384_ASN1, spki),
            (Key::ECDSA_P256_SHA256_ASN1(spki), Sha512) => pair(&ECDSA_P256_SHA512_ASN1, spki),
            (Key::ECDSA_P256_SHA256_ASN1(spki), Sha224) => {
                Way::ShortHash { algorithm: &ECDSA_P256_SHA256_ASN1, spki }
            }
            (Key::ECDSA_P384_SHA384_ASN1(spki), Sha256) => pair(&ECDSA_P384_SHA256_ASN1, spki),
            (Key::ECDSA_P384_SHA384_ASN1(spki), Sha512) => pair(&ECDSA_P384_SHA512_ASN1, spki),
            (Key::ECDSA_P384_SHA384_ASN1(spki), Sha224) => {
                Way::ShortHash { algorithm: &ECDSA_P384_SHA256_ASN1, spki }
            }
            (Key::ECDSA_P521_SHA512_ASN1(spki), Sha224) => pair(&ECDSA_P521_SHA224_ASN1, spki),
            (Key::ECDSA_P521_SHA512_ASN1(spki), Sha256) => pair(&ECDSA_P521_SHA256_ASN1, spki),
            (Key::ECDSA_P521_SHA512_ASN1(spki), Sha384) => pair(&ECDSA_P521_SHA384_ASN1, spki),
            (Key::RSA_PKCS1_SHA256(spki), Sha384) => pair(&RSA_PKCS1_2048_8192_SHA384, spki),
            (Key::RSA_PKCS1_SHA256(spki), Sha512) => pair(&RSA_PKCS1_2048_8192_SHA512, spki),
            (Key::RSA_PKCS1_SHA256(_) | Key::RSA_PSS_SHA256(_), hash) => {
                return Err(InvalidPublicKey::Combination { key: "RSA", hash });
            }
        };
        Ok(Self { way })
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.way {
            Way::Sigstore(key) => key.verify_signature(Signature::Raw(signature), message).is_ok(),
            Way::Pair { algorithm, spki } => {
                UnparsedPublicKey::new(*algorithm, spki).verify(message, signature).is_ok()
            }
            Way::Edwards { whole, hashed } => {
                whole.verify_signature(Signature::Raw(signature), message).is_ok()
                    || ed25519_dalek::Signature::from_slice(signature).is_ok_and(|signature| {
                        let hash = Sha512::new_with_prefix(message);
                        hashed.verify_prehashed_strict(hash, None, &signature).is_ok()
                    })
            }
            Way::ShortHash { algorithm, spki } => {
                let hash = digest::digest(&digest::SHA224, message);
                // ECDSA takes a hash as a number (FIPS 186-5, 6.4.1): zeros in front do not change it.
                let mut number = [0; digest::SHA256_OUTPUT_LEN];
                let (_, low) = number.split_at_mut(digest::SHA256_OUTPUT_LEN - hash.as_ref().len());
                low.copy_from_slice(hash.as_ref());
                digest::Digest::import_less_safe(&number, &digest::SHA256).is_ok_and(|number| {
                    UnparsedPublicKey::new(*algorithm, spki).verify_digest(&number, signature).is_ok()
                })
            }
        }
    }

    fn check(&self, message: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        if self.verifies(message, signature) {
            Ok(())
        } else {
            Err(Refusal::NotSigned(self.name().to_owned()))
        }
    }
}

impl Authority for PublicKey {
    fn name(&self) -> &str {
        "public key"
    }

    fn check_layer(&self, signed: &LayerSignature<'_>) -> Result<(), Refusal> {
        self.check(signed.payload, signed.signature)
    }

    fn check_bundle(&self, bundle: &Bundle) -> Result<(), Refusal> {
        if bundle.has_certificate() {
            return Err(Refusal::CertificateUsed);
        }
        self.check(&bundle.signed_bytes(), bundle.signature())
    }
}
