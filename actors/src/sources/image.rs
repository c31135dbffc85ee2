//! Manifests: from an image's digest to the layers for one platform.

use std::sync::Arc;

use factory_domain::Arch;
use factory_domain::ports::{BlobRef, Descriptor, RawManifest, Reference, Repository};
use factory_formats::Digest;
use serde::Deserialize;

use super::{FetchError, State};

/// An index (OCI image specification, "Image Index") or a Docker manifest list.
#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

/// An image manifest, OCI or Docker schema 2.
#[derive(Deserialize)]
pub(super) struct Manifest {
    /// The configuration.
    pub config: Descriptor,
    /// The layers, bottom first. There is at least one.
    pub layers: Vec<Descriptor>,
}

/// The one thing of interest in an image configuration.
#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    architecture: String,
}

/// Configurations are read into memory; real ones have a few kilobytes.
const MAX_CONFIGURATION: u64 = 4 << 20;

/// Layers of one image. Real ones have a handful.
const MAX_LAYERS: usize = 256;

fn is_index(manifest: &RawManifest) -> bool {
    manifest.media_type.ends_with("image.index.v1+json")
        || manifest.media_type.ends_with("manifest.list.v2+json")
}

impl State {
    /// The manifest of an image for one platform.
    pub(super) async fn platform_manifest(
        &self,
        repository: &Repository,
        digest: Digest,
        arch: Arch,
    ) -> Result<Manifest, FetchError> {
        let unusable =
            |reason: String| FetchError::Unusable { image: format!("{repository}@{digest}"), reason };
        let root = self.source.fetch_manifest(repository, &Reference::Digest(digest)).await?;
        let manifest = if is_index(&root) {
            let index: Index =
                serde_json::from_slice(&root.bytes).map_err(|error| unusable(error.to_string()))?;
            let child = index
                .manifests
                .iter()
                .find(|child| is_for(child, arch))
                .ok_or_else(|| unusable(format!("it has nothing for linux/{arch}")))?;
            self.source.fetch_manifest(repository, &Reference::Digest(child.digest)).await?
        } else {
            root
        };
        let is_single = manifest.digest == digest;
        let manifest: Manifest =
            serde_json::from_slice(&manifest.bytes).map_err(|error| unusable(error.to_string()))?;
        if is_single {
            let found = self.configured_arch(repository, &manifest.config).await?;
            if !found.is_empty() && found != arch.to_string() {
                return Err(unusable(format!("it is for {found} only, linux/{arch} is needed")));
            }
        }
        if manifest.layers.is_empty() || manifest.layers.len() > MAX_LAYERS {
            return Err(unusable(format!("it has {} layers", manifest.layers.len())));
        }
        Ok(manifest)
    }

    async fn configured_arch(
        &self,
        repository: &Repository,
        config: &Descriptor,
    ) -> Result<String, FetchError> {
        let (_held, bytes) = self.configuration(repository, config).await?;
        let parsed = serde_json::from_slice::<Configuration>(&bytes).ok();
        Ok(parsed.map(|configuration| configuration.architecture).unwrap_or_default())
    }

    /// A configuration, as a blob of the store and as bytes.
    pub(super) async fn configuration(
        &self,
        repository: &Repository,
        config: &Descriptor,
    ) -> Result<(BlobRef, Vec<u8>), FetchError> {
        if config.size > MAX_CONFIGURATION {
            let reason = format!("its configuration has {} bytes", config.size);
            return Err(FetchError::Unusable { image: repository.to_string(), reason });
        }
        let blob = self.pull_blob(repository, config).await?;
        let (store, digest, size) = (Arc::clone(&self.store), config.digest, config.size as usize);
        let bytes = self
            .workers
            .run("reading a configuration", move || {
                let mut bytes = vec![0; size];
                store.read_exact_at(&digest, 0, &mut bytes).map(|()| bytes)
            })
            .await?;
        let bytes = bytes.map_err(|error| FetchError::Unusable {
            image: repository.to_string(),
            reason: format!("its configuration cannot be read: {error}"),
        })?;
        Ok((blob, bytes))
    }
}

/// Whether an entry of an index is for `linux/<arch>`. Without a platform it counts as linux/amd64.
fn is_for(entry: &Descriptor, arch: Arch) -> bool {
    match &entry.platform {
        Some(platform) => platform.os == "linux" && platform.architecture == arch.to_string(),
        None => arch == Arch::Amd64,
    }
}
