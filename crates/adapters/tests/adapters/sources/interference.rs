//! What happens when a registry gives something wrong, too much, too little, or nothing?

use std::time::{Duration, Instant};

use factory_domain::ports::{Reference, ReleaseSource as _, SourceError};
use factory_formats::Digest;
use factory_formats::testing::noise;

use super::content::OCI_INDEX;
use super::scripted::{Answer, Body, Scripted};
use super::{drain, quick, registry, repository};

const MANIFEST: &[u8] = br#"{"schemaVersion":2,"manifests":[]}"#;

fn tag() -> Reference {
    Reference::Tag("v1".to_owned())
}

fn manifest() -> Answer {
    Answer::new(200, MANIFEST).header("Content-Type", OCI_INDEX)
}

#[tokio::test]
async fn a_manifest_with_another_digest_is_refused() {
    let server = Scripted::start(|_, _| manifest().header("Docker-Content-Digest", Digest::of(b"other")));
    let source = registry(&server.host, &quick());
    let by_digest = source.fetch_manifest(&repository("a/b"), &Reference::Digest(Digest::of(b"other"))).await;
    let by_tag = source.fetch_manifest(&repository("a/b"), &tag()).await;
    for refused in [by_digest, by_tag] {
        let Err(SourceError::Invalid { reason, .. }) = refused else { panic!("{refused:?}") };
        assert!(reason.contains(&Digest::of(MANIFEST).to_string()), "{reason}");
    }
    assert_eq!(server.asked().len(), 2, "asking again cannot help");
}

