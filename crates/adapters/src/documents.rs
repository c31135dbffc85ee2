//! What adapters need to know about OCI documents: types, tags, indexes, and who refers to whom.

use std::collections::BTreeMap;

pub(crate) use factory_domain::mirror::referrers_tag;
use factory_domain::ports::Descriptor;
use factory_formats::Digest;
use oci_distribution::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE,
    OCI_IMAGE_MEDIA_TYPE,
};
use serde::Deserialize;

/// Longest manifest that is accepted, as the OCI distribution specification advises ("Pushing Manifests").
pub(crate) const MAX_MANIFEST_BYTES: usize = 4 << 20;

/// Types of manifests and indexes that can be read.
pub(crate) const MANIFEST_TYPES: [&str; 4] = [
    OCI_IMAGE_INDEX_MEDIA_TYPE,
    OCI_IMAGE_MEDIA_TYPE,
    IMAGE_MANIFEST_LIST_MEDIA_TYPE,
    IMAGE_MANIFEST_MEDIA_TYPE,
];

/// Longest tag of the OCI distribution specification, "Pulling manifests".
const MAX_TAG: usize = 128;

/// Whether `text` is a tag of the OCI distribution specification, "Pulling manifests".
pub(crate) fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= MAX_TAG
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

/// The type of a manifest: what its source said when that is a manifest's, else what the document says.
pub(crate) fn manifest_type(declared: Option<&str>, bytes: &[u8]) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        #[serde(default)]
        media_type: String,
    }
    let declared = declared.and_then(|text| text.split(';').next()).map_or("", str::trim);
    if MANIFEST_TYPES.contains(&declared) {
        return declared.to_owned();
    }
    match serde_json::from_slice::<Typed>(bytes) {
        Ok(typed) if !typed.media_type.is_empty() => typed.media_type,
        _ => declared.to_owned(),
    }
}

/// Whether this type is that of an index or manifest list.
pub(crate) fn is_index_type(media_type: &str) -> bool {
    matches!(media_type, OCI_IMAGE_INDEX_MEDIA_TYPE | IMAGE_MANIFEST_LIST_MEDIA_TYPE)
}

/// The entries of an index; those that cannot be used (another digest algorithm, say) are left out.
///
/// # Errors
/// When the document is no index.
pub(crate) fn index_entries(bytes: &[u8]) -> Result<Vec<Descriptor>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Index {
        manifests: Vec<serde_json::Value>,
    }
    let index: Index = serde_json::from_slice(bytes)?;
    Ok(index.manifests.into_iter().filter_map(|entry| serde_json::from_value(entry).ok()).collect())
}

/// What a manifest says about itself as a referrer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Referrer {
    /// What it refers to.
    pub subject: Digest,
    /// The manifest, as a list of referrers shows it.
    pub descriptor: Descriptor,
}

impl Referrer {
    /// Reads a manifest; `None` when it refers to nothing.
    pub fn read(digest: Digest, media_type: String, bytes: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Manifest {
            subject: Option<Subject>,
            artifact_type: Option<String>,
            config: Option<Config>,
            #[serde(default)]
            annotations: BTreeMap<String, String>,
        }
        #[derive(Deserialize)]
        struct Subject {
            digest: Digest,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Config {
            media_type: String,
        }
        let manifest: Manifest = serde_json::from_slice(bytes).ok()?;
        let artifact_type = manifest.artifact_type.or(manifest.config.map(|config| config.media_type));
        Some(Self {
            subject: manifest.subject?.digest,
            descriptor: Descriptor {
                media_type,
                digest,
                size: bytes.len() as u64,
                platform: None,
                artifact_type: artifact_type.filter(|text| !text.is_empty()),
                annotations: manifest.annotations,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        for good in ["latest", "v1.12.4", "sha256-00.sig", "_x", "A", &"a".repeat(128)] {
            assert!(is_tag(good), "{good}");
        }
        for bad in ["", ".", "-a", "a/b", "../x", "a b", "a:b", "é", "a\n", &"a".repeat(129)] {
            assert!(!is_tag(bad), "{bad}");
        }
    }

    #[test]
    fn the_type_comes_from_where_it_is_known() {
        let document = br#"{"mediaType":"application/vnd.oci.image.index.v1+json"}"#;
        for declared in [None, Some("application/json"), Some("text/plain; charset=utf-8")] {
            assert_eq!(manifest_type(declared, document), OCI_IMAGE_INDEX_MEDIA_TYPE);
        }
        let docker = "application/vnd.docker.distribution.manifest.v2+json; charset=utf-8";
        assert_eq!(manifest_type(Some(docker), document), IMAGE_MANIFEST_MEDIA_TYPE);
        assert_eq!(manifest_type(Some("text/plain"), b"not json"), "text/plain");
        assert_eq!(manifest_type(None, b"{}"), "");
    }

    #[test]
    fn entries_of_foreign_kinds_are_left_out() {
        let digest = Digest::of(b"x");
        let index = format!(
            r#"{{"manifests":[{{"mediaType":"a","digest":"{digest}","size":1}},
                {{"mediaType":"b","digest":"sha512:00","size":1}},{{"digest":7}},
                {{"digest":"{digest}","size":-1}}]}}"#
        );
        let entries = index_entries(index.as_bytes()).unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].digest, digest);
        assert!(index_entries(b"{}").is_err());
        assert!(index_entries(b"[").is_err());
    }

    #[test]
    fn a_referrer_names_its_subject_and_kind() {
        let (subject, digest) = (Digest::of(b"s"), Digest::of(b"d"));
        let plain = br#"{"config":{"mediaType":"c"}}"#;
        assert_eq!(Referrer::read(digest, String::new(), plain), None);
        let by_config = format!(r#"{{"subject":{{"digest":"{subject}"}},"config":{{"mediaType":"c"}}}}"#);
        let referrer = Referrer::read(digest, "m".to_owned(), by_config.as_bytes()).unwrap();
        assert_eq!(referrer.subject, subject);
        assert_eq!(referrer.descriptor.artifact_type.as_deref(), Some("c"));
        assert_eq!(referrer.descriptor.size, by_config.len() as u64);
        let by_type =
            format!(r#"{{"subject":{{"digest":"{subject}"}},"artifactType":"t","annotations":{{"k":"v"}}}}"#);
        let referrer = Referrer::read(digest, "m".to_owned(), by_type.as_bytes()).unwrap();
        assert_eq!(referrer.descriptor.artifact_type.as_deref(), Some("t"));
        assert_eq!(referrer.descriptor.annotations["k"], "v");
    }
}
