//! `SourceFetcher`: brings release images into the store, verified, each once.
//!
//! What a release image holds is recorded under the digest of its index, so a restart, a second asker or an
//! unreachable registry costs nothing. Nothing of an image is fetched before its signature was accepted.

mod base;
mod image;
mod proxy;
mod pull;
mod record;
mod tags;
mod unpack;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler};
use factory_domain::Arch;
use factory_domain::ports::{
    BlobStore, Clock, Reference, ReleaseSource, Repository, SourceError, StoreError, VerifyError,
};
use factory_formats::Digest;

pub use self::base::{BaseLayer, FetchBase, SourceBase};
pub use self::proxy::{
    ListSourceReferrers, ListSourceTags, PullSourceBlob, ReadSourceManifest, StatSourceBlob,
};
pub use self::record::{SourceFile, SourceFiles, SourceLayer, SourceLayers};
pub(crate) use self::unpack::StoredLayers;
use crate::ask::{Ask, AskError, Envelope};
use crate::flights::Flights;
use crate::keeper::Keeper;
use crate::verifier::{SignatureVerifier, TrustError, VerifyImage};
use crate::workers::{Crashed, Workers};

/// An image of the release, by tag or digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageRef {
    /// Repository that it is pulled from, namespace included.
    pub repository: Repository,
    /// Which one.
    pub reference: Reference,
}

impl std::fmt::Display for ImageRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = if matches!(self.reference, Reference::Tag(_)) { ':' } else { '@' };
        write!(f, "{}{mark}{}", self.repository, self.reference)
    }
}

/// Which files of an image are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Selection {
    /// Regular files below this folder, whose path ends in `/`.
    Below(&'static str),
    /// Modules, lists and images directly in this folder of GRUB, whose path ends in `/`. What else is there
    /// serves debuggers.
    Grub(&'static str),
    /// Regular files at the top with this beginning of their name; an empty text means all.
    TopLevel(&'static str),
}

impl Selection {
    fn subject(self) -> String {
        match self {
            Self::Below(folder) => format!("below {folder}"),
            Self::Grub(folder) => format!("grub {folder}"),
            Self::TopLevel(prefix) => format!("top-level {prefix}"),
        }
    }

    fn wants(self, path: &str) -> bool {
        match self {
            Self::Below(folder) => path.starts_with(folder),
            Self::Grub(folder) => path.strip_prefix(folder).is_some_and(|name| {
                let kind = name.rsplit_once('.').map(|(_, kind)| kind);
                !name.contains('/') && matches!(kind, Some("mod" | "lst" | "img"))
            }),
            Self::TopLevel(prefix) => path.starts_with(prefix) && !path.contains('/'),
        }
    }
}

/// Asks for files of an image, as blobs. Sent by the planner and the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchFiles {
    /// The image.
    pub image: ImageRef,
    /// The platform, when the image has several: `linux/<arch>`.
    pub arch: Arch,
    /// Which files.
    pub selection: Selection,
}

/// Asks for the layers of an image, as blobs. Sent by the part builders.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchLayers {
    /// The image.
    pub image: ImageRef,
    /// The platform, when the image has several: `linux/<arch>`.
    pub arch: Arch,
}

