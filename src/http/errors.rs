//! The one table from errors to status codes.

use actix_web::http::StatusCode;
use factory_actors::ask::AskError;
use factory_actors::catalog::CatalogError;
use factory_actors::parts::PartError;
use factory_actors::planner::PlanError;
use factory_actors::publisher::PublishError;
use factory_actors::schematics::SchematicError;
use factory_actors::sources::FetchError;
use factory_actors::verifier::TrustError;
use factory_domain::TalosVersion;
use factory_domain::arch::InvalidArch;
use factory_domain::asset::{InvalidPath, quoted};
use factory_domain::goyaml;
use factory_domain::ports::{KeyError, SandboxError, SourceError, StoreError, VerifyError};
use factory_domain::schematic::{self, SchematicId};

use super::problem::Problem;

/// Seconds after which somebody who was busy may be asked again.
const BUSY: u64 = 1;

/// Seconds after which a source that does not answer may be asked again.
const SOURCE_DOWN: u64 = 15;

/// An error that clients can be told.
pub trait IntoProblem {
    /// What clients are told.
    fn into_problem(self) -> Problem;
}

/// Longest text of a request that an answer repeats.
const MAX_QUOTE: usize = 100;

fn shown(text: &str) -> String {
    text.chars().take(MAX_QUOTE).collect()
}

/// Reads a version of a path, with or without its `v`.
pub fn version(text: &str) -> Result<TalosVersion, Problem> {
    let version = TalosVersion::parse(text).and_then(|version| version.check_tag().map(|()| version));
    version.map_err(|error| problem(StatusCode::BAD_REQUEST, error))
}

/// Reads a schematic id of a path. What cannot be one does not exist.
pub fn schematic_id(text: &str) -> Result<SchematicId, Problem> {
    text.parse().map_err(|error: schematic::InvalidSchematicId| problem(StatusCode::NOT_FOUND, error))
}

/// A path that asks for nothing.
pub fn invalid_path(error: &InvalidPath) -> Problem {
    problem(StatusCode::BAD_REQUEST, format!("error parsing profile from path: {error}"))
}

/// An architecture that there is not.
pub fn invalid_arch(error: &InvalidArch) -> Problem {
    problem(StatusCode::BAD_REQUEST, error)
}

/// A schematic that nobody has created, asked for by itself.
pub fn no_schematic() -> Problem {
    problem(StatusCode::NOT_FOUND, "schematic not found")
}

/// A schematic that is longer than `limit` bytes.
pub fn too_long(limit: usize) -> Problem {
    problem(StatusCode::PAYLOAD_TOO_LARGE, format!("the schematic is longer than {limit} bytes"))
}

/// A body that did not arrive.
pub fn unreadable_body(error: &actix_web::error::PayloadError) -> Problem {
    problem(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}"))
}

/// A file that a version does not offer.
pub fn no_talosctl(version: &TalosVersion, file: &str) -> Problem {
    let text = format!("there is no {} for Talos version {}", quoted(&shown(file)), version.tag());
    problem(StatusCode::NOT_FOUND, text)
}

/// A version that offers no files at all.
pub fn no_version(version: &TalosVersion) -> Problem {
    problem(StatusCode::NOT_FOUND, format!("version {version} is not available"))
}

/// Secure Boot is off.
pub fn no_secure_boot() -> Problem {
    problem(StatusCode::NOT_FOUND, "secure boot is disabled")
}

/// No route.
pub fn no_route() -> Problem {
    problem(StatusCode::NOT_FOUND, "404 page not found")
}

