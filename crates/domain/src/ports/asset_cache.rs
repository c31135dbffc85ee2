//! Whole assets kept elsewhere: to take load off the factory, and to go on when the source of releases is down.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use factory_formats::Digest;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

/// A whole asset as a cache knows it: enough to answer a request without planning anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CachedAsset {
    /// What it was asked for as ([`crate::asset::asset_key`]).
    pub key: Digest,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// The strong entity tag, with its quotes, under which the factory itself sends it.
    pub etag: String,
    /// Media type.
    pub content_type: String,
    /// The name under which clients keep it when they wish for no other.
    pub file_name: String,
}

/// Why a cache did not do what it should. Nothing of this keeps an asset from being sent: it is made as if
/// there were no cache.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// It does not answer, or with an error of its own.
    #[error("{cache} failed at {what}: {reason}")]
    Unavailable {
        /// Which cache.
        cache: String,
        /// What was being done.
        what: String,
        /// What happened.
        reason: String,
    },
    /// It holds other bytes than those that were put there.
    #[error("{cache} holds a damaged {what}: {reason}")]
    Damaged {
        /// Which cache.
        cache: String,
        /// Of what.
        what: String,
        /// How that was noticed.
        reason: String,
    },
}

/// The bytes of an asset on their way into a cache.
pub type AssetBody = BoxStream<'static, io::Result<Bytes>>;

/// The bytes of an asset out of a cache. Whoever reads them checks the digest.
pub type AssetStream = BoxStream<'static, Result<Bytes, CacheError>>;

/// A place for whole assets. What it says about an asset is signed with the factory's key; what is not, or not
/// by this key, is as good as not there.
#[async_trait]
pub trait AssetCache: Send + Sync {
    /// A name for messages and metrics: `bucket images`, `registry r.example.com`.
    fn name(&self) -> &str;

    /// What is kept under a key, and still there as far as a look from outside tells.
    ///
    /// # Errors
    /// [`CacheError`] when that cannot be told.
    async fn lookup(&self, key: &Digest) -> Result<Option<CachedAsset>, CacheError>;

    /// Keeps an asset. The bytes are content-addressed, and are read to their end only when they are not there
    /// yet. When this returns, [`Self::lookup`] finds it, on every factory with the same key.
    ///
    /// # Errors
    /// [`CacheError`] when it could not be kept, or `body` failed.
    async fn publish(&self, asset: &CachedAsset, body: AssetBody) -> Result<(), CacheError>;

    /// The bytes of an asset, from the first on.
    ///
    /// # Errors
    /// [`CacheError`] when they cannot be had.
    async fn open(&self, asset: &CachedAsset) -> Result<AssetStream, CacheError>;

    /// Whether [`Self::link`] ever gives one.
    fn gives_links(&self) -> bool;

    /// An address at which a client gets the asset for some time, with this `Content-Disposition`; `None` when
    /// this cache gives none.
    ///
    /// # Errors
    /// [`CacheError`] when there should be one.
    async fn link(&self, asset: &CachedAsset, disposition: &str) -> Result<Option<String>, CacheError>;
}
