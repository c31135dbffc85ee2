//! Do things live where the operator wants them, and is nothing lost or wrong when such a place fails or lies?

use std::fs;
use std::time::Duration;

use crate::support::bucket::replace;
use crate::support::fixture::NEWEST;
use crate::support::process::wait_for;
use crate::support::{Bucket, Cdn, Client, Config, Fixture, Registry, Server};
use crate::{EMPTY, EXTENDED};

/// Longer than a part of an upload.
const ASSET: &str = "metal-amd64.iso";

/// Longest time until something that happens in the background is seen.
const SOON: Duration = Duration::from_secs(60);

/// Repository of schematics when nothing but the registry is configured.
const SCHEMATICS: &str = "siderolabs/image-factory/schematics";

fn on_registry(config: Config, registry: &Registry) -> Config {
    config
        .set("artifacts.schematic.registry", registry.address.as_str())
        .set("artifacts.schematic.insecure", true)
}

#[test]
fn schematics_live_in_a_registry_as_the_reference_keeps_them() {
    let Some(fixture) = Fixture::find() else { return };
    let (mut registry, home) = (Registry::empty(), tempfile::tempdir().unwrap());
    let config = on_registry(Config::on_layouts(&fixture), &registry);
    let first = Server::start(&config, &home.path().join("a"));

    // What the reference has written is found: it reads the blob alone.
    let theirs = registry.push_blob(SCHEMATICS, EMPTY.as_bytes());
    let theirs = theirs.trim_start_matches("sha256:");
    let got = first.client.get(&format!("/schematics/{theirs}"));
    assert_eq!((got.status, got.text().as_str()), (200, EMPTY), "taken over");

    // What is acknowledged is there, in the form that the reference reads.
    let id = first.client.schematic(EXTENDED);
    let canonical = first.client.get(&format!("/schematics/{id}")).body;
    assert_eq!(registry.blob(SCHEMATICS, &id).unwrap(), canonical);
    let (media_type, manifest, _) = registry.manifest(SCHEMATICS, &id);
    assert_eq!(media_type, "application/vnd.docker.distribution.manifest.v2+json");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["layers"][0]["digest"], format!("sha256:{id}"));
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.sidero.dev-image.schematic");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);

    // Another factory finds it; and again when its registry is down, since it has seen it.
    let second = Server::start(&config, &home.path().join("b"));
    assert_eq!(second.client.get(&format!("/schematics/{id}")).body, canonical);
    let existed = second.client.post("/schematics", EXTENDED);
    assert_eq!((existed.status, existed.header("x-schematic-existed")), (201, "true"));
    let absent = "0".repeat(64);
    assert_eq!(second.client.get(&format!("/schematics/{absent}")).status, 404);

    registry.stop();
    for server in [&first, &second] {
        assert_eq!(server.client.get(&format!("/schematics/{id}")).body, canonical);
        let unknown = "1".repeat(64);
        let answer = server.client.get(&format!("/schematics/{unknown}"));
        assert_eq!(answer.status, 503, "it may exist: {}", answer.text());
        let refused = server.client.post("/schematics", "customization:\n  extraKernelArgs: [lost]\n");
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert!(refused.has("retry-after"));
        let ready = server.client.get("/readyz");
        assert!(ready.status == 200 && ready.text().contains("degraded"), "{}", ready.text());
    }
    drop(first);
    let first = Server::start(&config, &home.path().join("a"));
    assert_eq!(first.client.get(&format!("/schematics/{id}")).body, canonical, "over a restart");

    registry.start_again();
    let new = first.client.schematic("customization:\n  extraKernelArgs: [kept]\n");
    assert_eq!(second.client.get(&format!("/schematics/{new}")).status, 200);
    assert_eq!(first.client.get("/readyz").text(), "");
}

