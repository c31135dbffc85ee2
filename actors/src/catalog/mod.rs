//! `VersionCatalog`: which versions there are, and what each of them offers.
//!
//! Lists are refreshed in the background. The last good ones are kept in the store, so they are served while
//! the registry is down, over restarts too.

mod lists;
mod refresh;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler};
use factory_domain::TalosVersion;
use factory_domain::catalog::{
    ExtensionCatalog, InvalidCatalog, InvalidTalosctl, OverlayCatalog, SourceRegistry, Talosctl,
};
use factory_domain::mirror::Component;
use factory_domain::ports::{BlobStore, Clock, ReleaseSource, Repository, SourceError, StoreError};
use factory_domain::version::{Availability, availability};

use self::lists::Lists;
pub use self::lists::VersionList;
use crate::ask::{Ask, AskError, Envelope};
use crate::flights::Flights;
use crate::keeper::Keeper;
use crate::sources::{FetchError, SourceFetcher, SourceFile};
use crate::workers::{Crashed, Workers};

/// Asks for the versions on offer. Sent by the front door.
#[derive(Clone, Debug)]
pub struct ListVersions;

/// Asks whether a version is on offer. Sent by the planner, before any work.
#[derive(Clone, Debug)]
pub struct CheckVersion {
    /// Which.
    pub version: TalosVersion,
}

/// Asks for the extensions of a version. Sent by the front door and the planner.
#[derive(Clone, Debug)]
pub struct FindExtensions {
    /// Of which version.
    pub version: TalosVersion,
}

/// Asks for the overlays of a version. Sent by the front door and the planner.
#[derive(Clone, Debug)]
pub struct FindOverlays {
    /// Of which version.
    pub version: TalosVersion,
}

/// Asks for the files of the command line client of a version. Sent by the front door.
#[derive(Clone, Debug)]
pub struct FindTalosctl {
    /// Of which version.
    pub version: TalosVersion,
}

/// Files of the command line client, sorted by name.
pub type TalosctlFiles = Vec<(Talosctl, SourceFile)>;

/// Why a list cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// There is no such version, or it is too old.
    #[error("version {0} is not available")]
    UnknownVersion(TalosVersion),
    /// The operator has withdrawn it.
    #[error("version {version} is not available{}", instead.as_ref().map(|v| format!(": it is known to be broken, use {v}")).unwrap_or_default())]
    BrokenVersion {
        /// Which.
        version: TalosVersion,
        /// A newer patch release.
        instead: Option<TalosVersion>,
    },
    /// The list of versions was never read.
    #[error("the list of versions cannot be read: {0}")]
    NoList(SourceError),
    /// The image with the list cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The fetcher has too much to do, or died over it.
    #[error("{0}")]
    Fetcher(String),
    /// The image with the list has something else in it.
    #[error("the list of {version} is wrong: {source}")]
    Invalid {
        /// Of which version.
        version: TalosVersion,
        /// What is wrong.
        source: InvalidCatalog,
    },
    /// The image with the clients has something else in it.
    #[error("the clients of {version} are wrong: {source}")]
    InvalidTalosctl {
        /// Of which version.
        version: TalosVersion,
        /// What is wrong.
        source: InvalidTalosctl,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Work on it ended in a panic.
    #[error(transparent)]
    Crashed(#[from] Crashed),
}

impl CatalogError {
    /// Whether the source of releases does not answer.
    pub fn is_source_down(&self) -> bool {
        match self {
            Self::NoList(_) => true,
            Self::Fetch(error) => error.is_source_down(),
            _ => false,
        }
    }
}

impl From<AskError<FetchError>> for CatalogError {
    fn from(error: AskError<FetchError>) -> Self {
        match error {
            AskError::No(error) => Self::Fetch(error),
            other => Self::Fetcher(other.to_string()),
        }
    }
}

impl Ask for ListVersions {
    type Answer = Arc<VersionList>;
    type Error = CatalogError;
}

impl Ask for CheckVersion {
    type Answer = ();
    type Error = CatalogError;
}

impl Ask for FindExtensions {
    type Answer = Arc<ExtensionCatalog>;
    type Error = CatalogError;
}

impl Ask for FindOverlays {
    type Answer = Arc<OverlayCatalog>;
    type Error = CatalogError;
}

impl Ask for FindTalosctl {
    type Answer = Arc<TalosctlFiles>;
    type Error = CatalogError;
}

/// Which versions are offered and where their lists are.
#[derive(Clone, Debug)]
pub struct Options {
    /// Oldest version offered.
    pub min_version: TalosVersion,
    /// Withdrawn versions, in the operator's order.
    pub broken: Vec<TalosVersion>,
    /// How often lists are refreshed.
    pub recheck: Duration,
    /// Where images are pulled from.
    pub registry: SourceRegistry,
    /// Repositories, without the registry's namespace.
    pub components: Components,
}

/// Repositories of the release's own images, without the registry's namespace.
#[derive(Clone, Debug)]
pub struct Components {
    /// Boot assets; its tags are the versions.
    pub imager: Repository,
    /// Lists of extensions.
    pub extensions: Repository,
    /// Lists of overlays.
    pub overlays: Repository,
    /// Command line clients.
    pub talosctl: Repository,
    /// Base of installers from 1.10 on.
    pub installer_base: Repository,
    /// Base of installers before 1.10.
    pub installer: Repository,
}

impl Components {
    /// The repository of an image.
    pub fn repository(&self, component: Component) -> &Repository {
        match component {
            Component::Imager => &self.imager,
            Component::Extensions => &self.extensions,
            Component::Overlays => &self.overlays,
            Component::Talosctl => &self.talosctl,
            Component::InstallerBase => &self.installer_base,
            Component::Installer => &self.installer,
        }
    }

    /// The repository of an image that clients ask for by its usual name (10-http-api.md, 8.5).
    pub fn find(&self, name: &str) -> Option<&Repository> {
        match name {
            "imager" => Some(&self.imager),
            "extensions" => Some(&self.extensions),
            "overlays" => Some(&self.overlays),
            "talosctl-all" => Some(&self.talosctl),
            "installer-base" => Some(&self.installer_base),
            "installer" => Some(&self.installer),
            _ => None,
        }
    }
}

/// What survives a restart of the actor.
pub struct State {
    source: Arc<dyn ReleaseSource>,
    fetcher: Arc<Keeper<SourceFetcher>>,
    store: Arc<dyn BlobStore>,
    clock: Arc<dyn Clock>,
    workers: Workers,
    options: Options,
    lists: Lists,
    versions: Flights<(), Arc<VersionList>, CatalogError>,
    extensions: Flights<TalosVersion, Arc<ExtensionCatalog>, CatalogError>,
    overlays: Flights<TalosVersion, Arc<OverlayCatalog>, CatalogError>,
    talosctl: Flights<TalosVersion, Arc<TalosctlFiles>, CatalogError>,
}

/// The actor.
pub struct VersionCatalog {
    state: Arc<State>,
}

impl VersionCatalog {
    /// State over a source and a fetcher, with the lists that the store remembers; for [`Self::with`].
    pub fn state(
        source: Arc<dyn ReleaseSource>,
        fetcher: Arc<Keeper<SourceFetcher>>,
        store: Arc<dyn BlobStore>,
        clock: Arc<dyn Clock>,
        workers: Workers,
        options: Options,
    ) -> Arc<State> {
        let state = State {
            source,
            fetcher,
            store,
            clock,
            options,
            lists: Lists::default(),
            versions: Flights::new(workers.clone()),
            extensions: Flights::new(workers.clone()),
            overlays: Flights::new(workers.clone()),
            talosctl: Flights::new(workers.clone()),
            workers,
        };
        state.recall();
        Arc::new(state)
    }

    /// The actor over a state.
    pub fn with(state: Arc<State>) -> Self {
        Self { state }
    }
}

impl Actor for VersionCatalog {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        drop(State::refresh_versions(&self.state));
        ctx.run_interval(self.state.options.recheck, |actor, _| drop(State::refresh_versions(&actor.state)));
    }
}

