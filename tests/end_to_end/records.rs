//! Do factories show one edition of an installer because they wrote it down for each other, and is a record that
//! none of them wrote refused?

use std::fs;
use std::path::Path;

use crate::EXTENDED;
use crate::support::bucket::replace;
use crate::support::fixture::NEWEST;
use crate::support::{Bucket, Config, Fixture, Server, Unconditional};

const IMAGES: [&str; 2] = ["installer", "aws-installer"];

/// The index of an image and the manifest of its signature, both by digest.
fn shown(server: &Server, image: &str, schematic: &str) -> (String, String) {
    let of = |reference: &str| {
        let answer = server.client.get(&format!("/v2/{image}/{schematic}/manifests/{reference}"));
        assert_eq!(answer.status, 200, "{reference}: {}", answer.text());
        answer.header("docker-content-digest").to_owned()
    };
    let index = of(NEWEST);
    let signature = of(&format!("{}.sig", index.replace(':', "-")));
    (index, signature)
}

/// Whether what is signed of an image is about its index.
fn says_its_index(server: &Server, image: &str, schematic: &str, index: &str) -> bool {
    let get = |path: String| server.client.get(&format!("/v2/{image}/{schematic}/{path}"));
    let manifest = get(format!("manifests/{}.sig", index.replace(':', "-"))).json();
    let payload = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    get(format!("blobs/{payload}")).json()["critical"]["image"]["docker-manifest-digest"] == index
}

#[test]
fn forged_and_moved_records_are_not_used() {
    let (Some(fixture), Some(bucket)) = (Fixture::find(), Bucket::start()) else { return };
    let home = tempfile::tempdir().unwrap();
    let config = bucket.used_by(Config::on_layouts(&fixture)).with_key(home.path());
    let start = |name: &str| Server::start(&config, &home.path().join(name));
    let first = start("a");
    let schematic = first.client.schematic(EXTENDED);
    let theirs = IMAGES.map(|image| shown(&first, image, &schematic));
    let agreed = start("b");
    assert_eq!(IMAGES.map(|image| shown(&agreed, image, &schematic)), theirs, "written down once for all");

    // One has another byte, the other is the true record of something else.
    let record = |which: usize| {
        let folder = format!("records/{}/{schematic}", IMAGES[which]);
        let index = theirs[which].0.trim_start_matches("sha256:");
        let found = bucket.objects(&folder).into_iter().find(|object| object.ends_with(index));
        found.unwrap_or_else(|| panic!("no {folder}/{index} in {:?}", bucket.objects("records")))
    };
    let (changed, moved) = (record(0), record(1));
    let signed = fs::read(&changed).unwrap();
    replace(&moved, &signed);
    replace(&changed, &with_another_byte(&signed));
    let after = start("c");
    for (image, (index, signature)) in IMAGES.iter().zip(&theirs) {
        let ours = shown(&after, image, &schematic);
        assert_eq!(ours.0, *index, "the image is what it is");
        assert_ne!(ours.1, *signature, "{image}: what was written there is used");
        assert!(says_its_index(&after, image, &schematic, index));
    }
    let log = fs::read_to_string(&after.process.log).unwrap();
    assert!(log.matches("a record is not used").count() >= 2, "{log}");
}

/// The same with one letter of the first digest in it turned into another.
fn with_another_byte(record: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(record).unwrap();
    let at = text.find("sha256:").unwrap() + "sha256:".len();
    let mut bytes = record.to_vec();
    bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    bytes
}

#[test]
fn a_bucket_without_conditional_writes_will_do() {
    let (Some(fixture), Some(bucket)) = (Fixture::find(), Bucket::start()) else { return };
    let (before, home) = (Unconditional::before(&bucket), tempfile::tempdir().unwrap());
    let config = before.used_by(Config::on_layouts(&fixture)).with_key(home.path());
    let start = |name: &str| Server::start(&config, &home.path().join(name));
    let (first, second) = (start("a"), start("b"));
    let schematic = first.client.schematic(EXTENDED);
    let again = second.client.post("/schematics", EXTENDED);
    assert_eq!((again.status, again.header("x-schematic-existed")), (201, "true"));
    let theirs = IMAGES.map(|image| shown(&first, image, &schematic));
    assert_eq!(IMAGES.map(|image| shown(&second, image, &schematic)), theirs);
    for server in [&first, &second] {
        let log = fs::read_to_string(&server.process.log).unwrap();
        assert_eq!(log.matches("no conditional writes").count(), 1, "{log}");
    }
    assert_eq!(names(&bucket.objects("schematics")), [schematic.as_str()]);
}

fn names(objects: &[impl AsRef<Path>]) -> Vec<String> {
    let name = |object: &Path| object.file_name().unwrap().to_string_lossy().into_owned();
    objects.iter().map(|object| name(object.as_ref())).collect()
}
