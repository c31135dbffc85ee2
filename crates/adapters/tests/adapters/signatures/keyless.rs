//! Do signatures without a key count when everything holds together, and only then?

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use factory_adapters::cosign::{AnyOf, CosignCheck, Keyless, SignerPolicy};
use factory_adapters::trust_root::TrustRoot;
use factory_domain::ports::{ReleaseSource, SignatureCheck as _, Verified, VerifyError};
use factory_formats::Digest;
use serde_json::{Value, json};

use super::super::sources::{Content, Image, repository};
use super::virtual_sigstore::{Log, Sct, Signer, VirtualSigstore, pem};
use super::{IMAGER, Key, SIGN_PREDICATE, add_bundle, add_legacy, payload, reasons, statement, unsigned};

const SUBJECT: &str = r"(@siderolabs\.com$|^releasemgr-svc@talos-production\.iam\.gserviceaccount\.com$)";
const RELEASES: &str = "releasemgr-svc@talos-production.iam.gserviceaccount.com";
const GOOGLE: &str = "https://accounts.google.com";

fn somebody() -> Signer {
    Signer::new(RELEASES, GOOGLE)
}

fn trust(root: &Value) -> Arc<TrustRoot> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trusted_root.json");
    std::fs::write(&path, root.to_string()).unwrap();
    Arc::new(TrustRoot::from_file(&path).unwrap())
}

fn keyless(source: Arc<dyn ReleaseSource>, root: &Value) -> CosignCheck {
    CosignCheck::new(source, Keyless::new(SignerPolicy::new(SUBJECT, GOOGLE, "").unwrap(), trust(root)))
}

async fn verify(content: &Content, root: &Value, digest: &Digest) -> Result<Verified, VerifyError> {
    keyless(Arc::new(content.put_into_memory()), root).verify(&repository(IMAGER), digest).await
}

fn add_annotated(content: &mut Content, digest: &Digest, document: &[u8], with: BTreeMap<String, String>) {
    content.annotated(&repository(IMAGER), digest, document, &with);
}

/// What a bundle is refused for.
async fn refused_bundle(sigstore: &VirtualSigstore, bundle: &Value, image: &Image) -> String {
    let (mut content, same) = unsigned();
    assert_eq!(same.index, image.index);
    add_bundle(&mut content, &image.index, bundle);
    let [bundled, legacy] = reasons(verify(&content, &sigstore.trusted_root(), &image.index).await);
    assert_eq!(legacy, "no signatures found");
    bundled
}

/// What a layer is refused for.
async fn refused_layer(
    sigstore: &VirtualSigstore,
    document: &[u8],
    annotations: BTreeMap<String, String>,
    image: &Image,
) -> String {
    let (mut content, _) = unsigned();
    add_annotated(&mut content, &image.index, document, annotations);
    let [bundled, legacy] = reasons(verify(&content, &sigstore.trusted_root(), &image.index).await);
    assert_eq!(bundled, "no valid bundles exist in registry");
    legacy
}

#[tokio::test]
async fn all_three_forms_are_accepted() {
    let sigstore = VirtualSigstore::new();
    let root = sigstore.trusted_root();
    let (mut content, image) = unsigned();
    let document = payload(&image.index);
    add_annotated(&mut content, &image.index, &document, sigstore.annotations(&somebody(), &document));
    let accepted = verify(&content, &root, &image.index).await;
    assert_eq!(accepted.unwrap_or_else(|error| panic!("{error}")).method, "legacy: certificate subject");
    let statement = statement(&image.index, SIGN_PREDICATE).to_string();
    for log in [Log::Promised, Log::Tiled] {
        let (mut content, image) = unsigned();
        add_bundle(&mut content, &image.index, &sigstore.bundle(&somebody(), statement.as_bytes(), log));
        let accepted = verify(&content, &root, &image.index).await;
        let method = accepted.unwrap_or_else(|error| panic!("{log:?}: {error}")).method;
        assert_eq!(method, "bundled: certificate subject");
    }
}

