//! `/spdx`: what is inside of an image.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use factory_actors::planner::ComposeSbom;
use factory_domain::Arch;
use factory_domain::asset::content_disposition;

use super::Site;
use super::errors::{IntoProblem, invalid_arch, schematic_id, version};
use super::problem::Problem;
use super::routing::get;
use super::small::{Caching, respond};

/// Seconds for which a document may be kept by others: as long as an asset.
const DOCUMENTS: Caching = Caching::Public(86400);

pub fn configure(config: &mut web::ServiceConfig) {
    config.service(get("/spdx/{schematic}/{version}/{arch}", sbom));
}

async fn sbom(
    request: HttpRequest,
    path: web::Path<(String, String, String)>,
    site: web::Data<Site>,
) -> HttpResponse {
    let (schematic, version_text, arch) = path.into_inner();
    let outcome = async {
        let (schematic, version) = (schematic_id(&schematic)?, version(&version_text)?);
        let arch: Arch = arch.parse().map_err(|error| invalid_arch(&error))?;
        let name = format!("{schematic}-{}-{arch}.spdx.json", version.tag());
        let composed = site.factory.planner.ask(ComposeSbom { schematic, version, arch }).await;
        let bytes = composed.map_err(IntoProblem::into_problem)?.inline_bytes().unwrap_or_default();
        let mut response = respond(&request, "application/spdx+json", bytes, DOCUMENTS);
        if let Ok(value) = HeaderValue::from_str(&content_disposition(&name)) {
            response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
        }
        Ok::<_, Problem>(response)
    };
    outcome.await.unwrap_or_else(|problem| problem.respond(&request))
}
