//! Schematics in a registry, byte for byte as the reference keeps them, so that either takes over what the other
//! has written (51-builds-and-cache.md, 7).
//!
//! A schematic is a blob, which is all that is ever read. A small image beside it, tagged with the id, keeps the
//! registry from clearing the blob away.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use factory_domain::ports::{
    ImageTarget, Reference, ReleaseSource, Repository, SchematicStore, SourceError, StoreError,
};
use factory_domain::schematic::SchematicId;
use factory_formats::Digest;
use factory_formats::oci_image::{Annotations, Document, data_image};
use futures_util::StreamExt as _;

use crate::store::check_schematic;

/// Type of the layer that is a schematic.
const SCHEMATIC: &str = "application/vnd.sidero.dev-image.schematic";

/// Longest schematic that is read.
const MAX_SCHEMATIC: u64 = 8 << 20;

/// Schematics in a repository.
pub struct RegistrySchematics<R> {
    registry: Arc<R>,
    repository: Repository,
}

impl<R: ReleaseSource + ImageTarget> RegistrySchematics<R> {
    /// Schematics in `repository` of `registry`.
    pub fn new(registry: Arc<R>, repository: Repository) -> Self {
        Self { registry, repository }
    }

    async fn read(&self, digest: &Digest) -> Result<Option<Bytes>, SourceError> {
        let size = match self.registry.blob_size(&self.repository, digest).await {
            Ok(size) => size,
            Err(SourceError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if size > MAX_SCHEMATIC {
            return Err(SourceError::Invalid {
                what: format!("schematic {}", digest.hex()),
                source_name: ReleaseSource::name(&*self.registry).to_owned(),
                reason: format!("it has {size} bytes"),
            });
        }
        let mut bytes = BytesMut::new();
        let mut pieces = match self.registry.open_blob(&self.repository, digest, size, 0).await {
            Ok(pieces) => pieces,
            Err(SourceError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(Some(bytes.freeze()))
    }

    async fn is_tagged(&self, id: &SchematicId) -> Result<bool, SourceError> {
        match self.registry.resolve_tag(&self.repository, &id.to_string()).await {
            Ok(_) => Ok(true),
            Err(SourceError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Tells whether it was there already, blob and tag: a factory that was killed in between left half of it.
    async fn write(&self, id: &SchematicId, canonical: Bytes) -> Result<bool, SourceError> {
        let layer = Document::new(SCHEMATIC, canonical);
        if self.registry.has_blob(&self.repository, &layer.digest).await? && self.is_tagged(id).await? {
            return Ok(true);
        }
        let image = data_image(SCHEMATIC, layer.digest, layer.size(), &Annotations::new());
        self.registry.push_bytes(&self.repository, layer.bytes.clone()).await?;
        self.registry.push_bytes(&self.repository, image.config.bytes.clone()).await?;
        let manifest = &image.manifest;
        let tag = Reference::Tag(id.to_string());
        self.registry
            .push_manifest(&self.repository, &tag, manifest.media_type, manifest.bytes.clone())
            .await?;
        Ok(false)
    }
}

fn failed(what: String, error: &SourceError) -> StoreError {
    StoreError::Failed { what, reason: error.to_string() }
}

#[async_trait]
impl<R: ReleaseSource + ImageTarget> SchematicStore for RegistrySchematics<R> {
    async fn get(&self, id: &SchematicId) -> Result<Option<Bytes>, StoreError> {
        let read = self.read(id.digest()).await;
        let Some(bytes) = read.map_err(|error| failed(format!("reading schematic {id}"), &error))? else {
            return Ok(None);
        };
        if Digest::of(&bytes) == *id.digest() {
            return Ok(Some(bytes));
        }
        Err(StoreError::Damaged {
            what: format!("schematic {id} in {}", ReleaseSource::name(&*self.registry)),
            reason: "the registry gave other bytes than its digest says".to_owned(),
        })
    }

    async fn put(&self, id: &SchematicId, canonical: Bytes) -> Result<bool, StoreError> {
        check_schematic(id, &canonical)?;
        let written = self.write(id, canonical).await;
        written.map_err(|error| failed(format!("keeping schematic {id}"), &error))
    }
}
