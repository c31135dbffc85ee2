//! Processor architectures.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::asset::quoted;

/// An architecture that Talos boots on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

/// A text that names no architecture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid architecture: {}", quoted(.0))]
pub struct InvalidArch(pub String);

impl Arch {
    /// All of them, in the order in which they are listed to users.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// The name in paths, image platforms and file names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The part of the removable boot path that names the architecture: `X64` in `BOOTX64.EFI`
    /// (UEFI specification 2.10, 3.5.1.1).
    pub const fn efi_suffix(self) -> &'static str {
        match self {
            Self::Amd64 => "X64",
            Self::Arm64 => "AA64",
        }
    }
}

impl FromStr for Arch {
    type Err = InvalidArch;

    /// Accepts our names and what iPXE calls amd64 in `${buildarch}`.
    fn from_str(text: &str) -> Result<Self, InvalidArch> {
        match text {
            "amd64" | "x86_64" | "i386" => Ok(Self::Amd64),
            "arm64" => Ok(Self::Arm64),
            other => Err(InvalidArch(other.to_owned())),
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Arch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Arch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases() {
        for (text, arch) in
            [("amd64", Arch::Amd64), ("x86_64", Arch::Amd64), ("i386", Arch::Amd64), ("arm64", Arch::Arm64)]
        {
            assert_eq!(text.parse(), Ok(arch));
        }
        for arch in Arch::ALL {
            assert_eq!(arch.to_string().parse(), Ok(arch));
            let json = serde_json::to_string(&arch).unwrap();
            assert_eq!(serde_json::from_str::<Arch>(&json).unwrap(), arch);
        }
    }

    #[test]
    fn other_names_are_named_in_the_error() {
        for text in ["", "AMD64", "aarch64", "arm", "amd64 "] {
            let error = text.parse::<Arch>().unwrap_err();
            assert_eq!(error.to_string(), format!("invalid architecture: {text:?}"));
        }
    }
}
