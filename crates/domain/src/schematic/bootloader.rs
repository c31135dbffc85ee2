//! The boot loader a schematic asks for.

use std::fmt;
use std::str::FromStr;

/// Boot loader of a disk image or ISO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Bootloader {
    /// Not chosen: version and architecture decide.
    #[default]
    None,
    /// GRUB for BIOS and systemd-boot for UEFI.
    DualBoot,
    /// systemd-boot, UEFI only.
    SdBoot,
    /// GRUB for both.
    Grub,
}

/// A text that names no boot loader.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} does not belong to BootloaderKind values")]
pub struct InvalidBootloader(pub String);

impl Bootloader {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::DualBoot, Self::SdBoot, Self::Grub];

    /// The name in a schematic.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::DualBoot => "dual-boot",
            Self::SdBoot => "sd-boot",
            Self::Grub => "grub",
        }
    }
}

impl FromStr for Bootloader {
    type Err = InvalidBootloader;

    /// Reads a name in any case. `auto`, which the documentation of schematics names, means that none
    /// was chosen.
    fn from_str(text: &str) -> Result<Self, InvalidBootloader> {
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::None);
        }
        Self::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| InvalidBootloader(text.to_owned()))
    }
}

impl fmt::Display for Bootloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_in_any_case() {
        for kind in Bootloader::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(kind.to_string().to_uppercase().parse(), Ok(kind));
        }
        assert_eq!("Auto".parse(), Ok(Bootloader::None));
        let error = "lilo".parse::<Bootloader>().unwrap_err();
        assert_eq!(error.to_string(), "lilo does not belong to BootloaderKind values");
    }
}
