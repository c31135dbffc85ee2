//! Files out of layers, each a blob of its own.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use factory_domain::ports::{BlobKind, BlobRef, BlobStore, BlobWriter, Repository, StoreError};
use factory_formats::Digest;
use factory_formats::file_tree::TreePath;
use factory_formats::oci_layers::{Layers, Limits, Picker, pick_files};

use super::{FetchError, Selection, SourceFile, SourceFiles, State};
use crate::blob_reader::BlobReader;

/// Layers that lie in the store.
pub(crate) struct StoredLayers {
    store: Arc<dyn BlobStore>,
    layers: Vec<(Digest, u64)>,
}

impl StoredLayers {
    /// These blobs, bottom first; somebody holds them in the store.
    pub fn new(store: Arc<dyn BlobStore>, layers: Vec<(Digest, u64)>) -> Self {
        Self { store, layers }
    }
}

impl Layers for StoredLayers {
    fn count(&self) -> usize {
        self.layers.len()
    }

    fn open(&self, index: usize) -> io::Result<Box<dyn Read + '_>> {
        let (digest, size) = *self.layers.get(index).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(BlobReader::new(&*self.store, digest, size)))
    }
}

/// Puts what a selection wants into the store.
struct Keep<'a> {
    store: &'a dyn BlobStore,
    selection: Selection,
    kept: BTreeMap<String, BlobRef>,
}

impl Picker for Keep<'_> {
    type Writer = Box<dyn BlobWriter>;

    fn wants(&self, path: &TreePath) -> bool {
        self.selection.wants(path.as_str())
    }

    fn open(&mut self, _: &TreePath, _: u64) -> io::Result<Self::Writer> {
        self.store.create(BlobKind::Source).map_err(io::Error::other)
    }

    fn close(&mut self, path: &TreePath, writer: Self::Writer) -> io::Result<()> {
        let blob = writer.commit().map_err(io::Error::other)?;
        self.kept.insert(path.as_str().to_owned(), blob);
        Ok(())
    }
}

impl State {
    /// The selected files. They stay in the store as long as the second part of the answer is held.
    pub(super) async fn unpack(
        &self,
        repository: &Repository,
        image: Digest,
        layers: Vec<BlobRef>,
        selection: Selection,
    ) -> Result<(SourceFiles, Vec<BlobRef>), FetchError> {
        let name = format!("{repository}@{image}");
        let store = Arc::clone(&self.store);
        let what = format!("unpacking {name}");
        let kept = self
            .workers
            .build(&what, move || {
                let stored = layers.iter().map(|layer| (layer.info.digest, layer.info.size)).collect();
                let stored = StoredLayers::new(Arc::clone(&store), stored);
                let mut keep = Keep { store: &*store, selection, kept: BTreeMap::new() };
                pick_files(&stored, &Limits::default(), &mut keep)
                    .map(|picked| (keep.kept, picked.notes))
                    .map_err(|error| store_error_in(&error).unwrap_or_else(|| unusable(name, &error)))
            })
            .await??;
        let (kept, notes) = kept;
        for note in notes {
            tracing::debug!(%repository, ?note, "left out");
        }
        let file = |blob: &BlobRef| SourceFile { digest: blob.info.digest, size: blob.info.size };
        let files = kept.iter().map(|(path, blob)| (path.clone(), file(blob))).collect();
        Ok((SourceFiles { image, files }, kept.into_values().collect()))
    }
}

fn unusable(image: String, error: &dyn std::error::Error) -> FetchError {
    FetchError::Unusable { image, reason: error.to_string() }
}

/// The store's own error when that is what ended the work: a full disk is not the image's fault.
fn store_error_in(error: &(dyn std::error::Error + 'static)) -> Option<FetchError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && let Some(store) = io.get_ref().and_then(|inner| inner.downcast_ref::<StoreError>())
        {
            return Some(store.clone().into());
        }
        cause = error.source();
    }
    None
}
