//! `AssetDepot`: whole assets kept elsewhere, to take load off the factory, and to go on when the source of
//! releases is down.
//!
//! Nothing here is needed to send an asset. What was sent is offered to the depot, which keeps it in the
//! background; whoever wants it again may be sent there. A place that fails is left alone for a while.

mod checked;
mod leg;
mod publish;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};

use actix::{Actor, Context, Handler};
use factory_domain::asset::{AssetPath, FactoryIdentity, asset_key};
use factory_domain::ports::{AssetCache, BlobStore, CachedAsset, Clock};
use factory_formats::Digest;
use tokio::sync::Semaphore;

pub use self::checked::CheckedStream;
use self::leg::Leg;
use crate::ask::{Ask, Envelope};
use crate::flights::Flights;
use crate::keeper::Keeper;
use crate::lock::lock;
use crate::parts::{Hashes, PartBuilder};
use crate::planner::{PlanAsset, Planned};
use crate::stream::Buffers;
use crate::workers::{Crashed, Workers};

/// Asks for an address at which a client gets an asset. Sent by the front door; answered with none when there is
/// none, or none that can be told now.
#[derive(Clone, Debug)]
pub struct LinkAsset {
    /// Which asset.
    pub want: PlanAsset,
    /// Entity tag of its plan: what is kept under another is not it.
    pub etag: String,
    /// Value of `Content-Disposition` that the client shall see.
    pub disposition: String,
}

impl Ask for LinkAsset {
    type Answer = Option<String>;
    type Error = Crashed;
}

/// Asks for an asset that cannot be planned now. Sent by the front door.
#[derive(Clone, Debug)]
pub struct FetchAsset {
    /// Which asset.
    pub want: PlanAsset,
}

/// Answer to [`FetchAsset`].
pub struct FetchedAsset {
    /// What is known about it.
    pub asset: CachedAsset,
    /// Its bytes, whose last piece comes only when all of them are right.
    pub stream: CheckedStream,
}

impl Ask for FetchAsset {
    type Answer = Option<FetchedAsset>;
    type Error = Crashed;
}

/// Offers an asset that somebody wanted whole. Sent by the front door; answered at once, kept in the background
/// or not at all.
#[derive(Clone, Debug)]
pub struct OfferAsset {
    /// Which asset.
    pub want: PlanAsset,
    /// Its plan.
    pub planned: Planned,
}

impl Ask for OfferAsset {
    type Answer = ();
    type Error = Crashed;
}

/// Assets that are being written at a time.
const WRITES: usize = 2;

/// Assets that wait to be written; more are not kept this time.
const MAX_WAITING: usize = 64;

/// Assets remembered as damaged somewhere.
const MAX_DAMAGED: usize = 10_000;

/// What survives a restart of the actor.
pub struct State {
    legs: Vec<Leg>,
    hashes: Arc<Keeper<PartBuilder<Hashes>>>,
    store: Arc<dyn BlobStore>,
    workers: Workers,
    buffers: Buffers,
    identity: FactoryIdentity,
    flights: Flights<Digest, (), Crashed>,
    writes: Arc<Semaphore>,
    /// Contents that came out of a place otherwise than they went in.
    damaged: Arc<Damaged>,
}

/// Digests of contents that are not to be taken from where they are.
#[derive(Default)]
pub(crate) struct Damaged(Mutex<HashSet<Digest>>);

impl Damaged {
    fn lock(&self) -> MutexGuard<'_, HashSet<Digest>> {
        lock(&self.0)
    }

    fn note(&self, digest: Digest) {
        let mut all = self.lock();
        if all.len() >= MAX_DAMAGED {
            all.clear();
        }
        all.insert(digest);
    }

    fn holds(&self, digest: &Digest) -> bool {
        self.lock().contains(digest)
    }

    fn forget(&self, digest: &Digest) {
        self.lock().remove(digest);
    }
}

/// What the depot works with.
pub struct Peers {
    /// Digests of layouts.
    pub hashes: Arc<Keeper<PartBuilder<Hashes>>>,
    /// What layouts are read from.
    pub store: Arc<dyn BlobStore>,
    /// Tells how long a place that failed is left alone.
    pub clock: Arc<dyn Clock>,
}

/// The actor.
pub struct AssetDepot {
    state: Arc<State>,
}

impl AssetDepot {
    /// State over places for assets, for [`Self::with`]. The first place that has an asset is asked.
    pub fn state(
        places: Vec<Arc<dyn AssetCache>>,
        peers: Peers,
        workers: Workers,
        buffers: Buffers,
        identity: FactoryIdentity,
    ) -> Arc<State> {
        let legs = places.into_iter().map(|cache| Leg::new(cache, Arc::clone(&peers.clock)));
        Arc::new(State {
            legs: legs.collect(),
            hashes: peers.hashes,
            store: peers.store,
            flights: Flights::new(workers.clone()),
            workers,
            buffers,
            identity,
            writes: Arc::new(Semaphore::new(WRITES)),
            damaged: Arc::default(),
        })
    }

