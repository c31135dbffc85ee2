//! Does the factory keep what a registry promises: a digest names its bytes, for ever and everywhere?

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::client::Answer;
use crate::support::fixture::{NEWEST, OLDEST_UKI};
use crate::support::{Client, Config, Fixture, Registry, Server};
use crate::{EMPTY, EXTENDED};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn manifest(client: &Client, repository: &str, reference: &str) -> Answer {
    let answer = client.get(&format!("/v2/{repository}/manifests/{reference}"));
    assert_eq!(answer.status, 200, "{repository} {reference}: {}", answer.text());
    answer
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
}

/// Paths of everything that a tag leads to, its signatures included, with SHA-256 and length.
fn everything(client: &Client, repository: &str, tag: &str) -> BTreeMap<String, (String, u64)> {
    let index = manifest(client, repository, tag);
    let index_digest = index.header("docker-content-digest").to_owned();
    let mut manifests = vec![index_digest.clone()];
    manifests.extend(texts(&index.json()["manifests"], "digest"));
    for subject in manifests.clone() {
        let signature = manifest(client, repository, &format!("{}.sig", subject.replace(':', "-")));
        manifests.push(signature.header("docker-content-digest").to_owned());
        let referrers = client.get(&format!("/v2/{repository}/referrers/{subject}")).json();
        let listed = texts(&referrers["manifests"], "digest");
        assert!(!listed.is_empty(), "{referrers}");
        manifests.extend(listed);
    }
    let mut paths = Vec::new();
    for digest in manifests {
        let document = manifest(client, repository, &digest).json();
        let mut blobs = texts(&document["layers"], "digest");
        blobs.extend(document["config"]["digest"].as_str().map(str::to_owned));
        paths.extend(blobs.iter().map(|blob| format!("/v2/{repository}/blobs/{blob}")));
        paths.push(format!("/v2/{repository}/manifests/{digest}"));
    }
    sums(client, paths)
}

fn sums(client: &Client, paths: impl IntoIterator<Item = String>) -> BTreeMap<String, (String, u64)> {
    let sum = |path: String| {
        let sum = client.digest(&path);
        assert!(path.ends_with(&format!("sha256:{}", sum.0)), "{path} has the digest {}", sum.0);
        (path, sum)
    };
    paths.into_iter().map(sum).collect()
}

#[test]
fn everything_that_a_tag_leads_to_is_had_by_digest_whole_and_in_parts() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let repository = format!("installer/{}", server.client.schematic(EXTENDED));
    let all = everything(&server.client, &repository, NEWEST);
    assert!(all.len() > 20, "{all:?}");
    for (path, (_, len)) in &all {
        let head = server.client.head(path);
        assert_eq!((head.status, head.header("content-length")), (200, len.to_string().as_str()), "{path}");
        assert!(path.ends_with(head.header("docker-content-digest")), "{path}");
        assert!(head.header("cache-control").contains("immutable"), "{path}");
        let known = [("if-none-match", head.header("etag"))];
        assert_eq!(server.client.ask("GET", path, &known).status, 304, "{path}");
    }
    let (layer, (_, len)) = all.iter().max_by_key(|(_, (_, len))| *len).unwrap();
    let whole = server.client.get(layer).body;
    let middle = len / 2;
    let rest = server.client.ask("GET", layer, &[("range", &format!("bytes={middle}-"))]);
    assert_eq!(rest.status, 206);
    assert_eq!(rest.header("content-range"), format!("bytes {middle}-{}/{len}", len - 1));
    assert!(rest.body == whole[middle as usize..], "a resumed layer has other bytes");
    assert_eq!(rest.header("content-disposition"), "");
}

