//! Room for builds that cannot be done in one pass.

use std::io::{self, Read, Seek, Write};

/// A file that vanishes with this handle.
pub trait ScratchFile: Read + Write + Seek + Send {}

impl<T: Read + Write + Seek + Send> ScratchFile for T {}

/// Gives scratch files. They hold what a build needs twice (an unpacked extension), never an asset.
pub trait Scratch: Send + Sync {
    /// An empty file.
    ///
    /// # Errors
    /// When there is no room for one.
    fn file(&self) -> io::Result<Box<dyn ScratchFile>>;
}
