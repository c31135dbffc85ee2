//! Are signed images accepted, and only those?

mod acceptance;
mod attacks;
mod combinations;
mod fixture_release;
mod keyless;
mod outages;
mod public_sigstore;
mod real_cosign;
mod trust_root;
mod virtual_sigstore;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use factory_adapters::cosign::{CosignCheck, HashAlgorithm, PublicKey};
use factory_domain::ports::{ReleaseSource, SignatureCheck as _, Verified, VerifyError};
use factory_formats::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::sources::{Content, Image, repository};

pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
pub const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
pub const IMAGER: &str = "siderolabs/imager";

/// A private key that OpenSSL signs with.
pub struct Key {
    directory: TempDir,
    ed25519: bool,
}

impl Key {
    /// `arguments` are those of `openssl genpkey`.
    pub fn generate(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        openssl(&[&["genpkey"], arguments, &["-out", path(&directory, "key")]].concat());
        Self { directory, ed25519: arguments.contains(&"ed25519") }
    }

    pub fn p256() -> Self {
        Self::generate(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("key")
    }

    pub fn public_pem(&self) -> String {
        String::from_utf8(openssl(&["pkey", "-in", path(&self.directory, "key"), "-pubout"])).unwrap()
    }

    pub fn public(&self, hash: &str) -> PublicKey {
        PublicKey::from_pem(&self.public_pem(), hash.parse::<HashAlgorithm>().unwrap()).unwrap()
    }

    pub fn sign(&self, hash: &str, message: &[u8]) -> Vec<u8> {
        let (key, file) = (path(&self.directory, "key"), path(&self.directory, "message"));
        fs::write(file, message).unwrap();
        match self.ed25519 {
            true => openssl(&["pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", file]),
            false => openssl(&["dgst", &format!("-{hash}"), "-sign", key, file]),
        }
    }

    pub fn sign_base64(&self, message: &[u8]) -> String {
        STANDARD.encode(self.sign("sha256", message))
    }
}

fn path<'a>(directory: &TempDir, name: &str) -> &'a str {
    // Test processes are short: what is left behind here goes with them.
    Box::leak(directory.path().join(name).to_str().unwrap().to_owned().into_boxed_str())
}

pub fn openssl(arguments: &[&str]) -> Vec<u8> {
    let done = Command::new("openssl").args(arguments).output();
    let done = done.expect("openssl: install the Debian package openssl");
    assert!(done.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// The document that cosign signs for the legacy form.
pub fn payload(digest: &Digest) -> Vec<u8> {
    format!(
        "{{\"critical\":{{\"identity\":{{\"docker-reference\":\"ghcr.io/{IMAGER}\"}},\"image\":{{\"docker-manifest-digest\":\"{digest}\"}},\"type\":\"cosign container image signature\"}},\"optional\":null}}"
    )
    .into_bytes()
}

/// The statement that cosign signs for a bundle.
pub fn statement(digest: &Digest, predicate: &str) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "digest": { "sha256": digest.hex() } }],
        "predicateType": predicate,
        "predicate": {},
    })
}

/// A bundle around `payload`, signed with `key`.
pub fn bundle(key: &Key, payload: &[u8]) -> Value {
    let kind = "application/vnd.in-toto+json";
    let signed = [format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).as_bytes(), payload].concat();
    json!({
        "mediaType": BUNDLE,
        "verificationMaterial": { "publicKey": { "hint": "" }, "tlogEntries": [] },
        "dsseEnvelope": {
            "payload": STANDARD.encode(payload),
            "payloadType": kind,
            "signatures": [{ "sig": key.sign_base64(&signed), "keyid": "" }],
        },
    })
}

/// An image without signatures, and what holds it.
pub fn unsigned() -> (Content, Image) {
    let mut content = Content::new();
    let image = content.image(IMAGER, "v1.12.4", false);
    (content, image)
}

pub fn add_legacy(content: &mut Content, key: &Key, digest: &Digest) {
    let payload = payload(digest);
    content.signatures(&repository(IMAGER), digest, &[(&payload, &key.sign_base64(&payload))]);
}

pub fn add_bundle(content: &mut Content, digest: &Digest, bundle: &Value) {
    content.referrer(&repository(IMAGER), digest, BUNDLE, BUNDLE, bundle.to_string().as_bytes(), false);
}

pub fn check(source: impl ReleaseSource + 'static, key: PublicKey) -> CosignCheck {
    CosignCheck::new(Arc::new(source), key)
}

pub async fn verify(content: &Content, key: &Key, digest: &Digest) -> Result<Verified, VerifyError> {
    check(content.put_into_memory(), key.public("sha256")).verify(&repository(IMAGER), digest).await
}

/// Why an image was refused.
pub fn reasons(refused: Result<Verified, VerifyError>) -> [String; 2] {
    match refused {
        Err(VerifyError::Refused { reasons, .. }) => reasons.try_into().unwrap(),
        other => panic!("not refused: {other:?}"),
    }
}

/// Where the real cosign is; without it, what needs it says that it is left out.
pub fn cosign() -> Option<PathBuf> {
    let path = std::env::var_os("IMAGE_FACTORY_COSIGN").map(PathBuf::from);
    if path.is_none() {
        println!("skipped: the real cosign: IMAGE_FACTORY_COSIGN does not say where it is");
    }
    path.inspect(|path| {
        assert!(Path::new(path).is_file(), "IMAGE_FACTORY_COSIGN: no file {}", path.display())
    })
}
