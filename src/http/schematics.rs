//! `/schematics`: creating them, and getting them back.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use factory_actors::ask::AskError;
use factory_actors::schematics::{GetSchematic, PutSchematic, SchematicError};
use factory_domain::schematic::{Schematic, SchematicId};
use futures_util::StreamExt;
use serde::Serialize;

use super::Site;
use super::conditional::{Delivery, decide};
use super::errors::{IntoProblem, no_schematic, too_long, unreadable_body};
use super::problem::Problem;
use super::routing::{get, post};

pub fn configure(config: &mut web::ServiceConfig) {
    config.service(post("/schematics", create)).service(get("/schematics/{schematic}", show));
}

#[derive(Serialize)]
struct Created<'a> {
    id: String,
    schematic: &'a str,
}

async fn create(request: HttpRequest, body: web::Payload, site: web::Data<Site>) -> HttpResponse {
    let outcome = async {
        let body = read(body, site.max_schematic_size).await?;
        let schematic = Schematic::parse(&body).map_err(IntoProblem::into_problem)?;
        schematic.check_without_users().map_err(IntoProblem::into_problem)?;
        let canonical = schematic.canonical();
        let message = PutSchematic { canonical: Bytes::from(canonical.clone()) };
        let kept = site.factory.schematics.ask(message).await.map_err(IntoProblem::into_problem)?;
        let mut response = HttpResponse::Created();
        if kept.existed {
            response.insert_header(("X-Schematic-Existed", "true"));
        }
        let answer = Created { id: kept.id.to_string(), schematic: &canonical };
        let mut body = serde_json::to_vec(&answer).unwrap_or_default();
        body.push(b'\n');
        Ok::<_, Problem>(response.content_type("application/json").body(body))
    };
    outcome.await.unwrap_or_else(|problem| problem.respond(&request))
}

/// The whole body, as long as it is within the limit. The rest of one that is not is never read.
async fn read(mut body: web::Payload, limit: usize) -> Result<Bytes, Problem> {
    let mut read = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| unreadable_body(&error))?;
        if read.len() + piece.len() > limit {
            return Err(too_long(limit));
        }
        read.extend_from_slice(&piece);
    }
    Ok(read.freeze())
}

async fn show(request: HttpRequest, id: web::Path<String>, site: web::Data<Site>) -> HttpResponse {
    let not_found = || no_schematic().respond(&request);
    let Ok(id) = id.parse::<SchematicId>() else { return not_found() };
    let stored = match site.factory.schematics.ask(GetSchematic { id }).await {
        Ok(stored) => stored,
        Err(AskError::No(SchematicError::NotFound(_))) => return not_found(),
        Err(error) => return error.into_problem().respond(&request),
    };
    let etag = format!("\"{id}\"");
    let delivery = decide(request.headers(), false, &etag, stored.canonical.len() as u64);
    let mut response =
        if delivery == Delivery::NotModified { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, etag));
    response.insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"));
    if delivery == Delivery::NotModified {
        return response.finish();
    }
    response.content_type("application/yaml").body(stored.canonical.clone())
}
