//! Do keys that a service holds sign like the same keys in files? AWS KMS is stood in for by `local-kms`, Azure
//! Key Vault by a server that answers as its REST API is documented.

use std::fs;
use std::path::Path;
use std::process::Command;

#[cfg(feature = "azure-key-vault")]
#[path = "key_services/vault.rs"]
mod vault;

use crate::EMPTY;
use crate::secure_boot::{Downloads, Keys};
use crate::support::fixture::NEWEST;
use crate::support::server::PROGRAM;
use crate::support::tools::text;
use crate::support::{Config, Server};

/// Signed assets are the same, byte for byte, as those that are signed with the keys' files.
fn signs_like_files(downloads: &Downloads, config: Config, home: &Path) {
    let config = config
        .set("artifacts.core.registry", format!("oci-layout:{}", downloads.fixture.release.display()))
        .trusting(&downloads.fixture.key);
    let server = Server::start(&config, &home.join("factory"));
    let schematic = server.client.schematic(EMPTY);
    assert_eq!(schematic, downloads.server.client.schematic(EMPTY));
    for name in ["metal-amd64-secureboot-uki.efi", "metal-amd64-secureboot.iso"] {
        let path = Server::image(&schematic, NEWEST, name);
        assert_eq!(server.client.digest(&path), downloads.server.client.digest(&path), "{name}");
    }
}

/// The program does not start, and says why.
fn refuses(home: &Path, config: Config, expected: &str) {
    let config = config
        .set("http.httpListenAddr", "127.0.0.1:0")
        .set("metrics.addr", "")
        .set("artifacts.core.registry", "127.0.0.1:1")
        .set("store.path", text(&home.join("store")));
    let file = home.join("config.toml");
    fs::write(&file, config.to_toml()).unwrap();
    let mut command = Command::new("env");
    command.args(&config.runner[1..]).args([PROGRAM, "serve", "--config", text(&file)]);
    let output = command.env("HOME", home).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(expected), "{expected}: {said}");
}

#[cfg(feature = "aws-kms")]
mod aws {
    use std::time::Duration;

    use super::*;
    use crate::support::fixture::local_kms;
    use crate::support::process::{Process, free_port, wait_for};

    const SIGNING: &str = "ff275b92-0def-4dfc-b0f6-87c96b26c6c7";
    const PCR: &str = "6d0a4ab7-1d3e-4b36-8bb1-2c1c1ee1a002";
    const OTHER: &str = "7be0a0a8-6b2b-4d3a-b9c8-3c1c1ee1a003";

    /// A KMS with the keys of a set, and the settings that use it.
    fn start(keys: &Keys, home: &Path) -> Option<(Process, Config)> {
        let program = local_kms()?;
        let key = |id: &str, usage: &str, file: &str| {
            let pem = fs::read_to_string(keys.path(file)).unwrap();
            let lines: String = pem.lines().map(|line| format!("          {line}\n")).collect();
            format!(
                "      - Metadata:\n          KeyId: {id}\n          KeyUsage: {usage}\n        PrivateKeyPem: |\n{lines}"
            )
        };
        let seed = format!(
            "Keys:\n  Asymmetric:\n    Rsa:\n{}{}{}Aliases:\n  - AliasName: alias/uki\n    TargetKeyId: {SIGNING}\n",
            key(SIGNING, "SIGN_VERIFY", "uki-signing-key.pem"),
            key(PCR, "SIGN_VERIFY", "pcr-signing-key.pem"),
            key(OTHER, "ENCRYPT_DECRYPT", "pcr-signing-key.pem"),
        );
        let (seeds, port) = (home.join("seed.yaml"), free_port());
        fs::write(&seeds, seed).unwrap();
        let mut command = Command::new(program);
        command.env("KMS_SEED_PATH", &seeds).env("KMS_DATA_PATH", home.join("kms"));
        command.env("KMS_REGION", "eu-west-2").env("PORT", port.to_string());
        let mut kms = Process::start("local-kms", "hack/get-local-kms", &mut command, &home.join("kms.log"));
        wait_for("the KMS listens", Duration::from_secs(30), || {
            assert!(kms.runs(), "{}", kms.tail());
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        let mut config = Config::default()
            .set("secureBoot.enabled", true)
            .set("secureBoot.awsKMS.keyID", "alias/uki")
            .set("secureBoot.awsKMS.pcrKeyID", PCR)
            .set("secureBoot.awsKMS.certPath", keys.path("uki-signing-cert.pem"))
            .set("secureBoot.awsKMS.region", "eu-west-2");
        config.runner = [
            "env".to_owned(),
            format!("AWS_ENDPOINT_URL=http://127.0.0.1:{port}"),
            "AWS_ACCESS_KEY_ID=test".to_owned(),
            "AWS_SECRET_ACCESS_KEY=test".to_owned(),
            "AWS_EC2_METADATA_DISABLED=true".to_owned(),
            "AWS_MAX_ATTEMPTS=1".to_owned(),
        ]
        .to_vec();
        Some((kms, config))
    }

    #[test]
    fn kms_signs_like_the_same_keys_in_files() {
        let Some(downloads) = Downloads::start() else { return };
        let home = downloads.folder("kms");
        let Some((_kms, config)) = start(&downloads.keys, &home) else { return };
        signs_like_files(&downloads, config, &home);
    }

    #[test]
    fn keys_of_kms_that_do_not_fit_keep_the_program_from_starting() {
        let home = tempfile::tempdir().unwrap();
        let keys = Keys::make(home.path().join("keys"));
        let Some((mut kms, right)) = start(&keys, home.path()) else { return };
        let refuses = |config: &Config, expected: &str| refuses(home.path(), config.clone(), expected);
        for (key, value, expected) in [
            ("keyID", "alias/nobody", "alias/nobody in AWS KMS"),
            ("keyID", PCR, "do not belong together"),
            ("pcrKeyID", OTHER, "it is not for signatures"),
            ("certPath", "/nowhere.pem", "/nowhere.pem"),
        ] {
            refuses(&right.clone().set(&format!("secureBoot.awsKMS.{key}"), value), expected);
        }
        kms.kill();
        refuses(&right, "secureBoot.awsKMS.keyID: the signing key alias/uki in AWS KMS cannot be reached");
    }
}

#[cfg(feature = "azure-key-vault")]
mod azure {
    use super::vault::Vault;
    use super::*;

    #[test]
    fn a_vault_signs_like_the_same_keys_in_files() {
        let Some(downloads) = Downloads::start() else { return };
        let home = downloads.folder("vault");
        let vault = Vault::start(&downloads.keys, &home);
        signs_like_files(&downloads, vault.config(), &home);
        assert!(vault.signatures() > 2, "the vault was hardly asked");
    }

    #[test]
    fn what_a_vault_holds_and_does_not_fit_keeps_the_program_from_starting() {
        let home = tempfile::tempdir().unwrap();
        let vault = Vault::start(&Keys::make(home.path().join("keys")), home.path());
        for (key, value, expected) in [
            ("keyName", "nobody", "key nobody in https://127.0.0.1"),
            ("keyName", "curve", "it is no RSA key"),
            ("certificateName", "nobody", "certificate nobody in https://127.0.0.1"),
            ("certificateName", "mismatch", "do not belong together"),
            ("url", "http://vault.example/", "must begin with https://"),
        ] {
            let config = vault.config().set(&format!("secureBoot.azureKeyVault.{key}"), value);
            refuses(home.path(), config, expected);
        }
    }
}
