//! `/v2`: the pull side of the OCI distribution specification 1.1 (10-http-api.md, 8).

mod answers;
mod error;
mod installers;
mod route;
mod sources;
mod tags;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};

use self::error::RegistryError;
use self::route::{Repository, Route};
use super::Site;

/// Tells clients that this is a registry.
const API_VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("docker-distribution-api-version"), HeaderValue::from_static("registry/2.0"));

pub fn configure(config: &mut web::ServiceConfig) {
    for path in ["/v2", "/v2/{path:.*}"] {
        config.service(web::resource(path).default_service(web::to(registry)));
    }
}

async fn registry(request: HttpRequest, site: web::Data<Site>) -> HttpResponse {
    let mut response = match *request.method() {
        Method::GET | Method::HEAD => {
            answer(&request, &site).await.unwrap_or_else(|error| error.respond(&request))
        }
        Method::OPTIONS => HttpResponse::Ok().insert_header((header::ALLOW, READ_METHODS)).finish(),
        _ => {
            let mut response = RegistryError::read_only().respond(&request);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(READ_METHODS));
            response
        }
    };
    response.headers_mut().insert(API_VERSION.0, API_VERSION.1);
    response
}

/// Methods that a registry without pushing has.
const READ_METHODS: &str = "GET, HEAD, OPTIONS";

async fn answer(request: &HttpRequest, site: &Site) -> Result<HttpResponse, RegistryError> {
    let path = request.match_info().get("path").unwrap_or_default();
    match route::parse(path)? {
        Route::Ping => Ok(HttpResponse::build(StatusCode::OK).finish()),
        Route::Resource { repository: Repository::Installer { image, schematic }, resource } => {
            installers::answer(request, site, image, schematic, resource).await
        }
        Route::Resource { repository: Repository::Source(name), resource } => {
            sources::answer(request, site, name, resource).await
        }
    }
}
