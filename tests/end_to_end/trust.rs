//! Is nothing used, and nothing kept, that is not signed by whom the operator trusts?

use std::path::Path;
use std::process::Command;

use crate::support::client::Answer;
use crate::support::fixture::{NEWEST, OLDEST_UKI, cosign};
use crate::support::{Config, Fixture, Registry, Server};

fn extended_with(server: &Server, name: &str) -> Answer {
    let yaml = format!("customization: {{systemExtensions: {{officialExtensions: [siderolabs/{name}]}}}}\n");
    let schematic = server.client.schematic(&yaml);
    server.client.get(&Server::image(&schematic, NEWEST, "initramfs-amd64.xz"))
}

fn listed(server: &Server, version: &str) -> Answer {
    server.client.get(&format!("/version/{version}/extensions/official"))
}

/// That no byte of these layers is in the store, finished or not.
fn assert_not_kept(store: &Path, layers: &[String]) {
    assert!(!layers.is_empty());
    let kept = Server::check_blobs(store);
    for layer in layers {
        assert!(!kept.contains(layer), "a layer was kept: {layer}");
        assert!(!store.join("partial").join(layer).exists(), "a part of a layer was kept: {layer}");
    }
}

fn assert_refused(answer: &Answer, names: &[&str]) {
    assert_eq!(answer.status, 502, "{}", answer.text());
    for name in names {
        assert!(answer.text().contains(name), "{name} is not named: {}", answer.text());
    }
}

#[test]
fn both_forms_of_signatures_are_accepted() {
    let Some(fixture) = Fixture::find() else { return };
    let (registry, home) = (Registry::with_fixture(&fixture), tempfile::tempdir().unwrap());
    let server = Server::start(&Config::on_registry(&registry, &fixture), home.path());
    let seen = |end: &str| registry.requests().iter().any(|r| r.path.ends_with(end) && r.status == 200);
    let tag = |version| registry.manifest("siderolabs/extensions", version).2.replace(':', "-");
    let (old, new) = (tag(OLDEST_UKI), tag(NEWEST));
    assert_eq!(listed(&server, OLDEST_UKI).status, 200);
    assert!(seen(&format!("/{old}.sig")), "signed in the old form");
    assert_eq!(listed(&server, NEWEST).status, 200);
    assert!(seen(&format!("/manifests/{new}")), "signed by a bundle");
    assert_eq!(server.metrics().sum("image_factory_signatures_checked_total", &["accepted"]), 2.0);
}

#[test]
fn unsigned_and_forged_images_are_refused_by_name() {
    let Some(fixture) = Fixture::find() else { return };
    let (registry, home) = (Registry::with_fixture(&fixture), tempfile::tempdir().unwrap());
    let server = Server::start(&Config::on_registry(&registry, &fixture), home.path());
    for name in ["unsigned", "forged"] {
        let repository = format!("siderolabs/{name}");
        let (_, _, digest) = registry.manifest(&repository, "1.0.0");
        assert_refused(&extended_with(&server, name), &[&repository, &digest]);
        let layers = registry.layers(&repository, "1.0.0");
        assert_not_kept(&server.store, &layers);
        let pulled =
            registry.pulls().iter().any(|(path, _)| layers.iter().any(|layer| path.ends_with(layer)));
        assert!(!pulled, "a layer was fetched before its image was verified");
    }
    assert_eq!(extended_with(&server, "hello-world-service").status, 200, "others are not affected");
}

#[test]
fn images_are_judged_anew_when_the_operator_trusts_somebody_else() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let other = home.path().join("other.pub");
    // Any other key: the factory's own is one.
    let with = |key: &Path| Config::on_layouts(&fixture).trusting(key);
    let server = Server::start(&with(&fixture.key), home.path());
    let path = Server::image(&server_schematic(&server), NEWEST, "kernel-amd64");
    assert_eq!(server.client.get(&path).status, 200);
    std::fs::write(&other, server.client.get("/oci/cosign/signing-key.pub").text()).unwrap();
    drop(server);
    let server = Server::start(&with(&other), home.path());
    assert_refused(&server.client.get(&path), &["siderolabs/imager"]);
    drop(server);
    let server = Server::start(&with(&fixture.key), home.path());
    assert_eq!(server.client.get(&path).status, 200, "what was accepted under the old key is known again");
}

fn server_schematic(server: &Server) -> String {
    server.client.schematic("customization: {}\n")
}

#[test]
fn a_good_signature_of_another_image_is_worth_nothing() {
    let Some(fixture) = Fixture::find() else { return };
    let (registry, home) = (Registry::to_change(&fixture), tempfile::tempdir().unwrap());
    const REPOSITORY: &str = "siderolabs/extensions";
    let tag = |version| registry.manifest(REPOSITORY, version).2.replace(':', "-");
    // The payload of each is signed by the right key, and names the other image.
    registry.tag(REPOSITORY, &format!("{}.sig", tag("v1.9.5")), &format!("{}.sig", tag(OLDEST_UKI)));
    registry.tag(REPOSITORY, &tag("v1.14.0-alpha.2"), &tag(NEWEST));
    let server = Server::start(&Config::on_registry(&registry, &fixture), home.path());
    for version in [OLDEST_UKI, NEWEST] {
        assert_refused(&listed(&server, version), &[REPOSITORY, &registry.manifest(REPOSITORY, version).2]);
        assert_not_kept(&server.store, &registry.layers(REPOSITORY, version));
    }
    for version in ["v1.9.5", "v1.14.0-alpha.2"] {
        assert_eq!(listed(&server, version).status, 200, "{version} keeps its own");
    }
}

