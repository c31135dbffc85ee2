//! Digests of whole layouts, by one pass over their bytes in constant memory.

use std::fmt;
use std::io;

use sha2::{Sha256, Sha512};

use crate::layout::{Layout, Piece, ReadBlob};

/// A hash function of FIPS 180-4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashFunction {
    /// SHA-256: names of OCI blobs, manifests of OVA archives, `.sha256`.
    Sha256,
    /// SHA-512: `.sha512`.
    Sha512,
}

impl fmt::Display for HashFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        })
    }
}

/// Bytes that are read at a time.
const BUFFER: usize = 1 << 20;

/// The digest of a layout's bytes: 32 or 64 bytes.
///
/// # Errors
/// Those of the blobs.
pub fn hash_layout(layout: &Layout, function: HashFunction, blobs: &dyn ReadBlob) -> io::Result<Vec<u8>> {
    match function {
        HashFunction::Sha256 => digest::<Sha256>(layout, blobs),
        HashFunction::Sha512 => digest::<Sha512>(layout, blobs),
    }
}

fn digest<H: sha2::Digest>(layout: &Layout, blobs: &dyn ReadBlob) -> io::Result<Vec<u8>> {
    let (mut hash, mut buffer) = (H::new(), vec![0; BUFFER]);
    let zeros = vec![0; BUFFER];
    let mut cursor = layout.cursor(0, layout.len());
    loop {
        match cursor.next(blobs, &mut buffer)? {
            Piece::Data(len) => hash.update(&buffer[..len]),
            Piece::Zeros(mut left) => {
                while left > 0 {
                    let now = left.min(BUFFER as u64);
                    hash.update(&zeros[..now as usize]);
                    left -= now;
                }
            }
            Piece::End => return Ok(hash.finalize().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LayoutBuilder;
    use sha2::Digest as _;

    use crate::testing::{MemoryBlobs, noise};

    #[test]
    fn digests_are_those_of_the_bytes() {
        let mut blobs = MemoryBlobs::new();
        let mut builder = LayoutBuilder::new();
        builder.bytes(vec![1, 2, 3]).zero((3 << 20) + 5);
        builder.append(&blobs.layout(noise((2 << 20) + 1, 9)));
        let layout = builder.build();
        let bytes = layout.to_vec(&blobs).unwrap();
        let of = |function| hash_layout(&layout, function, &blobs).unwrap();
        assert_eq!(of(HashFunction::Sha256), Sha256::digest(&bytes).to_vec());
        assert_eq!(of(HashFunction::Sha512), Sha512::digest(&bytes).to_vec());
    }

    #[test]
    fn a_missing_blob_is_an_error() {
        let layout = Layout::from_blob(crate::Digest::of(b"x"), 1);
        assert!(hash_layout(&layout, HashFunction::Sha256, &MemoryBlobs::new()).is_err());
    }
}
