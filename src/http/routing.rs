//! Routes: `HEAD` wherever there is `GET`, helpful answers for wrong methods and near misses.

use actix_web::dev::ResourceDef;
use actix_web::http::{Method, StatusCode, header};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, web};

use super::errors;

/// Every route, so that a path that misses one by a slash can be led there.
pub const ROUTES: &[&str] = &[
    "/",
    "/healthz",
    "/readyz",
    "/llms.txt",
    "/schematics",
    "/schematics/{schematic}",
    "/image/{schematic}/{version}/{path}",
    "/pxe/{schematic}/{version}/{path}",
    "/versions",
    "/spdx/{schematic}/{version}/{arch}",
    "/version/{version}/extensions/official",
    "/version/{version}/overlays/official",
    "/talosctl/{version}",
    "/talosctl/{version}/{file}",
    "/secureboot/signing-cert.pem",
    "/oci/cosign/signing-key.pub",
    "/v2",
];

/// A route that answers `GET` and `HEAD`.
pub fn get<F, Args>(path: &'static str, handler: F) -> Resource
where
    F: Handler<Args> + Clone,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    debug_assert!(ROUTES.contains(&path), "{path} is not in the table");
    web::resource(path)
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
        .default_service(web::to(|request: HttpRequest| other_method(request, "GET, HEAD, OPTIONS")))
}

/// A route that answers `POST`.
pub fn post<F, Args>(path: &'static str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    debug_assert!(ROUTES.contains(&path), "{path} is not in the table");
    web::resource(path)
        .route(web::post().to(handler))
        .default_service(web::to(|request: HttpRequest| other_method(request, "POST, OPTIONS")))
}

async fn other_method(request: HttpRequest, allow: &'static str) -> HttpResponse {
    let mut response = if request.method() == Method::OPTIONS {
        HttpResponse::Ok().finish()
    } else {
        errors::other_method().respond(&request)
    };
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allow));
    response
}

/// What no route takes: led to the route that is meant, or `404`.
pub async fn not_found(request: HttpRequest) -> HttpResponse {
    let path = request.uri().path();
    let clean = clean(path);
    if clean != path && ROUTES.iter().any(|route| ResourceDef::new(*route).is_match(&clean)) {
        let location = match request.uri().query() {
            Some(query) => format!("{clean}?{query}"),
            None => clean,
        };
        let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
        let status = if is_get { StatusCode::MOVED_PERMANENTLY } else { StatusCode::TEMPORARY_REDIRECT };
        return HttpResponse::build(status).insert_header((header::LOCATION, location)).finish();
    }
    errors::no_route().respond(&request)
}

/// The path without empty, `.` and `..` segments and without a slash at its end. It begins with exactly one
/// slash, so it cannot lead to another host.
fn clean(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_cleaned() {
        for (path, want) in [
            ("/versions/", "/versions"),
            ("//versions", "/versions"),
            ("/a/../versions", "/versions"),
            ("/../../versions/.", "/versions"),
            ("//evil.example/..//versions", "/versions"),
            ("/", "/"),
        ] {
            assert_eq!(clean(path), want, "{path}");
        }
    }
}
