//! Which signatures count?

use factory_adapters::cosign::{HashAlgorithm, InvalidPublicKey, PublicKey};
use factory_adapters::keys::LocalKey;
use factory_adapters::oci_layout::OciLayouts;
use factory_domain::ports::{SignatureCheck as _, Signer as _, VerifyError};
use serde_json::json;

use super::super::sources::repository;
use super::{
    BUNDLE, IMAGER, Key, SIGN_PREDICATE, add_bundle, add_legacy, bundle, check, openssl, payload, reasons,
    statement, unsigned, verify,
};

const KEYS: [(&str, &[&str]); 6] = [
    ("P-256", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    ("P-384", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
    ("P-521", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"]),
    ("RSA 2048", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
    ("RSA 3072", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"]),
    ("Ed25519", &["-algorithm", "ed25519"]),
];

#[test]
fn every_kind_of_key_with_every_hash() {
    for (name, arguments) in KEYS {
        let key = Key::generate(arguments);
        for hash in ["sha224", "SHA256", "sha384", "Sha512"] {
            let parsed = hash.parse::<HashAlgorithm>().unwrap();
            let public = match PublicKey::from_pem(&key.public_pem(), parsed) {
                Ok(public) => public,
                Err(error) => {
                    let known = matches!(error, InvalidPublicKey::Combination { .. });
                    assert!(known && name.starts_with("RSA") && hash == "sha224", "{name} {hash}: {error}");
                    continue;
                }
            };
            let signature = key.sign(&hash.to_lowercase(), b"message");
            assert!(public.verifies(b"message", &signature), "{name} {hash}");
            assert!(!public.verifies(b"massage", &signature), "{name} {hash}");
            assert!(!public.verifies(b"message", &signature[1..]), "{name} {hash}");
            assert!(!public.verifies(b"message", b""), "{name} {hash}");
            if !key.ed25519 {
                let other = if parsed == HashAlgorithm::Sha256 { "sha512" } else { "sha256" };
                let signature = key.sign(other, b"message");
                assert!(!public.verifies(b"message", &signature), "{name} {hash} instead of {other}");
            }
        }
    }
}

#[test]
fn hashes_have_names() {
    assert_eq!("".parse(), Ok(HashAlgorithm::Sha256));
    assert_eq!(" ".parse(), Ok(HashAlgorithm::Sha256));
    for name in ["sha1", "md5", "256", "sha-256"] {
        assert!(name.parse::<HashAlgorithm>().is_err(), "{name}");
    }
    for hash in [HashAlgorithm::Sha224, HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512] {
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }
}

#[test]
fn keys_that_are_none_are_refused() {
    let private = String::from_utf8(openssl(&["genpkey", "-algorithm", "ed25519"])).unwrap();
    let x25519 = openssl(&["genpkey", "-algorithm", "x25519"]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    std::fs::write(&path, x25519).unwrap();
    let exchange = String::from_utf8(openssl(&["pkey", "-in", path.to_str().unwrap(), "-pubout"])).unwrap();
    for pem in
        ["", "no PEM", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", &private, &exchange]
    {
        assert!(PublicKey::from_pem(pem, HashAlgorithm::Sha256).is_err(), "{pem}");
    }
}

#[tokio::test]
async fn both_forms_are_accepted() {
    let key = Key::p256();
    let (mut content, image) = unsigned();
    add_legacy(&mut content, &key, &image.index);
    assert_eq!(verify(&content, &key, &image.index).await.unwrap().method, "legacy: public key");
    let statement = statement(&image.index, SIGN_PREDICATE).to_string();
    add_bundle(&mut content, &image.index, &bundle(&key, statement.as_bytes()));
    assert_eq!(verify(&content, &key, &image.index).await.unwrap().method, "bundled: public key");
}

#[tokio::test]
async fn the_factory_s_own_signatures_are_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let (own, _) = LocalKey::load_or_create(&directory.path().join("key.pem")).unwrap();
    let (mut content, image) = unsigned();
    let payload = payload(&image.index);
    let signature = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(own.sign(&payload).unwrap())
    };
    content.signatures(&repository(IMAGER), &image.index, &[(&payload, &signature)]);
    let public = PublicKey::from_pem(own.public_key_pem(), HashAlgorithm::Sha256).unwrap();
    check(content.put_into_memory(), public).verify(&repository(IMAGER), &image.index).await.unwrap();
}

/// Acceptance check A6.
#[tokio::test]
async fn an_unsigned_image_is_refused_in_two_lines() {
    let (content, image) = unsigned();
    let refused = verify(&content, &Key::p256(), &image.index).await;
    let text = refused.as_ref().unwrap_err().to_string();
    let expected = format!(
        "failed to verify image signature for {IMAGER}@{}: no valid bundles exist in registry\nno signatures found",
        image.index
    );
    assert_eq!(text, expected);
    assert_eq!(reasons(refused), ["no valid bundles exist in registry", "no signatures found"]);
}

#[tokio::test]
async fn one_good_signature_among_others_is_enough() {
    let (good, other) = (Key::p256(), Key::p256());
    let (mut content, image) = unsigned();
    let at = repository(IMAGER);
    let document = payload(&image.index);
    let (first, second) = (other.sign_base64(&document), good.sign_base64(&document));
    content.signatures(
        &at,
        &image.index,
        &[(&document, "not base64!"), (&document, &first), (&document, &second)],
    );
    assert!(verify(&content, &good, &image.index).await.is_ok());

    let (mut content, image) = unsigned();
    let statement = statement(&image.index, SIGN_PREDICATE).to_string();
    content.referrer(&at, &image.index, "text/plain", "application/vnd.example", b"hello", false);
    content.referrer(&at, &image.index, BUNDLE, BUNDLE, b"not json", false);
    add_bundle(&mut content, &image.index, &bundle(&other, statement.as_bytes()));
    // One that does not say it is a bundle until one looks into it.
    let signed = bundle(&good, statement.as_bytes()).to_string();
    content.referrer(
        &at,
        &image.index,
        BUNDLE,
        "application/vnd.oci.empty.v1+json",
        signed.as_bytes(),
        false,
    );
    assert!(verify(&content, &good, &image.index).await.is_ok());
    let [bundled, _] = reasons(verify(&content, &Key::p256(), &image.index).await);
    assert_eq!(bundled, "no matching attestations: the signature was not made by the public key");
}

#[tokio::test]
async fn a_bundle_among_several_subjects_counts() {
    let key = Key::p256();
    let (mut content, image) = unsigned();
    let mut several = statement(&image.index, SIGN_PREDICATE);
    several["subject"] = json!([
        { "name": "other", "digest": { "sha256": image.manifest.hex() } },
        { "name": "no digest" },
        { "digest": { "sha512": "00", "sha256": image.index.hex() } },
    ]);
    add_bundle(&mut content, &image.index, &bundle(&key, several.to_string().as_bytes()));
    assert!(verify(&content, &key, &image.index).await.is_ok());
}

#[tokio::test]
async fn signatures_of_a_directory_count() {
    let key = Key::p256();
    for bundled in [false, true] {
        let (mut content, image) = unsigned();
        if bundled {
            let statement = statement(&image.index, SIGN_PREDICATE).to_string();
            add_bundle(&mut content, &image.index, &bundle(&key, statement.as_bytes()));
        } else {
            add_legacy(&mut content, &key, &image.index);
        }
        let root = tempfile::tempdir().unwrap();
        content.put_into_directory(root.path());
        let check = check(OciLayouts::open(root.path()).unwrap(), key.public("sha256"));
        assert!(check.verify(&repository(IMAGER), &image.index).await.is_ok());
        let child = check.verify(&repository(IMAGER), &image.manifest).await;
        assert!(matches!(child, Err(VerifyError::Refused { .. })), "{child:?}");
    }
}
