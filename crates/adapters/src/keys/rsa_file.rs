//! RSA keys in files: PKCS#1, PKCS#8, and PKCS#8 with a passphrase.

use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair,
};
use factory_domain::ports::{KeyError, RsaSigner, SignatureHash};
use factory_formats::certificate::{Certificate, RsaPublicKey};
use pkcs8::EncryptedPrivateKeyInfoRef;

use super::{KeyWarning, invalid, read_key_file, unavailable};

/// Longest file with a certificate or a passphrase.
const MAX_BYTES: u64 = 64 << 10;

/// Where the passphrase of an encrypted key comes from.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Passphrase {
    /// The key is not encrypted.
    #[default]
    None,
    /// This text.
    Value(String),
    /// What a file holds, without the line's end.
    File(PathBuf),
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Value(_) => f.write_str("Value(***)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// An RSA key in memory.
pub struct RsaFileKey {
    location: String,
    pair: RsaKeyPair,
    public: RsaPublicKey,
}

impl RsaFileKey {
    /// Reads the key from `path`: the first key in a PEM file.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] when the file holds no RSA key that firmware takes, or the passphrase is not the
    /// key's; [`KeyError::Unavailable`] when a file cannot be read.
    pub fn load(path: &Path, passphrase: &Passphrase) -> Result<(Self, Option<KeyWarning>), KeyError> {
        let (pem, warning) = read_key_file(path)?;
        let passphrase = passphrase.read()?;
        let pair = key_pair(&pem, passphrase.as_deref()).map_err(|reason| invalid(path, reason))?;
        let spki =
            pair.public_key().as_der().map_err(|_| invalid(path, "its public half has no encoding"))?;
        let public =
            RsaPublicKey::from_spki(spki.as_ref()).map_err(|error| invalid(path, &error.to_string()))?;
        Ok((Self { location: path.display().to_string(), pair, public }, warning))
    }
}

impl Passphrase {
    fn read(&self) -> Result<Option<String>, KeyError> {
        match self {
            Self::None => Ok(None),
            Self::Value(text) => Ok(Some(text.clone())),
            Self::File(path) => {
                let text = read_text(path)?;
                Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
        }
    }
}

/// Reads the first certificate of a PEM file.
///
/// # Errors
/// [`KeyError::Invalid`] when there is none, or none that firmware takes; [`KeyError::Unavailable`] when the
/// file cannot be read.
pub fn load_certificate(path: &Path) -> Result<Certificate, KeyError> {
    let text = read_text(path)?;
    let blocks = ::pem::parse_many(&text).unwrap_or_default();
    let block = blocks.iter().find(|block| block.tag() == "CERTIFICATE");
    let block =
        block.ok_or_else(|| invalid(path, "it holds no certificate: expected PEM with CERTIFICATE"))?;
    Certificate::from_der(block.contents()).map_err(|error| invalid(path, &error.to_string()))
}

fn read_text(path: &Path) -> Result<String, KeyError> {
    let size = fs::metadata(path).map_err(|error| unavailable(path, &error))?.len();
    if size > MAX_BYTES {
        return Err(invalid(path, "it is too long"));
    }
    let bytes = fs::read(path).map_err(|error| unavailable(path, &error))?;
    String::from_utf8(bytes).map_err(|_| invalid(path, "it is no text"))
}

/// The first key of a PEM text; the error says what is wrong with it.
fn key_pair(text: &[u8], passphrase: Option<&str>) -> Result<RsaKeyPair, &'static str> {
    const NO_KEY: &str =
        "it holds no private key: expected PEM with PRIVATE KEY, ENCRYPTED PRIVATE KEY or RSA PRIVATE KEY";
    const NOT_RSA: &str = "it is no RSA key of 2048 to 8192 bits";
    let blocks = ::pem::parse_many(text).map_err(|_| NO_KEY)?;
    let block = blocks.iter().find(|block| block.tag().ends_with("PRIVATE KEY")).ok_or(NO_KEY)?;
    if block.headers().get("DEK-Info").is_some() {
        return Err(
            "it is encrypted in OpenSSL's old form: convert it with openssl pkcs8 -topk8 -in OLD -out NEW",
        );
    }
    match block.tag() {
        "RSA PRIVATE KEY" => RsaKeyPair::from_der(block.contents()).map_err(|_| NOT_RSA),
        "PRIVATE KEY" => RsaKeyPair::from_pkcs8(block.contents()).map_err(|_| NOT_RSA),
        "ENCRYPTED PRIVATE KEY" => {
            let passphrase = passphrase.ok_or("it is encrypted, and no passphrase is configured for it")?;
            let sealed = EncryptedPrivateKeyInfoRef::try_from(block.contents()).map_err(
                |_| "it is encrypted in a way that is not supported: use OpenSSL's default, PBES2",
            )?;
            let key = sealed.decrypt(passphrase).map_err(
                |_| "it cannot be decrypted: the passphrase is another one, or the cipher is not supported",
            )?;
            RsaKeyPair::from_pkcs8(key.as_bytes()).map_err(|_| NOT_RSA)
        }
        _ => Err(NOT_RSA),
    }
}

impl RsaSigner for RsaFileKey {
    fn public_key(&self) -> &RsaPublicKey {
        &self.public
    }

    fn sign(&self, hash: SignatureHash, digest: &[u8]) -> Result<Vec<u8>, KeyError> {
        let (encoding, algorithm): (&'static dyn RsaEncoding, _) = match hash {
            SignatureHash::Sha256 => (&RSA_PKCS1_SHA256, &digest::SHA256),
            SignatureHash::Sha384 => (&RSA_PKCS1_SHA384, &digest::SHA384),
            SignatureHash::Sha512 => (&RSA_PKCS1_SHA512, &digest::SHA512),
        };
        let failed =
            |reason: &str| KeyError::Invalid { location: self.location.clone(), reason: reason.to_owned() };
        let digest = Digest::import_less_safe(digest, algorithm)
            .map_err(|_| failed("what it shall sign is no digest"))?;
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign_digest(encoding, &digest, &mut signature)
            .map_err(|_| failed("it gives no signature"))?;
        Ok(signature)
    }
}
