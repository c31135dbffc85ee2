//! Files about assets: what `sha256sum --check` reads.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use factory_actors::planner::Planned;
use factory_domain::asset::{Sidecar, content_disposition, download_name};
use factory_formats::hash::HashFunction;

use super::Site;
use super::errors::{IntoProblem, no_signatures};
use super::problem::Problem;
use super::small::{Caching, respond};

/// Seconds for which a checksum may be kept by others: as long as the asset.
const CHECKSUMS: Caching = Caching::Public(86400);

/// Answers with the sidecar of a planned asset. `path` is the asset's, `wanted` the file name that the client
/// wants the asset to have.
pub(super) async fn answer(
    request: &HttpRequest,
    site: &Site,
    planned: &Planned,
    (path, sidecar): (&str, Sidecar),
    wanted: Option<&str>,
) -> Result<HttpResponse, Problem> {
    let function = match sidecar {
        Sidecar::Sha256 => HashFunction::Sha256,
        Sidecar::Sha512 => HashFunction::Sha512,
        Sidecar::Sigstore => return Err(no_signatures()),
    };
    let hash = site.factory.hash(path, &planned.asset.layout, function).await;
    let hex = hash.map_err(IntoProblem::into_problem)?;
    let name = download_name(path, wanted);
    let line = format!("{hex}  {name}\n");
    let mut response = respond(request, "text/plain; charset=utf-8", line.into_bytes(), CHECKSUMS);
    let disposition = content_disposition(&format!("{name}{}", sidecar.suffix()));
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
