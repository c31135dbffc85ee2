//! Where images are written to.

use async_trait::async_trait;
use bytes::Bytes;
use factory_formats::Digest;
use futures_util::{StreamExt as _, stream};

use super::release::{BlobStream, Reference, Repository, SourceError};

/// A registry or a directory of OCI layouts that takes images. What refers to something is written after
/// it: blobs before the manifest that names them, manifests before their index.
#[async_trait]
pub trait ImageTarget: Send + Sync {
    /// A name for messages: `registry harbor.example.com`.
    fn name(&self) -> &str;

    /// Whether a blob is there already.
    ///
    /// # Errors
    /// When the target cannot be asked.
    async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, SourceError>;

    /// Writes a blob of `size` bytes. `bytes` can be read once only, so nothing is tried again here: whoever
    /// calls this knows how to begin anew.
    ///
    /// # Errors
    /// Those of `bytes`; [`SourceError::Invalid`] when they have another digest or length.
    async fn push_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        bytes: BlobStream,
    ) -> Result<(), SourceError>;

    /// Writes a short blob, unless it is there.
    ///
    /// # Errors
    /// When the target cannot be asked, or does not take it.
    async fn push_bytes(&self, repository: &Repository, bytes: Bytes) -> Result<(), SourceError> {
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        if self.has_blob(repository, &digest).await? {
            return Ok(());
        }
        self.push_blob(repository, &digest, size, stream::iter([Ok(bytes)]).boxed()).await
    }

    /// Writes a manifest or index, in place of what a tag named before.
    ///
    /// # Errors
    /// [`SourceError::Invalid`] when the bytes do not hash to the digest they are pushed as.
    async fn push_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<(), SourceError>;
}
