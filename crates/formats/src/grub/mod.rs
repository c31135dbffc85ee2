//! GRUB on boot media: fix-ups of its boot images.
//!
//! The images come from GRUB's own tools and are the same for every request; what differs from medium
//! to medium are the sector numbers inside of them.

mod images;

pub use images::{
    BOOT_CODE_LEN, GrubImageError, core_image, disk_boot_code, eltorito_image, hybrid_boot_code,
};

#[cfg(test)]
pub(crate) mod tests;
