//! What a TPM will have seen when a profile of a UKI was booted.

use std::io;

use super::build::Uki;
use super::pcr::{BANKS, Bank, SectionDigests, SectionHasher, policy, replay};
use super::section;
use crate::pe::SectionName;
use crate::{Layout, ReadBlob};

/// The policies of one profile, in the order of [`BANKS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfilePolicies {
    /// Bank and policy digest.
    pub policies: [(Bank, [u8; 32]); BANKS.len()],
}

impl SectionDigests {
    /// The digests of a layout's bytes, in one pass.
    ///
    /// # Errors
    /// Those of the blobs.
    pub fn of_layout(layout: &Layout, blobs: &dyn ReadBlob) -> io::Result<Self> {
        let mut hasher = SectionHasher::default();
        layout.visit(0, layout.len(), blobs, &mut |bytes| hasher.update(bytes))?;
        Ok(hasher.finish())
    }
}

impl Uki {
    /// Reads every section once and gives the policies of each profile, the main one first.
    ///
    /// A profile sees the sections of the main group, replaced by its own where it has them
    /// (specification 31, 7).
    ///
    /// # Errors
    /// Those of the blobs.
    pub fn policies(&self, blobs: &dyn ReadBlob) -> io::Result<Vec<ProfilePolicies>> {
        let mut main = Vec::new();
        for (name, content) in self.groups.iter().take(1).flat_map(|group| &group.sections) {
            main.push((*name, SectionDigests::of_layout(content, blobs)?));
        }
        self.policies_over(main, blobs)
    }

    /// The same, when the sections of the main group were read already.
    pub(super) fn policies_over(
        &self,
        main: Vec<(SectionName, SectionDigests)>,
        blobs: &dyn ReadBlob,
    ) -> io::Result<Vec<ProfilePolicies>> {
        let mut base = vec![(section::SBAT, SectionDigests::of(&self.sbat))];
        base.extend(main);
        let mut out = Vec::with_capacity(self.groups.len());
        for (index, group) in self.groups.iter().enumerate() {
            let mut view = Vec::new();
            for (name, content) in group.sections.iter().filter(|_| index > 0) {
                view.push((*name, SectionDigests::of_layout(content, blobs)?));
            }
            view.extend_from_slice(&base);
            out.push(ProfilePolicies {
                policies: BANKS.map(|bank| (bank, policy(bank, replay(bank, &view).signed()))),
            });
        }
        Ok(out)
    }
}
