//! What the store remembers of release images.

use std::collections::BTreeMap;
use std::sync::Arc;

use factory_domain::Arch;
use factory_domain::ports::{BlobStore, Record, RecordKey, RecordKind, Repository, StoreError};
use factory_formats::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{FetchError, Selection, State};

/// Files of a release image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFiles {
    /// Digest of the image, of its index if it has one.
    pub image: Digest,
    /// The files by path.
    pub files: BTreeMap<String, SourceFile>,
}

/// One file of a release image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its contents.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// The layers of a release image as they were transported, bottom first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLayers {
    /// Digest of the image, of its index if it has one.
    pub image: Digest,
    /// The layers.
    pub layers: Vec<SourceLayer>,
}

/// One layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLayer {
    /// Its contents, compressed or not.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

impl SourceFiles {
    pub(super) fn blobs(&self) -> Vec<Digest> {
        self.files.values().map(|file| file.digest).collect()
    }
}

impl SourceLayers {
    pub(super) fn blobs(&self) -> Vec<Digest> {
        self.layers.iter().map(|layer| layer.digest).collect()
    }
}

impl State {
    /// The key of what is known of an image. Whom the operator trusts is a part of it: after a change of that
    /// every image is judged anew, although its bytes are still there.
    pub(super) fn source_key(&self, subject: &str) -> RecordKey {
        RecordKey::new(RecordKind::Source, &format!("{subject} {}", self.options.trust))
    }

    pub(super) fn files_key(
        &self,
        repository: &Repository,
        digest: &Digest,
        arch: Arch,
        selection: Selection,
    ) -> RecordKey {
        self.source_key(&format!("source-files/v1 {repository}@{digest} {arch} {}", selection.subject()))
    }

    pub(super) fn layers_key(&self, repository: &Repository, digest: &Digest, arch: Arch) -> RecordKey {
        self.source_key(&format!("source-layers/v1 {repository}@{digest} {arch}"))
    }
}

/// What a record says. One that cannot be read is as good as none: it is written anew.
pub(super) fn load<T: DeserializeOwned>(
    store: &dyn BlobStore,
    key: &RecordKey,
) -> Result<Option<T>, StoreError> {
    let record = store.record(key)?;
    Ok(record.and_then(|record| {
        let read = serde_json::from_str(&record.value);
        read.inspect_err(|error| tracing::warn!(label = record.label, %error, "an unreadable record")).ok()
    }))
}

impl State {
    pub(super) async fn save<T>(
        &self,
        key: RecordKey,
        label: String,
        value: T,
        blobs: impl Fn(&T) -> Vec<Digest>,
    ) -> Result<Arc<T>, FetchError>
    where
        T: Serialize + Send + Sync + 'static,
    {
        let text = serde_json::to_string(&value)
            .map_err(|error| FetchError::Unusable { image: label.clone(), reason: error.to_string() })?;
        let record = Record { key, blobs: blobs(&value), label, value: text };
        let store = Arc::clone(&self.store);
        self.workers.run("keeping a record", move || store.save(record)).await??;
        Ok(Arc::new(value))
    }
}
