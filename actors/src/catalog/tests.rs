use std::sync::Arc;

use actix::Arbiter;
use async_trait::async_trait;
use factory_adapters::testing::{HandClock, MemorySource, MemoryStore, SourceCall};
use factory_domain::ports::{SignatureCheck, Verified, VerifyError};
use factory_formats::Digest;

use super::*;
use crate::sources;
use crate::verifier::SignatureVerifier;

struct TrustsAll;

#[async_trait]
impl SignatureCheck for TrustsAll {
    async fn verify(&self, _: &Repository, _: &Digest) -> Result<Verified, VerifyError> {
        Ok(Verified { method: "told to".to_owned() })
    }
}

struct Stage {
    source: MemorySource,
    store: MemoryStore,
    clock: Arc<HandClock>,
    keeper: Arc<Keeper<VersionCatalog>>,
}

const RECHECK: Duration = Duration::from_secs(3600);

/// A catalogue over what there is already, as after a start of the program.
fn stage(source: &MemorySource, store: &MemoryStore) -> Stage {
    let clock = Arc::new(HandClock::default());
    let workers = Workers::start(2).unwrap();
    let verifier = SignatureVerifier::state(Arc::new(TrustsAll), workers.clone());
    let verifier =
        Keeper::start("verifier", Arbiter::current(), 9, move || SignatureVerifier::with(verifier.clone()));
    let options =
        sources::Options { recheck: RECHECK, attempts: 1, pause: Duration::ZERO, trust: String::new() };
    let fetcher = SourceFetcher::state(
        Arc::new(source.clone()),
        Arc::new(store.clone()),
        verifier,
        Arc::clone(&clock) as _,
        workers.clone(),
        options,
    );
    let fetcher =
        Keeper::start("sources", Arbiter::current(), 9, move || SourceFetcher::with(Arc::clone(&fetcher)));
    let repository = |name: &str| format!("siderolabs/{name}").parse::<Repository>().unwrap();
    let version = |text: &str| TalosVersion::parse(text).unwrap();
    let options = Options {
        min_version: version("1.9.0"),
        broken: vec![version("v1.10.1")],
        recheck: RECHECK,
        registry: SourceRegistry { host: "ghcr.io".to_owned(), namespace: String::new() },
        components: Components {
            imager: repository("imager"),
            extensions: repository("extensions"),
            overlays: repository("overlays"),
            talosctl: repository("talosctl-all"),
            installer_base: repository("installer-base"),
            installer: repository("installer"),
        },
    };
    let state = VersionCatalog::state(
        Arc::new(source.clone()),
        fetcher,
        Arc::new(store.clone()),
        Arc::clone(&clock) as _,
        workers,
        options,
    );
    let make = move || VersionCatalog::with(Arc::clone(&state));
    let keeper = Keeper::start("catalog", Arbiter::current(), 50, make);
    Stage { source: source.clone(), store: store.clone(), clock, keeper }
}

fn published(tags: &[&str]) -> MemorySource {
    let source = MemorySource::default();
    for tag in tags {
        source.tag(&"siderolabs/imager".parse().unwrap(), tag, Digest::of(tag.as_bytes()));
    }
    source
}

/// Publishes a list of extensions that names one with this digest.
fn publish_extensions(source: &MemorySource, tag: &str, digest: Digest) {
    let name: Repository = "siderolabs/extensions".parse().unwrap();
    let text = format!("ghcr.io/siderolabs/drbd:9@{digest}\n");
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "image-digests", text.as_bytes()).unwrap();
    let layer = tar.into_inner().unwrap();
    let descriptor = |digest: Digest, size: usize| {
        format!(
            r#"{{"mediaType":"x","digest":"{digest}","size":{size},"platform":{{"os":"linux","architecture":"amd64"}}}}"#
        )
    };
    let config = descriptor(source.add_blob(&name, "{}"), 2);
    let size = layer.len();
    let layer = descriptor(source.add_blob(&name, layer), size);
    let manifest = format!(r#"{{"config":{config},"layers":[{layer}]}}"#);
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let image = source.add_manifest(&name, kind, manifest);
    source.tag(&name, tag, image);
}

fn version(text: &str) -> TalosVersion {
    TalosVersion::parse(text).unwrap()
}

