//! A published image: its documents, and where its layers are.

use std::collections::HashMap;
use std::sync::Arc;

use factory_domain::asset::{AssetPath, InstallerName, Target};
use factory_domain::{Arch, TalosVersion};
use factory_formats::Digest;
use factory_formats::oci_image::{Document, Image, Referrer, empty_config, index};
use futures_util::future::try_join_all;

use super::attestations::Told;
use super::edition::{About, Edition, PlatformEdition};
use super::signing::{evidence, sign};
use super::{InstallerRepository, PublishError, State};
use crate::planner::{PlanAsset, PlanError, Purpose, version_annotations};

/// What is behind a digest that is no manifest.
pub(super) enum Blob {
    /// Bytes in memory.
    Document(Document),
    /// A layer.
    Layer {
        /// Of which platform.
        arch: Arch,
        /// Its place among the layers.
        place: usize,
    },
    /// The bundle that tells what is inside of the image for an architecture.
    Contents(Arch),
}

/// An image that can be pulled.
pub(super) struct Published {
    /// Version of Talos.
    pub version: TalosVersion,
    /// The index.
    pub index: Document,
    /// What is remembered of it.
    pub edition: Edition,
    pub(super) manifests: HashMap<Digest, Document>,
    pub(super) blobs: HashMap<Digest, Blob>,
    /// Images that carry signatures, by what is signed.
    pub(super) signatures: HashMap<Digest, Document>,
    /// By what they refer to.
    pub(super) referrers: HashMap<Digest, Vec<Referrer>>,
}

impl Published {
    /// A manifest or index.
    pub fn manifest(&self, digest: &Digest) -> Option<Document> {
        self.manifests.get(digest).cloned()
    }

    /// What is behind any other digest.
    pub fn blob(&self, digest: &Digest) -> Option<&Blob> {
        self.blobs.get(digest)
    }

    /// The image that carries the older form of a signature.
    pub fn signature(&self, subject: &Digest) -> Option<Document> {
        self.signatures.get(subject).cloned()
    }

    /// What refers to a manifest.
    pub fn referrers(&self, subject: &Digest) -> Vec<Referrer> {
        self.referrers.get(subject).cloned().unwrap_or_default()
    }

    /// Whether a digest belongs to the image.
    pub fn holds(&self, digest: &Digest) -> bool {
        self.manifests.contains_key(digest) || self.blobs.contains_key(digest)
    }

    fn new(version: TalosVersion, index: Document, images: &[(Arch, Image)], edition: Edition) -> Self {
        let mut published = Self {
            version,
            edition,
            manifests: HashMap::from([(index.digest, index.clone())]),
            index,
            blobs: HashMap::new(),
            signatures: HashMap::new(),
            referrers: HashMap::new(),
        };
        for (arch, image) in images {
            published.manifests.insert(image.manifest.digest, image.manifest.clone());
            published.add_blob(image.config.clone());
            for (place, layer) in image.layers.iter().enumerate() {
                published.blobs.insert(layer.digest, Blob::Layer { arch: *arch, place });
            }
        }
        let edition = published.edition.clone();
        for (media_type, signed) in edition.signed() {
            let evidence = evidence(&edition.name, &edition.key, signed, media_type);
            published.add_blob(evidence.payload);
            published.add_blob(evidence.image.config);
            published.add_blob(evidence.bundle);
            let (image, referrer) = (evidence.image.manifest, evidence.referrer);
            published.manifests.insert(image.digest, image.clone());
            published.manifests.insert(referrer.manifest.digest, referrer.manifest.clone());
            published.signatures.insert(signed.digest, image);
            published.referrers.entry(signed.digest).or_default().push(referrer);
        }
        for attestation in &edition.attestations {
            let Some((subject, referrer)) = edition.attached(attestation) else { continue };
            if let About::Contents(arch) = attestation.about {
                published.blobs.insert(attestation.bundle, Blob::Contents(arch));
            }
            published.manifests.insert(referrer.manifest.digest, referrer.manifest.clone());
            published.referrers.entry(subject).or_default().push(referrer);
        }
        published.add_blob(empty_config());
        published
    }

