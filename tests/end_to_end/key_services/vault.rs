//! A vault as the REST API of Azure Key Vault 7.6 is documented ("Get Certificate", "Get Key", "sign"), and the
//! token service of a machine's identity (App Service, "REST endpoint reference").

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use factory_adapters::keys::{Passphrase, RsaFileKey};
use factory_domain::ports::{RsaSigner as _, SignatureHash};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::secure_boot::Keys;
use crate::support::Config;
use crate::support::scripted::{Answer, Asked, Scripted};
use crate::support::tools::says;

/// The vault; it ends when this is dropped.
pub struct Vault {
    server: Scripted,
    signatures: Arc<AtomicUsize>,
    /// PEM of the certificate that it shows.
    trusted: PathBuf,
}

struct Held {
    signing: RsaFileKey,
    pcr: RsaFileKey,
    moduli: [Vec<u8>; 2],
    certificate: Vec<u8>,
}

const VERSION: &str = "78deebed173b48e48f55abf87ed4cf71";

impl Vault {
    /// A vault with the keys of a set: the certificate `uki` and the keys `uki` and `pcr`. Its own certificate
    /// lies in `home`.
    pub fn start(keys: &Keys, home: &Path) -> Self {
        let key = |file: &str| {
            RsaFileKey::load(keys.path(file).as_ref(), &Passphrase::None).expect("a key of the set").0
        };
        let modulus = |file: &str| {
            let said = says("openssl", "openssl", &["rsa", "-noout", "-modulus", "-in", &keys.path(file)]);
            hex::decode(said.trim().trim_start_matches("Modulus=")).expect("hex digits")
        };
        let pem = std::fs::read_to_string(keys.path("uki-signing-cert.pem")).expect("a certificate");
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let held = Held {
            signing: key("uki-signing-key.pem"),
            pcr: key("pcr-signing-key.pem"),
            moduli: [modulus("uki-signing-key.pem"), modulus("pcr-signing-key.pem")],
            certificate: STANDARD.decode(body).expect("PEM"),
        };
        let signatures = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&signatures);
        let certified =
            rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
        let trusted = home.join("vault.pem");
        std::fs::write(&trusted, certified.cert.pem()).expect("a file");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
        let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key);
        let tls = Arc::new(tls.expect("a certificate with its key"));
        let server = Scripted::start_with(
            move |_, asked| held.answer(asked, &counter),
            move |stream| {
                let session = ServerConnection::new(Arc::clone(&tls)).ok()?;
                Some(Box::new(StreamOwned::new(session, stream)))
            },
        );
        Self { server, signatures, trusted }
    }

    /// The settings that use it.
    pub fn config(&self) -> Config {
        let url = format!("https://{}/", self.server.host);
        let mut config = Config::default()
            .set("secureBoot.enabled", true)
            .set("secureBoot.azureKeyVault.url", url.as_str())
            .set("secureBoot.azureKeyVault.certificateName", "uki")
            .set("secureBoot.azureKeyVault.keyName", "pcr");
        config.runner = vec![
            "env".to_owned(),
            format!("IDENTITY_ENDPOINT={url}identity"),
            "IDENTITY_HEADER=header".to_owned(),
            format!("SSL_CERT_FILE={}", self.trusted.display()),
        ];
        config
    }

    /// How often it signed.
    pub fn signatures(&self) -> usize {
        self.signatures.load(Ordering::Relaxed)
    }
}

impl Held {
    fn answer(&self, asked: &Asked, signatures: &AtomicUsize) -> Answer {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        if path == "/identity" {
            let known = asked.headers.get("x-identity-header").map(String::as_str) == Some("header");
            let token = json!({
                "access_token": "token", "expires_on": "4102444800", "token_type": "Bearer",
                "resource": "https://vault.azure.net",
            });
            return if known { json_answer(200, &token) } else { Answer::new(403, "{}") };
        }
        if asked.headers.get("authorization").map(String::as_str) != Some("Bearer token") {
            let challenge =
                "Bearer authorization=\"https://login.windows.net/t\", resource=\"https://vault.azure.net\"";
            return Answer::new(401, "{}").header("WWW-Authenticate", challenge);
        }
        assert!(query.contains("api-version="), "{}", asked.path);
        let host = &asked.headers["host"];
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", ["certificates", name @ ("uki" | "mismatch")]) => {
                let key = if *name == "uki" { "uki" } else { "pcr" };
                let shown = json!({
                    "id": format!("https://{host}/certificates/{name}/{VERSION}"),
                    "kid": format!("https://{host}/keys/{key}/{VERSION}"),
                    "cer": STANDARD.encode(&self.certificate),
                });
                json_answer(200, &shown)
            }
            ("GET", ["keys", name @ ("uki" | "pcr")] | ["keys", name @ ("uki" | "pcr"), _]) => {
                let modulus = &self.moduli[usize::from(*name == "pcr")];
                let key = json!({
                    "kid": format!("https://{host}/keys/{name}/{VERSION}"), "kty": "RSA",
                    "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB", "key_ops": ["sign", "verify"],
                });
                json_answer(200, &json!({ "key": key }))
            }
            ("GET", ["keys", "curve"]) => {
                let key = json!({
                    "kid": format!("https://{host}/keys/curve/{VERSION}"), "kty": "EC", "crv": "P-256",
                });
                json_answer(200, &json!({ "key": key }))
            }
            ("POST", ["keys", name, VERSION, "sign"]) => {
                signatures.fetch_add(1, Ordering::Relaxed);
                let wanted: Value = serde_json::from_str(&asked.body).expect("JSON");
                let hash = match wanted["alg"].as_str() {
                    Some("RS256") => SignatureHash::Sha256,
                    Some("RS384") => SignatureHash::Sha384,
                    Some("RS512") => SignatureHash::Sha512,
                    other => panic!("the algorithm {other:?}"),
                };
                let digest = URL_SAFE_NO_PAD.decode(wanted["value"].as_str().expect("a text"));
                let key = if *name == "pcr" { &self.pcr } else { &self.signing };
                let signature = key.sign(hash, &digest.expect("base64")).expect("a signature");
                json_answer(
                    200,
                    &json!({
                        "kid": format!("https://{host}/keys/{name}/{VERSION}"),
                        "value": URL_SAFE_NO_PAD.encode(signature),
                    }),
                )
            }
            _ => {
                let error = json!({ "error": { "code": "KeyNotFound", "message": "A key was not found" } });
                json_answer(404, &error)
            }
        }
    }
}

fn json_answer(status: u16, body: &Value) -> Answer {
    Answer::new(status, body.to_string()).header("Content-Type", "application/json")
}
