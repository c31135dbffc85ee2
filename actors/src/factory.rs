//! The whole graph: who is started, in which order, and what the front door gets to hold.

use std::sync::Arc;

use actix::ArbiterHandle;
use factory_domain::asset::FactoryIdentity;
use factory_domain::catalog::SourceRegistry;
use factory_domain::ports::{
    AssetCache, BlobStore, Clock, GrubImages, Holdings, Lease, ReleaseSource, Repository, Sandbox,
    SchematicStore as SchematicPort, Scratch, SecureBootKeys, SignatureCheck, Signer, StoreError,
};
use factory_formats::hash::HashFunction;
use factory_formats::{Digest, Layout};

use crate::ask::AskError;
use crate::catalog::{self, Components, VersionCatalog};
use crate::depot::{self, AssetDepot};
use crate::keeper::Keeper;
use crate::parts::{
    Bench, BuildPart, Compressed, Enrollments, Extension, Grub, HashSpec, Hashes, Indexes, Kernel, Modules,
    OverlayAnswer, OverlayInstall, OverlayLayer, PartBuilder, PartError, PartKind, Sboms, SignatureSpec,
    Signatures, SignedPrograms, SignedUkis,
};
use crate::planner::{self, AssetPlanner, Peers};
use crate::publisher::{self, InstallerPublisher, key_digest};
use crate::schematics::{self, SchematicStore};
use crate::sources::{self, SourceFetcher};
use crate::stream::{Buffers, LayoutStream};
use crate::verifier::SignatureVerifier;
use crate::workers::Workers;

