use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use factory_adapters::testing::HandClock;
use factory_domain::ports::{AssetBody, AssetStream, CacheError};
use futures_util::{StreamExt as _, stream};

use super::*;

/// A place in memory that fails when it is told to.
#[derive(Default)]
struct Place {
    assets: Mutex<HashMap<Digest, CachedAsset>>,
    bytes: Mutex<Vec<u8>>,
    is_down: AtomicBool,
    asked: AtomicUsize,
}

impl Place {
    fn check(&self) -> Result<(), CacheError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if !self.is_down.load(Ordering::SeqCst) {
            return Ok(());
        }
        let (cache, what) = ("place".to_owned(), "all".to_owned());
        Err(CacheError::Unavailable { cache, what, reason: "told to".to_owned() })
    }
}

#[async_trait]
impl AssetCache for Place {
    fn name(&self) -> &str {
        "place"
    }

    async fn lookup(&self, key: &Digest) -> Result<Option<CachedAsset>, CacheError> {
        self.check()?;
        Ok(self.assets.lock().unwrap().get(key).cloned())
    }

    async fn publish(&self, asset: &CachedAsset, _: AssetBody) -> Result<(), CacheError> {
        self.check()?;
        self.assets.lock().unwrap().insert(asset.key, asset.clone());
        Ok(())
    }

    async fn open(&self, _: &CachedAsset) -> Result<AssetStream, CacheError> {
        self.check()?;
        let pieces: Vec<_> =
            self.bytes.lock().unwrap().chunks(3).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Ok(stream::iter(pieces).boxed())
    }

    fn gives_links(&self) -> bool {
        true
    }

    async fn link(&self, asset: &CachedAsset, disposition: &str) -> Result<Option<String>, CacheError> {
        self.check()?;
        Ok(Some(format!("http://place/{}?{disposition}", asset.digest)))
    }
}

fn asset(bytes: &[u8]) -> CachedAsset {
    CachedAsset {
        key: Digest::of(b"key"),
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        etag: "\"e\"".to_owned(),
        content_type: "application/x-xz".to_owned(),
        file_name: "a.xz".to_owned(),
    }
}

/// What comes out of a place that holds `held` for an asset of `bytes`, and whether all of it did.
async fn read(bytes: &[u8], held: &[u8], damaged: &Arc<Damaged>) -> (Vec<u8>, bool) {
    let place = Place { bytes: Mutex::new(held.to_vec()), ..Place::default() };
    let asset = asset(bytes);
    let stream = place.open(&asset).await.unwrap();
    let mut stream = CheckedStream::new(stream, &asset, Arc::clone(damaged));
    let mut got = Vec::new();
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => got.extend_from_slice(&piece),
            Err(_) => return (got, false),
        }
    }
    (got, true)
}

#[tokio::test]
async fn wrong_bytes_never_come_whole() {
    let damaged = Arc::new(Damaged::default());
    let right = b"0123456789";
    assert_eq!(read(right, right, &damaged).await, (right.to_vec(), true));
    assert!(!damaged.holds(&Digest::of(right)));
    for held in [&b"0123456780"[..], b"x123456789", b"012345678", b"0123456789a", b""] {
        damaged.forget(&Digest::of(right));
        let (got, is_whole) = read(right, held, &damaged).await;
        assert!(!is_whole && got.len() < right.len(), "{held:?}: {got:?}");
        assert!(damaged.holds(&Digest::of(right)), "{held:?} is not noticed");
    }
    assert_eq!(read(b"", b"", &damaged).await, (Vec::new(), true));
}

#[tokio::test]
async fn a_place_that_fails_is_left_alone_for_a_while() {
    let (place, clock) = (Arc::new(Place::default()), Arc::new(HandClock::default()));
    let leg = Leg::new(Arc::clone(&place) as _, Arc::clone(&clock) as _);
    let key = Digest::of(b"key");
    let ask = async || leg.ask("asking", place.lookup(&key)).await.is_some();
    assert!(ask().await);
    assert_eq!(leg.trouble(), None);
    place.is_down.store(true, Ordering::SeqCst);
    assert!(!ask().await);
    place.is_down.store(false, Ordering::SeqCst);
    assert!(!ask().await, "nobody waits for it");
    assert_eq!(place.asked.load(Ordering::SeqCst), 2);
    assert!(leg.trouble().is_some_and(|text| text.contains("told to")));
    clock.advance(Duration::from_secs(6));
    assert!(ask().await);
    assert_eq!(leg.trouble(), None);
}
