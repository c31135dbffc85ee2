//! Whole assets in a bucket: their bytes by digest, and a signed reference by key.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use factory_domain::ports::{AssetBody, AssetCache, AssetStream, CacheError, CachedAsset, Signer};
use factory_formats::Digest;
use factory_formats::expected::Expected;
use futures_util::StreamExt as _;
use moka::sync::Cache;

use super::cdn::Cdn;
use super::client::{Bucket, Failure, Written};
use super::reference::Reference;
use crate::cosign::{HashAlgorithm, InvalidPublicKey, PublicKey};

/// Longest reference that is read.
const MAX_REFERENCE: usize = 64 << 10;

/// References whose signature was checked and that are remembered.
const MAX_REMEMBERED: u64 = 10_000;

/// Type of a reference.
const JSON: &str = "application/json";

/// Whole assets in a bucket.
pub struct S3Cache {
    bucket: Arc<Bucket>,
    signer: Arc<dyn Signer>,
    key: PublicKey,
    /// How long a link is good for.
    lifetime: Duration,
    cdn: Option<Cdn>,
    /// What was read and verified. An object is looked at each time, its reference once.
    verified: Cache<Digest, Arc<Reference>>,
}

fn object(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("blobs/sha256/{}/{hex}", hex.get(..2).unwrap_or_default())
}

fn reference(key: &Digest) -> String {
    format!("refs/{}", key.hex())
}

impl S3Cache {
    /// Assets in `bucket`, signed and checked with `signer`'s key. Links are good for `lifetime`, and lead to
    /// `cdn` when there is one.
    ///
    /// # Errors
    /// [`InvalidPublicKey`] when the key's public half cannot be used.
    pub fn new(
        bucket: Arc<Bucket>,
        signer: Arc<dyn Signer>,
        lifetime: Duration,
        cdn: Option<Cdn>,
    ) -> Result<Self, InvalidPublicKey> {
        let key = PublicKey::from_pem(signer.public_key_pem(), HashAlgorithm::Sha256)?;
        let verified = Cache::new(MAX_REMEMBERED);
        Ok(Self { bucket, signer, key, lifetime, cdn, verified })
    }

    fn failed(&self, what: impl Into<String>) -> impl FnOnce(Failure) -> CacheError {
        let cache = self.bucket.name().to_owned();
        let what = what.into();
        move |error| CacheError::Unavailable { cache, what, reason: error.to_string() }
    }

    /// What is written about a key, when it counts.
    async fn read_reference(&self, key: &Digest) -> Result<Option<Arc<Reference>>, CacheError> {
        let name = reference(key);
        let bytes = match self.bucket.get(&name, MAX_REFERENCE).await {
            Ok(bytes) => bytes,
            Err(Failure::NotFound) => return Ok(None),
            Err(error) => return Err(self.failed(format!("reading {name}"))(error)),
        };
        match Reference::open(&bytes, &self.key, key) {
            Ok(read) => Ok(Some(Arc::new(read))),
            Err(unfit) => {
                tracing::warn!(bucket = self.bucket.name(), name, %unfit, "a reference is not used");
                Ok(None)
            }
        }
    }

    /// Whether the object of a reference looks as it did when it was written.
    async fn is_there(&self, found: &Reference) -> Result<bool, CacheError> {
        let name = object(&found.asset.digest);
        match self.bucket.head(&name).await {
            Ok(info) if info.size == found.asset.size && info.etag == found.object_etag => Ok(true),
            Ok(info) => {
                let bucket = self.bucket.name();
                tracing::warn!(bucket, name, ?info, "an object was written over: it is not used");
                Ok(false)
            }
            Err(Failure::NotFound) => Ok(false),
            Err(error) => Err(self.failed(format!("looking at {name}"))(error)),
        }
    }