/// The world as the actors need it.
#[derive(Clone)]
pub struct Ports {
    /// Where release images come from.
    pub source: Arc<dyn ReleaseSource>,
    /// Whether they may be trusted.
    pub check: Arc<dyn SignatureCheck>,
    /// Where sources and parts live.
    pub store: Arc<dyn BlobStore>,
    /// Where schematics live.
    pub schematics: Arc<dyn SchematicPort>,
    /// Where whole assets are kept besides; the first is asked first.
    pub caches: Vec<Arc<dyn AssetCache>>,
    /// Where installers are agreed on and pushed to.
    pub installers: publisher::Elsewhere,
    /// Room for builds.
    pub scratch: Arc<dyn Scratch>,
    /// The factory's key.
    pub signer: Arc<dyn Signer>,
    /// The maker of GRUB's images.
    pub grub: Arc<dyn GrubImages>,
    /// The keys that sign boot files. None when Secure Boot is off.
    pub secure_boot: Option<Arc<SecureBootKeys>>,
    /// Runs programs of overlays.
    pub sandbox: Arc<dyn Sandbox>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// What can be chosen about the graph.
#[derive(Clone, Debug)]
pub struct FactoryOptions {
    /// Questions that one actor may have before it says "busy".
    pub pending: usize,
    /// Schematics in memory.
    pub schematics: schematics::Limits,
    /// How sources are fetched.
    pub sources: sources::Options,
    /// Versions and their lists.
    pub catalog: catalog::Options,
    /// Address of the factory as configured.
    pub external_url: String,
    /// Host of that address, with its port if any.
    pub external_host: String,
}

/// The running graph. Cheap to clone.
#[derive(Clone)]
pub struct Factory {
    /// Schematics.
    pub schematics: Arc<Keeper<SchematicStore>>,
    /// Versions and their lists.
    pub catalog: Arc<Keeper<VersionCatalog>>,
    /// Assets.
    pub planner: Arc<Keeper<AssetPlanner>>,
    /// Release images.
    pub sources: Arc<Keeper<SourceFetcher>>,
    /// Installers in the registry.
    pub publisher: Arc<Keeper<InstallerPublisher>>,
    /// Whole assets kept elsewhere; none when there is no such place.
    pub depot: Option<Arc<Keeper<AssetDepot>>>,
    depot_state: Arc<depot::State>,
    publisher_state: Arc<publisher::State>,
    schematic_store: Arc<dyn SchematicPort>,
    /// Digests of layouts.
    hashes: Arc<Keeper<PartBuilder<Hashes>>>,
    /// Signatures of assets.
    signatures: Arc<Keeper<PartBuilder<Signatures>>>,
    /// Digest of the factory's public key.
    key: Digest,
    /// Where images are pulled from.
    pub registry: SourceRegistry,
    components: Components,
    store: Arc<dyn BlobStore>,
    workers: Workers,
    buffers: Buffers,
}

impl Factory {
    /// Starts all actors on `arbiter`; their blocking work runs on `workers`.
    pub fn start(arbiter: &ArbiterHandle, workers: Workers, ports: Ports, options: FactoryOptions) -> Self {
        let pending = options.pending;
        let on = || arbiter.clone();

        let schematic_store = Arc::clone(&ports.schematics);
        let state = SchematicStore::state(
            ports.schematics,
            Arc::clone(&ports.clock),
            options.schematics,
            workers.clone(),
        );
        let schematics =
            Keeper::start("schematics", on(), pending, move || SchematicStore::with(state.clone()));

        let state = SignatureVerifier::state(ports.check, workers.clone());
        let verifier =
            Keeper::start("verifier", on(), pending, move || SignatureVerifier::with(state.clone()));

        let state = SourceFetcher::state(
            Arc::clone(&ports.source),
            Arc::clone(&ports.store),
            verifier,
            Arc::clone(&ports.clock),
            workers.clone(),
            options.sources,
        );
        let sources =
            Keeper::start("sources", on(), pending, move || SourceFetcher::with(Arc::clone(&state)));

        let registry = options.catalog.registry.clone();
        let components = options.catalog.components.clone();
        let source_components = components.clone();
        let state = VersionCatalog::state(
            ports.source,
            Arc::clone(&sources),
            Arc::clone(&ports.store),
            Arc::clone(&ports.clock),
            workers.clone(),
            options.catalog,
        );
        let catalog =
            Keeper::start("catalog", on(), pending, move || VersionCatalog::with(Arc::clone(&state)));

        let grub_tool = ports.grub.tool().unwrap_or_else(|error| {
            tracing::warn!(%error, "assets with GRUB cannot be made");
            String::new()
        });
        let host_arch = ports.sandbox.arch();
        let bench = Bench {
            store: Arc::clone(&ports.store),
            scratch: ports.scratch,
            grub: ports.grub,
            sandbox: ports.sandbox,
            signer: Arc::clone(&ports.signer),
        };
        let key = key_digest(ports.signer.public_key_pem());
        let builders = Builders { bench, workers: &workers, pending };
        let hashes = builders.builder::<Hashes>(on());
        let signatures = builders.builder::<Signatures>(on());
        let peers = Peers {
            schematics: Arc::clone(&schematics),
            catalog: Arc::clone(&catalog),
            sources: Arc::clone(&sources),
            extensions: builders.builder::<Extension>(on()),
            modules: builders.builder::<Modules>(on()),
            indexes: builders.builder::<Indexes>(on()),
            grub: builders.builder::<Grub>(on()),
            kernels: builders.builder::<Kernel>(on()),
            compressed: builders.builder::<Compressed>(on()),
            overlay_answers: builders.builder::<OverlayAnswer>(on()),
            overlay_installs: builders.builder::<OverlayInstall>(on()),
            overlay_layers: builders.builder::<OverlayLayer>(on()),
            hashes: Arc::clone(&hashes),
            sboms: builders.builder::<Sboms>(on()),
            signed_programs: builders.builder::<SignedPrograms>(on()),
            signed_ukis: builders.builder::<SignedUkis>(on()),
            enrollments: builders.builder::<Enrollments>(on()),
        };
        let external_url = options.external_url;
        let external_host = options.external_host;
        let buffers = Buffers::default();
        let identity = FactoryIdentity {
            external_url: external_url.clone(),
            secure_boot: ports.secure_boot.as_ref().map(|keys| identity_of(keys)).unwrap_or_default(),
        };
        let depot_peers =
            depot::Peers { hashes: Arc::clone(&hashes), store: Arc::clone(&ports.store), clock: ports.clock };
        let has_caches = !ports.caches.is_empty();
        let depot_state =
            AssetDepot::state(ports.caches, depot_peers, workers.clone(), buffers.clone(), identity);
        let state = Arc::clone(&depot_state);
        let depot = has_caches
            .then(|| Keeper::start("depot", on(), pending, move || AssetDepot::with(Arc::clone(&state))));
        let planning = planner::Options {
            registry: registry.clone(),
            components,
            external_url: external_url.clone(),
            grub_tool,
            secure_boot: ports.secure_boot,
            host_arch,
            external_host: external_host.clone(),
        };
        let state = AssetPlanner::state(peers, Arc::clone(&ports.store), workers.clone(), planning);
        let planner = Keeper::start("planner", on(), pending, move || AssetPlanner::with(Arc::clone(&state)));

        let peers = publisher::Peers {
            schematics: Arc::clone(&schematics),
            catalog: Arc::clone(&catalog),
            planner: Arc::clone(&planner),
        };
        let (store, work) = (Arc::clone(&ports.store), workers.clone());
        let state = InstallerPublisher::state(
            peers,
            store,
            work,
            ports.signer,
            external_host,
            external_url,
            ports.installers,
        );
        let publisher_state = Arc::clone(&state);
        let publisher =
            Keeper::start("publisher", on(), pending, move || InstallerPublisher::with(Arc::clone(&state)));

        Self {
            schematics,
            catalog,
            planner,
            sources,
            publisher,
            depot,
            depot_state,
            publisher_state,
            schematic_store,
            components: source_components,
            hashes,
            signatures,
            key,
            registry,
            store: ports.store,
            workers,
            buffers,
        }
    }

