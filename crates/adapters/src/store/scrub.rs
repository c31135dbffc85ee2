//! Reading blobs again to find out whether the disk still holds what was written.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use factory_domain::ports::{BlobStore, FactoryBlobs, StoreError};
use factory_formats::{Digest, ReadBlob};
use sha2::{Digest as _, Sha256};

use super::EmbeddedStore;

/// Bytes read at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// The longest rest between two blobs, so that a store that was nearly empty is looked into again.
const LONGEST_REST: Duration = Duration::from_secs(3600);

impl EmbeddedStore {
    /// Verifies one blob after the other for ever, all of them about once in `round`. Ends when nobody else
    /// holds the store.
    pub async fn keep_verified(self: Arc<Self>, round: Duration) {
        let store = Arc::downgrade(&self);
        drop(self);
        // In another order after each start: a factory that is often started anew gets to all of them too.
        let order = RandomState::new();
        loop {
            let Some(open) = store.upgrade() else { return };
            let mut digests = open.digests();
            drop(open);
            digests.sort_by_cached_key(|digest| order.hash_one(digest));
            let rest = round.div_f64(digests.len().max(1) as f64).min(LONGEST_REST);
            if digests.is_empty() {
                tokio::time::sleep(rest).await;
            }
            for digest in digests {
                tokio::time::sleep(rest).await;
                let Some(open) = store.upgrade() else { return };
                let verified = tokio::task::spawn_blocking(move || open.verify(&digest)).await;
                match verified {
                    Ok(Ok(()) | Err(StoreError::Missing(_))) | Err(_) => {}
                    Ok(Err(error)) => tracing::error!(%error, "found by reading the store again"),
                }
            }
        }
    }

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
