//! Is a directory as good as a registry?

use crate::EXTENDED;
use crate::support::fixture::{NEWEST, VERSIONS};
use crate::support::{Config, Fixture, Registry, Server};

#[test]
fn a_directory_gives_what_the_registry_gives() {
    let Some(fixture) = Fixture::find() else { return };
    let registry = Registry::with_fixture(&fixture);
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let servers = [
        Server::start(&Config::on_layouts(&fixture), homes[0].path()),
        Server::start(&Config::on_registry(&registry, &fixture), homes[1].path()),
    ];
    let answers = |path: &str| servers.each_ref().map(|server| server.client.get(path).text());
    for path in ["/versions".to_owned(), "/version/v1.11.2/overlays/official".to_owned()] {
        let [from_directory, from_registry] = answers(&path);
        assert_eq!(from_directory, from_registry, "{path}");
    }
    assert_eq!(servers[0].client.get("/versions").list(), VERSIONS);
    // Lists of extensions name the registry that images are pulled from.
    let [from_directory, from_registry] = answers(&format!("/version/{NEWEST}/extensions/official"));
    assert_eq!(
        from_directory.replace("ghcr.io", "SOURCE"),
        from_registry.replace(&registry.address, "SOURCE")
    );
    let ids = servers.each_ref().map(|server| server.client.schematic(EXTENDED));
    let initramfs = Server::image(&ids[0], NEWEST, "kernel-amd64");
    let [from_directory, from_registry] = servers.each_ref().map(|server| server.client.digest(&initramfs));
    assert_eq!(from_directory, from_registry);
}

#[test]
fn trust_does_not_depend_on_the_source() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let with = |name: &str| {
        let yaml =
            format!("customization: {{systemExtensions: {{officialExtensions: [siderolabs/{name}]}}}}\n");
        let schematic = server.client.schematic(&yaml);
        server.client.get(&Server::image(&schematic, NEWEST, "initramfs-amd64.xz"))
    };
    for name in ["unsigned", "forged"] {
        let answer = with(name);
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert!(answer.text().contains(&format!("siderolabs/{name}")), "{}", answer.text());
    }
    assert_eq!(with("util-tools").status, 200);
}

#[test]
fn a_directory_that_is_none_is_told_at_once() {
    let home = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(crate::support::server::PROGRAM)
        .args(["serve", "--set", "artifacts.core.registry=oci-layout:/nowhere/at/all", "--set"])
        .arg(format!("store.path={}", home.path().display()))
        .args(["--set", "metrics.addr=", "--set", "http.httpListenAddr=127.0.0.1:0"])
        .current_dir(home.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("artifacts.core.registry") && said.contains("/nowhere/at/all"), "{said}");
}
