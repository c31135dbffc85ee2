//! Blobs and manifests written to the registry (OCI distribution specification, "Pushing").

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use factory_domain::ports::{BlobStream, Reference, Repository, SourceError};
use factory_formats::Digest;
use factory_formats::expected::{Expected, Unexpected};
use futures_util::{StreamExt as _, stream};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Method, RequestBuilder, Response};
use tokio::time::timeout;
use url::Url;

use super::endpoint::{Ask, Endpoint, Failure, network_failure};
use super::redirect;

/// Longest answer to something pushed; nobody reads it.
const MAX_ANSWER_BYTES: usize = 64 << 10;

impl Endpoint {
    /// Whether a blob is there.
    pub async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, Failure> {
        Ok(self.blob_head(repository, digest, &[404]).await?.status == 200)
    }

    /// Writes a blob in one piece: asks for a place, and puts it there.
    pub async fn push_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        bytes: BlobStream,
    ) -> Result<(), Failure> {
        let ask = Ask {
            what: &format!("a place for blob {digest} in {repository}"),
            repository,
            method: Method::POST,
            url: self.url(repository, "blobs/uploads/"),
            accept: "*/*",
            from: None,
            body: Some(("application/octet-stream", Bytes::new())),
            expects: &[],
        };
        let place = self.document(&ask, MAX_ANSWER_BYTES).await?;
        if place.status == 201 {
            return Ok(());
        }
        let location = place.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| Failure::Wrong("it gives no place for a blob".to_owned()))?;
        let mut url = ask
            .url
            .join(location)
            .map_err(|error| Failure::Wrong(format!("it gives the place {location:?}: {error}")))?;
        redirect::check(std::slice::from_ref(&ask.url), &url)
            .map_err(|refused| Failure::Wrong(format!("it gives a place elsewhere: {refused}")))?;
        url.query_pairs_mut().append_pair("digest", &digest.to_string());

        let watch = Watch::default();
        let body = Body::wrap_stream(watch.checked(*digest, size, bytes));
        let mut request = self
            .client
            .put(url.clone())
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, size)
            .body(body);
        if self.is_own(&url)
            && let Some(value) = self.authorization.current(repository.as_str()).await
        {
            request = request.header(AUTHORIZATION, value);
        }
        let response = match (self.send_watched(request, &watch).await, watch.wrong.get()) {
            (_, Some(wrong)) => return Err(Failure::Wrong(wrong.clone())),
            (response, None) => response?,
        };
        if response.status().is_success() {
            return Ok(());
        }
        Err(self.failure_of(response).await)
    }

    /// Writes a manifest.
    pub async fn push_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<(), Failure> {
        if let Reference::Digest(digest) = reference
            && Digest::of(&bytes) != *digest
        {
            return Err(Failure::Wrong(format!("its bytes hash to {}", Digest::of(&bytes))));
        }
        let ask = Ask {
            what: &format!("{repository}, {reference}"),
            repository,
            method: Method::PUT,
            url: self.url(repository, &format!("manifests/{reference}")),
            accept: "*/*",
            from: None,
            body: Some((media_type, bytes)),
            expects: &[],
        };
        self.document(&ask, MAX_ANSWER_BYTES).await.map(drop)
    }

    /// Whether our credentials may go to this address.
    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Sends a long body, as long as it gets on.
    async fn send_watched(&self, request: RequestBuilder, watch: &Watch) -> Result<Response, Failure> {
        let mut sending = std::pin::pin!(request.send());
        let mut before = 0;
        loop {
            if let Ok(answer) = timeout(self.limits.idle.max(self.limits.answer), &mut sending).await {
                return answer.map_err(|error| network_failure(&error));
            }
            let sent = watch.sent.load(Ordering::Relaxed);
            if sent == before {
                return Err(Failure::passing(format!("it took no more after {sent} bytes")));
            }
            before = sent;
        }
    }
}

/// How far a body got, and what is wrong with it.
#[derive(Clone, Default)]
struct Watch {
    sent: Arc<AtomicU64>,
    wrong: Arc<OnceLock<String>>,
}

/// A body on its way. Its last piece is held back until the whole is known to be right.
struct Checked {
    watch: Watch,
    bytes: BlobStream,
    expected: Expected,
    held: Option<Bytes>,
}

impl Watch {
    /// The bytes, which end in an error when they are not those that were announced: the registry then gets
    /// less than the length that it was told, and keeps nothing.
    fn checked(&self, digest: Digest, size: u64, bytes: BlobStream) -> BlobStream {
        let expected = Expected::new(digest, size);
        let body = Checked { watch: self.clone(), bytes, expected, held: None };
        stream::unfold(Some(body), |body| async {
            let mut body = body?;
            match body.next().await {
                Ok(Some((piece, last))) => Some((Ok(piece), (!last).then_some(body))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }
}

impl Checked {
    /// The next piece, and whether it is the last one.
    async fn next(&mut self) -> Result<Option<(Bytes, bool)>, SourceError> {
        while let Some(piece) = self.bytes.next().await {
            let piece = piece?;
            self.expected.take(&piece).map_err(|reason| self.wrong(&reason))?;
            self.watch.sent.store(self.expected.position(), Ordering::Relaxed);
            if piece.is_empty() {
                continue;
            }
            if let Some(ready) = self.held.replace(piece) {
                return Ok(Some((ready, false)));
            }
        }
        self.expected.finish().map_err(|reason| self.wrong(&reason))?;
        Ok(self.held.take().map(|last| (last, true)))
    }

    fn wrong(&self, reason: &Unexpected) -> SourceError {
        let reason = reason.to_string();
        let _ = self.watch.wrong.set(reason.clone());
        let what = format!("blob {}", self.expected.digest());
        SourceError::Invalid { what, source_name: "the origin of a copy".to_owned(), reason }
    }
}