#[tokio::test]
async fn endless_bodies_end() {
    let server = Scripted::start(|_, asked| {
        let status = if asked.path.contains("refused") { 400 } else { 200 };
        Answer::with(status, Body::Endless).header("Content-Type", OCI_INDEX)
    });
    let source = registry(&server.host, &quick());
    let begun = Instant::now();
    let at = repository("a/b");
    assert!(matches!(source.fetch_manifest(&at, &tag()).await, Err(SourceError::Invalid { .. })));
    assert!(matches!(source.list_tags(&at).await, Err(SourceError::Invalid { .. })));
    assert!(matches!(source.list_referrers(&at, &Digest::of(b"x")).await, Err(SourceError::Invalid { .. })));
    let refused = source.fetch_manifest(&repository("refused"), &tag()).await;
    assert!(matches!(refused, Err(SourceError::Unavailable { .. })), "{refused:?}");
    let stream = source.open_blob(&at, &Digest::of(b"x"), 100_000, 0).await.unwrap();
    let blob = drain(stream).await;
    assert!(matches!(blob, Err(SourceError::Invalid { .. })), "{blob:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_document_that_announces_too_much_is_not_read() {
    let server =
        Scripted::start(|_, _| Answer::with(200, Body::Stalled { announced: 5 << 20, bytes: Vec::new() }));
    let source = registry(&server.host, &quick());
    let begun = Instant::now();
    assert!(matches!(
        source.fetch_manifest(&repository("a/b"), &tag()).await,
        Err(SourceError::Invalid { .. })
    ));
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_broken_blob_is_gone_on_with() {
    let bytes = noise(400_000, 1);
    let served = bytes.clone();
    let server = Scripted::start(move |number, asked| {
        let from = asked.headers.get("range").map_or(0, |range| {
            range.trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>().unwrap()
        });
        let rest = served[from..].to_vec();
        let total = served.len();
        let answer = |body| match from {
            0 => Answer::with(200, body),
            _ => {
                Answer::with(206, body).header("Content-Range", format!("bytes {from}-{}/{total}", total - 1))
            }
        };
        match number {
            0 => answer(Body::Cut { announced: rest.len(), bytes: rest[..100_000].to_vec() }),
            1 => Answer::new(503, "later"),
            2 => answer(Body::Cut { announced: rest.len(), bytes: rest[..50_000].to_vec() }),
            _ => answer(Body::Whole(rest)),
        }
    });
    let source = registry(&server.host, &quick());
    let stream = source.open_blob(&repository("a/b"), &Digest::of(&bytes), 400_000, 7).await.unwrap();
    assert_eq!(drain(stream).await.unwrap(), bytes[7..]);
    let ranges: Vec<_> = server.asked().iter().map(|asked| asked.headers.get("range").cloned()).collect();
    let expected =
        ["bytes=7-", "bytes=100007-", "bytes=100007-", "bytes=150007-"].map(|range| Some(range.to_owned()));
    assert_eq!(ranges, expected);
}

#[tokio::test]
async fn a_registry_without_ranges_does_not_corrupt() {
    let bytes = noise(300_000, 2);
    let served = bytes.clone();
    let server = Scripted::start(move |number, _| match number {
        0 => Answer::with(200, Body::Cut { announced: served.len(), bytes: served[..200_000].to_vec() }),
        _ => Answer::new(200, served.clone()),
    });
    let source = registry(&server.host, &quick());
    let stream = source.open_blob(&repository("a/b"), &Digest::of(&bytes), 300_000, 5).await.unwrap();
    assert_eq!(drain(stream).await.unwrap(), bytes[5..]);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn parts_that_were_not_asked_for_are_refused_or_cut() {
    let bytes = noise(1000, 3);
    for (range, ok) in [
        ("bytes 100-999/1000", true),
        ("bytes 50-999/1000", true),
        ("bytes 200-999/1000", false),
        ("bytes 100-999/2000", false),
        ("nonsense", false),
    ] {
        let served = bytes.clone();
        let server = Scripted::start(move |_, _| {
            let first: usize =
                range.trim_start_matches("bytes ").split('-').next().unwrap().parse().unwrap_or(0);
            Answer::new(206, served[first..].to_vec()).header("Content-Range", range)
        });
        let source = registry(&server.host, &quick());
        let opened = source.open_blob(&repository("a/b"), &Digest::of(&bytes), 1000, 100).await;
        match opened {
            Ok(stream) => assert_eq!(drain(stream).await.unwrap(), bytes[100..], "{range}"),
            Err(error) => assert!(!ok && matches!(error, SourceError::Invalid { .. }), "{range}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_blob_that_never_gets_further_is_given_up() {
    let server = Scripted::start(|_, _| {
        Answer::with(200, Body::Cut { announced: 1000, bytes: b"same start".to_vec() })
    });
    let source = registry(&server.host, &quick());
    let stream = source.open_blob(&repository("a/b"), &Digest::of(b"x"), 1000, 0).await.unwrap();
    let failed = drain(stream).await;
    assert!(matches!(failed, Err(SourceError::Unavailable { .. })), "{failed:?}");
    assert!(server.asked().len() <= 4, "{}", server.asked().len());
}

#[tokio::test]
async fn silence_is_given_up() {
    let server = Scripted::start(|_, asked| {
        let announced = if asked.path.contains("blobs") { 1000 } else { MANIFEST.len() };
        Answer::with(200, Body::Stalled { announced, bytes: b"{".to_vec() }).header("Content-Type", OCI_INDEX)
    });
    let mut options = quick();
    options.limits.idle = Duration::from_millis(80);
    options.limits.document = Duration::from_millis(80);
    let source = registry(&server.host, &options);
    let begun = Instant::now();
    let failed = source.fetch_manifest(&repository("a/b"), &tag()).await;
    assert!(matches!(failed, Err(SourceError::Unavailable { .. })), "{failed:?}");
    let stream = source.open_blob(&repository("a/b"), &Digest::of(b"x"), 1000, 0).await.unwrap();
    let failed = drain(stream).await;
    assert!(matches!(failed, Err(SourceError::Unavailable { .. })), "{failed:?}");
    assert!(begun.elapsed() < Duration::from_secs(4));
}

/// Acceptance check A10.
#[tokio::test]
async fn too_many_requests_pass_by_themselves_or_are_told() {
    let server = Scripted::start(|number, _| match number {
        0 | 1 => Answer::new(429, "slow down").header("Retry-After", "0"),
        _ => manifest(),
    });
    let source = registry(&server.host, &quick());
    source.fetch_manifest(&repository("a/b"), &tag()).await.unwrap();
    assert_eq!(server.asked().len(), 3);

    let server = Scripted::start(|_, _| Answer::new(429, "slow down").header("Retry-After", "1"));
    let source = registry(&server.host, &quick());
    let begun = Instant::now();
    let Err(error) = source.fetch_manifest(&repository("a/b"), &tag()).await else { panic!("it works") };
    assert!(
        matches!(&error, SourceError::RateLimited { retry_after: Some(after), .. } if after.as_secs() == 1),
        "{error:?}"
    );
    assert!(begun.elapsed() >= Duration::from_secs(2), "two pauses of a second were asked for");
    assert_eq!(server.asked().len(), 3);

    // A pause that is too long is not waited for, but told.
    let server = Scripted::start(|_, _| Answer::new(429, "slow down").header("Retry-After", "3600"));
    let source = registry(&server.host, &quick());
    let begun = Instant::now();
    let refused = source.list_tags(&repository("a/b")).await;
    assert!(
        matches!(&refused, Err(SourceError::RateLimited { retry_after: Some(after), .. }) if after.as_secs() == 3600),
        "{refused:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn the_pause_that_blobs_are_asked_for_is_kept_too() {
    let server = Scripted::start(|number, _| match number {
        0 => Answer::new(429, "slow down").header("Retry-After", "1"),
        _ => Answer::new(200, "0123456789"),
    });
    let source = registry(&server.host, &quick());
    let begun = Instant::now();
    let stream = source.open_blob(&repository("a/b"), &Digest::of(b"x"), 10, 0).await.unwrap();
    assert_eq!(drain(stream).await.unwrap(), b"0123456789"[..]);
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_lasts_is_not() {
    for (status, attempts) in [(408, 3), (500, 3), (502, 3), (503, 3), (400, 1), (501, 1), (418, 1)] {
        let server = Scripted::start(move |_, _| {
            Answer::new(status, r#"{"errors":[{"code":"X","message":"because"}]}"#)
        });
        let source = registry(&server.host, &quick());
        let Err(error) = source.fetch_manifest(&repository("a/b"), &tag()).await else { panic!("it works") };
        assert!(matches!(error, SourceError::Unavailable { .. }), "{status}: {error}");
        assert!(error.to_string().contains("because"), "{error}");
        assert_eq!(server.asked().len(), attempts, "{status}");
    }
    // A connection that ends without an answer may work the next time.
    let server = Scripted::start(|number, _| match number {
        0 | 1 => Answer::with(200, Body::Nothing),
        _ => manifest(),
    });
    let source = registry(&server.host, &quick());
    source.fetch_manifest(&repository("a/b"), &tag()).await.unwrap();
}

#[tokio::test]
async fn nobody_at_home_is_unavailable() {
    let host = {
        let server = Scripted::start(|_, _| manifest());
        server.host.clone()
    };
    let source = registry(&host, &quick());
    let Err(error) = source.fetch_manifest(&repository("a/b"), &tag()).await else { panic!("it works") };
    assert!(matches!(error, SourceError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains(&format!("registry {host}")), "{error}");
}

#[tokio::test]
async fn tags_come_page_by_page() {
    let server = Scripted::start(|_, asked| match asked.path.split("last=").nth(1) {
        None => Answer::new(200, r#"{"tags":["v1","v2"]}"#)
            .header("Link", "</v2/a/b/tags/list?last=v2>; rel=\"next\""),
        Some("v2") => Answer::new(200, r#"{"tags":["v3"]}"#).header("Link", "<?last=v3>; rel=next"),
        _ => Answer::new(200, r#"{"name":"a/b","tags":null}"#),
    });
    let source = registry(&server.host, &quick());
    assert_eq!(source.list_tags(&repository("a/b")).await.unwrap(), ["v1", "v2", "v3"]);
}

#[tokio::test]
async fn pages_that_lead_elsewhere_or_in_circles_are_refused() {
    let trap = Scripted::start(|_, _| Answer::new(200, r#"{"tags":["stolen"]}"#));
    let elsewhere = format!("<http://{}/v2/a/b/tags/list>; rel=\"next\"", trap.host);
    for link in [elsewhere.as_str(), "</v2/a/b/tags/list?n=1000>; rel=\"next\""] {
        let link = link.to_owned();
        let server =
            Scripted::start(move |_, _| Answer::new(200, r#"{"tags":["v1"]}"#).header("Link", &link));
        let refused = registry(&server.host, &quick()).list_tags(&repository("a/b")).await;
        assert!(matches!(refused, Err(SourceError::Invalid { .. })), "{refused:?}");
    }
    assert!(trap.asked().is_empty());
}

#[tokio::test]
async fn redirects_lose_credentials_and_do_not_lead_inside() {
    let bytes = noise(1000, 8);
    let storage = {
        let bytes = bytes.clone();
        Scripted::start(move |_, _| {
            Answer::new(206, bytes[10..].to_vec()).header("Content-Range", "bytes 10-999/1000")
        })
    };
    let place = format!("http://{}/storage?signature=1", storage.host);
    let server = Scripted::start(move |_, _| Answer::new(307, "").header("Location", &place));
    let mut options = quick();
    options.hosts = vec![super::authorization::with_password(&server.host)];
    let source = registry(&server.host, &options);
    let stream = source.open_blob(&repository("a/b"), &Digest::of(&bytes), 1000, 10).await.unwrap();
    assert_eq!(drain(stream).await.unwrap(), bytes[10..]);
    let asked = storage.asked();
    assert_eq!(asked[0].headers.get("range").map(String::as_str), Some("bytes=10-"));
    assert_eq!(asked[0].headers.get("authorization"), None);

    // The same server by a name that is not a private address: then the redirect is one into a network
    // that the registry must not lead to.
    let name = server.host.replace("127.0.0.1", "localhost");
    let before = storage.asked().len();
    let refused =
        registry(&name, &options).open_blob(&repository("a/b"), &Digest::of(&bytes), 1000, 10).await;
    let Err(error) = refused.map(|_| ()) else { panic!("it was followed") };
    assert!(error.to_string().contains("private network"), "{error}");
    assert_eq!(storage.asked().len(), before);
}

#[tokio::test]
async fn resolving_a_tag_needs_no_body_where_possible() {
    let server = Scripted::start(|_, asked| match asked.method.as_str() {
        "HEAD" => Answer::new(200, "").header("Docker-Content-Digest", Digest::of(MANIFEST)),
        _ => Answer::new(500, ""),
    });
    let digest = registry(&server.host, &quick()).resolve_tag(&repository("a/b"), "v1").await.unwrap();
    assert_eq!(digest, Digest::of(MANIFEST));

    for head in [
        Answer::new(405, ""),
        Answer::new(200, ""),
        Answer::new(200, "").header("Docker-Content-Digest", "x"),
    ] {
        let server = Scripted::start(move |_, asked| match asked.method.as_str() {
            "HEAD" => head.clone(),
            _ => manifest(),
        });
        let digest = registry(&server.host, &quick()).resolve_tag(&repository("a/b"), "v1").await.unwrap();
        assert_eq!(digest, Digest::of(MANIFEST));
    }
}

#[tokio::test]
async fn referrers_come_from_the_api_or_the_tag_and_never_from_an_outage() {
    let (subject, found) = (Digest::of(b"subject"), Digest::of(b"referrer"));
    let list = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"m","digest":"{found}","size":1}}]}}"#
    );
    let index = |body: &str| Answer::new(200, body).header("Content-Type", OCI_INDEX);
    let at = repository("a/b");

    let pages = list.clone();
    let server = Scripted::start(move |number, asked| match (number, asked.path.contains("/referrers/")) {
        (0, true) => index(r#"{"manifests":[]}"#)
            .header("Link", format!("</v2/a/b/referrers/{subject}?p=2>; rel=next")),
        (_, true) => index(&pages),
        _ => Answer::new(500, ""),
    });
    let listed = registry(&server.host, &quick()).list_referrers(&at, &subject).await.unwrap();
    assert_eq!(listed.iter().map(|entry| entry.digest).collect::<Vec<_>>(), [found]);

    for api in [
        Answer::new(404, "404 page not found"),
        Answer::new(400, ""),
        Answer::new(405, ""),
        Answer::new(406, ""),
        Answer::new(200, "<html>").header("Content-Type", "text/html"),
    ] {
        let (api, list) = (api.clone(), list.clone());
        let server = Scripted::start(move |_, asked| match asked.path.contains("/referrers/") {
            true => api.clone(),
            false if asked.path.ends_with(&format!("/manifests/sha256-{}", subject.hex())) => index(&list),
            false => Answer::new(404, ""),
        });
        let source = registry(&server.host, &quick());
        assert_eq!(source.list_referrers(&at, &subject).await.unwrap().len(), 1);
        assert!(source.list_referrers(&at, &found).await.unwrap().is_empty());
    }

    for (api, tag) in [(503, 200), (404, 503), (403, 404), (404, 401), (429, 404)] {
        let server = Scripted::start(move |_, asked| match asked.path.contains("/referrers/") {
            true => Answer::new(api, ""),
            false => Answer::new(tag, ""),
        });
        let failed = registry(&server.host, &quick()).list_referrers(&at, &subject).await;
        assert!(failed.is_err(), "{api} {tag}: {failed:?}");
    }
}
