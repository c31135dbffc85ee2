//! Is it alive, is it ready.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use factory_actors::ask::AskError;
use factory_actors::catalog::{CatalogError, ListVersions};

use super::Site;
use super::errors::{IntoProblem, stopping};
use super::routing::get;

/// Whether the factory is on its way out.
#[derive(Clone, Default)]
pub struct Health {
    stopping: Arc<std::sync::atomic::AtomicBool>,
}

impl Health {
    /// From now on `/readyz` sends traffic elsewhere.
    pub fn stop(&self) {
        self.stopping.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

pub fn configure(config: &mut web::ServiceConfig) {
    config.service(get("/healthz", healthz)).service(get("/readyz", readyz));
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok().finish()
}

/// Ready means that requests can be answered. What is down beside it, such as the source or a cache, is told in the body and
/// does not make the factory unready: what is known keeps being served.
async fn readyz(request: HttpRequest, site: web::Data<Site>, health: web::Data<Health>) -> HttpResponse {
    if health.stopping.load(std::sync::atomic::Ordering::Relaxed) {
        return stopping().respond(&request);
    }
    let mut troubles = site.factory.troubles();
    match site.factory.catalog.ask(ListVersions).await {
        Ok(_) => {}
        Err(AskError::No(error @ CatalogError::NoList(_))) => troubles.insert(0, error.to_string()),
        Err(error) => return error.into_problem().respond(&request),
    }
    if troubles.is_empty() {
        return HttpResponse::Ok().finish();
    }
    let body: String = troubles.iter().map(|trouble| format!("degraded: {trouble}\n")).collect();
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(body)
}
