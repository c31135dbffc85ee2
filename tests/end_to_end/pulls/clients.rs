//! Pulls by skopeo, podman and containerd, loads of archives, and downloads by curl.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{Places, Site};
use crate::support::Server;
use crate::support::fixture::NEWEST;
use crate::support::process::{Process, wait_for};
use crate::support::server::EXTERNAL_URL;
use crate::support::tools::{run, says, success, text};

/// Longest time until something that happens in the background is seen.
const SOON: Duration = Duration::from_secs(60);

/// Podman with all of its state in a folder.
fn podman(state: &Path, arguments: &[&str]) -> String {
    let (root, run) = (state.join("root"), state.join("run"));
    let mut all = vec!["--root", text(&root), "--runroot", text(&run), "--storage-driver", "vfs"];
    all.extend(arguments);
    says("podman", "podman", &all)
}

/// Copies an image for all platforms, and looks at what skopeo tells of it.
fn skopeo_copies(site: &Site, image: &str) {
    let source = format!("docker://{}:{NEWEST}", site.name(image));
    let target = format!("oci:{}:copy", text(&site.folder(image)));
    let options = ["--all", "--preserve-digests", "--src-tls-verify=false"];
    let copy = [&["--insecure-policy", "copy"][..], &options, &[&source, &target]].concat();
    success("skopeo", "skopeo", &copy);
    let index = fs::read(site.folder(image).join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["manifests"][0]["digest"], site.digest(image), "the very index is copied");
    let inspect = ["--insecure-policy", "inspect", "--tls-verify=false", &source];
    let told: Value = serde_json::from_str(&says("skopeo", "skopeo", &inspect)).unwrap();
    assert_eq!(told["Created"], "2019-06-01T21:34:52Z");
    assert_eq!(told["Labels"]["alpha.talos.dev/version"], NEWEST);
    assert!(told["RepoTags"].as_array().unwrap().iter().any(|tag| tag == NEWEST), "{told}");
}

/// The image's id, which is the digest of its configuration.
fn podman_pulls(site: &Site) -> String {
    let (pulled, name) = (site.folder("pulled"), format!("{}:{NEWEST}", site.name("installer")));
    podman(&pulled, &["pull", "--quiet", "--arch", "amd64", "--tls-verify=false", &name]);
    podman(&pulled, &["image", "inspect", "--format", "{{.Id}}", &name])
}

fn containerd_pulls_and_unpacks(site: &Site) {
    let home = site.folder("containerd");
    // A socket's path must be short.
    let short = tempfile::tempdir_in("/tmp").unwrap();
    let socket = short.path().join("c.sock");
    let config = home.join("config.toml");
    let settings = format!(
        "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {:?}\n",
        home.join("root"),
        short.path().join("state"),
        socket
    );
    fs::write(&config, settings).unwrap();
    let mut command = Command::new("containerd");
    command.arg("--config").arg(&config);
    let daemon = Process::start("containerd", "containerd", &mut command, &home.join("containerd.log"));
    let ctr = |arguments: &[&str]| {
        let mut all = vec!["--address", text(&socket)];
        all.extend(arguments);
        run("ctr", "containerd", &all)
    };
    wait_for("containerd answers", SOON, || ctr(&["version"]).status.success().then_some(()));
    let name = format!("{}:{NEWEST}", site.name("installer"));
    let pull = ctr(&["images", "pull", "--plain-http", "--all-platforms", "--snapshotter", "native", &name]);
    assert!(pull.status.success(), "{}\n{}", String::from_utf8_lossy(&pull.stderr), daemon.tail());
    let listed = String::from_utf8(ctr(&["images", "ls"]).stdout).unwrap();
    assert!(listed.contains(&site.digest("installer")), "{listed}");
    assert!(listed.contains("linux/amd64,linux/arm64"), "{listed}");
}

/// Downloads as a person does, and compares with the published sum.
fn curl_downloads(site: &Site, asset: &str) {
    let (folder, path) = (site.folder("downloads"), Server::image(&site.schematic, NEWEST, asset));
    let url = format!("{}{path}", site.server.url);
    let (file, sum) = (folder.join(asset), folder.join("sum"));
    success("curl", "curl", &["-sS", "--fail", "--location", "--output", text(&file), &url]);
    success("curl", "curl", &["-sS", "--fail", "--output", text(&sum), &format!("{url}.sha256")]);
    let expected = fs::read_to_string(&sum).unwrap();
    let found = says("sha256sum", "coreutils", &[text(&file)]);
    assert_eq!(found.split(' ').next(), expected.split(' ').next(), "{asset}");
}

/// All clients, and then all that is told of the places.
fn pulls_work(places: Places) {
    let Some(site) = Site::start(places) else { return };
    let path = Server::image(&site.schematic, NEWEST, "metal-amd64-uki.efi");
    curl_downloads(&site, "metal-amd64-uki.efi");
    for image in ["installer", "aws-installer"] {
        skopeo_copies(&site, image);
    }
    podman_pulls(&site);
    containerd_pulls_and_unpacks(&site);

    // The clients were where they should have been.
    let tagged = format!("/v2/installer/{}/manifests/{NEWEST}", site.schematic);
    let sent = site.server.client.get(&tagged).status;
    assert_eq!(sent, if places == Places::Registry { 307 } else { 200 });
    if let Some(registry) = &site.registry {
        let pulls = registry.pulls();
        assert!(
            pulls.iter().any(|(path, _)| path.starts_with("/v2/site/installers/installer/")),
            "{pulls:?}"
        );
    }
    if let Some(elsewhere) = &site.elsewhere {
        let location = wait_for("a copy in the bucket", SOON, || {
            let answer = site.server.client.ask("GET", &path, &[("range", "bytes=0-0")]);
            (answer.status == 302).then(|| answer.header("location").to_owned())
        });
        assert!(location.starts_with(&format!("http://{elsewhere}/")), "{location}");
        curl_downloads(&site, "metal-amd64-uki.efi");
    }
}

#[test]
fn from_the_embedded_store() {
    pulls_work(Places::Embedded);
}

#[test]
fn from_a_registry() {
    pulls_work(Places::Registry);
}

#[test]
fn from_a_factory_with_a_bucket() {
    pulls_work(Places::Bucket);
}

#[test]
fn from_a_factory_with_a_cdn() {
    pulls_work(Places::Cdn);
}

#[test]
fn the_archive_holds_the_image_of_the_registry() {
    let Some(site) = Site::start(Places::Embedded) else { return };
    let archive = Server::image(&site.schematic, NEWEST, "installer-amd64.tar");
    let archive = site.server.client.save(&archive, site.home.path());
    let loaded = site.folder("loaded");
    let said = podman(&loaded, &["load", "--quiet", "--input", text(&archive)]);
    // The archive's image is called as clients of the factory's address would pull it.
    let host = EXTERNAL_URL.trim_start_matches("http://");
    let given = format!("{host}installer/{}:{NEWEST}", site.schematic);
    assert!(said.contains(&given), "{said}");
    let id = podman(&loaded, &["image", "inspect", "--format", "{{.Id}}", &given]);
    assert_eq!(id, podman_pulls(&site));

    let copy = format!("dir:{}", text(&site.folder("copy")));
    let source = format!("docker-archive:{}", text(&archive));
    success("skopeo", "skopeo", &["--insecure-policy", "copy", &source, &copy]);
}
