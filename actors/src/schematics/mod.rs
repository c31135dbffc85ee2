//! `SchematicStore`: puts and gets schematics, remembers those it has seen, and that others do not exist.

mod memory;

use std::sync::Arc;

use actix::{Actor, Context, Handler};
use bytes::Bytes;
use factory_domain::ports::{Clock, SchematicStore as Port, StoreError};
use factory_domain::schematic::{Schematic, SchematicId};

pub use self::memory::Limits;
use self::memory::{Memory, Seen};
use crate::ask::{Ask, Envelope};
use crate::flights::Flights;
use crate::workers::{Crashed, Workers};

/// A schematic as it is stored.
#[derive(Debug)]
pub struct Stored {
    /// Its id: the SHA-256 of `canonical`.
    pub id: SchematicId,
    /// The stored bytes.
    pub canonical: Bytes,
    /// What they say.
    pub schematic: Schematic,
}

/// Asks to keep a schematic. Sent by the front door for `POST /schematics`; answered when it is durable.
#[derive(Clone, Debug)]
pub struct PutSchematic {
    /// The canonical text.
    pub canonical: Bytes,
}

/// Answer to [`PutSchematic`].
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its id.
    pub id: SchematicId,
    /// Whether it was there before.
    pub existed: bool,
}

/// Asks for a schematic. Sent by the front door and by the planner.
#[derive(Clone, Debug)]
pub struct GetSchematic {
    /// Which.
    pub id: SchematicId,
}

/// Why there is no schematic.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchematicError {
    /// Nobody has created it.
    #[error("schematic ID \"{0}\" not found")]
    NotFound(SchematicId),
    /// The store cannot answer.
    #[error("the schematic store does not answer: {0}")]
    Store(#[from] StoreError),
    /// What is stored is no schematic.
    #[error("the stored schematic {id} cannot be read: {reason}")]
    Unreadable {
        /// Which.
        id: SchematicId,
        /// Why.
        reason: String,
    },
    /// Work on it ended in a panic.
    #[error(transparent)]
    Crashed(#[from] Crashed),
}

impl Ask for PutSchematic {
    type Answer = Kept;
    type Error = SchematicError;
}

impl Ask for GetSchematic {
    type Answer = Arc<Stored>;
    type Error = SchematicError;
}

/// What survives a restart of the actor.
#[derive(Clone)]
pub struct State {
    port: Arc<dyn Port>,
    memory: Arc<Memory>,
    gets: Arc<Flights<SchematicId, Option<Arc<Stored>>, SchematicError>>,
    puts: Arc<Flights<SchematicId, bool, SchematicError>>,
}

/// The actor.
pub struct SchematicStore {
    state: State,
}

impl SchematicStore {
    /// State over a store, for [`Self::with`].
    pub fn state(port: Arc<dyn Port>, clock: Arc<dyn Clock>, limits: Limits, workers: Workers) -> State {
        State {
            port,
            memory: Arc::new(Memory::new(clock, limits)),
            gets: Arc::new(Flights::new(workers.clone())),
            puts: Arc::new(Flights::new(workers)),
        }
    }

    /// The actor over a state.
    pub fn with(state: State) -> Self {
        Self { state }
    }
}

impl Actor for SchematicStore {
    type Context = Context<Self>;
}

impl Handler<Envelope<GetSchematic>> for SchematicStore {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<GetSchematic>, ctx: &mut Context<Self>) {
        let id = envelope.message.id;
        match self.state.memory.find(&id) {
            Some(Seen::There(stored)) => return envelope.answer(Ok(stored)),
            Some(Seen::Absent) => return envelope.answer(Err(SchematicError::NotFound(id))),
            None => {}
        }
        let state = self.state.clone();
        envelope.answer_with(ctx, async move {
            // A create that is under way decides; asking the store beside it might remember its absence.
            if let Some(put) = state.puts.find(&id) {
                let _ = put.await;
            }
            state.get(id).await?.ok_or(SchematicError::NotFound(id))
        });
    }
}

impl Handler<Envelope<PutSchematic>> for SchematicStore {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<PutSchematic>, ctx: &mut Context<Self>) {
        let canonical = envelope.message.canonical.clone();
        let id = SchematicId::of(&canonical);
        if self.state.memory.is_kept(&id) {
            return envelope.answer(Ok(Kept { id, existed: true }));
        }
        let state = self.state.clone();
        envelope.answer_with(ctx, async move {
            let existed = state.put(id, canonical).await?;
            Ok(Kept { id, existed })
        });
    }
}

impl State {
    async fn get(&self, id: SchematicId) -> Result<Option<Arc<Stored>>, SchematicError> {
        metrics::counter!("image_factory_schematic_get_total").increment(1);
        let (port, memory) = (Arc::clone(&self.port), Arc::clone(&self.memory));
        let flight = self.gets.join(id, "reading a schematic", move || async move {
            let found = match port.get(&id).await? {
                Some(canonical) => Some(Arc::new(read(id, canonical)?)),
                None => None,
            };
            match &found {
                Some(stored) => memory.remember(Arc::clone(stored)),
                None => memory.remember_absent(id),
            }
            Ok(found)
        });
        flight.await
    }

    async fn put(&self, id: SchematicId, canonical: Bytes) -> Result<bool, SchematicError> {
        let (port, memory) = (Arc::clone(&self.port), Arc::clone(&self.memory));
        let flight = self.puts.join(id, "keeping a schematic", move || async move {
            let stored = read(id, canonical.clone())?;
            let existed = port.put(&id, canonical).await?;
            memory.remember_kept(Arc::new(stored));
            let counter = if existed { "duplicate_create" } else { "create" };
            metrics::counter!(format!("image_factory_schematic_{counter}_total")).increment(1);
            Ok(existed)
        });
        flight.await
    }
}

fn read(id: SchematicId, canonical: Bytes) -> Result<Stored, SchematicError> {
    let schematic = Schematic::parse_stored(&canonical)
        .map_err(|error| SchematicError::Unreadable { id, reason: error.to_string() })?;
    Ok(Stored { id, canonical, schematic })
}

#[cfg(test)]
mod tests;
