//! RSA keys and certificates in Azure Key Vault (32-secureboot.md, "Azure Key Vault").

use std::env;
use std::sync::Arc;

use azure_core::credentials::{Secret, TokenCredential};
use azure_identity::{
    ClientSecretCredential, DeveloperToolsCredential, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
};
use azure_security_keyvault_certificates::{CertificateClient, CertificateClientOptions};
use azure_security_keyvault_keys::models::{
    KeyClientGetKeyOptions, KeyClientSignOptions, KeyType, SignParameters, SignatureAlgorithm,
};
use azure_security_keyvault_keys::{KeyClient, KeyClientOptions};
use factory_domain::ports::{KeyError, RsaSigner, SignatureHash};
use factory_formats::certificate::{Certificate, RsaPublicKey};
use url::{Host, Url};

use super::service::{Service, invalid, unavailable};

/// A vault.
#[derive(Clone)]
pub struct AzureKeyVault {
    service: Service,
    keys: Arc<KeyClient>,
    certificates: Arc<CertificateClient>,
    /// Address, for messages.
    url: String,
}

/// An RSA key that never leaves its vault.
pub struct AzureKey {
    vault: AzureKeyVault,
    name: String,
    /// The very key: there may be a newer version of it later.
    version: String,
    public: RsaPublicKey,
}

impl AzureKeyVault {
    /// Prepares to talk to the vault at `url`, such as `https://name.vault.azure.net/`. Who this is, is found
    /// where Azure's own clients look: a secret in `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and
    /// `AZURE_CLIENT_SECRET`, the token of a Kubernetes workload, the identity of the machine, or the command
    /// line client.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] when the address is none or no identity can be used.
    pub fn open(url: &str) -> Result<Self, KeyError> {
        let location = format!("Azure Key Vault {url}");
        let wrong = |error: azure_core::Error| invalid(&location, told(&error));
        let address = Url::parse(url).map_err(|error| invalid(&location, error.to_string()))?;
        let is_local = match address.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            _ => false,
        };
        if address.scheme() != "https" {
            return Err(invalid(&location, "its address must begin with https://"));
        }
        let service = Service::start(&location)?;
        let credential = credential().map_err(wrong)?;
        // A vault names its domain when it asks who we are. An emulator on this machine has none.
        let keys =
            KeyClientOptions { verify_challenge_resource: Some(!is_local), ..KeyClientOptions::default() };
        let certificates = CertificateClientOptions {
            verify_challenge_resource: Some(!is_local),
            ..CertificateClientOptions::default()
        };
        let keys = KeyClient::new(url, Arc::clone(&credential), Some(keys)).map_err(wrong)?;
        let certificates = CertificateClient::new(url, credential, Some(certificates)).map_err(wrong)?;
        let (keys, certificates) = (Arc::new(keys), Arc::new(certificates));
        Ok(Self { service, keys, certificates, url: url.to_owned() })
    }

    /// The newest version of a key.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] when it is no RSA key, or has a size that firmware does not take;
    /// [`KeyError::Unavailable`] when the vault does not give it.
    pub fn key(&self, name: &str) -> Result<AzureKey, KeyError> {
        self.key_version(name, None)
    }

    /// A certificate and the key that it is for.
    ///
    /// # Errors
    /// As [`Self::key`].
    pub fn certificate(&self, name: &str) -> Result<(Certificate, AzureKey), KeyError> {
        let location = format!("certificate {name} in {}", self.url);
        let (client, wanted, at) = (Arc::clone(&self.certificates), name.to_owned(), location.clone());
        let found = self.service.wait(&location, async move {
            let failed = |error: azure_core::Error| unavailable(&at, told(&error));
            client.get_certificate(&wanted, None).await.map_err(failed)?.into_model().map_err(failed)
        })?;
        let der = found.cer.unwrap_or_default();
        let certificate =
            Certificate::from_der(&der).map_err(|error| invalid(&location, error.to_string()))?;
        let (key, version) = name_and_version(&location, found.kid.as_deref())?;
        Ok((certificate, self.key_version(&key, Some(version))?))
    }

    fn key_version(&self, name: &str, version: Option<String>) -> Result<AzureKey, KeyError> {
        let location = format!("key {name} in {}", self.url);
        let (client, wanted, at) = (Arc::clone(&self.keys), name.to_owned(), location.clone());
        let found = self.service.wait(&location, async move {
            let failed = |error: azure_core::Error| unavailable(&at, told(&error));
            let options = KeyClientGetKeyOptions { key_version: version, ..Default::default() };
            client.get_key(&wanted, Some(options)).await.map_err(failed)?.into_model().map_err(failed)
        })?;
        let key = found.key.ok_or_else(|| unavailable(&location, "the vault tells nothing about it"))?;
        if !matches!(key.kty, Some(KeyType::Rsa | KeyType::RsaHsm)) {
            return Err(invalid(&location, "it is no RSA key"));
        }
        let public = RsaPublicKey::from_parts(&key.n.unwrap_or_default(), &key.e.unwrap_or_default())
            .map_err(|error| invalid(&location, error.to_string()))?;
        let (name, version) = name_and_version(&location, key.kid.as_deref())?;
        Ok(AzureKey { vault: self.clone(), name, version, public })
    }
}

