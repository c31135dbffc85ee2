//! A full set of Secure Boot keys for development.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use factory_domain::ports::{KeyError, SecureBootKeys, SignatureHash, UnfitKeys};
use factory_formats::efi_signatures::{SignatureList, Variable, WellKnown, database, update};
use factory_formats::pem;
use factory_formats::signed_data::SignedDataError;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize,
};

use super::{DIRECTORY_MODE, KEY_MODE, Passphrase, RsaFileKey, load_certificate};

/// Names as the reference's tool gives them.
const SIGNING_KEY: &str = "uki-signing-key.pem";
const SIGNING_CERT: &str = "uki-signing-cert.pem";
const SIGNING_CERT_DER: &str = "uki-signing-cert.der";
const PCR_KEY: &str = "pcr-signing-key.pem";

/// How long the certificate says that it is valid. Firmware does not look.
const VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Access rights of what everybody may read.
const PUBLIC_MODE: u32 = 0o644;

/// Why there is no set of keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// A file is there already; keys are never overwritten.
    #[error("{} exists already: keys are never overwritten, choose another directory", .0.display())]
    Exists(PathBuf),
    /// A file could not be written.
    #[error("{} cannot be written: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// No key or certificate came out.
    #[error("a key cannot be made: {0}")]
    Key(#[from] rcgen::Error),
    /// What was made cannot be used.
    #[error(transparent)]
    Unusable(#[from] KeyError),
    /// What was made does not fit together.
    #[error(transparent)]
    Unfit(#[from] UnfitKeys),
    /// No enrollment file came out.
    #[error(transparent)]
    Enrollment(#[from] SignedDataError),
}

/// Makes a signing key with its certificate, a PCR key, and the files that enroll the certificate: as signature
/// lists (`.esl`) and as signed updates (`.auth`). Gives the files' names, in the order of their making.
///
/// # Errors
/// [`GenerateError`]; files that were made so far stay.
pub fn generate_secure_boot_keys(directory: &Path, name: &str) -> Result<Vec<PathBuf>, GenerateError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => GenerateError::Exists(path),
            _ => GenerateError::Io { path, error },
        }
    };
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory).map_err(io(directory))?;
    let mut written = Vec::new();
    let mut write = |name: &str, mode: u32, bytes: &[u8]| {
        let path = directory.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all())).map_err(io(&path))?;
        written.push(path.clone());
        Ok::<_, GenerateError>(path)
    };

    let signing = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    let key = write(SIGNING_KEY, KEY_MODE, private_pem(&signing).as_bytes())?;
    let made = certificate(name)?.self_signed(&signing)?;
    let cert = write(SIGNING_CERT, PUBLIC_MODE, pem::encode("CERTIFICATE", made.der()).as_bytes())?;
    write(SIGNING_CERT_DER, PUBLIC_MODE, made.der())?;
    let pcr = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    let pcr = write(PCR_KEY, KEY_MODE, private_pem(&pcr).as_bytes())?;

    // Read back as the server will, so that what is on the disk is known to work.
    let load = |path: &Path| Ok::<_, KeyError>(Arc::new(RsaFileKey::load(path, &Passphrase::None)?.0));
    let keys = SecureBootKeys::new(load_certificate(&cert)?, load(&key)?, load(&pcr)?)?;
    let certificate = keys.certificate();
    for variable in Variable::ALL {
        let lists = database(variable, certificate, WellKnown::LeaveOut);
        let bytes: Vec<u8> = lists.iter().flat_map(SignatureList::to_bytes).collect();
        write(&format!("{}.esl", variable.name()), PUBLIC_MODE, &bytes)?;
        let update = update(variable, &lists, certificate, certificate.not_before())?;
        let signature = keys.signing().sign(SignatureHash::Sha256, update.digest())?;
        write(variable.file_name(), PUBLIC_MODE, &update.sign(&signature)?)?;
    }
    Ok(written)
}

fn certificate(name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new([])?;
    parameters.distinguished_name.push(DnType::CommonName, name);
    let now = SystemTime::now();
    parameters.not_before = now.into();
    parameters.not_after = (now + VALIDITY).into();
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    Ok(parameters)
}

fn private_pem(pair: &KeyPair) -> String {
    pem::encode("PRIVATE KEY", pair.serialized_der())
}
