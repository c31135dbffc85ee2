//! The keys that sign boot files: loading those that are configured, and making new ones.

use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "aws-kms")]
use factory_adapters::keys::AwsKms;
#[cfg(feature = "azure-key-vault")]
use factory_adapters::keys::AzureKeyVault;
#[cfg(feature = "pkcs11")]
use factory_adapters::keys::Token;
use factory_adapters::keys::{Passphrase, RsaFileKey, generate_secure_boot_keys, load_certificate};
use factory_domain::ports::{KeyError, RsaSigner, SecureBootKeys};

use crate::settings::{
    KeySource, SecureBoot, SecureBootAwsKms, SecureBootAzureKeyVault, SecureBootFile, SecureBootPkcs11,
};

/// Loads and checks the configured keys. None when Secure Boot is off.
///
/// # Errors
/// One line that says which setting leads to what.
pub fn load(settings: &SecureBoot) -> Result<Option<Arc<SecureBootKeys>>, String> {
    if !settings.enabled {
        return Ok(None);
    }
    let keys = match settings.source() {
        KeySource::File(file) => of_files(file)?,
        KeySource::Pkcs11(token) => of_token(token)?,
        KeySource::AwsKms(aws) => of_aws(aws)?,
        KeySource::AzureKeyVault(azure) => of_azure(azure)?,
    };
    tracing::info!(certificate = %keys.certificate().fingerprint(), "boot files are signed");
    Ok(Some(Arc::new(keys)))
}

fn of_files(file: &SecureBootFile) -> Result<SecureBootKeys, String> {
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
    keys.map_err(|error| {
        let (key, certificate) = (&file.signing_key_path, &file.signing_cert_path);
        format!("secureBoot.file: {key} and {certificate}: {error}")
    })
}

#[cfg(feature = "pkcs11")]
fn of_token(settings: &SecureBootPkcs11) -> Result<SecureBootKeys, String> {
    let at = |key: &'static str| move |error: KeyError| format!("secureBoot.pkcs11.{key}: {error}");
    let certificate = load_certificate(settings.signing_cert_path.as_ref()).map_err(at("signingCertPath"))?;
    let pin = passphrase(&settings.pin, &settings.pin_file).read().map_err(at("pinFile"))?;
    let token = Token::open(settings.module.as_ref(), &settings.token_label, &pin.unwrap_or_default());
    let token = token.map_err(at("module"))?;
    let signing = token.key(&settings.signing_key_label).map_err(at("signingKeyLabel"))?;
    let pcr = token.key(&settings.pcr_key_label).map_err(at("pcrKeyLabel"))?;
    SecureBootKeys::new(certificate, Arc::new(signing), Arc::new(pcr)).map_err(|error| {
        let (key, certificate) = (&settings.signing_key_label, &settings.signing_cert_path);
        format!("secureBoot.pkcs11: {key} and {certificate}: {error}")
    })
}

#[cfg(not(feature = "pkcs11"))]
fn of_token(_: &SecureBootPkcs11) -> Result<SecureBootKeys, String> {
    Err("secureBoot.pkcs11: this program was built without PKCS#11; build it with --features pkcs11"
        .to_owned())
}

#[cfg(feature = "aws-kms")]
fn of_aws(settings: &SecureBootAwsKms) -> Result<SecureBootKeys, String> {
    let at = |key: &'static str| move |error: KeyError| format!("secureBoot.awsKMS.{key}: {error}");
    let kms = AwsKms::open(&settings.region).map_err(at("region"))?;
    let certificate = match settings.cert_arn.as_str() {
        "" => load_certificate(settings.cert_path.as_ref()).map_err(at("certPath"))?,
        arn => kms.certificate(arn).map_err(at("certARN"))?,
    };
    let signing = kms.key(&settings.key_id).map_err(at("keyID"))?;
    let pcr = kms.key(&settings.pcr_key_id).map_err(at("pcrKeyID"))?;
    SecureBootKeys::new(certificate, Arc::new(signing), Arc::new(pcr)).map_err(|error| {
        let certificate = if settings.cert_arn.is_empty() { &settings.cert_path } else { &settings.cert_arn };
        format!("secureBoot.awsKMS: {} and {certificate}: {error}", settings.key_id)
    })
}

#[cfg(not(feature = "aws-kms"))]
fn of_aws(_: &SecureBootAwsKms) -> Result<SecureBootKeys, String> {
    Err("secureBoot.awsKMS: this program was built without AWS KMS; build it with --features aws-kms"
        .to_owned())
}

#[cfg(feature = "azure-key-vault")]
fn of_azure(settings: &SecureBootAzureKeyVault) -> Result<SecureBootKeys, String> {
    let at = |key: &'static str| move |error: KeyError| format!("secureBoot.azureKeyVault.{key}: {error}");
    let vault = AzureKeyVault::open(&settings.url).map_err(at("url"))?;
    let (certificate, signing) =
        vault.certificate(&settings.certificate_name).map_err(at("certificateName"))?;
    let pcr = vault.key(&settings.key_name).map_err(at("keyName"))?;
    SecureBootKeys::new(certificate, Arc::new(signing), Arc::new(pcr))
        .map_err(|error| format!("secureBoot.azureKeyVault: {}: {error}", settings.certificate_name))
}

#[cfg(not(feature = "azure-key-vault"))]
fn of_azure(_: &SecureBootAzureKeyVault) -> Result<SecureBootKeys, String> {
    Err("secureBoot.azureKeyVault: this program was built without Azure Key Vault; build it with \
         --features azure-key-vault"
        .to_owned())
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
