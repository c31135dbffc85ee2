//! One registry or mirror: requests with authorization, limits and retries, and what their answers mean.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use factory_domain::ports::{Clock, Repository, SourceError};
use oci_distribution::errors::{OciEnvelope, OciErrorCode};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE, RETRY_AFTER,
};
use reqwest::{Client, Method, RequestBuilder, Response};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use url::Url;

use super::challenge::Challenge;
use super::location::Location;
use super::options::{Limits, RegistryConfigError, RegistryOptions};
use super::redirect;
use super::retry::{RetryPolicy, may_pass, retry_after};
use super::token::{Authorization, TokenAnswer, TokenRequest};

/// Longest error message of a registry that is read.
const MAX_ERROR_BYTES: usize = 16 << 10;

/// Part of such a message that is passed on.
const SHOWN_ERROR_CHARS: usize = 300;

/// Longest answer of a token service.
const MAX_TOKEN_BYTES: usize = 1 << 20;

/// One registry or mirror.
pub(super) struct Endpoint {
    /// For messages: `registry ghcr.io`.
    pub name: String,
    pub limits: Limits,
    pub retry: RetryPolicy,
    location: Location,
    pub(super) base: Url,
    pub(super) client: Client,
    clock: Arc<dyn Clock>,
    pub(super) authorization: Authorization,
    transfers: Semaphore,
}

/// A request to a registry.
#[derive(Clone)]
pub(super) struct Ask<'a> {
    /// For messages: `siderolabs/imager:v1.12.4`.
    pub what: &'a str,
    pub repository: &'a Repository,
    pub method: Method,
    pub url: Url,
    pub accept: &'a str,
    /// Only the bytes from here on.
    pub from: Option<u64>,
    /// What is sent, with its media type.
    pub body: Option<(&'a str, Bytes)>,
    /// Answers other than success that the caller knows what to do with.
    pub expects: &'a [u16],
}

/// A whole answer.
pub(super) struct Document {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

/// Why one attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no such thing.
    NotFound,
    /// We are not the right one to ask.
    Unauthorized,
    /// Too many requests; may pass.
    Limited(Option<Duration>),
    /// May pass.
    Passing { reason: String, after: Option<Duration> },
    /// Does not pass by trying again.
    Lasting(String),
    /// An answer that must not be.
    Wrong(String),
}

impl Failure {
    /// Something that may be otherwise the next time.
    pub fn passing(reason: impl Into<String>) -> Self {
        Self::Passing { reason: reason.into(), after: None }
    }

    /// The wait that was asked for; `None` when trying again is no use.
    fn may_pass(&self) -> Option<Option<Duration>> {
        match self {
            Self::Limited(after) | Self::Passing { after, .. } => Some(*after),
            Self::NotFound | Self::Unauthorized | Self::Lasting(_) | Self::Wrong(_) => None,
        }
    }

    /// What the port calls this.
    pub fn into_source_error(self, what: &str, source_name: &str) -> SourceError {
        let (what, source_name) = (what.to_owned(), source_name.to_owned());
        match self {
            Self::NotFound => SourceError::NotFound { what, source_name },
            Self::Unauthorized => SourceError::Unauthorized { what, source_name },
            Self::Limited(retry_after) => SourceError::RateLimited { source_name, retry_after },
            Self::Passing { reason, .. } | Self::Lasting(reason) => {
                SourceError::Unavailable { what, source_name, reason }
            }
            Self::Wrong(reason) => SourceError::Invalid { what, source_name, reason },
        }
    }
}

