//! Whole assets in a registry: an image with one layer under the asset's key as its tag, signed as images are
//! (51-builds-and-cache.md, 4).
//!
//! Beside what the reference writes there, the manifest tells key, entity tag, type and name of the asset. So a signed
//! manifest that is put under the tag of another asset is not taken for it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use factory_domain::ports::{
    AssetBody, AssetCache, AssetStream, BlobStream, CacheError, CachedAsset, ImageTarget, Reference,
    ReleaseSource, Repository, SignatureCheck as _, Signer, SourceError, VerifyError,
};
use factory_formats::Digest;
use factory_formats::oci_image::{Annotations, Document, data_image, signature_image, simple_signing};
use futures_util::StreamExt as _;
use moka::sync::Cache;
use serde::Deserialize;

use crate::cosign::{CosignCheck, HashAlgorithm, InvalidPublicKey, PublicKey};

/// Type of the layer that is an asset.
const DATA: &str = "application/data";

/// Time of creation in signatures, in seconds since 1970. Nothing depends on a clock.
const EPOCH: u64 = 1_559_424_892;

/// Manifests remembered as verified.
const MAX_REMEMBERED: u64 = 10_000;

const KEY: &str = "dev.talos.factory.key";
const ETAG: &str = "dev.talos.factory.etag";
const CONTENT_TYPE: &str = "dev.talos.factory.content-type";
const FILE_NAME: &str = "org.opencontainers.image.title";

/// Whole assets in a repository.
pub struct RegistryCache<R> {
    registry: Arc<R>,
    repository: Repository,
    /// `<host>/<path>`, as signatures name it.
    full_name: String,
    signer: Arc<dyn Signer>,
    check: CosignCheck,
    verified: Cache<Digest, ()>,
}

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Layer>,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Deserialize)]
struct Layer {
    digest: Digest,
    size: u64,
}

impl<R: ReleaseSource + ImageTarget + 'static> RegistryCache<R> {
    /// Assets in `repository` of `registry`, which is called `host`, signed and checked with `signer`'s key.
    ///
    /// # Errors
    /// [`InvalidPublicKey`] when the key's public half cannot be used.
    pub fn new(
        registry: Arc<R>,
        host: &str,
        repository: Repository,
        signer: Arc<dyn Signer>,
    ) -> Result<Self, InvalidPublicKey> {
        let key = PublicKey::from_pem(signer.public_key_pem(), HashAlgorithm::Sha256)?;
        let check = CosignCheck::new(Arc::clone(&registry) as Arc<dyn ReleaseSource>, key);
        let full_name = format!("{host}/{repository}");
        Ok(Self { registry, repository, full_name, signer, check, verified: Cache::new(MAX_REMEMBERED) })
    }

    fn failed(&self, what: String) -> impl Fn(SourceError) -> CacheError + Send + Sync + 'static {
        let cache = self.name().to_owned();
        move |error| CacheError::Unavailable {
            cache: cache.clone(),
            what: what.clone(),
            reason: error.to_string(),
        }
    }

    async fn is_signed(&self, digest: &Digest) -> Result<bool, CacheError> {
        if self.verified.contains_key(digest) {
            return Ok(true);
        }
        match self.check.verify(&self.repository, digest).await {
            Ok(_) => {
                self.verified.insert(*digest, ());
                Ok(true)
            }
            Err(VerifyError::Unavailable { source, .. }) => {
                Err(self.failed(format!("looking for the signature of {digest}"))(source))
            }
            Err(error) => {
                tracing::warn!(cache = self.name(), %error, "an asset is not used");
                Ok(false)
            }
        }
    }

    async fn push_manifest(&self, reference: Reference, document: &Document) -> Result<(), SourceError> {
        let bytes = document.bytes.clone();
        self.registry.push_manifest(&self.repository, &reference, document.media_type, bytes).await
    }

    /// Bytes, then what they are, then who says so, and only then the tag.
    async fn write(
        &self,
        asset: &CachedAsset,
        body: BlobStream,
        payload: &Signed,
    ) -> Result<(), SourceError> {
        if !self.registry.has_blob(&self.repository, &asset.digest).await? {
            self.registry.push_blob(&self.repository, &asset.digest, asset.size, body).await?;
        }
        let image = &payload.image;
        self.registry.push_bytes(&self.repository, image.config.bytes.clone()).await?;
        self.push_manifest(Reference::Digest(image.manifest.digest), &image.manifest).await?;
        self.registry.push_bytes(&self.repository, payload.claim.bytes.clone()).await?;
        self.registry.push_bytes(&self.repository, payload.signature.config.bytes.clone()).await?;
        let tag = format!("sha256-{}.sig", image.manifest.digest.hex());
        self.push_manifest(Reference::Tag(tag), &payload.signature.manifest).await?;
        self.push_manifest(Reference::Tag(asset.key.hex()), &image.manifest).await
    }
}

