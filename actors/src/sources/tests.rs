use std::collections::BTreeSet;
use std::sync::Mutex;

use actix::Arbiter;
use async_trait::async_trait;
use factory_adapters::testing::{HandClock, MemorySource, MemoryStore, SourceCall};
use factory_domain::ports::{FactoryBlobs, SignatureCheck, Verified, VerifyError};
use factory_formats::oci_image::LayerType;

use super::*;

/// Accepts what it was told to.
#[derive(Default)]
struct Trusted(Mutex<BTreeSet<String>>);

#[async_trait]
impl SignatureCheck for Trusted {
    async fn verify(&self, repository: &Repository, digest: &Digest) -> Result<Verified, VerifyError> {
        if self.0.lock().unwrap().contains(&digest.hex()) {
            return Ok(Verified { method: "told to".to_owned() });
        }
        let reasons = vec!["told to".to_owned()];
        Err(VerifyError::Refused { repository: repository.clone(), digest: *digest, reasons })
    }
}

struct Stage {
    source: MemorySource,
    store: MemoryStore,
    clock: Arc<HandClock>,
    trusted: Arc<Trusted>,
    keeper: Arc<Keeper<SourceFetcher>>,
}

const RECHECK: Duration = Duration::from_secs(60);

fn stage() -> Stage {
    stage_over(MemorySource::default(), MemoryStore::new(), Arc::default())
}

/// A fetcher over what there is already, as after a start of the program.
fn stage_over(source: MemorySource, store: MemoryStore, trusted: Arc<Trusted>) -> Stage {
    let clock = Arc::new(HandClock::default());
    let workers = Workers::start(2).unwrap();
    let verifier = SignatureVerifier::state(Arc::clone(&trusted) as _, workers.clone());
    let verifier =
        Keeper::start("verifier", Arbiter::current(), 100, move || SignatureVerifier::with(verifier.clone()));
    let options =
        Options { recheck: RECHECK, attempts: 3, pause: Duration::from_millis(5), trust: String::new() };
    let state = SourceFetcher::state(
        Arc::new(source.clone()),
        Arc::new(store.clone()),
        verifier,
        Arc::clone(&clock) as _,
        workers,
        options,
    );
    let make = move || SourceFetcher::with(Arc::clone(&state));
    let keeper = Keeper::start("sources", Arbiter::current(), 100, make);
    Stage { source, store, clock, trusted, keeper }
}

fn repository() -> Repository {
    "siderolabs/imager".parse().unwrap()
}

fn layer(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn descriptor(media_type: &str, digest: Digest, size: usize, arch: Option<&str>) -> String {
    let platform = arch.map(|arch| format!(r#","platform":{{"os":"linux","architecture":"{arch}"}}"#));
    let platform = platform.unwrap_or_default();
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}{platform}}}"#)
}

impl Stage {
    /// Adds an image with these layers for amd64, and trusts it.
    fn publish(&self, tag: &str, layers: &[Vec<u8>]) -> Digest {
        let image = self.publish_unsigned(tag, layers);
        self.trusted.0.lock().unwrap().insert(image.hex());
        image
    }

    fn publish_unsigned(&self, tag: &str, layers: &[Vec<u8>]) -> Digest {
        let (source, name) = (&self.source, repository());
        let diff_ids: Vec<_> = layers.iter().map(|bytes| format!("\"{}\"", Digest::of(bytes))).collect();
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            diff_ids.join(",")
        );
        let config = descriptor("config", source.add_blob(&name, config.clone()), config.len(), None);
        let layers: Vec<_> = layers
            .iter()
            .map(|bytes| descriptor("layer", source.add_blob(&name, bytes.clone()), bytes.len(), None))
            .collect();
        let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#, layers.join(","));
        let (kind, size) = ("application/vnd.oci.image.manifest.v1+json", manifest.len());
        let child = descriptor(kind, source.add_manifest(&name, kind, manifest), size, Some("amd64"));
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{child}]}}"#);
        let index = source.add_manifest(&name, "application/vnd.oci.image.index.v1+json", index);
        source.tag(&name, tag, index);
        index
    }

    fn question(&self, tag: &str, arch: Arch) -> FetchFiles {
        let image = ImageRef { repository: repository(), reference: Reference::Tag(tag.to_owned()) };
        FetchFiles { image, arch, selection: Selection::Below("usr/install/") }
    }

    async fn base(&self, tag: &str) -> Result<Arc<SourceBase>, AskError<FetchError>> {
        let image = ImageRef { repository: repository(), reference: Reference::Tag(tag.to_owned()) };
        self.keeper.ask(FetchBase { image, arch: Arch::Amd64 }).await
    }

    async fn fetch(&self, tag: &str) -> Result<Arc<SourceFiles>, AskError<FetchError>> {
        self.keeper.ask(self.question(tag, Arch::Amd64)).await
    }
}

