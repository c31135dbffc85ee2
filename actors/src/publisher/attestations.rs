//! Attestations: signed statements of what is inside of an image, and of how it was made.
//!
//! They are attached to the image as bundles that refer to it (52-installer-images.md, 6.3 and 6.4), where
//! `cosign verify-attestation` looks for them. Their signatures are remembered with the image; the texts, which
//! may be long, are made again for whoever asks.

use std::sync::Arc;

use factory_domain::asset::InstallerName;
use factory_domain::provenance::{Material, Provenance};
use factory_domain::{Arch, TalosVersion};
use factory_formats::Digest;
use factory_formats::oci_image::{
    Document, PROVENANCE_PREDICATE, Referrer, SPDX_PREDICATE, Subject, pre_authentication_encoding,
    sigstore_bundle, sigstore_referrer, statement,
};
use serde_json::Value;

use super::edition::{About, Attestation, Edition, Signature};
use super::signing::EPOCH;
use super::{InstallerRepository, PublishError, State};
use crate::ask::AskError;
use crate::planner::{ComposeSbom, PlanError};

/// Longest bill of materials that is attested, in bytes.
const MAX_SBOM: u64 = 64 << 20;

impl About {
    /// Everything that can be told about an image.
    pub fn all() -> impl Iterator<Item = Self> {
        Arch::ALL.into_iter().map(Self::Contents).chain([Self::Origin])
    }

    fn predicate_type(self) -> &'static str {
        match self {
            Self::Contents(_) => SPDX_PREDICATE,
            Self::Origin => PROVENANCE_PREDICATE,
        }
    }
}

impl Edition {
    /// The artifact that attaches an attestation to its manifest.
    pub fn attached(&self, attestation: &Attestation) -> Option<(Digest, Referrer)> {
        let (media_type, signed) = self.subject(attestation.about)?;
        let subject = Subject { media_type, digest: signed.digest, size: signed.size };
        let bundle = (attestation.bundle, attestation.size);
        let predicate = attestation.about.predicate_type();
        Some((signed.digest, sigstore_referrer(subject, bundle, predicate, EPOCH)))
    }

    /// The manifests that a statement names: provenance is that of the index and of all that it names.
    fn told_about(&self, about: About) -> Vec<Digest> {
        match about {
            About::Contents(_) => self.subject(about).map(|(_, signed)| signed.digest).into_iter().collect(),
            About::Origin => [self.index.digest]
                .into_iter()
                .chain(self.platforms.iter().map(|platform| platform.manifest.digest))
                .collect(),
        }
    }
}

/// What statements are about.
pub(super) struct Told<'a> {
    /// The repository of the image.
    pub repository: &'a InstallerRepository,
    /// Its name.
    pub name: &'a InstallerName,
    /// Its version.
    pub version: &'a TalosVersion,
}

impl State {
    /// An edition with all attestations that it can have. Those that it has are kept as long as they say what
    /// is true; the others are signed now.
    pub(super) async fn attested(
        self: &Arc<Self>,
        told: &Told<'_>,
        mut edition: Edition,
        materials: &[Material],
    ) -> Result<(Edition, Option<Document>), PublishError> {
        let mut attestations = Vec::new();
        let mut origin = None;
        for about in About::all() {
            let Some(text) = self.statement(told, &edition, about, materials).await? else { continue };
            let known = edition.attestations.iter().find(|attestation| attestation.about == about);
            let known = known.filter(|attestation| attestation.statement == Digest::of(&text)).cloned();
            let (state, what) = (Arc::clone(self), "signing an attestation");
            let (attestation, bundle) =
                self.workers.run(what, move || state.attest(about, &text, known)).await??;
            attestations.push(attestation);
            if about == About::Origin {
                origin = Some(bundle);
            }
        }
        if edition.attestations != attestations {
            edition.attestations = attestations;
            self.keep(told.repository, edition.clone()).await?;
        }
        Ok((edition, origin))
    }

    /// The bundle of what is inside of the image for an architecture; none when it can't be told any more.
    pub(super) async fn contents_bundle(
        self: &Arc<Self>,
        told: &Told<'_>,
        edition: &Edition,
        arch: Arch,
    ) -> Result<Option<Document>, PublishError> {
        let about = About::Contents(arch);
        let known = edition.attestations.iter().find(|attestation| attestation.about == about).cloned();
        let Some(known) = known else { return Ok(None) };
        let Some(text) = self.statement(told, edition, about, &[]).await? else { return Ok(None) };
        let key = edition.key;
        let bundle = self.workers.run("writing an attestation", move || {
            let bundle = sigstore_bundle(&text, &known.signature.0, &key);
            (bundle.digest == known.bundle).then_some(bundle)
        });
        Ok(bundle.await?)
    }

    /// Runs on a worker thread.
    fn attest(
        &self,
        about: About,
        text: &[u8],
        known: Option<Attestation>,
    ) -> Result<(Attestation, Document), PublishError> {
        let signature = match known {
            Some(known) => known.signature,
            None => Signature(self.signer.sign(&pre_authentication_encoding(text))?),
        };
        let bundle = sigstore_bundle(text, &signature.0, &self.key);
        let attestation = Attestation {
            about,
            statement: Digest::of(text),
            signature,
            bundle: bundle.digest,
            size: bundle.size(),
        };
        Ok((attestation, bundle))
    }

    /// The text of a statement; none when there is nothing to tell.
    async fn statement(
        self: &Arc<Self>,
        told: &Told<'_>,
        edition: &Edition,
        about: About,
        materials: &[Material],
    ) -> Result<Option<Vec<u8>>, PublishError> {
        let manifests = edition.told_about(about);
        let predicate = match about {
            About::Contents(arch) => match self.contents(told, arch).await? {
                Some(contents) => contents,
                None => return Ok(None),
            },
            About::Origin => {
                let provenance = Provenance {
                    name: told.name,
                    schematic: told.repository.schematic,
                    version: told.version,
                    materials,
                    external_url: &self.external_url,
                };
                provenance.predicate()
            }
        };
        let name = edition.name.clone();
        let write = move || statement(&name, &manifests, about.predicate_type(), &predicate);
        Ok(Some(self.workers.run("writing a statement", write).await?))
    }

    /// The bill of materials of the image for an architecture. An image is not withheld because what it is made
    /// from describes itself wrongly, or not at all.
    async fn contents(self: &Arc<Self>, told: &Told<'_>, arch: Arch) -> Result<Option<Value>, PublishError> {
        let (schematic, version) = (told.repository.schematic, told.version.clone());
        let layout = match self.peers.planner.ask(ComposeSbom { schematic, version, arch }).await {
            Ok(layout) => layout,
            Err(AskError::No(PlanError::NoSbom(_))) => return Ok(None),
            Err(AskError::No(error @ (PlanError::NoReleaseFile { .. } | PlanError::Unmakable { .. }))) => {
                tracing::warn!(repository = %told.repository, %arch, %error, "no bill of materials is attached");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if layout.len() > MAX_SBOM {
            tracing::warn!(repository = %told.repository, %arch, len = layout.len(), "a bill of materials is too long");
            return Ok(None);
        }
        let read = move || layout.inline_bytes().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(self.workers.run("reading a bill of materials", read).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_type_of_its_own() {
        let types: Vec<_> = About::all().map(About::predicate_type).collect();
        assert_eq!(types, [SPDX_PREDICATE, SPDX_PREDICATE, PROVENANCE_PREDICATE]);
    }
}
