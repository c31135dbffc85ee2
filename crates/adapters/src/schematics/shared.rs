//! Schematics that live somewhere else and are kept here too.
//!
//! What counts is there: nothing is acknowledged before it is kept there. What was once seen is known here, and
//! goes on being known while there does not answer.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use factory_domain::ports::{SchematicStore, StoreError};
use factory_domain::schematic::SchematicId;

/// A store for all factories of a site, and the embedded one in front of it.
pub struct SharedSchematics {
    local: Arc<dyn SchematicStore>,
    shared: Arc<dyn SchematicStore>,
    /// What the last answer of the shared store was, when it was none.
    trouble: Mutex<Option<String>>,
}

impl SharedSchematics {
    /// `shared`, with `local` in front of it.
    pub fn new(local: Arc<dyn SchematicStore>, shared: Arc<dyn SchematicStore>) -> Self {
        Self { local, shared, trouble: Mutex::default() }
    }

    /// Notes how it went.
    fn noted<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        let trouble = answer.as_ref().err().map(ToString::to_string);
        if let Some(trouble) = &trouble {
            metrics::counter!("image_factory_schematic_store_errors_total").increment(1);
            tracing::warn!(error = trouble, "the shared store of schematics does not answer");
        }
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        answer
    }

    async fn keep_here(&self, id: &SchematicId, canonical: Bytes) {
        // It is kept where it counts; the next one who asks tries again.
        if let Err(error) = self.local.put(id, canonical).await {
            tracing::warn!(%id, %error, "a schematic is not kept in the embedded store");
        }
    }
}

#[async_trait]
impl SchematicStore for SharedSchematics {
    async fn get(&self, id: &SchematicId) -> Result<Option<Bytes>, StoreError> {
        match self.local.get(id).await {
            Ok(Some(bytes)) => return Ok(Some(bytes)),
            Ok(None) => {}
            // Putting it again heals what is damaged here.
            Err(error) => tracing::warn!(%id, %error, "asking the shared store instead"),
        }
        let found = self.noted(self.shared.get(id).await)?;
        if let Some(bytes) = &found {
            self.keep_here(id, bytes.clone()).await;
        }
        Ok(found)
    }

    async fn put(&self, id: &SchematicId, canonical: Bytes) -> Result<bool, StoreError> {
        let existed = self.noted(self.shared.put(id, canonical.clone()).await)?;
        self.keep_here(id, canonical).await;
        Ok(existed)
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemoryStore;

    fn store() -> (Arc<MemoryStore>, Arc<MemoryStore>, SharedSchematics) {
        let (local, shared) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
        let both = SharedSchematics::new(Arc::clone(&local) as _, Arc::clone(&shared) as _);
        (local, shared, both)
    }

    fn text(text: &str) -> (SchematicId, Bytes) {
        (SchematicId::of(text.as_bytes()), Bytes::copy_from_slice(text.as_bytes()))
    }

    #[tokio::test]
    async fn what_counts_is_written_first() {
        let (local, shared, both) = store();
        let (id, bytes) = text("a");
        shared.fail_writes(Some(StoreError::Full { reason: "told to".to_owned() }));
        assert!(both.put(&id, bytes.clone()).await.is_err());
        assert!(both.trouble().is_some_and(|trouble| trouble.contains("told to")));
        assert_eq!(local.get(&id).await.unwrap(), None, "it was not acknowledged");
        shared.fail_writes(None);
        assert!(!both.put(&id, bytes.clone()).await.unwrap());
        assert_eq!(both.trouble(), None);
        assert_eq!(shared.get(&id).await.unwrap(), Some(bytes.clone()));
        assert_eq!(local.get(&id).await.unwrap(), Some(bytes.clone()));
        assert!(both.put(&id, bytes).await.unwrap());
    }

    #[tokio::test]
    async fn what_another_factory_wrote_is_found_and_kept() {
        let (local, shared, both) = store();
        let (id, bytes) = text("a");
        shared.put(&id, bytes.clone()).await.unwrap();
        assert_eq!(both.get(&id).await.unwrap(), Some(bytes.clone()));
        assert_eq!(local.get(&id).await.unwrap(), Some(bytes));
        assert_eq!(both.get(&text("b").0).await.unwrap(), None);
    }
}