/// A route, but not this method.
pub fn other_method() -> Problem {
    problem(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}

/// On the way out.
pub fn stopping() -> Problem {
    Problem::retry("the factory is stopping", SOURCE_DOWN)
}

fn problem(status: StatusCode, text: impl std::fmt::Display) -> Problem {
    Problem::new(status, text.to_string())
}

impl<E: IntoProblem> IntoProblem for AskError<E> {
    fn into_problem(self) -> Problem {
        match self {
            Self::Busy { actor } => busy(actor),
            Self::Died { actor } => died(actor),
            Self::No(error) => error.into_problem(),
        }
    }
}

fn busy(actor: &str) -> Problem {
    Problem::retry(format!("the {actor} has too much to do, try again soon"), BUSY)
}

fn died(actor: &str) -> Problem {
    problem(StatusCode::INTERNAL_SERVER_ERROR, format!("the {actor} failed while working on this request"))
}

impl IntoProblem for schematic::SchematicError {
    fn into_problem(self) -> Problem {
        let status = match &self {
            Self::Yaml(goyaml::Error::TooLong { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        problem(status, self)
    }
}

impl IntoProblem for SchematicError {
    fn into_problem(self) -> Problem {
        match self {
            Self::NotFound(_) => problem(StatusCode::NOT_FOUND, self),
            Self::Store(error) => error.into_problem(),
            _ => problem(StatusCode::INTERNAL_SERVER_ERROR, self),
        }
    }
}

impl IntoProblem for StoreError {
    fn into_problem(self) -> Problem {
        match self {
            Self::Damaged { .. } => problem(StatusCode::INTERNAL_SERVER_ERROR, self),
            _ => Problem::retry(self.to_string(), SOURCE_DOWN),
        }
    }
}

impl IntoProblem for SourceError {
    fn into_problem(self) -> Problem {
        match &self {
            Self::RateLimited { retry_after, .. } => {
                let seconds = retry_after.map_or(SOURCE_DOWN, |wait| wait.as_secs().max(1));
                Problem::retry(self.to_string(), seconds)
            }
            Self::Unavailable { .. } => Problem::retry(self.to_string(), SOURCE_DOWN),
            _ => problem(StatusCode::BAD_GATEWAY, self),
        }
    }
}

impl IntoProblem for FetchError {
    fn into_problem(self) -> Problem {
        match self {
            Self::Source(error) => error.into_problem(),
            Self::Trust(TrustError::Verify(VerifyError::Unavailable { .. })) | Self::Verifier(_) => {
                Problem::retry(self.to_string(), SOURCE_DOWN)
            }
            Self::Store(error) => error.into_problem(),
            Self::Crashed(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, self),
            _ => problem(StatusCode::BAD_GATEWAY, self),
        }
    }
}

impl IntoProblem for CatalogError {
    fn into_problem(self) -> Problem {
        let text = self.to_string();
        told(self, text)
    }
}

/// The status of a catalogue's error with another text.
fn told(error: CatalogError, text: String) -> Problem {
    let of = match error {
        CatalogError::UnknownVersion(_) | CatalogError::BrokenVersion { .. } => {
            problem(StatusCode::NOT_FOUND, "")
        }
        CatalogError::NoList(error) => match error.into_problem() {
            // Without the list nothing is known, whatever the source's reason.
            problem if problem.retry_after.is_some() => problem,
            _ => Problem::retry("", SOURCE_DOWN),
        },
        CatalogError::Fetch(error) => error.into_problem(),
        CatalogError::Fetcher(_) => Problem::retry("", BUSY),
        CatalogError::Store(error) => error.into_problem(),
        CatalogError::Crashed(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, ""),
        _ => problem(StatusCode::BAD_GATEWAY, ""),
    };
    Problem { detail: text, ..of }
}

impl IntoProblem for PartError {
    fn into_problem(self) -> Problem {
        match self {
            Self::Store(error) => error.into_problem(),
            Self::Key(KeyError::Unavailable { .. }) => Problem::retry(self.to_string(), SOURCE_DOWN),
            Self::Input { .. } => problem(StatusCode::BAD_GATEWAY, self),
            Self::Sandbox(error) => sandbox(error),
            _ => problem(StatusCode::INTERNAL_SERVER_ERROR, self),
        }
    }
}

/// A board's program that says no says it of the options that it was given.
fn sandbox(error: SandboxError) -> Problem {
    match &error {
        SandboxError::Failed { .. } => {
            problem(StatusCode::BAD_REQUEST, format!("error enhancing profile from schematic: {error}"))
        }
        SandboxError::Unavailable { .. } => problem(StatusCode::NOT_IMPLEMENTED, error),
        SandboxError::Exceeded { .. } | SandboxError::Leftover { .. } => {
            problem(StatusCode::BAD_GATEWAY, error)
        }
        _ => problem(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

impl IntoProblem for PlanError {
    fn into_problem(self) -> Problem {
        let text = self.to_string();
        match self {
            Self::Schematic(error) => error.into_problem(),
            Self::Catalog(error) => told(error, text),
            Self::Refused(_)
            | Self::Profile(_)
            | Self::Recipe(_)
            | Self::Incompatible(_)
            | Self::NoSbom(_)
            | Self::TooLarge { .. } => problem(StatusCode::BAD_REQUEST, text),
            Self::Fetch(error) => error.into_problem(),
            Self::NoReleaseFile { .. } => problem(StatusCode::BAD_GATEWAY, text),
            Self::Part(error) => error.into_problem(),
            Self::Store(error) => error.into_problem(),
            Self::Busy(actor) => busy(actor),
            Self::Died(actor) => died(actor),
            _ => problem(StatusCode::INTERNAL_SERVER_ERROR, text),
        }
    }
}

impl IntoProblem for PublishError {
    fn into_problem(self) -> Problem {
        match self {
            Self::Schematic(error) => error.into_problem(),
            Self::Catalog(error) => error.into_problem(),
            Self::Plan(error) => error.into_problem(),
            Self::Store(error) => error.into_problem(),
            Self::Busy(actor) => busy(actor),
            Self::Died(actor) => died(actor),
            Self::Name(_) => problem(StatusCode::BAD_REQUEST, self),
            Self::NoImage(_) | Self::NoManifest(_) | Self::NoBlob(_) => problem(StatusCode::NOT_FOUND, self),
            Self::Sign(_) | Self::Push(_) => Problem::retry(self.to_string(), SOURCE_DOWN),
            _ => problem(StatusCode::INTERNAL_SERVER_ERROR, self),
        }
    }
}
