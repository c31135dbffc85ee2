//! What every answer has, whatever made it: request id, `Server`, `Vary`, CORS, a log line, metrics.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, web};
use bytes::Bytes;
use tracing::Instrument;

use super::cors::{EXPOSED, Origins};
use super::request_id;

/// `Server` of every answer; clients look for its first two words.
const SERVER: &str = concat!("Image Factory v", env!("CARGO_PKG_VERSION"));

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(Clone)]
struct RequestId(Arc<str>);

/// The id of a request that came through [`wrap`].
pub fn request_id_of(request: &HttpRequest) -> String {
    request.extensions().get::<RequestId>().map(|id| id.0.to_string()).unwrap_or_default()
}

/// The middleware. Wants [`Origins`] as application data.
pub async fn wrap<B: MessageBody + Unpin + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Reported<EitherBody<B>>>, Error> {
    let id: Arc<str> =
        request_id::choose(request.headers().get(X_REQUEST_ID).map(HeaderValue::as_bytes)).into();
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));
    let origin = text(request.headers(), header::ORIGIN);
    let origins = request.app_data::<web::Data<Origins>>().cloned().map(web::Data::into_inner);
    let mut report = Report {
        method: request.method().clone(),
        path: request.path().chars().take(512).collect(),
        id: Arc::clone(&id),
        status: StatusCode::OK,
        handler: "other".to_owned(),
        started: Instant::now(),
        // Until there is an answer, whoever leaves has not had all of it.
        expected: u64::MAX,
        sent: 0,
        is_done: false,
    };
    metrics::gauge!("http_requests_inflight", "service" => "", "handler" => "").increment(1.0);

    let wanted = text(request.headers(), header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match wanted {
        Some(method) if request.method() == Method::OPTIONS => {
            let headers = text(request.headers(), header::ACCESS_CONTROL_REQUEST_HEADERS);
            let response = preflight(origins.as_deref(), origin.as_deref(), &method, headers.as_deref());
            request.into_response(response).map_into_right_body()
        }
        _ => {
            let span = tracing::info_span!("request", %id);
            let mut response = next.call(request).instrument(span).await?.map_into_left_body();
            if let Some(pattern) = response.request().match_pattern() {
                report.handler = pattern;
            }
            vary(response.headers_mut(), "Origin");
            let allowed = origins.zip(origin).and_then(|(origins, origin)| origins.allow(&origin));
            if let Some(allowed) = allowed.filter(|_| Origins::covers(report.method.as_str())) {
                put(response.headers_mut(), header::ACCESS_CONTROL_ALLOW_ORIGIN, &allowed);
                put(response.headers_mut(), header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
            }
            response
        }
    };
    put(response.headers_mut(), header::SERVER, SERVER);
    put(response.headers_mut(), X_REQUEST_ID, &id);
    report.status = response.status();
    Ok(response.map_body(|_, body| {
        report.expected = match body.size() {
            BodySize::Sized(len) if report.method != Method::HEAD => len,
            _ => 0,
        };
        Reported { body, report }
    }))
}

fn preflight(
    origins: Option<&Origins>,
    origin: Option<&str>,
    method: &str,
    headers: Option<&str>,
) -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    for name in ["Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"] {
        response.append_header((header::VARY, name));
    }
    let allowed =
        origins.zip(origin).and_then(|(origins, origin)| origins.preflight(origin, method, headers));
    if let Some(allowed) = allowed {
        response.insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed.origin));
        response.insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, allowed.method));
        if let Some(headers) = allowed.headers {
            response.insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, headers));
        }
    }
    response.finish()
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Sets a header to text made here; text that no header can hold is left out.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn vary(headers: &mut HeaderMap, name: &'static str) {
    headers.append(header::VARY, HeaderValue::from_static(name));
}

/// A body that reports when it ends, or when the client left before.
pub struct Reported<B> {
    body: B,
    report: Report,
}

struct Report {
    method: Method,
    path: String,
    id: Arc<str>,
    status: StatusCode,
    handler: String,
    started: Instant,
    expected: u64,
    sent: u64,
    is_done: bool,
}

impl<B: MessageBody + Unpin> MessageBody for Reported<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_next(cx);
        match &polled {
            Poll::Ready(Some(Ok(bytes))) => self.report.sent += bytes.len() as u64,
            Poll::Ready(None) => self.report.is_done = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        // The server drops a body as soon as its last byte is out, without asking for the end.
        let is_complete = self.is_done || self.sent >= self.expected;
        let status = if is_complete { self.status.as_u16() } else { 499 };
        let (method, handler) = (self.method.to_string(), std::mem::take(&mut self.handler));
        let labels = [
            ("service", String::new()),
            ("handler", handler.clone()),
            ("method", method.clone()),
            ("code", status.to_string()),
        ];
        metrics::histogram!("http_request_duration_seconds", &labels).record(took.as_secs_f64());
        metrics::histogram!("http_response_size_bytes", &labels).record(self.sent as f64);
        metrics::gauge!("http_requests_inflight", "service" => "", "handler" => "").decrement(1.0);
        let (id, path, bytes, ms) = (&*self.id, self.path.as_str(), self.sent, took.as_secs_f64() * 1e3);
        match status {
            500.. => tracing::error!(%id, %method, path, status, bytes, ms, "request"),
            499 | ..=399 => tracing::info!(%id, %method, path, status, bytes, ms, "request"),
            _ => tracing::warn!(%id, %method, path, status, bytes, ms, "request"),
        }
    }
}
