//! `secureBoot`: whether and with which keys boot files are signed.

use serde::{Deserialize, Serialize};

/// `secureBoot`: signed boot files. All keys are RSA.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecureBoot {
    /// Offer `-secureboot` assets.
    pub enabled: bool,
    /// Keys in files.
    pub file: SecureBootFile,
    /// Keys in a token.
    pub pkcs11: SecureBootPkcs11,
    /// Keys in AWS KMS.
    #[serde(rename = "awsKMS")]
    pub aws_kms: SecureBootAwsKms,
    /// Keys in Azure Key Vault.
    pub azure_key_vault: SecureBootAzureKeyVault,
}

/// `secureBoot.file`: keys in PEM files, PKCS#1 or PKCS#8, the latter encrypted or not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecureBootFile {
    /// Key that signs UKIs, systemd-boot and firmware variables.
    pub signing_key_path: String,
    /// Its certificate.
    pub signing_cert_path: String,
    /// Key that signs the PCR policies of measured boot.
    pub pcr_key_path: String,
    /// Passphrase of the signing key, or `${VARIABLE}`.
    pub signing_key_passphrase: String,
    /// File with that passphrase.
    pub signing_key_passphrase_file: String,
    /// Passphrase of the PCR key, or `${VARIABLE}`.
    pub pcr_key_passphrase: String,
    /// File with that passphrase.
    pub pcr_key_passphrase_file: String,
}

/// `secureBoot.pkcs11`: keys in a token or security module, in builds with the feature `pkcs11`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecureBootPkcs11 {
    /// Path of the module, a shared library.
    pub module: String,
    /// Label of the token.
    pub token_label: String,
    /// PIN of its user, or `${VARIABLE}`.
    pub pin: String,
    /// File with the PIN.
    pub pin_file: String,
    /// Label of the key that signs UKIs, systemd-boot and firmware variables.
    pub signing_key_label: String,
    /// PEM file with its certificate.
    pub signing_cert_path: String,
    /// Label of the key that signs PCR policies.
    pub pcr_key_label: String,
}

/// `secureBoot.awsKMS`: keys in AWS KMS, in builds with the feature `aws-kms`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecureBootAwsKms {
    /// Id, ARN or alias of the key that signs UKIs, systemd-boot and firmware variables.
    #[serde(rename = "keyID")]
    pub key_id: String,
    /// The same of the key that signs PCR policies.
    #[serde(rename = "pcrKeyID")]
    pub pcr_key_id: String,
    /// PEM file with the certificate of the first key.
    pub cert_path: String,
    /// The certificate in AWS Certificate Manager instead.
    #[serde(rename = "certARN")]
    pub cert_arn: String,
    /// Region; that of the environment when empty.
    pub region: String,
}

/// `secureBoot.azureKeyVault`: keys in Azure Key Vault, in builds with the feature `azure-key-vault`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecureBootAzureKeyVault {
    /// Address of the vault.
    pub url: String,
    /// Name of the certificate, whose key signs UKIs, systemd-boot and firmware variables.
    pub certificate_name: String,
    /// Name of the key that signs PCR policies.
    pub key_name: String,
}

