//! Taking a UKI apart again.

use std::io;

use super::section;
use crate::pe::{Pe, SectionName};
use crate::{Layout, ReadBlob};

/// What a machine boots from a UKI.
#[derive(Clone, Debug)]
pub struct UkiContent {
    /// Kernel.
    pub kernel: Layout,
    /// Initramfs.
    pub initramfs: Layout,
    /// Command line of the main profile.
    pub cmdline: Layout,
}

/// Finds the first kernel, initramfs and command line of a UKI.
///
/// # Errors
/// Those of the blobs, and `InvalidData` when the file is no EFI program or has no such section.
pub fn read(uki: &Layout, blobs: &dyn ReadBlob) -> io::Result<UkiContent> {
    let pe = Pe::of_layout(uki, blobs)?;
    let content = |name: SectionName| {
        let range = pe.section(name).map(|section| section.content()).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("the UKI has no {name} section"))
        })?;
        Ok::<_, io::Error>(uki.slice(range.start, range.end))
    };
    Ok(UkiContent {
        kernel: content(section::LINUX)?,
        initramfs: content(section::INITRD)?,
        cmdline: content(section::CMDLINE)?,
    })
}
