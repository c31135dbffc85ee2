//! Assets as users name them: paths, sidecars, and how a file is delivered.

mod delivery;
mod installer_name;
mod key;
mod path;
mod quote;
mod sidecar;

pub use delivery::{content_disposition, content_type, download_name};
pub use installer_name::{InstallerName, InvalidInstallerName};
pub use key::{FactoryIdentity, asset_key};
pub use path::{AssetPath, InvalidPath, Target};
pub use quote::quoted;
pub use sidecar::{Sidecar, split_sidecar};
