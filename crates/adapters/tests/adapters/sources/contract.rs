//! What every source must do, run against each.

use factory_adapters::oci_layout::OciLayouts;
use factory_domain::ports::{Reference, ReleaseSource, SourceError};
use factory_formats::Digest;
use factory_formats::testing::noise;

use super::content::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use super::{Content, DockerRegistry, Image, drain, quick, registry, repository};

/// What the sources hold.
struct Held {
    oci: Image,
    docker: Image,
    referrer: Digest,
}

fn content(subjects_need_a_tag: bool) -> (Content, Held) {
    let mut content = Content::new();
    let oci = content.image("siderolabs/imager", "v1.12.4", false);
    content.tag(&repository("siderolabs/imager"), "latest", oci.index);
    content.tag(&repository("siderolabs/imager"), &format!("sha256-{}.sig", oci.index.hex()), oci.manifest);
    let docker = content.image("siderolabs/installer", "v1.9.5", true);
    let referrer = content.referrer(
        &repository("siderolabs/imager"),
        &oci.index,
        "application/vnd.dev.sigstore.bundle.v0.3+json",
        "application/vnd.example.kind",
        b"{}",
        subjects_need_a_tag,
    );
    (content, Held { oci, docker, referrer })
}

async fn keeps_the_contract(source: &dyn ReleaseSource, held: &Held) {
    lists_tags(source, held).await;
    resolves_tags(source, held).await;
    fetches_manifests(source, held).await;
    opens_blobs_anywhere(source, held).await;
    lists_referrers(source, held).await;
}

async fn lists_tags(source: &dyn ReleaseSource, held: &Held) {
    let mut tags = source.list_tags(&repository("siderolabs/imager")).await.unwrap();
    tags.retain(|tag| *tag != format!("sha256-{}", held.oci.index.hex()));
    tags.sort();
    assert_eq!(
        tags,
        ["latest".to_owned(), format!("sha256-{}.sig", held.oci.index.hex()), "v1.12.4".to_owned()]
    );
    let nobody = source.list_tags(&repository("siderolabs/nobody")).await;
    assert!(matches!(nobody, Err(SourceError::NotFound { .. })), "{nobody:?}");
}

async fn resolves_tags(source: &dyn ReleaseSource, held: &Held) {
    let imager = repository("siderolabs/imager");
    for tag in ["v1.12.4", "latest"] {
        assert_eq!(source.resolve_tag(&imager, tag).await.unwrap(), held.oci.index);
    }
    for tag in ["v9.9.9", "", "../../x", "a/b", "a b", "?n=1", "sha256:00", "%2e%2e"] {
        let missing = source.resolve_tag(&imager, tag).await;
        assert!(matches!(missing, Err(SourceError::NotFound { .. })), "{tag:?}: {missing:?}");
        let missing = source.fetch_manifest(&imager, &Reference::Tag(tag.to_owned())).await;
        assert!(matches!(missing, Err(SourceError::NotFound { .. })), "{tag:?}: {missing:?}");
    }
    let Err(error) = source.resolve_tag(&imager, "v9.9.9").await else { panic!("it exists") };
    let text = error.to_string();
    assert!(text.contains("siderolabs/imager:v9.9.9") || text.contains("siderolabs/imager v9.9.9"), "{text}");
    assert!(text.contains(source.name()), "{text}");
}

async fn fetches_manifests(source: &dyn ReleaseSource, held: &Held) {
    for (path, tag, image, index_type, manifest_type) in [
        ("siderolabs/imager", "v1.12.4", &held.oci, OCI_INDEX, OCI_MANIFEST),
        ("siderolabs/installer", "v1.9.5", &held.docker, DOCKER_LIST, DOCKER_MANIFEST),
    ] {
        let at = repository(path);
        let by_tag = source.fetch_manifest(&at, &Reference::Tag(tag.to_owned())).await.unwrap();
        let by_digest = source.fetch_manifest(&at, &Reference::Digest(image.index)).await.unwrap();
        let child = source.fetch_manifest(&at, &Reference::Digest(image.manifest)).await.unwrap();
        assert_eq!((by_tag.digest, &by_tag.media_type[..]), (image.index, index_type));
        assert_eq!(Digest::of(&by_tag.bytes), image.index);
        assert_eq!(by_digest.bytes, by_tag.bytes);
        assert_eq!((child.digest, &child.media_type[..]), (image.manifest, manifest_type));
        let missing = source.fetch_manifest(&at, &Reference::Digest(Digest::of(b"?"))).await;
        assert!(matches!(missing, Err(SourceError::NotFound { .. })), "{missing:?}");
    }
}

