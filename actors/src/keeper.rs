//! Keepers: an actor's address that outlives the actor.
//!
//! actix ends an actor whose handler panicked and does not start it again, and its mailbox bounds what
//! waits, not what is being worked on. A keeper owns a closure that makes the actor, notices its death,
//! makes it anew, and refuses questions beyond a limit that counts both kinds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::{Actor, Addr, ArbiterHandle, Context, Handler};
use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, Semaphore};

use crate::ask::{Ask, AskError, Envelope};

/// Keeps one actor alive and answers in its name.
pub struct Keeper<A: Actor<Context = Context<A>>> {
    name: &'static str,
    limit: usize,
    arbiter: ArbiterHandle,
    make: Arc<dyn Fn() -> A + Send + Sync>,
    address: ArcSwapOption<Addr<A>>,
    /// Held while the actor is made anew, so that many askers make one.
    reviving: Mutex<()>,
    /// One permit for each question that waits or is worked on.
    places: Semaphore,
    restarts: AtomicU64,
}

impl<A: Actor<Context = Context<A>>> Keeper<A> {
    /// Starts an actor on `arbiter`. `limit` questions may wait or be worked on at a time; `make` is
    /// called again whenever the actor died, and hands it the state that must survive.
    pub fn start(
        name: &'static str,
        arbiter: ArbiterHandle,
        limit: usize,
        make: impl Fn() -> A + Send + Sync + 'static,
    ) -> Arc<Self> {
        let keeper = Self {
            name,
            limit,
            arbiter,
            make: Arc::new(make),
            address: ArcSwapOption::empty(),
            reviving: Mutex::new(()),
            places: Semaphore::new(limit),
            restarts: AtomicU64::new(0),
        };
        keeper.address.store(Some(Arc::new(keeper.launch())));
        Arc::new(keeper)
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`AskError::Busy`] at once when the limit is reached; [`AskError::Died`] when the actor died over
    /// this question twice in a row; [`AskError::No`] with the actor's own reason.
    pub async fn ask<M: Ask>(&self, message: M) -> Result<M::Answer, AskError<M::Error>>
    where
        A: Handler<Envelope<M>>,
    {
        let Ok(_place) = self.places.try_acquire() else {
            metrics::counter!("image_factory_questions_refused_total", "actor" => self.name).increment(1);
            return Err(AskError::Busy { actor: self.name });
        };
        for _ in 0..2 {
            let address = self.living().await;
            let (envelope, incoming) = Envelope::seal(message.clone());
            // A mailbox has room for a few only until its actor has started: that is a reason to wait, not to
            // refuse, for the places bound what waits.
            if address.send(envelope).await.is_ok()
                && let Ok(answer) = incoming.await
            {
                return answer.map_err(AskError::No);
            }
            // The address may look alive for a moment after the actor has died.
            self.address.compare_and_swap(&Some(address), None);
        }
        Err(AskError::Died { actor: self.name })
    }

    /// How often the actor had to be made anew.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// The address of an actor that lives, as far as one can tell.
    async fn living(&self) -> Arc<Addr<A>> {
        if let Some(address) = self.address.load_full()
            && address.connected()
        {
            return address;
        }
        let _guard = self.reviving.lock().await;
        if let Some(address) = self.address.load_full()
            && address.connected()
        {
            return address;
        }
        self.restarts.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("image_factory_actor_restarts_total", "actor" => self.name).increment(1);
        tracing::error!(actor = self.name, "the actor died and is made anew");
        let address = Arc::new(self.launch());
        self.address.store(Some(Arc::clone(&address)));
        address
    }

    fn launch(&self) -> Addr<A> {
        let (make, limit) = (Arc::clone(&self.make), self.limit);
        A::start_in_arbiter(&self.arbiter, move |ctx| {
            // The permits bound what is accepted; the mailbox must only never be the tighter bound.
            ctx.set_mailbox_capacity(limit + 1);
            make()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix::Arbiter;

    use super::*;

    #[derive(Default)]
    struct Worker {
        seen: u32,
    }

    impl Actor for Worker {
        type Context = Context<Self>;
    }

    #[derive(Clone)]
    enum Order {
        Count,
        Refuse,
        Panic,
        Wait(Arc<Semaphore>),
    }

    impl Ask for Order {
        type Answer = u32;
        type Error = &'static str;
    }

    impl Handler<Envelope<Order>> for Worker {
        type Result = ();

        fn handle(&mut self, envelope: Envelope<Order>, ctx: &mut Context<Self>) {
            self.seen += 1;
            let seen = self.seen;
            match envelope.message.clone() {
                Order::Count => envelope.answer(Ok(seen)),
                Order::Refuse => envelope.answer(Err("no")),
                Order::Panic => panic!("told to"),
                Order::Wait(gate) => envelope.answer_with(ctx, async move {
                    gate.acquire().await.map_err(|_| "closed")?.forget();
                    Ok(seen)
                }),
            }
        }
    }

    fn keeper(limit: usize) -> Arc<Keeper<Worker>> {
        Keeper::start("worker", Arbiter::new().handle(), limit, Worker::default)
    }

    #[actix::test]
    async fn answers_and_refuses() {
        let keeper = keeper(4);
        assert_eq!(keeper.ask(Order::Count).await.unwrap(), 1);
        assert!(matches!(keeper.ask(Order::Refuse).await, Err(AskError::No("no"))));
        assert_eq!(keeper.ask(Order::Count).await.unwrap(), 3);
    }

    #[actix::test]
    async fn survives_a_handler_that_panics() {
        let keeper = keeper(4);
        assert_eq!(keeper.ask(Order::Count).await.unwrap(), 1);
        assert!(matches!(keeper.ask(Order::Panic).await, Err(AskError::Died { actor: "worker" })));
        assert_eq!(keeper.ask(Order::Count).await.unwrap(), 1, "a new actor starts from its closure");
        assert_eq!(keeper.restarts(), 2);
    }

    #[actix::test]
    async fn refuses_beyond_its_limit_and_recovers() {
        let keeper = keeper(2);
        let gate = Arc::new(Semaphore::new(0));
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let (keeper, gate) = (Arc::clone(&keeper), Arc::clone(&gate));
                actix::spawn(async move { keeper.ask(Order::Wait(gate)).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(matches!(keeper.ask(Order::Count).await, Err(AskError::Busy { .. })));
        gate.add_permits(2);
        for task in waiting {
            task.await.unwrap().unwrap();
        }
        keeper.ask(Order::Count).await.unwrap();
    }

    #[actix::test]
    async fn a_crowd_that_comes_before_the_actor_has_started_is_served() {
        // The arbiter is this thread's: nothing starts before the first await.
        let keeper = Keeper::start("worker", Arbiter::current(), 64, Worker::default);
        let crowd: Vec<_> = (0..64)
            .map(|_| {
                let keeper = Arc::clone(&keeper);
                actix::spawn(async move { keeper.ask(Order::Count).await })
            })
            .collect();
        for asked in crowd {
            asked.await.unwrap().unwrap();
        }
    }

    #[actix::test]
    async fn work_stops_when_the_asker_leaves() {
        let keeper = keeper(1);
        let gate = Arc::new(Semaphore::new(0));
        let asked = keeper.ask(Order::Wait(Arc::clone(&gate)));
        assert!(tokio::time::timeout(Duration::from_millis(50), asked).await.is_err());
        tokio::time::sleep(Duration::from_millis(50)).await;
        gate.add_permits(1);
        keeper.ask(Order::Count).await.unwrap();
        assert_eq!(gate.available_permits(), 1, "nobody waited at the gate any more");
    }
}
