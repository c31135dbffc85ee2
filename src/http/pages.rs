//! Pages for people and for language models.

use actix_web::{HttpRequest, HttpResponse, web};

use super::Site;
use super::routing::get;
use super::small::{Caching, respond};

pub fn configure(config: &mut web::ServiceConfig) {
    config.service(get("/", home)).service(get("/llms.txt", guide));
}

/// Where the factory's own address stands in the texts.
const PLACE: &str = "{{url}}";

fn fill(text: &str, site: &Site) -> Vec<u8> {
    text.replace(PLACE, site.external_url.as_str().trim_end_matches('/')).into_bytes()
}

async fn home(request: HttpRequest, site: web::Data<Site>) -> HttpResponse {
    respond(
        &request,
        "text/html; charset=utf-8",
        fill(include_str!("pages/home.html"), &site),
        Caching::Unsaid,
    )
}

async fn guide(request: HttpRequest, site: web::Data<Site>) -> HttpResponse {
    respond(
        &request,
        "text/plain; charset=utf-8",
        fill(include_str!("pages/llms.txt"), &site),
        Caching::Unsaid,
    )
}