    /// The actor over a state.
    pub fn with(state: Arc<State>) -> Self {
        Self { state }
    }
}

impl Actor for AssetDepot {
    type Context = Context<Self>;
}

impl Handler<Envelope<LinkAsset>> for AssetDepot {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<LinkAsset>, ctx: &mut Context<Self>) {
        let (state, message) = (Arc::clone(&self.state), envelope.message.clone());
        envelope.answer_with(ctx, async move {
            // On the workers' runtime, where all connections to the places live.
            let work = Arc::clone(&state);
            let answer = state.workers.spawn(async move { work.link(&message).await });
            Ok(answer.await.unwrap_or_default())
        });
    }
}

impl Handler<Envelope<FetchAsset>> for AssetDepot {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<FetchAsset>, ctx: &mut Context<Self>) {
        let (state, message) = (Arc::clone(&self.state), envelope.message.clone());
        envelope.answer_with(ctx, async move {
            let work = Arc::clone(&state);
            let answer = state.workers.spawn(async move { work.fetch(&message.want).await });
            Ok(answer.await.unwrap_or_default())
        });
    }
}

impl Handler<Envelope<OfferAsset>> for AssetDepot {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<OfferAsset>, _: &mut Context<Self>) {
        let OfferAsset { want, planned } = envelope.message.clone();
        State::take(&self.state, want, planned);
        envelope.answer(Ok(()));
    }
}

impl State {
    fn key(&self, want: &PlanAsset) -> Digest {
        asset_key(&want.schematic, &want.version, &want.path, &self.identity)
    }

    /// What keeps places from answering, one line for each.
    pub fn troubles(&self) -> Vec<String> {
        self.legs.iter().filter_map(Leg::trouble).collect()
    }

    async fn link(&self, message: &LinkAsset) -> Option<String> {
        let key = self.key(&message.want);
        for leg in self.legs.iter().filter(|leg| leg.cache.gives_links()) {
            let found = leg.ask("looking for an asset", leg.cache.lookup(&key)).await.flatten();
            // A release that was tagged anew leads to another plan.
            let Some(asset) =
                found.filter(|asset| asset.etag == message.etag && !self.damaged.holds(&asset.digest))
            else {
                leg.forget(&key);
                metrics::counter!("image_factory_assets_cached_errors_total", &labels(&message.want))
                    .increment(1);
                continue;
            };
            let link = leg.ask("signing an address", leg.cache.link(&asset, &message.disposition)).await;
            if let Some(link) = link.flatten() {
                count(&message.want, asset.size);
                return Some(link);
            }
        }
        None
    }

    async fn fetch(&self, want: &PlanAsset) -> Option<FetchedAsset> {
        let key = self.key(want);
        for leg in &self.legs {
            let found = leg.ask("looking for an asset", leg.cache.lookup(&key)).await.flatten();
            let Some(asset) = found.filter(|asset| !self.damaged.holds(&asset.digest)) else { continue };
            let Some(stream) = leg.ask("reading an asset", leg.cache.open(&asset)).await else { continue };
            // Whether it is still what it was shows at its end, so it is looked at before it counts as kept.
            leg.forget(&key);
            count(want, asset.size);
            tracing::info!(cache = leg.cache.name(), path = %want.path, "the source is down: sent from a cache");
            let stream = CheckedStream::new(stream, &asset, Arc::clone(&self.damaged));
            return Some(FetchedAsset { asset, stream });
        }
        None
    }
}

/// Labels of everything that is counted about an asset.
fn labels(want: &PlanAsset) -> [(&'static str, String); 3] {
    let kind = match &want.path {
        AssetPath::Kernel(_) => "kernel",
        AssetPath::Initramfs(_) => "initramfs",
        AssetPath::Cmdline(_) => "cmdline",
        AssetPath::Iso(_) => "iso",
        AssetPath::Uki(_) => "uki",
        AssetPath::Installer(_) => "installer",
        AssetPath::Disk { .. } => "image",
    };
    [
        ("talos_version", want.version.tag()),
        ("output_kind", kind.to_owned()),
        ("arch", want.path.target().arch.to_string()),
    ]
}

fn count(want: &PlanAsset, size: u64) {
    let labels = labels(want);
    metrics::counter!("image_factory_assets_delivered_cached_total", &labels).increment(1);
    metrics::counter!("image_factory_assets_cached_bytes_total", &labels).increment(size);
}

#[cfg(test)]
mod tests;
