//! Files about assets: what `sha256sum --check` and `cosign verify-blob` read.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use factory_actors::planner::Planned;
use factory_domain::asset::{Sidecar, content_disposition, download_name};
use factory_formats::hash::HashFunction;

use super::Site;
use super::errors::IntoProblem;
use super::problem::Problem;
use super::small::{Caching, respond};

/// Seconds for which a sidecar may be kept by others: as long as the asset.
const SIDECARS: Caching = Caching::Public(86400);

const CHECKSUM: &str = "text/plain; charset=utf-8";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Answers with the sidecar of a planned asset. `path` is the asset's, `wanted` the file name that the client
/// wants the asset to have.
pub(super) async fn answer(
    request: &HttpRequest,
    site: &Site,
    planned: &Planned,
    (path, sidecar): (&str, Sidecar),
    wanted: Option<&str>,
) -> Result<HttpResponse, Problem> {
    let (layout, name) = (&planned.asset.layout, download_name(path, wanted));
    let hash = async |function| {
        let hex = site.factory.hash(path, layout, function).await.map_err(IntoProblem::into_problem)?;
        Ok::<_, Problem>(format!("{hex}  {name}\n"))
    };
    let (content_type, text) = match sidecar {
        Sidecar::Sha256 => (CHECKSUM, hash(HashFunction::Sha256).await?),
        Sidecar::Sha512 => (CHECKSUM, hash(HashFunction::Sha512).await?),
        Sidecar::Sigstore => {
            let bundle = site.factory.signature(path, layout).await;
            (BUNDLE, bundle.map_err(IntoProblem::into_problem)?)
        }
    };
    let mut response = respond(request, content_type, text.into_bytes(), SIDECARS);
    let disposition = content_disposition(&format!("{name}{}", sidecar.suffix()));
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
