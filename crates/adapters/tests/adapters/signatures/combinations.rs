//! Several checks, one, none.

use std::sync::Arc;

use async_trait::async_trait;
use factory_adapters::cosign::{AnyOf, Unchecked};
use factory_adapters::testing::SourceCall;
use factory_domain::ports::{Repository, SignatureCheck, SourceError, Verified, VerifyError};
use factory_formats::Digest;

use super::super::sources::repository;
use super::{IMAGER, Key, add_legacy, check, unsigned};

/// A check of another kind, such as one by certificate.
struct Other(bool);

#[async_trait]
impl SignatureCheck for Other {
    async fn verify(&self, repository: &Repository, digest: &Digest) -> Result<Verified, VerifyError> {
        if self.0 {
            return Ok(Verified { method: "other".to_owned() });
        }
        let reasons = vec!["not by the other".to_owned()];
        Err(VerifyError::Refused { repository: repository.clone(), digest: *digest, reasons })
    }
}

#[tokio::test]
async fn the_first_that_accepts_decides() {
    let (key, stranger) = (Key::p256(), Key::p256());
    let (mut content, image) = unsigned();
    add_legacy(&mut content, &key, &image.index);
    let at = repository(IMAGER);
    let by = |key: &Key| -> Arc<dyn SignatureCheck> {
        Arc::new(check(content.put_into_memory(), key.public("sha256")))
    };
    let other = |accepts| -> Arc<dyn SignatureCheck> { Arc::new(Other(accepts)) };
    for (checks, method) in [
        (vec![by(&key), other(true)], "legacy: public key"),
        (vec![by(&stranger), by(&key)], "legacy: public key"),
        (vec![by(&stranger), other(true)], "other"),
        (vec![other(true), by(&key)], "other"),
    ] {
        assert_eq!(AnyOf::new(checks).verify(&at, &image.index).await.unwrap().method, method);
    }
    let refused = AnyOf::new(vec![by(&stranger), other(false)]).verify(&at, &image.index).await;
    let Err(VerifyError::Refused { reasons, .. }) = refused else { panic!("{refused:?}") };
    let expected = [
        "no valid bundles exist in registry",
        "no matching signatures: the signature was not made by the public key",
        "not by the other",
    ];
    assert_eq!(reasons, expected);
}

#[tokio::test]
async fn no_check_accepts_nothing_and_the_unchecked_everything() {
    let (_, image) = unsigned();
    let at = repository(IMAGER);
    let none = AnyOf::new(Vec::new()).verify(&at, &image.index).await.unwrap_err();
    assert!(matches!(none, VerifyError::NotConfigured));
    assert!(none.to_string().starts_with("no verification options provided"));
    assert_eq!(Unchecked.verify(&at, &image.index).await.unwrap().method, "verification disabled");
}

#[tokio::test]
async fn a_check_that_could_not_be_made_leaves_the_question_open() {
    let (content, image) = unsigned();
    let key = Key::p256();
    let at = repository(IMAGER);
    let unreachable = || -> Arc<dyn SignatureCheck> {
        let source = content.put_into_memory();
        let error = SourceError::RateLimited { source_name: "x".to_owned(), retry_after: None };
        source.fail_next(SourceCall::ListReferrers, error);
        Arc::new(check(source, key.public("sha256")))
    };
    for checks in [
        vec![unreachable(), Arc::new(Other(false)) as Arc<dyn SignatureCheck>],
        vec![Arc::new(Other(false)), unreachable()],
    ] {
        let open = AnyOf::new(checks).verify(&at, &image.index).await;
        assert!(matches!(open, Err(VerifyError::Unavailable { .. })), "{open:?}");
    }
    let accepted = AnyOf::new(vec![unreachable(), Arc::new(Other(true))]).verify(&at, &image.index).await;
    assert!(accepted.is_ok());
}
