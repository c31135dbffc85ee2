//! Are mirrors asked first, and passed over when they do not help?

use factory_adapters::registry::{ANY_HOST, HostOptions, RegistryOptions};
use factory_domain::ports::{Reference, ReleaseSource as _, SourceError};
use factory_formats::Digest;

use super::content::OCI_INDEX;
use super::scripted::{Answer, Body, Scripted};
use super::{drain, quick, registry, repository};

const MANIFEST: &[u8] = br#"{"manifests":[]}"#;

fn good() -> Answer {
    Answer::new(200, MANIFEST).header("Content-Type", OCI_INDEX)
}

fn mirrored(name: &str, mirrors: &[String]) -> RegistryOptions {
    let host = HostOptions { host: name.to_owned(), mirrors: mirrors.to_vec(), ..HostOptions::default() };
    RegistryOptions { hosts: vec![host], ..quick() }
}

#[tokio::test]
async fn a_mirror_that_has_it_is_enough() {
    let mirror = Scripted::start(|_, asked| match asked.path.as_str() {
        "/v2/ghcr/siderolabs/imager/manifests/v1" => good(),
        _ => Answer::new(200, "0123456789"),
    });
    let own = Scripted::start(|_, _| Answer::new(500, ""));
    for name in [own.host.as_str(), ANY_HOST] {
        let source = registry(&own.host, &mirrored(name, &[format!("{}/ghcr", mirror.host)]));
        let at = repository("siderolabs/imager");
        source.fetch_manifest(&at, &Reference::Tag("v1".to_owned())).await.unwrap();
        let stream = source.open_blob(&at, &Digest::of(b"x"), 10, 0).await.unwrap();
        assert_eq!(drain(stream).await.unwrap(), b"0123456789"[..]);
    }
    assert!(own.asked().is_empty());
    assert!(mirror.asked().iter().all(|asked| asked.path.starts_with("/v2/ghcr/siderolabs/imager/")));
}

#[tokio::test]
async fn mirrors_that_do_not_help_are_passed_over_at_once() {
    let own = Scripted::start(|_, _| good());
    let broken: [fn() -> Answer; 6] = [
        || Answer::new(404, ""),
        || Answer::new(503, ""),
        || Answer::new(401, ""),
        || Answer::new(429, "").header("Retry-After", "1"),
        || Answer::with(200, Body::Nothing),
        || Answer::new(200, "damaged").header("Docker-Content-Digest", Digest::of(b"x")),
    ];
    for answer in broken {
        let mirror = Scripted::start(move |_, _| answer());
        let source = registry(&own.host, &mirrored(&own.host, std::slice::from_ref(&mirror.host)));
        let found =
            source.fetch_manifest(&repository("a/b"), &Reference::Tag("v1".to_owned())).await.unwrap();
        assert_eq!(found.bytes, MANIFEST);
        assert_eq!(mirror.asked().len(), 1);
    }
}

#[tokio::test]
async fn what_the_registry_says_counts_in_the_end() {
    let mirror = Scripted::start(|_, _| Answer::new(404, ""));
    let own = Scripted::start(|_, _| Answer::new(503, ""));
    let source = registry(&own.host, &mirrored(&own.host, std::slice::from_ref(&mirror.host)));
    let failed = source.resolve_tag(&repository("a/b"), "v1").await;
    assert!(
        matches!(failed, Err(SourceError::Unavailable { .. })),
        "a mirror's word is not final: {failed:?}"
    );
}

#[tokio::test]
async fn tags_are_those_of_the_registry_while_it_answers() {
    let mirror = Scripted::start(|_, _| Answer::new(200, r#"{"tags":["pulled"]}"#));
    let own = Scripted::start(|number, _| match number {
        0 => Answer::new(200, r#"{"tags":["pulled","new"]}"#),
        _ => Answer::new(503, ""),
    });
    let source = registry(&own.host, &mirrored(&own.host, std::slice::from_ref(&mirror.host)));
    assert_eq!(source.list_tags(&repository("a/b")).await.unwrap(), ["new", "pulled"]);
    assert_eq!(source.list_tags(&repository("a/b")).await.unwrap(), ["pulled"]);
}

#[tokio::test]
async fn a_mirror_without_signatures_does_not_make_an_image_unsigned() {
    let (subject, referrer) = (Digest::of(b"s"), Digest::of(b"r"));
    let index = |body: String| Answer::new(200, body).header("Content-Type", OCI_INDEX);
    let mirror = Scripted::start(move |_, _| index(r#"{"manifests":[]}"#.to_owned()));
    let list = format!(r#"{{"manifests":[{{"mediaType":"m","digest":"{referrer}","size":1}}]}}"#);
    let own = Scripted::start(move |number, _| match number {
        0 => index(list.clone()),
        _ => Answer::new(503, ""),
    });
    let source = registry(&own.host, &mirrored(&own.host, std::slice::from_ref(&mirror.host)));
    assert_eq!(source.list_referrers(&repository("a/b"), &subject).await.unwrap().len(), 1);
    assert!(source.list_referrers(&repository("a/b"), &subject).await.is_err());
}

#[test]
fn a_mirror_that_is_none_is_a_configuration_error() {
    crate::install_tls();
    let options = mirrored("ghcr.io", &["not a host".to_owned()]);
    let made = factory_adapters::registry::RegistrySource::new("ghcr.io", false, &options);
    assert!(made.err().unwrap().to_string().contains("not a host"));
}
