//! Signatures: made once when an image is published, shown in both forms that clients look for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use factory_domain::ports::{KeyError, Signer};
use factory_formats::Digest;
use factory_formats::oci_image::{
    Document, Referrer, SIGN_PREDICATE, SignatureImage, Subject, pre_authentication_encoding, sign_statement,
    signature_image, sigstore_bundle, sigstore_referrer, simple_signing,
};

use super::edition::{Signature, Signed};

/// Time of creation in signatures, in seconds since 1970. Nothing depends on a clock.
pub(super) const EPOCH: u64 = 1_559_424_892;

/// Everything that shows that a manifest is signed.
pub(super) struct Evidence {
    /// The simple-signing document.
    pub payload: Document,
    /// The image that carries its signature.
    pub image: SignatureImage,
    /// The bundle with the signed statement.
    pub bundle: Document,
    /// The artifact that carries the bundle.
    pub referrer: Referrer,
}

impl Evidence {
    /// All documents.
    pub fn documents(&self) -> [&Document; 5] {
        let Self { payload, image, bundle, referrer } = self;
        [payload, &image.manifest, &image.config, bundle, &referrer.manifest]
    }
}

/// Signs a manifest of `size` bytes in `repository`, which is `<host>/<path>`.
pub(super) fn sign(
    signer: &dyn Signer,
    repository: &str,
    digest: Digest,
    size: u64,
) -> Result<Signed, KeyError> {
    let payload = simple_signing(repository, &digest);
    let statement = pre_authentication_encoding(&sign_statement(repository, &digest));
    Ok(Signed {
        digest,
        size,
        simple: Signature(signer.sign(&payload.bytes)?),
        statement: Signature(signer.sign(&statement)?),
    })
}

/// The documents that show the signature of a manifest of this type.
pub(super) fn evidence(
    repository: &str,
    key: &Digest,
    signed: &Signed,
    media_type: &'static str,
) -> Evidence {
    let payload = simple_signing(repository, &signed.digest);
    let image = signature_image(&payload, &signed.simple.0, EPOCH);
    let statement = sign_statement(repository, &signed.digest);
    let bundle = sigstore_bundle(&statement, &signed.statement.0, key);
    let subject = Subject { media_type, digest: signed.digest, size: signed.size };
    let referrer = sigstore_referrer(subject, (bundle.digest, bundle.size()), SIGN_PREDICATE, EPOCH);
    Evidence { payload, image, bundle, referrer }
}

/// Digest of a public key in PEM: of the bytes inside, which bundles name their key by.
pub(crate) fn key_digest(pem: &str) -> Digest {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    Digest::of(&STANDARD.decode(text).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo;

    impl Signer for Echo {
        fn public_key_pem(&self) -> &str {
            "-----BEGIN PUBLIC KEY-----\nAAEC\nAwQF\n-----END PUBLIC KEY-----\n"
        }

        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
            self.sign_digest(&Digest::of(message))
        }

        fn sign_digest(&self, digest: &Digest) -> Result<Vec<u8>, KeyError> {
            Ok(digest.as_bytes().to_vec())
        }
    }

    #[test]
    fn a_key_is_named_by_what_is_inside_of_its_pem() {
        assert_eq!(key_digest(Echo.public_key_pem()), Digest::of(&[0, 1, 2, 3, 4, 5]));
    }

    #[test]
    fn both_forms_name_the_manifest_and_carry_what_was_signed() {
        let (digest, key) = (Digest::of(b"manifest"), key_digest(Echo.public_key_pem()));
        let signed = sign(&Echo, "host/installer/1", digest, 8).unwrap();
        let evidence = evidence("host/installer/1", &key, &signed, "type");
        assert_eq!(signed.simple.0, Digest::of(&evidence.payload.bytes).as_bytes());
        let has = |document: &Document, text: &str| String::from_utf8_lossy(&document.bytes).contains(text);
        assert!(has(&evidence.payload, &digest.to_string()));
        assert!(has(&evidence.image.manifest, &STANDARD.encode(&signed.simple.0)));
        assert!(has(&evidence.image.manifest, &evidence.payload.digest.to_string()));
        assert!(has(&evidence.bundle, &STANDARD.encode(&signed.statement.0)));
        assert!(has(&evidence.bundle, &STANDARD.encode(key.as_bytes())));
        assert!(has(&evidence.referrer.manifest, &evidence.bundle.digest.to_string()));
        assert!(has(&evidence.referrer.manifest, &digest.to_string()));
    }
}
