//! Small records that several factories share.

use async_trait::async_trait;
use bytes::Bytes;

use super::StoreError;

/// Keeps small records where all factories of one site find them. A name is lower-case hex digits.
#[async_trait]
pub trait SharedRecords: Send + Sync {
    /// A name for messages.
    fn name(&self) -> &str;

    /// What is kept under a name in a repository of installers, `<image>/<schematic>`.
    ///
    /// # Errors
    /// [`StoreError`] when that cannot be told.
    async fn get(&self, repository: &str, name: &str) -> Result<Option<Bytes>, StoreError>;

    /// Keeps a record when there is none of that name, and gives the one that is there afterwards: where several
    /// write at once, all get the same as far as the place can tell them apart.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be kept.
    async fn put_new(&self, repository: &str, name: &str, value: Bytes) -> Result<Bytes, StoreError>;
}