    fn add_blob(&mut self, document: Document) {
        self.blobs.insert(document.digest, Blob::Document(document));
    }
}

impl State {
    /// Plans the image for all architectures, signs what was never signed, remembers it.
    pub(super) async fn publish(
        self: &Arc<Self>,
        repository: &InstallerRepository,
        name: &InstallerName,
        version: &TalosVersion,
    ) -> Result<Published, PublishError> {
        let images = try_join_all(Arch::ALL.map(|arch| async move {
            let target = Target { platform: name.platform.clone(), arch, secure_boot: name.secure_boot };
            let (schematic, version) = (repository.schematic, version.clone());
            let plan = PlanAsset {
                schematic,
                version,
                path: AssetPath::Installer(target),
                purpose: Purpose::Download,
            };
            let planned = self.peers.planner.ask(plan).await?;
            let installer = planned.asset.installer.as_ref();
            let no_image = || PlanError::unmakable("the installer", "its plan has no image");
            let installer = installer.ok_or_else(no_image)?;
            Ok::<_, PublishError>(((arch, installer.image.clone()), installer.materials.clone()))
        }));
        let (images, materials): (Vec<_>, Vec<_>) = images.await?.into_iter().unzip();
        let entries: Vec<_> = images.iter().map(|(arch, image)| (arch.as_str(), &image.manifest)).collect();
        let index = index(&entries, &version_annotations(version, &repository.schematic));
        let edition = self.edition(repository, version, &index, &images).await?;
        let told = Told { repository, name, version };
        let materials = materials.concat();
        let (mut edition, mut origin) = self.attested(&told, edition, &materials).await?;
        if let Some(shared) = self.share(repository, &edition).await
            && shared != edition
            && shared.is_same_image(&edition)
        {
            self.keep(repository, shared.clone()).await?;
            (edition, origin) = self.attested(&told, shared, &materials).await?;
        }
        let mut published = Published::new(version.clone(), index, &images, edition);
        if let Some(origin) = origin {
            published.add_blob(origin);
        }
        Ok(published)
    }

    /// What is remembered of this very image, or what is remembered from now on.
    async fn edition(
        self: &Arc<Self>,
        repository: &InstallerRepository,
        version: &TalosVersion,
        index: &Document,
        images: &[(Arch, Image)],
    ) -> Result<Edition, PublishError> {
        let shelf = self.shelf(repository)?;
        let full_name = self.full_name(repository);
        // Signatures name the repository and are made with a key: with others they are other ones.
        let is_it = |edition: &Edition| {
            edition.index.digest == index.digest && edition.key == self.key && edition.name == full_name
        };
        if let Some(edition) = shelf.editions.into_iter().find(is_it) {
            return Ok(edition);
        }
        if let Some(edition) = self.shared_edition(repository, &index.digest).await.filter(is_it) {
            self.keep(repository, edition.clone()).await?;
            return Ok(edition);
        }
        let state = Arc::clone(self);
        let (version, index, images) = (version.tag(), (index.digest, index.size()), images.to_vec());
        let edition = self.workers.run("signing an installer", move || {
            let sign = |digest, size| sign(&*state.signer, &full_name, digest, size);
            let platforms = images.iter().map(|(arch, image)| {
                Ok(PlatformEdition {
                    arch: *arch,
                    manifest: sign(image.manifest.digest, image.manifest.size())?,
                    config: image.config.digest,
                    layers: image.layers.iter().map(|layer| layer.digest).collect(),
                })
            });
            let platforms = platforms.collect::<Result<_, PublishError>>()?;
            Ok::<_, PublishError>(Edition {
                version,
                index: sign(index.0, index.1)?,
                platforms,
                name: full_name,
                key: state.key,
                attestations: Vec::new(),
            })
        });
        let edition = edition.await??;
        self.keep(repository, edition.clone()).await?;
        tracing::info!(%repository, version = edition.version, index = %edition.index.digest, "published");
        Ok(edition)
    }
}
