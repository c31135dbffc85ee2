//! What has to be copied so that a factory can work without the place where releases are published
//! (`50-artifacts.md` §12): which images belong to a version, what a manifest names, and what says that it
//! is genuine.

mod attached;
mod links;
mod release;
mod selection;

pub use attached::{ATTACHED_SUFFIXES, attached_tag, index_of, referrers_tag};
pub use links::{InvalidManifest, Links, OCI_INDEX, is_index_type};
pub use release::{Component, Platforms, components_of};
pub use selection::{InvalidSelection, NoSuchVersion, VersionSelection};
