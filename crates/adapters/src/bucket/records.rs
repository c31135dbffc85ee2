//! Records that factories share, in a bucket.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use factory_domain::ports::{SharedRecords, StoreError};

use super::client::{Bucket, Failure, Written};

/// Longest record.
const MAX_RECORD: usize = 1 << 20;

/// Type of a record.
const JSON: &str = "application/json";

/// Records below `records/`.
pub struct BucketRecords {
    bucket: Arc<Bucket>,
}

impl BucketRecords {
    /// Records in this bucket.
    pub fn new(bucket: Arc<Bucket>) -> Self {
        Self { bucket }
    }
}

fn key(repository: &str, name: &str) -> String {
    format!("records/{repository}/{name}")
}

pub(super) fn store_error(what: String, error: &Failure) -> StoreError {
    StoreError::Failed { what, reason: error.to_string() }
}

#[async_trait]
impl SharedRecords for BucketRecords {
    fn name(&self) -> &str {
        self.bucket.name()
    }

    async fn get(&self, repository: &str, name: &str) -> Result<Option<Bytes>, StoreError> {
        let key = key(repository, name);
        match self.bucket.get(&key, MAX_RECORD).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Failure::NotFound) => Ok(None),
            Err(error) => Err(store_error(format!("reading {key} from {}", self.name()), &error)),
        }
    }

    async fn put_new(&self, repository: &str, name: &str, value: Bytes) -> Result<Bytes, StoreError> {
        let key = key(repository, name);
        let failed = |error: Failure| store_error(format!("writing {key} to {}", self.name()), &error);
        match self.bucket.put_new(&key, &value, JSON).await.map_err(failed)? {
            Written::New => Ok(value),
            Written::Existed => Ok(self.get(repository, name).await?.unwrap_or(value)),
        }
    }
}
