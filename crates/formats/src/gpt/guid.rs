//! GUIDs, and those that are made from a label so that images stay reproducible.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// A GUID, its bytes in the order of its text form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid([u8; 16]);

/// A text that is not a GUID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a GUID: expected 32 hex digits as 8-4-4-4-12")]
pub struct InvalidGuid(pub String);

impl Guid {
    /// The GUID whose text form has these hex digits.
    pub const fn from_u128(digits: u128) -> Self {
        Self(digits.to_be_bytes())
    }

    /// The GUID of a label: a UUID of version 8 out of SHA-256 over 16 zero bytes and the label
    /// (specification 41, 3.3). Every image of the world has the same ones; nodes find partitions by
    /// name, and the XFS file system has the GUID of its partition as UUID.
    pub fn of_label(label: &str) -> Self {
        Self::of_hash(&Sha256::new().chain_update([0; 16]).chain_update(label).finalize().into(), 8)
    }

    /// The UUID of this version (RFC 9562, 4.2) out of the first half of a SHA-256.
    pub(crate) fn of_hash(hash: &[u8; 32], version: u8) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        bytes[6] = (bytes[6] & 0x0F) | (version << 4);
        bytes[8] = (bytes[8] & 0x3F) | 0x80;
        Self(bytes)
    }

    /// The bytes in the order of the text form, as file systems keep UUIDs.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The bytes as GPT and UEFI keep them: the first three groups are little-endian.
    pub const fn mixed_endian(&self) -> [u8; 16] {
        let [a, b, c, d, e, f, g, h, rest @ ..] = self.0;
        let [i, j, k, l, m, n, o, p] = rest;
        [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = hex::encode(self.0);
        let (a, rest) = hex.split_at(8);
        let (b, rest) = rest.split_at(4);
        let (c, rest) = rest.split_at(4);
        let (d, e) = rest.split_at(4);
        write!(f, "{a}-{b}-{c}-{d}-{e}")
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Guid {
    type Err = InvalidGuid;

    fn from_str(text: &str) -> Result<Self, InvalidGuid> {
        let invalid = || InvalidGuid(text.chars().take(100).collect());
        let groups: Vec<&str> = text.split('-').collect();
        if groups.iter().map(|group| group.len()).ne([8, 4, 4, 4, 12]) {
            return Err(invalid());
        }
        let mut bytes = [0; 16];
        hex::decode_to_slice(groups.concat(), &mut bytes).map_err(|_| invalid())?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_give_the_known_guids() {
        for (label, guid) in [
            ("EFI", "bca5174b-0118-8a6a-af0b-2c6e1585acae"),
            ("BOOT", "24c73076-4092-85dd-9d98-686a2dbf6d81"),
            ("EPHEMERAL", "c5e02400-0e5e-80bc-99ec-53b3e45ad6c4"),
            ("talos-image-disk", "d92d45b3-cde9-8760-be9f-a2a71fac8d11"),
        ] {
            assert_eq!(Guid::of_label(label).to_string(), guid);
            assert_eq!(guid.to_uppercase().parse(), Ok(Guid::of_label(label)));
        }
    }

    #[test]
    fn the_disk_form_swaps_three_groups() {
        let guid: Guid = "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap();
        assert_eq!(hex::encode(guid.mixed_endian()), "33221100554477668899aabbccddeeff");
        assert_eq!(hex::encode(guid.as_bytes()), "00112233445566778899aabbccddeeff");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "0011223344556677-8899-aabbccddeeff", "0011223-34455-6677-8899-aabbccddeeff", "x"] {
            assert!(text.parse::<Guid>().is_err(), "{text}");
        }
        assert!("g0112233-4455-6677-8899-aabbccddeeff".parse::<Guid>().is_err());
    }
}
