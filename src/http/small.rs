//! Small answers that are made in memory: typed, tagged, conditional.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use factory_formats::Digest;
use serde::Serialize;

use super::conditional::{Delivery, decide};

/// Kinds of caching that small answers want.
#[derive(Clone, Copy)]
pub enum Caching {
    /// No header.
    Unsaid,
    /// Anyone may keep it for so many seconds.
    Public(u32),
}

/// Answers with `body`. The entity tag is made from it, so a client that has it gets `304`.
pub fn respond(
    request: &HttpRequest,
    content_type: &'static str,
    body: Vec<u8>,
    caching: Caching,
) -> HttpResponse {
    let etag = format!("\"{}\"", &Digest::of(&body).hex()[..32]);
    let delivery = decide(request.headers(), false, &etag, body.len() as u64);
    let mut response = match delivery {
        Delivery::NotModified => HttpResponse::NotModified(),
        Delivery::PreconditionFailed => HttpResponse::PreconditionFailed(),
        _ => HttpResponse::Ok(),
    };
    response.insert_header((header::ETAG, etag));
    if let Caching::Public(seconds) = caching {
        response.insert_header((header::CACHE_CONTROL, format!("public, max-age={seconds}")));
    }
    match delivery {
        Delivery::NotModified | Delivery::PreconditionFailed => response.finish(),
        _ => response.content_type(content_type).body(body),
    }
}

/// Answers with JSON and a line break at its end.
pub fn json<T: Serialize + ?Sized>(request: &HttpRequest, value: &T, caching: Caching) -> HttpResponse {
    let mut body = serde_json::to_vec(value).unwrap_or_default();
    body.push(b'\n');
    respond(request, "application/json", body, caching)
}
