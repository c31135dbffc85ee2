//! Authorization for one registry: which header goes with a request, and where it comes from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use factory_domain::ports::Clock;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use url::Url;

use super::challenge::Challenge;
use super::credentials::{Credential, CredentialFiles};
use super::endpoint::Failure;
use super::location::Location;
use super::options::HostOptions;

/// Lifetime of a token that does not say (Docker's token specification).
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);

/// A token is renewed this long before it ends, so that it does not end on the way.
const RENEW_BEFORE: Duration = Duration::from_secs(10);

/// No token is used for longer, whatever the service says.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What this calls itself to token services that ask.
const CLIENT_ID: &str = "image-factory";

/// Headers for the repositories of one registry.
pub(super) struct Authorization {
    location: Location,
    host: HostOptions,
    files: CredentialFiles,
    refresh_every: Duration,
    helper_limit: Duration,
    clock: Arc<dyn Clock>,
    repositories: Mutex<HashMap<String, Arc<Slot>>>,
}

/// What is known about one repository. Held while it is being renewed, so that this is done once.
type Slot = tokio::sync::Mutex<Known>;

#[derive(Default)]
struct Known {
    header: Option<Header>,
    credential: Option<(Credential, Duration)>,
}

#[derive(Clone)]
struct Header {
    value: HeaderValue,
    /// Time since 1970 from which it is not used any more.
    until: Duration,
}

/// A request for a token.
pub(super) struct TokenRequest {
    /// The token service, scope and service in the query unless it is a form.
    pub url: Url,
    /// Sent with the request, if we are somebody.
    pub authorization: Option<HeaderValue>,
    /// Body of a POST; a GET otherwise.
    pub form: Option<String>,
}

/// What a token service answers.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    /// Seconds; some services write other things, which are as good as nothing.
    #[serde(default)]
    expires_in: serde_json::Value,
}

impl Authorization {
    pub fn new(
        location: Location,
        host: HostOptions,
        files: CredentialFiles,
        refresh_every: Duration,
        helper_limit: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { location, host, files, refresh_every, helper_limit, clock, repositories: Mutex::default() }
    }

    /// The header that worked last time, while it lasts.
    pub async fn current(&self, repository: &str) -> Option<HeaderValue> {
        let slot = self.slot(repository);
        let known = slot.lock().await;
        let now = self.clock.since_epoch();
        known.header.as_ref().filter(|header| now < header.until).map(|header| header.value.clone())
    }

    /// A header that meets the challenge, other than `refused`, or `None` when we have nothing to show.
    /// `ask` makes the request for a token.
    pub async fn meet<F: Future<Output = Result<TokenAnswer, Failure>>>(
        &self,
        repository: &str,
        challenge: Challenge,
        refused: Option<&HeaderValue>,
        secure: bool,
        ask: impl FnOnce(TokenRequest) -> F,
    ) -> Result<Option<HeaderValue>, Failure> {
        let slot = self.slot(repository);
        let mut known = slot.lock().await;
        let now = self.clock.since_epoch();
        if let Some(header) = known.header.as_ref().filter(|header| now < header.until)
            && Some(&header.value) != refused
        {
            // Somebody else has renewed it meanwhile.
            return Ok(Some(header.value.clone()));
        }
        known.header = None;
        let credential = match &known.credential {
            Some((credential, until)) if now < *until => credential.clone(),
            _ => self.look_up(repository).await,
        };
        known.credential = Some((credential.clone(), now + self.refresh_every));
        let header = match challenge {
            Challenge::Basic => match &credential {
                Credential::Basic { user, password } => {
                    Some(Header { value: basic(user, password)?, until: now + self.refresh_every })
                }
                _ => None,
            },
            Challenge::Bearer { realm, service, scope } => {
                let value = match &credential {
                    Credential::Access(token) => {
                        Header { value: bearer(token)?, until: now + self.refresh_every }
                    }
                    _ => {
                        let request =
                            self.token_request(repository, &realm, service, scope, &credential, secure)?;
                        let answer = ask(request).await?;
                        let lifetime =
                            answer.expires_in.as_u64().map_or(DEFAULT_LIFETIME, Duration::from_secs);
                        let lifetime = lifetime.min(MAX_LIFETIME);
                        let lifetime = lifetime.saturating_sub(RENEW_BEFORE).max(Duration::from_secs(1));
                        let text = if answer.token.is_empty() { &answer.access_token } else { &answer.token };
                        Header { value: bearer(text)?, until: now + lifetime }
                    }
                };
                Some(value)
            }
        };
        known.header.clone_from(&header);
        Ok(header.map(|header| header.value))
    }

    fn slot(&self, repository: &str) -> Arc<Slot> {
        let mut repositories = self.repositories.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(repositories.entry(repository.to_owned()).or_default())
    }

    /// Looks for a credential where that may block. One that cannot be used is as good as none: what is
    /// public can still be read, and what is not is refused with a hint at the credentials.
    async fn look_up(&self, repository: &str) -> Credential {
        let (files, host, location) = (self.files.clone(), self.host.clone(), self.location.clone());
        let path = repository.to_owned();
        let look = tokio::task::spawn_blocking(move || files.find(&host, &location, &path));
        let reason = match tokio::time::timeout(self.helper_limit, look).await {
            Ok(Ok(Ok(credential))) => return credential,
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the credential helper does not answer".to_owned(),
        };
        tracing::warn!(registry = %self.location, %reason, "credentials cannot be used, going on without");
        Credential::Anonymous
    }

    fn token_request(
        &self,
        repository: &str,
        realm: &str,
        service: Option<String>,
        scope: Option<String>,
        credential: &Credential,
        secure: bool,
    ) -> Result<TokenRequest, Failure> {
        let bad = |reason: &str| Failure::Wrong(format!("it names the token service {realm:?}: {reason}"));
        let mut url = Url::parse(realm).map_err(|error| bad(&error.to_string()))?;
        match url.scheme() {
            "https" => {}
            "http" if !secure => {}
            _ => return Err(bad("a registry with TLS must not send credentials elsewhere without")),
        }
        let path = self.location.path_of(repository);
        let scope =
            scope.filter(|scope| !scope.is_empty()).unwrap_or_else(|| format!("repository:{path}:pull"));
        let mut fields = vec![("scope", scope)];
        fields.extend(service.map(|service| ("service", service)));
        match credential {
            Credential::Identity(token) => {
                fields.push(("grant_type", "refresh_token".to_owned()));
                fields.push(("client_id", CLIENT_ID.to_owned()));
                fields.push(("refresh_token", token.clone()));
                let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
                Ok(TokenRequest { url, authorization: None, form: Some(form) })
            }
            Credential::Basic { user, password } => {
                url.query_pairs_mut().extend_pairs(fields);
                Ok(TokenRequest { url, authorization: Some(basic(user, password)?), form: None })
            }
            Credential::Anonymous | Credential::Access(_) => {
                url.query_pairs_mut().extend_pairs(fields);
                Ok(TokenRequest { url, authorization: None, form: None })
            }
        }
    }
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, Failure> {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    header(format!("Basic {pair}"))
}

fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    if token.is_empty() {
        return Err(Failure::Wrong("its token service gives no token".to_owned()));
    }
    header(format!("Bearer {token}"))
}

fn header(text: String) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| Failure::Wrong("its token or our credential cannot be sent in a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