impl Endpoint {
    /// Prepares connections to `location`; nothing is sent yet.
    pub fn new(
        name: String,
        location: Location,
        told: Option<bool>,
        retry: RetryPolicy,
        options: &RegistryOptions,
    ) -> Result<Self, RegistryConfigError> {
        let host = options.host(&location);
        // Certificates only make sense with TLS, whatever the host looks like.
        let wants_tls = host.skip_verify || !host.ca_files.is_empty();
        let told = told.or(host.plain_http).or(wants_tls.then_some(false));
        let scheme = if location.plain_http(told) { "http" } else { "https" };
        let failed = |reason: String| RegistryConfigError::Client { host: location.to_string(), reason };
        let base = Url::parse(&format!("{scheme}://{}/v2/", location.api_host()))
            .map_err(|e| failed(e.to_string()))?;
        let mut builder = Client::builder()
            .user_agent(&options.user_agent)
            .connect_timeout(options.limits.connect)
            .redirect(redirect::policy())
            // With HTTP/2 the blobs of one image share a connection, and one that nobody reads from can
            // fill its window and stop the others for ever.
            .http1_only()
            .tls_danger_accept_invalid_certs(host.skip_verify);
        for path in &host.ca_files {
            let bad = |reason: String| RegistryConfigError::Certificates {
                host: location.to_string(),
                path: path.clone(),
                reason,
            };
            let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
            let certificates =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| bad(error.to_string()))?;
            if certificates.is_empty() {
                return Err(bad("there is no certificate in it".to_owned()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|error| failed(with_causes(&error)))?;
        let authorization = Authorization::new(
            location.clone(),
            host,
            options.credentials.clone(),
            options.refresh_credentials_every,
            options.limits.credential_helper,
            Arc::clone(&options.clock),
        );
        Ok(Self {
            name,
            limits: options.limits.clone(),
            retry,
            location,
            base,
            client,
            clock: Arc::clone(&options.clock),
            authorization,
            transfers: Semaphore::new(options.limits.parallel.max(1)),
        })
    }

    /// The address of something in a repository; `tail` is such as `tags/list`.
    pub fn url(&self, repository: &Repository, tail: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            let path = self.location.path_of(repository.as_str());
            segments.pop_if_empty().extend(path.split('/')).extend(tail.split('/'));
        }
        url
    }

    /// Asks for a document and reads all of it, trying again when that may help.
    pub async fn document(&self, ask: &Ask<'_>, limit: usize) -> Result<Document, Failure> {
        let mut failures = 0;
        loop {
            let attempt = timeout(self.limits.document, self.document_once(ask, limit)).await;
            let failure = match attempt {
                Ok(Ok(document)) => return Ok(document),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::passing("it takes too long"),
            };
            failures += 1;
            self.pause(ask.what, failures, failure).await?;
        }
    }

    async fn document_once(&self, ask: &Ask<'_>, limit: usize) -> Result<Document, Failure> {
        let _transfer = self.transfer().await;
        let response = self.exchange(ask).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = match ask.method {
            Method::HEAD => Bytes::new(),
            _ => read_all(response, limit).await?,
        };
        Ok(Document { status, headers, bytes })
    }

    /// Asks for something that is then read piece by piece, trying again when that may help.
    pub async fn open(&self, ask: &Ask<'_>) -> Result<Response, Failure> {
        let mut failures = 0;
        loop {
            let transfer = self.transfer().await;
            let failure = match self.exchange(ask).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            drop(transfer);
            failures += 1;
            self.pause(ask.what, failures, failure).await?;
        }
    }

    /// Waits for the turn of a transfer. Only the network is waited for while this is held, never whoever
    /// reads what comes: otherwise a reader that waits for another transfer would wait for ever.
    pub async fn transfer(&self) -> Option<SemaphorePermit<'_>> {
        self.transfers.acquire().await.ok()
    }

