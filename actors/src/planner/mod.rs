//! `AssetPlanner`: from (schematic, version, path) to the layout of the asset.
//!
//! Planning reads hardly any payload: what an asset needs of it was made into sources and parts before. So a
//! schematic never seen before costs some milliseconds, and everything that can be refused is refused here.

mod convert;
mod encode;
mod error;
mod gather;
mod grub;
mod initramfs;
mod installer;
mod materials;
mod media;
mod overlay;
mod recent;
mod sbom;
mod secure_boot;

use std::sync::Arc;

use actix::{Actor, Context, Handler};
use factory_domain::asset::AssetPath;
use factory_domain::catalog::SourceRegistry;
use factory_domain::ports::{BlobStore, Lease, SecureBootKeys};
use factory_domain::profile::{
    Compression, EnhanceInputs, ExtensionInput, Ignored, Lookups, ProfileError, SecureBootService,
    check_request, enhance, ignored,
};
use factory_domain::recipe::{OutputRecipe, Recipe};
use factory_domain::schematic::SchematicId;
use factory_domain::{Arch, TalosVersion};
use factory_formats::Layout;
use factory_formats::encode::{Codec, EncodeOptions};

pub use self::error::PlanError;
pub use self::installer::InstallerImage;
pub(crate) use self::installer::version_annotations;
use self::overlay::Wishes;
use self::recent::Recent;
pub use self::sbom::ComposeSbom;
use crate::ask::{Ask, Envelope};
use crate::catalog::{CheckVersion, Components, FindExtensions, FindOverlays, VersionCatalog};
use crate::flights::Flights;
use crate::keeper::Keeper;
use crate::parts::{
    Compressed, Enrollments, Extension, Grub, Hashes, Indexes, Kernel, Modules, OverlayAnswer,
    OverlayInstall, OverlayLayer, PartBuilder, Sboms, SignedPrograms, SignedUkis,
};
use crate::schematics::{GetSchematic, SchematicStore, Stored};
use crate::sources::SourceFetcher;
use crate::workers::Workers;

/// All times in media, in seconds since 1970: that of the reference's releases, so that nothing depends on a
/// clock (40-iso.md, 11).
const EPOCH: u64 = 1_559_424_892;

/// Asks for an asset. Sent by the front door; answered when every byte of it is known or referenced.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlanAsset {
    /// The schematic.
    pub schematic: SchematicId,
    /// The version of Talos.
    pub version: TalosVersion,
    /// What of it.
    pub path: AssetPath,
    /// What for.
    pub purpose: Purpose,
}

/// What an asset is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// It is downloaded.
    Download,
    /// A kernel command line that goes into a boot script.
    Script,
}

/// Answer to [`PlanAsset`].
#[derive(Clone, Debug)]
pub struct Planned {
    /// The asset.
    pub asset: Arc<PlannedAsset>,
    /// Keeps its blobs in the store until the download is over.
    pub lease: Lease,
}

/// An asset that can be sent.
#[derive(Debug)]
pub struct PlannedAsset {
    /// Its bytes.
    pub layout: Layout,
    /// Strong entity tag with its quotes.
    pub etag: String,
    /// What of the schematic has no effect on it.
    pub ignored: Vec<Ignored>,
    /// The container image in it. Only an installer has one.
    pub installer: Option<InstallerImage>,
}

impl Ask for PlanAsset {
    type Answer = Planned;
    type Error = PlanError;
}

