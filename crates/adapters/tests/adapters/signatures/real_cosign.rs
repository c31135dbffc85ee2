//! Does the real cosign sign what we accept, and accept what we sign?

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use factory_adapters::cosign::{CosignCheck, Keyless, SignerPolicy};
use factory_adapters::keys::LocalKey;
use factory_adapters::trust_root::TrustRoot;
use factory_domain::ports::{SignatureCheck as _, Signer as _, VerifyError};
use tempfile::TempDir;

use super::super::sources::{Content, DockerRegistry, quick, registry, repository};
use super::virtual_sigstore::{Log, Sct, Signer, VirtualSigstore};
use super::{BUNDLE, IMAGER, Key, SIGN_PREDICATE, check, cosign, payload, statement};

struct Cosign {
    program: std::path::PathBuf,
    home: TempDir,
}

impl Cosign {
    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let done = Command::new(&self.program)
            .args(arguments)
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("COSIGN_PASSWORD", "")
            .output()
            .unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        if done.status.success() { Ok(said) } else { Err(format!("cosign {arguments:?}: {said}")) }
    }

    fn import(&self, key: &Path, name: &str) -> Result<String, String> {
        self.run(&["import-key-pair", "--key", key.to_str().unwrap(), "--output-key-prefix", name])
    }

    fn sign(&self, name: &str, bundle: bool, image: &str) -> Result<String, String> {
        let key = format!("{name}.key");
        let form = format!("--new-bundle-format={bundle}");
        let offline = ["--use-signing-config=false", "--tlog-upload=false", "--allow-http-registry"];
        self.run(&[&["sign", "--yes", "--key", &key, &form], &offline[..], &[image]].concat())
    }
}

#[tokio::test]
async fn what_cosign_signs_is_accepted() {
    let Some(program) = cosign() else { return };
    let cosign = Cosign { program, home: tempfile::tempdir().unwrap() };
    let server = DockerRegistry::start();
    for (name, hash, arguments) in [
        ("p256", "sha256", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"][..]),
        ("p384", "sha384", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
        ("rsa", "sha256", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
        ("ed25519", "sha256", &["-algorithm", "ed25519"]),
    ] {
        let key = Key::generate(arguments);
        cosign.import(&key.path(), name).unwrap();
        for bundle in [false, true] {
            let path = format!("siderolabs/{name}-{bundle}");
            let mut content = Content::new();
            let image = content.image(&path, "v1.12.4", bundle);
            content.put_into_registry(&server.host).await;
            let check = |key: &Key, hash| check(registry(&server.host, &quick()), key.public(hash));
            let unsigned = check(&key, hash).verify(&repository(&path), &image.index).await;
            assert!(matches!(unsigned, Err(VerifyError::Refused { .. })), "{unsigned:?}");

            cosign.sign(name, bundle, &format!("{}/{path}@{}", server.host, image.index)).unwrap();
            let method = if bundle { "bundled: public key" } else { "legacy: public key" };
            let accepted = check(&key, hash).verify(&repository(&path), &image.index).await;
            assert_eq!(accepted.unwrap_or_else(|error| panic!("{name} {bundle}: {error}")).method, method);
            let stranger = check(&Key::p256(), "sha256").verify(&repository(&path), &image.index).await;
            assert!(matches!(stranger, Err(VerifyError::Refused { .. })), "{stranger:?}");
        }
    }
}

#[tokio::test]
async fn what_we_sign_is_accepted_by_cosign() {
    let Some(program) = cosign() else { return };
    let cosign = Cosign { program, home: tempfile::tempdir().unwrap() };
    let server = DockerRegistry::start();
    let (own, _) = LocalKey::load_or_create(&cosign.home.path().join("own.pem")).unwrap();
    std::fs::write(cosign.home.path().join("own.pub"), own.public_key_pem()).unwrap();
    let mut content = Content::new();
    let image = content.image(IMAGER, "v1.12.4", false);
    let document = payload(&image.index);
    let signature = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(own.sign(&document).unwrap())
    };
    content.signatures(&repository(IMAGER), &image.index, &[(&document, &signature)]);
    content.put_into_registry(&server.host).await;
    let reference = format!("{}/{IMAGER}@{}", server.host, image.index);
    let offline = ["--insecure-ignore-tlog=true", "--allow-http-registry", "--new-bundle-format=false"];
    cosign.run(&[&["verify", "--key", "own.pub"], &offline[..], &[&reference]].concat()).unwrap();
}

/// The virtual Sigstore signs like the real one, or everything that is tested with it means little.
#[tokio::test]
async fn cosign_judges_the_virtual_sigstore_as_we_do() {
    let Some(program) = cosign() else { return };
    let cosign = Cosign { program, home: tempfile::tempdir().unwrap() };
    let server = DockerRegistry::start();
    let sigstore = VirtualSigstore::new();
    let trusted = cosign.home.path().join("trusted_root.json");
    std::fs::write(&trusted, sigstore.trusted_root().to_string()).unwrap();
    let (name, issuer) = ("somebody@siderolabs.com", "https://accounts.google.com");
    let good = Signer::new(name, issuer);
    for (place, signer, accepted) in [
        ("good", good.clone(), true),
        ("name", Signer::new("somebody@example.com", issuer), false),
        ("issuer", Signer::new(name, "https://accounts.example.com"), false),
        ("expired", Signer { from: -70, until: -50, ..good.clone() }, false),
        ("unlogged", Signer { sct: Sct::Missing, ..good.clone() }, false),
        ("elsewhere", Signer { sct: Sct::Unknown, ..good }, false),
    ] {
        for bundled in [false, true] {
            let path = format!("siderolabs/{place}-{bundled}");
            let at = repository(&path);
            let mut content = Content::new();
            let image = content.image(&path, "v1.12.4", false);
            if bundled {
                let statement = statement(&image.index, SIGN_PREDICATE).to_string();
                let bundle = sigstore.bundle(&signer, statement.as_bytes(), Log::Promised).to_string();
                content.referrer(&at, &image.index, BUNDLE, BUNDLE, bundle.as_bytes(), true);
            } else {
                let document = payload(&image.index);
                content.annotated(&at, &image.index, &document, &sigstore.annotations(&signer, &document));
            }
            content.put_into_registry(&server.host).await;
            let reference = format!("{}/{path}@{}", server.host, image.index);
            let form = format!("--new-bundle-format={bundled}");
            let whom =
                ["--certificate-identity-regexp", "@siderolabs\\.com$", "--certificate-oidc-issuer", issuer];
            let root = ["--trusted-root", trusted.to_str().unwrap(), "--allow-http-registry"];
            let theirs = cosign.run(&[&["verify", &form], &whom[..], &root[..], &[&reference]].concat());
            let policy = SignerPolicy::new("@siderolabs\\.com$", issuer, "").unwrap();
            let judge = Arc::new(TrustRoot::from_file(&trusted).unwrap());
            let source = Arc::new(registry(&server.host, &quick()));
            let ours = CosignCheck::new(source, Keyless::new(policy, judge)).verify(&at, &image.index).await;
            assert_eq!(theirs.is_ok(), accepted, "{place} {bundled}: {theirs:?}");
            assert_eq!(ours.is_ok(), accepted, "{place} {bundled}: {ours:?}");
        }
    }
}
