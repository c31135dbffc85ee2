//! One place for assets: what is known about it, and when it is left alone.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use factory_domain::ports::{AssetCache, CacheError, Clock};
use factory_formats::Digest;

use crate::lock::lock;

/// How long a place that failed is not asked again. Requests do not wait for it meanwhile.
const PAUSE: Duration = Duration::from_secs(5);

/// Assets remembered as kept.
const MAX_KEPT: usize = 50_000;

/// One place for assets.
pub(super) struct Leg {
    pub cache: Arc<dyn AssetCache>,
    clock: Arc<dyn Clock>,
    trouble: Mutex<Option<Trouble>>,
    /// What was kept, by key, with the entity tag of its plan.
    kept: Mutex<HashMap<Digest, String>>,
}

struct Trouble {
    text: String,
    /// Since 1970.
    until: Duration,
}

impl Leg {
    pub fn new(cache: Arc<dyn AssetCache>, clock: Arc<dyn Clock>) -> Self {
        Self { cache, clock, trouble: Mutex::default(), kept: Mutex::default() }
    }

    /// What keeps it from answering, as far as is known.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.trouble).as_ref().map(|trouble| trouble.text.clone())
    }

    /// Whether it failed a moment ago.
    pub fn is_left_alone(&self) -> bool {
        lock(&self.trouble).as_ref().is_some_and(|trouble| self.clock.since_epoch() < trouble.until)
    }

    /// An answer of the place; `None` when it is left alone or has none.
    pub async fn ask<T>(&self, what: &str, answer: impl Future<Output = Result<T, CacheError>>) -> Option<T> {
        if self.is_left_alone() {
            return None;
        }
        match answer.await {
            Ok(answer) => {
                if lock(&self.trouble).take().is_some() {
                    tracing::info!(cache = self.cache.name(), "answers again");
                }
                Some(answer)
            }
            Err(error) => {
                let backend = self.cache.name().to_owned();
                metrics::counter!("image_factory_cache_errors_total", "backend" => backend).increment(1);
                tracing::warn!(%error, what, "a cache is left alone for a while");
                let until = self.clock.since_epoch() + PAUSE;
                *lock(&self.trouble) = Some(Trouble { text: error.to_string(), until });
                None
            }
        }
    }

    /// Whether an asset is known to be kept there.
    pub fn has(&self, key: &Digest, etag: &str) -> bool {
        lock(&self.kept).get(key).is_some_and(|kept| kept == etag)
    }

    /// Remembers that an asset is kept there.
    pub fn remember(&self, key: Digest, etag: String) {
        let mut kept = lock(&self.kept);
        if kept.len() >= MAX_KEPT {
            // Each costs one look to be known again.
            kept.clear();
        }
        kept.insert(key, etag);
    }

    /// Does not know any more whether an asset is kept there.
    pub fn forget(&self, key: &Digest) {
        lock(&self.kept).remove(key);
    }
}