#[tokio::test]
async fn a_layer_may_leave_out_what_the_trusted_root_holds() {
    let sigstore = VirtualSigstore::new();
    let (mut content, image) = unsigned();
    let document = payload(&image.index);
    let mut annotations = sigstore.annotations(&somebody(), &document);
    annotations.remove("dev.sigstore.cosign/chain");
    add_annotated(&mut content, &image.index, &document, annotations);
    assert!(verify(&content, &sigstore.trusted_root(), &image.index).await.is_ok());
}

#[tokio::test]
async fn signers_are_known_by_name_and_issuer() {
    let sigstore = VirtualSigstore::new();
    let (_, image) = unsigned();
    let (document, statement) = (payload(&image.index), statement(&image.index, SIGN_PREDICATE).to_string());
    for (name, issuer, wanted) in [
        (
            "somebody@siderolabs.com.example.com",
            GOOGLE,
            "certificate identity \"somebody@siderolabs.com.example.com\" does not match",
        ),
        (
            "https://github.com/siderolabs/talos/.github/workflows/ci.yaml@refs/heads/main",
            GOOGLE,
            "does not match",
        ),
        (
            RELEASES,
            "https://accounts.example.com",
            "issuer \"https://accounts.example.com\" of certificate identity",
        ),
    ] {
        let signer = Signer::new(name, issuer);
        for log in [Log::Promised, Log::Tiled] {
            let bundle = sigstore.bundle(&signer, statement.as_bytes(), log);
            let refused = refused_bundle(&sigstore, &bundle, &image).await;
            assert!(refused.contains(wanted), "{refused}");
        }
        let refused =
            refused_layer(&sigstore, &document, sigstore.annotations(&signer, &document), &image).await;
        assert!(refused.contains(wanted), "{refused}");
    }
    // Other policies, other signers.
    let uri = "https://github.com/siderolabs/talos/.github/workflows/ci.yaml@refs/heads/main";
    let (mut content, image) = unsigned();
    let signer = Signer::new(uri, "https://token.actions.githubusercontent.com");
    add_annotated(&mut content, &image.index, &document, sigstore.annotations(&signer, &document));
    let policy = SignerPolicy::new("^https://github.com/siderolabs/", "x", "githubusercontent").unwrap();
    let check = CosignCheck::new(
        Arc::new(content.put_into_memory()),
        Keyless::new(policy, trust(&sigstore.trusted_root())),
    );
    check.verify(&repository(IMAGER), &image.index).await.unwrap();
}

#[tokio::test]
async fn a_certificate_counts_only_while_it_is_valid() {
    let sigstore = VirtualSigstore::new();
    let (_, image) = unsigned();
    let (document, statement) = (payload(&image.index), statement(&image.index, SIGN_PREDICATE).to_string());
    let expired = Signer { from: -70, until: -50, ..somebody() };
    let early = Signer { from: -3, ..somebody() };
    for (signer, logs) in [(expired, &[Log::Promised, Log::Tiled][..]), (early, &[Log::Promised])] {
        for log in logs {
            let bundle = sigstore.bundle(&signer, statement.as_bytes(), *log);
            let refused = refused_bundle(&sigstore, &bundle, &image).await;
            assert!(refused.contains("certificate"), "{refused}");
        }
        let annotations = sigstore.annotations(&signer, &document);
        let refused = refused_layer(&sigstore, &document, annotations, &image).await;
        assert!(refused.contains("certificate"), "{refused}");
    }
    // From a log that lives in the future.
    let future = Signer { logged: 5, ..somebody() };
    let refused = refused_layer(&sigstore, &document, sigstore.annotations(&future, &document), &image).await;
    assert!(refused.contains("future"), "{refused}");
}

