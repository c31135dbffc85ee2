//! The bill of materials of an image: what the release and its extensions say of themselves.

use std::sync::Arc;

use actix::{Context, Handler};
use factory_domain::asset::AssetPath;
use factory_domain::ports::Reference;
use factory_domain::profile::ExtensionInput;
use factory_domain::sbom::{SbomIdentity, SbomSource, merge_sboms};
use factory_domain::schematic::SchematicId;
use factory_domain::version::Feature;
use factory_domain::{Arch, TalosVersion};
use factory_formats::Layout;
use futures_util::future::try_join_all;

use super::{AssetPlanner, PlanAsset, PlanError, Purpose, State};
use crate::ask::{Ask, Envelope};
use crate::catalog::CheckVersion;
use crate::parts::{BuildPart, Piece, SbomSpec};
use crate::schematics::GetSchematic;
use crate::sources::{FetchFiles, FetchLayers, Selection};

/// Asks for an SPDX document as JSON. Sent by the front door.
#[derive(Clone, Debug)]
pub struct ComposeSbom {
    /// The schematic.
    pub schematic: SchematicId,
    /// The version of Talos.
    pub version: TalosVersion,
    /// The architecture.
    pub arch: Arch,
}

impl Ask for ComposeSbom {
    type Answer = Layout;
    type Error = PlanError;
}

/// Longest document that is read, in bytes. Those of real releases have some hundred thousand.
const MAX_DOCUMENT: u64 = 32 << 20;

impl Handler<Envelope<ComposeSbom>> for AssetPlanner {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<ComposeSbom>, ctx: &mut Context<Self>) {
        let (state, want) = (Arc::clone(&self.state), envelope.message.clone());
        envelope.answer_with(ctx, async move { state.sbom(want).await });
    }
}

impl State {
    async fn sbom(self: &Arc<Self>, want: ComposeSbom) -> Result<Layout, PlanError> {
        if !Feature::Sbom.is_offered_for(&want.version) {
            return Err(PlanError::NoSbom(want.version.tag()));
        }
        let stored = self.peers.schematics.ask(GetSchematic { id: want.schematic }).await?;
        self.peers.catalog.ask(CheckVersion { version: want.version.clone() }).await?;
        let path = AssetPath::accept(&format!("initramfs-{}.xz", want.arch))
            .map_err(|error| PlanError::unmakable("the SBOM", error))?;
        let (schematic, version) = (want.schematic, want.version.clone());
        let asset = PlanAsset { schematic, version, path, purpose: Purpose::Download };
        let recipe = self.recipe(&asset, &stored).await?;

        let mut pieces = vec![("talos".to_owned(), self.release_sbom(&want).await?)];
        let official = recipe.extensions.iter().filter_map(|input| match input {
            ExtensionInput::Official(reference) => Some(reference),
            ExtensionInput::Schematic { .. } | ExtensionInput::EmbeddedConfig => None,
        });
        let parts = try_join_all(official.map(|reference| async move {
            let image = self.image(&reference.repository, Reference::Digest(reference.digest))?;
            let layers = self.peers.sources.ask(FetchLayers { image, arch: recipe.arch }).await?;
            let name = reference.repository.to_string();
            let spec = SbomSpec { name: format!("{name} {}", recipe.arch), layers: layers.layers.clone() };
            let part = self.peers.sboms.ask(BuildPart { spec }).await?;
            Ok::<_, PlanError>((name, part))
        }));
        for (name, part) in parts.await? {
            pieces.extend(part.documents.iter().map(|piece| (name.clone(), *piece)));
        }
        let state = Arc::clone(self);
        let bytes =
            self.workers.run("merging SPDX documents", move || state.merged(&want, &pieces)).await??;
        Ok(Layout::from_bytes(bytes))
    }

    /// The release's own document.
    async fn release_sbom(&self, want: &ComposeSbom) -> Result<Piece, PlanError> {
        let image = self.image(&self.options.components.imager, Reference::Tag(want.version.tag()))?;
        let files = FetchFiles { image, arch: Arch::Amd64, selection: Selection::Below("usr/install/") };
        let release = self.peers.sources.ask(files).await?;
        let path = format!("usr/install/{}/talos.spdx.json", want.arch);
        let file = release.files.get(&path);
        let file = file.ok_or(PlanError::NoReleaseFile { version: want.version.tag(), path })?;
        Ok(Piece { blob: file.digest, offset: 0, len: file.size })
    }

    fn merged(&self, want: &ComposeSbom, pieces: &[(String, Piece)]) -> Result<Vec<u8>, PlanError> {
        let sources = pieces.iter().map(|(name, piece)| {
            let document = piece.read(&*self.store, MAX_DOCUMENT)?;
            Ok::<_, PlanError>(SbomSource { name: name.clone(), document })
        });
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        let identity = SbomIdentity {
            schematic: want.schematic,
            version: &want.version,
            arch: want.arch,
            external_url: &self.options.external_url,
        };
        merge_sboms(&identity, &sources).map_err(|error| PlanError::unmakable("the SBOM", error))
    }
}
