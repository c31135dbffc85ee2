//! EFI programs: reading PE32+ files within bounds, and appending sections to a stub.

mod append;
mod read;

pub use append::{AppendOptions, NewSection, PePlan, append_sections};
pub use read::{Pe, PeError, Section, SectionName};

/// Section holds code.
pub const CONTAINS_CODE: u32 = 0x20;
/// Section holds initialised data.
pub const INITIALIZED_DATA: u32 = 0x40;
/// Section may be read.
pub const MEM_READ: u32 = 0x4000_0000;

#[cfg(test)]
pub(crate) mod tests;
