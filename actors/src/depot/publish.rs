//! Keeping an asset in all places, in the background.

use std::sync::Arc;

use factory_domain::asset::content_type;
use factory_domain::ports::CachedAsset;
use factory_formats::Digest;
use factory_formats::hash::HashFunction;
use futures_util::StreamExt as _;

use super::leg::Leg;
use super::{MAX_WAITING, State};
use crate::parts::{BuildPart, HashSpec};
use crate::planner::{PlanAsset, Planned};
use crate::stream::LayoutStream;

impl State {
    /// Begins to keep an asset, unless it is kept, being kept, or too many others wait.
    pub(super) fn take(state: &Arc<Self>, want: PlanAsset, planned: Planned) {
        // What needs no blob is shorter than any reference to it.
        if state.legs.is_empty() || planned.asset.layout.blobs().is_empty() {
            return;
        }
        let key = state.key(&want);
        let etag = &planned.asset.etag;
        let is_known = |leg: &Leg| leg.has(&key, etag) || leg.is_left_alone();
        if state.legs.iter().all(is_known) || state.flights.find(&key).is_some() {
            return;
        }
        if state.flights.len() >= MAX_WAITING {
            metrics::counter!("image_factory_cache_writes_skipped_total").increment(1);
            return;
        }
        let work = Arc::clone(state);
        // It belongs to nobody: the flight goes on by itself.
        drop(state.flights.join(key, "keeping an asset", move || async move {
            let place = Arc::clone(&work.writes).acquire_owned().await;
            work.keep(key, &want, &planned).await;
            drop(place);
            Ok(())
        }));
    }

    async fn keep(&self, key: Digest, want: &PlanAsset, planned: &Planned) {
        let (layout, etag) = (&planned.asset.layout, &planned.asset.etag);
        let name = want.path.to_string();
        let spec = HashSpec { name: name.clone(), layout: layout.clone(), function: HashFunction::Sha256 };
        let digest = match self.hashes.ask(BuildPart { spec }).await.map(|part| part.digest()) {
            Ok(Ok(digest)) => digest,
            Ok(Err(error)) => return tracing::warn!(%error, name, "an asset is not kept"),
            Err(error) => return tracing::warn!(%error, name, "an asset is not kept"),
        };
        let asset = CachedAsset {
            key,
            digest,
            size: layout.len(),
            etag: etag.clone(),
            content_type: content_type(&name).to_owned(),
            file_name: name,
        };
        for leg in self.legs.iter().filter(|leg| !leg.has(&key, etag)) {
            if !self.damaged.holds(&digest) {
                // Another factory may have kept it.
                let found = leg.ask("looking for an asset", leg.cache.lookup(&key)).await;
                let Some(found) = found else { continue };
                let is_it = |found: &CachedAsset| {
                    found.digest == digest && (found.etag == *etag || !leg.cache.gives_links())
                };
                if found.as_ref().is_some_and(is_it) {
                    leg.remember(key, etag.clone());
                    continue;
                }
            }
            let body = LayoutStream::new(
                layout,
                0,
                layout.len(),
                Arc::clone(&self.store),
                planned.lease.clone(),
                self.workers.clone(),
                self.buffers.clone(),
            );
            if leg.ask("keeping an asset", leg.cache.publish(&asset, body.boxed())).await.is_some() {
                leg.remember(key, etag.clone());
                self.damaged.forget(&digest);
                metrics::counter!("image_factory_cache_written_bytes_total").increment(asset.size);
                tracing::info!(cache = leg.cache.name(), path = asset.file_name, %digest, "kept");
            }
        }
    }
}
