//! What somebody who can write to the registry, but has no key, might try.

use serde_json::{Value, json};

use super::super::sources::repository;
use super::{
    BUNDLE, IMAGER, Key, SIGN_PREDICATE, add_bundle, add_legacy, bundle, payload, reasons, statement,
    unsigned, verify,
};

/// Acceptance check A7: the reference accepts this.
#[tokio::test]
async fn a_signature_copied_from_another_image_is_refused() {
    let key = Key::p256();
    let (mut content, image) = unsigned();
    add_legacy(&mut content, &key, &image.manifest);
    assert!(verify(&content, &key, &image.manifest).await.is_ok(), "the signature itself is good");
    // The same signed document, put under the tag of another image.
    let document = payload(&image.manifest);
    content.signatures(&repository(IMAGER), &image.index, &[(&document, &key.sign_base64(&document))]);
    let [_, legacy] = reasons(verify(&content, &key, &image.index).await);
    assert_eq!(
        legacy,
        format!(
            "no matching signatures: signature-claim-mismatch: it is about {}, not about {}",
            image.manifest, image.index
        )
    );
}

#[tokio::test]
async fn a_bundle_copied_from_another_image_is_refused() {
    let key = Key::p256();
    let (mut content, image) = unsigned();
    let other = statement(&image.manifest, SIGN_PREDICATE).to_string();
    add_bundle(&mut content, &image.index, &bundle(&key, other.as_bytes()));
    let [bundled, _] = reasons(verify(&content, &key, &image.index).await);
    assert!(
        bundled.starts_with("no matching attestations: signature-claim-mismatch: it is about"),
        "{bundled}"
    );
}

#[tokio::test]
async fn a_signature_of_a_platform_is_none_of_the_image() {
    let key = Key::p256();
    let (mut content, image) = unsigned();
    add_legacy(&mut content, &key, &image.manifest);
    let refused = reasons(verify(&content, &key, &image.index).await);
    assert_eq!(refused, ["no valid bundles exist in registry", "no signatures found"]);
}

/// Acceptance check A8.
#[tokio::test]
async fn an_attestation_about_something_else_is_no_signature() {
    let key = Key::p256();
    for predicate in [
        "https://spdx.dev/Document",
        "https://slsa.dev/provenance/v1",
        "",
        "https://sigstore.dev/cosign/sign/v2",
    ] {
        let (mut content, image) = unsigned();
        let statement = statement(&image.index, predicate).to_string();
        add_bundle(&mut content, &image.index, &bundle(&key, statement.as_bytes()));
        let [bundled, _] = reasons(verify(&content, &key, &image.index).await);
        assert!(
            bundled.starts_with("no matching attestations: signature-claim-mismatch: it is a"),
            "{bundled}"
        );
    }
}

#[tokio::test]
async fn documents_of_other_kinds_are_refused() {
    let key = Key::p256();
    let (_, image) = unsigned();
    let good = String::from_utf8(payload(&image.index)).unwrap();
    let text = image.index.to_string();
    for (document, expected) in [
        (
            good.replace("cosign container image signature", "atomic container signature"),
            "signature-claim-mismatch",
        ),
        (good.replace(&text, &text.to_uppercase()), "signature-claim-mismatch"),
        (good.replace("docker-manifest-digest", "digest"), "cannot be read"),
        (good.replace("\"type\"", "\"kind\""), "cannot be read"),
        (
            good.replace(
                "\"optional\":null",
                &format!(
                    "\"critical\":{{\"image\":{{\"docker-manifest-digest\":\"{text}\"}},\"type\":\"x\"}}"
                ),
            ),
            "cannot be read",
        ),
        ("{}".to_owned(), "cannot be read"),
        (String::new(), "cannot be read"),
    ] {
        let (mut content, image) = unsigned();
        content.signatures(
            &repository(IMAGER),
            &image.index,
            &[(document.as_bytes(), &key.sign_base64(document.as_bytes()))],
        );
        let [_, legacy] = reasons(verify(&content, &key, &image.index).await);
        assert!(legacy.contains(expected), "{document}: {legacy}");
    }

    let change = |path: &str, value: Value| {
        let mut changed = statement(&image.index, SIGN_PREDICATE);
        changed[path] = value;
        changed
    };
    for statement in [
        change("_type", json!("https://in-toto.io/Statement/v0.1")),
        change("subject", json!([])),
        change("subject", json!({})),
        change("subject", json!([{ "digest": { "sha512": image.index.hex() } }])),
        change("subject", json!([{ "digest": { "sha256": image.index.to_string() } }])),
        change("predicateType", json!(null)),
    ] {
        let (mut content, image) = unsigned();
        add_bundle(&mut content, &image.index, &bundle(&key, statement.to_string().as_bytes()));
        let [bundled, _] = reasons(verify(&content, &key, &image.index).await);
        assert!(bundled.starts_with("no matching attestations"), "{statement}: {bundled}");
    }
}

