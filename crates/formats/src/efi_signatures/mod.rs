//! Secure Boot's variables: lists of trusted certificates, and the signed files that enroll them
//! (UEFI 2.10, 8.2.2 and 32.4; specification 32, 5).
//!
//! [`database`] says what belongs into `PK`, `KEK` and `db`; [`update`] makes the signed file of one of them,
//! which systemd-boot writes into a firmware in setup mode.

mod lists;
mod update;
mod well_known;

pub use lists::{SignatureList, WellKnown, database, owner_guid};
pub use update::{Update, update};
pub use well_known::{KEK, MICROSOFT, SIGNATURES};

use crate::gpt::Guid;

/// A variable that Secure Boot looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variable {
    /// The platform key: may change the key exchange keys. Setting it ends setup mode.
    Pk,
    /// Key exchange keys: may change the signature database.
    Kek,
    /// The signature database: whose programs may start.
    Db,
}

/// `EFI_GLOBAL_VARIABLE`.
const GLOBAL: Guid = Guid::from_u128(0x8be4df61_93ca_11d2_aa0d_00e098032b8c);
/// `EFI_IMAGE_SECURITY_DATABASE_GUID`.
const SECURITY_DATABASE: Guid = Guid::from_u128(0xd719b2cb_3d3a_4596_a3bc_dad00e67656f);

impl Variable {
    /// All, in the order of trust.
    pub const ALL: [Self; 3] = [Self::Pk, Self::Kek, Self::Db];

    /// The name of the variable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pk => "PK",
            Self::Kek => "KEK",
            Self::Db => "db",
        }
    }

    /// The name of the file that enrolls it.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Pk => "PK.auth",
            Self::Kek => "KEK.auth",
            Self::Db => "db.auth",
        }
    }

    /// Whose name it is.
    pub const fn vendor(self) -> Guid {
        match self {
            Self::Pk | Self::Kek => GLOBAL,
            Self::Db => SECURITY_DATABASE,
        }
    }
}

#[cfg(test)]
mod tests;
