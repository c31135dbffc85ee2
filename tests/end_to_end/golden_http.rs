//! Do all other routes answer as the reference was recorded to?

use serde_json::{Map, Value, json};

use crate::golden::comparison::{Comparison, Difference, Exception, judge};
use crate::golden::server::{self, HOSTS};
use crate::golden::{header, lines, on_each, renamed, rules, text_of};
use crate::support::{Answer, Fixture, Server};

/// Headers that are compared: those of the record, and their absence.
const HEADERS: &[&str] = &[
    "access-control-allow-methods",
    "access-control-allow-origin",
    "allow",
    "content-disposition",
    "content-type",
    "docker-content-digest",
    "docker-distribution-api-version",
    "hx-push-url",
    "location",
    "vary",
    "x-content-type-options",
];

/// Hosts that the record has in catalogues. The fixture's directory has no host, so ours keep the catalogue's.
const CATALOGUES: &[(&str, &str)] = &[("REGISTRY.EXAMPLE", "ghcr.io"), ("REFERENCE.EXAMPLE", "ghcr.io")];

/// Type of an error that is a text for people.
const TEXT: &str = "text/plain; charset=utf-8";

/// Schematics that lines of images ask for and no line creates. Ids prove the texts.
const FURTHER_SCHEMATICS: &[&str] = &[
    "customization:\n  embeddedMachineConfiguration: x\n",
    "customization:\n  secureboot:\n    enrollKeys: nope\n",
    "customization:\n  diskImage:\n    sectorSize: 520\n",
];

/// Where ours differ on purpose.
const EXCEPTIONS: &[Exception] = &[
    Exception {
        case: "cosign-pub",
        path: "text",
        what: r#""-----BEGIN PUBLIC KEY-----*-----END PUBLIC KEY-----*", not *"#,
        why: "the key is this factory's own",
    },
    Exception {
        case: "versions|versions-head|extensions/*|overlays/*",
        path: "headers.content-type",
        what: r#""application/json", not "text/plain; charset=utf-8""#,
        why: "10 §6: JSON says that it is",
    },
    Exception {
        case: "image-reject/",
        path: "*",
        what: "*",
        why: "10 §2: nobody is led to a route that there is not",
    },
    Exception {
        case: "image-reject/metal-amd64.iso.sha256|image-reject/metal-amd64.iso.sigstore.json",
        path: "*",
        what: "*",
        why: "10 §5.2: checksums and signatures are for everybody here",
    },
    Exception {
        case: "image/range",
        path: "status|text",
        what: r#"206, not 200|"talos.plat", not "talos.platform=*"#,
        why: "10 §5.3: ranges, which the reference ignores",
    },
    Exception {
        case: "options|schematics/PUT",
        path: "headers.allow",
        what: r#""GET, HEAD, OPTIONS", not *|"POST, OPTIONS", not *"#,
        why: "10 §1: HEAD wherever there is GET; the order of methods means nothing",
    },
    Exception {
        case: "talosctl-head/*",
        path: "headers.content-type",
        what: r#"not in the record: "application/octet-stream"|"application/octet-stream", not "application/x-msdos-program""#,
        why: "10 §6: a type that does not depend on the host",
    },
    Exception {
        case: "ui-wizard/*",
        path: "*",
        what: "*",
        why: "10 §11: the pages are ours, and have no such route",
    },
    Exception {
        case: "v2/HEAD|v2slash/GET|v2path/*",
        path: "headers.docker-distribution-api-version",
        what: r#"not in the record: "registry/2.0""#,
        why: "52 §1: every answer of the registry says which interface it is",
    },
    Exception {
        case: "v2path/installer/EMPTY/blobs/*|v2path/installer/EMPTY/manifests/*|v2path/installer/EMPTY/referrers/foo",
        path: "text",
        what: r#""there is no * sha256:*|"failed to get kernel: version 1.13.7 is not available*|"invalid digest: *"#,
        why: "52 §1: errors have codes; the words are for people and name what is not there",
    },
    Exception {
        case: "v2path/installer/EMPTY/tags/list",
        path: "*",
        what: "*",
        why: "52 §10: tags of installers are listed",
    },
    Exception {
        case: "v2path/siderolabs/*/manifests/v1.14.0-alpha.2",
        path: "*",
        what: "*",
        why: "52 §9: whoever says nothing about types gets what there is, where the recorder's registry refused",
    },
    Exception {
        case: "v2path/siderolabs/*/tags/list",
        path: "headers.content-type",
        what: r#""application/json", not "application/json; charset=utf-8""#,
        why: "the recorder's registry names a character set, which JSON has no need of",
    },
];

