//! Are releases accepted that were signed without a key, by whom the operator names, and without a network?

use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::fixture::{NEWEST, OLDEST_UKI};
use crate::support::{Config, Fixture, Registry, Server};

#[path = "../../crates/adapters/tests/adapters/signatures/virtual_sigstore.rs"]
#[allow(dead_code, reason = "the adapters' tests use all of it")]
mod virtual_sigstore;

use virtual_sigstore::{Log, Signer, VirtualSigstore};

const LISTS: &str = "siderolabs/extensions";
const IMAGER: &str = "siderolabs/imager";
const RELEASES: &str = "releasemgr-svc@talos-production.iam.gserviceaccount.com";
const GOOGLE: &str = "https://accounts.google.com";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Takes all signatures of an image away, and gives its digest.
fn bare(registry: &Registry, repository: &str, version: &str) -> String {
    let (_, _, digest) = registry.manifest(repository, version);
    let name = digest.replace(':', "-");
    registry.untag(repository, &name);
    registry.untag(repository, &format!("{name}.sig"));
    digest
}

fn described(registry: &Registry, repository: &str, media_type: &str, bytes: &[u8]) -> Value {
    let digest = registry.push_blob(repository, bytes);
    json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
}

/// Signs an image the way releases were signed for years: under a tag.
fn sign_by_tag(registry: &Registry, version: &str, sigstore: &VirtualSigstore, signer: &Signer) {
    let digest = bare(registry, LISTS, version);
    let document = json!({
        "critical": {
            "identity": {"docker-reference": format!("ghcr.io/{LISTS}")},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        },
        "optional": null,
    });
    let document = document.to_string().into_bytes();
    let kind = "application/vnd.dev.cosign.simplesigning.v1+json";
    let mut layer = described(registry, LISTS, kind, &document);
    layer["annotations"] = json!(sigstore.annotations(signer, &document));
    let config = described(registry, LISTS, "application/vnd.oci.image.config.v1+json", b"{}");
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
    registry.push_manifest(LISTS, Some(&format!("{}.sig", digest.replace(':', "-"))), &manifest);
}

/// Signs an image the way that releases are signed now: by a bundle that refers to it.
fn sign_by_bundle(
    registry: &Registry,
    (repository, version): (&str, &str),
    sigstore: &VirtualSigstore,
    signer: &Signer,
    log: Log,
) {
    let digest = bare(registry, repository, version);
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": digest.trim_start_matches("sha256:")}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    });
    let bundle = sigstore.bundle(signer, statement.to_string().as_bytes(), log).to_string();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BUNDLE,
        "config": described(registry, repository, "application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [described(registry, repository, BUNDLE, bundle.as_bytes())],
    });
    let size = manifest.to_string().len();
    let referrer = registry.push_manifest(repository, None, &manifest);
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{"mediaType": MANIFEST, "digest": referrer, "size": size, "artifactType": BUNDLE}],
    });
    registry.push_manifest(repository, Some(&digest.replace(':', "-")), &index);
}

fn trusting(registry: &Registry, sigstore: &VirtualSigstore, folder: &Path) -> Config {
    let file = folder.join("trusted_root.json");
    std::fs::write(&file, sigstore.trusted_root().to_string()).unwrap();
    Config::on_address(&registry.address).set("containerSignature.trustedRootFile", file.to_str().unwrap())
}

fn list(server: &Server, version: &str) -> (u16, String) {
    let answer = server.client.get(&format!("/version/{version}/extensions/official"));
    (answer.status, answer.text())
}