/// Waits until an asset is kept elsewhere: the next one who asks is sent there.
fn redirected(server: &Server, path: &str) -> String {
    wait_for("a copy elsewhere", SOON, || {
        let answer = server.client.get(path);
        match answer.status {
            302 => Some(answer.header("location").to_owned()),
            200 => {
                std::thread::sleep(Duration::from_millis(200));
                None
            }
            other => panic!("{path}: {other} {}", answer.text()),
        }
    })
}

#[test]
fn assets_come_out_of_a_bucket_and_through_a_cdn() {
    let (Some(fixture), Some(bucket)) = (Fixture::find(), Bucket::start()) else { return };
    let home = tempfile::tempdir().unwrap();
    let config = bucket.used_by(Config::on_layouts(&fixture));
    let server = Server::start(&config, &home.path().join("a"));
    let schematic = server.client.schematic(EXTENDED);
    assert_eq!(bucket.objects("schematics").len(), 1, "without a registry they live in the bucket");
    let path = Server::image(&schematic, NEWEST, ASSET);
    let whole = server.client.digest(&path);

    let location = redirected(&server, &path);
    assert!(location.starts_with(&format!("http://{}/images/blobs/sha256/", bucket.address)), "{location}");
    let elsewhere = Client::new("");
    assert_eq!(elsewhere.digest(&location), whole);
    let told = elsewhere.ask("GET", &location, &[("range", "bytes=0-9")]);
    assert_eq!(told.status, 206);
    assert_eq!(told.header("content-disposition"), format!("attachment; filename=\"{ASSET}\""));
    assert_eq!(told.header("content-type"), "application/x-iso9660-image");
    let (hex, size) = &whole;
    let object = &bucket.objects("blobs")[0];
    assert_eq!(
        object.file_name().unwrap().to_str(),
        Some(hex.as_str()),
        "objects are called by their digest"
    );
    assert_eq!(fs::metadata(object).unwrap().len(), *size);

    // Only whole answers to whoever can follow are replaced.
    let head = server.client.head(&path);
    assert_eq!((head.status, head.header("content-length")), (200, size.to_string().as_str()));
    assert_eq!(server.client.ask("GET", &path, &[("user-agent", "iPXE/1.21.1")]).status, 200);
    let etag = head.header("etag").to_owned();
    assert_eq!(server.client.ask("GET", &path, &[("if-none-match", &etag)]).status, 304);
    let resumed = server.client.ask("GET", &path, &[("range", "bytes=5-9"), ("if-range", &etag)]);
    assert_eq!((resumed.status, resumed.body.len()), (206, 5));
    let named = server.client.get(&format!("{path}?filename=my%20%22file%22.iso"));
    assert_eq!(named.status, 302);
    let named = elsewhere.ask("GET", named.header("location"), &[("range", "bytes=0-0")]);
    assert_eq!(named.header("content-disposition"), "attachment; filename=\"my file.iso\"");

    let mut cdn = Cdn::before(&bucket);
    let server = Server::start(&cdn.used_by(config.with_key(home.path())), &home.path().join("b"));
    let location = redirected(&server, &path);
    assert!(location.starts_with(&format!("http://{}/blobs/sha256/", cdn.address)), "{location}");
    assert_eq!(elsewhere.digest(&location), whole);
    assert!(cdn.runs());
}