async fn opens_blobs_anywhere(source: &dyn ReleaseSource, held: &Held) {
    let imager = repository("siderolabs/imager");
    let layer = &held.oci.layer;
    let (digest, size) = (Digest::of(layer), layer.len() as u64);
    for offset in [0, 1, 300_000, size - 1, size] {
        let stream = source.open_blob(&imager, &digest, size, offset).await.unwrap();
        assert_eq!(drain(stream).await.unwrap(), layer[offset as usize..], "from {offset}");
    }
    assert_eq!(source.blob_size(&imager, &digest).await.unwrap(), size);
    let missing = source.blob_size(&imager, &Digest::of(b"?")).await;
    assert!(matches!(missing, Err(SourceError::NotFound { .. })), "{missing:?}");
    let missing = source.open_blob(&imager, &Digest::of(b"?"), 1, 0).await.map(|_| ());
    assert!(matches!(missing, Err(SourceError::NotFound { .. })), "{missing:?}");
    for (size, offset) in [(size + 1, 0), (size - 1, 0), (size, size + 1), (size + 1, 5)] {
        let wrong = match source.open_blob(&imager, &digest, size, offset).await {
            Ok(stream) => drain(stream).await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert!(matches!(wrong, Err(SourceError::Invalid { .. })), "{size} from {offset}: {wrong:?}");
    }
}

async fn lists_referrers(source: &dyn ReleaseSource, held: &Held) {
    let imager = repository("siderolabs/imager");
    let found = source.list_referrers(&imager, &held.oci.index).await.unwrap();
    assert_eq!(found.iter().map(|entry| entry.digest).collect::<Vec<_>>(), [held.referrer]);
    assert_eq!(found[0].artifact_type.as_deref(), Some("application/vnd.example.kind"));
    assert_eq!(found[0].media_type, OCI_MANIFEST);
    assert!(source.list_referrers(&imager, &held.oci.manifest).await.unwrap().is_empty());
    assert!(
        source.list_referrers(&repository("siderolabs/nobody"), &held.oci.index).await.unwrap().is_empty()
    );
}

#[tokio::test]
async fn images_in_memory() {
    for by_tag in [false, true] {
        let (content, mut held) = content(by_tag);
        let source = content.put_into_memory();
        if by_tag {
            // It is listed twice there, as subject and by tag; a source may say so, the readers bear it.
            let found =
                source.list_referrers(&repository("siderolabs/imager"), &held.oci.index).await.unwrap();
            assert!(found.iter().all(|entry| entry.digest == held.referrer));
            held.referrer = found[0].digest;
            continue;
        }
        keeps_the_contract(&source, &held).await;
    }
}

#[tokio::test]
async fn a_directory_of_layouts() {
    for by_tag in [false, true] {
        let (content, held) = content(by_tag);
        let directory = tempfile::tempdir().unwrap();
        content.put_into_directory(directory.path());
        keeps_the_contract(&OciLayouts::open(directory.path()).unwrap(), &held).await;
    }
}

#[tokio::test]
async fn a_real_registry() {
    let server = DockerRegistry::start();
    // This one has no referrers API.
    let (content, held) = content(true);
    content.put_into_registry(&server.host).await;
    keeps_the_contract(&registry(&server.host, &quick()), &held).await;
}

#[tokio::test]
async fn all_tags_of_a_real_registry() {
    let server = DockerRegistry::start();
    let mut content = Content::new();
    let image = content.image("a/b", "v0", false);
    let expected: Vec<String> = (0..60).map(|n| format!("v{n:04}")).collect();
    for tag in &expected {
        content.tag(&repository("a/b"), tag, image.index);
    }
    content.put_into_registry(&server.host).await;
    let mut tags = registry(&server.host, &quick()).list_tags(&repository("a/b")).await.unwrap();
    tags.retain(|tag| tag != "v0");
    assert_eq!(tags, expected);
}

#[tokio::test]
async fn many_transfers_at_once_do_not_wait_for_each_other() {
    let server = DockerRegistry::start();
    let mut content = Content::new();
    let image = content.image("a/b", "v0", false);
    let blobs: Vec<Vec<u8>> = (0..6).map(|n| noise(3_000_000, 100 + n)).collect();
    for blob in &blobs {
        content.blob(&repository("a/b"), blob.clone());
    }
    content.put_into_registry(&server.host).await;
    let mut options = quick();
    options.limits.parallel = 1;
    let source = registry(&server.host, &options);
    // All are open and none is read while others are asked for: with one transfer allowed at a time, this
    // must neither fail nor hang.
    let mut open = Vec::new();
    for blob in &blobs {
        open.push(source.open_blob(&repository("a/b"), &Digest::of(blob), 3_000_000, 0).await.unwrap());
    }
    assert_eq!(source.resolve_tag(&repository("a/b"), "v0").await.unwrap(), image.index);
    for (stream, blob) in open.into_iter().zip(&blobs).rev() {
        assert_eq!(drain(stream).await.unwrap(), blob[..]);
    }
}
