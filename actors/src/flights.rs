//! Coalescing: identical work in flight is done once, for everybody who asks for it.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use futures_util::future::{BoxFuture, FutureExt, Shared};

use crate::lock::lock;
use crate::workers::{Crashed, Workers};

/// One piece of work that others may join. Resolves for all of them alike.
pub type Flight<T, E> = Shared<BoxFuture<'static, Result<T, E>>>;

/// Work in flight by key. The work belongs to nobody: it ends even when all who asked have left, and its
/// result is not remembered here.
pub struct Flights<K, T: Clone, E: Clone> {
    workers: Workers,
    flying: Arc<Mutex<HashMap<K, Flight<T, E>>>>,
}

impl<K, T, E> Flights<K, T, E>
where
    K: Hash + Eq + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
    E: Clone + From<Crashed> + Send + Sync + 'static,
{
    /// None yet; work will run on `workers`.
    pub fn new(workers: Workers) -> Self {
        Self { workers, flying: Arc::default() }
    }

    /// Joins the work for `key`, which `start` begins when there is none. `what` names it in errors.
    pub fn join<F>(&self, key: K, what: &str, start: impl FnOnce() -> F) -> Flight<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let mut flying = lock(&self.flying);
        if let Some(flight) = flying.get(&key) {
            return flight.clone();
        }
        let (landed, at, what) = (Arc::clone(&self.flying), key.clone(), what.to_owned());
        let work = start();
        let task = self.workers.spawn(async move {
            let result = work.await;
            lock(&landed).remove(&at);
            result
        });
        let (landed, at) = (Arc::clone(&self.flying), key.clone());
        let flight = async move {
            match task.await {
                Ok(result) => result,
                Err(lost) => {
                    lock(&landed).remove(&at);
                    Err(E::from(Crashed { what, message: lost.to_string() }))
                }
            }
        }
        .boxed()
        .shared();
        flying.insert(key, flight.clone());
        flight
    }

    /// The work for `key`, when it is under way.
    pub fn find(&self, key: &K) -> Option<Flight<T, E>> {
        lock(&self.flying).get(key).cloned()
    }

    /// How much is in flight.
    pub fn len(&self) -> usize {
        lock(&self.flying).len()
    }

    /// Whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A map of handles is consistent at every instant, so a panic elsewhere does not spoil it.
#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    fn flights() -> Flights<u8, usize, String> {
        Flights::new(Workers::start(1).unwrap())
    }

    impl From<Crashed> for String {
        fn from(crashed: Crashed) -> Self {
            crashed.to_string()
        }
    }

    #[tokio::test]
    async fn many_who_ask_at_once_cause_one_piece_of_work() {
        let (flights, started, gate) =
            (flights(), Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let join = || {
            let (started, gate) = (Arc::clone(&started), Arc::clone(&gate));
            flights.join(1, "work", || async move {
                let number = started.fetch_add(1, Ordering::SeqCst);
                gate.acquire().await.map_err(|e| e.to_string())?.forget();
                Ok(number)
            })
        };
        let all: Vec<_> = (0..50).map(|_| join()).collect();
        gate.add_permits(1);
        for flight in all {
            assert_eq!(flight.await, Ok(0));
        }
        assert_eq!(started.load(Ordering::SeqCst), 1);
        gate.add_permits(1);
        assert_eq!(join().await, Ok(1), "what has landed is not joined any more");
    }

    #[tokio::test]
    async fn work_goes_on_when_all_who_asked_have_left() {
        let (flights, done, gate) = (flights(), Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        {
            let (done, gate) = (Arc::clone(&done), Arc::clone(&gate));
            drop(flights.join(1, "work", || async move {
                gate.acquire().await.map_err(|e| e.to_string())?.forget();
                Ok(done.fetch_add(1, Ordering::SeqCst))
            }));
        }
        gate.add_permits(1);
        while !flights.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_crash_is_told_to_all_and_not_remembered() {
        let flights = flights();
        let crash = flights.join(1, "work", || async { panic!("boom") });
        assert!(crash.await.unwrap_err().starts_with("work crashed"));
        assert_eq!(flights.join(1, "work", || async { Ok(3) }).await, Ok(3));
    }
}
