//! Do the field's own clients pull installers, load archives and accept signatures?

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::EXTENDED;
use crate::support::fixture::{NEWEST, cosign};
use crate::support::process::{Process, wait_for};
use crate::support::server::EXTERNAL_URL;
use crate::support::tools::{run, says, success, text};
use crate::support::{Config, Fixture, Server};

struct Pulls {
    server: Server,
    schematic: String,
    home: tempfile::TempDir,
}

impl Pulls {
    fn start() -> Option<Self> {
        let fixture = Fixture::find()?;
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let server = Server::start(&Config::on_layouts(&fixture), &home.path().join("factory"));
        let schematic = server.client.schematic(EXTENDED);
        Some(Self { server, schematic, home })
    }

    /// `host:port/image/schematic`.
    fn name(&self, image: &str) -> String {
        format!("{}/{image}/{}", self.server.address, self.schematic)
    }

    fn digest(&self, image: &str) -> String {
        let path = format!("/v2/{image}/{}/manifests/{NEWEST}", self.schematic);
        self.server.client.head(&path).header("docker-content-digest").to_owned()
    }

    fn folder(&self, name: &str) -> std::path::PathBuf {
        let folder = self.home.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }
}

/// Podman with all of its state in a folder.
fn podman(state: &Path, arguments: &[&str]) -> String {
    let (root, run) = (state.join("root"), state.join("run"));
    let mut all = vec!["--root", text(&root), "--runroot", text(&run), "--storage-driver", "vfs"];
    all.extend(arguments);
    says("podman", "podman", &all)
}

#[test]
fn skopeo_copies_all_platforms() {
    let Some(pulls) = Pulls::start() else { return };
    for image in ["installer", "aws-installer"] {
        let source = format!("docker://{}:{NEWEST}", pulls.name(image));
        let target = format!("oci:{}:copy", text(&pulls.folder(image)));
        let options = ["--all", "--preserve-digests", "--src-tls-verify=false"];
        let copy = [&["--insecure-policy", "copy"][..], &options, &[&source, &target]].concat();
        success("skopeo", "skopeo", &copy);
        let index = fs::read(pulls.folder(image).join("index.json")).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        assert_eq!(index["manifests"][0]["digest"], pulls.digest(image), "the very index is copied");
        let inspect = ["--insecure-policy", "inspect", "--tls-verify=false", &source];
        let told: Value = serde_json::from_str(&says("skopeo", "skopeo", &inspect)).unwrap();
        assert_eq!(told["Created"], "2019-06-01T21:34:52Z");
        assert_eq!(told["Labels"]["alpha.talos.dev/version"], NEWEST);
        assert!(told["RepoTags"].as_array().unwrap().iter().any(|tag| tag == NEWEST), "{told}");
    }
}

#[test]
fn podman_pulls_and_loads_the_same_image() {
    let Some(pulls) = Pulls::start() else { return };
    let (pulled, loaded) = (pulls.folder("pulled"), pulls.folder("loaded"));
    let name = format!("{}:{NEWEST}", pulls.name("installer"));
    podman(&pulled, &["pull", "--quiet", "--arch", "amd64", "--tls-verify=false", &name]);
    let archive = pulls
        .server
        .client
        .save(&Server::image(&pulls.schematic, NEWEST, "installer-amd64.tar"), pulls.home.path());
    let said = podman(&loaded, &["load", "--quiet", "--input", text(&archive)]);
    // The archive's image is called as clients of the factory's address would pull it.
    let host = EXTERNAL_URL.trim_start_matches("http://");
    let given = format!("{host}installer/{}:{NEWEST}", pulls.schematic);
    assert!(said.contains(&given), "{said}");
    let id = |state: &Path, name: &str| podman(state, &["image", "inspect", "--format", "{{.Id}}", name]);
    assert_eq!(id(&pulled, &name), id(&loaded, &given), "the archive holds the image of the registry");

    let copy = format!("dir:{}", text(&pulls.folder("copy")));
    let source = format!("docker-archive:{}", text(&archive));
    success("skopeo", "skopeo", &["--insecure-policy", "copy", &source, &copy]);
}

#[test]
fn containerd_pulls_and_unpacks() {
    let Some(pulls) = Pulls::start() else { return };
    let home = pulls.folder("containerd");
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
    wait_for("containerd answers", Duration::from_secs(30), || {
        ctr(&["version"]).status.success().then_some(())
    });
    let name = format!("{}:{NEWEST}", pulls.name("installer"));
    let pull = ctr(&["images", "pull", "--plain-http", "--all-platforms", "--snapshotter", "native", &name]);
    assert!(pull.status.success(), "{}\n{}", String::from_utf8_lossy(&pull.stderr), daemon.tail());
    let listed = String::from_utf8(ctr(&["images", "ls"]).stdout).unwrap();
    assert!(listed.contains(&pulls.digest("installer")), "{listed}");
    assert!(listed.contains("linux/amd64,linux/arm64"), "{listed}");
}

