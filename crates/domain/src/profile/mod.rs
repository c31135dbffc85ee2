//! Profiles: what exactly to build.
//!
//! A path gives a [`Request`]; [`enhance`] adds a schematic and a version and makes it a [`Profile`];
//! [`fill_defaults`] settles what nobody chose. These steps are those of the reference. What we refuse
//! beyond it stands in [`check_request`] and [`check_profile`], what users should know in [`ignored`].

mod built_in;
mod defaults;
mod enhance;
mod ignored;
mod model;
mod overlay;
mod support;

pub use built_in::{BuiltIn, built_in, built_in_image};
pub use defaults::{disk_size, effective_bootloader, fill_defaults, inner_file_name};
pub use enhance::{EnhanceInputs, Lookups, ProfileError, SecureBootService, enhance};
pub use ignored::{Ignored, ignored};
pub use model::{
    Compression, DiskFormat, EnrollKeys, ExtensionInput, ImageOptions, InvalidEnrollKeys, IsoOptions, Kind,
    Output, Profile, Request, SecureBootInput,
};
pub use overlay::{InvalidOverlayProfile, OverlayProfile};
pub use support::{InvalidProfile, Refusal, check_offered, check_profile, check_request, validate};

/// The product's name in texts and file names.
pub const PRODUCT: &str = "Talos";
