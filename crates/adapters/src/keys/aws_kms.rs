//! RSA keys in AWS KMS (32-secureboot.md, "AWS KMS"). Credentials are found as by every AWS client:
//! environment, profiles, web identity, container and instance metadata.

use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::Client;
use aws_sdk_kms::error::DisplayErrorContext;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec};
use factory_domain::ports::{KeyError, RsaSigner, SignatureHash};
use factory_formats::certificate::{Certificate, RsaPublicKey};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::service::{Service, invalid, unavailable};

/// The services of one region.
#[derive(Clone)]
pub struct AwsKms {
    service: Service,
    config: Arc<SdkConfig>,
    client: Client,
}

/// An RSA key that never leaves KMS.
pub struct AwsKmsKey {
    kms: AwsKms,
    /// The very key: an alias may be pointed at another one later.
    arn: String,
    public: RsaPublicKey,
}

impl AwsKms {
    /// Prepares to talk to KMS in `region`; an empty text leaves that to environment and profile.
    ///
    /// # Errors
    /// [`KeyError::Unavailable`] when no region is known.
    pub fn open(region: &str) -> Result<Self, KeyError> {
        let location = "AWS KMS";
        let service = Service::start(location)?;
        let region = (!region.is_empty()).then(|| Region::new(region.to_owned()));
        let config = service.wait(location, async move {
            let mut loader = aws_config::defaults(BehaviorVersion::latest());
            if let Some(region) = region {
                loader = loader.region(region);
            }
            Ok(loader.load().await)
        })?;
        if config.region().is_none() {
            return Err(unavailable(location, "no region is configured"));
        }
        let client = Client::new(&config);
        Ok(Self { service, config: Arc::new(config), client })
    }

    /// The key of this id, ARN or alias (`alias/NAME`).
    ///
    /// # Errors
    /// [`KeyError::Invalid`] when it is no RSA key for signatures, or has a size that firmware does not take;
    /// [`KeyError::Unavailable`] when KMS does not give it.
    pub fn key(&self, id: &str) -> Result<AwsKmsKey, KeyError> {
        let location = location(id);
        let (at, request) = (location.clone(), self.client.get_public_key().key_id(id));
        let found = self.service.wait(&location, async move {
            request.send().await.map_err(|error| unavailable(&at, DisplayErrorContext(&error).to_string()))
        })?;
        if found.key_usage() != Some(&KeyUsageType::SignVerify) {
            return Err(invalid(&location, "it is not for signatures: its usage must be SIGN_VERIFY"));
        }
        if !matches!(found.key_spec(), Some(KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096)) {
            return Err(invalid(&location, "it is no RSA key"));
        }
        let spki = found.public_key().map(AsRef::as_ref).unwrap_or_default();
        let public = RsaPublicKey::from_spki(spki).map_err(|error| invalid(&location, error.to_string()))?;
        let arn = found.key_id().unwrap_or(id).to_owned();
        Ok(AwsKmsKey { kms: self.clone(), arn, public })
    }

    /// A certificate out of AWS Certificate Manager.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] when it cannot be read, [`KeyError::Unavailable`] when the service does not give
    /// it.
    pub fn certificate(&self, arn: &str) -> Result<Certificate, KeyError> {
        let location = format!("certificate {arn} in AWS Certificate Manager");
        let client = aws_sdk_acm::Client::new(&self.config);
        let (at, request) = (location.clone(), client.get_certificate().certificate_arn(arn));
        let found = self.service.wait(&location, async move {
            request.send().await.map_err(|error| unavailable(&at, DisplayErrorContext(&error).to_string()))
        })?;
        let text = found.certificate().ok_or_else(|| unavailable(&location, "it is not issued yet"))?;
        read_certificate(&location, text.as_bytes())
    }
}

fn location(id: &str) -> String {
    format!("{id} in AWS KMS")
}

fn read_certificate(location: &str, text: &[u8]) -> Result<Certificate, KeyError> {
    let der = CertificateDer::from_pem_slice(text).map_err(|error| invalid(location, error.to_string()))?;
    Certificate::from_der(&der).map_err(|error| invalid(location, error.to_string()))
}

impl RsaSigner for AwsKmsKey {
    fn public_key(&self) -> &RsaPublicKey {
        &self.public
    }

    fn sign(&self, hash: SignatureHash, digest: &[u8]) -> Result<Vec<u8>, KeyError> {
        let location = location(&self.arn);
        if digest.len() != hash.digest_len() {
            return Err(invalid(&location, "what it shall sign is no digest"));
        }
        let algorithm = match hash {
            SignatureHash::Sha256 => SigningAlgorithmSpec::RsassaPkcs1V15Sha256,
            SignatureHash::Sha384 => SigningAlgorithmSpec::RsassaPkcs1V15Sha384,
            SignatureHash::Sha512 => SigningAlgorithmSpec::RsassaPkcs1V15Sha512,
        };
        let request = self.kms.client.sign().key_id(&self.arn).message(Blob::new(digest));
        let request = request.message_type(MessageType::Digest).signing_algorithm(algorithm);
        let at = location.clone();
        let signed = self.kms.service.wait(&location, async move {
            request.send().await.map_err(|error| unavailable(&at, DisplayErrorContext(&error).to_string()))
        })?;
        let signature = signed.signature().map(|blob| blob.as_ref().to_vec()).unwrap_or_default();
        if signature.len() != self.public.modulus_len() {
            return Err(unavailable(&location, format!("it gave {} bytes as a signature", signature.len())));
        }
        Ok(signature)
    }
}
