//! Errors as clients see them: plain text by default, a problem document when JSON is preferred.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;

/// An error on its way to a client.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Status code.
    pub status: StatusCode,
    /// What was wrong, where, what to do. One line.
    pub detail: String,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u64>,
}

/// RFC 9457, section 3.1.
#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(rename = "requestId")]
    request_id: &'a str,
}

impl Problem {
    /// A problem with this status and text.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None }
    }

    /// Service unavailable, with a time in seconds to come back after.
    pub fn retry(detail: impl Into<String>, retry_after: u64) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// The response, in the form that the request prefers.
    pub fn respond(&self, request: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        response.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
        if prefers_json(accept.unwrap_or("")) {
            let request_id = super::envelope::request_id_of(request);
            self.json(&mut response, &request_id)
        } else {
            response.content_type("text/plain; charset=utf-8").body(format!("{}\n", self.detail))
        }
    }

    fn json(&self, response: &mut HttpResponseBuilder, request_id: &str) -> HttpResponse {
        let document = Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            request_id,
        };
        let body = serde_json::to_string(&document).unwrap_or_default();
        response.content_type("application/problem+json").body(body)
    }
}

/// Whether an `Accept` header names JSON at least as high as text. A bare `*/*` does not.
fn prefers_json(accept: &str) -> bool {
    let quality = |wanted: &[&str]| -> f32 {
        let best = accept.split(',').filter_map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            let kind = parts.next()?.to_ascii_lowercase();
            let q = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
            wanted.contains(&kind.as_str()).then_some(q)
        });
        best.fold(0.0, f32::max)
    };
    let json = quality(&["application/json", "application/problem+json", "application/*"]);
    json > 0.0 && json >= quality(&["text/plain", "text/html", "text/*"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_for_those_who_ask() {
        for accept in
            ["application/json", "application/problem+json", "application/json, text/plain;q=0.5, */*"]
        {
            assert!(prefers_json(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "text/plain, application/json;q=0.1",
            "application/json;q=0",
        ] {
            assert!(!prefers_json(accept), "{accept}");
        }
    }
}
