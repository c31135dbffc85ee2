//! What a TPM will have seen when a profile of a UKI was booted.

use std::io;

use super::build::Uki;
use super::pcr::{BANKS, Bank, SectionDigests, SectionHasher, policy, replay};
use super::section;
use crate::layout::Piece;
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
        let mut cursor = layout.cursor(0, u64::MAX);
        let mut buf = vec![0; 256 << 10];
        let zeros = vec![0; 64 << 10];
        loop {
            match cursor.next(blobs, &mut buf)? {
                Piece::Data(len) => hasher.update(buf.get(..len).unwrap_or_default()),
                Piece::Zeros(mut left) => {
                    while let Some(now) = zeros.get(..left.min(zeros.len() as u64) as usize)
                        && left > 0
                    {
                        hasher.update(now);
                        left -= now.len() as u64;
                    }
                }
                Piece::End => return Ok(hasher.finish()),
            }
        }
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
        let mut base = vec![(section::SBAT, SectionDigests::of(&self.sbat))];
        let mut out = Vec::with_capacity(self.groups.len());
        for (index, group) in self.groups.iter().enumerate() {
            let mut own = Vec::with_capacity(group.sections.len());
            for (name, content) in &group.sections {
                own.push((*name, SectionDigests::of_layout(content, blobs)?));
            }
            if index == 0 {
                base.append(&mut own);
            }
            let view: Vec<(SectionName, SectionDigests)> = own.iter().chain(&base).copied().collect();
            out.push(ProfilePolicies {
                policies: BANKS.map(|bank| (bank, policy(bank, replay(bank, &view).signed()))),
            });
        }
        Ok(out)
    }
}
