//! Requests to services that hold keys, from callers that wait for the answer.

use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use factory_domain::ports::KeyError;
use tokio::runtime::{Builder, Runtime};

/// Longest wait for an answer, attempts of the service's own client included.
const PATIENCE: Duration = Duration::from_secs(60);

/// A thread of its own for requests: whoever asks may be on a thread that must not run others' work.
#[derive(Clone)]
pub(super) struct Service {
    runtime: Arc<Background>,
}

struct Background(Option<Runtime>);

impl Drop for Background {
    fn drop(&mut self) {
        // The last owner may be on a thread that must not wait for this one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Service {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`KeyError::Unavailable`] when the system has none left.
    pub fn start(location: &str) -> Result<Self, KeyError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("keys").enable_all().build();
        let runtime = runtime.map_err(|error| unavailable(location, error.to_string()))?;
        Ok(Self { runtime: Arc::new(Background(Some(runtime))) })
    }

    /// Waits for the answer to a request.
    ///
    /// # Errors
    /// That of the request; [`KeyError::Unavailable`] when it does not end in time.
    pub fn wait<T: Send + 'static>(
        &self,
        location: &str,
        request: impl Future<Output = Result<T, KeyError>> + Send + 'static,
    ) -> Result<T, KeyError> {
        let ended = || unavailable(location, "the request was given up".to_owned());
        let runtime = self.runtime.0.as_ref().ok_or_else(ended)?;
        let (sender, receiver) = sync_channel(1);
        let task = runtime.spawn(async move {
            // Nobody may be waiting any more.
            let _ = sender.send(request.await);
        });
        match receiver.recv_timeout(PATIENCE) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => Err(ended()),
            Err(RecvTimeoutError::Timeout) => {
                task.abort();
                Err(unavailable(location, format!("no answer within {} s", PATIENCE.as_secs())))
            }
        }
    }
}

pub(super) fn invalid(location: &str, reason: impl Into<String>) -> KeyError {
    KeyError::Invalid { location: location.to_owned(), reason: reason.into() }
}

pub(super) fn unavailable(location: &str, reason: impl Into<String>) -> KeyError {
    KeyError::Unavailable { location: location.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_failures_come_back() {
        let service = Service::start("here").unwrap();
        assert_eq!(service.wait("here", async { Ok(7) }).unwrap(), 7);
        let refused = service.wait::<()>("here", async { Err(invalid("here", "no")) });
        assert!(matches!(refused, Err(KeyError::Invalid { .. })), "{refused:?}");
        let died = service.wait::<()>("here", async { panic!("a client that panics") });
        assert!(matches!(died, Err(KeyError::Unavailable { .. })), "{died:?}");
    }

    #[tokio::test]
    async fn it_may_be_asked_and_dropped_anywhere() {
        let service = Service::start("here").unwrap();
        assert_eq!(service.wait("here", async { Ok(7) }).unwrap(), 7);
        drop(service);
    }
}