/// An image of an asset, and who says that it is one.
struct Signed {
    image: factory_formats::oci_image::DataImage,
    claim: Document,
    signature: factory_formats::oci_image::SignatureImage,
}

#[async_trait]
impl<R: ReleaseSource + ImageTarget + 'static> AssetCache for RegistryCache<R> {
    fn name(&self) -> &str {
        ReleaseSource::name(&*self.registry)
    }

    async fn lookup(&self, key: &Digest) -> Result<Option<CachedAsset>, CacheError> {
        let found = self.registry.fetch_manifest(&self.repository, &Reference::Tag(key.hex())).await;
        let found = match found {
            Ok(found) => found,
            // Some registries do not tell who may not know what there is.
            Err(SourceError::NotFound { .. } | SourceError::Unauthorized { .. }) => return Ok(None),
            Err(error) => return Err(self.failed(format!("looking for {}", key.hex()))(error)),
        };
        if !self.is_signed(&found.digest).await? {
            return Ok(None);
        }
        let Ok(Manifest { layers, annotations }) = serde_json::from_slice(&found.bytes) else {
            return Ok(None);
        };
        let told = |name: &str| annotations.get(name).cloned().unwrap_or_default();
        match layers.as_slice() {
            [Layer { digest, size }] if told(KEY) == key.hex() => Ok(Some(CachedAsset {
                key: *key,
                digest: *digest,
                size: *size,
                etag: told(ETAG),
                content_type: told(CONTENT_TYPE),
                file_name: told(FILE_NAME),
            })),
            _ => {
                tracing::warn!(cache = self.name(), %key, "what lies under this tag is about another asset");
                Ok(None)
            }
        }
    }

    async fn publish(&self, asset: &CachedAsset, body: AssetBody) -> Result<(), CacheError> {
        let annotations = [
            (KEY, asset.key.hex()),
            (ETAG, asset.etag.clone()),
            (CONTENT_TYPE, asset.content_type.clone()),
            (FILE_NAME, asset.file_name.clone()),
        ];
        let annotations = annotations.map(|(name, value)| (name.to_owned(), value));
        let image = data_image(DATA, asset.digest, asset.size, &Annotations::from(annotations));
        let claim = simple_signing(&self.full_name, &image.manifest.digest);
        let signature = self.signer.sign(&claim.bytes).map_err(|error| CacheError::Unavailable {
            cache: self.name().to_owned(),
            what: format!("signing {}", asset.file_name),
            reason: error.to_string(),
        })?;
        let signature = signature_image(&claim, &signature, EPOCH);
        let told = |error: std::io::Error| SourceError::Unavailable {
            what: "an asset".to_owned(),
            source_name: "the store".to_owned(),
            reason: error.to_string(),
        };
        let body = body.map(move |piece: Result<Bytes, _>| piece.map_err(told)).boxed();
        let written = self.write(asset, body, &Signed { image, claim, signature }).await;
        written.map_err(self.failed(format!("writing {}", asset.file_name)))
    }

    async fn open(&self, asset: &CachedAsset) -> Result<AssetStream, CacheError> {
        let told = self.failed(format!("reading blob {}", asset.digest));
        match self.registry.open_blob(&self.repository, &asset.digest, asset.size, 0).await {
            Ok(stream) => Ok(stream.map(move |piece| piece.map_err(&told)).boxed()),
            Err(error) => Err(told(error)),
        }
    }

    fn gives_links(&self) -> bool {
        false
    }

    async fn link(&self, _: &CachedAsset, _: &str) -> Result<Option<String>, CacheError> {
        Ok(None)
    }
}