/// Why an image cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The source said so.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It is not trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The verifier has too much to do, or died over it.
    #[error("{0}")]
    Verifier(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The image is not what an image of the release must be.
    #[error("the image {image} cannot be used: {reason}")]
    Unusable {
        /// The image.
        image: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Work on it ended in a panic.
    #[error(transparent)]
    Crashed(#[from] Crashed),
}

impl FetchError {
    /// Whether the source of releases does not answer.
    pub fn is_source_down(&self) -> bool {
        match self {
            Self::Source(error) => is_down(error),
            Self::Trust(TrustError::Verify(VerifyError::Unavailable { source, .. })) => is_down(source),
            _ => false,
        }
    }
}

fn is_down(error: &SourceError) -> bool {
    matches!(error, SourceError::Unavailable { .. } | SourceError::RateLimited { .. })
}

impl From<AskError<TrustError>> for FetchError {
    fn from(error: AskError<TrustError>) -> Self {
        match error {
            AskError::No(error) => Self::Trust(error),
            other => Self::Verifier(other.to_string()),
        }
    }
}

impl Ask for FetchFiles {
    type Answer = Arc<SourceFiles>;
    type Error = FetchError;
}

impl Ask for FetchLayers {
    type Answer = Arc<SourceLayers>;
    type Error = FetchError;
}

/// How the fetcher goes about it.
#[derive(Clone, Debug)]
pub struct Options {
    /// After this time a tag is looked up again, in the background.
    pub recheck: Duration,
    /// Attempts for one layer, each going on where the last one ended.
    pub attempts: u32,
    /// Wait before the second attempt; doubled for each further one.
    pub pause: Duration,
    /// A canonical text of whom the operator trusts. Images that were accepted under another one are verified
    /// again.
    pub trust: String,
}

impl Default for Options {
    fn default() -> Self {
        let trust = String::new();
        Self { recheck: Duration::from_secs(15 * 60), attempts: 5, pause: Duration::from_secs(1), trust }
    }
}

/// Everything that fetching needs. Shared by all fetches, and what survives a restart of the actor.
pub struct State {
    source: Arc<dyn ReleaseSource>,
    store: Arc<dyn BlobStore>,
    verifier: Arc<Keeper<SignatureVerifier>>,
    clock: Arc<dyn Clock>,
    workers: Workers,
    options: Options,
    files: Flights<FetchFiles, Arc<SourceFiles>, FetchError>,
    layers: Flights<FetchLayers, Arc<SourceLayers>, FetchError>,
    bases: Flights<FetchBase, Arc<SourceBase>, FetchError>,
    blobs: Flights<Digest, factory_domain::ports::BlobRef, FetchError>,
    tags: Flights<ImageRef, Digest, FetchError>,
}

/// The actor.
pub struct SourceFetcher {
    state: Arc<State>,
}

impl SourceFetcher {
    /// State over a source and a store, for [`Self::with`].
    pub fn state(
        source: Arc<dyn ReleaseSource>,
        store: Arc<dyn BlobStore>,
        verifier: Arc<Keeper<SignatureVerifier>>,
        clock: Arc<dyn Clock>,
        workers: Workers,
        options: Options,
    ) -> Arc<State> {
        Arc::new(State {
            source,
            store,
            verifier,
            clock,
            options,
            files: Flights::new(workers.clone()),
            layers: Flights::new(workers.clone()),
            bases: Flights::new(workers.clone()),
            blobs: Flights::new(workers.clone()),
            tags: Flights::new(workers.clone()),
            workers,
        })
    }

    /// The actor over a state.
    pub fn with(state: Arc<State>) -> Self {
        Self { state }
    }
}

impl Actor for SourceFetcher {
    type Context = Context<Self>;
}

impl Handler<Envelope<FetchFiles>> for SourceFetcher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<FetchFiles>, ctx: &mut Context<Self>) {
        let (state, want) = (Arc::clone(&self.state), envelope.message.clone());
        let what = format!("fetching {}", want.image);
        let flight =
            self.state.files.join(want.clone(), &what, move || async move { state.files(&want).await });
        envelope.answer_with(ctx, flight);
    }
}

impl Handler<Envelope<FetchLayers>> for SourceFetcher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<FetchLayers>, ctx: &mut Context<Self>) {
        let (state, want) = (Arc::clone(&self.state), envelope.message.clone());
        let what = format!("fetching {}", want.image);
        let flight =
            self.state.layers.join(want.clone(), &what, move || async move { state.layers(&want).await });
        envelope.answer_with(ctx, flight);
    }
}

impl Handler<Envelope<FetchBase>> for SourceFetcher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<FetchBase>, ctx: &mut Context<Self>) {
        let (state, want) = (Arc::clone(&self.state), envelope.message.clone());
        let what = format!("fetching {}", want.image);
        let flight =
            self.state.bases.join(want.clone(), &what, move || async move { state.base(&want).await });
        envelope.answer_with(ctx, flight);
    }
}

impl State {
    async fn files(self: &Arc<Self>, want: &FetchFiles) -> Result<Arc<SourceFiles>, FetchError> {
        let digest = self.resolve(&want.image).await?;
        let repository = &want.image.repository;
        let key = self.files_key(repository, &digest, want.arch, want.selection);
        if let Some(known) = record::load(&*self.store, &key)? {
            return Ok(Arc::new(known));
        }
        self.verify(repository, digest).await?;
        let layers = self.pull_layers(repository, digest, want.arch).await?;
        let (files, held) = self.unpack(repository, digest, layers, want.selection).await?;
        let label = format!("files of {} {}", want.image, want.arch);
        let saved = self.save(key, label, files, SourceFiles::blobs).await;
        // Until the record names them, only this keeps the files in the store.
        drop(held);
        saved
    }

    async fn layers(self: &Arc<Self>, want: &FetchLayers) -> Result<Arc<SourceLayers>, FetchError> {
        let digest = self.resolve(&want.image).await?;
        let repository = &want.image.repository;
        let key = self.layers_key(repository, &digest, want.arch);
        if let Some(known) = record::load(&*self.store, &key)? {
            return Ok(Arc::new(known));
        }
        self.verify(repository, digest).await?;
        let pulled = self.pull_layers(repository, digest, want.arch).await?;
        let layers = SourceLayers {
            image: digest,
            layers: pulled.iter().map(|l| SourceLayer { digest: l.info.digest, size: l.info.size }).collect(),
        };
        let label = format!("layers of {} {}", want.image, want.arch);
        let saved = self.save(key, label, layers, SourceLayers::blobs).await;
        // Until the record names them, only this keeps the layers in the store.
        drop(pulled);
        saved
    }

    async fn verify(&self, repository: &Repository, digest: Digest) -> Result<(), FetchError> {
        self.verifier.ask(VerifyImage { repository: repository.clone(), digest }).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
