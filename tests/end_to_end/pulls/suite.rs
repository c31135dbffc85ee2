//! Does the registry side do what the distribution specification says, as its own suite and oras see it?

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::{Places, Site};
use crate::support::fixture::{NEWEST, distribution_suite, oras};
use crate::support::tools::{success, text};

/// Fewest checks that the suite must have made: it says "pass" of a configuration that has none.
const FEWEST: usize = 25;

/// The number behind a word in the suite's report.
fn counted(report: &str, word: &str) -> usize {
    let line = report.lines().find_map(|line| line.trim().strip_prefix(word)?.strip_prefix('.'));
    let number = line.unwrap_or_else(|| panic!("no {word} in\n{report}"));
    number.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn the_conformance_suite_finds_no_fault() {
    let (Some(suite), Some(site)) = (distribution_suite(), Site::start(Places::Embedded)) else { return };
    let repository = format!("installer/{}", site.schematic);
    let manifest =
        |reference: &str| site.server.client.get(&format!("/v2/{repository}/manifests/{reference}")).json();
    let digest_of = |descriptor: &Value| descriptor["digest"].as_str().unwrap().to_owned();
    let (mut manifests, mut blobs) = (vec![site.digest("installer")], Vec::new());
    for child in manifest(NEWEST)["manifests"].as_array().unwrap() {
        let child = digest_of(child);
        let image = manifest(&child);
        blobs.push(digest_of(&image["config"]));
        blobs.extend(image["layers"].as_array().unwrap().iter().map(digest_of));
        manifests.push(child);
    }
    let mut command = Command::new(suite);
    command.current_dir(site.folder("suite")).env("OCI_TLS", "disabled");
    command.env("OCI_REGISTRY", &site.server.address).env("OCI_REPO1", &repository);
    // Nobody pushes to a factory, or deletes from it.
    for api in ["PUSH", "BLOBS_ATOMIC", "BLOBS_DELETE", "BLOBS_MOUNT_ANONYMOUS", "MANIFESTS_ATOMIC"] {
        command.env(format!("OCI_API_{api}"), "false");
    }
    command.env("OCI_API_MANIFESTS_DELETE", "false").env("OCI_API_TAGS_DELETE", "false");
    command.env("OCI_API_BLOBS_DIGEST_HEADER", "true");
    command.env("OCI_RO_DATA_TAGS", NEWEST).env("OCI_RO_DATA_BLOBS", blobs.join(" "));
    let manifests = manifests.join(" ");
    command.env("OCI_RO_DATA_REFERRERS", &manifests).env("OCI_RO_DATA_MANIFESTS", &manifests);
    // Its status says nothing: without pushes it breaks off when it writes the report that is a file.
    let report = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(report.contains("OCI Conformance Result: Pass"), "{report}");
    assert_eq!((counted(&report, "FAIL"), counted(&report, "Error"), counted(&report, "Skip")), (0, 0, 0));
    assert!(counted(&report, "Pass") >= FEWEST, "{report}");
}

#[test]
fn oras_copies_an_image_with_all_that_refers_to_it() {
    let (Some(oras), Some(site)) = (oras(), Site::start(Places::Embedded)) else { return };
    let image = format!("{}:{NEWEST}", site.name("installer"));
    let copy = site.folder("copy");
    let target = format!("{}:copy", text(&copy));
    let options =
        ["copy", "--recursive", "--no-tty", "--from-plain-http", &image, "--to-oci-layout", &target];
    success(text(&oras), "hack/get-oras", &options);
    let index: Value = serde_json::from_slice(&fs::read(copy.join("index.json")).unwrap()).unwrap();
    let tagged = |entry: &&Value| entry["annotations"]["org.opencontainers.image.ref.name"] == "copy";
    let entry = index["manifests"].as_array().unwrap().iter().find(tagged).unwrap();
    assert_eq!(entry["digest"], site.digest("installer"));

    // In the copy it finds what it found here: a signature, and how the image was made.
    let options = ["discover", "--format", "json", "--oci-layout", &target];
    let told: Value = serde_json::from_slice(&success(text(&oras), "hack/get-oras", &options)).unwrap();
    let kinds = |entry: &Value| entry["annotations"]["dev.sigstore.bundle.predicateType"].clone();
    let referrers = told["referrers"].as_array().unwrap();
    let kinds: Vec<_> = referrers.iter().map(kinds).collect();
    for kind in ["https://sigstore.dev/cosign/sign/v1", "https://slsa.dev/provenance/v1"] {
        assert!(kinds.iter().any(|found| found == kind), "{kind}: {told}");
    }
}
