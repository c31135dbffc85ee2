//! `SignatureVerifier`: decides whether a source image may be trusted, and remembers what it accepted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use actix::{Actor, Context, Handler};
use factory_domain::ports::{Repository, SignatureCheck, Verified, VerifyError};
use factory_formats::Digest;

use crate::ask::{Ask, Envelope};
use crate::flights::Flights;
use crate::lock::lock;
use crate::workers::{Crashed, Workers};

/// Asks whether an image may be trusted. Sent by the source fetcher before it fetches anything of the image.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VerifyImage {
    /// Repository that it is pulled from.
    pub repository: Repository,
    /// Digest of the manifest, of the index for a multi-platform image.
    pub digest: Digest,
}

/// Why it may not.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// It was refused, or could not be judged.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The check ended in a panic.
    #[error(transparent)]
    Crashed(#[from] Crashed),
}

impl Ask for VerifyImage {
    type Answer = Verified;
    type Error = TrustError;
}

/// Images remembered as accepted. A refusal is never remembered: a signature may be added at any time.
const MAX_REMEMBERED: usize = 10_000;

/// What survives a restart of the actor.
#[derive(Clone)]
pub struct State {
    check: Arc<dyn SignatureCheck>,
    accepted: Arc<Mutex<HashMap<VerifyImage, Verified>>>,
    flights: Arc<Flights<VerifyImage, Verified, TrustError>>,
}

/// The actor.
pub struct SignatureVerifier {
    state: State,
}

impl SignatureVerifier {
    /// State over a check, for [`Self::with`].
    pub fn state(check: Arc<dyn SignatureCheck>, workers: Workers) -> State {
        State { check, accepted: Arc::default(), flights: Arc::new(Flights::new(workers)) }
    }

    /// The actor over a state.
    pub fn with(state: State) -> Self {
        Self { state }
    }
}

impl Actor for SignatureVerifier {
    type Context = Context<Self>;
}

impl Handler<Envelope<VerifyImage>> for SignatureVerifier {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<VerifyImage>, ctx: &mut Context<Self>) {
        let image = envelope.message.clone();
        let known = lock(&self.state.accepted).get(&image).cloned();
        if let Some(verified) = known {
            return envelope.answer(Ok(verified));
        }
        let (check, accepted) = (Arc::clone(&self.state.check), Arc::clone(&self.state.accepted));
        let flight = self.state.flights.join(image.clone(), "verifying a signature", move || async move {
            let outcome = check.verify(&image.repository, &image.digest).await;
            let label = match &outcome {
                Ok(_) => "accepted",
                Err(VerifyError::Refused { .. } | VerifyError::NotConfigured) => "refused",
                Err(_) => "unavailable",
            };
            metrics::counter!("image_factory_signatures_checked_total", "outcome" => label).increment(1);
            let verified = outcome.inspect_err(|error| {
                tracing::warn!(repository = %image.repository, digest = %image.digest, %error, "not accepted");
            })?;
            tracing::info!(repository = %image.repository, digest = %image.digest, method = verified.method, "verified");
            let mut accepted = lock(&accepted);
            if accepted.len() >= MAX_REMEMBERED {
                accepted.clear();
            }
            accepted.insert(image, verified.clone());
            Ok(verified)
        });
        envelope.answer_with(ctx, flight);
    }
}