#[actix::test]
async fn the_files_that_were_asked_for_are_kept_and_no_others() {
    let stage = stage();
    let lower = layer(&[("usr/install/amd64/vmlinuz", b"old"), ("etc/passwd", b"root")]);
    let upper = layer(&[("usr/install/amd64/vmlinuz", b"kernel")]);
    let image = stage.publish("v1", &[lower, upper]);
    let found = stage.fetch("v1").await.unwrap();
    assert_eq!(found.image, image);
    let kernel = SourceFile { digest: Digest::of(b"kernel"), size: 6 };
    assert_eq!(found.files, [("usr/install/amd64/vmlinuz".to_owned(), kernel)].into());
    assert!(stage.store.stat(&kernel.digest).unwrap().is_some());
    assert_eq!(stage.store.stat(&Digest::of(b"root")).unwrap(), None);
}

#[actix::test]
async fn nothing_of_an_image_is_fetched_before_it_was_accepted() {
    let stage = stage();
    let image = stage.publish_unsigned("v1", &[layer(&[("usr/install/a", b"a")])]);
    let refused = stage.fetch("v1").await.unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("siderolabs/imager") && text.contains(&image.hex()), "{text}");
    assert_eq!(stage.source.calls(SourceCall::OpenBlob), 0);
    assert_eq!(stage.store.usage().blobs, 0);
    // A refusal is not for ever: somebody may sign it.
    stage.trusted.0.lock().unwrap().insert(image.hex());
    assert!(stage.fetch("v1").await.is_ok());
}

#[actix::test]
async fn a_crowd_causes_one_pull() {
    let stage = stage();
    stage.publish("v1", &[layer(&[("usr/install/a", b"a")]), layer(&[("usr/install/b", b"b")])]);
    stage.source.pause(true);
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let (keeper, question) = (Arc::clone(&stage.keeper), stage.question("v1", Arch::Amd64));
            actix::spawn(async move { keeper.ask(question).await })
        })
        .collect();
    while stage.source.all_calls() == 0 {
        tokio::task::yield_now().await;
    }
    stage.source.pause(false);
    for asked in crowd {
        assert_eq!(asked.await.unwrap().unwrap().files.len(), 2);
    }
    assert_eq!(stage.source.calls(SourceCall::ResolveTag), 1);
    assert_eq!(stage.source.calls(SourceCall::OpenBlob), 2);
}

#[actix::test]
async fn a_pull_that_breaks_off_goes_on_and_in_the_end_gives_up() {
    let stage = stage();
    let big = vec![7; 200_000];
    stage.publish("v1", &[layer(&[("usr/install/big", &big)])]);
    stage.source.cut_blobs_after(Some(90_000));
    let found = stage.fetch("v1").await.unwrap();
    assert_eq!(found.files["usr/install/big"].digest, Digest::of(&big));
    assert_eq!(stage.source.calls(SourceCall::OpenBlob), 3);
    assert!(stage.source.blob_bytes() < 210_000, "the beginning was fetched again");

    stage.publish("v2", &[layer(&[("usr/install/other", &vec![8; 200_000])])]);
    stage.source.cut_blobs_after(Some(1000));
    let failed = stage.fetch("v2").await.unwrap_err();
    assert!(
        matches!(failed, AskError::No(FetchError::Source(SourceError::Unavailable { .. }))),
        "{failed:?}"
    );
}

#[actix::test]
async fn what_is_known_needs_no_source_after_a_restart_too() {
    let first = stage();
    first.publish("v1", &[layer(&[("usr/install/a", b"a")])]);
    let found = first.fetch("v1").await.unwrap();
    first.source.set_down(true);
    let asked = first.source.all_calls();
    assert_eq!(first.fetch("v1").await.unwrap(), found);
    let second = stage_over(first.source.clone(), first.store.clone(), Arc::default());
    assert_eq!(second.fetch("v1").await.unwrap(), found);
    assert_eq!(second.source.all_calls(), asked);
    // Later, the tag is looked up in the background; a source that is down changes nothing.
    second.clock.advance(RECHECK);
    assert_eq!(second.fetch("v1").await.unwrap(), found);
    let unknown = second.fetch("v2").await.unwrap_err();
    assert!(
        matches!(unknown, AskError::No(FetchError::Source(SourceError::Unavailable { .. }))),
        "{unknown:?}"
    );
}

