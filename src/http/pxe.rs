//! `/pxe`: scripts for machines that boot over the network.

use actix_web::{HttpRequest, HttpResponse, web};
use factory_actors::planner::Purpose;
use factory_domain::asset::AssetPath;
use factory_domain::pxe;

use super::Site;
use super::assets::plan;
use super::errors::{invalid_path, schematic_id, version};
use super::problem::Problem;
use super::routing::get;
use super::small::{Caching, respond};

pub fn configure(config: &mut web::ServiceConfig) {
    config.service(get("/pxe/{schematic}/{version}/{path}", script));
}

async fn script(
    request: HttpRequest,
    path: web::Path<(String, String, String)>,
    site: web::Data<Site>,
) -> HttpResponse {
    let (schematic, version_text, path) = path.into_inner();
    let outcome = async {
        let (id, tag) = (schematic_id(&schematic)?, version(&version_text)?);
        let asset = AssetPath::accept(&format!("cmdline-{path}")).map_err(|error| invalid_path(&error))?;
        let target = asset.target();
        let planned = plan(&site, &schematic, &version_text, Ok(asset), Purpose::Script).await?;
        let line = planned.asset.layout.inline_bytes().unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let script = pxe::script(site.external_pxe_url.as_str(), &id, &tag, &target, &line);
        Ok::<_, Problem>(respond(&request, "text/plain; charset=utf-8", script.into_bytes(), Caching::Unsaid))
    };
    outcome.await.unwrap_or_else(|problem| problem.respond(&request))
}