/// Whom the planner asks.
pub struct Peers {
    /// Schematics.
    pub schematics: Arc<Keeper<SchematicStore>>,
    /// Versions and their lists.
    pub catalog: Arc<Keeper<VersionCatalog>>,
    /// Release images.
    pub sources: Arc<Keeper<SourceFetcher>>,
    /// Builder of extensions.
    pub extensions: Arc<Keeper<PartBuilder<Extension>>>,
    /// Builder of facts about base modules.
    pub modules: Arc<Keeper<PartBuilder<Modules>>>,
    /// Builder of module indexes.
    pub indexes: Arc<Keeper<PartBuilder<Indexes>>>,
    /// Builder of facts about kernels.
    pub kernels: Arc<Keeper<PartBuilder<Kernel>>>,
    /// Builder of GRUB's images.
    pub grub: Arc<Keeper<PartBuilder<Grub>>>,
    /// Builder of compressed blobs.
    pub compressed: Arc<Keeper<PartBuilder<Compressed>>>,
    /// Asker of overlays' programs.
    pub overlay_answers: Arc<Keeper<PartBuilder<OverlayAnswer>>>,
    /// Runner of overlays' programs.
    pub overlay_installs: Arc<Keeper<PartBuilder<OverlayInstall>>>,
    /// Builder of overlays for installers.
    pub overlay_layers: Arc<Keeper<PartBuilder<OverlayLayer>>>,
    /// Builder of digests of layouts.
    pub hashes: Arc<Keeper<PartBuilder<Hashes>>>,
    /// Reader of the SPDX documents of extensions.
    pub sboms: Arc<Keeper<PartBuilder<Sboms>>>,
    /// Builder of signatures of programs.
    pub signed_programs: Arc<Keeper<PartBuilder<SignedPrograms>>>,
    /// Builder of signatures of UKIs.
    pub signed_ukis: Arc<Keeper<PartBuilder<SignedUkis>>>,
    /// Builder of enrollment files.
    pub enrollments: Arc<Keeper<PartBuilder<Enrollments>>>,
}

/// What does not change between assets.
pub struct Options {
    /// Where images are pulled from.
    pub registry: SourceRegistry,
    /// Repositories of the release.
    pub components: Components,
    /// Address of the factory as configured. Machines are told it.
    pub external_url: String,
    /// Host of that address, with its port if any: where installer images are pulled from.
    pub external_host: String,
    /// Name and version of the maker of GRUB's images.
    pub grub_tool: String,
    /// The keys that sign boot files. None when Secure Boot is off.
    pub secure_boot: Option<Arc<SecureBootKeys>>,
    /// Architecture of the programs that can be run here.
    pub host_arch: Arch,
}

/// What survives a restart of the actor.
pub struct State {
    peers: Peers,
    store: Arc<dyn BlobStore>,
    workers: Workers,
    options: Options,
    recent: Recent,
    flights: Flights<PlanAsset, Planned, PlanError>,
}

/// The actor.
pub struct AssetPlanner {
    state: Arc<State>,
}

impl AssetPlanner {
    /// State over peers and a store, for [`Self::with`].
    pub fn state(peers: Peers, store: Arc<dyn BlobStore>, workers: Workers, options: Options) -> Arc<State> {
        let flights = Flights::new(workers.clone());
        Arc::new(State { peers, store, workers, options, recent: Recent::default(), flights })
    }

    /// The actor over a state.
    pub fn with(state: Arc<State>) -> Self {
        Self { state }
    }
}

impl Actor for AssetPlanner {
    type Context = Context<Self>;
}

impl Handler<Envelope<PlanAsset>> for AssetPlanner {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<PlanAsset>, ctx: &mut Context<Self>) {
        let want = envelope.message.clone();
        if let Some(planned) = self.state.recall(&want) {
            return envelope.answer(Ok(planned));
        }
        let state = Arc::clone(&self.state);
        let flight = self
            .state
            .flights
            .join(want.clone(), "planning an asset", move || async move { state.plan_and_hold(&want).await });
        envelope.answer_with(ctx, flight);
    }
}

/// Plans made for one request when blobs keep vanishing: more means that the store is far too small.
const ATTEMPTS: u32 = 3;

impl State {
    /// A recent plan whose blobs are all still there.
    fn recall(&self, want: &PlanAsset) -> Option<Planned> {
        let asset = self.recent.find(want)?;
        match self.store.lease(&asset.layout.blobs()) {
            Ok(lease) => Some(Planned { asset, lease }),
            Err(_) => {
                self.recent.forget(want);
                None
            }
        }
    }