    /// The repository of a release image that clients ask for by its usual name; `None` for images that are not
    /// handed on.
    pub fn source_repository(&self, name: &str) -> Option<Repository> {
        self.components.find(name)?.under(&self.registry.namespace).ok()
    }

    /// Keeps the blobs of a layout in the store.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when one is not there any more.
    pub fn hold(&self, layout: &Layout) -> Result<Lease, StoreError> {
        self.store.lease(&layout.blobs())
    }

    /// Streams the bytes `start..end` of a layout whose blobs are held by `lease`.
    pub fn stream(&self, layout: &Layout, start: u64, end: u64, lease: Lease) -> LayoutStream {
        let (store, workers) = (Arc::clone(&self.store), self.workers.clone());
        LayoutStream::new(layout, start, end, store, lease, workers, self.buffers.clone())
    }

    /// The digest of a layout whose blobs are held by somebody, as lower-case hex digits. Computed by one pass,
    /// then remembered.
    ///
    /// # Errors
    /// [`PartError`] when a blob is gone or the store fails.
    pub async fn hash(
        &self,
        name: &str,
        layout: &Layout,
        function: HashFunction,
    ) -> Result<String, AskError<PartError>> {
        let spec = HashSpec { name: name.to_owned(), layout: layout.clone(), function };
        Ok(self.hashes.ask(BuildPart { spec }).await?.hex.clone())
    }

    /// The Sigstore bundle of a layout whose blobs are held by somebody, signed with the factory's key. The same
    /// one for ever.
    ///
    /// # Errors
    /// [`PartError`] when a blob is gone, or the key or the store fails.
    pub async fn signature(&self, name: &str, layout: &Layout) -> Result<String, AskError<PartError>> {
        let hex = self.hash(name, layout, HashFunction::Sha256).await?;
        let digest = Digest::from_hex(&hex).map_err(|error| AskError::No(PartError::input(name, error)))?;
        let spec = SignatureSpec { name: name.to_owned(), digest, key: self.key };
        Ok(self.signatures.ask(BuildPart { spec }).await?.bundle.clone())
    }

    /// What does not answer of all places where things live besides the store, one line for each.
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = self.depot_state.troubles();
        troubles.extend(self.schematic_store.trouble());
        troubles.extend(self.publisher_state.troubles());
        troubles
    }

    /// How much the store holds.
    pub fn usage(&self) -> factory_domain::ports::StoreUsage {
        self.store.usage()
    }

    /// What the store's space goes to.
    pub fn holdings(&self) -> Holdings {
        self.store.holdings()
    }
}

/// What identifies the keys of Secure Boot.
fn identity_of(keys: &SecureBootKeys) -> String {
    let pcr = Digest::from_bytes(keys.pcr().public_key().fingerprint());
    format!("{} {pcr}", keys.certificate().fingerprint())
}

/// What all part builders share.
struct Builders<'a> {
    bench: Bench,
    workers: &'a Workers,
    pending: usize,
}

impl Builders<'_> {
    fn builder<K: PartKind>(&self, arbiter: ArbiterHandle) -> Arc<Keeper<PartBuilder<K>>> {
        let state = PartBuilder::<K>::state(self.bench.clone(), self.workers.clone());
        Keeper::start(K::NAME, arbiter, self.pending, move || PartBuilder::with(Arc::clone(&state)))
    }
}
