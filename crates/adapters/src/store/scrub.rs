//! Reading blobs again to find out whether the disk still holds what was written.

use factory_domain::ports::{BlobStore, FactoryBlobs, StoreError};
use factory_formats::{Digest, ReadBlob};
use sha2::{Digest as _, Sha256};

use super::EmbeddedStore;

/// Bytes read at a time.
const BUFFER_BYTES: usize = 256 << 10;

impl EmbeddedStore {
    /// Reads a blob and compares its digest. It is held meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not what its name says; it is removed then, with the records
    /// that need it. [`StoreError::Missing`] when there is no such blob.
    pub fn verify(&self, digest: &Digest) -> Result<(), StoreError> {
        let _held = self.lease(&[*digest])?;
        let info = self.stat(digest)?.ok_or(StoreError::Missing(*digest))?;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut hash = Sha256::new();
        let mut at = 0;
        while at < info.size {
            let len = (info.size - at).min(BUFFER_BYTES as u64) as usize;
            let Some(bytes) = buffer.get_mut(..len) else { break };
            self.read_exact_at(digest, at, bytes).map_err(|error| StoreError::Damaged {
                what: format!("blob {digest}"),
                reason: error.to_string(),
            })?;
            hash.update(&*bytes);
            at += len as u64;
        }
        let got = Digest::from_bytes(hash.finalize().into());
        if got == *digest {
            return Ok(());
        }
        Err(self.shared.condemn(digest, format!("its bytes have the digest {got}")))
    }

    /// Digests of all blobs, so that someone can [`Self::verify`] them one after the other.
    pub fn digests(&self) -> Vec<Digest> {
        self.shared.state().digests()
    }
}
