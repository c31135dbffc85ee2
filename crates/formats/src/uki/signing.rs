//! One pass over a UKI for both of its signatures.
//!
//! The Authenticode signature covers the PCR signatures, which cover the sections in front of them. But how
//! long a PCR signature is, is known from the key; so the headers are known before anything was read, and one
//! stream can be hashed for both: up to the first PCR signature for the PCRs, to the end for Authenticode.

use std::io;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::build::{Uki, UkiError, UkiOptions};
use super::measure::ProfilePolicies;
use super::pcr::{PolicySignature, SectionHasher, signature_document};
use super::section;
use crate::ReadBlob;
use crate::authenticode::Program;
use crate::pe::{PePlan, Section};

/// Bytes of the zeros that stand where a signature will be.
const MAX_SIGNATURE: usize = 2048;

/// What of the key that signs policies goes into the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PolicySigner {
    /// SHA-256 of its `RSAPublicKey`.
    pub fingerprint: [u8; 32],
    /// Bytes of its modulus, and so of a signature.
    pub modulus_len: usize,
}

/// A UKI with PCR signatures that lacks its Authenticode signature.
#[derive(Clone, Debug)]
pub struct SignedParts {
    /// The texts of `.pcrsig`, one for each profile.
    pub documents: Vec<Bytes>,
    /// The file.
    pub plan: PePlan,
    /// Its Authenticode digest.
    pub digest: [u8; 32],
}

/// Why a UKI could not be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// A blob could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The signatures are not those that are needed, or make no image.
    #[error(transparent)]
    Uki(#[from] UkiError),
}

/// A UKI that is being signed.
pub struct SigningPass<'a> {
    uki: &'a Uki,
    options: UkiOptions,
    signer: PolicySigner,
    /// The file with zeros for signatures.
    draft: PePlan,
    hash: Sha256,
    /// Bytes of the file that were hashed.
    done: u64,
}

impl Uki {
    /// The file with zeros for PCR signatures: as long as the real one, and with its headers. Two UKIs with
    /// equal drafts are equal once one key has signed them.
    ///
    /// # Errors
    /// [`UkiError`].
    pub fn draft(&self, signer: PolicySigner, options: UkiOptions) -> Result<PePlan, UkiError> {
        let zeros = vec![0; signer.modulus_len.min(MAX_SIGNATURE)];
        let unsigned: Vec<_> = super::BANKS
            .map(|bank| PolicySignature { bank, policy: [0; 32], signature: zeros.clone() })
            .into();
        let document = Bytes::from(signature_document(&signer.fingerprint, &unsigned));
        self.assemble(&vec![document; self.signatures_needed()], options)
    }

    /// Begins to sign a UKI that has a PCR key.
    ///
    /// # Errors
    /// [`UkiError`].
    pub fn sign(&self, signer: PolicySigner, options: UkiOptions) -> Result<SigningPass<'_>, UkiError> {
        let draft = self.draft(signer, options)?;
        Ok(SigningPass { uki: self, options, signer, draft, hash: Sha256::new(), done: 0 })
    }
}

impl SigningPass<'_> {
    /// Reads the image up to its first PCR signature, and gives the policies of each profile to be signed,
    /// the main one first.
    ///
    /// # Errors
    /// Those of the blobs, and `InvalidData` for headers that cannot be read again.
    pub fn policies(&mut self, blobs: &dyn ReadBlob) -> io::Result<Vec<ProfilePolicies>> {
        let file = self.draft.layout.clone();
        let regions = Program::new(&file, blobs)?.regions().clone();
        // The three stretches of the headers; from there on the file has no gap.
        for range in regions.ranges.iter().take(3) {
            file.visit(range.start, range.end, blobs, &mut |bytes| self.hash.update(bytes))?;
            self.done = range.end;
        }
        let main: Vec<Section> = self
            .draft
            .sections
            .iter()
            .skip(self.draft.sections.len() - self.appended())
            .take_while(|section| section.name != section::PCRSIG)
            .copied()
            .collect();
        let mut digests = Vec::with_capacity(main.len());
        for section in main {
            let content = section.content();
            self.hash_up_to(content.start, blobs)?;
            let mut hasher = SectionHasher::default();
            let hash = &mut self.hash;
            file.visit(content.start, content.end, blobs, &mut |bytes| {
                hasher.update_beside(bytes, || hash.update(bytes));
            })?;
            self.done = self.done.max(content.end);
            digests.push((section.name, hasher.finish()));
        }
        self.uki.policies_over(digests, blobs)
    }

    /// Takes the signatures, one set for each profile in order, reads the rest of the image, and gives it with
    /// its Authenticode digest.
    ///
    /// # Errors
    /// [`UkiError::Signatures`] when one is missing, [`UkiError::SignatureLength`] when one is not as long as
    /// the key's modulus, and those of the blobs.
    pub fn finish(
        mut self,
        signatures: &[Vec<PolicySignature>],
        blobs: &dyn ReadBlob,
    ) -> Result<SignedParts, SigningError> {
        let expected = self.signer.modulus_len;
        let wrong = signatures.iter().flatten().find(|signed| signed.signature.len() != expected);
        if let Some(wrong) = wrong {
            return Err(UkiError::SignatureLength { expected, found: wrong.signature.len() }.into());
        }
        let documents: Vec<Bytes> = signatures
            .iter()
            .map(|set| Bytes::from(signature_document(&self.signer.fingerprint, set)))
            .collect();
        let plan = self.uki.assemble(&documents, self.options)?;
        // What was hashed so far is the beginning of this file only if no section moved.
        if plan.sections != self.draft.sections {
            let (expected, found) = (super::BANKS.len(), signatures.iter().map(Vec::len).min().unwrap_or(0));
            return Err(UkiError::Signatures { expected, found }.into());
        }
        self.draft = plan;
        self.hash_up_to(self.draft.layout.len(), blobs)?;
        Ok(SignedParts { documents, plan: self.draft, digest: self.hash.finalize().into() })
    }

    fn hash_up_to(&mut self, end: u64, blobs: &dyn ReadBlob) -> io::Result<()> {
        let hash = &mut self.hash;
        self.draft.layout.visit(self.done, end, blobs, &mut |bytes| hash.update(bytes))?;
        self.done = self.done.max(end);
        Ok(())
    }

    /// Sections behind the stub's own.
    fn appended(&self) -> usize {
        let sections: usize = self.uki.groups.iter().map(|group| group.sections.len()).sum();
        sections + self.uki.signatures_needed()
    }
}
