//! Software bills of materials: the documents of a release and its extensions as one SPDX 2.3 document.

use serde_json::{Map, Value, json};

use crate::arch::Arch;
use crate::schematic::SchematicId;
use crate::version::TalosVersion;

/// Whose document it is.
#[derive(Clone, Debug)]
pub struct SbomIdentity<'a> {
    /// The schematic.
    pub schematic: SchematicId,
    /// The version of Talos.
    pub version: &'a TalosVersion,
    /// The architecture.
    pub arch: Arch,
    /// Address of the factory, the beginning of the document's namespace.
    pub external_url: &'a str,
}

/// A document that goes into the whole.
#[derive(Clone, Debug)]
pub struct SbomSource {
    /// Where it is from: `talos`, or the repository of an extension. Elements are named after it.
    pub name: String,
    /// The document, SPDX 2 as JSON.
    pub document: Vec<u8>,
}

/// A document that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the SPDX document of {name} cannot be read: {reason}")]
pub struct InvalidSbom {
    /// Where it is from.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Name of a document inside itself (SPDX 2.3, section 6.3).
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
/// The package that contains all others.
const ROOT: &str = "SPDXRef-Image";
const PREFIX: &str = "SPDXRef-";
/// When nothing says when it was made.
const NEVER: &str = "1970-01-01T00:00:00Z";

/// The whole as JSON. The time in it is the latest of its sources', so that it does not depend on a clock.
///
/// # Errors
/// [`InvalidSbom`] names the source that is no SPDX document.
pub fn merge_sboms(identity: &SbomIdentity<'_>, sources: &[SbomSource]) -> Result<Vec<u8>, InvalidSbom> {
    let mut whole = Whole::default();
    for source in sources {
        let wrong = |reason: String| InvalidSbom { name: source.name.clone(), reason };
        let document: Value =
            serde_json::from_slice(&source.document).map_err(|error| wrong(error.to_string()))?;
        let document = document.as_object().ok_or_else(|| wrong("it is no object".to_owned()))?;
        let version = document.get("spdxVersion").and_then(Value::as_str).unwrap_or_default();
        if !version.starts_with("SPDX-2.") {
            return Err(wrong(format!("its version is {version:?}, expected SPDX-2")));
        }
        whole.add(&source.name, document);
    }
    let SbomIdentity { schematic, version, arch, external_url } = identity;
    let (tag, base) = (version.tag(), external_url.trim_end_matches('/'));
    let root = json!({
        "name": format!("talos-{schematic}"),
        "SPDXID": ROOT,
        "versionInfo": tag,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
    });
    let mut packages = vec![root];
    packages.append(&mut whole.packages);
    let mut relationships = vec![relationship(DOCUMENT, "DESCRIBES", ROOT)];
    relationships.append(&mut whole.relationships);
    let created = if whole.created.is_empty() { NEVER } else { &whole.created };
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": format!("talos-{schematic}-{tag}-{arch}"),
        "documentNamespace": format!("{base}/spdx/{schematic}/{tag}/{arch}"),
        "creationInfo": {
            "created": created,
            "creators": [format!("Tool: image-factory-{}", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relationships,
    });
    if let Some(map) = document.as_object_mut() {
        for (key, list) in [("files", whole.files), ("hasExtractedLicensingInfos", whole.licences)] {
            if !list.is_empty() {
                map.insert(key.to_owned(), Value::Array(list));
            }
        }
    }
    let mut bytes = serde_json::to_vec_pretty(&document).unwrap_or_default();
    bytes.push(b'\n');
    Ok(bytes)
}

#[derive(Default)]
struct Whole {
    packages: Vec<Value>,
    files: Vec<Value>,
    relationships: Vec<Value>,
    licences: Vec<Value>,
    created: String,
}

impl Whole {
    fn add(&mut self, name: &str, document: &Map<String, Value>) {
        let created =
            document.get("creationInfo").and_then(|info| info.get("created")).and_then(Value::as_str);
        // All are in one form of ISO 8601, so they compare as text.
        if let Some(created) = created.filter(|created| *created > self.created.as_str()) {
            self.created = created.to_owned();
        }
        let prefix = id_of(name);
        for (key, list) in [("packages", &mut self.packages), ("files", &mut self.files)] {
            list.extend(elements(document, key).cloned().map(|element| renamed(element, &prefix)));
        }
        for licence in elements(document, "hasExtractedLicensingInfos") {
            if !self.licences.contains(licence) {
                self.licences.push(licence.clone());
            }
        }
        for described in elements(document, "documentDescribes").filter_map(Value::as_str) {
            self.contains(&prefixed(described, &prefix));
        }
        for entry in elements(document, "relationships") {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
            let (from, kind, to) =
                (text("spdxElementId"), text("relationshipType"), text("relatedSpdxElement"));
            if from == DOCUMENT && kind == "DESCRIBES" {
                self.contains(&prefixed(to, &prefix));
            } else if from != DOCUMENT && to != DOCUMENT {
                self.relationships.push(relationship(&prefixed(from, &prefix), kind, &prefixed(to, &prefix)));
            }
        }
    }

    fn contains(&mut self, element: &str) {
        let entry = relationship(ROOT, "CONTAINS", element);
        if !self.relationships.contains(&entry) {
            self.relationships.push(entry);
        }
    }
}

fn elements<'a>(document: &'a Map<String, Value>, key: &str) -> impl Iterator<Item = &'a Value> {
    document.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

/// A name as a part of an identifier: letters, digits, `.` and `-` (SPDX 2.3, section 7.2).
fn id_of(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
}

/// An identifier of a source's document in the whole. `NONE` and `NOASSERTION` are no identifiers.
fn prefixed(id: &str, prefix: &str) -> String {
    match id.strip_prefix(PREFIX) {
        Some(rest) => format!("{PREFIX}{prefix}-{rest}"),
        None => id.to_owned(),
    }
}

fn renamed(mut element: Value, prefix: &str) -> Value {
    if let Some(map) = element.as_object_mut() {
        if let Some(Value::String(id)) = map.get_mut("SPDXID") {
            *id = prefixed(id, prefix);
        }
        if let Some(Value::Array(files)) = map.get_mut("hasFiles") {
            for file in files {
                if let Value::String(id) = file {
                    *id = prefixed(id, prefix);
                }
            }
        }
    }
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, created: &str) -> SbomSource {
        let document = json!({
            "spdxVersion": "SPDX-2.3", "SPDXID": DOCUMENT,
            "creationInfo": { "created": created },
            "packages": [{ "name": "p", "SPDXID": "SPDXRef-Package-p", "hasFiles": ["SPDXRef-f"] }],
            "files": [{ "fileName": "f", "SPDXID": "SPDXRef-f" }],
            "hasExtractedLicensingInfos": [{ "licenseId": "LicenseRef-x" }],
            "relationships": [
                relationship(DOCUMENT, "DESCRIBES", "SPDXRef-Package-p"),
                relationship("SPDXRef-Package-p", "DEPENDS_ON", "NOASSERTION"),
            ],
        });
        SbomSource { name: name.to_owned(), document: document.to_string().into_bytes() }
    }

