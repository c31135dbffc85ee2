//! Schematics in a bucket, for factories that share it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use factory_domain::ports::{SchematicStore, StoreError};
use factory_domain::schematic::SchematicId;
use factory_formats::Digest;

use super::client::{Bucket, Failure, Written};
use super::records::store_error;
use crate::store::check_schematic;

/// Longest schematic that is read.
const MAX_SCHEMATIC: usize = 8 << 20;

/// Type of a schematic.
const YAML: &str = "application/yaml";

/// Schematics below `schematics/`.
pub struct BucketSchematics {
    bucket: Arc<Bucket>,
}

impl BucketSchematics {
    /// Schematics in this bucket.
    pub fn new(bucket: Arc<Bucket>) -> Self {
        Self { bucket }
    }
}

fn key(id: &SchematicId) -> String {
    format!("schematics/{id}")
}

#[async_trait]
impl SchematicStore for BucketSchematics {
    async fn get(&self, id: &SchematicId) -> Result<Option<Bytes>, StoreError> {
        let bytes = match self.bucket.get(&key(id), MAX_SCHEMATIC).await {
            Ok(bytes) => bytes,
            Err(Failure::NotFound) => return Ok(None),
            Err(error) => {
                let what = format!("reading schematic {id} from {}", self.bucket.name());
                return Err(store_error(what, &error));
            }
        };
        if Digest::of(&bytes) == *id.digest() {
            return Ok(Some(bytes));
        }
        Err(StoreError::Damaged {
            what: format!("schematic {id} in {}", self.bucket.name()),
            reason: "the bytes kept under its id have another digest".to_owned(),
        })
    }

    async fn put(&self, id: &SchematicId, canonical: Bytes) -> Result<bool, StoreError> {
        check_schematic(id, &canonical)?;
        let failed =
            |error: Failure| store_error(format!("keeping schematic {id} in {}", self.bucket.name()), &error);
        let written = self.bucket.put_new(&key(id), &canonical, YAML).await.map_err(failed)?;
        if written == Written::New {
            return Ok(false);
        }
        match self.get(id).await {
            Ok(Some(_)) => Ok(true),
            // Something else lies there, or vanished meanwhile.
            Ok(None) | Err(StoreError::Damaged { .. }) => {
                self.bucket.put(&key(id), &canonical, YAML).await.map_err(failed)?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}
