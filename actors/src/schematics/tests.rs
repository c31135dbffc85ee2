use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::Arbiter;
use async_trait::async_trait;
use factory_adapters::testing::{HandClock, MemoryStore};
use tokio::sync::Semaphore;

use super::*;
use crate::ask::AskError;
use crate::keeper::Keeper;

/// A store that counts what it is asked and lets everybody wait at a gate.
struct Counted {
    store: MemoryStore,
    gate: Semaphore,
    gets: AtomicUsize,
    puts: AtomicUsize,
}

#[async_trait]
impl Port for Counted {
    async fn get(&self, id: &SchematicId) -> Result<Option<Bytes>, StoreError> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        let _passed = self.gate.acquire().await;
        self.store.get(id).await
    }

    async fn put(&self, id: &SchematicId, canonical: Bytes) -> Result<bool, StoreError> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        let _passed = self.gate.acquire().await;
        self.store.put(id, canonical).await
    }
}

struct Stage {
    port: Arc<Counted>,
    clock: Arc<HandClock>,
    keeper: Arc<Keeper<SchematicStore>>,
}

const TTL: Duration = Duration::from_secs(30);

fn stage(entries: usize) -> Stage {
    let port = Arc::new(Counted {
        store: MemoryStore::new(),
        gate: Semaphore::new(100),
        gets: AtomicUsize::new(0),
        puts: AtomicUsize::new(0),
    });
    let clock = Arc::new(HandClock::default());
    let limits = Limits { entries, bytes: 1 << 20, negative_ttl: TTL };
    let workers = Workers::start(1).unwrap();
    let state =
        SchematicStore::state(Arc::clone(&port) as _, Arc::clone(&clock) as Arc<dyn Clock>, limits, workers);
    let make = move || SchematicStore::with(state.clone());
    let keeper = Keeper::start("schematics", Arbiter::current(), 100, make);
    Stage { port, clock, keeper }
}

fn canonical(mark: usize) -> Bytes {
    let text = format!("customization:\n    extraKernelArgs:\n        - mark={mark}\n");
    Bytes::from(Schematic::parse(text.as_bytes()).unwrap().canonical())
}

impl Stage {
    async fn put(&self, mark: usize) -> Kept {
        self.keeper.ask(PutSchematic { canonical: canonical(mark) }).await.unwrap()
    }

    async fn get(&self, mark: usize) -> Result<Arc<Stored>, AskError<SchematicError>> {
        self.keeper.ask(GetSchematic { id: SchematicId::of(&canonical(mark)) }).await
    }

    fn gets(&self) -> usize {
        self.port.gets.load(Ordering::SeqCst)
    }
}

#[actix::test]
async fn what_was_put_is_got_without_asking_the_store() {
    let stage = stage(100);
    let kept = stage.put(1).await;
    assert!(!kept.existed);
    let stored = stage.get(1).await.unwrap();
    assert_eq!((stored.id, &stored.canonical), (kept.id, &canonical(1)));
    assert_eq!(stage.gets(), 0);
    assert!(stage.put(1).await.existed);
    assert_eq!(stage.port.puts.load(Ordering::SeqCst), 1);
}

#[actix::test]
async fn what_was_only_read_is_put_all_the_same() {
    let stage = stage(100);
    let id = SchematicId::of(&canonical(1));
    stage.port.store.put(&id, canonical(1)).await.unwrap();
    stage.get(1).await.unwrap();
    // What is shared may not have it yet: only the store can acknowledge it.
    for _ in 0..3 {
        assert!(stage.put(1).await.existed);
        stage.get(1).await.unwrap();
    }
    assert_eq!(stage.port.puts.load(Ordering::SeqCst), 1);
}

#[actix::test]
async fn a_crowd_asks_the_store_once() {
    let stage = stage(100);
    let id = SchematicId::of(&canonical(1));
    stage.port.store.put(&id, canonical(1)).await.unwrap();
    stage.port.gate.forget_permits(100);
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let keeper = Arc::clone(&stage.keeper);
            actix::spawn(async move { keeper.ask(GetSchematic { id }).await })
        })
        .collect();
    while stage.gets() == 0 {
        tokio::task::yield_now().await;
    }
    stage.port.gate.add_permits(1);
    for asked in crowd {
        assert_eq!(asked.await.unwrap().unwrap().id, id);
    }
    assert_eq!(stage.gets(), 1);
}

#[actix::test]
async fn absence_is_remembered_for_a_while_and_ends_with_a_create() {
    let stage = stage(100);
    for _ in 0..3 {
        let missing = stage.get(1).await;
        assert!(matches!(missing, Err(AskError::No(SchematicError::NotFound(_)))), "{missing:?}");
    }
    assert_eq!(stage.gets(), 1);
    stage.clock.advance(TTL);
    let _ = stage.get(1).await;
    assert_eq!(stage.gets(), 2, "after its time the store is asked again");
    stage.put(1).await;
    assert!(stage.get(1).await.is_ok());
}

#[actix::test]
async fn a_get_beside_a_create_does_not_miss_it() {
    let stage = stage(100);
    stage.port.gate.forget_permits(100);
    let keeper = Arc::clone(&stage.keeper);
    let put = actix::spawn(async move { keeper.ask(PutSchematic { canonical: canonical(1) }).await });
    while stage.port.puts.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let (keeper, id) = (Arc::clone(&stage.keeper), SchematicId::of(&canonical(1)));
    let get = actix::spawn(async move { keeper.ask(GetSchematic { id }).await });
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!get.is_finished(), "it was answered before the create was");
    stage.port.gate.add_permits(10);
    put.await.unwrap().unwrap();
    assert_eq!(get.await.unwrap().unwrap().id, id);
}

#[actix::test]
async fn a_store_that_fails_is_told_and_not_remembered() {
    let stage = stage(100);
    let full = StoreError::Full { reason: "told to".to_owned() };
    stage.port.store.fail_writes(Some(full));
    let refused = stage.keeper.ask(PutSchematic { canonical: canonical(1) }).await;
    assert!(matches!(refused, Err(AskError::No(SchematicError::Store(StoreError::Full { .. })))));
    stage.port.store.fail_writes(None);
    assert!(!stage.put(1).await.existed);
}

#[actix::test]
async fn memory_is_bounded_and_the_store_still_knows() {
    let stage = stage(10);
    for mark in 0..50 {
        stage.put(mark).await;
    }
    for mark in 0..50 {
        assert_eq!(stage.get(mark).await.unwrap().canonical, canonical(mark));
    }
    assert!(stage.gets() >= 40, "{} of 50 came from the store", stage.gets());
}
