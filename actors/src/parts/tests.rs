use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::Arbiter;
use factory_adapters::testing::MemoryStore;
use factory_domain::Arch;
use factory_domain::ports::{BlobKind, CoreImage, FactoryBlobs, SandboxJob, SandboxOutcome, ScratchFile};

use super::*;
use crate::ask::AskError;
use crate::keeper::Keeper;

/// A part that repeats its blob as often as its specification says.
struct Repeated;

#[derive(Clone)]
struct Times {
    name: String,
    input: Option<Digest>,
    times: usize,
    builds: Arc<AtomicUsize>,
}

impl PartKind for Repeated {
    const NAME: &'static str = "repeated/v1";
    type Spec = Times;
    type Value = String;

    fn subject(spec: &Times) -> String {
        format!("{} {}", spec.name, spec.times)
    }

    fn label(spec: &Times) -> String {
        spec.name.clone()
    }

    fn inputs(spec: &Times) -> Vec<Digest> {
        spec.input.into_iter().collect()
    }

    fn build(spec: &Times, bench: &Bench) -> Result<Built<String>, PartError> {
        let build = spec.builds.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        match spec.name.as_str() {
            "crash" => panic!("told to"),
            "wrong once" if build == 0 => return Err(PartError::input("the input", "it is wrong")),
            _ => {}
        }
        let mut writer = bench.store.create(BlobKind::Part)?;
        writer.write_all(spec.name.repeat(spec.times).as_bytes()).unwrap();
        let blob = writer.commit()?;
        Ok(Built { value: blob.info.digest.hex(), blobs: vec![blob] })
    }
}

struct NoScratch;

impl Scratch for NoScratch {
    fn file(&self) -> std::io::Result<Box<dyn ScratchFile>> {
        Err(std::io::Error::other("no part of these tests needs one"))
    }
}

struct NoGrub;

impl GrubImages for NoGrub {
    fn tool(&self) -> Result<String, GrubError> {
        Err(GrubError::Missing {
            tool: "none".to_owned(),
            reason: "no part of these tests needs one".to_owned(),
        })
    }

    fn core_image(&self, _: &CoreImage<'_>) -> Result<Vec<u8>, GrubError> {
        self.tool().map(String::into_bytes)
    }
}

struct NoSandbox;

impl Sandbox for NoSandbox {
    fn arch(&self) -> Arch {
        Arch::Amd64
    }

    fn run(&self, _: SandboxJob<'_>) -> Result<SandboxOutcome, SandboxError> {
        Err(SandboxError::Unavailable { reason: "no part of these tests needs one".to_owned() })
    }
}

struct NoSigner;

impl Signer for NoSigner {
    fn public_key_pem(&self) -> &str {
        ""
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.sign_digest(&Digest::of(message))
    }

    fn sign_digest(&self, _: &Digest) -> Result<Vec<u8>, KeyError> {
        let (location, reason) = ("nowhere".to_owned(), "no part of these tests needs one".to_owned());
        Err(KeyError::Unavailable { location, reason })
    }
}

/// A store, and nothing else that works.
pub(super) fn bench(store: &MemoryStore) -> Bench {
    Bench {
        store: Arc::new(store.clone()),
        scratch: Arc::new(NoScratch),
        grub: Arc::new(NoGrub),
        sandbox: Arc::new(NoSandbox),
        signer: Arc::new(NoSigner),
    }
}

struct Stage {
    store: MemoryStore,
    keeper: Arc<Keeper<PartBuilder<Repeated>>>,
    builds: Arc<AtomicUsize>,
}

/// A builder over a store, as after a start of the program.
fn stage(store: &MemoryStore) -> Stage {
    let workers = Workers::start(4).unwrap();
    let state = PartBuilder::<Repeated>::state(bench(store), workers);
    let make = move || PartBuilder::with(Arc::clone(&state));
    let keeper = Keeper::start(Repeated::NAME, Arbiter::current(), 100, make);
    Stage { store: store.clone(), keeper, builds: Arc::default() }
}

impl Stage {
    fn order(&self, name: &str, times: usize) -> BuildPart<Repeated> {
        let builds = Arc::clone(&self.builds);
        BuildPart { spec: Times { name: name.to_owned(), input: None, times, builds } }
    }

    async fn build(&self, name: &str, times: usize) -> Result<Arc<String>, AskError<PartError>> {
        self.keeper.ask(self.order(name, times)).await
    }

    fn builds(&self) -> usize {
        self.builds.load(Ordering::SeqCst)
    }
}

#[actix::test]
async fn a_crowd_causes_one_build_and_it_is_kept() {
    let first = stage(&MemoryStore::new());
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let (keeper, order) = (Arc::clone(&first.keeper), first.order("a", 3));
            actix::spawn(async move { keeper.ask(order).await })
        })
        .collect();
    let want = Digest::of(b"aaa").hex();
    for asked in crowd {
        assert_eq!(*asked.await.unwrap().unwrap(), want);
    }
    assert_eq!(first.builds(), 1);
    let after_a_restart = stage(&first.store);
    assert_eq!(*after_a_restart.build("a", 3).await.unwrap(), want);
    assert_eq!(after_a_restart.builds(), 0);
    assert_ne!(*after_a_restart.build("a", 4).await.unwrap(), want, "another specification is another part");
    assert_eq!(after_a_restart.builds(), 1);
}

#[actix::test]
async fn what_was_evicted_is_built_again_to_the_same() {
    let stage = stage(&MemoryStore::with_budget(100_000));
    let want = stage.build("a", 50_000).await.unwrap();
    stage.build("b", 60_000).await.unwrap();
    assert_eq!(stage.store.stat(&Digest::of("a".repeat(50_000).as_bytes())).unwrap(), None, "it was evicted");
    assert_eq!(stage.build("a", 50_000).await.unwrap(), want);
    assert_eq!(stage.builds(), 3);
}

#[actix::test]
async fn failures_are_told_and_not_remembered() {
    let stage = stage(&MemoryStore::new());
    let wrong = stage.build("wrong once", 1).await;
    assert!(matches!(wrong, Err(AskError::No(PartError::Input { .. }))), "{wrong:?}");
    assert!(stage.build("wrong once", 1).await.is_ok());
    let crashed = stage.build("crash", 1).await;
    assert!(matches!(crashed, Err(AskError::No(PartError::Crashed(_)))), "{crashed:?}");
    assert!(stage.build("a", 1).await.is_ok(), "a crash is one request's affair");
    assert_eq!(stage.keeper.restarts(), 0);
}

#[actix::test]
async fn a_build_without_its_input_says_what_is_missing() {
    let stage = stage(&MemoryStore::new());
    let mut order = stage.order("a", 1);
    let gone = Digest::of(b"never kept");
    order.spec.input = Some(gone);
    let missing = stage.keeper.ask(order).await;
    assert!(
        matches!(&missing, Err(AskError::No(PartError::Store(StoreError::Missing(digest)))) if *digest == gone),
        "{missing:?}"
    );
    assert_eq!(stage.builds(), 0);
}

#[actix::test]
async fn a_full_store_fails_the_build_and_room_mends_it() {
    let stage = stage(&MemoryStore::new());
    stage.store.fail_writes(Some(StoreError::Full { reason: "told to".to_owned() }));
    let full = stage.build("a", 1).await;
    assert!(matches!(full, Err(AskError::No(PartError::Store(StoreError::Full { .. })))), "{full:?}");
    stage.store.fail_writes(None);
    assert!(stage.build("a", 1).await.is_ok());
}
