//! Does the catalogue say what there is, also while the registry is down, and after a restart meanwhile?

use crate::support::fixture::{NEWEST, OLDEST_UKI, VERSIONS};
use crate::support::server::EXTERNAL_URL;
use crate::support::{Config, Fixture, Registry, Server};

fn names(server: &Server, version: &str) -> Vec<String> {
    let answer = server.client.get(&format!("/version/{version}/extensions/official"));
    assert_eq!(answer.status, 200, "{version}: {}", answer.text());
    let list = answer.json();
    let list = list.as_array().unwrap().iter();
    list.map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn versions_extensions_overlays_and_clients_are_listed() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let registry = Registry::with_fixture(&fixture);
    let broken = toml::Value::Array(vec!["1.9.5".into()]);
    let config = Config::on_registry(&registry, &fixture).set("build.brokenTalosVersions", broken);
    let server = Server::start(&config, home.path());

    let offered: Vec<_> = VERSIONS.into_iter().filter(|version| *version != "v1.9.5").collect();
    assert_eq!(server.client.get("/versions").list(), offered);
    assert_eq!(server.client.get("/versions?broken=true").list(), ["v1.9.5"]);

    let extensions = server.client.get(&format!("/version/{NEWEST}/extensions/official")).json();
    let hello = extensions.as_array().unwrap().iter().find(|e| e["name"] == "siderolabs/hello-world-service");
    let hello = hello.expect("it is listed");
    assert!(hello["digest"].as_str().unwrap().starts_with("sha256:"), "{hello}");
    assert_eq!(hello["author"], "Fixture Authors");
    assert!(names(&server, OLDEST_UKI).contains(&"siderolabs/retired".to_owned()));
    assert!(!names(&server, NEWEST).contains(&"siderolabs/retired".to_owned()));

    let overlays = server.client.get(&format!("/version/{NEWEST}/overlays/official")).json();
    assert!(overlays.as_array().unwrap().iter().any(|o| o["name"] == "qemu_board"), "{overlays}");

    let clients = server.client.get(&format!("/talosctl/{NEWEST}")).list();
    assert_eq!(clients.len(), 10, "{clients:?}");
    let linux =
        clients.iter().find(|url| url.ends_with("/talosctl-linux-amd64")).expect("one for this machine");
    let linux = linux.strip_prefix(EXTERNAL_URL).expect("the address that clients see");
    let program = server.client.get(&format!("/{linux}"));
    assert_eq!((program.status, &program.body[..4]), (200, b"\x7fELF".as_slice()));
    assert_eq!(server.client.get(&format!("/talosctl/{OLDEST_UKI}")).list(), Vec::<String>::new());
    assert_eq!(server.client.get("/version/v1.9.5/extensions/official").status, 404, "withdrawn");
}

#[test]
fn what_is_known_is_served_while_the_registry_is_down() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let mut registry = Registry::with_fixture(&fixture);
    let config = Config::on_registry(&registry, &fixture).set("artifacts.talosVersionRecheckInterval", "1s");
    let server = Server::start(&config, home.path());
    let before = names(&server, NEWEST);
    let schematic = server.client.schematic(crate::EXTENDED);
    let kernel = Server::image(&schematic, NEWEST, "kernel-amd64");
    let initramfs = Server::image(&schematic, NEWEST, "initramfs-amd64.xz");
    let sums = [server.client.digest(&kernel), server.client.digest(&initramfs)];

    registry.stop();
    std::thread::sleep(std::time::Duration::from_millis(2500)); // long enough for a refresh to fail
    let check = |server: &Server| {
        assert_eq!(server.client.get("/versions").list(), VERSIONS);
        assert_eq!(names(server, NEWEST), before);
        assert_eq!([server.client.digest(&kernel), server.client.digest(&initramfs)], sums);
        let unknown = server.client.get(&format!("/version/{OLDEST_UKI}/extensions/official"));
        assert_eq!(unknown.status, 503, "never read before: {}", unknown.text());
        assert!(unknown.has("retry-after"));
    };
    check(&server);
    assert!(server.metrics().sum("image_factory_catalog_refreshes_total", &["failed"]) >= 1.0);
    drop(server);
    let server = Server::launch(&config, home.path());
    check(&server);

    registry.start_again();
    let known = || {
        let answer = server.client.get(&format!("/version/{OLDEST_UKI}/extensions/official"));
        (answer.status == 200).then_some(())
    };
    crate::support::process::wait_for("it recovers", std::time::Duration::from_secs(60), known);
}

#[test]
fn a_new_version_appears_by_itself() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let registry = Registry::to_change(&fixture);
    let config = Config::on_registry(&registry, &fixture).set("artifacts.talosVersionRecheckInterval", "1s");
    let server = Server::start(&config, home.path());
    assert_eq!(server.client.get("/versions").list(), VERSIONS);
    registry.tag("siderolabs/imager", NEWEST, "v1.12.5");
    let listed = || server.client.get("/versions").list().contains(&"v1.12.5".to_owned()).then_some(());
    crate::support::process::wait_for("v1.12.5 is listed", std::time::Duration::from_secs(20), listed);
}