impl State {
    /// The list of versions; waits only when there was never one.
    async fn versions(self: &Arc<Self>) -> Result<Arc<VersionList>, CatalogError> {
        match self.lists.versions() {
            Some(list) => Ok(list),
            None => Self::refresh_versions(self).await,
        }
    }

    async fn check(self: &Arc<Self>, version: &TalosVersion) -> Result<(), CatalogError> {
        let list = self.versions().await?;
        match availability(version, &list.versions, &list.broken) {
            Availability::Offered => Ok(()),
            Availability::Broken { instead } => {
                Err(CatalogError::BrokenVersion { version: version.clone(), instead })
            }
            Availability::Unknown => Err(CatalogError::UnknownVersion(version.clone())),
        }
    }
}

impl Handler<Envelope<ListVersions>> for VersionCatalog {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<ListVersions>, ctx: &mut Context<Self>) {
        match self.state.lists.versions() {
            Some(list) => envelope.answer(Ok(list)),
            None => envelope.answer_with(ctx, State::refresh_versions(&self.state)),
        }
    }
}

impl Handler<Envelope<CheckVersion>> for VersionCatalog {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<CheckVersion>, ctx: &mut Context<Self>) {
        let (state, version) = (Arc::clone(&self.state), envelope.message.version.clone());
        envelope.answer_with(ctx, async move { state.check(&version).await });
    }
}

impl Handler<Envelope<FindExtensions>> for VersionCatalog {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<FindExtensions>, ctx: &mut Context<Self>) {
        let (state, version) = (Arc::clone(&self.state), envelope.message.version.clone());
        envelope.answer_with(ctx, async move {
            state.check(&version).await?;
            match state.lists.extensions(&version, state.now()) {
                Some(list) => {
                    if list.is_stale {
                        drop(State::refresh_extensions(&state, &version));
                    }
                    Ok(list.value)
                }
                None => State::refresh_extensions(&state, &version).await,
            }
        });
    }
}

impl Handler<Envelope<FindOverlays>> for VersionCatalog {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<FindOverlays>, ctx: &mut Context<Self>) {
        let (state, version) = (Arc::clone(&self.state), envelope.message.version.clone());
        envelope.answer_with(ctx, async move {
            // The answer for these is known without looking the version up.
            if !version.quirks().has_overlays() {
                return Ok(Arc::default());
            }
            state.check(&version).await?;
            match state.lists.overlays(&version, state.now()) {
                Some(list) => {
                    if list.is_stale {
                        drop(State::refresh_overlays(&state, &version));
                    }
                    Ok(list.value)
                }
                None => State::refresh_overlays(&state, &version).await,
            }
        });
    }
}

impl Handler<Envelope<FindTalosctl>> for VersionCatalog {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<FindTalosctl>, ctx: &mut Context<Self>) {
        let (state, version) = (Arc::clone(&self.state), envelope.message.version.clone());
        envelope.answer_with(ctx, async move {
            state.check(&version).await?;
            if !version.quirks().has_talosctl() {
                return Ok(Arc::default());
            }
            State::find_talosctl(&state, &version).await
        });
    }
}

#[cfg(test)]
mod tests;
