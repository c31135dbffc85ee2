//! `PartBuilder`: small derived pieces, each built once and kept in the store.
//!
//! There is one actor for each kind of part. What a part depends on is its key, so a part is never stale; a
//! part that was evicted is built again, to the same bytes.

mod compressed;
mod extension;
mod grub;
mod hashes;
mod kernel;
mod modules;
mod overlay;
mod piece;
mod sbom;
mod signature;
mod signed;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use actix::{Actor, Context, Handler};
use factory_domain::ports::{
    BlobRef, BlobStore, GrubError, GrubImages, KeyError, Record, RecordKey, RecordKind, Sandbox,
    SandboxError, Scratch, Signer, StoreError,
};
use factory_formats::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::compressed::{CompressBlob, Compressed};
pub use self::extension::{Extension, ExtensionPart, ExtensionSpec};
pub use self::grub::{Grub, GrubPart, GrubSpec};
pub use self::hashes::{HashPart, HashSpec, Hashes};
pub use self::kernel::{Kernel, KernelFacts, KernelSpec};
pub use self::modules::{Indexes, IndexesPart, IndexesSpec, Modules, ModulesPart, ModulesSpec};
pub use self::overlay::{
    OverlayAnswer, OverlayAnswerSpec, OverlayImage, OverlayInstall, OverlayInstallPart, OverlayInstallSpec,
    OverlayLayer, OverlayLayerPart,
};
pub use self::piece::Piece;
pub use self::sbom::{SbomPart, SbomSpec, Sboms};
pub use self::signature::{SignaturePart, SignatureSpec, Signatures};
pub use self::signed::{
    Encoded, EnrollmentFiles, EnrollmentSpec, Enrollments, ProgramSignature, ProgramSpec, SignedPrograms,
    SignedUkis, UkiSignature, UkiSpec,
};
use crate::ask::{Ask, Envelope};
use crate::flights::Flights;
use crate::lock::lock;
use crate::workers::{Crashed, Workers};

/// Why a part could not be built.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// What it is made from is wrong.
    #[error("{what} cannot be used: {reason}")]
    Input {
        /// What it is made from.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// GRUB's tool could not make it.
    #[error(transparent)]
    Grub(#[from] GrubError),
    /// An overlay's program has no result.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The store failed, or a source was evicted meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A signature is needed and cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The build ended in a panic.
    #[error(transparent)]
    Crashed(#[from] Crashed),
}

impl PartError {
    /// Something wrong with an input.
    pub(crate) fn input(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Input { what: what.into(), reason: reason.to_string() }
    }
}

/// What a build has to work with.
#[derive(Clone)]
pub struct Bench {
    /// Sources are read from it, results written to it.
    pub store: Arc<dyn BlobStore>,
    /// Room for what has to be read twice.
    pub scratch: Arc<dyn Scratch>,
    /// The maker of GRUB's images.
    pub grub: Arc<dyn GrubImages>,
    /// Runs programs of overlays.
    pub sandbox: Arc<dyn Sandbox>,
    /// The factory's key.
    pub signer: Arc<dyn Signer>,
}

/// What a build made.
pub struct Built<V> {
    /// The description that is kept.
    pub value: V,
    /// The blobs that the description names.
    pub blobs: Vec<BlobRef>,
}

/// One kind of part.
pub trait PartKind: Send + Sync + 'static {
    /// Name of the kind and version of its builder: another text makes all parts anew.
    const NAME: &'static str;
    /// What to build.
    type Spec: Clone + Send + Sync + 'static;
    /// What is known of the result.
    type Value: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// A canonical text of everything that the result depends on.
    fn subject(spec: &Self::Spec) -> String;

    /// A short text for people.
    fn label(spec: &Self::Spec) -> String;

    /// The blobs that the build reads. They are held while it runs.
    fn inputs(spec: &Self::Spec) -> Vec<Digest>;

    /// Builds it. Runs on a build thread.
    ///
    /// # Errors
    /// [`PartError`].
    fn build(spec: &Self::Spec, bench: &Bench) -> Result<Built<Self::Value>, PartError>;
}

/// Asks for a part. Sent by the planner; answered when it is in the store.
pub struct BuildPart<K: PartKind> {
    /// What to build.
    pub spec: K::Spec,
}

impl<K: PartKind> Clone for BuildPart<K> {
    fn clone(&self) -> Self {
        Self { spec: self.spec.clone() }
    }
}

impl<K: PartKind> Ask for BuildPart<K> {
    type Answer = Arc<K::Value>;
    type Error = PartError;
}

/// Descriptions kept in memory, so that a plan does not parse them again.
const MAX_REMEMBERED: usize = 512;

struct Remembered<V> {
    value: Arc<V>,
    blobs: Vec<Digest>,
}

/// What survives a restart of the actor.
pub struct State<K: PartKind> {
    bench: Bench,
    workers: Workers,
    flights: Flights<RecordKey, Arc<K::Value>, PartError>,
    remembered: Mutex<HashMap<RecordKey, Remembered<K::Value>>>,
}

/// The actor.
pub struct PartBuilder<K: PartKind> {
    state: Arc<State<K>>,
}

impl<K: PartKind> PartBuilder<K> {
    /// State over what builds need, for [`Self::with`].
    pub fn state(bench: Bench, workers: Workers) -> Arc<State<K>> {
        let flights = Flights::new(workers.clone());
        Arc::new(State { bench, workers, flights, remembered: Mutex::default() })
    }

    /// The actor over a state.
    pub fn with(state: Arc<State<K>>) -> Self {
        Self { state }
    }
}

impl<K: PartKind> Actor for PartBuilder<K> {
    type Context = Context<Self>;
}

impl<K: PartKind> Handler<Envelope<BuildPart<K>>> for PartBuilder<K> {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<BuildPart<K>>, ctx: &mut Context<Self>) {
        let spec = envelope.message.spec.clone();
        let subject = format!("{} {}", K::NAME, K::subject(&spec));
        let key = RecordKey::new(RecordKind::Part, &subject);
        if let Some(value) = self.state.recall(&key) {
            return envelope.answer(Ok(value));
        }
        let state = Arc::clone(&self.state);
        let flight = self
            .state
            .flights
            .join(key, &K::label(&spec), move || async move { state.find_or_build(key, spec).await });
        envelope.answer_with(ctx, flight);
    }
}

