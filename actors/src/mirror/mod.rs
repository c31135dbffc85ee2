//! Copying releases to where there is no way to the place of their publication.
//!
//! A copy is verified like an image that is about to be used: its signature before anything else, the digest
//! of every manifest and blob on the way. It can be ended at any instant and begun again: what is there is
//! not sent twice, and nothing has a name before all that it needs is there. So the tag that puts a version
//! on offer comes last of all.

mod catalogue;
mod copy;
mod plan;
mod progress;

use std::sync::Arc;

use factory_domain::catalog::InvalidCatalog;
use factory_domain::mirror::{InvalidManifest, NoSuchVersion, Platforms, VersionSelection};
use factory_domain::ports::{
    Amount, ImageTarget, ReleaseSource, Repository, SignatureCheck, SourceError, VerifyError,
};
use factory_domain::version::usable_versions;
use factory_domain::{Arch, TalosVersion};
use futures_util::StreamExt as _;
use futures_util::stream;

use self::copy::Copier;
use self::plan::{Plan, Wanted};
pub use self::progress::{Progress, Silent};
use crate::catalog::Components;

/// Images that are looked at or copied at the same time. Most of the time goes by in their blobs, which
/// have a limit of their own.
const IMAGES_AT_A_TIME: usize = 6;

/// Which extensions are copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extensions {
    /// Every one that the release lists.
    All,
    /// These, by their name (`siderolabs/gvisor`) or the last part of it.
    Named(Vec<String>),
}

/// What is copied.
#[derive(Clone, Debug)]
pub struct Options {
    /// Path in front of every repository of the source.
    pub namespace: String,
    /// Repositories of the release's own images.
    pub components: Components,
    /// Oldest version on offer.
    pub min_version: TalosVersion,
    /// Withdrawn versions.
    pub broken: Vec<TalosVersion>,
    /// For which machines; all when empty.
    pub arches: Vec<Arch>,
    /// Which extensions.
    pub extensions: Extensions,
    /// Blobs that are copied at the same time.
    pub transfers: usize,
    /// Find out what there is to do, and do nothing of it.
    pub dry_run: bool,
}

/// Why an image is not copied.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The source cannot give it, or the target cannot take it.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It is not trusted.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// One of its manifests cannot be read.
    #[error("{image}: {source}")]
    Manifest {
        /// The manifest.
        image: String,
        /// What is wrong.
        source: InvalidManifest,
    },
    /// The list in it is wrong.
    #[error(transparent)]
    Catalog(#[from] InvalidCatalog),
    /// It has something else in it than a list.
    #[error("the list {image} cannot be read: {reason}")]
    NoList {
        /// The image.
        image: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no extension of this name.
    #[error("{version} lists no extension {name}")]
    NoExtension {
        /// Of which version.
        version: String,
        /// The name.
        name: String,
    },
    /// Something that it needs could not be copied, so it would promise what the copy cannot keep.
    #[error("left out, because {0} could not be copied")]
    Incomplete(String),
}

/// Why there is no copying at all.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// The versions are unknown.
    #[error("the list of versions cannot be read: {0}")]
    Source(#[from] SourceError),
    /// There are none like that.
    #[error(transparent)]
    NoSuchVersion(#[from] NoSuchVersion),
}

/// What was done, or would be.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Images that are there now, whole.
    pub images: usize,
    /// Blobs that were sent, and their bytes.
    pub copied: Amount,
    /// Blobs that were there already, and their bytes.
    pub skipped: Amount,
    /// Manifests that were sent, indexes and signatures included.
    pub manifests: u64,
    /// Images that are not there, with the reason, sorted by name.
    pub failed: Vec<(String, MirrorError)>,
}

/// One act of copying.
pub struct Mirror {
    source: Arc<dyn ReleaseSource>,
    check: Arc<dyn SignatureCheck>,
    target: Arc<dyn ImageTarget>,
    progress: Arc<dyn Progress>,
    options: Options,
}

impl Mirror {
    /// From a source to a target; images that `check` does not accept are not copied.
    pub fn new(
        source: Arc<dyn ReleaseSource>,
        check: Arc<dyn SignatureCheck>,
        target: Arc<dyn ImageTarget>,
        progress: Arc<dyn Progress>,
        options: Options,
    ) -> Self {
        Self { source, check, target, progress, options }
    }

    /// The versions that are meant, out of those that the source has.
    ///
    /// # Errors
    /// [`SelectError`] when one is not there.
    pub async fn select(&self, selection: &VersionSelection) -> Result<Vec<TalosVersion>, SelectError> {
        let tags = self.source.list_tags(&self.at_source(&self.options.components.imager)?).await?;
        let Options { min_version, broken, .. } = &self.options;
        let offered = usable_versions(tags.iter().map(String::as_str), min_version, broken);
        Ok(selection.choose(&offered)?)
    }

    /// Copies everything that these versions need. One image that fails does not keep others away, but a
    /// version whose own images are not all there does not come on offer.
    pub async fn run(&self, versions: &[TalosVersion]) -> Report {
        let plan = Plan::make(self, versions).await;
        let copier = Copier::new(self);
        self.progress.planned(plan.images.len() + plan.imagers.len());
        let failed = self.copy_all(&copier, plan.images).await;
        let mut report = Report { failed: plan.failed, ..Report::default() };
        let (ready, incomplete): (Vec<_>, Vec<_>) = plan.imagers.into_iter().partition(|imager| {
            !imager.needs.iter().any(|needed| failed.iter().any(|(image, _)| image == needed))
        });
        report.failed.extend(incomplete.into_iter().map(|imager| {
            let missing = imager.needs.iter().find(|needed| failed.iter().any(|(image, _)| image == *needed));
            (imager.name(), MirrorError::Incomplete(missing.cloned().unwrap_or_default()))
        }));
        report.failed.extend(failed);
        report.failed.extend(self.copy_all(&copier, ready).await);
        report.failed.sort_by(|(one, _), (other, _)| one.cmp(other));
        copier.tell(&mut report);
        report
    }

    async fn copy_all(&self, copier: &Copier<'_>, images: Vec<Wanted>) -> Vec<(String, MirrorError)> {
        let copies = images.into_iter().map(|image| async move {
            let name = image.name();
            let done = copier.copy_image(&image).await;
            self.progress.image_done(&name, done.as_ref().err());
            done.err().map(|error| (name, error))
        });
        stream::iter(copies)
            .buffer_unordered(IMAGES_AT_A_TIME)
            .filter_map(|failed| async { failed })
            .collect()
            .await
    }

    /// The repository's path at the source.
    fn at_source(&self, repository: &Repository) -> Result<Repository, SourceError> {
        repository.under(&self.options.namespace).map_err(|error| SourceError::Invalid {
            what: "artifacts.core.namespace".to_owned(),
            source_name: "the configuration".to_owned(),
            reason: error.to_string(),
        })
    }

    fn platforms(&self) -> Platforms {
        Platforms::of(&self.options.arches)
    }
}

#[cfg(test)]
mod tests;
