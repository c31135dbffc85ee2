//! Records that factories of one site share, wherever they lie.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use factory_domain::ports::{
    ImageTarget, KeyError, Reference, ReleaseSource, Repository, SharedRecords, Signer, SourceError,
    StoreError,
};
use factory_formats::Digest;
use factory_formats::oci_image::{Annotations, Document, data_image};
use futures_util::StreamExt as _;
use serde::Deserialize;

use crate::cosign::{HashAlgorithm, InvalidPublicKey, PublicKey};
use crate::envelope::{open, seal};

/// Longest record.
const MAX_RECORD: u64 = 1 << 20;

/// Type of the layer that is a record.
const RECORD: &str = "application/vnd.image-factory.record.v1+json";

/// Records that count only when the factory's key has signed them, about what they are kept as.
pub struct SignedRecords {
    inner: Arc<dyn SharedRecords>,
    signer: Arc<dyn Signer>,
    key: PublicKey,
}

impl SignedRecords {
    /// Records in `inner`, signed with this key.
    ///
    /// # Errors
    /// [`InvalidPublicKey`] when the key's public half cannot be used.
    pub fn new(inner: Arc<dyn SharedRecords>, signer: Arc<dyn Signer>) -> Result<Self, InvalidPublicKey> {
        let key = PublicKey::from_pem(signer.public_key_pem(), HashAlgorithm::Sha256)?;
        Ok(Self { inner, signer, key })
    }

    fn read(&self, repository: &str, name: &str, bytes: &[u8]) -> Option<Bytes> {
        match open(&kind(repository, name), bytes, &self.key) {
            Ok(text) => Some(Bytes::from(text)),
            Err(unfit) => {
                tracing::warn!(place = self.inner.name(), repository, name, %unfit, "a record is not used");
                None
            }
        }
    }
}

fn kind(repository: &str, name: &str) -> String {
    format!("image-factory/record/v1 {repository} {name}")
}

#[async_trait]
impl SharedRecords for SignedRecords {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn get(&self, repository: &str, name: &str) -> Result<Option<Bytes>, StoreError> {
        let found = self.inner.get(repository, name).await?;
        Ok(found.and_then(|bytes| self.read(repository, name, &bytes)))
    }

    async fn put_new(&self, repository: &str, name: &str, value: Bytes) -> Result<Bytes, StoreError> {
        let failed = |reason: String| StoreError::Failed { what: format!("signing record {name}"), reason };
        let text = String::from_utf8(value.to_vec()).map_err(|error| failed(error.to_string()))?;
        let sealed = seal(&kind(repository, name), text, &*self.signer);
        let sealed = sealed.map_err(|error: KeyError| failed(error.to_string()))?;
        let there = self.inner.put_new(repository, name, Bytes::from(sealed)).await?;
        Ok(self.read(repository, name, &there).unwrap_or(value))
    }
}

/// Records beside the installers that they are about, each a small image with a tag.
pub struct RegistryRecords<R> {
    registry: Arc<R>,
    prefix: Option<Repository>,
}

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    digest: Digest,
    size: u64,
}

impl<R: ReleaseSource + ImageTarget> RegistryRecords<R> {
    /// Records below `prefix`.
    pub fn new(registry: Arc<R>, prefix: Option<Repository>) -> Self {
        Self { registry, prefix }
    }

    fn place(&self, repository: &str) -> Result<Repository, StoreError> {
        let prefix = self.prefix.as_ref().map_or("", Repository::as_str);
        let path = repository.parse::<Repository>().and_then(|path| path.under(prefix));
        path.map_err(|error| StoreError::Failed { what: repository.to_owned(), reason: error.to_string() })
    }

    async fn read(&self, path: &Repository, name: &str) -> Result<Option<Bytes>, SourceError> {
        let manifest = match self.registry.fetch_manifest(path, &Reference::Tag(tag(name))).await {
            Ok(manifest) => manifest,
            Err(SourceError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(Manifest { layers }) = serde_json::from_slice(&manifest.bytes) else { return Ok(None) };
        let [Layer { digest, size }] = layers.as_slice() else { return Ok(None) };
        if *size > MAX_RECORD {
            return Ok(None);
        }
        let mut pieces = self.registry.open_blob(path, digest, *size, 0).await?;
        let mut bytes = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(Some(bytes.freeze()))
    }

    async fn write(&self, path: &Repository, name: &str, value: &Bytes) -> Result<(), SourceError> {
        let layer = Document::new(RECORD, value.clone());
        let image = data_image(RECORD, layer.digest, layer.size(), &Annotations::new());
        for document in [&layer, &image.config] {
            self.registry.push_bytes(path, document.bytes.clone()).await?;
        }
        let manifest = image.manifest;
        self.registry
            .push_manifest(path, &Reference::Tag(tag(name)), manifest.media_type, manifest.bytes)
            .await
    }
}

fn tag(name: &str) -> String {
    format!("edition-{name}")
}

#[async_trait]
impl<R: ReleaseSource + ImageTarget> SharedRecords for RegistryRecords<R> {
    fn name(&self) -> &str {
        ReleaseSource::name(&*self.registry)
    }

    async fn get(&self, repository: &str, name: &str) -> Result<Option<Bytes>, StoreError> {
        let failed = |error: SourceError| StoreError::Failed {
            what: format!("reading a record of {repository}"),
            reason: error.to_string(),
        };
        self.read(&self.place(repository)?, name).await.map_err(failed)
    }

    /// A registry writes tags over: of two who write at once, both get what the later one wrote, but for those who
    /// read in between.
    async fn put_new(&self, repository: &str, name: &str, value: Bytes) -> Result<Bytes, StoreError> {
        let failed = |error: SourceError| StoreError::Failed {
            what: format!("writing a record of {repository}"),
            reason: error.to_string(),
        };
        let path = self.place(repository)?;
        if let Some(there) = self.read(&path, name).await.map_err(failed)? {
            return Ok(there);
        }
        self.write(&path, name, &value).await.map_err(failed)?;
        Ok(self.read(&path, name).await.map_err(failed)?.unwrap_or(value))
    }
}