impl<K: PartKind> State<K> {
    /// A description in memory whose blobs are all still there.
    fn recall(&self, key: &RecordKey) -> Option<Arc<K::Value>> {
        let mut remembered = lock(&self.remembered);
        let entry = remembered.get(key)?;
        // Taking the lease marks the blobs as used; the planner takes its own for the download.
        if self.bench.store.lease(&entry.blobs).is_ok() {
            return Some(Arc::clone(&entry.value));
        }
        remembered.remove(key);
        None
    }

    fn remember(&self, key: RecordKey, value: &Arc<K::Value>, blobs: Vec<Digest>) {
        let mut remembered = lock(&self.remembered);
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key, Remembered { value: Arc::clone(value), blobs });
    }

    async fn find_or_build(&self, key: RecordKey, spec: K::Spec) -> Result<Arc<K::Value>, PartError> {
        if let Some(record) = self.bench.store.record(&key)?
            && self.bench.store.lease(&record.blobs).is_ok()
            && let Ok(value) = serde_json::from_str::<K::Value>(&record.value)
        {
            let value = Arc::new(value);
            self.remember(key, &value, record.blobs);
            return Ok(value);
        }
        let label = K::label(&spec);
        let bench = self.bench.clone();
        let started = std::time::Instant::now();
        let built = self
            .workers
            .build(&label, move || {
                let _held = bench.store.lease(&K::inputs(&spec))?;
                K::build(&spec, &bench)
            })
            .await??;
        let took = started.elapsed();
        metrics::counter!("image_factory_parts_built_total", "kind" => K::NAME).increment(1);
        metrics::histogram!("image_factory_assets_build_latency_seconds").record(took.as_secs_f64());
        tracing::info!(part = label, ?took, "built");
        let blobs: Vec<Digest> = built.blobs.iter().map(|blob| blob.info.digest).collect();
        let text = serde_json::to_string(&built.value).map_err(|error| PartError::input(&label, error))?;
        let record = Record { key, label, value: text, blobs: blobs.clone() };
        let store = Arc::clone(&self.bench.store);
        self.workers.run("keeping a part", move || store.save(record)).await??;
        let value = Arc::new(built.value);
        self.remember(key, &value, blobs);
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
