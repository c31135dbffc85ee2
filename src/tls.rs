//! TLS of the main listener: certificate and key from files, read again when they change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// How often the files are looked at.
const RECHECK: Duration = Duration::from_secs(10);

/// Certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct TlsError {
    path: PathBuf,
    reason: String,
}

/// The certificate in force.
#[derive(Debug)]
struct Current {
    key: RwLock<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.key.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// A server configuration (TLS 1.2 and newer) that follows changes of the files. Must be called inside an
/// async runtime, which watches them.
///
/// # Errors
/// [`TlsError`] when a file is missing or holds no certificate or key, or when they do not belong together.
pub fn server_config(cert_file: &Path, key_file: &Path) -> Result<ServerConfig, TlsError> {
    let current = Arc::new(Current { key: RwLock::new(Arc::new(read(cert_file, key_file)?)) });
    let config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::clone(&current) as _);
    let (cert_file, key_file) = (cert_file.to_owned(), key_file.to_owned());
    actix_rt::spawn(async move {
        let mut seen = changed(&cert_file, &key_file);
        loop {
            tokio::time::sleep(RECHECK).await;
            let now = changed(&cert_file, &key_file);
            if now == seen {
                continue;
            }
            match read(&cert_file, &key_file) {
                Ok(key) => {
                    seen = now;
                    *current.key.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
                    tracing::info!("the TLS certificate was read again");
                }
                // The two files may be replaced one after the other: the old pair serves until they fit.
                Err(error) => tracing::warn!(%error, "the changed TLS certificate cannot be used yet"),
            }
        }
    });
    Ok(config)
}

fn changed(cert_file: &Path, key_file: &Path) -> [Option<SystemTime>; 2] {
    [cert_file, key_file].map(|path| std::fs::metadata(path).and_then(|data| data.modified()).ok())
}

fn read(cert_file: &Path, key_file: &Path) -> Result<CertifiedKey, TlsError> {
    let fault = |path: &Path| {
        let path = path.to_owned();
        move |reason: String| TlsError { path, reason }
    };
    let chain = CertificateDer::pem_file_iter(cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(cert_file)(error.to_string()))?;
    if chain.is_empty() {
        return Err(fault(cert_file)("there is no certificate in this file".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| fault(key_file)(error.to_string()))?;
    let provider = CryptoProvider::get_default()
        .ok_or_else(|| fault(key_file)("no cryptography provider is installed".to_owned()))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| fault(key_file)(error.to_string()))
}
