//! Manifests and indexes, by tag and by digest.

use std::sync::LazyLock;

use factory_domain::ports::{RawManifest, Reference, Repository};
use factory_formats::Digest;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use super::endpoint::{Ask, Document, Endpoint, Failure};
use crate::documents::{MANIFEST_TYPES, MAX_MANIFEST_BYTES, is_tag, manifest_type};

/// Every type that can be read: registries convert, or answer 404, when the one they have is not asked for.
static ACCEPT: LazyLock<String> = LazyLock::new(|| MANIFEST_TYPES.join(", "));

/// The header in which registries say what they give.
const CONTENT_DIGEST: &str = "docker-content-digest";

impl Endpoint {
    /// The digest that a tag stands for.
    pub async fn resolve_tag(&self, repository: &Repository, tag: &str) -> Result<Digest, Failure> {
        let what = format!("{repository}:{tag}");
        // 400, 405 and 501 are what registries without HEAD say.
        let ask = self.manifest_ask(&what, repository, Method::HEAD, tag, &[400, 405, 501])?;
        let head = self.document(&ask, 0).await?;
        if head.status == 200
            && let Some(digest) = named_digest(&head.headers)
        {
            return Ok(digest);
        }
        Ok(self.fetch_manifest(repository, &Reference::Tag(tag.to_owned())).await?.digest)
    }

    /// A manifest or index whose digest is right.
    pub async fn fetch_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<RawManifest, Failure> {
        let (what, tail) = match reference {
            Reference::Tag(tag) => (format!("{repository}:{tag}"), tag.clone()),
            Reference::Digest(digest) => (format!("{repository}@{digest}"), digest.to_string()),
        };
        let ask = match reference {
            Reference::Tag(tag) => self.manifest_ask(&what, repository, Method::GET, tag, &[])?,
            Reference::Digest(_) => self.manifest_ask_for(&what, repository, Method::GET, &tail, &[]),
        };
        let document = self.document(&ask, MAX_MANIFEST_BYTES).await?;
        let expected = match reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(_) => named_digest(&document.headers),
        };
        checked(document, expected)
    }

    /// A question about a tag. What cannot be one does not exist, and must not become part of an address.
    fn manifest_ask<'a>(
        &self,
        what: &'a str,
        repository: &'a Repository,
        method: Method,
        tag: &str,
        expects: &'a [u16],
    ) -> Result<Ask<'a>, Failure> {
        if !is_tag(tag) {
            return Err(Failure::NotFound);
        }
        Ok(self.manifest_ask_for(what, repository, method, tag, expects))
    }

    fn manifest_ask_for<'a>(
        &self,
        what: &'a str,
        repository: &'a Repository,
        method: Method,
        reference: &str,
        expects: &'a [u16],
    ) -> Ask<'a> {
        let url = self.url(repository, &format!("manifests/{reference}"));
        Ask { what, repository, method, url, accept: &ACCEPT, from: None, body: None, expects }
    }
}

fn named_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get(CONTENT_DIGEST)?.to_str().ok()?.trim().parse().ok()
}

fn checked(document: Document, expected: Option<Digest>) -> Result<RawManifest, Failure> {
    let digest = Digest::of(&document.bytes);
    if expected.is_some_and(|expected| expected != digest) {
        return Err(Failure::Wrong(format!("its bytes have the digest {digest}")));
    }
    let declared = document.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = manifest_type(declared, &document.bytes);
    Ok(RawManifest { digest, media_type, bytes: document.bytes })
}
