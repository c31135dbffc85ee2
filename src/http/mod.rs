//! The HTTP interface: routes, and what they have in common.

mod assets;
mod body;
mod catalog;
mod conditional;
mod cors;
mod envelope;
mod errors;
mod health;
mod keys;
mod offload;
mod pages;
mod problem;
mod pxe;
mod registry;
mod request_id;
mod routing;
mod sbom;
mod schematics;
mod sidecars;
mod small;

use std::sync::Arc;

use actix_web::web;
use factory_actors::Factory;
use factory_domain::ports::Signer;
use url::Url;

pub use self::cors::Origins;
pub use self::envelope::wrap;
pub use self::health::Health;
pub use self::offload::Redirects;

/// What handlers share.
pub struct Site {
    /// The actors.
    pub factory: Factory,
    /// Address for clients, ending in `/`.
    pub external_url: Url,
    /// Address for machines that boot over iPXE, ending in `/`.
    pub external_pxe_url: Url,
    /// Longest schematic accepted, in bytes.
    pub max_schematic_size: usize,
    /// Where pulls of installers are sent, `<scheme>://<host>/v2/<path>/`; none when they are answered here.
    pub installers: Option<String>,
    /// Who is sent to copies of assets elsewhere.
    pub redirects: Redirects,
    /// The factory's key.
    pub signer: Arc<dyn Signer>,
    /// PEM of the certificate that boot files are signed with. None when Secure Boot is off.
    pub secure_boot_certificate: Option<String>,
}

/// All routes of the main listener.
pub fn configure(config: &mut web::ServiceConfig) {
    health::configure(config);
    schematics::configure(config);
    assets::configure(config);
    pxe::configure(config);
    catalog::configure(config);
    sbom::configure(config);
    keys::configure(config);
    registry::configure(config);
    pages::configure(config);
    config.default_service(web::to(routing::not_found));
}
