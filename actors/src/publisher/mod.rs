//! `InstallerPublisher`: installer images as a registry shows them.
//!
//! Nothing has to be pushed anywhere. An image is documents over layers that the planner lays out, so it is made the
//! first time somebody asks for its tag: planned for both architectures, hashed once, signed once. What the
//! digests stood for is remembered in the store, so whoever holds a digest gets its content for ever, made
//! again where it was evicted.

mod attestations;
mod edition;
mod elsewhere;
mod error;
mod published;
mod recent;
mod shelf;
mod signing;

use std::sync::Arc;

use actix::{Actor, Context, Handler};
use factory_domain::TalosVersion;
use factory_domain::asset::{AssetPath, InstallerName, Target};
use factory_domain::platform::Platform;
use factory_domain::ports::{BlobStore, Lease, Signer};
use factory_domain::schematic::SchematicId;
use factory_domain::version::latest;
use factory_formats::oci_image::{Document, Referrer, referrers};
use factory_formats::{Digest, Layout};

use self::attestations::Told;
use self::elsewhere::Abroad;
pub use self::elsewhere::{Elsewhere, Forwarded, InstallerRegistry};
pub use self::error::PublishError;
use self::published::{Blob, Published};
use self::recent::Recent;
pub(crate) use self::signing::key_digest;
use crate::ask::{Ask, Envelope};
use crate::catalog::{ListVersions, VersionCatalog};
use crate::flights::Flights;
use crate::keeper::Keeper;
use crate::planner::{AssetPlanner, PlanAsset, Purpose};
use crate::schematics::{GetSchematic, SchematicStore};
use crate::workers::Workers;

/// A repository of installers: `<image>/<schematic>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstallerRepository {
    /// Name of the image as clients write it, such as `aws-installer`.
    pub image: String,
    /// The schematic.
    pub schematic: SchematicId,
}

impl std::fmt::Display for InstallerRepository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.image, self.schematic)
    }
}

/// Which manifest of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ManifestRef {
    /// A version with or without its `v`, `latest`, or the tag of a signature.
    Tag(String),
    /// A digest.
    Digest(Digest),
}

/// Asks for a manifest. Sent by the front door; answered when everything that it names can be had.
#[derive(Clone, Debug)]
pub struct ResolveManifest {
    /// Of which repository.
    pub repository: InstallerRepository,
    /// Which one.
    pub reference: ManifestRef,
}

impl Ask for ResolveManifest {
    type Answer = Document;
    type Error = PublishError;
}

/// Asks where a pull goes on in the registry that images are pushed to. Sent by the front door when clients are sent
/// there; answered when the image is there, or with none when it cannot be brought there now.
#[derive(Clone, Debug)]
pub struct ForwardPull {
    /// Of which repository.
    pub repository: InstallerRepository,
    /// What of it.
    pub resource: Forwarded,
}

impl Ask for ForwardPull {
    type Answer = Option<String>;
    type Error = PublishError;
}

/// Asks for a layer, a configuration, or a signed document. Sent by the front door.
#[derive(Clone, Debug)]
pub struct GetBlob {
    /// Of which repository.
    pub repository: InstallerRepository,
    /// Which one.
    pub digest: Digest,
}

/// Answer to [`GetBlob`].
#[derive(Clone, Debug)]
pub struct PublishedBlob {
    /// Its bytes.
    pub layout: Layout,
    /// Keeps what they are made from in the store until the download is over.
    pub lease: Lease,
}

impl Ask for GetBlob {
    type Answer = PublishedBlob;
    type Error = PublishError;
}

/// Asks what refers to a manifest. Sent by the front door. What nobody knows has no referrers.
#[derive(Clone, Debug)]
pub struct ListReferrers {
    /// Of which repository.
    pub repository: InstallerRepository,
    /// To which manifest.
    pub subject: Digest,
}

impl Ask for ListReferrers {
    type Answer = Vec<Referrer>;
    type Error = PublishError;
}

/// Asks for the tags of a repository, in the order of their bytes. Sent by the front door.
#[derive(Clone, Debug)]
pub struct ListTags {
    /// Of which repository.
    pub repository: InstallerRepository,
}

impl Ask for ListTags {
    type Answer = Vec<String>;
    type Error = PublishError;
}

/// The tag of the newest release.
const LATEST: &str = "latest";

/// Whom the publisher asks.
pub struct Peers {
    /// Schematics.
    pub schematics: Arc<Keeper<SchematicStore>>,
    /// Versions.
    pub catalog: Arc<Keeper<VersionCatalog>>,
    /// Installers, by platform.
    pub planner: Arc<Keeper<AssetPlanner>>,
}

/// An image of a repository.
type Want = (InstallerRepository, TalosVersion);