#[tokio::test]
async fn certificates_come_from_the_trusted_root_and_were_logged() {
    let (sigstore, stranger) = (VirtualSigstore::new(), VirtualSigstore::new());
    let (_, image) = unsigned();
    let (document, statement) = (payload(&image.index), statement(&image.index, SIGN_PREDICATE).to_string());
    for log in [Log::Promised, Log::Tiled] {
        let bundle = stranger.bundle(&somebody(), statement.as_bytes(), log);
        let refused = refused_bundle(&sigstore, &bundle, &image).await;
        assert!(refused.starts_with("no matching attestations: not trusted: "), "{refused}");
    }
    let refused =
        refused_layer(&sigstore, &document, stranger.annotations(&somebody(), &document), &image).await;
    assert!(refused.starts_with("no matching signatures: not trusted: "), "{refused}");

    // The same logs and clocks, another certificate authority: only the chain is wrong.
    let mut mixed = sigstore.trusted_root();
    mixed["certificateAuthorities"] = stranger.trusted_root()["certificateAuthorities"].clone();
    let (mut content, _) = unsigned();
    add_bundle(
        &mut content,
        &image.index,
        &sigstore.bundle(&somebody(), statement.as_bytes(), Log::Promised),
    );
    add_annotated(&mut content, &image.index, &document, sigstore.annotations(&somebody(), &document));
    for refused in reasons(verify(&content, &mixed, &image.index).await) {
        assert!(refused.contains("certificate chain"), "{refused}");
    }

    for sct in [Sct::Missing, Sct::Unknown, Sct::Other] {
        let signer = Signer { sct, ..somebody() };
        for log in [Log::Promised, Log::Tiled] {
            let bundle = sigstore.bundle(&signer, statement.as_bytes(), log);
            let refused = refused_bundle(&sigstore, &bundle, &image).await;
            assert!(refused.contains("signed certificate timestamp"), "{sct:?}: {refused}");
        }
        let annotations = sigstore.annotations(&signer, &document);
        let refused = refused_layer(&sigstore, &document, annotations, &image).await;
        assert!(refused.contains("signed certificate timestamp"), "{sct:?}: {refused}");
    }
}

#[tokio::test]
async fn the_log_s_word_is_checked() {
    let (sigstore, other) = (VirtualSigstore::new(), VirtualSigstore::new());
    let (_, image) = unsigned();
    let statement = statement(&image.index, SIGN_PREDICATE).to_string();
    let entry = "/verificationMaterial/tlogEntries/0";
    for log in [Log::Promised, Log::Tiled] {
        let good = sigstore.bundle(&somebody(), statement.as_bytes(), log);
        let elsewhere = other.bundle(&somebody(), statement.as_bytes(), log);
        let again = sigstore.bundle(&somebody(), statement.as_bytes(), log);
        let changed = |path: &str, value: Value| {
            let mut changed = good.clone();
            *changed.pointer_mut(&format!("{entry}{path}")).unwrap() = value;
            changed
        };
        let of = |bundle: &Value, path: &str| bundle.pointer(&format!("{entry}{path}")).unwrap().clone();
        let zeros = json!(STANDARD.encode([0; 32]));
        let mut forged = vec![
            ("no entry", {
                let mut changed = good.clone();
                changed["verificationMaterial"]["tlogEntries"] = json!([]);
                changed
            }),
            ("no proof", changed("/inclusionProof", Value::Null)),
            ("wrong proof", changed("/inclusionProof/hashes/0", zeros.clone())),
            ("short proof", changed("/inclusionProof/hashes", json!([]))),
            ("another log's checkpoint", {
                let root = STANDARD.decode(of(&good, "/inclusionProof/rootHash").as_str().unwrap()).unwrap();
                changed("/inclusionProof/checkpoint/envelope", json!(other.checkpoint(log, &root)))
            }),
            ("a checkpoint that was changed", {
                let path = "/inclusionProof/checkpoint/envelope";
                let envelope = of(&good, path).as_str().unwrap().replacen("\n3\n", "\n4\n", 1);
                let mut changed = changed(path, json!(envelope));
                *changed.pointer_mut(&format!("{entry}/inclusionProof/treeSize")).unwrap() = json!("4");
                changed
            }),
            (
                "another tree's checkpoint",
                changed("/inclusionProof/checkpoint", of(&again, "/inclusionProof/checkpoint")),
            ),
            ("another signature's entry", changed("", of(&again, ""))),
            ("another body", changed("/canonicalizedBody", of(&again, "/canonicalizedBody"))),
        ];
        if log == Log::Promised {
            let promise = "/inclusionPromise/signedEntryTimestamp";
            forged.push(("wrong root", changed("/inclusionProof/rootHash", zeros)));
            forged.push(("another promise", changed(promise, of(&again, promise))));
            forged.push(("no promise", changed("/inclusionPromise", Value::Null)));
            forged.push(("another time", changed("/integratedTime", json!("1700000000"))));
            forged.push(("another log", changed("/logId/keyId", of(&elsewhere, "/logId/keyId"))));
        } else {
            let stamps = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
            let mut without = good.clone();
            *without.pointer_mut(stamps).unwrap() = json!([]);
            forged.push(("no timestamp", without));
            let signature = good["dsseEnvelope"]["signatures"][0]["sig"].as_str().unwrap();
            let stranger = STANDARD.encode(other.timestamp(&STANDARD.decode(signature).unwrap()));
            for (what, stamp) in [
                ("another signature's timestamp", again.pointer(stamps).unwrap().clone()),
                ("another authority's timestamp", json!([{ "signedTimestamp": stranger }])),
                ("no timestamp inside", json!([{ "signedTimestamp": "AAAA" }])),
            ] {
                let mut changed = good.clone();
                *changed.pointer_mut(stamps).unwrap() = stamp;
                forged.push((what, changed));
            }
        }
        for (what, bundle) in forged {
            let refused = refused_bundle(&sigstore, &bundle, &image).await;
            assert!(refused.starts_with("no matching attestations: "), "{log:?}, {what}: {refused}");
            println!("{log:?}, {what}: {refused}");
        }
    }
}

