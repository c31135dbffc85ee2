//! Do factories that share places show the same?

use std::fs;
use std::time::Duration;

use crate::support::fixture::NEWEST;
use crate::support::process::wait_for;
use crate::support::tools::{success, text};
use crate::support::{Config, Fixture, Registry, Server};
use crate::{EMPTY, EXTENDED};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn installers_are_pushed_and_pulled_from_a_registry() {
    let Some(fixture) = Fixture::find() else { return };
    let (mut registry, home) = (Registry::empty(), tempfile::tempdir().unwrap());
    let config = Config::on_layouts(&fixture).with_key(home.path()).with_installers(&registry);
    let config = config
        .set("artifacts.schematic.registry", registry.address.as_str())
        .set("artifacts.schematic.insecure", true);
    let sending = config
        .clone()
        .set("artifacts.installer.external.registry", registry.address.as_str())
        .set("artifacts.installer.external.namespace", "site/installers");
    // One sends clients away, the other answers itself; what they show is the same.
    let first = Server::start(&sending, &home.path().join("a"));
    let schematic = first.client.schematic(EXTENDED);
    let tagged = format!("/v2/installer/{schematic}/manifests/{NEWEST}");
    let sent = first.client.get(&tagged);
    assert_eq!(sent.status, 307, "{}", sent.text());
    let base = format!("http://{}/v2/site/installers/installer/{schematic}", registry.address);
    let location = sent.header("location");
    let index = location.strip_prefix(&format!("{base}/manifests/")).unwrap_or_else(|| panic!("{location}"));
    let repository = format!("site/installers/installer/{schematic}");
    let (_, _, digest) = registry.manifest(&repository, NEWEST);
    assert_eq!(digest, index, "the tag is there");

    let second = Server::start(&config, &home.path().join("b"));
    let own = second.client.get(&tagged);
    assert_eq!((own.status, own.header("docker-content-digest")), (200, index));
    let signature = format!("sha256-{}.sig", index.trim_start_matches("sha256:"));
    let (_, _, theirs) = registry.manifest(&repository, &signature);
    let shown = second.client.get(&format!("/v2/installer/{schematic}/manifests/{signature}"));
    assert_eq!(shown.header("docker-content-digest"), theirs, "one signature for all");

    // The field's own client pulls all of it through the redirects.
    for (name, server) in [("sent", &first), ("own", &second)] {
        let source = format!("docker://{}/installer/{schematic}:{NEWEST}", server.address);
        let target = format!("oci:{}:copy", text(&home.path().join(name)));
        let copy = [
            "--insecure-policy",
            "copy",
            "--all",
            "--preserve-digests",
            "--src-tls-verify=false",
            &source,
            &target,
        ];
        success("skopeo", "skopeo", &copy);
        let copied = fs::read_to_string(home.path().join(name).join("index.json")).unwrap();
        assert!(copied.contains(index), "{copied}");
    }

    // A registry that is down is not where anybody is sent.
    registry.stop();
    let other = format!("/v2/aws-installer/{schematic}/manifests/{NEWEST}");
    let served = first.client.get(&other);
    assert_eq!(served.status, 200, "{}", served.text());
    assert!(first.client.get("/readyz").text().contains("degraded"));
    registry.start_again();
    wait_for("clients are sent there again", SOON, || (first.client.get(&other).status == 307).then_some(()));
}

#[test]
fn assets_in_a_registry_stand_in_for_a_source_that_is_down() {
    let Some(fixture) = Fixture::find() else { return };
    let (cache, home) = (Registry::empty(), tempfile::tempdir().unwrap());
    let mut source = Registry::with_fixture(&fixture);
    let config = Config::on_registry(&source, &fixture).with_key(home.path());
    let config = config
        .set("cache.oci.registry", cache.address.as_str())
        .set("cache.oci.insecure", true)
        .set("artifacts.schematic.registry", cache.address.as_str())
        .set("artifacts.schematic.insecure", true);
    let server = Server::start(&config, &home.path().join("a"));
    let schematic = server.client.schematic(EMPTY);
    let path = Server::image(&schematic, NEWEST, "initramfs-amd64.xz");
    let whole = server.client.digest(&path);
    let written = || server.metrics().sum("image_factory_cache_written_bytes_total", &[]);
    wait_for("a copy in the registry", SOON, || (written() >= whole.1 as f64).then_some(()));
    assert_eq!(server.client.digest(&path), whole, "nobody is sent anywhere");
    drop(server);
    source.stop();

    let server = Server::launch(&config, &home.path().join("b"));
    let head = server.client.head(&path);
    assert_eq!((head.status, head.header("content-type")), (200, "application/x-xz"));
    assert_eq!(server.client.digest(&path), whole);
    // With another key nothing of it counts.
    let other = home.path().join("other");
    fs::create_dir_all(&other).unwrap();
    let stranger = Server::launch(&config.with_key(&other), &home.path().join("c"));
    assert_eq!(stranger.client.get(&path).status, 503);
    // Other bytes in the registry are noticed before the last of them is sent.
    cache.damage(&whole.0);
    let received = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.client.digest(&path)));
    assert!(received.is_err(), "wrong bytes came whole");
}