#[test]
fn an_image_whose_signature_was_taken_away_is_refused() {
    let Some(fixture) = Fixture::find() else { return };
    let (registry, home) = (Registry::to_change(&fixture), tempfile::tempdir().unwrap());
    let (_, _, digest) = registry.manifest("siderolabs/imager", NEWEST);
    registry.untag("siderolabs/imager", &digest.replace(':', "-"));
    let server = Server::start(&Config::on_registry(&registry, &fixture), home.path());
    let schematic = server.client.schematic("customization: {bootloader: sd-boot}\n");
    for name in ["kernel-amd64", "metal-amd64.iso"] {
        let answer = server.client.get(&Server::image(&schematic, NEWEST, name));
        assert_refused(&answer, &["siderolabs/imager", &digest]);
    }
    assert_not_kept(&server.store, &registry.layers("siderolabs/imager", NEWEST));
}

#[test]
fn a_layer_that_is_not_what_was_signed_is_refused() {
    let Some(fixture) = Fixture::find() else { return };
    let (registry, home) = (Registry::to_change(&fixture), tempfile::tempdir().unwrap());
    let layers = registry.layers("siderolabs/hello-world-service", "v1.2.0");
    for layer in &layers {
        registry.damage(layer);
    }
    let server = Server::start(&Config::on_registry(&registry, &fixture), home.path());
    let answer = extended_with(&server, "hello-world-service");
    assert_refused(&answer, &["siderolabs/hello-world-service"]);
    assert!(layers.iter().any(|layer| answer.text().contains(layer)), "{}", answer.text());
    assert_not_kept(&server.store, &layers);
}

#[test]
fn another_key_opens_nothing_and_no_key_means_no_trust() {
    let Some(fixture) = Fixture::find() else { return };
    let registry = Registry::with_fixture(&fixture);
    let keys = tempfile::tempdir().unwrap();
    let other = keys.path().join("other.pub");
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    std::fs::write(&other, pair.public_key_pem()).unwrap();
    let without = Config::on_address(&registry.address).set("containerSignature.subjectRegExp", "");
    for (config, named) in [
        (Config::on_address(&registry.address).trusting(&other), "siderolabs/extensions"),
        (without, "containerSignature.publicKeyFile"),
    ] {
        let home = tempfile::tempdir().unwrap();
        let server = Server::start(&config, home.path());
        assert_refused(&listed(&server, NEWEST), &[named]);
        assert_not_kept(&server.store, &registry.layers("siderolabs/extensions", NEWEST));
    }
    // Only who says so in so many words gets everything.
    let home = tempfile::tempdir().unwrap();
    let config = Config::on_address(&registry.address).set("containerSignature.disabled", true);
    let server = Server::start(&config, home.path());
    assert_eq!(extended_with(&server, "unsigned").status, 200);
    assert!(server.process.output().contains("containerSignature.disabled"), "the log warns");
}

#[test]
fn what_cosign_signs_is_accepted() {
    let (Some(fixture), Some(cosign)) = (Fixture::find(), cosign()) else { return };
    let (registry, home) = (Registry::to_change(&fixture), tempfile::tempdir().unwrap());
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&cosign);
        command.args(arguments).current_dir(home.path()).env("HOME", home.path()).env("COSIGN_PASSWORD", "");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["generate-key-pair"]);
    // Neither image has a signature by this key yet.
    let sign = |repository: &str, version: &str, bundle: &str| {
        let (_, _, digest) = registry.manifest(repository, version);
        registry.untag(repository, &digest.replace(':', "-"));
        registry.untag(repository, &format!("{}.sig", digest.replace(':', "-")));
        let image = format!("{}/{repository}@{digest}", registry.address);
        let format = format!("--new-bundle-format={bundle}");
        let offline = ["--use-signing-config=false", "--tlog-upload=false", "--allow-http-registry"];
        run(&[&["sign", "--yes", "--key", "cosign.key", &format], &offline[..], &[&image]].concat());
    };
    sign("siderolabs/extensions", OLDEST_UKI, "false");
    sign("siderolabs/extensions", NEWEST, "true");
    let config = Config::on_address(&registry.address).trusting(&home.path().join("cosign.pub"));
    let server = Server::start(&config, &home.path().join("factory"));
    for version in [OLDEST_UKI, NEWEST] {
        let answer = listed(&server, version);
        assert_eq!(answer.status, 200, "{version}: {}", answer.text());
    }
    assert_refused(&listed(&server, "v1.9.5"), &["siderolabs/extensions"]);
}
