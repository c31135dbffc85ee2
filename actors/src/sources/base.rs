//! Base images: what an image of our own is built on, ready to be referenced.

use std::sync::Arc;

use factory_domain::Arch;
use factory_domain::ports::BlobRef;
use factory_domain::recipe::kept_base_layers;
use factory_formats::Digest;
use factory_formats::decompress::{Compression, MAGIC_LEN};
use factory_formats::oci_image::{BaseConfig, LayerType};
use serde::{Deserialize, Serialize};

use super::{FetchError, ImageRef, SourceFile, State, record};
use crate::ask::Ask;

/// Asks for the image that an installer is built on: its configuration and those of its layers that are kept,
/// as blobs. Sent by the planner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchBase {
    /// The image.
    pub image: ImageRef,
    /// The platform: `linux/<arch>`.
    pub arch: Arch,
}

impl Ask for FetchBase {
    type Answer = Arc<SourceBase>;
    type Error = FetchError;
}

/// A base image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceBase {
    /// Digest of the image, of its index if it has one.
    pub image: Digest,
    /// Its configuration.
    pub config: SourceFile,
    /// The layers that are kept, bottom first.
    pub layers: Vec<BaseLayer>,
}

/// A layer of a base image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseLayer {
    /// Its contents as transported.
    pub digest: Digest,
    /// Their length in bytes.
    pub size: u64,
    /// How they are compressed, as their first bytes say.
    pub kind: LayerType,
    /// Digest after decompression, as the configuration says.
    pub diff_id: Digest,
}

impl SourceBase {
    fn blobs(&self) -> Vec<Digest> {
        self.layers.iter().map(|layer| layer.digest).chain([self.config.digest]).collect()
    }
}

impl State {
    pub(super) async fn base(self: &Arc<Self>, want: &FetchBase) -> Result<Arc<SourceBase>, FetchError> {
        let digest = self.resolve(&want.image).await?;
        let repository = &want.image.repository;
        let key = self.source_key(&format!("source-base/v1 {repository}@{digest} {}", want.arch));
        if let Some(known) = record::load::<SourceBase>(&*self.store, &key)? {
            return Ok(Arc::new(known));
        }
        self.verify(repository, digest).await?;
        let unusable = |reason: String| FetchError::Unusable { image: want.image.to_string(), reason };
        let mut manifest = self.platform_manifest(repository, digest, want.arch).await?;
        let (config, json) = self.configuration(repository, &manifest.config).await?;
        let parsed = BaseConfig::read(&json).map_err(|error| unusable(error.to_string()))?;
        if parsed.diff_ids.len() != manifest.layers.len() {
            let (found, told) = (manifest.layers.len(), parsed.diff_ids.len());
            return Err(unusable(format!("it has {found} layers, but its configuration tells of {told}")));
        }
        manifest.layers.truncate(kept_base_layers(manifest.layers.len()));
        let pulled = self.pull_all(repository, manifest.layers).await?;
        let kinds = self.sniff(&pulled).await?;
        let layers = pulled.iter().zip(kinds).zip(&parsed.diff_ids).map(|((blob, kind), diff_id)| {
            let kind = LayerType::try_from(kind).map_err(|error| unusable(error.to_string()))?;
            Ok(BaseLayer { digest: blob.info.digest, size: blob.info.size, kind, diff_id: *diff_id })
        });
        let base = SourceBase {
            image: digest,
            config: SourceFile { digest: config.info.digest, size: config.info.size },
            layers: layers.collect::<Result<_, FetchError>>()?,
        };
        let saved =
            self.save(key, format!("base {} {}", want.image, want.arch), base, SourceBase::blobs).await;
        // Until the record names them, only these keep the blobs in the store.
        drop((config, pulled));
        saved
    }

    /// How these blobs are compressed. What a manifest says of it is not trusted: clients would fail on it.
    async fn sniff(&self, blobs: &[BlobRef]) -> Result<Vec<Compression>, FetchError> {
        let infos: Vec<_> = blobs.iter().map(|blob| blob.info).collect();
        let store = Arc::clone(&self.store);
        let read = move || {
            let kinds = infos.iter().map(|info| {
                let mut head = vec![0; info.size.min(MAGIC_LEN as u64) as usize];
                store.read_exact_at(&info.digest, 0, &mut head).map(|()| Compression::sniff(&head))
            });
            kinds.collect::<std::io::Result<Vec<_>>>()
        };
        let kinds = self.workers.run("looking at layers", read).await?;
        kinds.map_err(|error| FetchError::Unusable {
            image: "a base image".to_owned(),
            reason: format!("its layers cannot be read: {error}"),
        })
    }
}
