//! The list of extensions of a release (`50-artifacts.md` §4.1).

use std::collections::{BTreeMap, BTreeSet};

use factory_formats::Digest;
use serde::{Deserialize, Serialize};

use super::alias::other_name;
use super::{InvalidCatalog, SourceRegistry, TaggedReference, text};
use crate::ports::Repository;

/// Where an extension's list came from, and so from which registry it is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The release.
    #[default]
    Official,
    /// A further list of this server.
    Extra,
}

/// One extension of one release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtensionRef {
    /// The name that users write, which is the repository path.
    pub repository: Repository,
    /// Its version.
    pub tag: String,
    /// Digest of its image.
    pub digest: Digest,
    /// Which list it stands in.
    pub origin: Origin,
}

/// An entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The extension.
    pub reference: ExtensionRef,
    /// Who made it; may be empty.
    pub author: String,
    /// What it is for; may be empty.
    pub description: String,
}

/// The extensions of a release in the order in which it lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionCatalog {
    entries: Vec<Extension>,
    by_name: BTreeMap<String, usize>,
}

/// An entry as the HTTP interface shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExtensionInfo {
    /// The name that users write.
    pub name: String,
    /// Image with its tag, on the registry of this server.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Digest of the image.
    pub digest: Digest,
    /// Who made it; may be empty.
    pub author: String,
    /// What it is for; may be empty.
    pub description: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Description {
    author: Option<String>,
    description: Option<String>,
}

const DIGESTS: &str = "image-digests";
const DESCRIPTIONS: &str = "descriptions.yaml";

impl ExtensionCatalog {
    /// Reads the files `image-digests` and, where it exists, `descriptions.yaml` of a catalogue image.
    ///
    /// # Errors
    /// [`InvalidCatalog`] when nothing is listed, an entry is not as it should be, or a name is listed
    /// twice.
    pub fn parse(image_digests: &[u8], descriptions: Option<&[u8]>) -> Result<Self, InvalidCatalog> {
        let mut texts = read_descriptions(descriptions.unwrap_or_default())?;
        let mut entries = Vec::new();
        let mut names = BTreeSet::new();
        for line in text(DIGESTS, image_digests)?.lines().map(str::trim) {
            let Some((image, digest)) = line.split_once('@') else { continue };
            let image: TaggedReference =
                image.parse().map_err(|source| InvalidCatalog::Reference { file: DIGESTS, source })?;
            let digest = digest.parse().map_err(|source| InvalidCatalog::Digest {
                file: DIGESTS,
                entry: image.to_string(),
                source,
            })?;
            let TaggedReference { repository, tag, registry: _ } = image;
            if !names.insert(repository.clone()) {
                let entry = repository.to_string();
                return Err(InvalidCatalog::Duplicate { file: DIGESTS, entry });
            }
            let Description { author, description } = texts.remove(line).unwrap_or_default();
            entries.push(Extension {
                reference: ExtensionRef { repository, tag, digest, origin: Origin::Official },
                author: author.unwrap_or_default(),
                description: description.unwrap_or_default(),
            });
        }
        if entries.is_empty() {
            return Err(InvalidCatalog::Empty(DIGESTS));
        }
        Ok(Self::new(entries))
    }

    fn new(entries: Vec<Extension>) -> Self {
        let name = |(at, entry): (usize, &Extension)| (entry.reference.repository.to_string(), at);
        let by_name = entries.iter().enumerate().map(name).collect();
        Self { entries, by_name }
    }

    /// Puts a further list of this server before the official one. Where both have a name, the further
    /// list counts.
    #[must_use]
    pub fn with_extra(self, extra: Self) -> Self {
        let mut entries = extra.entries;
        entries.iter_mut().for_each(|entry| entry.reference.origin = Origin::Extra);
        let names = extra.by_name;
        entries.extend(
            self.entries.into_iter().filter(|e| !names.contains_key(e.reference.repository.as_str())),
        );
        Self::new(entries)
    }

    /// The entries in order.
    pub fn entries(&self) -> &[Extension] {
        &self.entries
    }

    /// The extension of exactly this name.
    pub fn find(&self, name: &str) -> Option<&Extension> {
        self.by_name.get(name).and_then(|&at| self.entries.get(at))
    }

    /// The extension of this name, or the one that had or got this name in another version.
    pub fn resolve(&self, name: &str) -> Option<&Extension> {
        self.find(name).or_else(|| self.find(&other_name(name)?))
    }

    /// The list as the HTTP interface shows it. `official` and `extra` are the registries of the two
    /// lists.
    pub fn listing(&self, official: &SourceRegistry, extra: &SourceRegistry) -> Vec<ExtensionInfo> {
        let info = |entry: &Extension| {
            let ExtensionRef { repository, tag, digest, origin } = &entry.reference;
            let registry = if *origin == Origin::Extra { extra } else { official };
            ExtensionInfo {
                name: repository.to_string(),
                reference: registry.identity(repository, tag),
                digest: *digest,
                author: entry.author.clone(),
                description: entry.description.clone(),
            }
        };
        self.entries.iter().map(info).collect()
    }
}

