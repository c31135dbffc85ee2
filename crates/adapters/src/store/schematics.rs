//! Schematics, in the index: they are small, never evicted, and must not get lost.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use factory_domain::ports::{SchematicStore, StoreError};
use factory_domain::schematic::SchematicId;
use factory_formats::Digest;

use super::EmbeddedStore;

#[async_trait]
impl SchematicStore for EmbeddedStore {
    async fn get(&self, id: &SchematicId) -> Result<Option<Bytes>, StoreError> {
        let Some(bytes) = self.shared.index.schematic(id.digest())? else { return Ok(None) };
        if Digest::of(&bytes) == *id.digest() {
            return Ok(Some(bytes.into()));
        }
        // It stays: somebody may know what to make of it, and putting the schematic again replaces it.
        Err(StoreError::Damaged {
            what: format!("schematic {id}"),
            reason: "the bytes kept under its id have another digest".to_owned(),
        })
    }

    async fn put(&self, id: &SchematicId, canonical: Bytes) -> Result<bool, StoreError> {
        check_schematic(id, &canonical)?;
        let shared = Arc::clone(&self.shared);
        let id = *id;
        // The index waits for the disk.
        let put = tokio::task::spawn_blocking(move || {
            if shared.index.schematic(id.digest())?.is_some_and(|kept| kept == canonical) {
                return Ok(true);
            }
            shared.put_schematic(id.digest(), &canonical)?;
            Ok(false)
        });
        put.await.unwrap_or_else(|error| {
            Err(StoreError::Failed { what: format!("keeping schematic {id}"), reason: error.to_string() })
        })
    }
}

/// Refuses bytes that are not the schematic of this id.
pub(crate) fn check_schematic(id: &SchematicId, canonical: &[u8]) -> Result<(), StoreError> {
    let got = SchematicId::of(canonical);
    if got == *id {
        return Ok(());
    }
    Err(StoreError::Mismatch { expected: format!("schematic {id}"), got: format!("schematic {got}") })
}
