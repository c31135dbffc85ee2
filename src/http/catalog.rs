//! What there is: versions, extensions, overlays, command line clients.

use actix_web::{HttpRequest, HttpResponse, web};
use factory_actors::catalog::{FindExtensions, FindOverlays, FindTalosctl, ListVersions};
use factory_domain::TalosVersion;
use factory_domain::asset::content_disposition;
use factory_domain::catalog::talosctl_urls;
use factory_formats::Layout;
use serde::Deserialize;

use super::Site;
use super::assets::{Download, deliver};
use super::errors::{IntoProblem, no_talosctl, no_version, version};
use super::problem::Problem;
use super::routing::get;
use super::small::{Caching, json};

/// Seconds for which the list of versions may be kept by others.
const VERSIONS: Caching = Caching::Public(60);

/// Seconds for which the lists of one version may be kept by others.
const LISTS: Caching = Caching::Public(3600);

pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(get("/versions", versions))
        .service(get("/version/{version}/extensions/official", extensions))
        .service(get("/version/{version}/overlays/official", overlays))
        .service(get("/talosctl/{version}", talosctl_list))
        .service(get("/talosctl/{version}/{file}", talosctl_file));
}

#[derive(Deserialize)]
struct VersionsQuery {
    broken: Option<String>,
}

async fn versions(
    request: HttpRequest,
    query: web::Query<VersionsQuery>,
    site: web::Data<Site>,
) -> HttpResponse {
    match site.factory.catalog.ask(ListVersions).await {
        Ok(list) => {
            let wanted = if query.broken.as_deref() == Some("true") { &list.broken } else { &list.versions };
            let tags: Vec<_> = wanted.iter().map(TalosVersion::tag).collect();
            json(&request, &tags, VERSIONS)
        }
        Err(error) => error.into_problem().respond(&request),
    }
}

async fn extensions(request: HttpRequest, text: web::Path<String>, site: web::Data<Site>) -> HttpResponse {
    let outcome = async {
        let version = version(&text)?;
        let list = site.factory.catalog.ask(FindExtensions { version }).await;
        let registry = &site.factory.registry;
        let list = list.map_err(IntoProblem::into_problem)?.listing(registry, registry);
        Ok::<_, Problem>(json(&request, &list, LISTS))
    };
    outcome.await.unwrap_or_else(|problem| problem.respond(&request))
}

async fn overlays(request: HttpRequest, text: web::Path<String>, site: web::Data<Site>) -> HttpResponse {
    let outcome = async {
        let version = version(&text)?;
        let list = site.factory.catalog.ask(FindOverlays { version }).await;
        let list = list.map_err(IntoProblem::into_problem)?.listing();
        Ok::<_, Problem>(json(&request, &list, LISTS))
    };
    outcome.await.unwrap_or_else(|problem| problem.respond(&request))
}

async fn talosctl_list(request: HttpRequest, text: web::Path<String>, site: web::Data<Site>) -> HttpResponse {
    let outcome = async {
        let version = version(&text)?;
        let files = site.factory.catalog.ask(FindTalosctl { version: version.clone() }).await;
        let files = files.map_err(IntoProblem::into_problem)?;
        let files: Vec<_> = files.iter().map(|(talosctl, _)| talosctl.clone()).collect();
        let urls = talosctl_urls(site.external_url.as_str(), &version, &files);
        Ok::<_, Problem>(json(&request, &urls, LISTS))
    };
    outcome.await.unwrap_or_else(|problem| problem.respond(&request))
}

async fn talosctl_file(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    site: web::Data<Site>,
) -> HttpResponse {
    let (text, name) = path.into_inner();
    let outcome = async {
        let version = version(&text)?;
        let files = site.factory.catalog.ask(FindTalosctl { version: version.clone() }).await;
        let files = files.map_err(IntoProblem::into_problem)?;
        if files.is_empty() {
            return Err(no_version(&version));
        }
        let found = files.iter().find(|(talosctl, _)| talosctl.file == name);
        let Some((talosctl, file)) = found else {
            return Err(no_talosctl(&version, &name));
        };
        let layout = Layout::from_blob(file.digest, file.size);
        let lease = site.factory.hold(&layout).map_err(IntoProblem::into_problem)?;
        let download = Download {
            layout: &layout,
            lease,
            etag: format!("\"{}\"", file.digest.hex()),
            content_type: "application/octet-stream",
            disposition: content_disposition(&talosctl.file),
        };
        Ok(deliver(&request, &site, download))
    };
    outcome.await.unwrap_or_else(|problem| problem.respond(&request))
}
