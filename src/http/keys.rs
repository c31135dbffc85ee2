//! The keys that users check signatures with.

use actix_web::{HttpRequest, HttpResponse, web};

use super::Site;
use super::errors::no_secure_boot;
use super::routing::get;
use super::small::{Caching, respond};

pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(get("/oci/cosign/signing-key.pub", signing_key))
        .service(get("/secureboot/signing-cert.pem", signing_cert));
}

async fn signing_key(request: HttpRequest, site: web::Data<Site>) -> HttpResponse {
    let pem = site.signer.public_key_pem().as_bytes().to_vec();
    respond(&request, "application/x-pem-file", pem, Caching::Unsaid)
}

async fn signing_cert(request: HttpRequest, site: web::Data<Site>) -> HttpResponse {
    match &site.secure_boot_certificate {
        Some(pem) => respond(&request, "application/x-pem-file", pem.clone().into_bytes(), Caching::Unsaid),
        None => no_secure_boot().respond(&request),
    }
}
