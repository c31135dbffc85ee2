//! The keys that sign boot files: loading those that are configured, and making new ones.

use std::path::Path;
use std::sync::Arc;

use factory_adapters::keys::{Passphrase, RsaFileKey, generate_secure_boot_keys, load_certificate};
use factory_domain::ports::{KeyError, RsaSigner, SecureBootKeys};

use crate::settings::SecureBoot;

/// Loads and checks the configured keys. None when Secure Boot is off.
///
/// # Errors
/// One line that says which setting leads to what.
pub fn load(settings: &SecureBoot) -> Result<Option<Arc<SecureBootKeys>>, String> {
    if !settings.enabled {
        return Ok(None);
    }
    let file = &settings.file;
    let at = |key: &'static str| move |error: KeyError| format!("secureBoot.file.{key}: {error}");
    let certificate = load_certificate(file.signing_cert_path.as_ref()).map_err(at("signingCertPath"))?;
    let signing = key(
        &file.signing_key_path,
        &passphrase(&file.signing_key_passphrase, &file.signing_key_passphrase_file),
    );
    let pcr = key(&file.pcr_key_path, &passphrase(&file.pcr_key_passphrase, &file.pcr_key_passphrase_file));
    let keys = SecureBootKeys::new(
        certificate,
        signing.map_err(at("signingKeyPath"))?,
        pcr.map_err(at("pcrKeyPath"))?,
    );
    let keys = keys.map_err(|error| {
        let (key, certificate) = (&file.signing_key_path, &file.signing_cert_path);
        format!("secureBoot.file: {key} and {certificate}: {error}")
    })?;
    tracing::info!(certificate = %keys.certificate().fingerprint(), "boot files are signed");
    Ok(Some(Arc::new(keys)))
}

fn key(path: &str, passphrase: &Passphrase) -> Result<Arc<dyn RsaSigner>, KeyError> {
    let (key, warning) = RsaFileKey::load(path.as_ref(), passphrase)?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    Ok(Arc::new(key))
}

fn passphrase(value: &str, file: &str) -> Passphrase {
    if !file.is_empty() {
        return Passphrase::File(file.into());
    }
    let variable = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let value = variable.map_or_else(|| value.to_owned(), |name| std::env::var(name).unwrap_or_default());
    if value.is_empty() { Passphrase::None } else { Passphrase::Value(value) }
}

/// Makes a set of keys in `directory` and says how to use it.
///
/// # Errors
/// One line that says what could not be made.
pub fn generate(directory: &Path, name: &str) -> Result<String, String> {
    let made = generate_secure_boot_keys(directory, name).map_err(|error| error.to_string())?;
    let mut text = String::new();
    for path in made {
        text.push_str(&format!("made {}\n", path.display()));
    }
    let whole = std::path::absolute(directory).map_err(|error| error.to_string())?;
    let path = |name: &str| format!("{:?}", whole.join(name).display().to_string());
    text.push_str(&format!(
        "\n[secureBoot]\nenabled = true\n\n[secureBoot.file]\nsigningKeyPath = {}\nsigningCertPath = {}\n\
         pcrKeyPath = {}\n",
        path("uki-signing-key.pem"),
        path("uki-signing-cert.pem"),
        path("pcr-signing-key.pem"),
    ));
    Ok(text)
}
