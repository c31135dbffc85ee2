//! Is TLS used where it must be, and are certificates checked?

use std::sync::Arc;

use factory_adapters::registry::{HostOptions, RegistryConfigError, RegistryOptions, RegistrySource};
use factory_domain::ports::{ReleaseSource as _, SourceError};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::scripted::{Answer, Scripted};
use super::{quick, registry, repository};

/// A server with a certificate for 127.0.0.1, and the PEM of who signed that.
fn with_tls() -> (Scripted, String) {
    crate::install_tls();
    let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let pem = certified.cert.pem();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let server = Scripted::start_with(
        |_, _| Answer::new(200, r#"{"tags":["v1"]}"#),
        move |stream| {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).ok()?;
            Some(Box::new(rustls::StreamOwned::new(session, stream)))
        },
    );
    (server, pem)
}

fn options(host: HostOptions) -> RegistryOptions {
    RegistryOptions { hosts: vec![host], ..quick() }
}

#[tokio::test]
async fn certificates_are_checked_against_extra_authorities() {
    let (server, pem) = with_tls();
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, pem).unwrap();
    let host = || HostOptions { host: server.host.clone(), ..HostOptions::default() };
    let at = repository("a/b");

    let trusted = HostOptions { ca_files: vec![ca], ..host() };
    assert_eq!(registry(&server.host, &options(trusted)).list_tags(&at).await.unwrap(), ["v1"]);

    let unchecked = HostOptions { skip_verify: true, ..host() };
    assert_eq!(registry(&server.host, &options(unchecked)).list_tags(&at).await.unwrap(), ["v1"]);

    let unknown = HostOptions { plain_http: Some(false), ..host() };
    let refused = registry(&server.host, &options(unknown)).list_tags(&at).await;
    let Err(SourceError::Unavailable { reason, .. }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("certificate"), "{reason}");
}

#[tokio::test]
async fn plain_http_follows_the_scheme_rule_unless_told() {
    let server = Scripted::start(|_, _| Answer::new(200, r#"{"tags":["v1"]}"#));
    let at = repository("a/b");
    assert!(registry(&server.host, &quick()).list_tags(&at).await.is_ok());
    let told = HostOptions { host: server.host.clone(), plain_http: Some(false), ..HostOptions::default() };
    assert!(registry(&server.host, &options(told.clone())).list_tags(&at).await.is_err());
    // The simple switch of the configuration is the strongest.
    let insecure = RegistrySource::new(&server.host, true, &options(told)).unwrap();
    assert!(insecure.list_tags(&at).await.is_ok());
}

#[test]
fn certificates_that_are_none_are_a_configuration_error() {
    crate::install_tls();
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("empty.pem", Some("")),
        ("missing.pem", None),
        ("text.pem", Some("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")),
    ] {
        let path = directory.path().join(name);
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let host =
            HostOptions { host: "r.example.com".to_owned(), ca_files: vec![path], ..HostOptions::default() };
        let Err(error) = RegistrySource::new("r.example.com", false, &options(host)) else {
            panic!("{name}")
        };
        assert!(
            matches!(error, RegistryConfigError::Certificates { .. } | RegistryConfigError::Client { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("r.example.com"), "{error}");
    }
}
