//! Boot files with signatures, for recipes that want them.

use std::sync::Arc;

use bytes::Bytes;
use factory_domain::ports::SecureBootKeys;
use factory_domain::recipe::{Enrollment, EspRecipe, OutputRecipe, Recipe, ReleaseFile, Signing};
use factory_formats::Layout;
use factory_formats::efi_signatures::{Variable, WellKnown};
use factory_formats::fat::FatFile;
use factory_formats::pe::PePlan;
use factory_formats::uki::Uki;
use futures_util::future::try_join;

use super::gather::Gathered;
use super::media::payload_align;
use super::media::uki::options;
use super::{PlanError, State};
use crate::parts::{BuildPart, EnrollmentFiles, EnrollmentSpec, ProgramSpec, UkiSpec};
use crate::schematics::Stored;

/// Where systemd-boot looks for keys that it may enroll by itself.
const AUTO_KEYS: &str = "loader/keys/auto";
/// Where the certificate lies for those who enroll it by hand, in the firmware's menus.
const CERTIFICATE: &str = "EFI/keys/uki-signing-cert.der";

/// What was signed for a recipe.
pub(super) struct SignedBoot {
    /// The UKI.
    uki: PePlan,
    /// systemd-boot, when the recipe has it.
    sd_boot: Option<Layout>,
    /// Files for the EFI partition.
    enrollment: Vec<(String, Bytes)>,
}

/// The EFI partition of a recipe, when it starts systemd-boot.
fn esp(recipe: &Recipe) -> Option<&EspRecipe> {
    match &recipe.output {
        OutputRecipe::Iso(iso) => iso.esp.as_ref(),
        OutputRecipe::Disk(disk) => disk.esp.as_ref(),
        _ => None,
    }
}

impl State {
    /// Everything that a recipe needs, with boot files signed when it wants them signed.
    pub(super) async fn gather_signed(
        self: &Arc<Self>,
        recipe: &Recipe,
        stored: &Arc<Stored>,
    ) -> Result<Gathered, PlanError> {
        let gathered = self.gather(recipe).await?;
        self.sign(recipe, gathered, stored).await
    }

    async fn sign(
        self: &Arc<Self>,
        recipe: &Recipe,
        gathered: Gathered,
        stored: &Arc<Stored>,
    ) -> Result<Gathered, PlanError> {
        if recipe.uki.as_ref().is_none_or(|uki| uki.signing == Signing::Unsigned) {
            return Ok(gathered);
        }
        let keys = self.keys()?;
        let name = format!("{} {}", recipe.version.tag(), recipe.arch);
        let enrollment = esp(recipe).and_then(|esp| esp.enrollment);
        let (sd_boot, enrollment) =
            try_join(self.signed_loader(recipe, &gathered, &name, keys), self.enrollment(enrollment, keys))
                .await?;

        // Describing a UKI reads its stub and little else; the part reads all of it, if it has to.
        let (state, work, schematic) = (Arc::clone(self), recipe.clone(), Arc::clone(stored));
        let (label, own) = (format!("UKI {name}"), Arc::clone(keys));
        let described = self.workers.run("planning signatures", move || {
            let uki = state.uki_to_sign(&work, &gathered, &schematic)?;
            let spec = UkiSpec::new(label, uki, options(payload_align(&work.output)), own);
            let spec = spec.map_err(|error| PlanError::unmakable("the UKI", error))?;
            Ok::<_, PlanError>((gathered, spec))
        });
        let (mut gathered, spec) = described.await??;
        let signature = self.peers.signed_ukis.ask(BuildPart { spec: spec.clone() }).await?;
        let store = Arc::clone(&self.store);
        let signed = self.workers.run("planning signatures", move || spec.signed(&signature, &*store));
        gathered.signed = Some(SignedBoot { uki: signed.await??, sd_boot, enrollment });
        Ok(gathered)
    }

    fn uki_to_sign(&self, recipe: &Recipe, gathered: &Gathered, stored: &Stored) -> Result<Uki, PlanError> {
        let initramfs = self.initramfs(recipe, gathered, stored)?;
        match &recipe.uki {
            Some(uki) => self.describe_uki(uki, gathered, initramfs),
            None => Err(PlanError::unmakable("the UKI", "the recipe has none")),
        }
    }

    /// The keys that boot files are signed with.
    pub(super) fn keys(&self) -> Result<&Arc<SecureBootKeys>, PlanError> {
        // The profile was refused before, if there are none.
        let keys = self.options.secure_boot.as_ref();
        keys.ok_or_else(|| PlanError::unmakable("the asset", "secure boot is disabled"))
    }

    async fn signed_loader(
        &self,
        recipe: &Recipe,
        gathered: &Gathered,
        name: &str,
        keys: &Arc<SecureBootKeys>,
    ) -> Result<Option<Layout>, PlanError> {
        if !recipe.release_files.contains(&ReleaseFile::SdBoot) {
            return Ok(None);
        }
        let spec = ProgramSpec {
            name: format!("systemd-boot {name}"),
            program: gathered.file(ReleaseFile::SdBoot)?,
            keys: Arc::clone(keys),
        };
        let signature = self.peers.signed_programs.ask(BuildPart { spec: spec.clone() }).await?;
        let store = Arc::clone(&self.store);
        let signed = self.workers.run("planning signatures", move || spec.signed(&signature, &*store));
        Ok(Some(signed.await??))
    }

    async fn enrollment(
        &self,
        wanted: Option<Enrollment>,
        keys: &Arc<SecureBootKeys>,
    ) -> Result<Vec<(String, Bytes)>, PlanError> {
        let Some(wanted) = wanted else { return Ok(Vec::new()) };
        let mut files = Vec::new();
        if wanted.certificate {
            files.push((CERTIFICATE.to_owned(), keys.certificate().der().clone()));
        }
        if wanted.auth_files {
            let well_known = match wanted.include_well_known_certificates {
                true => WellKnown::Include,
                false => WellKnown::LeaveOut,
            };
            let spec = EnrollmentSpec { well_known, keys: Arc::clone(keys) };
            let made: Arc<EnrollmentFiles> = self.peers.enrollments.ask(BuildPart { spec }).await?;
            for (variable, file) in Variable::ALL.into_iter().zip(&made.files) {
                files.push((format!("{AUTO_KEYS}/{}", variable.file_name()), file.0.clone()));
            }
        }
        Ok(files)
    }
}

impl Gathered {
    /// The signed UKI, when there is one.
    pub(super) fn signed_uki(&self) -> Option<&PePlan> {
        self.signed.as_ref().map(|signed| &signed.uki)
    }

    /// systemd-boot, signed when it was.
    pub(super) fn sd_boot(&self) -> Result<Layout, PlanError> {
        match &self.signed {
            Some(SignedBoot { sd_boot: Some(signed), .. }) => Ok(signed.clone()),
            _ => self.file(ReleaseFile::SdBoot),
        }
    }

    /// What an EFI partition holds for enrolling the keys.
    pub(super) fn enrollment_files(&self) -> impl Iterator<Item = FatFile> {
        let files = self.signed.iter().flat_map(|signed| &signed.enrollment);
        files.map(|(path, bytes)| FatFile::new(path.as_str(), Layout::from_bytes(bytes.clone())))
    }
}
