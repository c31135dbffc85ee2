//! Bytes that were announced by their digest and length, checked while they come.

use crate::{Digest, Digester};

/// What came is not what was announced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unexpected {
    /// There are more bytes than these.
    #[error("it has more than {0} bytes")]
    Longer(u64),
    /// It ended too early.
    #[error("it has {came} bytes, not {announced}")]
    Shorter {
        /// Bytes that came.
        came: u64,
        /// Bytes that were announced.
        announced: u64,
    },
    /// There are other bytes.
    #[error("its bytes have the digest {0}")]
    Other(Digest),
}

/// Checks pieces of what was announced, in their order.
#[derive(Clone)]
pub struct Expected {
    digest: Digest,
    size: u64,
    digester: Digester,
    at: u64,
}

impl Expected {
    /// Expects `size` bytes with this digest.
    pub fn new(digest: Digest, size: u64) -> Self {
        Self { digest, size, digester: Digester::default(), at: 0 }
    }

    /// What is expected.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Bytes that came so far.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The next piece.
    ///
    /// # Errors
    /// [`Unexpected::Longer`] as soon as there are more bytes than were announced.
    pub fn take(&mut self, piece: &[u8]) -> Result<(), Unexpected> {
        self.at = self.at.saturating_add(piece.len() as u64);
        if self.at > self.size {
            return Err(Unexpected::Longer(self.size));
        }
        self.digester.update(piece);
        Ok(())
    }

    /// There is no further piece.
    ///
    /// # Errors
    /// [`Unexpected`] when the bytes that came are not those that were announced.
    pub fn finish(&mut self) -> Result<(), Unexpected> {
        if self.at != self.size {
            return Err(Unexpected::Shorter { came: self.at, announced: self.size });
        }
        let found = std::mem::take(&mut self.digester).finish();
        if found == self.digest { Ok(()) } else { Err(Unexpected::Other(found)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_announced_is_accepted() {
        let (digest, other) = (Digest::of(b"bytes"), Digest::of(b"BYTES"));
        let told = |size: u64, pieces: &[&[u8]]| {
            let mut expected = Expected::new(digest, size);
            pieces.iter().try_for_each(|piece| expected.take(piece)).and_then(|()| expected.finish())
        };
        assert_eq!(told(5, &[b"by", b"", b"tes"]), Ok(()));
        assert_eq!(told(5, &[b"bytes", b"!"]), Err(Unexpected::Longer(5)));
        assert_eq!(told(5, &[b"byte"]), Err(Unexpected::Shorter { came: 4, announced: 5 }));
        assert_eq!(told(5, &[b"BYTES"]), Err(Unexpected::Other(other)));
        assert_eq!(told(0, &[]), Err(Unexpected::Other(Digest::of(b""))));
    }
}
