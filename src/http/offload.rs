//! Sending clients to a copy of an asset elsewhere, and sending a copy while the source of releases is down
//! (10-http-api.md, 5.4).

use actix_web::body::{BoxBody, SizedStream};
use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use factory_actors::depot::{FetchAsset, LinkAsset, OfferAsset};
use factory_actors::planner::{PlanAsset, Planned};
use factory_domain::asset::content_disposition;
use url::Url;

use super::Site;
use super::body::LengthOnly;
use super::conditional::{Delivery, decide};

/// Who is sent elsewhere (`cache.s3.redirect`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// Everybody but machines that boot.
    Auto {
        /// What machines call this factory; `None` when they use no address of their own.
        machines: Option<Machines>,
    },
    /// Everybody.
    Always,
    /// Nobody.
    Never,
}

/// How a request by a machine that boots is told from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machines {
    /// Host and, when it is not the usual one, port, as the `Host` header has it.
    host: String,
    /// The scheme too, when others use the same host.
    scheme: Option<String>,
}

/// How boot firmware calls itself.
const FIRMWARE: [&str; 2] = ["iPXE/", "UefiHttpBoot/"];

fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}

impl Machines {
    /// Machines that use `pxe`, where everybody else uses `external`.
    pub fn new(external: &Url, pxe: &Url) -> Self {
        let host = host_of(pxe);
        let shares_host = host == host_of(external) && external.scheme() != pxe.scheme();
        Self { host, scheme: shares_host.then(|| pxe.scheme().to_owned()) }
    }
}

impl Redirects {
    /// Reads the setting; `pxe` is the address for machines when it was set.
    pub fn new(setting: &str, external: &Url, pxe: Option<&Url>) -> Self {
        match setting {
            "always" => Self::Always,
            "never" => Self::Never,
            _ => Self::Auto { machines: pxe.map(|pxe| Machines::new(external, pxe)) },
        }
    }

    /// Whether whoever sent this may be sent elsewhere.
    fn allows(&self, host: &str, scheme: &str, headers: &HeaderMap) -> bool {
        let machines = match self {
            Self::Always => return true,
            Self::Never => return false,
            Self::Auto { machines } => machines,
        };
        let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if FIRMWARE.iter().any(|firmware| agent.starts_with(firmware)) {
            return false;
        }
        !machines.as_ref().is_some_and(|machines| {
            machines.host == host.to_ascii_lowercase()
                && machines.scheme.as_ref().is_none_or(|wanted| wanted == scheme)
        })
    }
}

/// A redirect to a copy of a planned asset, when there is one and this request may be sent there.
pub(super) async fn redirect(
    request: &HttpRequest,
    site: &Site,
    want: &PlanAsset,
    planned: &Planned,
    disposition: &str,
) -> Option<HttpResponse> {
    let depot = site.factory.depot.as_ref()?;
    // The copy has another entity tag: conditions are for us to decide.
    let is_plain = *request.method() == Method::GET && !request.headers().contains_key(header::IF_RANGE);
    if !is_plain {
        return None;
    }
    let (layout, etag) = (&planned.asset.layout, planned.asset.etag.clone());
    let delivery = decide(request.headers(), true, &etag, layout.len());
    if !matches!(delivery, Delivery::Whole | Delivery::Part { .. }) || layout.blobs().is_empty() {
        return None;
    }
    let connection = request.connection_info().clone();
    if site.redirects.allows(connection.host(), connection.scheme(), request.headers()) {
        let link = LinkAsset { want: want.clone(), etag: etag.clone(), disposition: disposition.to_owned() };
        if let Ok(Some(link)) = depot.ask(link).await {
            let mut response = HttpResponse::Found();
            response.insert_header((header::LOCATION, link));
            // The address is good for a while only.
            response.insert_header((header::CACHE_CONTROL, "no-store"));
            return Some(response.finish());
        }
    }
    if delivery == Delivery::Whole {
        let _ = depot.ask(OfferAsset { want: want.clone(), planned: planned.clone() }).await;
    }
    None
}

/// An asset that cannot be planned now, out of a cache; `name` is what the client shall call it.
pub(super) async fn from_cache(
    request: &HttpRequest,
    site: &Site,
    want: &PlanAsset,
    name: &str,
) -> Option<HttpResponse> {
    let depot = site.factory.depot.as_ref()?;
    let found = depot.ask(FetchAsset { want: want.clone() }).await.ok().flatten()?;
    let (asset, is_head) = (found.asset, *request.method() == Method::HEAD);
    let delivery = decide(request.headers(), false, &asset.etag, asset.size);
    let status = match delivery {
        Delivery::NotModified => StatusCode::NOT_MODIFIED,
        Delivery::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        _ => StatusCode::OK,
    };
    let mut response = HttpResponse::build(status);
    response.insert_header((header::ETAG, asset.etag));
    if status != StatusCode::OK {
        return Some(response.finish());
    }
    response.insert_header((header::CONTENT_TYPE, asset.content_type));
    response.insert_header((header::CONTENT_DISPOSITION, content_disposition(name)));
    response.insert_header((header::CACHE_CONTROL, "public, max-age=86400"));
    Some(match is_head {
        true => response.body(BoxBody::new(LengthOnly(asset.size))),
        false => response.body(BoxBody::new(SizedStream::new(asset.size, found.stream))),
    })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn allows(redirects: &Redirects, host: &str, scheme: &str, agent: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        redirects.allows(host, scheme, &headers)
    }

    #[test]
    fn machines_that_boot_get_bytes() {
        let external = url("https://factory.example.com/");
        let pxe = url("http://pxe.example.com/");
        let auto = Redirects::new("auto", &external, Some(&pxe));
        assert!(allows(&auto, "factory.example.com", "https", "curl/8"));
        assert!(!allows(&auto, "PXE.example.com", "http", "curl/8"));
        assert!(!allows(&auto, "pxe.example.com", "https", "curl/8"), "a proxy may add TLS");
        assert!(!allows(&auto, "factory.example.com", "https", "iPXE/1.21"));
        let unset = Redirects::new("auto", &external, None);
        assert!(allows(&unset, "factory.example.com", "https", "curl/8"));
        assert!(!allows(&unset, "factory.example.com", "http", "UefiHttpBoot/1.0"));
        assert!(allows(
            &Redirects::new("always", &external, Some(&pxe)),
            "pxe.example.com",
            "http",
            "iPXE/1"
        ));
        assert!(!allows(&Redirects::new("never", &external, None), "a", "http", "curl/8"));
    }

    #[test]
    fn one_host_for_all_is_told_apart_by_the_scheme_when_that_differs() {
        let external = url("https://factory.example.com/");
        let auto = Redirects::new("auto", &external, Some(&url("http://factory.example.com/")));
        assert!(allows(&auto, "factory.example.com", "https", "curl/8"));
        assert!(!allows(&auto, "factory.example.com", "http", "curl/8"));
        let same = Redirects::new("auto", &external, Some(&external));
        assert!(!allows(&same, "factory.example.com", "https", "curl/8"), "as in the reference");
    }
}
