//! What says that an image is genuine, and where it lies.
//!
//! Cosign's older form is a tag beside the image, named for its digest. The newer one is a manifest that
//! names the image as its subject, found by the referrers API, or by one more tag where there is none.

use factory_formats::Digest;
use serde::Serialize;

use super::OCI_INDEX;
use crate::ports::Descriptor;

/// Ends of the tags that cosign puts beside an image: signatures, attestations, lists of contents.
pub const ATTACHED_SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];

/// The tag with this end that belongs to an image.
pub fn attached_tag(image: &Digest, suffix: &str) -> String {
    format!("sha256-{}.{suffix}", image.hex())
}

/// The tag that lists the referrers of `subject` where there is no API for it (OCI distribution
/// specification, "Referrers Tag Schema").
pub fn referrers_tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

/// An index of these manifests, as that tag names it. The same manifests give the same bytes, in whatever
/// order they come.
pub fn index_of(mut manifests: Vec<Descriptor>) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Index {
        schema_version: u32,
        media_type: &'static str,
        manifests: Vec<Descriptor>,
    }
    manifests.sort_by_key(|descriptor| descriptor.digest);
    manifests.dedup_by_key(|descriptor| descriptor.digest);
    let index = Index { schema_version: 2, media_type: OCI_INDEX, manifests };
    // Texts and numbers only: this has a form in JSON.
    serde_json::to_vec(&index).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn tags_are_named_for_the_digest() {
        let image = Digest::of(b"x");
        assert_eq!(referrers_tag(&image), format!("sha256-{}", image.hex()));
        assert_eq!(attached_tag(&image, "sig"), format!("sha256-{}.sig", image.hex()));
    }

    #[test]
    fn an_index_does_not_depend_on_the_order() {
        let entry = |text: &str| Descriptor {
            media_type: "m".to_owned(),
            digest: Digest::of(text.as_bytes()),
            size: 1,
            platform: None,
            artifact_type: Some("a".to_owned()),
            annotations: BTreeMap::new(),
        };
        let one = index_of(vec![entry("a"), entry("b"), entry("a")]);
        assert_eq!(one, index_of(vec![entry("b"), entry("a")]));
        let read: serde_json::Value = serde_json::from_slice(&one).unwrap();
        assert_eq!(read["schemaVersion"], 2);
        assert_eq!(read["manifests"].as_array().unwrap().len(), 2);
        assert_eq!(read["manifests"][0]["artifactType"], "a");
    }
}