/// What survives a restart of the actor.
pub struct State {
    peers: Peers,
    store: Arc<dyn BlobStore>,
    workers: Workers,
    signer: Arc<dyn Signer>,
    /// Digest of the signer's public half, SubjectPublicKeyInfo in DER.
    key: Digest,
    /// Host in the names of images.
    host: String,
    /// Address of the factory, which vouches for what it makes.
    external_url: String,
    recent: Recent,
    flights: Flights<Want, Arc<Published>, PublishError>,
    abroad: Abroad,
    /// Held while a shelf is read, changed and written.
    shelving: tokio::sync::Mutex<()>,
}

/// The actor.
pub struct InstallerPublisher {
    state: Arc<State>,
}

impl InstallerPublisher {
    /// State over peers, a store and a key, for [`Self::with`]. `host` is the one that clients pull from,
    /// `external_url` the address of the factory, `elsewhere` what there is beside the store.
    pub fn state(
        peers: Peers,
        store: Arc<dyn BlobStore>,
        workers: Workers,
        signer: Arc<dyn Signer>,
        host: String,
        external_url: String,
        elsewhere: Elsewhere,
    ) -> Arc<State> {
        let flights = Flights::new(workers.clone());
        let key = signing::key_digest(signer.public_key_pem());
        let (recent, shelving) = (Recent::default(), tokio::sync::Mutex::default());
        let abroad = Abroad::new(elsewhere, workers.clone());
        Arc::new(State {
            peers,
            store,
            workers,
            signer,
            key,
            host,
            external_url,
            recent,
            flights,
            abroad,
            shelving,
        })
    }

    /// The actor over a state.
    pub fn with(state: Arc<State>) -> Self {
        Self { state }
    }
}

impl Actor for InstallerPublisher {
    type Context = Context<Self>;
}

impl Handler<Envelope<ResolveManifest>> for InstallerPublisher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<ResolveManifest>, ctx: &mut Context<Self>) {
        let (state, want) = (Arc::clone(&self.state), envelope.message.clone());
        envelope.answer_with(ctx, async move {
            let name = state.check(&want.repository).await?;
            match &want.reference {
                ManifestRef::Tag(tag) => state.tagged(&want.repository, &name, tag).await,
                ManifestRef::Digest(digest) => {
                    let published = state.find(&want.repository, &name, digest).await?;
                    let found = published.and_then(|published| published.manifest(digest));
                    found.ok_or_else(|| PublishError::NoManifest(digest.to_string()))
                }
            }
        });
    }
}

impl Handler<Envelope<ForwardPull>> for InstallerPublisher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<ForwardPull>, ctx: &mut Context<Self>) {
        let (state, want) = (Arc::clone(&self.state), envelope.message.clone());
        envelope.answer_with(ctx, async move { state.forward(&want.repository, &want.resource).await });
    }
}

impl Handler<Envelope<GetBlob>> for InstallerPublisher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<GetBlob>, ctx: &mut Context<Self>) {
        let (state, want) = (Arc::clone(&self.state), envelope.message.clone());
        envelope.answer_with(ctx, async move {
            let name = state.check(&want.repository).await?;
            let published = state.find(&want.repository, &name, &want.digest).await?;
            let published = published.ok_or(PublishError::NoBlob(want.digest))?;
            state.blob(&want.repository, &name, &published, &want.digest).await
        });
    }
}

impl Handler<Envelope<ListReferrers>> for InstallerPublisher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<ListReferrers>, ctx: &mut Context<Self>) {
        let (state, want) = (Arc::clone(&self.state), envelope.message.clone());
        envelope.answer_with(ctx, async move {
            let name = state.check(&want.repository).await?;
            let published = state.find(&want.repository, &name, &want.subject).await?;
            Ok(published.map(|published| published.referrers(&want.subject)).unwrap_or_default())
        });
    }
}

impl Handler<Envelope<ListTags>> for InstallerPublisher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<ListTags>, ctx: &mut Context<Self>) {
        let (state, want) = (Arc::clone(&self.state), envelope.message.clone());
        envelope.answer_with(ctx, async move {
            state.check(&want.repository).await?;
            let list = state.peers.catalog.ask(ListVersions).await?;
            let mut tags: Vec<String> = list.versions.iter().map(TalosVersion::tag).collect();
            tags.extend(latest(&list.versions).map(|_| LATEST.to_owned()));
            tags.sort_unstable();
            Ok(tags)
        });
    }
}

impl State {
    /// Whether there is such a repository: first its schematic, then its image.
    async fn check(&self, repository: &InstallerRepository) -> Result<InstallerName, PublishError> {
        self.peers.schematics.ask(GetSchematic { id: repository.schematic }).await?;
        let name: InstallerName = repository.image.parse()?;
        match Platform::find(&name.platform) {
            Ok(_) => Ok(name),
            Err(_) => Err(PublishError::NoImage(repository.image.clone())),
        }
    }

