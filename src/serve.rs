//! Serving: listeners up in order, and down in the reverse order.

use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use url::Url;

use crate::http::{Health, Origins, Redirects, Site, configure, wrap};
use crate::places::installer_redirect;
use crate::schematics::DirectoryWatch;
use crate::settings::{Checked, Settings};
use crate::telemetry::{self, Metrics};
use crate::tls;
use crate::wiring::{Wired, wire};

/// Runs until the process is told to stop.
///
/// # Errors
/// One line that says what could not be started.
pub async fn run(settings: Settings, checked: Checked) -> Result<(), String> {
    let metrics = telemetry::start()?;
    let Wired { factory, signer, secure_boot } = wire(&settings, &checked).await?;
    // Before anybody can ask: machines boot what lies there.
    if !settings.schematics_directory.is_empty() {
        let limit = settings.http.max_schematic_size.0;
        let watch = DirectoryWatch::begin(factory.clone(), &settings.schematics_directory, limit).await?;
        actix_web::rt::spawn(watch.go_on());
    }
    let site = web::Data::new(Site {
        factory: factory.clone(),
        external_url: checked.external_url.clone(),
        external_pxe_url: checked.external_pxe_url.clone(),
        max_schematic_size: usize::try_from(settings.http.max_schematic_size.0).unwrap_or(usize::MAX),
        installers: installer_redirect(&settings)?,
        redirects: Redirects::new(
            &settings.cache.s3.redirect,
            &checked.external_url,
            (!settings.http.external_pxe_url.is_empty()).then_some(&checked.external_pxe_url),
        ),
        signer,
        secure_boot_certificate: secure_boot.map(|keys| keys.certificate().pem()),
    });
    let origins = web::Data::new(Origins::new(&settings.http.allowed_origins));
    let health = Health::default();
    let shared_health = web::Data::new(health.clone());

    let app = move || {
        App::new()
            .app_data(site.clone())
            .app_data(origins.clone())
            .app_data(shared_health.clone())
            .wrap(from_fn(wrap))
            .configure(configure)
    };
    let bound = |what: &'static str, address: &str| {
        let address = address.to_owned();
        move |error: std::io::Error| format!("{what} {address} cannot be listened on: {error}")
    };
    let mut server = HttpServer::new(app)
        .client_request_timeout(settings.http.read_header_timeout.0)
        .shutdown_timeout(settings.http.shutdown_timeout.0.as_secs())
        // A client that hangs up while its asset is planned has left: it must not keep its place.
        .h1_allow_half_closed(false)
        .disable_signals();
    let at = &checked.listen;
    server = if settings.http.cert_file.is_empty() {
        server.bind_auto_h2c(at).map_err(bound("http.httpListenAddr", at))?
    } else {
        let tls = tls::server_config(settings.http.cert_file.as_ref(), settings.http.key_file.as_ref())
            .map_err(|error| format!("TLS: {error}"))?;
        server.bind_rustls_0_23(at, tls).map_err(bound("http.httpListenAddr", at))?
    };
    if let Some(at) = &checked.pxe_listen {
        server = server.bind(at).map_err(bound("http.pxeListenAddr", at))?;
    }
    for (address, scheme) in server.addrs_with_scheme() {
        tracing::info!(%address, scheme, "listening");
    }
    let server = server.run();

    if let Some(at) = &checked.metrics_listen {
        let shared = web::Data::new(Metrics {
            handle: metrics,
            namespace: settings.metrics.namespace.clone(),
            factory: factory.clone(),
        });
        let listener =
            HttpServer::new(move || App::new().app_data(shared.clone()).configure(telemetry::configure))
                .workers(1)
                .disable_signals()
                .bind(at)
                .map_err(bound("metrics.addr", at))?;
        actix_web::rt::spawn(listener.run());
    }
    announce(&checked.external_url);

    let handle = server.handle();
    let running = actix_web::rt::spawn(server);
    wait_for_signal().await;
    tracing::info!("stopping: no new requests, running downloads may finish");
    health.stop();
    // Load balancers that look at /readyz get a moment to notice.
    tokio::time::sleep(Duration::from_millis(200)).await;
    handle.stop(true).await;
    running.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    tracing::info!("stopped");
    Ok(())
}

fn announce(url: &Url) {
    tracing::info!(%url, "the factory is open");
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