#[test]
fn what_was_evicted_is_made_again_under_its_digest() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let config = Config::on_layouts(&fixture);
    let (schematic, needed) = {
        let roomy = tempfile::tempdir().unwrap();
        let server = Server::start(&config, roomy.path());
        let schematic = server.client.schematic(EXTENDED);
        everything(&server.client, &format!("installer/{schematic}"), NEWEST);
        (schematic, server.metrics().sum("image_factory_store_bytes", &[]))
    };
    // Room for one version while it is fetched, not for two.
    let config = config.set("store.maxBytes", ((needed * 1.7) as i64).to_string());
    let server = Server::start(&config, home.path());
    assert_eq!(server.client.schematic(EXTENDED), schematic);
    let repository = format!("installer/{schematic}");
    let all = everything(&server.client, &repository, NEWEST);
    let fetched = |server: &Server| server.metrics().sum("image_factory_parts_built_total", &[]);
    let other = format!("aws-installer/{}", server.client.schematic(EMPTY));
    let again = |server: &Server| {
        let before = fetched(server);
        everything(&server.client, &other, OLDEST_UKI);
        assert_eq!(sums(&server.client, all.keys().cloned()), all);
        fetched(server) - before
    };
    assert!(again(&server) > 0.0, "nothing was ever made again");
    drop(server);
    // Nobody asks for a tag first: the digests alone must do, also in another life.
    let server = Server::start(&config, home.path());
    assert_eq!(sums(&server.client, all.keys().cloned()), all);
    again(&server);
    // Signatures are random by nature, and yet the same ones are shown.
    assert_eq!(everything(&server.client, &repository, NEWEST), all);
}

#[test]
fn two_factories_show_the_same_images() {
    let Some(fixture) = Fixture::find() else { return };
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let config = Config::on_layouts(&fixture).set("http.externalURL", "http://factory.example/");
    let digests = homes.each_ref().map(|home| {
        let server = Server::start(&config, home.path());
        let schematic = server.client.schematic(EXTENDED);
        let of = |image: &str, tag: &str| {
            let answer = manifest(&server.client, &format!("{image}/{schematic}"), tag);
            answer.header("docker-content-digest").to_owned()
        };
        let latest = of("installer", "latest");
        assert_eq!(latest, of("installer", NEWEST), "the newest release is the latest");
        assert_eq!(latest, of("installer", &NEWEST[1..]), "the v may be left out");
        assert_eq!(latest, of("metal-installer", NEWEST), "the same machine by another name");
        let archive = server.client.digest(&Server::image(&schematic, NEWEST, "installer-arm64.tar"));
        (latest, of("aws-installer", NEWEST), of("installer", "v1.7.7"), archive)
    });
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn an_installer_costs_no_copy_of_its_layers() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let schematic =
        |mark: u32| server.client.schematic(&format!("customization: {{extraKernelArgs: [mark={mark}]}}\n"));
    everything(&server.client, &format!("installer/{}", schematic(0)), NEWEST);
    let before: u64 = Server::blobs(&server.store).iter().map(|(_, size)| size).sum();
    for mark in 1..6 {
        everything(&server.client, &format!("installer/{}", schematic(mark)), NEWEST);
    }
    let after: u64 = Server::blobs(&server.store).iter().map(|(_, size)| size).sum();
    assert!(after - before < 1 << 20, "five more installers took {} bytes", after - before);
}

#[test]
fn what_cannot_be_had_is_told_as_registries_do() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let known = server.client.schematic(EMPTY);
    let zero = "0".repeat(64);
    for (method, path, status, code) in [
        ("GET", format!("installer/{zero}/manifests/{NEWEST}"), 404, "NAME_UNKNOWN"),
        ("GET", format!("installer/nobody/blobs/sha256:{zero}"), 404, "NAME_UNKNOWN"),
        ("GET", format!("installers/{known}/manifests/{NEWEST}"), 400, "NAME_INVALID"),
        ("GET", format!("nowhere-installer/{known}/manifests/{NEWEST}"), 404, "NAME_UNKNOWN"),
        ("GET", format!("installer/{known}/manifests/v1.99.0"), 404, "MANIFEST_UNKNOWN"),
        ("GET", format!("installer/{known}/manifests/vfoo"), 404, "MANIFEST_UNKNOWN"),
        ("GET", format!("installer/{known}/manifests/.INVALID_MANIFEST_NAME"), 404, "MANIFEST_UNKNOWN"),
        ("GET", format!("installer/{known}/manifests/sha256:{zero}"), 404, "MANIFEST_UNKNOWN"),
        ("GET", format!("installer/{known}/manifests/sha256-{zero}.sig"), 404, "MANIFEST_UNKNOWN"),
        ("GET", format!("installer/{known}/manifests/sha256:totallywrong"), 400, "DIGEST_INVALID"),
        ("GET", format!("installer/{known}/manifests/sha512:{zero}"), 404, "MANIFEST_UNKNOWN"),
        ("GET", format!("installer/{known}/blobs/sha256:{zero}"), 404, "BLOB_UNKNOWN"),
        ("GET", format!("installer/{known}/blobs/x"), 400, "DIGEST_INVALID"),
        ("GET", format!("installer/{known}/referrers/x"), 404, "DIGEST_INVALID"),
        ("GET", "_catalog".to_owned(), 404, "NAME_UNKNOWN"),
        ("GET", format!("a/{known}/c/manifests/v1"), 404, "NAME_UNKNOWN"),
        ("GET", "siderolabs/nobody/tags/list".to_owned(), 404, "NAME_UNKNOWN"),
        ("GET", format!("installer/{known}/tags/list?n=x"), 400, "PAGINATION_NUMBER_INVALID"),
        ("PUT", format!("installer/{known}/manifests/{NEWEST}"), 405, "UNSUPPORTED"),
        ("POST", format!("installer/{known}/blobs/uploads/"), 405, "UNSUPPORTED"),
        ("DELETE", format!("installer/{known}/manifests/{NEWEST}"), 405, "UNSUPPORTED"),
    ] {
        let answer = server.client.ask(method, &format!("/v2/{path}"), &[]);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        assert_eq!(answer.json()["errors"][0]["code"], code, "{method} {path}");
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
        assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0", "{path}");
    }
    for path in ["/v2", "/v2/"] {
        assert_eq!(server.client.get(path).status, 200);
    }
    let nothing = server.client.get(&format!("/v2/installer/{known}/referrers/sha256:{zero}"));
    assert_eq!((nothing.status, nothing.header("content-type")), (200, OCI_INDEX));
    assert_eq!(nothing.json()["manifests"], serde_json::json!([]));
}

