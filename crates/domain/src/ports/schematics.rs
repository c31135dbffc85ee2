//! Where schematics live.

use async_trait::async_trait;
use bytes::Bytes;

use super::StoreError;
use crate::schematic::SchematicId;

/// Keeps schematics for ever. A schematic is its canonical bytes; its id is their SHA-256.
#[async_trait]
pub trait SchematicStore: Send + Sync {
    /// The canonical bytes, checked against the id, or `None` when there is no such schematic.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot answer or holds other bytes under this id.
    async fn get(&self, id: &SchematicId) -> Result<Option<Bytes>, StoreError>;

    /// Keeps the canonical bytes under their id; they are durable when this returns. Says whether they
    /// were there already.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be kept.
    async fn put(&self, id: &SchematicId, canonical: Bytes) -> Result<bool, StoreError>;

    /// What keeps the store from answering, when it lies elsewhere and did not the last time.
    fn trouble(&self) -> Option<String> {
        None
    }
}