/// Name and version of a key out of its address, `https://VAULT/keys/NAME/VERSION`.
fn name_and_version(location: &str, kid: Option<&str>) -> Result<(String, String), KeyError> {
    let wrong = || unavailable(location, format!("the vault names its key {kid:?}"));
    let url = Url::parse(kid.unwrap_or_default()).map_err(|_| wrong())?;
    let parts: Vec<&str> = url.path_segments().ok_or_else(wrong)?.collect();
    match parts.as_slice() {
        ["keys", name, version] if !version.is_empty() => Ok(((*name).to_owned(), (*version).to_owned())),
        _ => Err(wrong()),
    }
}

fn credential() -> azure_core::Result<Arc<dyn TokenCredential>> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let (tenant, client) = (set("AZURE_TENANT_ID"), set("AZURE_CLIENT_ID"));
    if let (Some(tenant), Some(client), Some(secret)) = (&tenant, &client, set("AZURE_CLIENT_SECRET")) {
        return Ok(ClientSecretCredential::new(tenant, client.clone(), Secret::new(secret), None)?);
    }
    if set("AZURE_FEDERATED_TOKEN_FILE").is_some() {
        return Ok(WorkloadIdentityCredential::new(None)?);
    }
    if set("AZURE_CONFIG_DIR").is_some() {
        return Ok(DeveloperToolsCredential::new(None)?);
    }
    let options = ManagedIdentityCredentialOptions {
        user_assigned_id: client.map(UserAssignedId::ClientId),
        ..Default::default()
    };
    Ok(ManagedIdentityCredential::new(Some(options))?)
}

/// An error with everything that led to it.
fn told(error: &azure_core::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}

impl RsaSigner for AzureKey {
    fn public_key(&self) -> &RsaPublicKey {
        &self.public
    }

    fn sign(&self, hash: SignatureHash, digest: &[u8]) -> Result<Vec<u8>, KeyError> {
        let location = format!("key {} in {}", self.name, self.vault.url);
        if digest.len() != hash.digest_len() {
            return Err(invalid(&location, "what it shall sign is no digest"));
        }
        let algorithm = match hash {
            SignatureHash::Sha256 => SignatureAlgorithm::Rs256,
            SignatureHash::Sha384 => SignatureAlgorithm::Rs384,
            SignatureHash::Sha512 => SignatureAlgorithm::Rs512,
        };
        let parameters = SignParameters { algorithm: Some(algorithm), value: Some(digest.to_vec()) };
        let (client, name, version) = (Arc::clone(&self.vault.keys), self.name.clone(), self.version.clone());
        let at = location.clone();
        let signed = self.vault.service.wait(&location, async move {
            let failed = |error: azure_core::Error| unavailable(&at, told(&error));
            let options = KeyClientSignOptions { key_version: Some(version), ..Default::default() };
            let body = parameters.try_into().map_err(failed)?;
            client.sign(&name, body, Some(options)).await.map_err(failed)?.into_model().map_err(failed)
        })?;
        let signature = signed.result.unwrap_or_default();
        if signature.len() != self.public.modulus_len() {
            return Err(unavailable(&location, format!("it gave {} bytes as a signature", signature.len())));
        }
        Ok(signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_by_their_addresses() {
        let of = |kid| name_and_version("here", kid);
        let expected = ("uki".to_owned(), "abc".to_owned());
        assert_eq!(of(Some("https://v.vault.azure.net/keys/uki/abc")).unwrap(), expected);
        for kid in [None, Some(""), Some("https://v/keys/uki"), Some("https://v/secrets/uki/1"), Some("x")] {
            assert!(of(kid).is_err(), "{kid:?}");
        }
    }

    #[test]
    fn a_vault_is_reached_over_tls() {
        for url in ["http://name.vault.azure.net/", "http://127.0.0.1:1/", "name.vault.azure.net", ""] {
            let opened = AzureKeyVault::open(url);
            assert!(matches!(opened, Err(KeyError::Invalid { .. })), "{url}");
        }
    }
}