#[test]
fn tags_come_in_pages() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let list = format!("/v2/installer/{}/tags/list", server.client.schematic(EMPTY));
    let all = texts_of(&server.client.get(&list).json()["tags"]);
    assert!(all.is_sorted() && all.contains(&NEWEST.to_owned()) && all.contains(&"latest".to_owned()));
    let (mut next, mut seen) = (format!("{list}?n=3"), Vec::new());
    loop {
        let page = server.client.get(&next);
        seen.extend(texts_of(&page.json()["tags"]));
        let Some(link) = page.header("link").strip_prefix('<') else { break };
        next = link.strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!(seen, all);
}

fn texts_of(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

#[test]
fn images_of_the_release_are_handed_on_unchanged() {
    let Some(fixture) = Fixture::find() else { return };
    let (registry, home) = (Registry::with_fixture(&fixture), tempfile::tempdir().unwrap());
    let server = Server::start(&Config::on_registry(&registry, &fixture), home.path());
    let path = format!("/v2/siderolabs/installer-base/manifests/{NEWEST}");
    let accept =
        [("accept", OCI_INDEX), ("accept", "application/vnd.docker.distribution.manifest.list.v2+json")];
    let (ours, theirs) = (server.client.get(&path), registry.client.ask("GET", &path, &accept));
    assert_eq!((ours.status, &ours.body), (200, &theirs.body));
    let digest = ours.header("docker-content-digest").to_owned();
    let child = ours.json()["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let child = manifest(&server.client, "siderolabs/installer-base", &child).json();
    for blob in texts(&child["layers"], "digest") {
        let path = format!("/v2/siderolabs/installer-base/blobs/{blob}");
        let head = server.client.head(&path);
        let (sum, len) = server.client.digest(&path);
        assert_eq!(
            (format!("sha256:{sum}"), len.to_string().as_str()),
            (blob, head.header("content-length"))
        );
        let part = server.client.ask("GET", &path, &[("range", "bytes=10-29")]);
        assert_eq!((part.status, part.body.len()), (206, 20));
    }
    let tags = server.client.get("/v2/siderolabs/installer-base/tags/list").json();
    assert!(texts_of(&tags["tags"]).contains(&NEWEST.to_owned()), "{tags}");
    let referrers = server.client.get(&format!("/v2/siderolabs/installer-base/referrers/{digest}"));
    assert_eq!((referrers.status, referrers.header("content-type")), (200, OCI_INDEX));
    assert!(!texts(&referrers.json()["manifests"], "digest").is_empty(), "{}", referrers.text());
    // That the store has a blob is no reason to show it in another repository.
    let layer = registry.layers("siderolabs/installer-base", NEWEST).pop().unwrap();
    let elsewhere = server.client.get(&format!("/v2/siderolabs/overlays/blobs/sha256:{layer}"));
    assert_eq!(elsewhere.status, 404, "{}", elsewhere.text());
}
