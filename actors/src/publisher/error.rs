//! Why a registry has no answer.

use std::sync::Arc;

use factory_domain::asset::InvalidInstallerName;
use factory_domain::ports::{KeyError, SourceError, StoreError};
use factory_formats::Digest;

use crate::ask::AskError;
use crate::catalog::CatalogError;
use crate::planner::PlanError;
use crate::schematics::SchematicError;
use crate::workers::Crashed;

/// Why something of a repository cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// There is no such schematic, or it cannot be read.
    #[error(transparent)]
    Schematic(#[from] SchematicError),
    /// No installer is called so.
    #[error(transparent)]
    Name(#[from] InvalidInstallerName),
    /// An installer could be called so, but there is no such platform.
    #[error("there is no image {0}: its platform is unknown")]
    NoImage(String),
    /// No such tag or digest.
    #[error("there is no manifest {0}")]
    NoManifest(String),
    /// No such blob.
    #[error("there is no blob {0}")]
    NoBlob(Digest),
    /// The versions cannot be listed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// It cannot be made.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It cannot be signed, so it is not shown.
    #[error(transparent)]
    Sign(Arc<KeyError>),
    /// The registry that images are pushed to does not take them.
    #[error(transparent)]
    Push(#[from] SourceError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Work ended in a panic.
    #[error(transparent)]
    Crashed(#[from] Crashed),
    /// Somebody who was asked has too much to do.
    #[error("{0} has too much to do")]
    Busy(&'static str),
    /// Somebody who was asked died over it.
    #[error("{0} failed while working on this")]
    Died(&'static str),
}

impl From<KeyError> for PublishError {
    fn from(error: KeyError) -> Self {
        Self::Sign(Arc::new(error))
    }
}

impl<E> From<AskError<E>> for PublishError
where
    PublishError: From<E>,
{
    fn from(error: AskError<E>) -> Self {
        match error {
            AskError::Busy { actor } => Self::Busy(actor),
            AskError::Died { actor } => Self::Died(actor),
            AskError::No(error) => error.into(),
        }
    }
}
