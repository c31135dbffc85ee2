//! GRUB's own image maker.

use std::collections::BTreeMap;

/// What a core image is made of.
#[derive(Clone, Copy, Debug)]
pub struct CoreImage<'a> {
    /// Its format, such as `i386-pc-eltorito`.
    pub format: &'a str,
    /// Where it looks for its configuration.
    pub prefix: &'a str,
    /// The modules that it has built in. What they need comes with them.
    pub modules: &'a [&'a str],
    /// GRUB's directory for the platform: file names and contents.
    pub directory: &'a BTreeMap<String, Vec<u8>>,
}

/// Why there is no core image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrubError {
    /// The tool is not there.
    #[error(
        "{tool} cannot be run ({reason}): media that start with GRUB need it, install the package grub-common"
    )]
    Missing {
        /// The tool.
        tool: String,
        /// What the system says.
        reason: String,
    },
    /// The tool refused, or did not come to an end.
    #[error("{tool} failed: {reason}")]
    Failed {
        /// The tool.
        tool: String,
        /// What it said.
        reason: String,
    },
}

/// Makes GRUB's core images out of a release's modules. The work is done once for each GRUB, in the
/// background of a part; the same input always gives the same bytes.
pub trait GrubImages: Send + Sync {
    /// Name and version of the tool: another one may give other bytes. Looked up once, so cheap.
    ///
    /// # Errors
    /// [`GrubError::Missing`].
    fn tool(&self) -> Result<String, GrubError>;

    /// Makes an image. Blocks for up to some seconds.
    ///
    /// # Errors
    /// [`GrubError`].
    fn core_image(&self, image: &CoreImage<'_>) -> Result<Vec<u8>, GrubError>;
}
