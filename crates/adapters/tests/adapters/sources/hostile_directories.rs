//! Can a directory of layouts be made to give what lies outside of it, or to hang?

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use factory_adapters::oci_layout::OciLayouts;
use factory_domain::ports::{Reference, ReleaseSource as _, SourceError};
use factory_formats::Digest;

use super::{Content, drain, repository};

#[tokio::test]
async fn links_out_of_the_directory_are_refused_and_links_within_are_not() {
    let outside = tempfile::tempdir().unwrap();
    let secret = b"secret";
    fs::write(outside.path().join("secret"), secret).unwrap();
    let root = tempfile::tempdir().unwrap();
    let mut content = Content::new();
    let image = content.image("a/b", "v1", false);
    content.put_into_directory(root.path());
    let source = OciLayouts::open(root.path()).unwrap();
    let at = repository("a/b");
    let blobs = root.path().join("a/b/blobs/sha256");

    symlink(outside.path().join("secret"), blobs.join(Digest::of(secret).hex())).unwrap();
    let stolen = source.open_blob(&at, &Digest::of(secret), 6, 0).await.map(|_| ());
    assert!(matches!(stolen, Err(SourceError::Invalid { .. })), "{stolen:?}");
    let stolen = source.fetch_manifest(&at, &Reference::Digest(Digest::of(secret))).await;
    assert!(matches!(stolen, Err(SourceError::Invalid { .. })), "{stolen:?}");

    symlink(outside.path(), root.path().join("out")).unwrap();
    fs::write(outside.path().join("index.json"), r#"{"manifests":[]}"#).unwrap();
    let stolen = source.list_tags(&repository("out")).await;
    assert!(matches!(stolen, Err(SourceError::Invalid { .. })), "{stolen:?}");

    symlink(root.path().join("a/b"), root.path().join("same")).unwrap();
    assert_eq!(source.resolve_tag(&repository("same"), "v1").await.unwrap(), image.index);
}

#[tokio::test]
async fn pipes_and_directories_are_refused_without_waiting() {
    let root = tempfile::tempdir().unwrap();
    let mut content = Content::new();
    content.image("a/b", "v1", false);
    content.put_into_directory(root.path());
    let blobs = root.path().join("a/b/blobs/sha256");
    let (pipe, directory) = (Digest::of(b"pipe"), Digest::of(b"directory"));
    assert!(Command::new("mkfifo").arg(blobs.join(pipe.hex())).status().unwrap().success());
    fs::create_dir(blobs.join(directory.hex())).unwrap();
    let source = OciLayouts::open(root.path()).unwrap();
    for digest in [pipe, directory] {
        let at = repository("a/b");
        let opened = source.open_blob(&at, &digest, 0, 0);
        let opened =
            tokio::time::timeout(Duration::from_secs(5), opened).await.expect("it hangs").map(|_| ());
        assert!(matches!(opened, Err(SourceError::Invalid { .. })), "{opened:?}");
    }
}

#[tokio::test]
async fn damaged_layouts_are_told_from_missing_ones() {
    let root = tempfile::tempdir().unwrap();
    let mut content = Content::new();
    let image = content.image("a/b", "v1", false);
    content.put_into_directory(root.path());
    let source = OciLayouts::open(root.path()).unwrap();
    let at = repository("a/b");
    let layout = root.path().join("a/b");

    let manifest = layout.join("blobs/sha256").join(image.index.hex());
    fs::write(&manifest, "{}").unwrap();
    let damaged = source.fetch_manifest(&at, &Reference::Tag("v1".to_owned())).await;
    assert!(matches!(damaged, Err(SourceError::Invalid { .. })), "{damaged:?}");
    fs::write(&manifest, vec![b' '; (4 << 20) + 1]).unwrap();
    let long = source.fetch_manifest(&at, &Reference::Digest(image.index)).await;
    assert!(matches!(long, Err(SourceError::Invalid { .. })), "{long:?}");
    fs::remove_file(&manifest).unwrap();
    let missing = source.fetch_manifest(&at, &Reference::Tag("v1".to_owned())).await;
    assert!(matches!(missing, Err(SourceError::NotFound { .. })), "{missing:?}");

    let stream = source.open_blob(&at, &Digest::of(&image.layer), image.layer.len() as u64, 0).await.unwrap();
    fs::write(layout.join("blobs/sha256").join(Digest::of(&image.layer).hex()), "short").unwrap();
    assert!(drain(stream).await.is_err());

    for text in ["", "[]", "{", r#"{"manifests":7}"#] {
        fs::write(layout.join("index.json"), text).unwrap();
        let damaged = source.list_tags(&at).await;
        assert!(matches!(damaged, Err(SourceError::Invalid { .. })), "{text}: {damaged:?}");
    }
    let hostile = r#"{"manifests":[
        {"mediaType":"m","digest":"sha256:../../../etc/passwd","size":1,"annotations":{"org.opencontainers.image.ref.name":"v1"}},
        {"mediaType":"m","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,
         "annotations":{"org.opencontainers.image.ref.name":"../v2"}}]}"#;
    fs::write(layout.join("index.json"), hostile).unwrap();
    assert!(source.list_tags(&at).await.unwrap().is_empty());

    assert!(OciLayouts::open(&root.path().join("nowhere")).is_err());
    assert!(OciLayouts::open(&layout.join("index.json")).is_err());
}

#[tokio::test]
async fn a_changed_index_is_read_again() {
    let root = tempfile::tempdir().unwrap();
    let mut content = Content::new();
    let image = content.image("a/b", "v1", false);
    content.put_into_directory(root.path());
    let source = OciLayouts::open(root.path()).unwrap();
    let at = repository("a/b");
    assert!(source.list_referrers(&at, &image.index).await.unwrap().is_empty());
    let referrer = content.referrer(&at, &image.index, "b", "k", b"{}", false);
    content.tag(&at, "v2", image.index);
    content.put_into_directory(root.path());
    assert_eq!(source.list_tags(&at).await.unwrap(), ["v1", "v2"]);
    assert_eq!(source.list_referrers(&at, &image.index).await.unwrap()[0].digest, referrer);
}
