//! Is the real Sigstore known, without a network, by what is embedded?

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use factory_adapters::cosign::{Authority as _, Bundle, Keyless, LayerSignature, SignerPolicy};
use factory_adapters::trust_root::TrustRoot;
use serde_json::{Value, json};
use sigstore_verify::trust_root::SIGSTORE_STAGING_TRUSTED_ROOT;

use super::virtual_sigstore::pem;

const STATEMENT: &[u8] = include_bytes!("../../data/sigstore/statement-rekor1.json");
const STATEMENT_2: &[u8] = include_bytes!("../../data/sigstore/statement-rekor2.json");
const MESSAGE: &[u8] = include_bytes!("../../data/sigstore/message-rekor1.json");
const SIGNED: &[u8] = include_bytes!("../../data/sigstore/message.txt");

const GITHUB: &str = "https://token.actions.githubusercontent.com";

async fn public() -> Arc<TrustRoot> {
    Arc::new(TrustRoot::public(None).await.unwrap())
}

fn staging() -> Arc<TrustRoot> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trusted_root.json");
    std::fs::write(&path, SIGSTORE_STAGING_TRUSTED_ROOT).unwrap();
    Arc::new(TrustRoot::from_file(&path).unwrap())
}

fn keyless(subject: &str, issuer: &str, root: Arc<TrustRoot>) -> Keyless {
    Keyless::new(SignerPolicy::new(subject, issuer, "").unwrap(), root)
}

#[tokio::test]
async fn bundles_of_the_real_logs_are_accepted() {
    let bundle = Bundle::read(STATEMENT).unwrap();
    let workflow = "^https://github\\.com/prefix-dev/sigstore-example/";
    assert_eq!(keyless(workflow, GITHUB, public().await).check_bundle(&bundle), Ok(()));
    for (subject, issuer, root) in [
        ("^https://github\\.com/siderolabs/", GITHUB, public().await),
        (workflow, "https://accounts.google.com", public().await),
        (workflow, GITHUB, staging()),
    ] {
        let refused = keyless(subject, issuer, root).check_bundle(&bundle).unwrap_err();
        println!("{refused}");
    }
    let bundle = Bundle::read(STATEMENT_2).unwrap();
    assert_eq!(
        keyless("^https://github\\.com/sigstore-conformance/", GITHUB, staging()).check_bundle(&bundle),
        Ok(())
    );
    assert!(keyless("sigstore-conformance", GITHUB, public().await).check_bundle(&bundle).is_err());
}

/// What a bundle holds, written beside a layer the way cosign did it for years.
#[tokio::test]
async fn what_the_real_log_promised_is_accepted_beside_a_layer() {
    let bundle: Value = serde_json::from_slice(MESSAGE).unwrap();
    let text = |path: &str| bundle.pointer(path).unwrap().as_str().unwrap();
    let bytes = |path: &str| STANDARD.decode(text(path)).unwrap();
    let entry = "/verificationMaterial/tlogEntries/0";
    let number = |name: &str| text(&format!("{entry}/{name}")).parse::<i64>().unwrap();
    let logged = json!({
        "SignedEntryTimestamp": text(&format!("{entry}/inclusionPromise/signedEntryTimestamp")),
        "Payload": {
            "body": text(&format!("{entry}/canonicalizedBody")),
            "integratedTime": number("integratedTime"),
            "logIndex": number("logIndex"),
            "logID": hex::encode(bytes(&format!("{entry}/logId/keyId"))),
        },
    });
    let annotations = BTreeMap::from([
        ("dev.sigstore.cosign/bundle".to_owned(), logged.to_string()),
        (
            "dev.sigstore.cosign/certificate".to_owned(),
            pem("CERTIFICATE", &bytes("/verificationMaterial/certificate/rawBytes")),
        ),
    ]);
    let signature = bytes("/messageSignature/signature");
    let layer = LayerSignature { payload: SIGNED, signature: &signature, annotations: &annotations };
    let whom = keyless("@", "https://github.com/login/oauth", public().await);
    assert_eq!(whom.check_layer(&layer), Ok(()));
    assert!(whom.check_layer(&LayerSignature { payload: b"something else", ..layer }).is_err());
    let other = keyless("@siderolabs\\.com$", "https://github.com/login/oauth", public().await);
    let refused = other.check_layer(&layer).unwrap_err().to_string();
    assert!(refused.starts_with("certificate identity"), "{refused}");
}