    /// Plans, and takes hold of the blobs. What was evicted in between is fetched or built again.
    async fn plan_and_hold(self: &Arc<Self>, want: &PlanAsset) -> Result<Planned, PlanError> {
        let mut attempt = 1;
        loop {
            let outcome = async {
                let asset = Arc::new(self.plan(want).await?);
                let lease = self.store.lease(&asset.layout.blobs())?;
                Ok::<_, PlanError>(Planned { asset, lease })
            };
            match outcome.await {
                Ok(planned) => {
                    self.recent.remember(want.clone(), Arc::clone(&planned.asset));
                    return Ok(planned);
                }
                Err(error) if error.is_missing_blob() && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn plan(self: &Arc<Self>, want: &PlanAsset) -> Result<PlannedAsset, PlanError> {
        let started = std::time::Instant::now();
        let stored = self.peers.schematics.ask(GetSchematic { id: want.schematic }).await?;
        self.peers.catalog.ask(CheckVersion { version: want.version.clone() }).await?;
        let recipe = self.recipe(want, &stored).await?;
        let (layout, installer) = match &recipe.output {
            OutputRecipe::Installer(installer) => {
                let image = self.installer(&recipe, installer, &stored).await?;
                let name = self.options.image_name(&want.path.target(), &want.schematic, &want.version);
                (image.archive(name)?, Some(image))
            }
            _ => (self.layout(&recipe, &stored).await?, None),
        };
        metrics::histogram!("image_factory_plan_seconds").record(started.elapsed().as_secs_f64());
        Ok(PlannedAsset {
            etag: format!("\"{}\"", layout.fingerprint().hex()),
            layout,
            ignored: ignored(&want.path.request(), &stored.schematic, &want.version),
            installer,
        })
    }

    /// Decides what is to be made, and refuses what cannot be.
    async fn recipe(&self, want: &PlanAsset, stored: &Stored) -> Result<Recipe, PlanError> {
        let request = want.path.request();
        check_request(&request, &want.version)?;
        let lookups = Lookups::of(&request, &stored.schematic);
        let version = &want.version;
        let extensions = match lookups.extensions {
            true => self.peers.catalog.ask(FindExtensions { version: version.clone() }).await?,
            false => Arc::default(),
        };
        let overlays = match lookups.overlay {
            true => self.peers.catalog.ask(FindOverlays { version: version.clone() }).await?,
            false => Arc::default(),
        };
        let overlay = overlays.find(&stored.schematic.overlay.name);
        let wishes = match overlay {
            Some(overlay) => self.wishes(overlay, &stored.schematic, &want.path).await?,
            None => Wishes::default(),
        };
        let inputs = EnhanceInputs {
            schematic_id: stored.id,
            secure_boot: match self.options.secure_boot {
                Some(_) => SecureBootService::Enabled,
                None => SecureBootService::Disabled,
            },
            extensions: &extensions,
            overlays: &overlays,
            overlay_profile: Some(&wishes.profile),
        };
        let mut profile = enhance(request, &stored.schematic, version, &inputs)?;
        if want.purpose == Purpose::Script && lookups.overlay && overlay.is_none() {
            // The files that the script points to could not be had.
            let name = stored.schematic.overlay.name.clone();
            return Err(ProfileError::UnknownOverlay { name, version: version.clone() }.into());
        }
        wishes.profile.add_args_to_cmdline(&mut profile);
        let recipe = Recipe::of(profile, &wishes.options.kernel_args)?;
        for extension in &recipe.extensions {
            if let ExtensionInput::Official(reference) = extension {
                let name = reference.repository.to_string();
                metrics::counter!("image_factory_profile_system_extension_hits_total", "extension" => name)
                    .increment(1);
            }
        }
        Ok(recipe)
    }

    /// Puts the bytes together.
    async fn layout(self: &Arc<Self>, recipe: &Recipe, stored: &Arc<Stored>) -> Result<Layout, PlanError> {
        if let OutputRecipe::Cmdline(line) = &recipe.output {
            return Ok(Layout::from_bytes(line.clone().into_bytes()));
        }
        let gathered = self.gather_signed(recipe, stored).await?;
        let (state, work, schematic) = (Arc::clone(self), recipe.clone(), Arc::clone(stored));
        let layout = self
            .workers
            .run("planning an asset", move || state.assemble(&work, gathered, &schematic))
            .await??;
        match &recipe.output {
            OutputRecipe::Disk(disk) => {
                let layout = self.convert(layout, disk.encoding, &recipe.inner_file_name).await?;
                self.pack(layout, disk.compression, &recipe.inner_file_name).await
            }
            _ => Ok(layout),
        }
    }

    async fn pack(
        self: &Arc<Self>,
        layout: Layout,
        compression: Compression,
        inner_name: &str,
    ) -> Result<Layout, PlanError> {
        let codec = match compression {
            Compression::None => return Ok(layout),
            Compression::Xz => Codec::Xz,
            Compression::Zst => Codec::Zstd,
            Compression::Gz => Codec::Gzip,
            Compression::TarGz => return self.archive(&layout).await,
        };
        let options = EncodeOptions { file_name: Some(inner_name.to_owned()), ..EncodeOptions::default() };
        self.encode(layout, codec, options).await
    }
}

#[cfg(test)]
mod tests;
