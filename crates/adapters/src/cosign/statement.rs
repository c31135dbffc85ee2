//! What the signed documents claim, and whether that is about our image.

use std::collections::BTreeMap;

use factory_formats::Digest;
use serde::Deserialize;

use super::authority::Refusal;
use super::bundle::Bundle;

/// Payload type of in-toto statements in DSSE envelopes.
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Type of the statements that count.
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// What makes a statement a signature of an image. Provenance, software lists and other attestations say
/// something about an image too, but not that it is released.
const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

/// Type of a simple-signing document that cosign made.
const SIMPLE_SIGNING_TYPE: &str = "cosign container image signature";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct SimpleSigning {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// Whether the statement in a bundle says that the image is signed.
pub(super) fn check_statement(bundle: &Bundle, wanted: &Digest) -> Result<(), Refusal> {
    same_kind(IN_TOTO, bundle.payload_type())?;
    let statement: Statement = read(bundle.payload())?;
    same_kind(STATEMENT_TYPE, &statement.kind)?;
    let hex = wanted.hex();
    let subjects: Vec<&str> =
        statement.subject.iter().filter_map(|subject| Some(subject.digest.get("sha256")?.as_str())).collect();
    if !subjects.contains(&hex.as_str()) {
        let found = subjects.first().map_or_else(|| "nothing".to_owned(), |hex| format!("sha256:{hex}"));
        return Err(Refusal::OtherImage { wanted: *wanted, found: short(&found) });
    }
    same_kind(SIGN_PREDICATE, &statement.predicate_type)
}

/// The first SHA-256 that a statement is about, in hexadecimal digits.
pub(super) fn first_subject(bundle: &Bundle) -> Result<String, Refusal> {
    same_kind(IN_TOTO, bundle.payload_type())?;
    let statement: Statement = read(bundle.payload())?;
    let first = statement.subject.into_iter().find_map(|mut subject| subject.digest.remove("sha256"));
    first.ok_or_else(|| Refusal::Malformed("its statement is about nothing with a SHA-256".to_owned()))
}

/// Whether a simple-signing document says that the image is signed.
pub(super) fn check_simple_signing(payload: &[u8], wanted: &Digest) -> Result<(), Refusal> {
    let document: SimpleSigning = read(payload)?;
    same_kind(SIMPLE_SIGNING_TYPE, &document.critical.kind)?;
    let found = document.critical.image.digest;
    if found == wanted.to_string() {
        return Ok(());
    }
    Err(Refusal::OtherImage { wanted: *wanted, found: short(&found) })
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| Refusal::Malformed(error.to_string()))
}

fn same_kind(wanted: &'static str, found: &str) -> Result<(), Refusal> {
    if found == wanted { Ok(()) } else { Err(Refusal::OtherKind { wanted, found: short(found) }) }
}

/// Foreign text for a message.
fn short(text: &str) -> String {
    text.chars().take(100).collect()
}
