//! Release images from, and copies of images to, a registry that speaks the OCI distribution protocol.
//!
//! Types, media types and error documents are those of `oci-distribution`. The requests are made here,
//! because its client cannot make them as this server must:
//!
//! | need | its client |
//! |---|---|
//! | bodies of bounded length | reads manifests, tag lists, tokens and error messages whole, however long |
//! | `Retry-After`, and which failures may pass | hides headers and the status of token services |
//! | redirects into private networks refused | follows all |
//! | pages of tags by `Link`, on the same host only | knows `last` only |
//! | "no referrers" told from "not allowed" and "out of order" | all are an empty list |
//! | a challenge on a repository although `/v2/` has none, identity tokens | asks `/v2/` only, knows neither |
//! | the type that a manifest was served with | not given |

mod blobs;
mod challenge;
mod credentials;
mod endpoint;
mod location;
mod manifests;
mod options;
mod push;
mod redirect;
mod referrers;
mod retry;
mod tags;
mod token;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use factory_domain::ports::{
    BlobStream, Descriptor, ImageTarget, RawManifest, Reference, ReleaseSource, Repository, SourceError,
};
use factory_formats::Digest;

pub use credentials::CredentialFiles;
pub use location::{InvalidLocation, Location, is_local};
pub use options::{ANY_HOST, HostOptions, Limits, Password, RegistryConfigError, RegistryOptions};
pub use retry::RetryPolicy;

use endpoint::{Endpoint, Failure};

/// A registry, with its mirrors.
///
/// Everything but lists of tags is asked of the mirrors first, in their order and once each; what they
/// do not give, for whatever reason, the registry itself is asked for. Lists come from the registry
/// when it answers, because pull-through mirrors know only what was pulled.
pub struct RegistrySource {
    name: String,
    /// The registry itself is the last one.
    endpoints: Vec<Arc<Endpoint>>,
}

impl RegistrySource {
    /// Prepares to talk to `registry` (`ghcr.io`, `127.0.0.1:5000`, `harbor.example.com/ghcr`); nothing is
    /// sent yet. `insecure` means HTTP without TLS.
    ///
    /// # Errors
    /// [`RegistryConfigError`] says what is wrong with the configuration.
    pub fn new(
        registry: &str,
        insecure: bool,
        options: &RegistryOptions,
    ) -> Result<Self, RegistryConfigError> {
        let location = Location::parse(registry)?;
        let name = format!("registry {location}");
        let mut endpoints = Vec::new();
        for mirror in options.host(&location).mirrors {
            let at = Location::parse(&mirror)?;
            let mirror_name = format!("mirror {at} of {location}");
            // Whatever is wrong with a mirror, the next one is asked at once.
            let once = RetryPolicy { attempts: 1, ..options.retry.clone() };
            endpoints.push(Arc::new(Endpoint::new(mirror_name, at, None, once, options)?));
        }
        let told = insecure.then_some(true);
        endpoints.push(Arc::new(Endpoint::new(
            name.clone(),
            location,
            told,
            options.retry.clone(),
            options,
        )?));
        Ok(Self { name, endpoints })
    }

    /// The registry itself.
    fn own(&self, what: &str) -> Result<&Arc<Endpoint>, SourceError> {
        self.endpoints.last().ok_or_else(|| self.nothing_to_ask(what.to_owned()))
    }

    fn nothing_to_ask(&self, what: String) -> SourceError {
        SourceError::NotFound { what, source_name: self.name.clone() }
    }
}

/// Asks one endpoint after the other. The failure of the last one counts: it is the registry itself.
macro_rules! first_answer {
    ($source:expr, $what:expr, $endpoint:ident => $ask:expr) => {{
        let what = $what;
        let mut last = None;
        for $endpoint in &$source.endpoints {
            match $ask.await {
                Ok(answer) => return Ok(answer),
                Err(failure) => last = Some(given_up(failure, &what, $endpoint)),
            }
        }
        Err(last.unwrap_or_else(|| $source.nothing_to_ask(what)))
    }};
}

fn given_up(failure: Failure, what: &str, endpoint: &Endpoint) -> SourceError {
    let error = failure.into_source_error(what, &endpoint.name);
    tracing::debug!(%error, "no answer from here");
    error
}

#[async_trait]
impl ReleaseSource for RegistrySource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn list_tags(&self, repository: &Repository) -> Result<Vec<String>, SourceError> {
        let what = format!("repository {repository}");
        let mut own = None;
        for endpoint in self.endpoints.iter().rev() {
            match endpoint.list_tags(repository).await {
                Ok(tags) => return Ok(tags),
                Err(failure) => {
                    let error = given_up(failure, &what, endpoint);
                    own.get_or_insert(error);
                }
            }
        }
        Err(own.unwrap_or_else(|| self.nothing_to_ask(what)))
    }

    async fn resolve_tag(&self, repository: &Repository, tag: &str) -> Result<Digest, SourceError> {
        let what = format!("{repository}:{tag}");
        first_answer!(self, what, endpoint => endpoint.resolve_tag(repository, tag))
    }

    async fn fetch_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<RawManifest, SourceError> {
        let what = match reference {
            Reference::Tag(tag) => format!("{repository}:{tag}"),
            Reference::Digest(digest) => format!("{repository}@{digest}"),
        };
        first_answer!(self, what, endpoint => endpoint.fetch_manifest(repository, reference))
    }

    async fn blob_size(&self, repository: &Repository, digest: &Digest) -> Result<u64, SourceError> {
        let what = format!("blob {digest} of {repository}");
        first_answer!(self, what, endpoint => endpoint.blob_size(repository, digest))
    }

    async fn open_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        offset: u64,
    ) -> Result<BlobStream, SourceError> {
        let what = format!("blob {digest} of {repository}");
        first_answer!(self, what, endpoint => endpoint.open_blob(repository, digest, size, offset))
    }

    async fn list_referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, SourceError> {
        let what = format!("referrers of {repository}@{subject}");
        let mut last = None;
        for endpoint in &self.endpoints {
            match endpoint.list_referrers(repository, subject).await {
                // A mirror that has none may just not have copied them.
                Ok(none) if none.is_empty() => last = Some(Ok(none)),
                Ok(found) => return Ok(found),
                Err(failure) => last = Some(Err(given_up(failure, &what, endpoint))),
            }
        }
        last.unwrap_or_else(|| Err(self.nothing_to_ask(what)))
    }
}

/// Only the registry itself is written to.
#[async_trait]
impl ImageTarget for RegistrySource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, SourceError> {
        let what = format!("blob {digest} of {repository}");
        let own = self.own(&what)?;
        own.has_blob(repository, digest).await.map_err(|failure| given_up(failure, &what, own))
    }

    async fn push_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        bytes: BlobStream,
    ) -> Result<(), SourceError> {
        let what = format!("blob {digest} of {repository}");
        let own = self.own(&what)?;
        let pushed = own.push_blob(repository, digest, size, bytes).await;
        pushed.map_err(|failure| given_up(failure, &what, own))
    }

    async fn push_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<(), SourceError> {
        let what = format!("{repository}, {reference}");
        let own = self.own(&what)?;
        let pushed = own.push_manifest(repository, reference, media_type, bytes).await;
        pushed.map_err(|failure| given_up(failure, &what, own))
    }
}
