//! `/image`: any asset, whole or in part.

use actix_web::body::BoxBody;
use actix_web::http::header;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use factory_actors::ask::AskError;
use factory_actors::planner::{PlanAsset, Planned, Purpose};
use factory_domain::asset::{AssetPath, content_disposition, content_type, download_name, split_sidecar};
use factory_domain::ports::Lease;
use factory_formats::Layout;
use serde::Deserialize;

use super::Site;
use super::body::{LengthOnly, StreamBody};
use super::conditional::{Delivery, decide};
use super::errors::{IntoProblem, invalid_path, schematic_id, version};
use super::problem::Problem;
use super::routing::get;
use super::{offload, sidecars};

pub fn configure(config: &mut web::ServiceConfig) {
    config.service(get("/image/{schematic}/{version}/{path}", image));
}

#[derive(Deserialize)]
struct ImageQuery {
    filename: Option<String>,
}

async fn image(
    request: HttpRequest,
    path: web::Path<(String, String, String)>,
    query: web::Query<ImageQuery>,
    site: web::Data<Site>,
) -> HttpResponse {
    let (schematic, version_text, path) = path.into_inner();
    let outcome = async {
        let (path, sidecar) = split_sidecar(&path);
        let asset = AssetPath::accept(path).map_err(|error| invalid_path(&error));
        let want = wanted(&schematic, &version_text, asset, Purpose::Download)?;
        let planned = match site.factory.planner.ask(want.clone()).await {
            Ok(planned) => planned,
            Err(AskError::No(error)) if sidecar.is_none() && error.is_source_down() => {
                let name = download_name(path, query.filename.as_deref());
                let kept = offload::from_cache(&request, &site, &want, &name).await;
                return kept.ok_or_else(|| error.into_problem());
            }
            Err(error) => return Err(error.into_problem()),
        };
        if let Some(sidecar) = sidecar {
            let wanted = query.filename.as_deref();
            return sidecars::answer(&request, &site, &planned, (path, sidecar), wanted).await;
        }
        let name = download_name(path, query.filename.as_deref());
        let disposition = content_disposition(&name);
        if let Some(response) = offload::redirect(&request, &site, &want, &planned, &disposition).await {
            return Ok(response);
        }
        let download = Download {
            layout: &planned.asset.layout,
            lease: planned.lease,
            etag: planned.asset.etag.clone(),
            content_type: content_type(path),
            disposition,
        };
        let mut response = deliver(&request, &site, download);
        let ignored: Vec<_> = planned.asset.ignored.iter().map(ToString::to_string).collect();
        if let Ok(value) = header::HeaderValue::from_str(&ignored.join(", "))
            && !ignored.is_empty()
        {
            response.headers_mut().insert(header::HeaderName::from_static("x-schematic-ignored"), value);
        }
        Ok(response)
    };
    outcome.await.unwrap_or_else(|problem| problem.respond(&request))
}

/// What to ask the planner. What the request itself says wrong is told first: an unknown schematic, then version
/// and path.
fn wanted(
    schematic: &str,
    version_text: &str,
    asset: Result<AssetPath, Problem>,
    purpose: Purpose,
) -> Result<PlanAsset, Problem> {
    let (schematic, version) = (schematic_id(schematic)?, version(version_text)?);
    Ok(PlanAsset { schematic, version, path: asset?, purpose })
}

/// Asks the planner.
pub(super) async fn plan(
    site: &Site,
    schematic: &str,
    version_text: &str,
    asset: Result<AssetPath, Problem>,
    purpose: Purpose,
) -> Result<Planned, Problem> {
    let message = wanted(schematic, version_text, asset, purpose)?;
    site.factory.planner.ask(message).await.map_err(IntoProblem::into_problem)
}

/// Something to download.
pub(super) struct Download<'a> {
    /// Its bytes.
    pub layout: &'a Layout,
    /// Holds its blobs.
    pub lease: Lease,
    /// Strong entity tag with its quotes.
    pub etag: String,
    /// Media type.
    pub content_type: &'static str,
    /// Value of `Content-Disposition`.
    pub disposition: String,
}

/// The response: everything, a part, or only what the client needs to know.
pub(super) fn deliver(request: &HttpRequest, site: &Site, download: Download<'_>) -> HttpResponse {
    let len = download.layout.len();
    let is_head = request.method() == Method::HEAD;
    let delivery = decide(request.headers(), !is_head, &download.etag, len);
    let (status, start, end) = match delivery {
        Delivery::Whole => (StatusCode::OK, 0, len),
        Delivery::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start, end),
        Delivery::NotModified => (StatusCode::NOT_MODIFIED, 0, 0),
        Delivery::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, 0, 0),
        Delivery::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
    };
    let mut response = HttpResponse::build(status);
    response.insert_header((header::ETAG, download.etag));
    response.insert_header((header::ACCEPT_RANGES, "bytes"));
    match delivery {
        Delivery::NotModified | Delivery::PreconditionFailed => return response.finish(),
        Delivery::Unsatisfiable => {
            response.insert_header((header::CONTENT_RANGE, format!("bytes */{len}")));
            return response.finish();
        }
        Delivery::Part { .. } => {
            let value = format!("bytes {start}-{}/{len}", end.saturating_sub(1));
            response.insert_header((header::CONTENT_RANGE, value));
        }
        Delivery::Whole => {}
    }
    response.insert_header((header::CONTENT_TYPE, download.content_type));
    response.insert_header((header::CONTENT_DISPOSITION, download.disposition));
    response.insert_header((header::CACHE_CONTROL, "public, max-age=86400"));
    if is_head {
        return response.body(BoxBody::new(LengthOnly(len)));
    }
    let stream = site.factory.stream(download.layout, start, end, download.lease);
    response.body(BoxBody::new(StreamBody::new(stream)))
}
