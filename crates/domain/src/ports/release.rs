//! Where release images come from.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use factory_formats::Digest;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

/// A repository path without its registry, such as `siderolabs/imager`: one or more components of the
/// OCI distribution specification, "Pulling manifests", joined by `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository(String);

/// A text that is not a repository path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a repository path: expected lower-case letters, digits and single separators, in parts joined by \"/\""
)]
pub struct InvalidRepository(pub String);

/// Longest repository path that registries accept.
const MAX_REPOSITORY: usize = 255;

impl Repository {
    /// The path as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `namespace/self`, with empty parts and surplus slashes of the namespace left out.
    ///
    /// # Errors
    /// [`InvalidRepository`] when the result is none.
    pub fn under(&self, namespace: &str) -> Result<Self, InvalidRepository> {
        let parts = namespace.split('/').filter(|part| !part.is_empty()).chain([self.as_str()]);
        parts.collect::<Vec<_>>().join("/").parse()
    }
}

impl FromStr for Repository {
    type Err = InvalidRepository;

    fn from_str(text: &str) -> Result<Self, InvalidRepository> {
        let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let component = |part: &str| {
            let bytes = part.as_bytes();
            let edges = [bytes.first(), bytes.last()];
            edges.iter().all(|edge| edge.is_some_and(|&b| alphanumeric(b)))
                && bytes.iter().all(|&b| alphanumeric(b) || matches!(b, b'.' | b'_' | b'-'))
        };
        if text.len() <= MAX_REPOSITORY && text.split('/').all(component) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRepository(text.chars().take(MAX_REPOSITORY).collect()))
        }
    }
}

impl TryFrom<String> for Repository {
    type Error = InvalidRepository;

    fn try_from(text: String) -> Result<Self, InvalidRepository> {
        text.parse()
    }
}

impl From<Repository> for String {
    fn from(repository: Repository) -> Self {
        repository.0
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A manifest of a repository, by name or by content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// A tag such as `v1.12.4`.
    Tag(String),
    /// The digest of the manifest's bytes.
    Digest(Digest),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// A manifest's bytes as the source gave them. Their SHA-256 is `digest`: the adapter has checked it.
#[derive(Clone, Debug)]
pub struct RawManifest {
    /// Digest of `bytes`.
    pub digest: Digest,
    /// The media type that the source named, else the one inside the document.
    pub media_type: String,
    /// At most 4 MiB.
    pub bytes: Bytes,
}

/// A platform as an index names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `linux`.
    pub os: String,
}

/// An OCI descriptor (OCI image specification, "Content descriptors"), with the fields used here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Type of the content.
    #[serde(default)]
    pub media_type: String,
    /// Digest of the content.
    pub digest: Digest,
    /// Length of the content in bytes.
    pub size: u64,
    /// Only in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Only in referrer lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Free-form annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Why a source did not give what was asked for.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The source answers and has no such thing.
    #[error("{what} does not exist in {source_name}")]
    NotFound {
        /// What was asked for, such as `siderolabs/imager:v1.99.0`.
        what: String,
        /// Which source.
        source_name: String,
    },
    /// The source wants other credentials.
    #[error("{source_name} refuses access to {what}: check the credentials of this registry")]
    Unauthorized {
        /// What was asked for.
        what: String,
        /// Which source.
        source_name: String,
    },
    /// The source asks to come back later.
    #[error("{source_name} limits the rate of requests")]
    RateLimited {
        /// Which source.
        source_name: String,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    /// The source does not answer, or answers with an error of its own. Tried again in vain.
    #[error("cannot read {what} from {source_name}: {reason}")]
    Unavailable {
        /// What was asked for.
        what: String,
        /// Which source.
        source_name: String,
        /// What went wrong.
        reason: String,
    },
    /// The source gave something that it must not: other bytes than their digest, or no valid document.
    #[error("{source_name} gave a wrong {what}: {reason}")]
    Invalid {
        /// What was asked for.
        what: String,
        /// Which source.
        source_name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The bytes of a blob in pieces; ends early with an error when the connection does.
pub type BlobStream = BoxStream<'static, Result<Bytes, SourceError>>;

/// A registry or a directory of OCI layouts. Adapters retry what may pass by itself; an error from here
/// is final for this attempt.
#[async_trait]
pub trait ReleaseSource: Send + Sync {
    /// A name for messages: `registry ghcr.io`, `OCI layouts in /srv/talos`.
    fn name(&self) -> &str;

    /// All tags of a repository, in no particular order.
    ///
    /// # Errors
    /// [`SourceError::NotFound`] when there is no such repository.
    async fn list_tags(&self, repository: &Repository) -> Result<Vec<String>, SourceError>;

    /// The digest that a tag stands for now, without fetching the manifest where possible.
    ///
    /// # Errors
    /// [`SourceError::NotFound`] when there is no such tag.
    async fn resolve_tag(&self, repository: &Repository, tag: &str) -> Result<Digest, SourceError>;

    /// A manifest or index.
    ///
    /// # Errors
    /// [`SourceError::NotFound`]; [`SourceError::Invalid`] when the bytes do not hash to the digest asked for.
    async fn fetch_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<RawManifest, SourceError>;

    /// Length of a blob in bytes.
    ///
    /// # Errors
    /// [`SourceError::NotFound`] when there is no such blob.
    async fn blob_size(&self, repository: &Repository, digest: &Digest) -> Result<u64, SourceError>;

    /// A blob's bytes from `offset` on. The receiver checks the digest of the whole.
    ///
    /// # Errors
    /// [`SourceError::NotFound`] when there is no such blob.
    async fn open_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        offset: u64,
    ) -> Result<BlobStream, SourceError>;

    /// Descriptors of the manifests that refer to `subject` (OCI distribution specification, "Listing
    /// Referrers"), by the referrers API or by the tag `sha256-<hex>`. None is an empty list.
    ///
    /// # Errors
    /// When the source cannot be asked.
    async fn list_referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, SourceError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_paths() {
        for good in ["nginx", "siderolabs/imager", "a/b/c", "a.b/c_d/e-f", "a__b", "x1"] {
            assert!(good.parse::<Repository>().is_ok(), "{good}");
        }
        for bad in ["", "/", "a/", "/a", "A/b", "a//b", "a/../b", "-a", "a-", "a b", "a:b", "a@b", "é"] {
            assert!(bad.parse::<Repository>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_namespace_is_joined_cleanly() {
        let imager: Repository = "siderolabs/imager".parse().unwrap();
        for namespace in ["ghcrio", "ghcrio/", "/ghcrio//"] {
            assert_eq!(imager.under(namespace).unwrap().as_str(), "ghcrio/siderolabs/imager");
        }
        assert_eq!(imager.under("").unwrap(), imager);
        assert!(imager.under("Upper").is_err());
    }
}