impl Stage {
    async fn versions(&self) -> Vec<String> {
        let list = self.keeper.ask(ListVersions).await.unwrap();
        list.versions.iter().map(TalosVersion::tag).collect()
    }

    async fn extension(&self, tag: &str) -> Result<Digest, AskError<CatalogError>> {
        let list = self.keeper.ask(FindExtensions { version: version(tag) }).await?;
        Ok(list.entries().first().expect("one extension").reference.digest)
    }
}

#[actix::test]
async fn versions_are_filtered_and_checked() {
    let tags = ["latest", "v1.10.0", "v1.10.1", "v1.10.2", "v1.2.3", "v1.9.0", "nonsense"];
    let stage = stage(&published(&tags), &MemoryStore::new());
    assert_eq!(stage.versions().await, ["v1.9.0", "v1.10.0", "v1.10.2"]);
    let check = |text: &str| stage.keeper.ask(CheckVersion { version: version(text) });
    assert!(check("v1.10.0").await.is_ok());
    assert!(matches!(check("v1.2.3").await, Err(AskError::No(CatalogError::UnknownVersion(_)))));
    let broken = check("v1.10.1").await.unwrap_err().to_string();
    assert!(broken.contains("broken") && broken.contains("1.10.2"), "{broken}");
}

#[actix::test]
async fn the_last_good_list_outlives_source_and_process() {
    let first = stage(&published(&["v1.10.0"]), &MemoryStore::new());
    publish_extensions(&first.source, "v1.10.0", Digest::of(b"drbd"));
    assert_eq!(first.versions().await, ["v1.10.0"]);
    let known = first.extension("v1.10.0").await.unwrap();
    // What is kept is kept in the background.
    tokio::time::sleep(Duration::from_millis(100)).await;
    first.source.set_down(true);
    let second = stage(&first.source, &first.store);
    assert_eq!(second.versions().await, ["v1.10.0"]);
    assert_eq!(second.extension("v1.10.0").await.unwrap(), known);
}

#[actix::test]
async fn without_any_list_the_reason_is_told_and_the_next_try_may_succeed() {
    let source = published(&["v1.10.0"]);
    source.set_down(true);
    let stage = stage(&source, &MemoryStore::new());
    let failed = stage.keeper.ask(ListVersions).await.unwrap_err();
    assert!(
        matches!(failed, AskError::No(CatalogError::NoList(SourceError::Unavailable { .. }))),
        "{failed:?}"
    );
    source.set_down(false);
    assert_eq!(stage.versions().await, ["v1.10.0"]);
}

#[actix::test]
async fn a_stale_list_is_served_and_read_anew_behind_it() {
    let stage = stage(&published(&["v1.10.0"]), &MemoryStore::new());
    let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
    publish_extensions(&stage.source, "v1.10.0", old);
    assert_eq!(stage.extension("v1.10.0").await.unwrap(), old);
    publish_extensions(&stage.source, "v1.10.0", new);
    let looked_up = stage.source.calls(SourceCall::ResolveTag);
    assert_eq!(stage.extension("v1.10.0").await.unwrap(), old);
    assert_eq!(stage.source.calls(SourceCall::ResolveTag), looked_up, "it was fresh");
    let mut seen = old;
    for _ in 0..100 {
        // The tag is looked up behind the first stale answer, the list is read anew behind the next.
        stage.clock.advance(RECHECK);
        seen = stage.extension("v1.10.0").await.unwrap();
        if seen == new {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(seen, new);
}

#[actix::test]
async fn a_crowd_reads_a_list_once() {
    let stage = stage(&published(&["v1.10.0"]), &MemoryStore::new());
    publish_extensions(&stage.source, "v1.10.0", Digest::of(b"drbd"));
    assert_eq!(stage.versions().await.len(), 1);
    stage.source.pause(true);
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let (keeper, question) =
                (Arc::clone(&stage.keeper), FindExtensions { version: version("v1.10.0") });
            actix::spawn(async move { keeper.ask(question).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    stage.source.pause(false);
    for asked in crowd {
        asked.await.unwrap().unwrap();
    }
    assert_eq!(stage.source.calls(SourceCall::ResolveTag), 1);
}
