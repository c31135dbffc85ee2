//! Keys: the factory's own, and those of Secure Boot, in files, in tokens or held by a service.

#[cfg(feature = "aws-kms")]
mod aws_kms;
#[cfg(feature = "azure-key-vault")]
mod azure_key_vault;
mod generate;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod rsa_file;
#[cfg(any(feature = "aws-kms", feature = "azure-key-vault"))]
mod service;

#[cfg(feature = "aws-kms")]
pub use aws_kms::{AwsKms, AwsKmsKey};
#[cfg(feature = "azure-key-vault")]
pub use azure_key_vault::{AzureKey, AzureKeyVault};
pub use generate::{GenerateError, generate_secure_boot_keys};
#[cfg(feature = "pkcs11")]
pub use pkcs11::{Pkcs11Key, Token};
pub use rsa_file::{Passphrase, RsaFileKey, load_certificate};

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::SHA256;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use factory_domain::ports::{KeyError, Signer};
use factory_formats::{Digest, pem};
use rustls_pki_types::pem::{PemObject as _, SectionKind};

/// Access rights of a key file: nobody else reads it.
const KEY_MODE: u32 = 0o600;

/// Access rights of a directory that is made for it.
const DIRECTORY_MODE: u32 = 0o700;

/// Access rights that others must not have.
const OTHERS_MODE: u32 = 0o077;

/// Longest key file.
const MAX_KEY_BYTES: u64 = 64 << 10;

/// An ECDSA P-256 key.
pub struct LocalKey {
    pair: EcdsaKeyPair,
    public_pem: String,
}

/// Something about a key that its owner should change, and that does not keep it from working.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyWarning {
    /// Other users of this machine can sign as the factory.
    #[error("the signing key {} can be read by others (mode {mode:03o}): chmod 600 it", path.display())]
    ReadableByOthers {
        /// The key file.
        path: PathBuf,
        /// Its access rights.
        mode: u32,
    },
}

impl LocalKey {
    /// Reads the key from `path`, or makes one there. The file is PEM: PKCS#8 (`PRIVATE KEY`) or SEC 1
    /// (`EC PRIVATE KEY`), not encrypted.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] when the file is none of that, [`KeyError::Unavailable`] when it cannot be
    /// read or written.
    pub fn load_or_create(path: &Path) -> Result<(Self, Option<KeyWarning>), KeyError> {
        match Self::load(path) {
            Err(KeyError::Unavailable { .. }) if !path.exists() => {
                create(path).map_err(|error| unavailable(path, &error))?;
                Self::load(path)
            }
            done => done,
        }
    }

    /// Reads the key from `path`.
    ///
    /// # Errors
    /// As [`Self::load_or_create`].
    pub fn load(path: &Path) -> Result<(Self, Option<KeyWarning>), KeyError> {
        let (pem, warning) = read_key_file(path)?;
        let key = Self::from_pem(&pem).map_err(|reason| invalid(path, reason))?;
        Ok((key, warning))
    }

    /// Reads a key from PEM; the error says what is wrong with it.
    fn from_pem(pem: &[u8]) -> Result<Self, &'static str> {
        const NO_KEY: &str = "it holds no private key: expected PEM with PRIVATE KEY or EC PRIVATE KEY";
        const NOT_P256: &str = "it is no ECDSA key on P-256";
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        if pem.windows(9).any(|window| window == b"ENCRYPTED") {
            return Err("it is encrypted: remove the passphrase (openssl pkey -in OLD -out NEW)");
        }
        // Parameters of the curve may come before the key.
        let mut sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem).filter_map(Result::ok);
        let pair = sections.find_map(|(kind, der)| match kind {
            SectionKind::PrivateKey => Some(EcdsaKeyPair::from_pkcs8(algorithm, &der).map_err(|_| NOT_P256)),
            SectionKind::EcPrivateKey => {
                Some(EcdsaKeyPair::from_private_key_der(algorithm, &der).map_err(|_| NOT_P256))
            }
            SectionKind::RsaPrivateKey => Some(Err(NOT_P256)),
            _ => None,
        });
        let pair = pair.ok_or(NO_KEY)??;
        let spki = pair.public_key().as_der().map_err(|_| NOT_P256)?;
        let public_pem = pem::encode("PUBLIC KEY", spki.as_ref());
        Ok(Self { pair, public_pem })
    }
}

impl Signer for LocalKey {
    fn public_key_pem(&self) -> &str {
        &self.public_pem
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| no_randomness())
    }

    fn sign_digest(&self, digest: &Digest) -> Result<Vec<u8>, KeyError> {
        let digest = aws_lc_rs::digest::Digest::import_less_safe(digest.as_bytes(), &SHA256);
        let signature = digest.and_then(|digest| self.pair.sign_digest(&digest));
        signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| no_randomness())
    }
}

/// The one thing that signing with a key in memory can lack.
fn no_randomness() -> KeyError {
    KeyError::Unavailable {
        location: "in memory".to_owned(),
        reason: "the system gives no random numbers".to_owned(),
    }
}

/// Makes a key that is complete and durable as soon as it can be seen under its name.
fn create(path: &Path) -> io::Result<()> {
    let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
        .map_err(|_| no_random())?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
    // Several who start together, perhaps on several machines, must not write to one file.
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| no_random())?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.new", u64::from_ne_bytes(random)));
    let temporary = directory.join(name);
    let written = write_new(&temporary, &pem::encode("PRIVATE KEY", pair.as_ref()));
    // A key that somebody else has put there meanwhile is the one: linking does not replace it.
    let linked = written.and_then(|()| match fs::hard_link(&temporary, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    });
    fs::remove_file(&temporary)?;
    linked?;
    File::open(directory)?.sync_all()
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(KEY_MODE).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn no_random() -> io::Error {
    io::Error::other("the system gives no random numbers")
}

/// The bytes of a key file, and whether others can read it.
fn read_key_file(path: &Path) -> Result<(Vec<u8>, Option<KeyWarning>), KeyError> {
    let metadata = fs::metadata(path).map_err(|error| unavailable(path, &error))?;
    if metadata.len() > MAX_KEY_BYTES {
        return Err(invalid(path, "it is too long for a key"));
    }
    let bytes = fs::read(path).map_err(|error| unavailable(path, &error))?;
    let mode = metadata.mode() & 0o777;
    let warning =
        (mode & OTHERS_MODE != 0).then(|| KeyWarning::ReadableByOthers { path: path.to_owned(), mode });
    Ok((bytes, warning))
}

fn invalid(path: &Path, reason: &str) -> KeyError {
    KeyError::Invalid { location: path.display().to_string(), reason: reason.to_owned() }
}

fn unavailable(path: &Path, error: &io::Error) -> KeyError {
    KeyError::Unavailable { location: path.display().to_string(), reason: error.to_string() }
}