#[test]
fn cosign_accepts_what_is_signed_beside_an_asset_and_nothing_else() {
    let (Some(cosign), Some(pulls)) = (cosign(), Pulls::start()) else { return };
    let folder = pulls.folder("blob");
    let (key, bundle, asset) = (folder.join("key.pub"), folder.join("bundle"), folder.join("asset"));
    let path = Server::image(&pulls.schematic, NEWEST, "initramfs-amd64.xz");
    let client = &pulls.server.client;
    fs::write(&key, client.get("/oci/cosign/signing-key.pub").body).unwrap();
    let signed = client.get(&format!("{path}.sigstore.json"));
    assert_eq!(signed.status, 200, "{}", signed.text());
    fs::write(&bundle, &signed.body).unwrap();
    let mut bytes = client.get(&path).body.to_vec();
    let accepts = |bytes: &[u8]| {
        fs::write(&asset, bytes).unwrap();
        let mut command = Command::new(&cosign);
        command.args([
            "verify-blob",
            "--insecure-ignore-tlog",
            "--key",
            text(&key),
            "--bundle",
            text(&bundle),
        ]);
        command.arg(&asset).env("HOME", &folder).output().unwrap().status.success()
    };
    assert!(accepts(&bytes));
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(!accepts(&bytes), "one bit is another");
    assert_eq!(client.get(&format!("{path}.sigstore.json")).body, signed.body, "a signature is made once");
}

#[test]
fn cosign_accepts_index_and_manifests_in_both_forms() {
    let (Some(cosign), Some(pulls)) = (cosign(), Pulls::start()) else { return };
    let key = pulls.home.path().join("key.pem");
    fs::write(&key, pulls.server.client.get("/oci/cosign/signing-key.pub").body).unwrap();
    let other = pulls.home.path().join("other.pem");
    let private = pulls.home.path().join("other.key");
    let curve = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", text(&private)];
    success("openssl", "openssl", &curve);
    success("openssl", "openssl", &["ec", "-in", text(&private), "-pubout", "-out", text(&other)]);

    let tag = format!("{}:{NEWEST}", pulls.name("installer"));
    let path = format!("/v2/installer/{}/manifests/{NEWEST}", pulls.schematic);
    let index = pulls.server.client.get(&path).json();
    let child = index["manifests"][1]["digest"].as_str().unwrap().to_owned();
    let verify = |key: &Path, form: &str, image: &str| {
        let arguments =
            ["verify", "--key", text(key), form, "--insecure-ignore-tlog", "--allow-http-registry", image];
        let mut command = Command::new(&cosign);
        let output = command.args(arguments).env("HOME", pulls.home.path()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for image in [tag.clone(), format!("{}@{child}", pulls.name("installer"))] {
        for form in ["--new-bundle-format=true", "--new-bundle-format=false"] {
            let (is_accepted, said) = verify(&key, form, &image);
            assert!(is_accepted, "{image} {form}: {said}");
            let (is_accepted, said) = verify(&other, form, &image);
            assert!(!is_accepted, "{image} {form}: another key is accepted: {said}");
        }
    }
}

#[test]
fn cosign_accepts_what_is_attested_of_an_image() {
    let (Some(cosign), Some(pulls)) = (cosign(), Pulls::start()) else { return };
    let key = pulls.home.path().join("key.pem");
    fs::write(&key, pulls.server.client.get("/oci/cosign/signing-key.pub").body).unwrap();
    let path = format!("/v2/installer/{}/manifests/{NEWEST}", pulls.schematic);
    let index = pulls.server.client.get(&path);
    let digest = index.header("docker-content-digest").to_owned();
    let child = index.json()["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let (spdx, slsa) = ("https://spdx.dev/Document/v2.3", "https://slsa.dev/provenance/v1");
    let attested = |digest: &str, kind: &str| {
        let image = format!("{}@{digest}", pulls.name("installer"));
        let options = ["verify-attestation", "--key", text(&key), "--type", kind];
        let more = ["--insecure-ignore-tlog", "--allow-http-registry", &image];
        let output = Command::new(&cosign)
            .args([&options[..], &more[..]].concat())
            .env("HOME", pulls.home.path())
            .output()
            .unwrap();
        let envelope: Value = serde_json::from_slice(&output.stdout).ok()?;
        let payload = STANDARD.decode(envelope["payload"].as_str()?).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&payload).ok()
    };
    let contents = attested(&child, spdx).expect("a bill of materials is attested of each manifest");
    assert_eq!(contents["subject"][0]["digest"]["sha256"], child["sha256:".len()..]);
    let told = pulls.server.client.get(&format!("/spdx/{}/{NEWEST}/amd64", pulls.schematic)).json();
    assert_eq!(contents["predicate"], told, "it is the one that can be downloaded");

    let origin = attested(&digest, slsa).expect("provenance is attested of the index");
    let subjects = origin["subject"].as_array().unwrap();
    assert_eq!(subjects.len(), 3, "the index and what it names: {subjects:?}");
    let from = origin["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    let from: Vec<_> = from.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    for name in ["base-installer:linux/arm64", "imager:linux/amd64", "schematic"] {
        assert!(from.contains(&name), "{name}: {from:?}");
    }
    assert_eq!(from.iter().filter(|name| name.starts_with("extension:siderolabs/drbd")).count(), 2);
    assert!(attested(&digest, spdx).is_none() && attested(&child, slsa).is_none());
}
