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

impl SecureBoot {
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
        if !self.enabled {
            return;
        }
        let wanted = [
            ("signingKeyPath", &file.signing_key_path),
            ("signingCertPath", &file.signing_cert_path),
            ("pcrKeyPath", &file.pcr_key_path),
        ];
        let missing: Vec<_> =
            wanted.iter().filter(|(_, path)| path.is_empty()).map(|(key, _)| *key).collect();
        if !missing.is_empty() {
            faults.push(format!(
                "invalid SecureBoot configuration: secureBoot.enabled is set, but secureBoot.file lacks {}",
                missing.join(", ")
            ));
        }
    }

    /// The secrets among the values.
    pub(super) fn secrets(&mut self) -> [&mut String; 2] {
        [&mut self.file.signing_key_passphrase, &mut self.file.pcr_key_passphrase]
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