#[test]
fn a_bucket_that_lies_is_not_believed() {
    let (Some(fixture), Some(bucket)) = (Fixture::find(), Bucket::start()) else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&bucket.used_by(Config::on_layouts(&fixture)), &home.path().join("a"));
    let schematic = server.client.schematic(EXTENDED);
    let path = Server::image(&schematic, NEWEST, ASSET);
    let whole = server.client.digest(&path);
    let elsewhere = Client::new("");
    redirected(&server, &path);

    // An object that somebody wrote over is noticed, and put right by the way.
    let object = bucket.objects("blobs").remove(0);
    let mut bytes = fs::read(&object).unwrap();
    bytes[1000] ^= 1;
    replace(&object, &bytes);
    assert_eq!(server.client.digest(&path), whole, "sent by the factory itself");
    let location = redirected(&server, &path);
    assert_eq!(elsewhere.digest(&location), whole);
    assert_eq!(fs::read(&object).unwrap()[1000], bytes[1000] ^ 1);

    // What is written by somebody without the key does not count.
    let reference = bucket.objects("refs").remove(0);
    let signed = fs::read_to_string(&reference).unwrap();
    assert!(signed.contains(ASSET), "{signed}");
    drop(server);
    let forged = signed.replace(ASSET, "something-e.iso");
    assert_ne!(forged, signed);
    replace(&reference, forged.as_bytes());
    let server = Server::start(&bucket.used_by(Config::on_layouts(&fixture)), &home.path().join("a"));
    assert_eq!(server.client.get(&path).status, 200, "the forged reference is not used");
    redirected(&server, &path);
    let now = fs::read_to_string(&reference).unwrap();
    assert!(now.contains(ASSET) && !now.contains("something-e"), "{now}");
}

#[test]
fn a_bucket_that_is_down_costs_nothing_but_its_help() {
    let (Some(fixture), Some(mut bucket)) = (Fixture::find(), Bucket::start()) else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&bucket.used_by(Config::on_layouts(&fixture)), &home.path().join("a"));
    let schematic = server.client.schematic(EMPTY);
    let path = Server::image(&schematic, NEWEST, "kernel-amd64");
    let whole = server.client.digest(&path);
    redirected(&server, &path);
    bucket.stop();
    assert_eq!(server.client.digest(&path), whole);
    assert!(server.client.get("/readyz").text().contains("degraded: bucket"));
    assert!(server.metrics().sum("image_factory_cache_errors_total", &["bucket images"]) >= 1.0);
    assert_eq!(
        server.client.post("/schematics", EXTENDED).status,
        503,
        "it could not be kept where it counts"
    );
    bucket.start_again();
    redirected(&server, &path);
    server.client.schematic(EXTENDED);
    assert_eq!(server.client.get("/readyz").text(), "");
}

#[test]
fn a_source_that_is_down_is_stood_in_for() {
    let (Some(fixture), Some(mut bucket)) = (Fixture::find(), Bucket::start()) else { return };
    let home = tempfile::tempdir().unwrap();
    let mut registry = Registry::with_fixture(&fixture);
    let config = bucket.used_by(Config::on_registry(&registry, &fixture)).with_key(home.path());
    let server = Server::start(&config, &home.path().join("a"));
    let schematic = server.client.schematic(EXTENDED);
    let path = Server::image(&schematic, NEWEST, ASSET);
    let whole = server.client.digest(&path);
    redirected(&server, &path);
    let etag = server.client.head(&path).header("etag").to_owned();
    drop(server);
    registry.stop();

    // A factory that knows nothing at all.
    let server = Server::launch(&config, &home.path().join("b"));
    assert_eq!(server.client.digest(&path), whole);
    let head = server.client.head(&path);
    assert_eq!((head.status, head.header("etag")), (200, etag.as_str()));
    assert_eq!(server.client.get(&Server::image(&schematic, NEWEST, "kernel-amd64")).status, 503);

    // One bit in the bucket, which keeps its entity tag: the download ends early, and nobody gets the whole.
    let object = bucket.objects("blobs").remove(0);
    let mut bytes = fs::read(&object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&object, &bytes).unwrap();
    let received = broken_off(&server, &path);
    assert!(received < whole.1, "{received} bytes of {}", whole.1);
    assert_eq!(server.client.get(&path).status, 503, "it is not offered again");
    registry.start_again();
    wait_for("the source is seen", SOON, || (server.client.head(&path).status == 200).then_some(()));
    assert_eq!(Client::new("").digest(&redirected(&server, &path)), whole, "and is put right");
    bucket.stop();
}

/// Bytes of a body that ends before its length.
fn broken_off(server: &Server, path: &str) -> u64 {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(&server.address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let head = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert!(all.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&all[..head]));
    (all.len() - head) as u64
}
