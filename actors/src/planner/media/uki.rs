//! The UKI of a recipe.

use bytes::Bytes;
use factory_domain::recipe::{ReleaseFile, Signing, UkiRecipe};
use factory_formats::Layout;
use factory_formats::pe::PePlan;
use factory_formats::uki::{PayloadAlign, Profile, Profiles, Uki, UkiOptions, UkiParts};

use crate::planner::gather::Gathered;
use crate::planner::{EPOCH, PlanError, State};

const WHAT: &str = "the UKI";

/// Longest UKI stub, in bytes. It is read whole, because its headers are rewritten.
const MAX_STUB: u64 = 16 << 20;

impl State {
    /// The UKI of a recipe, signed when the recipe wants it signed.
    pub(in crate::planner) fn uki(
        &self,
        recipe: &UkiRecipe,
        gathered: &Gathered,
        initramfs: Layout,
        payload_align: PayloadAlign,
    ) -> Result<PePlan, PlanError> {
        match (recipe.signing, gathered.signed_uki()) {
            (Signing::SecureBoot, Some(signed)) => Ok(signed.clone()),
            // Never a file that looks as if it would boot.
            (Signing::SecureBoot, None) => Err(PlanError::unmakable(WHAT, "it was not signed")),
            (Signing::Unsigned, _) => self
                .describe_uki(recipe, gathered, initramfs)?
                .assemble(&[], options(payload_align))
                .map_err(|error| PlanError::unmakable(WHAT, error)),
        }
    }

    /// What the UKI of a recipe consists of, without signatures. Runs on a worker thread.
    pub(in crate::planner) fn describe_uki(
        &self,
        recipe: &UkiRecipe,
        gathered: &Gathered,
        initramfs: Layout,
    ) -> Result<Uki, PlanError> {
        let stub = gathered.file(ReleaseFile::SdStub)?;
        if stub.len() > MAX_STUB {
            return Err(PlanError::unmakable(WHAT, format!("its stub has {} bytes", stub.len())));
        }
        let stub = stub
            .to_vec(&*self.store)
            .map_err(|error| self.missing(&stub).unwrap_or_else(|| PlanError::unmakable(WHAT, error)))?;
        let profile = |profile: &factory_domain::cmdline::BootProfile| Profile {
            id: profile.id.to_owned(),
            title: profile.title.to_owned(),
            cmdline: profile.cmdline.clone(),
        };
        let uki = Uki::new(UkiParts {
            stub: Bytes::from(stub),
            os_release: recipe.os_release.clone(),
            cmdline: recipe.cmdline.clone(),
            kernel_release: gathered.kernel.as_ref().and_then(|kernel| kernel.release.clone()),
            splash: None,
            pcr_public_key: match recipe.signing {
                Signing::SecureBoot => Some(self.keys()?.pcr().public_key().pem().into_bytes().into()),
                Signing::Unsigned => None,
            },
            kernel: gathered.file(ReleaseFile::Kernel)?,
            initramfs,
            profiles: match &recipe.profiles {
                Some(profiles) => Profiles::Main(profiles.iter().map(profile).collect()),
                None => Profiles::Unsupported,
            },
        });
        uki.map_err(|error| PlanError::unmakable(WHAT, error))
    }
}

/// How the UKI is put together.
pub(in crate::planner) fn options(payload_align: PayloadAlign) -> UkiOptions {
    UkiOptions { epoch: EPOCH as u32, payload_align }
}
