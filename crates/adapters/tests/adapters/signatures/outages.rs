//! Is "cannot be asked" ever taken for "unsigned"?

use factory_adapters::testing::{MemorySource, SourceCall};
use factory_domain::ports::{SignatureCheck as _, SourceError, VerifyError};

use super::super::sources::repository;
use super::{IMAGER, Key, SIGN_PREDICATE, add_bundle, add_legacy, bundle, check, statement, unsigned};

fn errors() -> Vec<SourceError> {
    let (what, source_name, reason) = ("x".to_owned(), "y".to_owned(), "z".to_owned());
    vec![
        SourceError::Unavailable { what: what.clone(), source_name: source_name.clone(), reason },
        SourceError::RateLimited { source_name: source_name.clone(), retry_after: None },
        SourceError::Unauthorized { what, source_name },
    ]
}

#[tokio::test]
async fn an_outage_at_any_call_is_no_refusal() {
    let key = Key::p256();
    let (mut content, image) = unsigned();
    let statement = statement(&image.index, SIGN_PREDICATE).to_string();
    // Both kinds of signature, made by somebody else: without an outage this is a refusal.
    let other = Key::p256();
    add_bundle(&mut content, &image.index, &bundle(&other, statement.as_bytes()));
    add_legacy(&mut content, &other, &image.index);
    let verify = |source: MemorySource| {
        let check = check(source, key.public("sha256"));
        async move { check.verify(&repository(IMAGER), &image.index).await }
    };
    let refused = verify(content.put_into_memory()).await;
    assert!(matches!(refused, Err(VerifyError::Refused { .. })), "{refused:?}");
    for call in [SourceCall::ListReferrers, SourceCall::FetchManifest, SourceCall::OpenBlob] {
        for error in errors() {
            let source = content.put_into_memory();
            source.fail_next(call, error);
            let failed = verify(source).await;
            assert!(matches!(failed, Err(VerifyError::Unavailable { .. })), "{call:?}: {failed:?}");
        }
    }
    let source = content.put_into_memory();
    source.cut_blobs_after(Some(10));
    let failed = verify(source).await;
    assert!(matches!(failed, Err(VerifyError::Unavailable { .. })), "{failed:?}");
    let source = content.put_into_memory();
    source.set_down(true);
    let failed = verify(source).await;
    assert!(matches!(failed, Err(VerifyError::Unavailable { .. })), "{failed:?}");
}

#[tokio::test]
async fn a_signature_that_is_found_counts_whatever_else_fails() {
    let key = Key::p256();
    let (mut content, image) = unsigned();
    add_legacy(&mut content, &key, &image.index);
    let source = content.put_into_memory();
    source.fail_next(SourceCall::ListReferrers, errors().remove(0));
    let verified = check(source, key.public("sha256")).verify(&repository(IMAGER), &image.index).await;
    assert_eq!(verified.unwrap().method, "legacy: public key");
}