#[test]
fn releases_signed_without_a_key_are_used() {
    let Some(fixture) = Fixture::find() else { return };
    let (registry, home) = (Registry::to_change(&fixture), tempfile::tempdir().unwrap());
    let sigstore = VirtualSigstore::new();
    let signer = Signer::new(RELEASES, GOOGLE);
    sign_by_tag(&registry, OLDEST_UKI, &sigstore, &signer);
    sign_by_bundle(&registry, (LISTS, "v1.14.0-alpha.2"), &sigstore, &signer, Log::Promised);
    for repository in [LISTS, IMAGER] {
        sign_by_bundle(&registry, (repository, NEWEST), &sigstore, &signer, Log::Tiled);
    }
    let config = trusting(&registry, &sigstore, home.path());
    let server = Server::start(&config, home.path());
    for version in [OLDEST_UKI, "v1.14.0-alpha.2", NEWEST] {
        let (status, text) = list(&server, version);
        assert_eq!(status, 200, "{version}: {text}");
    }
    let log = server.process.output();
    for said in ["bundled: certificate subject", "legacy: certificate subject", "trusted_root.json"] {
        assert!(log.contains(said), "{said}: {log}");
    }
    // Signed by the fixture's key, which nobody here trusts.
    let (status, text) = list(&server, "v1.9.5");
    let (_, _, digest) = registry.manifest(LISTS, "v1.9.5");
    assert_eq!(status, 502, "{text}");
    for named in [LISTS, &digest, "with a key, not with a certificate"] {
        assert!(text.contains(named), "{named}: {text}");
    }
    let kernel = |server: &Server| {
        let schematic = server.client.schematic("customization: {}\n");
        server.client.get(&Server::image(&schematic, NEWEST, "kernel-amd64"))
    };
    assert_eq!(kernel(&server).status, 200);
    drop(server);

    // Others may sign from now on, by the same Sigstore: what was accepted is judged anew, and known again
    // when they may not.
    let strict = config.clone().set("containerSignature.subjectRegExp", "^nobody@example\\.com$");
    let server = Server::start(&strict, home.path());
    let refused = kernel(&server);
    assert_eq!(refused.status, 502, "{}", refused.text());
    for named in [IMAGER, "certificate identity", RELEASES, "^nobody@example"] {
        assert!(refused.text().contains(named), "{named}: {}", refused.text());
    }
    drop(server);
    let server = Server::start(&config, home.path());
    assert_eq!(kernel(&server).status, 200);
}

#[test]
fn a_release_of_another_sigstore_is_refused_by_name() {
    let Some(fixture) = Fixture::find() else { return };
    let (registry, home) = (Registry::to_change(&fixture), tempfile::tempdir().unwrap());
    let (ours, theirs) = (VirtualSigstore::new(), VirtualSigstore::new());
    let signer = Signer::new(RELEASES, GOOGLE);
    sign_by_tag(&registry, OLDEST_UKI, &theirs, &signer);
    sign_by_bundle(&registry, (LISTS, NEWEST), &theirs, &signer, Log::Promised);
    let server = Server::start(&trusting(&registry, &ours, home.path()), home.path());
    for version in [OLDEST_UKI, NEWEST] {
        let (status, text) = list(&server, version);
        let (_, _, digest) = registry.manifest(LISTS, version);
        assert_eq!(status, 502, "{text}");
        assert!(text.contains(LISTS) && text.contains(&digest) && text.contains("not trusted"), "{text}");
    }
    // Either way is enough.
    let both = trusting(&registry, &ours, home.path())
        .set("containerSignature.publicKeyFile", fixture.key.to_str().unwrap());
    let server = Server::start(&both, &home.path().join("both"));
    assert_eq!(list(&server, "v1.9.5").0, 200, "signed by the key");
}

/// An air-gapped server starts with what is embedded, and one whose mirror is down does, too.
#[test]
fn no_network_is_needed_to_judge() {
    let Some(fixture) = Fixture::find() else { return };
    let registry = Registry::with_fixture(&fixture);
    // Takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    for mirror in ["", "http://127.0.0.1:9", &silent] {
        let home = tempfile::tempdir().unwrap();
        let config = Config::on_address(&registry.address).set("containerSignature.tufMirror", mirror);
        let server = Server::start(&config, home.path());
        let (status, text) = list(&server, NEWEST);
        assert_eq!(status, 502, "{mirror}: {text}");
        assert!(text.contains("with a key, not with a certificate"), "{text}");
        let log = server.process.output();
        assert!(log.contains("embedded in this program, of 2026-10-23"), "{log}");
    }
}

#[test]
fn what_cannot_be_a_policy_keeps_the_program_from_starting() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let base = || {
        Config::on_layouts(&fixture)
            .set("containerSignature.subjectRegExp", "example")
            .set("http.httpListenAddr", "127.0.0.1:0")
            .set("metrics.addr", "")
    };
    let missing = home.path().join("missing.json");
    for (config, named) in [
        (base().set("containerSignature.subjectRegExp", "("), "containerSignature.subjectRegExp"),
        (base().set("containerSignature.issuerRegExp", "("), "containerSignature.issuerRegExp"),
        (base().set("containerSignature.issuer", ""), "containerSignature.issuer"),
        (base().set("containerSignature.tufMirror", "x"), "containerSignature.tufMirror"),
        (
            base().set("containerSignature.trustedRootFile", missing.to_str().unwrap()),
            "containerSignature.trustedRootFile",
        ),
    ] {
        let file = home.path().join("config.toml");
        let config = config.set("store.path", home.path().join("store").to_str().unwrap());
        std::fs::write(&file, config.to_toml()).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_image-factory"))
            .args(["serve", "--config", file.to_str().unwrap()])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(named), "{named}: {said}");
    }
}
