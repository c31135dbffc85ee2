//! Unified kernel images: what systemd's stub boots (specification 31).
//!
//! [`Uki::new`] checks the parts and lays out the sections; [`Uki::assemble`] makes the file. For measured
//! boot, [`Uki::policies`] reads every section once and says what has to be signed; the finished
//! documents go back into [`Uki::assemble`]. A [`SigningPass`] does the same for an image that gets an
//! Authenticode signature too, and still reads every byte once.

mod build;
mod measure;
mod pcr;
mod read;
mod signing;

pub use build::{PayloadAlign, Profile, Profiles, Uki, UkiError, UkiOptions, UkiParts};
pub use measure::ProfilePolicies;
pub use pcr::{
    BANKS, Bank, MEASURED, PHASES, Pcr11, PolicySignature, SectionDigests, policy, replay, signature_document,
};
pub use read::{UkiContent, read};
pub use signing::{PolicySigner, SignedParts, SigningError, SigningPass};

/// Section names of a UKI.
pub mod section {
    use crate::pe::SectionName;

    /// `os-release` text.
    pub const OSREL: SectionName = SectionName::of(".osrel");
    /// Kernel command line.
    pub const CMDLINE: SectionName = SectionName::of(".cmdline");
    /// Kernel release.
    pub const UNAME: SectionName = SectionName::of(".uname");
    /// Boot picture.
    pub const SPLASH: SectionName = SectionName::of(".splash");
    /// Public key of the PCR signatures.
    pub const PCRPKEY: SectionName = SectionName::of(".pcrpkey");
    /// Kernel.
    pub const LINUX: SectionName = SectionName::of(".linux");
    /// Initramfs.
    pub const INITRD: SectionName = SectionName::of(".initrd");
    /// Begins a boot profile.
    pub const PROFILE: SectionName = SectionName::of(".profile");
    /// PCR signatures.
    pub const PCRSIG: SectionName = SectionName::of(".pcrsig");
    /// The stub's own SBAT data.
    pub const SBAT: SectionName = SectionName::of(".sbat");
}

#[cfg(test)]
mod tests;
