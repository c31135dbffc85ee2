//! Where blocking work runs: one runtime of its own, with long-lived threads and a bounded number of builds.
//!
//! HTTP workers and actors are current-thread runtimes whose blocking threads come and go; builds and file
//! reads there would churn threads and starve requests. Everything that computes or touches the disk goes
//! through here instead, and a panic in it is an error, not the end of an actor.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// The work ended in a panic; the message is in the log.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what} crashed: {message}")]
pub struct Crashed {
    /// What was being done.
    pub what: String,
    /// What the panic said.
    pub message: String,
}

/// The runtime for blocking work. Clones share it.
#[derive(Clone)]
pub struct Workers {
    handle: Handle,
    /// Ends the runtime with the last clone.
    _runtime: Arc<Shutdown>,
    builds: Arc<Semaphore>,
}

struct Shutdown(Option<Runtime>);

impl Drop for Shutdown {
    fn drop(&mut self) {
        // Dropping a runtime inside another one's task would panic; this never blocks.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Threads for file reads and builds together. Reads are short; builds have their own limit.
const MAX_BLOCKING_THREADS: usize = 512;

impl Workers {
    /// Starts the runtime; at most `builds` (at least one) builds run at a time.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(builds: usize) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("worker")
            .worker_threads(2)
            .max_blocking_threads(MAX_BLOCKING_THREADS)
            .thread_keep_alive(Duration::from_secs(3600))
            .enable_all()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            _runtime: Arc::new(Shutdown(Some(runtime))),
            builds: Arc::new(Semaphore::new(builds.max(1))),
        })
    }

    /// Runs a build when one of the places is free. A build that has begun always ends.
    ///
    /// # Errors
    /// [`Crashed`] when it panicked.
    pub async fn build<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Crashed> {
        let Ok(place) = Arc::clone(&self.builds).acquire_owned().await else {
            return Err(Crashed { what: what.to_owned(), message: "the factory is stopping".to_owned() });
        };
        self.run(what, move || {
            let _place = place;
            work()
        })
        .await
    }

    /// Runs something short that may wait for the disk, without a place.
    ///
    /// # Errors
    /// [`Crashed`] when it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Crashed> {
        let crashed = |message: String| Crashed { what: what.to_owned(), message };
        match self.handle.spawn_blocking(move || catch_unwind(AssertUnwindSafe(work))).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => {
                let error = crashed(message_of(&*panic));
                tracing::error!(%error, "a build panicked");
                Err(error)
            }
            Err(_) => Err(crashed("the factory is stopping".to_owned())),
        }
    }

    /// Starts something short that may wait for the disk and gives the handle to wait on.
    pub(crate) fn start_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.handle.spawn_blocking(work)
    }

    /// Runs a future on these threads, beside whoever asked and to its end.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_place_is_free_again() {
        let workers = Workers::start(1).unwrap();
        let error = workers.build("the thing", || panic!("boom {}", 7)).await.unwrap_err();
        assert_eq!(error.to_string(), "the thing crashed: boom 7");
        assert_eq!(workers.build("another", || 5).await.unwrap(), 5);
    }

    #[tokio::test]
    async fn no_more_builds_at_a_time_than_places() {
        let workers = Workers::start(2).unwrap();
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let builds = (0..8).map(|_| {
            let (workers, running, most) = (workers.clone(), Arc::clone(&running), Arc::clone(&most));
            tokio::spawn(async move {
                workers
                    .build("x", move || {
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(5));
                        running.fetch_sub(1, Ordering::SeqCst);
                    })
                    .await
            })
        });
        for build in builds.collect::<Vec<_>>() {
            build.await.unwrap().unwrap();
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }
}