fn read_descriptions(bytes: &[u8]) -> Result<BTreeMap<String, Description>, InvalidCatalog> {
    let text = text(DESCRIPTIONS, bytes)?;
    let read: Option<BTreeMap<String, Option<Description>>> = serde_yaml::from_str(text)
        .map_err(|error| InvalidCatalog::Syntax { file: DESCRIPTIONS, reason: error.to_string() })?;
    Ok(read.unwrap_or_default().into_iter().map(|(line, text)| (line, text.unwrap_or_default())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(image: &str) -> String {
        format!("{image}@{}", Digest::of(image.as_bytes()))
    }

    fn catalog(images: &[&str]) -> ExtensionCatalog {
        let lines: Vec<String> = images.iter().map(|image| line(image)).collect();
        ExtensionCatalog::parse(lines.join("\n").as_bytes(), None).unwrap()
    }

    fn names(catalog: &ExtensionCatalog) -> Vec<&str> {
        catalog.entries().iter().map(|entry| entry.reference.repository.as_str()).collect()
    }

    #[test]
    fn reads_both_files() {
        let gvisor = line("ghcr.io/siderolabs/gvisor:20231214.0");
        let digests = format!("\n# a comment\n  {gvisor}  \r\n{}\n", line("ghcr.io/siderolabs/amd-ucode:1"));
        let descriptions = format!(
            "{gvisor}:\n  author: Someone\n  description: |\n    [core] text\n  unknown: 1\nother: {{}}\nnone:\n"
        );
        let catalog = ExtensionCatalog::parse(digests.as_bytes(), Some(descriptions.as_bytes())).unwrap();
        let registry = SourceRegistry { host: "registry.example".into(), namespace: "ghcrio/".into() };
        let listing = serde_json::to_value(catalog.listing(&registry, &registry)).unwrap();
        let digest = Digest::of(b"ghcr.io/siderolabs/gvisor:20231214.0").to_string();
        assert_eq!(
            listing[0],
            serde_json::json!({
                "name": "siderolabs/gvisor",
                "ref": "registry.example/siderolabs/gvisor:20231214.0",
                "digest": digest,
                "author": "Someone",
                "description": "[core] text\n",
            })
        );
        assert_eq!(listing[1]["author"], "");
        assert_eq!(names(&catalog), ["siderolabs/gvisor", "siderolabs/amd-ucode"]);
    }

    #[test]
    fn refuses_wrong_lists() {
        let parse = |text: &str| ExtensionCatalog::parse(text.as_bytes(), None).unwrap_err().to_string();
        assert_eq!(parse(""), "failed to find image-digests file");
        assert_eq!(parse("ghcr.io/a/b:1\n"), "failed to find image-digests file");
        assert!(parse("ghcr.io/a/b@sha256:00").starts_with("image-digests: \"ghcr.io/a/b\" is not an image"));
        assert!(parse("ghcr.io/a/b:1@sha256:00").contains("is not a digest"));
        let twice = format!("{}\n{}", line("ghcr.io/a/b:1"), line("other.example/a/b:2"));
        assert_eq!(parse(&twice), "image-digests lists \"a/b\" twice");
        let good = line("ghcr.io/a/b:1");
        for bad in [&b"[]"[..], b"a: 1", b"a: [", b"\xff"] {
            let error = ExtensionCatalog::parse(good.as_bytes(), Some(bad)).unwrap_err().to_string();
            assert!(error.starts_with("descriptions.yaml cannot be read: "), "{error}");
        }
        let long = vec![b' '; super::super::MAX_FILE + 1];
        assert!(ExtensionCatalog::parse(&long, None).is_err());
    }

    #[test]
    fn aliases_in_a_hostile_file_cost_little() {
        let mut bomb = String::from("l0: &l0 {unknown: [x, x, x, x, x, x, x, x, x]}\n");
        for level in 1..12 {
            let below = format!("*l{}", level - 1);
            bomb.push_str(&format!(
                "l{level}: &l{level} {{unknown: [{}]}}\n",
                [below.as_str(); 9].join(", ")
            ));
        }
        let good = line("ghcr.io/a/b:1");
        // Following every alias would take 9^11 steps.
        assert!(ExtensionCatalog::parse(good.as_bytes(), Some(bomb.as_bytes())).is_ok());
    }

    #[test]
    fn an_extra_list_comes_first_and_hides_official_entries() {
        let official = catalog(&["ghcr.io/siderolabs/gvisor:1", "ghcr.io/siderolabs/i915:1"]);
        let extra = catalog(&["my.example/acme/tool:1", "my.example/siderolabs/i915:9"]);
        let both = official.with_extra(extra);
        assert_eq!(names(&both), ["acme/tool", "siderolabs/i915", "siderolabs/gvisor"]);
        let i915 = &both.find("siderolabs/i915").unwrap().reference;
        assert_eq!((i915.tag.as_str(), i915.origin), ("9", Origin::Extra));
        let registry = |host: &str| SourceRegistry { host: host.into(), namespace: String::new() };
        let listing = both.listing(&registry("official.example"), &registry("extra.example"));
        assert_eq!(listing[0].reference, "extra.example/acme/tool:1");
        assert_eq!(listing[2].reference, "official.example/siderolabs/gvisor:1");
    }

    #[test]
    fn a_name_is_tried_before_its_alias() {
        let new = catalog(&["ghcr.io/siderolabs/i915:1", "ghcr.io/siderolabs/gvisor:1"]);
        let old = catalog(&["ghcr.io/siderolabs/i915-ucode:1"]);
        let both = catalog(&["ghcr.io/siderolabs/i915-ucode:1", "ghcr.io/siderolabs/i915:2"]);
        let found = |catalog: &ExtensionCatalog, name: &str| {
            catalog.resolve(name).map(|entry| entry.reference.repository.to_string())
        };
        for name in ["siderolabs/i915", "siderolabs/i915-ucode"] {
            assert_eq!(found(&new, name).as_deref(), Some("siderolabs/i915"));
            assert_eq!(found(&old, name).as_deref(), Some("siderolabs/i915-ucode"));
            assert_eq!(found(&both, name).as_deref(), Some(name));
        }
        assert_eq!(found(&new, "siderolabs/nosuch"), None);
        assert_eq!(found(&new, "ghcr.io/siderolabs/gvisor"), None);
    }
}
