//! What is written down about an asset in a bucket, and who says so.

use factory_domain::ports::{CachedAsset, KeyError, Signer};
use serde::{Deserialize, Serialize};

use crate::cosign::PublicKey;
use crate::envelope::{Unfit, open, seal};

/// What is signed.
const SIGNED_KIND: &str = "image-factory/reference/v1";

/// What is known about an object with an asset in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reference {
    /// The asset.
    #[serde(flatten)]
    pub asset: CachedAsset,
    /// The entity tag that the store gave its object: one that was written over has another.
    #[serde(rename = "objectETag")]
    pub object_etag: String,
}

impl Reference {
    /// The reference as it is written, signed.
    pub fn seal(&self, signer: &dyn Signer) -> Result<Vec<u8>, KeyError> {
        seal(SIGNED_KIND, serde_json::to_string(self).unwrap_or_default(), signer)
    }

    /// Reads one, which must be signed with `key` and be about the asset with this key.
    pub fn open(bytes: &[u8], key: &PublicKey, wanted: &factory_formats::Digest) -> Result<Self, Unfit> {
        // First who said it, then what: nothing unsigned is looked into.
        let text = self::open(SIGNED_KIND, bytes, key)?;
        let reference: Self = serde_json::from_str(&text).map_err(|_| Unfit::Unreadable)?;
        if reference.asset.key == *wanted { Ok(reference) } else { Err(Unfit::Other) }
    }
}

#[cfg(test)]
mod tests {
    use factory_formats::Digest;

    use super::*;
    use crate::cosign::HashAlgorithm;
    use crate::keys::LocalKey;

    fn key() -> (tempfile::TempDir, LocalKey, PublicKey) {
        let home = tempfile::tempdir().unwrap();
        let (signer, _) = LocalKey::load_or_create(&home.path().join("key")).unwrap();
        let public = PublicKey::from_pem(signer.public_key_pem(), HashAlgorithm::Sha256).unwrap();
        (home, signer, public)
    }

    fn reference() -> Reference {
        let asset = CachedAsset {
            key: Digest::of(b"key"),
            digest: Digest::of(b"bytes"),
            size: 5,
            etag: "\"e\"".to_owned(),
            content_type: "application/x-xz".to_owned(),
            file_name: "a.xz".to_owned(),
        };
        Reference { asset, object_etag: "o".to_owned() }
    }

    #[test]
    fn what_was_sealed_opens() {
        let (_home, signer, public) = key();
        let sealed = reference().seal(&signer).unwrap();
        assert_eq!(Reference::open(&sealed, &public, &Digest::of(b"key")), Ok(reference()));
        assert!(sealed.len() < 1000, "{}", String::from_utf8_lossy(&sealed));
    }

    #[test]
    fn what_was_changed_moved_or_signed_by_others_does_not() {
        let (_home, signer, public) = key();
        let sealed = reference().seal(&signer).unwrap();
        let moved = Reference::open(&sealed, &public, &Digest::of(b"another key"));
        assert_eq!(moved, Err(Unfit::Other));
        let changed = String::from_utf8(sealed.clone()).unwrap().replace("a.xz", "b.xz");
        let changed = Reference::open(changed.as_bytes(), &public, &Digest::of(b"key"));
        assert_eq!(changed, Err(Unfit::Signature));
        let (_other_home, _, other) = key();
        assert_eq!(Reference::open(&sealed, &other, &Digest::of(b"key")), Err(Unfit::Signature));
        for nonsense in [&b""[..], b"{}", b"[]", br#"{"text":"","signature":"?"}"#] {
            assert!(Reference::open(nonsense, &public, &Digest::of(b"key")).is_err());
        }
    }
}
