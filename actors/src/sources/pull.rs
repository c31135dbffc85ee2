//! Blobs: streamed into the store, going on where an earlier attempt ended.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use factory_domain::Arch;
use factory_domain::ports::{BlobKind, BlobRef, BlobWriter, Descriptor, Repository, SourceError, StoreError};
use factory_formats::Digest;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use tokio::sync::mpsc;

use super::{FetchError, State};

/// Pieces on their way from the network to the disk.
const QUEUE: usize = 8;

impl State {
    /// All layers of an image for one platform. They stay in the store as long as the answer is held.
    pub(super) async fn pull_layers(
        self: &Arc<Self>,
        repository: &Repository,
        digest: Digest,
        arch: Arch,
    ) -> Result<Vec<BlobRef>, FetchError> {
        let manifest = self.platform_manifest(repository, digest, arch).await?;
        self.pull_all(repository, manifest.layers).await
    }

    /// These layers, at the same time.
    pub(super) async fn pull_all(
        self: &Arc<Self>,
        repository: &Repository,
        layers: Vec<Descriptor>,
    ) -> Result<Vec<BlobRef>, FetchError> {
        try_join_all(layers.into_iter().map(|layer| {
            // Images share layers: whoever wants one that is on its way waits for it.
            let (state, repository) = (Arc::clone(self), repository.clone());
            let what = format!("fetching {repository}@{}", layer.digest);
            self.blobs.join(
                layer.digest,
                &what,
                move || async move { state.pull_blob(&repository, &layer).await },
            )
        }))
        .await
    }

    /// One blob.
    pub(super) async fn pull_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
    ) -> Result<BlobRef, FetchError> {
        if let Ok(lease) = self.store.lease(&[blob.digest])
            && let Some(info) = self.store.stat(&blob.digest)?
        {
            return Ok(BlobRef { info, lease });
        }
        let mut pause = self.options.pause;
        let mut attempt = 1;
        loop {
            let before = tokio::time::Instant::now();
            let error = match self.pull_once(repository, blob).await {
                Ok(pulled) => {
                    metrics::counter!("image_factory_source_bytes_total").increment(blob.size);
                    tracing::info!(%repository, digest = %blob.digest, bytes = blob.size, took = ?before.elapsed(), "fetched");
                    return Ok(pulled);
                }
                Err(error) => error,
            };
            if attempt >= self.options.attempts || !may_pass(&error) {
                return Err(self.blame(repository, blob, error));
            }
            tracing::warn!(%repository, digest = %blob.digest, attempt, %error, "fetching again");
            tokio::time::sleep(pause).await;
            pause *= 2;
            attempt += 1;
        }
    }

    /// Wrong bytes, time after time, are the source's fault and not the store's.
    fn blame(&self, repository: &Repository, blob: &Descriptor, error: FetchError) -> FetchError {
        match error {
            FetchError::Store(mismatch @ StoreError::Mismatch { .. }) => {
                FetchError::Source(SourceError::Invalid {
                    what: format!("{repository}@{}", blob.digest),
                    source_name: self.source.name().to_owned(),
                    reason: mismatch.to_string(),
                })
            }
            other => other,
        }
    }

    async fn pull_once(&self, repository: &Repository, blob: &Descriptor) -> Result<BlobRef, FetchError> {
        let (store, digest, size) = (Arc::clone(&self.store), blob.digest, blob.size);
        let writer = self
            .workers
            .run("opening a blob", move || store.resume(BlobKind::Source, &digest, size))
            .await??;
        let from = writer.position();
        let mut stream = self.source.open_blob(repository, &blob.digest, blob.size, from).await?;
        let (sender, receiver) = mpsc::channel::<Bytes>(QUEUE);
        let written = self.workers.start_blocking(move || write_all(writer, receiver));
        let mut received = from;
        let mut failed = None;
        while let Some(piece) = stream.next().await {
            match piece {
                Ok(bytes) => {
                    received = received.saturating_add(bytes.len() as u64);
                    // More than announced can never have the right digest: stop before it fills the disk.
                    if received > blob.size || sender.send(bytes).await.is_err() {
                        break;
                    }
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        drop(sender);
        let writer = match written.await {
            Ok(outcome) => outcome?,
            Err(_) => return Err(interrupted(repository, blob, "the disk writer crashed")),
        };
        if let Some(error) = failed {
            return Err(error.into());
        }
        if received < blob.size {
            return Err(interrupted(repository, blob, "the connection ended early"));
        }
        Ok(self.workers.run("keeping a blob", move || writer.commit()).await??)
    }
}

fn write_all(
    mut writer: Box<dyn BlobWriter>,
    mut pieces: mpsc::Receiver<Bytes>,
) -> Result<Box<dyn BlobWriter>, StoreError> {
    while let Some(piece) = pieces.blocking_recv() {
        writer.write_all(&piece).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => StoreError::Full { reason: error.to_string() },
            _ => StoreError::Failed { what: "writing a blob".to_owned(), reason: error.to_string() },
        })?;
    }
    Ok(writer)
}

fn interrupted(repository: &Repository, blob: &Descriptor, reason: &str) -> FetchError {
    FetchError::Source(SourceError::Unavailable {
        what: format!("{repository}@{}", blob.digest),
        source_name: "the source".to_owned(),
        reason: reason.to_owned(),
    })
}

/// Whether trying again may help.
fn may_pass(error: &FetchError) -> bool {
    matches!(
        error,
        FetchError::Source(SourceError::Unavailable { .. } | SourceError::RateLimited { .. })
            | FetchError::Store(StoreError::Mismatch { .. })
    )
}
