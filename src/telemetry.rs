//! Metrics: what is counted, and the listener that tells it.

use actix_web::{HttpResponse, web};
use factory_domain::ports::{Amount, Holdings};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper ends of the buckets for latencies of requests, in seconds: the defaults of the reference's library.
const LATENCY: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Upper ends of the buckets for builds, in seconds.
const BUILDS: &[f64] = &[1.0, 10.0, 60.0, 180.0, 600.0];

/// Upper ends of the buckets for sizes, in bytes: 100 times ten, eight times.
const SIZES: &[f64] = &[1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// Starts counting for the whole process.
///
/// # Errors
/// When something counts already.
pub fn start() -> Result<PrometheusHandle, String> {
    let full = |name: &str| Matcher::Full(name.to_owned());
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(full("http_request_duration_seconds"), LATENCY)
        .and_then(|builder| builder.set_buckets_for_metric(full("http_response_size_bytes"), SIZES))
        .and_then(|builder| {
            builder.set_buckets_for_metric(full("image_factory_assets_build_latency_seconds"), BUILDS)
        })
        .and_then(|builder| builder.set_buckets_for_metric(full("image_factory_plan_seconds"), LATENCY))
        .map_err(|error| error.to_string())?;
    builder.install_recorder().map_err(|error| error.to_string())
}

/// What the metrics listener shares.
#[derive(Clone)]
pub struct Metrics {
    /// Renders what was counted.
    pub handle: PrometheusHandle,
    /// Prefix of all names, without the underscore.
    pub namespace: String,
    /// Tells the store's usage at the time of asking.
    pub factory: factory_actors::Factory,
}

/// The routes of the metrics listener.
pub fn configure(config: &mut web::ServiceConfig) {
    config.route("/metrics", web::get().to(show));
}

async fn show(metrics: web::Data<Metrics>) -> HttpResponse {
    let usage = metrics.factory.usage();
    for (name, value) in
        [("image_factory_store_blobs", usage.blobs), ("image_factory_store_budget_bytes", usage.budget)]
    {
        metrics::gauge!(name).set(value as f64);
    }
    let held = metrics.factory.holdings();
    for (kind, amount) in kinds(&held) {
        metrics::gauge!("image_factory_store_bytes", "kind" => kind).set(amount.bytes as f64);
        metrics::gauge!("image_factory_store_records", "kind" => kind).set(amount.items as f64);
    }
    for (reason, bytes) in [("idle", held.given_up_idle), ("room", held.given_up_for_room)] {
        metrics::counter!("image_factory_store_given_up_bytes_total", "reason" => reason).absolute(bytes);
    }
    metrics.handle.run_upkeep();
    let text = metrics.handle.render();
    let text = if metrics.namespace.is_empty() { text } else { prefixed(&text, &metrics.namespace) };
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}

/// What the space goes to, by the names that people are shown.
pub fn kinds(held: &Holdings) -> [(&'static str, Amount); 5] {
    [
        ("sources", held.sources),
        ("parts", held.parts),
        ("memory", held.memory),
        ("schematics", held.schematics),
        ("partial", held.partial),
    ]
}

/// Puts a prefix in front of every name in the text format.
fn prefixed(text: &str, prefix: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for line in text.lines() {
        match ["# TYPE ", "# HELP "].into_iter().find_map(|mark| Some((mark, line.strip_prefix(mark)?))) {
            Some((mark, rest)) => out.push_str(&format!("{mark}{prefix}_{rest}\n")),
            None if line.is_empty() || line.starts_with('#') => out.push_str(&format!("{line}\n")),
            None => out.push_str(&format!("{prefix}_{line}\n")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_stands_before_every_name() {
        let text = "# TYPE a_total counter\na_total{x=\"1\"} 2\n\n# HELP b what\nb 3\n";
        let want = "# TYPE p_a_total counter\np_a_total{x=\"1\"} 2\n\n# HELP p_b what\np_b 3\n";
        assert_eq!(prefixed(text, "p"), want);
    }
}
