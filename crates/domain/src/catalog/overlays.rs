//! The list of overlays of a release (`50-artifacts.md` §4.2).

use factory_formats::Digest;
use serde::{Deserialize, Serialize};

use super::{InvalidCatalog, TaggedReference, text};

/// One overlay of one release. Many overlays may share an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayRef {
    /// The name that users write.
    pub name: String,
    /// The image as the release names it.
    pub image: TaggedReference,
    /// Digest of the image.
    pub digest: Digest,
}

/// The overlays of a release in the order in which it lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OverlayCatalog {
    entries: Vec<OverlayRef>,
}

/// An entry as the HTTP interface shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OverlayInfo {
    /// The name that users write.
    pub name: String,
    /// Repository path of the image.
    pub image: String,
    /// The image as the release names it.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Digest of the image.
    pub digest: Digest,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    overlays: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    image: String,
    digest: String,
}

const FILE: &str = "overlays.yaml";

impl OverlayCatalog {
    /// Reads the file `overlays.yaml` of a catalogue image. Of two entries with one name the first
    /// counts.
    ///
    /// # Errors
    /// [`InvalidCatalog`] when nothing is listed or an entry is not as it should be.
    pub fn parse(yaml: &[u8]) -> Result<Self, InvalidCatalog> {
        let file: Option<File> = serde_yaml::from_str(text(FILE, yaml)?)
            .map_err(|error| InvalidCatalog::Syntax { file: FILE, reason: error.to_string() })?;
        let entries = file.and_then(|file| file.overlays).unwrap_or_default();
        if entries.is_empty() {
            return Err(InvalidCatalog::Empty(FILE));
        }
        let read = |Entry { name, image, digest }: Entry| {
            let image = image.parse().map_err(|source| InvalidCatalog::Reference { file: FILE, source })?;
            let digest = digest.parse().map_err(|source| InvalidCatalog::Digest {
                file: FILE,
                entry: name.clone(),
                source,
            })?;
            Ok(OverlayRef { name, image, digest })
        };
        Ok(Self { entries: entries.into_iter().map(read).collect::<Result<_, _>>()? })
    }

    /// The entries in order.
    pub fn entries(&self) -> &[OverlayRef] {
        &self.entries
    }

    /// The overlay of exactly this name.
    pub fn find(&self, name: &str) -> Option<&OverlayRef> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The list as the HTTP interface shows it.
    pub fn listing(&self) -> Vec<OverlayInfo> {
        let info = |OverlayRef { name, image, digest }: &OverlayRef| OverlayInfo {
            name: name.clone(),
            image: image.repository.to_string(),
            reference: image.to_string(),
            digest: *digest,
        };
        self.entries.iter().map(info).collect()
    }
}

impl OverlayRef {
    /// Whether the image that a schematic names for this overlay is another one. The image of the list
    /// is used in any case, so this is worth a warning.
    pub fn differs_from(&self, image: &str) -> bool {
        let wanted = image.split_once('@').map_or(image, |(image, _)| image);
        let repository = wanted.parse::<TaggedReference>().map(|reference| reference.repository);
        let path = repository.as_ref().map_or(wanted, |repository| repository.as_str());
        !wanted.is_empty() && path != self.image.repository.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(entries: &[(&str, &str, &str)]) -> String {
        let entry = |(name, image, digest): &(&str, &str, &str)| {
            format!("  - name: {name}\n    image: {image}\n    digest: {digest}\n    more: 1\n")
        };
        format!("overlays:\n{}", entries.iter().map(entry).collect::<String>())
    }

    #[test]
    fn reads_and_lists() {
        let digest = Digest::of(b"").to_string();
        let image = "ghcr.io/siderolabs/sbc-raspberrypi:v0.2.0";
        let text = yaml(&[("rpi_generic", image, &digest), ("rpi_5", image, &digest)]);
        let catalog = OverlayCatalog::parse(text.as_bytes()).unwrap();
        assert_eq!(catalog.find("rpi_5").unwrap().name, "rpi_5");
        assert_eq!(catalog.find("rpi"), None);
        assert_eq!(
            serde_json::to_value(catalog.listing()).unwrap()[0],
            serde_json::json!({
                "name": "rpi_generic",
                "image": "siderolabs/sbc-raspberrypi",
                "ref": image,
                "digest": digest,
            })
        );
    }

    #[test]
    fn refuses_wrong_lists() {
        let parse = |text: &str| OverlayCatalog::parse(text.as_bytes()).unwrap_err().to_string();
        for empty in ["", "{}", "overlays:", "overlays: []"] {
            assert_eq!(parse(empty), "failed to find overlays.yaml file");
        }
        assert!(parse("overlays: 3").starts_with("overlays.yaml cannot be read: "));
        assert!(parse(&yaml(&[("a", "ghcr.io/a", "x")])).contains("is not an image with a tag"));
        assert!(parse(&yaml(&[("a", "ghcr.io/a:1", "x")])).contains("entry \"a\": \"x\" is not a digest"));
    }

    #[test]
    fn an_image_of_another_repository_differs() {
        let digest = Digest::of(b"").to_string();
        let text = yaml(&[("rpi", "ghcr.io/siderolabs/sbc:v2", &digest)]);
        let catalog = OverlayCatalog::parse(text.as_bytes()).unwrap();
        let overlay = catalog.find("rpi").unwrap();
        for same in
            ["", "siderolabs/sbc", "ghcr.io/siderolabs/sbc:v1", "my.example/siderolabs/sbc:v2@sha256:x"]
        {
            assert!(!overlay.differs_from(same), "{same}");
        }
        for other in ["siderolabs/other", "ghcr.io/acme/sbc:v2"] {
            assert!(overlay.differs_from(other), "{other}");
        }
    }
}
