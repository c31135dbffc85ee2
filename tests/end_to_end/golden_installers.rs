//! Are the recorded installer images served here with the same documents, files and headers?

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::describe::{sha256, tape};
use crate::golden::comparison::{Comparison, Difference, Exception, judge};
use crate::golden::server::{self, HOSTS};
use crate::golden::{header, lines, on_each, renamed, rules, text_of};
use crate::support::fixture::NEWEST;
use crate::support::{Answer, Client, Fixture};

/// Headers that are compared where the record has them.
const HEADERS: &[&str] = &[
    "content-type",
    "docker-content-digest",
    "docker-distribution-api-version",
    "etag",
    "accept-ranges",
    "cache-control",
    "vary",
];

/// Where ours differ on purpose.
const EXCEPTIONS: &[Exception] = &[
    Exception {
        case: "*",
        path: "text.annotations",
        what: r#"not in the record: {"dev.talos.factory.schematic":*"#,
        why: "52 §2.4: documents say what they are of",
    },
    Exception {
        case: "*",
        path: "text.manifests[*].artifactType",
        what: "missing: *",
        why: "52 §4: an image has its type by its configuration",
    },
    Exception {
        case: "*/config-*",
        path: "text.created",
        what: r#""2019-06-01T21:34:52Z", not *"#,
        why: "52 §2.4: a fixed time, so that digests stay",
    },
    Exception {
        case: "*/layer-*",
        path: "layer[usr/install/*].mode",
        what: r#""0o644", not "0o0""#,
        why: "52 §2.3: files that others than root can read",
    },
    Exception {
        case: "*/layer-arm64-1",
        path: "*.sections[.uname]",
        what: "not in the record",
        why: "31 §4: a kernel whose release the reference could not tell; every kernel has one here",
    },
    Exception {
        case: "*",
        path: "headers.cache-control",
        what: r#""public, max-age=31536000, immutable", not "max-age=31536000""#,
        why: "52 §7.3: what a digest names never changes",
    },
    Exception {
        case: "*/referrers",
        path: "text.manifests[*]|headers.docker-content-digest",
        what: r#"not in the record|"sha256:*", not *"#,
        why: "52 §6.4 and §8.4: the signature as a bundle too, for newer generations of cosign, and provenance",
    },
    Exception {
        case: "*/sigtag",
        path: "text.layers[0].annotations.dev.cosignproject.cosign/signature",
        what: r#""ME*", not *"#,
        why: "signatures are random and another key's; cosign verifies them in trust.rs",
    },
];

/// Docker's media types in the record, and those of OCI that ours have (52 §4). How a layer is packed is checked
/// against its bytes.
const TYPES: &[(&str, &str)] = &[
    ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json"),
    ("application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"),
    ("application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar"),
    ("application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar"),
];

/// One recorded image, and ours of the same name.
struct Image<'a> {
    client: &'a Client,
    /// `/v2/<image>/<schematic>`.
    repository: String,
    tag: String,
    index: Value,
    /// Digest of the index.
    digest: String,
}

impl<'a> Image<'a> {
    fn find(client: &'a Client, repository: String, tag: &str) -> Self {
        let answer = client.get(&format!("{repository}/manifests/{tag}"));
        assert_eq!(answer.status, 200, "{repository} {tag}: {}", answer.text());
        let digest = answer.header("docker-content-digest").to_owned();
        Self { client, repository, tag: tag.to_owned(), index: answer.json(), digest }
    }

    fn manifest(&self, arch: &str) -> (String, Value) {
        let children = self.index["manifests"].as_array().expect("an index").iter();
        let child = children.clone().find(|child| child["platform"]["architecture"] == *arch);
        let digest = text_of(&child.expect("both architectures")["digest"]).to_owned();
        let document = self.client.get(&format!("{}/manifests/{digest}", self.repository)).json();
        (digest, document)
    }

    /// Where the thing is that a recorded line is about, and what its descriptor is.
    fn place(&self, role: &str) -> (String, Value) {
        let manifests = format!("{}/manifests", self.repository);
        let blob = |descriptor: &Value| {
            (format!("{}/blobs/{}", self.repository, text_of(&descriptor["digest"])), descriptor.clone())
        };
        let words: Vec<&str> = role.split('-').collect();
        match words.as_slice() {
            ["manifest"] | ["manifest", "again"] => (format!("{manifests}/{}", self.tag), Value::Null),
            ["by", "digest"] => (format!("{manifests}/{}", self.digest), Value::Null),
            ["manifest", arch] => (format!("{manifests}/{}", self.manifest(arch).0), Value::Null),
            ["config", arch] => blob(&self.manifest(arch).1["config"]),
            ["layer", arch, number] => {
                let number: usize = number.parse().expect("a number");
                blob(&self.manifest(arch).1["layers"][number])
            }
            ["sigtag"] => (format!("{manifests}/{}.sig", self.digest.replace(':', "-")), Value::Null),
            ["referrers"] => (format!("{}/referrers/{}", self.repository, self.digest), Value::Null),
            _ => panic!("what is {role}?"),
        }
    }
}

