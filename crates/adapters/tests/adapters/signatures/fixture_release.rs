//! Are all images of the fixture release accepted, except those that were signed wrongly on purpose?

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use factory_adapters::cosign::{CosignCheck, HashAlgorithm, PublicKey};
use factory_adapters::oci_layout::OciLayouts;
use factory_domain::ports::{ReleaseSource as _, SignatureCheck as _, VerifyError};
use factory_formats::Digest;
use serde::Deserialize;

use super::super::sources::repository;

/// What the fixture says about itself.
#[derive(Deserialize)]
struct Release {
    #[serde(default)]
    bundles: bool,
    /// Digests by repository and tag.
    images: BTreeMap<String, BTreeMap<String, Digest>>,
}

#[tokio::test]
async fn all_but_the_wrongly_signed_are_accepted() {
    let place = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let (Some(root), Some(key)) = (place("IMAGE_FACTORY_FIXTURE"), place("IMAGE_FACTORY_FIXTURE_KEY")) else {
        println!("skipped: the fixture release: IMAGE_FACTORY_FIXTURE does not say where it is");
        return;
    };
    let release: Release =
        serde_json::from_slice(&fs::read(root.join("release-info.json")).unwrap()).unwrap();
    let source = Arc::new(OciLayouts::open(&root).unwrap());
    let key = PublicKey::from_pem(&fs::read_to_string(key).unwrap(), HashAlgorithm::Sha256).unwrap();
    let check = CosignCheck::new(source.clone(), key);
    let mut methods = BTreeMap::new();
    for (path, images) in &release.images {
        let at = repository(path);
        for (tag, digest) in images {
            assert_eq!(source.resolve_tag(&at, tag).await.unwrap(), *digest, "{path}:{tag}");
            let verified = check.verify(&at, digest).await;
            if path.ends_with("/unsigned") || path.ends_with("/forged") {
                assert!(matches!(verified, Err(VerifyError::Refused { .. })), "{path}:{tag}: {verified:?}");
            } else {
                *methods.entry(verified.unwrap().method).or_insert(0) += 1;
            }
        }
    }
    println!("accepted: {methods:?}");
    assert!(methods.contains_key("legacy: public key"));
    assert_eq!(methods.contains_key("bundled: public key"), release.bundles);
}
