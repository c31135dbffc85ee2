//! GRUB on boot media: fix-ups of its boot images, and its configuration files.
//!
//! The images come from GRUB's own tools and are the same for every request; what differs from medium
//! to medium are the sector numbers inside of them.

mod config;
mod images;

pub use config::{ConfigError, disk_config, iso_config};
pub use images::{
    BOOT_CODE_LEN, GrubImageError, core_image, disk_boot_code, eltorito_image, hybrid_boot_code,
};

#[cfg(test)]
pub(crate) mod tests;