/// Where a recorded answer leads, as far as rules of ours change it.
///
/// * What is wrong in the request is no fault of the server: a `4xx` with a reason for `500` (spec 10 §2.3, §6).
/// * `HEAD` is answered wherever `GET` is (10 §1), so by what the record has for `GET`.
/// * Below `/v2` errors are documents (52 §1), whose message is compared.
fn expected(line: &Value, lines: &[Value]) -> Value {
    let request = &line["request"];
    let mut response = &line["response"];
    let mut told = json!({});
    if request["method"] == "HEAD" && response["status"] == 405 {
        let is_get = |other: &&Value| {
            other["request"]["path"] == request["path"]
                && other["request"]["method"] == "GET"
                && other["request"]["headers"] == json!({})
        };
        response = &lines.iter().find(is_get).expect("a line for GET")["response"];
    } else if let Some(text) = response.get("text") {
        told["text"] = text.clone();
    }
    let mut headers = Map::new();
    for name in HEADERS {
        let value = header(response, name);
        if !value.is_empty() {
            headers.insert((*name).to_owned(), value.into());
        }
    }
    told["headers"] = headers.into();
    told["status"] = response["status"].clone();
    without_documents(request, &mut told);
    if told["status"] == 500 {
        told["status"] = "of the client's fault".into();
        told["text"] = "a reason".into();
    }
    told
}

/// What ours answered, in the same terms.
fn told(answer: &Answer, line: &Value) -> Value {
    let mut headers = Map::new();
    for name in HEADERS.iter().filter(|name| answer.has(name)) {
        headers.insert((*name).to_owned(), answer.all(name).into());
    }
    let mut told = json!({"status": answer.status, "headers": headers});
    if line["request"]["method"] != "HEAD" {
        told["text"] = answer.text().into();
    }
    without_documents(&line["request"], &mut told);
    if line["response"]["status"] == 500 && (400..500).contains(&answer.status) {
        let is_told =
            line["request"]["method"] == "HEAD" || told["text"].as_str().is_some_and(|text| text.len() > 5);
        told["status"] = "of the client's fault".into();
        told["text"] = if is_told { "a reason".into() } else { "no reason".into() };
    }
    told
}

/// Takes the message out of the document that a registry tells an error by.
fn without_documents(request: &Value, told: &mut Value) {
    let is_error = told["status"].as_u64().is_some_and(|status| status >= 400);
    if !is_error || !text_of(&request["path"]).starts_with("/v2") {
        return;
    }
    let document = told["text"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let headers = told["headers"].as_object_mut().expect("headers");
    headers.remove("docker-distribution-api-version");
    headers.remove("x-content-type-options");
    if let Some(document) = document {
        let error = &document["errors"][0];
        assert!(headers["content-type"].as_str().is_some_and(|kind| kind.starts_with("application/json")));
        assert!(error["code"].is_string(), "{document}");
        headers.insert("content-type".to_owned(), TEXT.into());
        told["text"] = format!("{}\n", text_of(&error["message"])).into();
    }
}

/// Leaves versions out of lists that the recorder's release did not have, and signatures by digest. Tags have no
/// order in the record.
fn of_the_recorded_release(expected: &mut Value, ours: &mut Value) {
    let (Some(mut expected), Some(mut ours)) = (expected.get_mut("text"), ours.get_mut("text")) else {
        return;
    };
    if expected.get("tags").is_some() && ours.get("tags").is_some() {
        (expected, ours) = (&mut expected["tags"], &mut ours["tags"]);
        let tags = expected.as_array_mut().expect("tags");
        tags.retain(|tag| !text_of(tag).starts_with("sha256-"));
        tags.sort_by(|a, b| text_of(a).cmp(text_of(b)));
    }
    if let (Some(expected), Some(ours)) = (expected.as_array(), ours.as_array_mut()) {
        ours.retain(|item| !item.is_string() || expected.contains(item));
    }
}

fn differences(server: &Server, line: &Value, lines: &[Value], comparison: &Comparison) -> Vec<Difference> {
    let request = &line["request"];
    let headers = request["headers"].as_object().expect("headers");
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), text_of(value))).collect();
    let body = request["body"].as_str().map(|body| body.as_bytes().to_vec());
    let (method, path) = (text_of(&request["method"]), text_of(&request["path"]));
    let answer = server.client.ask_with(method, path, &headers, body);
    let (mut expected, mut ours) = (expected(line, lines), told(&answer, line));
    renamed(&mut expected, HOSTS);
    renamed(&mut expected, CATALOGUES);
    rules::apply(&mut expected);
    rules::apply(&mut ours);
    of_the_recorded_release(&mut expected, &mut ours);
    comparison.differences(
        path.split('/').nth(2).unwrap_or_default(),
        text_of(&line["case"]),
        &expected,
        &ours,
    )
}

#[test]
fn golden_routes_answer_as_recorded() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let server = server::start(&fixture, &home.path().join("factory"));
    let lines = lines("http.jsonl");
    // Other lines ask for what these create.
    let created = lines.iter().filter(|line| line["request"]["path"] == "/schematics");
    for yaml in
        created.filter_map(|line| line["request"]["body"].as_str()).chain(FURTHER_SCHEMATICS.iter().copied())
    {
        server.client.post("/schematics", yaml);
    }
    if lines.is_empty() {
        return;
    }
    let comparison = Comparison::default();
    let found = on_each(&lines, |line| differences(&server, line, &lines, &comparison));
    judge(&found, EXCEPTIONS);
}
