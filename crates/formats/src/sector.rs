//! Logical sector sizes of disks.

/// Bytes that a disk addresses as one. Nothing else is in use (specification 41, 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SectorSize {
    /// 512 bytes.
    #[default]
    B512,
    /// 4096 bytes, "4Kn" drives.
    B4096,
}

/// A number of bytes that no disk has as its sector size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a sector size: choose 512 or 4096")]
pub struct InvalidSectorSize(pub u64);

impl SectorSize {
    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::B512 => 512,
            Self::B4096 => 4096,
        }
    }
}

impl TryFrom<u64> for SectorSize {
    type Error = InvalidSectorSize;

    fn try_from(bytes: u64) -> Result<Self, InvalidSectorSize> {
        match bytes {
            512 => Ok(Self::B512),
            4096 => Ok(Self::B4096),
            other => Err(InvalidSectorSize(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_sizes_exist() {
        assert_eq!(SectorSize::try_from(512), Ok(SectorSize::B512));
        assert_eq!(SectorSize::try_from(4096).unwrap().bytes(), 4096);
        assert_eq!(SectorSize::try_from(2048), Err(InvalidSectorSize(2048)));
    }
}
