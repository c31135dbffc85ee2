//! Errors as the OCI distribution specification has them ("Error Codes"): a JSON document with a code.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use factory_actors::ask::AskError;
use factory_actors::publisher::PublishError;
use factory_actors::schematics::SchematicError;
use factory_actors::sources::FetchError;
use factory_domain::ports::{SourceError, StoreError};
use serde::Serialize;

use crate::http::errors::IntoProblem;
use crate::http::problem::Problem;

/// An error on its way to a registry client.
#[derive(Clone, Debug)]
pub(super) struct RegistryError {
    code: &'static str,
    problem: Problem,
}

#[derive(Serialize)]
struct Document<'a> {
    errors: [Entry<'a>; 1],
}

#[derive(Serialize)]
struct Entry<'a> {
    code: &'a str,
    message: &'a str,
    detail: Option<&'a str>,
}

/// Longest text of a request that an answer repeats.
const MAX_QUOTE: usize = 100;

fn shown(text: &str) -> String {
    text.chars().take(MAX_QUOTE).collect()
}

impl RegistryError {
    fn new(status: StatusCode, code: &'static str, message: String) -> Self {
        Self { code, problem: Problem::new(status, message) }
    }

    /// A path that leads nowhere.
    pub fn no_route(path: &str) -> Self {
        let message = format!("unknown registry path: {:?}", shown(&format!("/{path}")));
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message)
    }

    /// An image of the release that is not handed on.
    pub fn no_image(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", format!("unknown image: {}", shown(name)))
    }

    /// A schematic that cannot exist.
    pub fn no_schematic(problem: Problem) -> Self {
        Self { code: "NAME_UNKNOWN", problem }
    }

    /// A text that is no digest.
    pub fn no_digest(text: &str, status: StatusCode) -> Self {
        Self::new(status, "DIGEST_INVALID", format!("invalid digest: {:?}", shown(text)))
    }

    /// A digest of an algorithm that no name here has.
    pub fn other_algorithm(code: &'static str, text: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, format!("there is nothing with digest {}", shown(text)))
    }

    /// A page of tags that makes no sense.
    pub fn no_page(text: &str) -> Self {
        let message = format!("invalid number of tags: {:?}", shown(text));
        Self::new(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", message)
    }

    /// Nothing can be pushed.
    pub fn read_only() -> Self {
        let message = "this registry makes its images itself, nothing can be pushed or deleted".to_owned();
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message)
    }

    /// It takes longer than a request may wait. The work goes on.
    pub fn still_working() -> Self {
        const AGAIN: u64 = 30;
        let problem = Problem::retry("the image is still being made, try again soon", AGAIN);
        Self { code: "UNAVAILABLE", problem }
    }

    /// Something of the release that cannot be had; `missing` is told when it does not exist.
    pub fn of_source(error: AskError<FetchError>, missing: &'static str) -> Self {
        if let AskError::No(FetchError::Source(SourceError::NotFound { .. })) = &error {
            return Self::new(StatusCode::NOT_FOUND, missing, error.to_string());
        }
        Self::told(error.into_problem())
    }

    /// The store does not answer.
    pub fn of_store(error: StoreError) -> Self {
        Self::told(error.into_problem())
    }

    /// An error with the code that its status suggests.
    fn told(problem: Problem) -> Self {
        let code = match problem.status {
            StatusCode::BAD_REQUEST => "MANIFEST_INVALID",
            StatusCode::NOT_FOUND => "MANIFEST_UNKNOWN",
            StatusCode::NOT_IMPLEMENTED => "UNSUPPORTED",
            StatusCode::SERVICE_UNAVAILABLE => "UNAVAILABLE",
            _ => "UNKNOWN",
        };
        Self { code, problem }
    }

    pub fn respond(&self, _: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::build(self.problem.status);
        if let Some(seconds) = self.problem.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        response.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        let entry = Entry { code: self.code, message: &self.problem.detail, detail: None };
        let body = serde_json::to_vec(&Document { errors: [entry] }).unwrap_or_default();
        response.content_type("application/json").body(body)
    }
}

impl From<AskError<PublishError>> for RegistryError {
    fn from(error: AskError<PublishError>) -> Self {
        let known = match &error {
            AskError::No(PublishError::Schematic(SchematicError::NotFound(_)) | PublishError::NoImage(_)) => {
                Some("NAME_UNKNOWN")
            }
            AskError::No(PublishError::Name(_)) => Some("NAME_INVALID"),
            AskError::No(PublishError::NoManifest(_)) => Some("MANIFEST_UNKNOWN"),
            AskError::No(PublishError::NoBlob(_)) => Some("BLOB_UNKNOWN"),
            _ => None,
        };
        let told = Self::told(error.into_problem());
        Self { code: known.unwrap_or(told.code), ..told }
    }
}