/// Where the keys come from.
#[derive(Clone, Copy, Debug)]
pub enum KeySource<'a> {
    /// Files.
    File(&'a SecureBootFile),
    /// A token.
    Pkcs11(&'a SecureBootPkcs11),
    /// AWS KMS.
    AwsKms(&'a SecureBootAwsKms),
    /// Azure Key Vault.
    AzureKeyVault(&'a SecureBootAzureKeyVault),
}

impl KeySource<'_> {
    /// The section of the configuration.
    pub fn section(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Pkcs11(_) => "pkcs11",
            Self::AwsKms(_) => "awsKMS",
            Self::AzureKeyVault(_) => "azureKeyVault",
        }
    }
}

impl SecureBoot {
    /// Where the keys come from; the settings were checked before.
    pub fn source(&self) -> KeySource<'_> {
        self.sources().into_iter().next().unwrap_or(KeySource::File(&self.file))
    }

    /// Every place that something is configured for.
    fn sources(&self) -> Vec<KeySource<'_>> {
        let Self { enabled: _, file, pkcs11, aws_kms, azure_key_vault } = self;
        let all = [
            (*file != SecureBootFile::default(), KeySource::File(file)),
            (*pkcs11 != SecureBootPkcs11::default(), KeySource::Pkcs11(pkcs11)),
            (*aws_kms != SecureBootAwsKms::default(), KeySource::AwsKms(aws_kms)),
            (
                *azure_key_vault != SecureBootAzureKeyVault::default(),
                KeySource::AzureKeyVault(azure_key_vault),
            ),
        ];
        all.into_iter().filter(|(is_set, _)| *is_set).map(|(_, source)| source).collect()
    }

    /// Adds a line for every fault.
    pub(super) fn check(&self, faults: &mut Vec<String>) {
        let file = &self.file;
        for (key, value, from) in [
            ("signingKeyPassphrase", &file.signing_key_passphrase, &file.signing_key_passphrase_file),
            ("pcrKeyPassphrase", &file.pcr_key_passphrase, &file.pcr_key_passphrase_file),
        ] {
            if !value.is_empty() && !from.is_empty() {
                faults.push(format!("secureBoot.file: set {key} or {key}File, not both"));
            }
        }
        if !self.pkcs11.pin.is_empty() && !self.pkcs11.pin_file.is_empty() {
            faults.push("secureBoot.pkcs11: set pin or pinFile, not both".to_owned());
        }
        if !self.enabled {
            return;
        }
        let sources: Vec<_> = self.sources().iter().map(KeySource::section).collect();
        if sources.len() > 1 {
            faults.push(format!(
                "secureBoot: keys come from one place, configure one of {}",
                sources.join(", ")
            ));
        }
        let aws = &self.aws_kms;
        if !aws.cert_path.is_empty() && !aws.cert_arn.is_empty() {
            faults.push("secureBoot.awsKMS: set certPath or certARN, not both".to_owned());
        }
        let (section, wanted) = match self.source() {
            KeySource::File(file) => (
                "file",
                vec![
                    ("signingKeyPath", &file.signing_key_path),
                    ("signingCertPath", &file.signing_cert_path),
                    ("pcrKeyPath", &file.pcr_key_path),
                ],
            ),
            KeySource::Pkcs11(token) => (
                "pkcs11",
                vec![
                    ("module", &token.module),
                    ("tokenLabel", &token.token_label),
                    ("signingKeyLabel", &token.signing_key_label),
                    ("signingCertPath", &token.signing_cert_path),
                    ("pcrKeyLabel", &token.pcr_key_label),
                ],
            ),
            KeySource::AwsKms(aws) => {
                let certificate = if aws.cert_arn.is_empty() { &aws.cert_path } else { &aws.cert_arn };
                let keys = vec![("keyID", &aws.key_id), ("pcrKeyID", &aws.pcr_key_id)];
                ("awsKMS", [keys, vec![("certPath", certificate)]].concat())
            }
            KeySource::AzureKeyVault(azure) => (
                "azureKeyVault",
                vec![
                    ("url", &azure.url),
                    ("certificateName", &azure.certificate_name),
                    ("keyName", &azure.key_name),
                ],
            ),
        };
        let missing: Vec<_> =
            wanted.iter().filter(|(_, value)| value.is_empty()).map(|(key, _)| *key).collect();
        if !missing.is_empty() {
            faults.push(format!(
                "invalid SecureBoot configuration: secureBoot.enabled is set, but secureBoot.{section} lacks {}",
                missing.join(", ")
            ));
        }
    }

    /// The secrets among the values.
    pub(super) fn secrets(&mut self) -> [&mut String; 3] {
        [&mut self.file.signing_key_passphrase, &mut self.file.pcr_key_passphrase, &mut self.pkcs11.pin]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(settings: &SecureBoot) -> Vec<String> {
        let mut faults = Vec::new();
        settings.check(&mut faults);
        faults
    }

    #[test]
    fn enabled_needs_a_whole_set() {
        assert!(faults(&SecureBoot::default()).is_empty());
        let mut settings = SecureBoot { enabled: true, ..SecureBoot::default() };
        settings.file.signing_cert_path = "c".into();
        let said = faults(&settings);
        assert!(said[0].contains("lacks signingKeyPath, pcrKeyPath"), "{said:?}");
        settings.file.signing_key_path = "k".into();
        settings.file.pcr_key_path = "p".into();
        assert!(faults(&settings).is_empty());
    }

    #[test]
    fn keys_come_from_one_place() {
        let aws = SecureBootAwsKms { key_id: "alias/uki".into(), ..SecureBootAwsKms::default() };
        let mut settings = SecureBoot { enabled: true, aws_kms: aws, ..SecureBoot::default() };
        assert!(faults(&settings)[0].contains("secureBoot.awsKMS lacks pcrKeyID, certPath"));
        settings.aws_kms.pcr_key_id = "alias/pcr".into();
        settings.aws_kms.cert_arn = "arn:aws:acm:eu-central-1:1:certificate/1".into();
        assert!(faults(&settings).is_empty());
        settings.aws_kms.cert_path = "c.pem".into();
        assert_eq!(faults(&settings), ["secureBoot.awsKMS: set certPath or certARN, not both"]);
        settings.aws_kms.cert_path.clear();
        settings.azure_key_vault.url = "https://name.vault.azure.net/".into();
        let said = faults(&settings);
        assert_eq!(
            said,
            ["secureBoot: keys come from one place, configure one of awsKMS, azureKeyVault"],
            "{said:?}"
        );
    }

    #[test]
    fn a_passphrase_comes_from_one_place() {
        let mut settings = SecureBoot::default();
        settings.file.pcr_key_passphrase = "x".into();
        assert!(faults(&settings).is_empty());
        settings.file.pcr_key_passphrase_file = "x".into();
        assert_eq!(
            faults(&settings),
            ["secureBoot.file: set pcrKeyPassphrase or pcrKeyPassphraseFile, not both"]
        );
    }
}