    /// The wait before the next attempt, or the failure when there is no next.
    pub async fn pause(&self, what: &str, failures: u32, failure: Failure) -> Result<(), Failure> {
        let wait = failure.may_pass().and_then(|asked| self.retry.wait(failures, asked));
        let Some(wait) = wait else { return Err(failure) };
        tracing::debug!(source = %self.name, what, ?failure, ?wait, "trying again");
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// One request, made again once with other authorization when the registry wants that.
    async fn exchange(&self, ask: &Ask<'_>) -> Result<Response, Failure> {
        let repository = ask.repository.as_str();
        let known = self.authorization.current(repository).await;
        let response = self.send(self.request(ask, known.as_ref())).await?;
        if response.status().as_u16() != 401 {
            return self.judge(ask, response).await;
        }
        let Some(challenge) = Challenge::from_headers(response.headers()) else {
            return Err(Failure::Unauthorized);
        };
        drop(response);
        let secure = self.base.scheme() == "https";
        let met =
            self.authorization.meet(repository, challenge, known.as_ref(), secure, |r| self.ask_token(r));
        let Some(header) = met.await? else { return Err(Failure::Unauthorized) };
        let response = self.send(self.request(ask, Some(&header))).await?;
        self.judge(ask, response).await
    }

    fn request(&self, ask: &Ask<'_>, authorization: Option<&HeaderValue>) -> RequestBuilder {
        let mut request = self
            .client
            .request(ask.method.clone(), ask.url.clone())
            .header(ACCEPT, ask.accept)
            // Digests are those of the bytes as they are stored.
            .header(ACCEPT_ENCODING, "identity");
        if let Some(from) = ask.from {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        if let Some((media_type, bytes)) = &ask.body {
            request = request.header(CONTENT_TYPE, *media_type).body(bytes.clone());
        }
        match authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let answer = timeout(self.limits.answer, request.send()).await;
        let answer = answer.map_err(|_| Failure::passing("it does not answer in time"))?;
        answer.map_err(|error| network_failure(&error))
    }

    /// Turns statuses that the caller does not expect into failures.
    async fn judge(&self, ask: &Ask<'_>, response: Response) -> Result<Response, Failure> {
        let status = response.status();
        if status.is_success() || ask.expects.contains(&status.as_u16()) {
            return Ok(response);
        }
        Err(self.failure_of(response).await)
    }

    pub async fn failure_of(&self, response: Response) -> Failure {
        let status = response.status();
        let now = self.clock.since_epoch();
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after.and_then(|value| retry_after(value, now));
        let body =
            timeout(self.limits.answer, read_start(response, MAX_ERROR_BYTES)).await.unwrap_or_default();
        let envelope: Option<OciEnvelope> = serde_json::from_slice(&body).ok();
        let limited = envelope.as_ref().is_some_and(|envelope| {
            envelope.errors.iter().any(|error| error.code == OciErrorCode::Toomanyrequests)
        });
        match status.as_u16() {
            404 => Failure::NotFound,
            429 => Failure::Limited(after),
            _ if limited => Failure::Limited(after),
            401 | 403 => Failure::Unauthorized,
            code => {
                let said = match &envelope {
                    Some(envelope) => {
                        envelope.errors.iter().map(|e| e.message.as_str()).collect::<Vec<_>>().join("; ")
                    }
                    None => String::from_utf8_lossy(&body).into_owned(),
                };
                let said: String = said.trim().chars().take(SHOWN_ERROR_CHARS).collect();
                let reason = if said.is_empty() { status.to_string() } else { format!("{status}: {said}") };
                if may_pass(code) { Failure::Passing { reason, after } } else { Failure::Lasting(reason) }
            }
        }
    }

    async fn ask_token(&self, request: TokenRequest) -> Result<TokenAnswer, Failure> {
        let service = request.url.host_str().unwrap_or_default().to_owned();
        let mut builder = match request.form {
            Some(form) => self
                .client
                .post(request.url)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form),
            None => self.client.get(request.url),
        };
        if let Some(value) = request.authorization {
            builder = builder.header(AUTHORIZATION, value);
        }
        let response = self.send(builder).await?;
        if !response.status().is_success() {
            return Err(match self.failure_of(response).await {
                // A service that knows no such service, scope or refresh token says so in many ways.
                Failure::NotFound | Failure::Unauthorized | Failure::Lasting(_) => Failure::Unauthorized,
                Failure::Passing { reason, after } => {
                    Failure::Passing { reason: format!("token service {service}: {reason}"), after }
                }
                other => other,
            });
        }
        let bytes = read_all(response, MAX_TOKEN_BYTES).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Failure::Wrong(format!("token service {service} gives no token: {error}")))
    }
}

/// The whole body; one that is longer than `limit` is refused as soon as that shows.
async fn read_all(mut response: Response, limit: usize) -> Result<Bytes, Failure> {
    let too_long = || Failure::Wrong(format!("it is longer than {limit} bytes"));
    if response.content_length().is_some_and(|len| len > limit as u64) {
        return Err(too_long());
    }
    let mut bytes = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(|error| network_failure(&error))? {
        if bytes.len() + piece.len() > limit {
            return Err(too_long());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

/// The first `limit` bytes of a body, as far as they come.
async fn read_start(mut response: Response, limit: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < limit
        && let Ok(Some(piece)) = response.chunk().await
    {
        bytes.extend_from_slice(&piece);
    }
    bytes.truncate(limit);
    bytes
}

/// What a failed connection means.
pub(super) fn network_failure(error: &reqwest::Error) -> Failure {
    let reason = with_causes(error);
    // Certificates do not get better by asking again, but clocks and rotations do: only those failures
    // last that this side decided on.
    if error.is_redirect() || error.is_builder() {
        return Failure::Lasting(reason);
    }
    Failure::passing(reason)
}

/// An error with everything that led to it; the outermost often says nothing. Addresses are left out,
/// since they may hold signatures of storage services.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = match error.downcast_ref::<reqwest::Error>() {
        Some(request) if request.is_timeout() => "timed out".to_owned(),
        Some(request) if request.is_connect() => "no connection".to_owned(),
        Some(request) if request.is_redirect() => "refused to follow".to_owned(),
        Some(_) => "the connection failed".to_owned(),
        None => error.to_string(),
    };
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !said.is_empty() && !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = inner.source();
    }
    text
}