#[tokio::test]
async fn nothing_that_was_changed_after_signing_counts() {
    let key = Key::p256();
    let (_, image) = unsigned();
    let signed = bundle(&key, statement(&image.manifest, SIGN_PREDICATE).to_string().as_bytes());
    let ours = bundle(&Key::p256(), statement(&image.index, SIGN_PREDICATE).to_string().as_bytes());
    let mut forged = Vec::new();
    let mut other_payload = signed.clone();
    other_payload["dsseEnvelope"]["payload"] = ours["dsseEnvelope"]["payload"].clone();
    forged.push(other_payload);
    let mut other_type = signed.clone();
    other_type["dsseEnvelope"]["payloadType"] = json!("application/json");
    forged.push(other_type);
    let mut both_signatures = ours.clone();
    both_signatures["dsseEnvelope"]["signatures"] =
        json!([ours["dsseEnvelope"]["signatures"][0], signed["dsseEnvelope"]["signatures"][0]]);
    forged.push(both_signatures);
    let mut certificate = bundle(&key, statement(&image.index, SIGN_PREDICATE).to_string().as_bytes());
    certificate["verificationMaterial"] = json!({ "certificate": { "rawBytes": "AAAA" } });
    forged.push(certificate);
    let mut message = signed.clone();
    message.as_object_mut().unwrap().remove("dsseEnvelope");
    message["messageSignature"] = json!({ "messageDigest": {}, "signature": "AAAA" });
    forged.push(message);
    for forged in forged {
        let (mut content, image) = unsigned();
        add_bundle(&mut content, &image.index, &forged);
        let [bundled, _] = reasons(verify(&content, &key, &image.index).await);
        assert!(bundled.starts_with("no matching attestations"), "{forged}: {bundled}");
    }

    let (mut content, image) = unsigned();
    let document = payload(&image.index);
    let other = key.sign_base64(&payload(&image.manifest));
    content.signatures(&repository(IMAGER), &image.index, &[(&document, &other)]);
    let [_, legacy] = reasons(verify(&content, &key, &image.index).await);
    assert_eq!(legacy, "no matching signatures: the signature was not made by the public key");
}

#[tokio::test]
async fn old_and_foreign_bundles_are_passed_over() {
    let key = Key::p256();
    let (_, image) = unsigned();
    let good = bundle(&key, statement(&image.index, SIGN_PREDICATE).to_string().as_bytes());
    for media_type in [
        "application/vnd.dev.sigstore.bundle+json;version=0.1",
        "application/vnd.dev.sigstore.bundle.v0.2+json",
        "application/json",
    ] {
        let (mut content, image) = unsigned();
        let mut old = good.clone();
        old["mediaType"] = json!(media_type);
        add_bundle(&mut content, &image.index, &old);
        let refused = reasons(verify(&content, &key, &image.index).await);
        assert_eq!(refused[0], "no valid bundles exist in registry", "{media_type}");
    }
    // The right bundle in a layer of another type does not count either.
    let (mut content, image) = unsigned();
    content.referrer(
        &repository(IMAGER),
        &image.index,
        "application/json",
        BUNDLE,
        good.to_string().as_bytes(),
        false,
    );
    let refused = reasons(verify(&content, &key, &image.index).await);
    assert_eq!(refused[0], "no valid bundles exist in registry");
}

#[tokio::test]
async fn floods_are_bounded() {
    let key = Key::p256();
    let (mut content, image) = unsigned();
    let at = repository(IMAGER);
    let long = vec![b' '; (1 << 20) + 1];
    content.signatures(&at, &image.index, &[(&long, "AAAA")]);
    let [_, legacy] = reasons(verify(&content, &key, &image.index).await);
    assert!(legacy.contains("longer than 1048576 bytes"), "{legacy}");

    let (mut content, image) = unsigned();
    let documents: Vec<Vec<u8>> = (0..1200).map(|n| format!("{{\"n\":{n}}}").into_bytes()).collect();
    let layers: Vec<(&[u8], &str)> = documents.iter().map(|document| (&document[..], "AAAA")).collect();
    content.signatures(&at, &image.index, &layers);
    for n in 0..400 {
        content.referrer(&at, &image.index, "text/plain", "x", format!("{n}").as_bytes(), false);
    }
    let source = content.put_into_memory();
    let check = super::check(source.clone(), key.public("sha256"));
    let refused = factory_domain::ports::SignatureCheck::verify(&check, &at, &image.index).await;
    let [_, legacy] = reasons(refused);
    assert!(legacy.len() < 1000, "{legacy}");
    assert!(source.all_calls() < 1000 + 256 + 10, "{}", source.all_calls());
}
