//! Names of images.

use std::fmt;
use std::str::FromStr;

use factory_formats::Digest;

use crate::asset::quoted;
use crate::ports::{InvalidRepository, Repository};

/// An image as a catalogue writes it: `ghcr.io/siderolabs/gvisor:20240101.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaggedReference {
    /// Host, with a port where one is given. None for names without a host.
    pub registry: Option<String>,
    /// Path below the host.
    pub repository: Repository,
    /// Tag.
    pub tag: String,
}

/// A text that is no image name with a tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not an image with a tag, such as ghcr.io/siderolabs/gvisor:v1", quoted(.0))]
pub struct InvalidReference(pub String);

impl FromStr for TaggedReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let invalid = || InvalidReference(text.to_owned());
        let (name, tag) = text.rsplit_once(':').ok_or_else(invalid)?;
        // The first part is a host when it cannot be part of a path.
        let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if is_host(host) => (Some(host), path),
            _ => (None, name),
        };
        let is_host_char = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
        if !is_tag(tag) || !registry.is_none_or(|host| host.bytes().all(is_host_char)) {
            return Err(invalid());
        }
        Ok(Self {
            registry: registry.map(str::to_owned),
            repository: path.parse().map_err(|_| invalid())?,
            tag: tag.to_owned(),
        })
    }
}

/// OCI distribution specification 1.1, "Pulling manifests".
fn is_tag(tag: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|b| is_word(b) || matches!(b, b'.' | b'-'))
}

impl fmt::Display for TaggedReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

/// Where this server gets images from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRegistry {
    /// Host, with a port where it needs one.
    pub host: String,
    /// Path before every repository; empty for none. Never part of an identity.
    pub namespace: String,
}

/// Where an image is pulled from. Always by digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullReference {
    /// Repository on the server's registry, with its namespace.
    pub repository: Repository,
    /// Digest of the manifest or index.
    pub digest: Digest,
}

impl SourceRegistry {
    /// The name of an image towards users: the registry's host, no namespace.
    pub fn identity(&self, repository: &Repository, tag: &str) -> String {
        format!("{}/{repository}:{tag}", self.host)
    }

    /// Where the image lies.
    ///
    /// # Errors
    /// [`InvalidRepository`] when the namespace is none.
    pub fn pull(&self, repository: &Repository, digest: Digest) -> Result<PullReference, InvalidRepository> {
        Ok(PullReference { repository: repository.under(&self.namespace)?, digest })
    }
}

impl fmt::Display for PullReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for (text, registry, repository, tag) in [
            ("ghcr.io/siderolabs/gvisor:20231214.0", Some("ghcr.io"), "siderolabs/gvisor", "20231214.0"),
            ("localhost:5000/a/b:v1", Some("localhost:5000"), "a/b", "v1"),
            ("localhost/a:v1", Some("localhost"), "a", "v1"),
            ("siderolabs/gvisor:x_y-z.1", None, "siderolabs/gvisor", "x_y-z.1"),
        ] {
            let reference: TaggedReference = text.parse().unwrap();
            assert_eq!(reference.registry.as_deref(), registry);
            assert_eq!((reference.repository.as_str(), reference.tag.as_str()), (repository, tag));
            assert_eq!(reference.to_string(), text);
        }
        for text in [
            "",
            "a",
            "ghcr.io/a/b",
            "ghcr.io:443/a",
            "a:",
            "a:-x",
            ":x",
            "A/b:x",
            "ghcr.io/:x",
            "a b/c.d:x",
            "h o.st/a:x",
            "a:x/y",
            "a@sha256:00",
            "ghcr.io/a/../b:x",
        ] {
            assert!(text.parse::<TaggedReference>().is_err(), "{text}");
        }
    }

    #[test]
    fn identities_have_no_namespace_and_pulls_do() {
        let repository: Repository = "siderolabs/gvisor".parse().unwrap();
        let digest = Digest::of(b"");
        for namespace in ["ghcrio", "ghcrio/", "/ghcrio"] {
            let registry = SourceRegistry { host: "mirror.example:5000".into(), namespace: namespace.into() };
            assert_eq!(registry.identity(&repository, "v1"), "mirror.example:5000/siderolabs/gvisor:v1");
            let pull = registry.pull(&repository, digest).unwrap();
            assert_eq!(pull.to_string(), format!("ghcrio/siderolabs/gvisor@{digest}"));
        }
        let bad = SourceRegistry { host: String::new(), namespace: "UPPER".into() };
        assert!(bad.pull(&repository, digest).is_err());
    }
}
