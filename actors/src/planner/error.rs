//! Why there is no plan.

use factory_domain::extension::IncompatibleExtension;
use factory_domain::ports::StoreError;
use factory_domain::profile::{ProfileError, Refusal};
use factory_domain::recipe::RecipeError;

use crate::ask::AskError;
use crate::catalog::CatalogError;
use crate::parts::PartError;
use crate::schematics::SchematicError;
use crate::sources::FetchError;
use crate::workers::Crashed;

/// Why an asset cannot be made, or not now.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// There is no such schematic, or it cannot be read.
    #[error(transparent)]
    Schematic(#[from] SchematicError),
    /// There is no such version, or its lists cannot be read.
    #[error("failed to get kernel: {0}")]
    Catalog(#[from] CatalogError),
    /// No schematic can make it possible.
    #[error("error parsing profile from path: {0}")]
    Refused(#[from] Refusal),
    /// The schematic asks for what the version does not have.
    #[error("error enhancing profile from schematic: {0}")]
    Profile(#[from] ProfileError),
    /// Together they ask for what cannot be made.
    #[error("error enhancing profile from schematic: {0}")]
    Recipe(#[from] RecipeError),
    /// An extension is not made for this version.
    #[error("error enhancing profile from schematic: {0}")]
    Incompatible(#[from] IncompatibleExtension),
    /// A release image cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The version is too old to say what is inside.
    #[error("there is no SBOM for Talos version {0}: it is offered from 1.11.0 on")]
    NoSbom(String),
    /// The release lacks a file that every release has.
    #[error("the release {version} has no {path}")]
    NoReleaseFile {
        /// The release.
        version: String,
        /// Path in the image of the builder.
        path: String,
    },
    /// A part could not be built.
    #[error(transparent)]
    Part(#[from] PartError),
    /// What was asked for is larger than what it is put into.
    #[error("the schematic is too large for {what}: {reason}")]
    TooLarge {
        /// What was being made.
        what: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// The pieces do not fit together.
    #[error("{what} cannot be made: {reason}")]
    Unmakable {
        /// What was being made.
        what: &'static str,
        /// Why not.
        reason: String,
    },
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

impl<E> From<AskError<E>> for PlanError
where
    PlanError: From<E>,
{
    fn from(error: AskError<E>) -> Self {
        match error {
            AskError::Busy { actor } => Self::Busy(actor),
            AskError::Died { actor } => Self::Died(actor),
            AskError::No(error) => error.into(),
        }
    }
}

impl PlanError {
    /// Something that does not fit together.
    pub(crate) fn unmakable(what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Unmakable { what, reason: reason.to_string() }
    }

    /// Whether the source of releases does not answer, and nothing else is wrong.
    pub fn is_source_down(&self) -> bool {
        match self {
            Self::Catalog(error) => error.is_source_down(),
            Self::Fetch(error) => error.is_source_down(),
            _ => false,
        }
    }

    /// Whether a blob was evicted between finding and using it.
    pub(super) fn is_missing_blob(&self) -> bool {
        matches!(
            self,
            Self::Store(StoreError::Missing(_))
                | Self::Part(PartError::Store(StoreError::Missing(_)))
                | Self::Fetch(FetchError::Store(StoreError::Missing(_)))
        )
    }
}
