use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;
use factory_adapters::oci_layout::{LayoutTarget, OciLayouts, Present};
use factory_adapters::testing::{MemorySource, SourceCall};
use factory_domain::mirror::{attached_tag, referrers_tag};
use factory_domain::ports::{Reference, Verified};
use factory_formats::Digest;
use tempfile::TempDir;

use super::*;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Refuses what it was told to.
#[derive(Default)]
struct Doubts(Mutex<BTreeSet<Digest>>);

#[async_trait]
impl SignatureCheck for Doubts {
    async fn verify(&self, repository: &Repository, digest: &Digest) -> Result<Verified, VerifyError> {
        if !self.0.lock().unwrap().contains(digest) {
            return Ok(Verified { method: "told to".to_owned() });
        }
        let reasons = vec!["told to".to_owned()];
        Err(VerifyError::Refused { repository: repository.clone(), digest: *digest, reasons })
    }
}

fn repository(name: &str) -> Repository {
    format!("siderolabs/{name}").parse().unwrap()
}

fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn entry(digest: Digest, size: usize, more: &str) -> String {
    format!(r#"{{"mediaType":"{IMAGE}","digest":"{digest}","size":{size}{more}}}"#)
}

/// A release in memory.
struct Release {
    source: MemorySource,
    doubts: Arc<Doubts>,
    copy: TempDir,
}

impl Release {
    fn new() -> Self {
        Self { source: MemorySource::default(), doubts: Arc::default(), copy: TempDir::new().unwrap() }
    }

    /// An image of one manifest.
    fn image(&self, name: &str, layer: Vec<u8>, more: &str) -> (Digest, usize) {
        let at = repository(name);
        let size = layer.len();
        let layer = entry(self.source.add_blob(&at, layer), size, "");
        let config = entry(self.source.add_blob(&at, "{}"), 2, "");
        let manifest = format!(r#"{{"config":{config},"layers":[{layer}]{more}}}"#);
        let size = manifest.len();
        (self.source.add_manifest(&at, IMAGE, manifest), size)
    }

    /// An image for both architectures, the second with the content for the first reversed.
    fn index(&self, name: &str, tag: &str, layer: Vec<u8>) -> Digest {
        let reversed = layer.iter().rev().copied().collect();
        let entries = [("amd64", layer), ("arm64", reversed)].map(|(arch, layer)| {
            let (digest, size) = self.image(name, layer, "");
            let platform = format!(r#","platform":{{"os":"linux","architecture":"{arch}"}}"#);
            entry(digest, size, &platform)
        });
        let index = format!(r#"{{"manifests":[{}]}}"#, entries.join(","));
        let digest = self.source.add_manifest(&repository(name), INDEX, index);
        self.source.tag(&repository(name), tag, digest);
        digest
    }

    /// A release with these extensions, each of them an index.
    fn publish(&self, version: &str, extensions: &[&str]) {
        let lines = extensions.iter().map(|name| {
            let digest = self.index(name, "1", name.as_bytes().to_vec());
            format!("ghcr.io/siderolabs/{name}:1@{digest}\n")
        });
        let list = tar(&[("image-digests", &lines.collect::<String>()), ("deep/er", "x")]);
        self.index("extensions", version, list);
        let board = self.index("sbc", "1", b"board".to_vec());
        let list = format!("overlays:\n- name: a\n  image: ghcr.io/siderolabs/sbc:1\n  digest: {board}\n");
        self.index("overlays", version, tar(&[("overlays.yaml", &list)]));
        for name in ["installer-base", "installer", "talosctl-all", "imager"] {
            self.index(name, version, format!("{name} {version}").into_bytes());
        }
    }

    fn options(&self) -> Options {
        Options {
            namespace: String::new(),
            components: Components {
                imager: repository("imager"),
                extensions: repository("extensions"),
                overlays: repository("overlays"),
                talosctl: repository("talosctl-all"),
                installer_base: repository("installer-base"),
                installer: repository("installer"),
            },
            min_version: TalosVersion::parse("1.2.0").unwrap(),
            broken: Vec::new(),
            arches: Vec::new(),
            extensions: Extensions::All,
            transfers: 3,
            dry_run: false,
        }
    }

    async fn copy(&self, versions: &str, options: Options) -> Report {
        let target = LayoutTarget::open(self.copy.path(), Present::Trusted).unwrap();
        let source = Arc::new(self.source.clone());
        let mirror =
            Mirror::new(source, Arc::clone(&self.doubts) as _, Arc::new(target), Arc::new(Silent), options);
        let versions = mirror.select(&versions.parse().unwrap()).await.unwrap();
        mirror.run(&versions).await
    }

    fn copied(&self) -> OciLayouts {
        OciLayouts::open(self.copy.path()).unwrap()
    }

    async fn versions(&self) -> Vec<String> {
        self.copied().list_tags(&repository("imager")).await.unwrap_or_default()
    }
}

/// Everything that was looked at. What lies in one repository of a directory already is not sent for another.
fn all(report: &Report) -> Amount {
    let Report { copied, skipped, .. } = report;
    Amount { items: copied.items + skipped.items, bytes: copied.bytes + skipped.bytes }
}

#[tokio::test]
async fn what_belongs_to_a_version_and_no_more() {
    let release = Release::new();
    release.publish("v1.9.0", &["old"]);
    release.publish("v1.12.0", &["gvisor", "drbd"]);
    let report = release.copy("v1.12.0", release.options()).await;
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    assert_eq!(report.images, 8);
    let copied = release.copied();
    for (name, tag) in [("gvisor", "1"), ("drbd", "1"), ("sbc", "1"), ("installer-base", "v1.12.0")] {
        let want = release.source.resolve_tag(&repository(name), tag).await.unwrap();
        assert_eq!(copied.resolve_tag(&repository(name), tag).await.unwrap(), want, "{name}");
    }
    for name in ["old", "installer"] {
        assert!(copied.list_tags(&repository(name)).await.is_err(), "{name} is not needed");
    }
    assert_eq!(release.versions().await, ["v1.12.0"]);

    // Again: nothing is sent, and what is new comes on top.
    let sent = release.source.blob_bytes();
    let again = release.copy("v1.12.0", release.options()).await;
    assert_eq!((again.copied, all(&again)), (Amount::default(), all(&report)));
    let lists = release.source.blob_bytes() - sent;
    assert!(lists < 10_000, "only the lists are read again: {lists}");
    release.copy("1.9, 1.12", release.options()).await;
    assert_eq!(release.versions().await, ["v1.12.0", "v1.9.0"]);
}

#[tokio::test]
async fn what_says_that_it_is_genuine_comes_along() {
    let release = Release::new();
    release.publish("v1.12.0", &["gvisor"]);
    let (at, source) = (repository("gvisor"), &release.source);
    let image = source.resolve_tag(&at, "1").await.unwrap();
    for suffix in ["sig", "att"] {
        let (digest, _) = release.image("gvisor", suffix.as_bytes().to_vec(), "");
        source.tag(&at, &attached_tag(&image, suffix), digest);
    }
    // By the API only, so that the tag has to be made.
    let subject = format!(r#","artifactType":"bundle","subject":{}"#, entry(image, 1, ""));
    let (bundle, _) = release.image("gvisor", b"bundle".to_vec(), &subject);
    let report = release.copy("latest", release.options()).await;
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    let copied = release.copied();
    for suffix in ["sig", "att"] {
        let tag = attached_tag(&image, suffix);
        let want = source.resolve_tag(&at, &tag).await.unwrap();
        assert_eq!(copied.resolve_tag(&at, &tag).await.unwrap(), want);
    }
    let found = copied.list_referrers(&at, &image).await.unwrap();
    assert_eq!(found.iter().map(|entry| entry.digest).collect::<Vec<_>>(), [bundle]);
    assert_eq!(found[0].artifact_type.as_deref(), Some("bundle"));
    let list = copied.fetch_manifest(&at, &Reference::Tag(referrers_tag(&image))).await.unwrap();
    assert!(String::from_utf8_lossy(&list.bytes).contains(&bundle.to_string()));
    assert_eq!(release.copy("latest", release.options()).await.copied, Amount::default());
}

#[tokio::test]
async fn what_is_not_trusted_stays_away() {
    let release = Release::new();
    release.publish("v1.12.0", &["gvisor", "drbd"]);
    let gvisor = release.source.resolve_tag(&repository("gvisor"), "1").await.unwrap();
    release.doubts.0.lock().unwrap().insert(gvisor);
    let report = release.copy("latest", release.options()).await;
    assert_eq!(report.failed.len(), 1);
    assert_eq!(report.failed[0].0, "siderolabs/gvisor:1");
    assert!(matches!(report.failed[0].1, MirrorError::Verify(_)));
    assert!(!release.copy.path().join("siderolabs/gvisor").exists());
    assert_eq!(release.versions().await, ["v1.12.0"], "one extension less is no reason");

    // A list that is not trusted is: nobody knows what there is.
    let other = Release::new();
    other.publish("v1.12.0", &["gvisor"]);
    let list = other.source.resolve_tag(&repository("extensions"), "v1.12.0").await.unwrap();
    other.doubts.0.lock().unwrap().insert(list);
    let report = other.copy("latest", other.options()).await;
    let names: Vec<_> = report.failed.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"siderolabs/imager:v1.12.0"), "{names:?}");
    assert!(other.versions().await.is_empty());
}

#[tokio::test]
async fn a_version_comes_on_offer_when_all_of_its_own_is_there() {
    let release = Release::new();
    release.publish("v1.11.0", &["gvisor"]);
    release.publish("v1.12.0", &["gvisor"]);
    let base = release.source.resolve_tag(&repository("installer-base"), "v1.11.0").await.unwrap();
    release.doubts.0.lock().unwrap().insert(base);
    let report = release.copy("1.11,1.12", release.options()).await;
    let incomplete = report.failed.iter().find(|(name, _)| name == "siderolabs/imager:v1.11.0").unwrap();
    assert!(
        matches!(&incomplete.1, MirrorError::Incomplete(missing) if missing == "siderolabs/installer-base:v1.11.0")
    );
    assert_eq!(release.versions().await, ["v1.12.0"]);
    release.source.untag(&repository("talosctl-all"), "v1.12.0");
    let other = Release { copy: TempDir::new().unwrap(), ..release };
    assert_eq!(other.copy("1.12", other.options()).await.failed.len(), 2);
    assert!(other.versions().await.is_empty());
}

#[tokio::test]
async fn extensions_by_name_and_architectures() {
    let release = Release::new();
    release.publish("v1.12.0", &["gvisor", "drbd", "zfs"]);
    let named = |names: &[&str]| Extensions::Named(names.iter().map(|name| (*name).to_owned()).collect());
    let options = Options {
        extensions: named(&["gvisor", "siderolabs/zfs", "nowhere"]),
        arches: vec![Arch::Arm64],
        ..release.options()
    };
    let report = release.copy("latest", options).await;
    assert_eq!(report.failed.len(), 1);
    assert!(report.failed[0].1.to_string().contains("v1.12.0 lists no extension nowhere"));
    let copied = release.copied();
    assert!(copied.list_tags(&repository("drbd")).await.is_err());
    let has = async |name: &str, layer: &[u8]| {
        copied.blob_size(&repository(name), &Digest::of(layer)).await.is_ok()
    };
    let reversed = |text: &str| text.bytes().rev().collect::<Vec<u8>>();
    assert!(has("gvisor", &reversed("gvisor")).await && !has("gvisor", b"gvisor").await);
    // The factory reads these out of the image for amd64, and runs programs of overlays itself.
    assert!(has("imager", b"imager v1.12.0").await && has("sbc", b"board").await);
    assert_eq!(release.versions().await, ["v1.12.0"]);
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_a_dry_run_does_nothing() {
    let release = Release::new();
    release.publish("v1.12.0", &["gvisor"]);
    let dry = release.copy("latest", Options { dry_run: true, ..release.options() }).await;
    assert!(release.versions().await.is_empty());
    let down = SourceError::Unavailable {
        what: "a blob".to_owned(),
        source_name: "the source".to_owned(),
        reason: "told to".to_owned(),
    };
    // The lists are read first, and once.
    let report = {
        let target = LayoutTarget::open(release.copy.path(), Present::Trusted).unwrap();
        let (source, doubts) = (Arc::new(release.source.clone()), Arc::clone(&release.doubts) as _);
        let mirror = Mirror::new(source, doubts, Arc::new(target), Arc::new(Silent), release.options());
        let versions = mirror.select(&"latest".parse().unwrap()).await.unwrap();
        let plan = Plan::make(&mirror, &versions).await;
        assert!(plan.failed.is_empty());
        for _ in 0..2 {
            release.source.fail_next(SourceCall::OpenBlob, down.clone());
        }
        let copier = Copier::new(&mirror);
        assert!(mirror.copy_all(&copier, plan.images).await.is_empty());
        assert!(mirror.copy_all(&copier, plan.imagers).await.is_empty());
        let mut report = Report::default();
        copier.tell(&mut report);
        report
    };
    assert_eq!((all(&report), report.images), (all(&dry), dry.images));
    assert_eq!(release.versions().await, ["v1.12.0"]);
}