/// What is compared of an answer.
fn told(answer: &Answer, recorded: &Value) -> Value {
    let mut told = json!({"status": answer.status, "headers": {}});
    for name in HEADERS.iter().filter(|name| !header(&recorded["response"], name).is_empty()) {
        told["headers"][*name] = answer.header(name).into();
    }
    if recorded["response"].get("text").is_some() {
        told["text"] = answer.text().into();
    }
    if recorded.get("layer").is_some() {
        let (layer, digest) = tape::layer(&answer.body);
        told["layer"] = layer.into();
        told["uncompressed_sha256"] = digest.into();
    }
    told
}

/// The same of the record.
fn recorded(line: &Value) -> Value {
    let response = &line["response"];
    let mut told = json!({"status": response["status"], "headers": {}});
    for name in HEADERS.iter().filter(|name| !header(response, name).is_empty()) {
        told["headers"][*name] = header(response, name).into();
    }
    for (key, value) in [("text", response.get("text")), ("layer", line.get("layer"))] {
        if let Some(value) = value {
            told[key] = value.clone();
        }
    }
    if let Some(digest) = line.get("uncompressed_sha256") {
        told["uncompressed_sha256"] = digest.clone();
        told["media_type"] = line["descriptor"]["mediaType"].clone();
    }
    told
}

fn differences(image: &Image<'_>, role: &str, line: &Value, comparison: &Comparison) -> Vec<Difference> {
    // The newest final version of the fixture is that of the recorder.
    let version = if image.tag == "latest" { NEWEST } else { image.tag.as_str() };
    let (path, descriptor) = image.place(role);
    let method = line["request"]["method"].as_str().unwrap_or("GET");
    let accept = line["request"]["headers"]["Accept"].as_str();
    let accept: Vec<_> = accept.map(|types| ("accept", types)).into_iter().collect();
    let answer = image.client.ask(method, &path, &accept);
    let digest = answer.header("docker-content-digest");
    match method {
        "HEAD" => assert!(answer.body.is_empty(), "{path}"),
        _ => assert_eq!(digest, format!("sha256:{}", sha256(&answer.body)), "{path}"),
    }
    let (mut recorded, mut ours) = (recorded(line), told(&answer, line));
    if line.get("layer").is_some() {
        let is_packed = answer.body.starts_with(&[0x1f, 0x8b]);
        let media_type = text_of(&descriptor["mediaType"]);
        assert_eq!(media_type.ends_with("+gzip"), is_packed, "{path}: {media_type}");
        ours["media_type"] = media_type.into();
    }
    renamed(&mut recorded, HOSTS);
    renamed(&mut recorded, TYPES);
    renamed(&mut ours, TYPES);
    rules::apply(&mut recorded);
    rules::apply(&mut ours);
    rules::without_other_programs(&mut recorded, &mut ours);
    comparison.differences(version, text_of(&line["case"]), &recorded, &ours)
}

#[test]
fn golden_installers_are_the_recorded_images() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let server = server::start(&fixture, &home.path().join("factory"));
    let ids = server::create_schematics(&server);
    let lines = lines("installers.jsonl");
    // `v2-installer/<schematic>/<image>/<tag>/<role>`.
    let mut images = BTreeMap::<[&str; 3], Vec<(&str, &Value)>>::new();
    for line in &lines {
        let words: Vec<&str> = text_of(&line["case"]).split('/').collect();
        let [_, schematic, image, tag, role] = words[..] else { panic!("{line}") };
        if server::is_known(&ids, line) {
            images.entry([schematic, image, tag]).or_default().push((role, line));
        }
    }
    if lines.is_empty() {
        return;
    }
    let comparison = Comparison::default();
    let images: Vec<_> = images.into_iter().collect();
    let found = on_each(&images, |([schematic, name, tag], lines)| {
        let image = Image::find(&server.client, format!("/v2/{name}/{}", ids[schematic]), tag);
        lines.iter().flat_map(|(role, line)| differences(&image, role, line, &comparison)).collect()
    });
    judge(&found, EXCEPTIONS);
}