#[tokio::test]
async fn the_log_s_word_is_checked_beside_layers_too() {
    let (sigstore, other) = (VirtualSigstore::new(), VirtualSigstore::new());
    let (_, image) = unsigned();
    let document = payload(&image.index);
    let good = sigstore.annotations(&somebody(), &document);
    let (again, elsewhere) =
        (sigstore.annotations(&somebody(), &document), other.annotations(&somebody(), &document));
    let entry = "dev.sigstore.cosign/bundle";
    let with = |name: &str, value: &str| {
        let mut changed = good.clone();
        changed.insert(name.to_owned(), value.to_owned());
        changed
    };
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_str(&good[entry]).unwrap();
        edit(&mut value);
        with(entry, &value.to_string())
    };
    for (what, annotations, wanted) in [
        ("no entry", with(entry, ""), "without an entry of a transparency log"),
        ("no certificate", with("dev.sigstore.cosign/certificate", ""), "with a key"),
        ("not JSON", with(entry, "x"), "cannot be read"),
        ("no PEM", with("dev.sigstore.cosign/certificate", "x"), "cannot be read"),
        ("a key", with("dev.sigstore.cosign/certificate", &pem("PUBLIC KEY", b"x")), "cannot be read"),
        (
            "no certificate inside",
            with("dev.sigstore.cosign/certificate", &pem("CERTIFICATE", b"x")),
            "not trusted",
        ),
        ("another signature's entry", with(entry, &again[entry]), "not trusted"),
        ("another log's entry", with(entry, &elsewhere[entry]), "not trusted"),
        (
            "another time",
            edited(&|value| value["Payload"]["integratedTime"] = json!(1_700_000_000)),
            "not trusted",
        ),
        ("another place", edited(&|value| value["Payload"]["logIndex"] = json!(5)), "not trusted"),
        ("another body", edited(&|value| value["Payload"]["body"] = json!("e30=")), "cannot be read"),
        ("no promise", edited(&|value| value["SignedEntryTimestamp"] = json!("")), "not trusted"),
        (
            "another signature",
            with("dev.cosignproject.cosign/signature", &again["dev.cosignproject.cosign/signature"]),
            "not trusted",
        ),
        (
            "another certificate",
            with("dev.sigstore.cosign/certificate", &again["dev.sigstore.cosign/certificate"]),
            "not trusted",
        ),
    ] {
        let refused = refused_layer(&sigstore, &document, annotations, &image).await;
        assert!(refused.contains(wanted), "{what}: {refused}");
        println!("{what}: {refused}");
    }
}