#[actix::test]
async fn a_tag_that_moved_is_followed_after_its_time() {
    let stage = stage();
    let old = stage.publish("v1", &[layer(&[("usr/install/a", b"a")])]);
    assert_eq!(stage.fetch("v1").await.unwrap().image, old);
    let new = stage.publish("v1", &[layer(&[("usr/install/a", b"b")])]);
    assert_eq!(stage.fetch("v1").await.unwrap().image, old);
    stage.clock.advance(RECHECK);
    let mut seen = old;
    for _ in 0..200 {
        seen = stage.fetch("v1").await.unwrap().image;
        if seen == new {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(seen, new);
}

#[actix::test]
async fn an_image_for_other_machines_only_is_refused_by_name() {
    let stage = stage();
    stage.publish("v1", &[layer(&[("usr/install/a", b"a")])]);
    let refused = stage.keeper.ask(stage.question("v1", Arch::Arm64)).await.unwrap_err().to_string();
    assert!(refused.contains("siderolabs/imager@sha256:") && refused.contains("linux/arm64"), "{refused}");
}

#[actix::test]
async fn of_two_layers_of_a_base_the_upper_one_is_not_even_fetched() {
    let stage = stage();
    let (tools, boot) = (b"tools".to_vec(), b"boot files".to_vec());
    let image = stage.publish("v1", &[tools.clone(), boot.clone()]);
    let base = stage.base("v1").await.unwrap();
    let digest = Digest::of(&tools);
    let expected = BaseLayer { digest, size: 5, kind: LayerType::Tar, diff_id: digest };
    assert_eq!((base.image, &base.layers[..]), (image, &[expected][..]));
    assert!(stage.store.stat(&base.config.digest).unwrap().is_some());
    assert_eq!(stage.store.stat(&Digest::of(&boot)).unwrap(), None);

    stage.publish("v2", &[tools.clone(), boot.clone(), b"more".to_vec()]);
    assert_eq!(stage.base("v2").await.unwrap().layers.len(), 3, "of more than two all stay");
    stage.source.set_down(true);
    assert_eq!(stage.base("v1").await.unwrap(), base, "what is known needs no source");
}

#[actix::test]
async fn the_bytes_of_a_layer_say_how_it_is_compressed() {
    let stage = stage();
    let gzip = b"\x1f\x8b\x08\x00".to_vec();
    let zstd = b"\x28\xb5\x2f\xfd\x00".to_vec();
    stage.publish("v1", &[gzip, zstd, b"t".to_vec()]);
    let kinds: Vec<_> = stage.base("v1").await.unwrap().layers.iter().map(|layer| layer.kind).collect();
    assert_eq!(kinds, [LayerType::Gzip, LayerType::Zstd, LayerType::Tar]);
    stage.publish("v2", &[b"\xfd7zXZ\0".to_vec()]);
    let text = stage.base("v2").await.unwrap_err().to_string();
    assert!(text.contains("siderolabs/imager:v2") && text.contains("Xz"), "{text}");
}

#[actix::test]
async fn a_blob_is_handed_on_for_the_repository_that_has_it() {
    let stage = stage();
    stage.publish("v1", &[b"layer".to_vec()]);
    let digest = Digest::of(b"layer");
    let other: Repository = "siderolabs/overlays".parse().unwrap();
    let pull = |repository: Repository| stage.keeper.ask(PullSourceBlob { repository, digest });
    let pulled = pull(repository()).await.unwrap();
    assert_eq!((pulled.info.digest, pulled.info.size), (digest, 5));
    let missing = pull(other).await.unwrap_err();
    let is_missing = matches!(missing, AskError::No(FetchError::Source(SourceError::NotFound { .. })));
    assert!(is_missing, "the store has it, the repository does not: {missing}");
    stage.source.set_down(true);
    assert_eq!(pull(repository()).await.unwrap().info.digest, digest, "what was pulled needs no source");
    let size = stage.keeper.ask(StatSourceBlob { repository: repository(), digest }).await.unwrap();
    assert_eq!(size, 5);
}

#[test]
fn of_grub_only_what_images_are_made_of_is_wanted() {
    let wants = |path: &str| Selection::Grub("usr/lib/grub/i386-pc/").wants(path);
    for name in ["kernel.img", "boot.img", "normal.mod", "moddep.lst"] {
        assert!(wants(&format!("usr/lib/grub/i386-pc/{name}")), "{name}");
    }
    for path in [
        "usr/lib/grub/i386-pc/normal.module",
        "usr/lib/grub/i386-pc/kernel.exec",
        "usr/lib/grub/i386-pc/mod",
        "usr/lib/grub/i386-pc/more/normal.mod",
        "usr/lib/grub/x86_64-efi/normal.mod",
        "normal.mod",
    ] {
        assert!(!wants(path), "{path}");
    }
}
