//! Does the real cosign accept what a factory signs, and nothing else?

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Places, Site};
use crate::support::Server;
use crate::support::fixture::{NEWEST, cosign};
use crate::support::tools::{success, text};

#[test]
fn cosign_accepts_what_is_signed_beside_an_asset_and_nothing_else() {
    let (Some(cosign), Some(site)) = (cosign(), Site::start(Places::Embedded)) else { return };
    let folder = site.folder("blob");
    let (key, bundle, asset) = (folder.join("key.pub"), folder.join("bundle"), folder.join("asset"));
    let path = Server::image(&site.schematic, NEWEST, "initramfs-amd64.xz");
    let client = &site.server.client;
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
    let (Some(cosign), Some(site)) = (cosign(), Site::start(Places::Embedded)) else { return };
    let key = site.home.path().join("key.pem");
    fs::write(&key, site.server.client.get("/oci/cosign/signing-key.pub").body).unwrap();
    let other = site.home.path().join("other.pem");
    let private = site.home.path().join("other.key");
    let curve = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", text(&private)];
    success("openssl", "openssl", &curve);
    success("openssl", "openssl", &["ec", "-in", text(&private), "-pubout", "-out", text(&other)]);

    let tag = format!("{}:{NEWEST}", site.name("installer"));
    let path = format!("/v2/installer/{}/manifests/{NEWEST}", site.schematic);
    let index = site.server.client.get(&path).json();
    let child = index["manifests"][1]["digest"].as_str().unwrap().to_owned();
    let verify = |key: &Path, form: &str, image: &str| {
        let arguments =
            ["verify", "--key", text(key), form, "--insecure-ignore-tlog", "--allow-http-registry", image];
        let mut command = Command::new(&cosign);
        let output = command.args(arguments).env("HOME", site.home.path()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for image in [tag.clone(), format!("{}@{child}", site.name("installer"))] {
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
    let (Some(cosign), Some(site)) = (cosign(), Site::start(Places::Embedded)) else { return };
    let key = site.home.path().join("key.pem");
    fs::write(&key, site.server.client.get("/oci/cosign/signing-key.pub").body).unwrap();
    let path = format!("/v2/installer/{}/manifests/{NEWEST}", site.schematic);
    let index = site.server.client.get(&path);
    let digest = index.header("docker-content-digest").to_owned();
    let child = index.json()["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let (spdx, slsa) = ("https://spdx.dev/Document/v2.3", "https://slsa.dev/provenance/v1");
    let attested = |digest: &str, kind: &str| {
        let image = format!("{}@{digest}", site.name("installer"));
        let options = ["verify-attestation", "--key", text(&key), "--type", kind];
        let more = ["--insecure-ignore-tlog", "--allow-http-registry", &image];
        let output = Command::new(&cosign)
            .args([&options[..], &more[..]].concat())
            .env("HOME", site.home.path())
            .output()
            .unwrap();
        let envelope: Value = serde_json::from_slice(&output.stdout).ok()?;
        let payload = STANDARD.decode(envelope["payload"].as_str()?).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&payload).ok()
    };
    let contents = attested(&child, spdx).expect("a bill of materials is attested of each manifest");
    assert_eq!(contents["subject"][0]["digest"]["sha256"], child["sha256:".len()..]);
    let told = site.server.client.get(&format!("/spdx/{}/{NEWEST}/amd64", site.schematic)).json();
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