    /// Whether the bytes of an object are what its name says.
    async fn is_right(&self, asset: &CachedAsset) -> Result<bool, Failure> {
        let name = object(&asset.digest);
        match self.bucket.head(&name).await {
            Ok(info) if info.size == asset.size => {}
            Ok(_) | Err(Failure::NotFound) => return Ok(false),
            Err(error) => return Err(error),
        }
        let mut expected = Expected::new(asset.digest, asset.size);
        let mut stream = self.bucket.stream(&name).await?;
        while let Some(piece) = stream.next().await {
            if expected.take(&piece?).is_err() {
                return Ok(false);
            }
        }
        Ok(expected.finish().is_ok())
    }
}

#[async_trait]
impl AssetCache for S3Cache {
    fn name(&self) -> &str {
        self.bucket.name()
    }

    async fn lookup(&self, key: &Digest) -> Result<Option<CachedAsset>, CacheError> {
        let found = match self.verified.get(key) {
            Some(found) => found,
            None => match self.read_reference(key).await? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        if !self.is_there(&found).await? {
            // Another factory may have written another reference meanwhile.
            self.verified.invalidate(key);
            return Ok(None);
        }
        self.verified.insert(*key, Arc::clone(&found));
        Ok(Some(found.asset.clone()))
    }

    async fn publish(&self, asset: &CachedAsset, body: AssetBody) -> Result<(), CacheError> {
        let name = object(&asset.digest);
        // Another factory, or another path with the same bytes, may have put them there. Only reading them tells.
        let is_right = self.is_right(asset).await.map_err(self.failed(format!("reading {name}")))?;
        if !is_right {
            self.bucket.upload(&name, body).await.map_err(self.failed(format!("writing {name}")))?;
        }
        let info = self.bucket.head(&name).await.map_err(self.failed(format!("looking at {name}")))?;
        let written = Reference { asset: asset.clone(), object_etag: info.etag };
        let sealed = written.seal(&*self.signer).map_err(|error| CacheError::Unavailable {
            cache: self.name().to_owned(),
            what: format!("signing the reference to {name}"),
            reason: error.to_string(),
        })?;
        let reference_name = reference(&asset.key);
        let write = self.bucket.put_new(&reference_name, &sealed, JSON).await;
        let write = write.map_err(self.failed(format!("writing {reference_name}")))?;
        if write == Written::Existed {
            let there = self.read_reference(&asset.key).await?;
            let is_same = there.as_ref().is_some_and(|there| **there == written);
            if !is_same {
                if let Some(there) = there.filter(|there| there.asset.digest != asset.digest) {
                    let (was, is) = (there.asset.digest, asset.digest);
                    tracing::warn!(name = reference_name, %was, %is, "the same request leads to other bytes now");
                }
                let write = self.bucket.put(&reference_name, &sealed, JSON).await;
                write.map_err(self.failed(format!("writing {reference_name}")))?;
            }
        }
        self.verified.invalidate(&asset.key);
        Ok(())
    }

    async fn open(&self, asset: &CachedAsset) -> Result<AssetStream, CacheError> {
        let name = object(&asset.digest);
        let what = format!("reading {name}");
        let stream = self.bucket.stream(&name).await.map_err(self.failed(&*what))?;
        let cache = self.name().to_owned();
        let told = move |error: Failure| CacheError::Unavailable {
            cache: cache.clone(),
            what: what.clone(),
            reason: error.to_string(),
        };
        Ok(stream.map(move |piece| piece.map_err(&told)).boxed())
    }

    fn gives_links(&self) -> bool {
        true
    }

    async fn link(&self, asset: &CachedAsset, disposition: &str) -> Result<Option<String>, CacheError> {
        let name = object(&asset.digest);
        let link = self.bucket.presign(&name, self.lifetime, &asset.content_type, disposition).await;
        let link = link.map_err(self.failed(format!("signing an address of {name}")))?;
        Ok(match &self.cdn {
            Some(cdn) => cdn.rewrite(&link),
            None => Some(link),
        })
    }
}