    fn merged(sources: &[SbomSource]) -> Result<Value, String> {
        let version = TalosVersion::parse("v1.12.4").unwrap();
        let identity = SbomIdentity {
            schematic: SchematicId::of(b"x"),
            version: &version,
            arch: Arch::Amd64,
            external_url: "https://factory.example/",
        };
        let bytes = merge_sboms(&identity, sources).map_err(|error| error.to_string())?;
        Ok(serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn elements_keep_apart_and_hang_on_the_image() {
        let sources = [source("talos", "2025-01-01T00:00:00Z"), source("a/b_c", "2025-02-01T00:00:00Z")];
        let all = merged(&sources).unwrap();
        let id = SchematicId::of(b"x");
        assert_eq!(all["spdxVersion"], "SPDX-2.3");
        assert_eq!(all["name"], format!("talos-{id}-v1.12.4-amd64"));
        assert_eq!(all["documentNamespace"], format!("https://factory.example/spdx/{id}/v1.12.4/amd64"));
        assert_eq!(all["creationInfo"]["created"], "2025-02-01T00:00:00Z");
        let ids: Vec<_> = all["packages"].as_array().unwrap().iter().map(|p| p["SPDXID"].clone()).collect();
        assert_eq!(ids, [ROOT, "SPDXRef-talos-Package-p", "SPDXRef-a-b-c-Package-p"]);
        assert_eq!(all["packages"][2]["hasFiles"], json!(["SPDXRef-a-b-c-f"]));
        assert_eq!(all["files"].as_array().unwrap().len(), 2);
        assert_eq!(all["hasExtractedLicensingInfos"].as_array().unwrap().len(), 1);
        let relationships = all["relationships"].as_array().unwrap();
        for wanted in [
            relationship(DOCUMENT, "DESCRIBES", ROOT),
            relationship(ROOT, "CONTAINS", "SPDXRef-talos-Package-p"),
            relationship("SPDXRef-a-b-c-Package-p", "DEPENDS_ON", "NOASSERTION"),
        ] {
            assert!(relationships.contains(&wanted), "{wanted} is not in {relationships:?}");
        }
    }

    #[test]
    fn what_is_no_document_is_named() {
        let bad = |text: &str| {
            let source = SbomSource { name: "a/b".to_owned(), document: text.as_bytes().to_vec() };
            merged(&[source]).unwrap_err()
        };
        assert!(bad("{").starts_with("the SPDX document of a/b cannot be read: "));
        assert!(bad("[]").ends_with("it is no object"));
        assert!(bad("{\"spdxVersion\": \"SPDX-3.0\"}").contains("expected SPDX-2"));
        assert_eq!(merged(&[]).unwrap()["creationInfo"]["created"], NEVER);
    }
}
