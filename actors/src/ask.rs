//! Asking an actor: a message, a typed answer, and the three ways in which asking fails.

use std::future::Future;

use actix::{Actor, AsyncContext, Context};
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

/// A message that wants an answer.
pub trait Ask: Clone + Send + 'static {
    /// What comes back when all went well.
    type Answer: Send + 'static;
    /// Why the actor said no.
    type Error: Send + 'static;
}

/// A message on its way, with the place for its answer and the span of the request that caused it.
pub struct Envelope<M: Ask> {
    /// What is asked.
    pub message: M,
    reply: oneshot::Sender<Result<M::Answer, M::Error>>,
    span: Span,
}

impl<M: Ask> actix::Message for Envelope<M> {
    type Result = ();
}

/// Where an answer arrives; an error means that the actor died first.
pub(crate) type Incoming<M> = oneshot::Receiver<Result<<M as Ask>::Answer, <M as Ask>::Error>>;

impl<M: Ask> Envelope<M> {
    pub(crate) fn seal(message: M) -> (Self, Incoming<M>) {
        let (reply, incoming) = oneshot::channel();
        (Self { message, reply, span: Span::current() }, incoming)
    }

    /// Answers at once.
    pub fn answer(self, answer: Result<M::Answer, M::Error>) {
        // Nobody may be waiting any more; that is no one's fault.
        let _ = self.reply.send(answer);
    }

    /// Answers with what a future gives, which runs beside the actor and stops when the asker leaves.
    pub fn answer_with<A, F>(self, ctx: &mut Context<A>, future: F)
    where
        A: Actor<Context = Context<A>>,
        F: Future<Output = Result<M::Answer, M::Error>> + 'static,
    {
        let Self { mut reply, span, .. } = self;
        let task = async move {
            let answer = tokio::select! {
                answer = future => answer,
                () = reply.closed() => return,
            };
            let _ = reply.send(answer);
        };
        ctx.spawn(actix::fut::wrap_future(task.instrument(span)));
    }
}

/// Why a question was not answered with an answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError<E> {
    /// Not accepted: the actor has as much to do as it may. Come back later.
    #[error("{actor} has too much to do")]
    Busy {
        /// Name of the actor.
        actor: &'static str,
    },
    /// Died on the way, twice: the actor was made anew and failed again.
    #[error("{actor} failed while working on this")]
    Died {
        /// Name of the actor.
        actor: &'static str,
    },
    /// Answered no.
    #[error(transparent)]
    No(E),
}

impl<E> AskError<E> {
    /// The same failure with another reason for "no".
    pub fn map<F>(self, with: impl FnOnce(E) -> F) -> AskError<F> {
        match self {
            Self::Busy { actor } => AskError::Busy { actor },
            Self::Died { actor } => AskError::Died { actor },
            Self::No(error) => AskError::No(with(error)),
        }
    }
}