    /// What a tag stands for.
    async fn tagged(
        self: &Arc<Self>,
        repository: &InstallerRepository,
        name: &InstallerName,
        tag: &str,
    ) -> Result<Document, PublishError> {
        let unknown = || PublishError::NoManifest(tag.to_owned());
        if let Some(rest) = tag.strip_prefix("sha256-") {
            let (hex, is_signature) = match rest.strip_suffix(".sig") {
                Some(hex) => (hex, true),
                None => (rest, false),
            };
            let subject = Digest::from_hex(hex).map_err(|_| unknown())?;
            let published = self.find(repository, name, &subject).await?.ok_or_else(unknown)?;
            return match is_signature {
                true => published.signature(&subject).ok_or_else(unknown),
                false => Ok(referrers(&published.referrers(&subject))),
            };
        }
        let version = self.version_tagged(tag).await?;
        let published = self.published(repository, name, &version).await?;
        if self.abroad.has_registry() {
            // Nobody waits for it: this factory serves the image itself.
            let (state, repository) = (Arc::clone(self), repository.clone());
            let (name, published) = (name.clone(), Arc::clone(&published));
            self.workers.spawn(async move { state.ensure_pushed(&repository, &name, &published).await });
        }
        Ok(published.index.clone())
    }

    /// The version that a tag stands for.
    async fn version_tagged(&self, tag: &str) -> Result<TalosVersion, PublishError> {
        let unknown = || PublishError::NoManifest(tag.to_owned());
        match tag {
            LATEST => {
                let list = self.peers.catalog.ask(ListVersions).await?;
                latest(&list.versions).cloned().ok_or_else(unknown)
            }
            text => TalosVersion::parse(text)
                .and_then(|version| version.check_tag().map(|()| version))
                .map_err(|_| unknown()),
        }
    }

    /// The image that a digest belongs to, by what is remembered of the repository.
    async fn find(
        self: &Arc<Self>,
        repository: &InstallerRepository,
        name: &InstallerName,
        digest: &Digest,
    ) -> Result<Option<Arc<Published>>, PublishError> {
        if let Some(published) = self.recent.holding(repository, digest) {
            return Ok(Some(published));
        }
        let Some(version) = self.version_of(repository, digest).await? else { return Ok(None) };
        let published = self.published(repository, name, &version).await?;
        if published.holds(digest) {
            return Ok(Some(published));
        }
        let index = published.index.digest;
        tracing::warn!(%repository, %digest, %index, "a digest that was published is not made any more");
        Ok(None)
    }

    /// An image, out of memory or made.
    async fn published(
        self: &Arc<Self>,
        repository: &InstallerRepository,
        name: &InstallerName,
        version: &TalosVersion,
    ) -> Result<Arc<Published>, PublishError> {
        if let Some(published) = self.recent.find(repository, version) {
            return Ok(published);
        }
        let (state, want, name) = (Arc::clone(self), (repository.clone(), version.clone()), name.clone());
        let what = format!("publishing {repository}:{version}");
        let flight = self.flights.join(want.clone(), &what, move || async move {
            let published = Arc::new(state.publish(&want.0, &name, &want.1).await?);
            state.recent.remember(want, Arc::clone(&published));
            Ok(published)
        });
        flight.await
    }

    /// The bytes behind a digest of an image.
    async fn blob(
        self: &Arc<Self>,
        repository: &InstallerRepository,
        name: &InstallerName,
        published: &Published,
        digest: &Digest,
    ) -> Result<PublishedBlob, PublishError> {
        let missing = || PublishError::NoBlob(*digest);
        match published.blob(digest).ok_or_else(missing)? {
            Blob::Document(document) => Ok(PublishedBlob {
                layout: Layout::from_bytes(document.bytes.clone()),
                lease: self.store.lease(&[])?,
            }),
            Blob::Contents(arch) => {
                let told = Told { repository, name, version: &published.version };
                let bundle = self.contents_bundle(&told, &published.edition, *arch).await?;
                let bundle = bundle.filter(|bundle| bundle.digest == *digest).ok_or_else(missing)?;
                Ok(PublishedBlob { layout: Layout::from_bytes(bundle.bytes), lease: self.store.lease(&[])? })
            }
            Blob::Layer { arch, place } => {
                let target =
                    Target { platform: name.platform.clone(), arch: *arch, secure_boot: name.secure_boot };
                let plan = PlanAsset {
                    schematic: repository.schematic,
                    version: published.version.clone(),
                    path: AssetPath::Installer(target),
                    purpose: Purpose::Download,
                };
                let planned = self.peers.planner.ask(plan).await?;
                let installer = planned.asset.installer.as_ref().ok_or_else(missing)?;
                let layer = installer.image.layers.get(*place).filter(|layer| layer.digest == *digest);
                layer.ok_or_else(missing)?;
                let layout = installer.contents.get(*place).ok_or_else(missing)?.clone();
                Ok(PublishedBlob { layout, lease: planned.lease })
            }
        }
    }
}
