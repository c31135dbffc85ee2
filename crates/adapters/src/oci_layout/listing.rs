//! Entries of an `index.json`: which manifests a repository shows, and under which tags.

use std::collections::HashSet;

use factory_domain::mirror::is_index_type;
use factory_formats::Digest;
use serde_json::{Value, json};

use super::REF_NAME;
use crate::documents::index_entries;

/// A manifest that an index gets.
pub(super) struct Entry<'a> {
    pub digest: &'a Digest,
    pub media_type: &'a str,
    pub bytes: &'a [u8],
    pub tag: Option<&'a str>,
}

impl Entry<'_> {
    /// Puts it into an index; says whether that changed anything. Entries of others stay as they are.
    pub fn enter(&self, index: &mut Value) -> bool {
        if !index.get("manifests").is_some_and(Value::is_array) {
            index["manifests"] = json!([]);
        }
        let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) else { return false };
        let before = entries.clone();
        let digest = self.digest.to_string();
        let is = |entry: &Value| entry.get("digest").and_then(Value::as_str) == Some(&digest);
        if let Some(tag) = self.tag {
            // What names it moves on; whoever wants the other by its digest still finds it.
            for entry in entries.iter_mut().filter(|entry| tag_of(entry) == Some(tag) && !is(entry)) {
                if let Some(annotations) = entry.get_mut("annotations").and_then(Value::as_object_mut) {
                    annotations.remove(REF_NAME);
                }
            }
            entries.retain(|entry| tag_of(entry).is_some() || !is(entry));
        }
        // Parts of an index are found through it.
        if is_index_type(self.media_type) {
            let parts: HashSet<String> = index_entries(self.bytes)
                .unwrap_or_default()
                .iter()
                .filter(|part| part.artifact_type.is_none())
                .map(|part| part.digest.to_string())
                .collect();
            entries.retain(|entry| {
                let is_part = entry.get("digest").and_then(Value::as_str).is_some_and(|d| parts.contains(d));
                tag_of(entry).is_some() || !is_part
            });
        }
        let is_known =
            entries.iter().any(|entry| is(entry) && self.tag.is_none_or(|tag| tag_of(entry) == Some(tag)));
        if !is_known {
            let mut entry = json!({"mediaType": self.media_type, "digest": digest, "size": self.bytes.len()});
            if let Some(tag) = self.tag {
                entry["annotations"] = json!({REF_NAME: tag});
            }
            entries.push(entry);
        }
        *entries != before
    }
}

fn tag_of(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(REF_NAME)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

    fn entry<'a>(digest: &'a Digest, bytes: &'a [u8], tag: Option<&'a str>) -> Entry<'a> {
        Entry { digest, media_type: IMAGE, bytes, tag }
    }

    fn shown(index: &Value) -> Vec<(String, Option<&str>)> {
        let entries = index["manifests"].as_array().unwrap().iter();
        entries.map(|entry| (entry["digest"].as_str().unwrap().to_owned(), tag_of(entry))).collect()
    }

    #[test]
    fn a_tag_moves_on_and_the_other_stays() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let mut index = json!({"manifests": [], "more": 1});
        assert!(entry(&one, b"1", None).enter(&mut index));
        assert!(entry(&one, b"1", Some("v1")).enter(&mut index));
        assert_eq!(shown(&index), [(one.to_string(), Some("v1"))], "once, with its tag");
        assert!(!entry(&one, b"1", Some("v1")).enter(&mut index), "nothing new");
        assert!(!entry(&one, b"1", None).enter(&mut index));
        assert!(entry(&one, b"1", Some("v1.0")).enter(&mut index));
        assert!(entry(&two, b"2", Some("v1")).enter(&mut index));
        assert_eq!(shown(&index).len(), 3);
        assert!(shown(&index).contains(&(two.to_string(), Some("v1"))));
        assert!(shown(&index).contains(&(one.to_string(), None)), "by digest still");
        assert_eq!(index["more"], 1, "what others wrote stays");
    }

    #[test]
    fn parts_of_an_index_are_not_listed_and_referrers_are() {
        let (part, referrer) = (Digest::of(b"part"), Digest::of(b"referrer"));
        let mut index = json!({"manifests": []});
        entry(&part, b"part", None).enter(&mut index);
        entry(&referrer, b"referrer", None).enter(&mut index);
        let parts = format!(
            r#"{{"manifests":[{{"mediaType":"m","digest":"{part}","size":4}},
                {{"mediaType":"m","digest":"{referrer}","size":8,"artifactType":"a"}}]}}"#
        );
        let whole = Digest::of(parts.as_bytes());
        let list = Entry {
            digest: &whole,
            media_type: factory_domain::mirror::OCI_INDEX,
            bytes: parts.as_bytes(),
            tag: Some("v1"),
        };
        list.enter(&mut index);
        assert_eq!(shown(&index), [(referrer.to_string(), None), (whole.to_string(), Some("v1"))]);
    }

    #[test]
    fn an_index_without_a_list_gets_one() {
        let mut index = json!({"schemaVersion": 2});
        assert!(entry(&Digest::of(b"1"), b"1", Some("t")).enter(&mut index));
        assert_eq!(shown(&index).len(), 1);
    }
}