#[tokio::test]
async fn signed_documents_are_about_the_image() {
    let sigstore = VirtualSigstore::new();
    let (_, image) = unsigned();
    // Good in every way, and about another image.
    let document = payload(&image.manifest);
    let annotations = sigstore.annotations(&somebody(), &document);
    let refused = refused_layer(&sigstore, &document, annotations.clone(), &image).await;
    assert!(refused.contains("signature-claim-mismatch"), "{refused}");
    // The right words under the signature of others.
    let refused = refused_layer(&sigstore, &payload(&image.index), annotations, &image).await;
    assert!(refused.contains("not trusted"), "{refused}");
    for log in [Log::Promised, Log::Tiled] {
        let other = statement(&image.manifest, SIGN_PREDICATE).to_string();
        let bundle = sigstore.bundle(&somebody(), other.as_bytes(), log);
        let refused = refused_bundle(&sigstore, &bundle, &image).await;
        assert!(refused.contains("signature-claim-mismatch"), "{refused}");
        let mut changed = bundle;
        let ours = statement(&image.index, SIGN_PREDICATE).to_string();
        changed["dsseEnvelope"]["payload"] = json!(STANDARD.encode(ours));
        let refused = refused_bundle(&sigstore, &changed, &image).await;
        assert!(refused.contains("not trusted"), "{refused}");
        let attested = statement(&image.index, "https://slsa.dev/provenance/v1").to_string();
        let bundle = sigstore.bundle(&somebody(), attested.as_bytes(), log);
        let refused = refused_bundle(&sigstore, &bundle, &image).await;
        assert!(refused.contains("signature-claim-mismatch"), "{refused}");
    }
}

/// The matrix of spec 50, section 9.6.
#[tokio::test]
async fn key_and_certificate_are_two_ways_of_which_one_is_enough() {
    let (sigstore, key) = (VirtualSigstore::new(), Key::p256());
    let root = sigstore.trusted_root();
    let (_, image) = unsigned();
    let (document, statement) = (payload(&image.index), statement(&image.index, SIGN_PREDICATE).to_string());
    for (what, by_key) in [
        ("certificate, legacy", false),
        ("certificate, bundle", false),
        ("key, legacy", true),
        ("key, bundle", true),
    ] {
        let (mut content, image) = unsigned();
        match what {
            "certificate, legacy" => {
                let annotations = sigstore.annotations(&somebody(), &document);
                add_annotated(&mut content, &image.index, &document, annotations);
            }
            "certificate, bundle" => {
                let bundle = sigstore.bundle(&somebody(), statement.as_bytes(), Log::Promised);
                add_bundle(&mut content, &image.index, &bundle);
            }
            "key, legacy" => add_legacy(&mut content, &key, &image.index),
            _ => add_bundle(&mut content, &image.index, &super::bundle(&key, statement.as_bytes())),
        }
        let source: Arc<dyn ReleaseSource> = Arc::new(content.put_into_memory());
        let with_key = || Arc::new(CosignCheck::new(Arc::clone(&source), key.public("sha256")));
        let with_certificate = || Arc::new(keyless(Arc::clone(&source), &root));
        let at = repository(IMAGER);
        assert_eq!(with_key().verify(&at, &image.index).await.is_ok(), by_key, "{what}");
        assert_eq!(with_certificate().verify(&at, &image.index).await.is_ok(), !by_key, "{what}");
        let both = AnyOf::new(vec![with_key(), with_certificate()]);
        assert!(both.verify(&at, &image.index).await.is_ok(), "{what}");
        assert!(both.verify(&at, &image.manifest).await.is_err(), "{what}");
    }
    // "There are none" is said once, however many look.
    let (content, image) = unsigned();
    let source: Arc<dyn ReleaseSource> = Arc::new(content.put_into_memory());
    let checks = [CosignCheck::new(Arc::clone(&source), key.public("sha256")), keyless(source, &root)];
    let both = AnyOf::new(checks.into_iter().map(|check| Arc::new(check) as _).collect());
    let refused = reasons(both.verify(&repository(IMAGER), &image.index).await);
    assert_eq!(refused, ["no valid bundles exist in registry", "no signatures found"]);
}
