//! Do registries get what is pushed to them, and nothing else?

use bytes::Bytes;
use factory_domain::ports::{BlobStream, ImageTarget as _, Reference, ReleaseSource as _, SourceError};
use factory_formats::Digest;
use factory_formats::testing::noise;
use futures_util::{StreamExt as _, stream};

use super::content::OCI_MANIFEST;
use super::scripted::{Answer, Scripted};
use super::{DockerRegistry, drain, quick, registry, repository};

/// In uneven pieces, some of them empty.
fn pieces(bytes: &[u8]) -> BlobStream {
    let mut all: Vec<Result<Bytes, SourceError>> = vec![Ok(Bytes::new())];
    all.extend(bytes.chunks(70_001).map(|piece| Ok(Bytes::copy_from_slice(piece))));
    stream::iter(all).boxed()
}

fn manifest_of(blob: &Digest, size: usize) -> Bytes {
    let described = format!(r#"{{"mediaType":"application/octet-stream","digest":"{blob}","size":{size}}}"#);
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{described},"layers":[{described}]}}"#
    )
    .into()
}

#[tokio::test]
async fn what_is_pushed_can_be_read() {
    let server = DockerRegistry::start();
    let target = registry(&server.host, &quick());
    let at = repository("a/long/path");
    for bytes in [noise(3_000_000, 1), Vec::new(), b"x".to_vec()] {
        let digest = Digest::of(&bytes);
        assert!(!target.has_blob(&at, &digest).await.unwrap());
        target.push_blob(&at, &digest, bytes.len() as u64, pieces(&bytes)).await.unwrap();
        assert!(target.has_blob(&at, &digest).await.unwrap());
        let read = target.open_blob(&at, &digest, bytes.len() as u64, 0).await.unwrap();
        assert!(drain(read).await.unwrap() == bytes);

        let manifest = manifest_of(&digest, bytes.len());
        let named = Digest::of(&manifest);
        target.push_manifest(&at, &Reference::Digest(named), OCI_MANIFEST, manifest.clone()).await.unwrap();
        let tag = Reference::Tag("now".to_owned());
        target.push_manifest(&at, &tag, OCI_MANIFEST, manifest.clone()).await.unwrap();
        let read = target.fetch_manifest(&at, &tag).await.unwrap();
        assert_eq!((read.bytes, read.digest, read.media_type.as_str()), (manifest, named, OCI_MANIFEST));
    }
}

#[tokio::test]
async fn what_is_not_as_announced_is_not_kept() {
    let server = DockerRegistry::start();
    let target = registry(&server.host, &quick());
    let at = repository("a/b");
    let bytes = noise(500_000, 2);
    let (right, other, len) = (Digest::of(&bytes), Digest::of(b"other"), bytes.len() as u64);
    let broken = || {
        let broken = SourceError::NotFound { what: "the rest".to_owned(), source_name: "x".to_owned() };
        pieces(&bytes[..400_000]).chain(stream::iter([Err(broken)])).boxed()
    };
    for (digest, size, body) in
        [(other, len, pieces(&bytes)), (right, len + 1, pieces(&bytes)), (right, len - 1, pieces(&bytes))]
    {
        let refused = target.push_blob(&at, &digest, size, body).await;
        assert!(matches!(refused, Err(SourceError::Invalid { .. })), "{size}: {refused:?}");
        assert!(!target.has_blob(&at, &digest).await.unwrap());
    }
    assert!(target.push_blob(&at, &right, len, broken()).await.is_err());
    assert!(target.push_blob(&at, &right, 0, pieces(&bytes)).await.is_err());
    assert!(!target.has_blob(&at, &right).await.unwrap());

    let manifest = manifest_of(&right, bytes.len());
    let named = Reference::Digest(other);
    let refused = target.push_manifest(&at, &named, OCI_MANIFEST, manifest.clone()).await;
    assert!(matches!(refused, Err(SourceError::Invalid { .. })), "{refused:?}");
    // It names a blob that is not there.
    let tag = Reference::Tag("now".to_owned());
    let Err(refused) = target.push_manifest(&at, &tag, OCI_MANIFEST, manifest).await else { panic!("taken") };
    assert!(refused.to_string().contains("blob unknown"), "{refused}");
}

#[tokio::test]
async fn places_elsewhere_in_the_network_are_refused() {
    let bytes = b"bytes".to_vec();
    let places = ["http://10.1.2.3/upload", "ftp://example.com/", "http://[::1]:1/x"];
    for place in places {
        let server = Scripted::start(move |_, _| Answer::new(202, "").header("Location", place));
        let target = registry(&server.host, &quick());
        let refused = target.push_blob(&repository("a/b"), &Digest::of(&bytes), 5, pieces(&bytes)).await;
        assert!(matches!(refused, Err(SourceError::Invalid { .. })), "{place}: {refused:?}");
        assert_eq!(server.asked().len(), 1);
    }
    let server = Scripted::start(|_, _| Answer::new(202, ""));
    let target = registry(&server.host, &quick());
    let refused = target.push_blob(&repository("a/b"), &Digest::of(&bytes), 5, pieces(&bytes)).await;
    assert!(matches!(refused, Err(SourceError::Invalid { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_registry_that_wants_a_token_to_push_gets_one() {
    let server = Scripted::start(|_, asked| {
        if asked.path.starts_with("/token") {
            let wide = asked.path.contains("push");
            return Answer::new(200, if wide { r#"{"token":"wide"}"# } else { r#"{"token":"narrow"}"# });
        }
        if asked.headers.get("authorization").map(String::as_str) != Some("Bearer wide") {
            let realm = format!("http://{}/token", asked.headers["host"]);
            let scope = "repository:a/b:pull,push";
            return Answer::new(401, "")
                .header("WWW-Authenticate", format!("Bearer realm=\"{realm}\",scope=\"{scope}\""));
        }
        match asked.method.as_str() {
            "POST" => Answer::new(202, "").header("Location", "/v2/a/b/blobs/uploads/1?state=x%2Fy"),
            _ => Answer::new(201, ""),
        }
    });
    let target = registry(&server.host, &quick());
    let digest = Digest::of(b"bytes");
    target.push_blob(&repository("a/b"), &digest, 5, pieces(b"bytes")).await.unwrap();
    let asked = server.asked();
    let put = asked.last().unwrap();
    assert_eq!((put.method.as_str(), put.body.as_str()), ("PUT", "bytes"));
    let query = format!("/v2/a/b/blobs/uploads/1?state=x%2Fy&digest=sha256%3A{}", digest.hex());
    assert_eq!(put.path, query);
}
