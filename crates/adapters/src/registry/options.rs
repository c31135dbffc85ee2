//! How registries are talked to.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use factory_domain::ports::Clock;

use super::credentials::CredentialFiles;
use super::location::{InvalidLocation, Location};
use super::retry::RetryPolicy;
use crate::clock::SystemClock;

/// The host of an entry that is meant for all registries without one of their own.
pub const ANY_HOST: &str = "*";

/// How registries are talked to.
#[derive(Clone)]
pub struct RegistryOptions {
    /// What is known about single registries.
    pub hosts: Vec<HostOptions>,
    /// Where credentials are looked for when an entry of [`Self::hosts`] has none.
    pub credentials: CredentialFiles,
    /// How long credentials are used before they are looked up again; rotated files are picked up then.
    pub refresh_credentials_every: Duration,
    /// When requests are made again.
    pub retry: RetryPolicy,
    /// When requests are given up.
    pub limits: Limits,
    /// Tells when tokens expire.
    pub clock: Arc<dyn Clock>,
    /// What this calls itself.
    pub user_agent: String,
}

/// When requests are given up, and how many are made at once.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Until a connection stands.
    pub connect: Duration,
    /// Between sending a request and the first byte of the answer's head.
    pub answer: Duration,
    /// Between two pieces of a blob.
    pub idle: Duration,
    /// For the whole of a document: a manifest, a list, a token.
    pub document: Duration,
    /// For a program that knows credentials.
    pub credential_helper: Duration,
    /// Transfers that are under way at once with one registry; at least 1.
    pub parallel: usize,
}

/// What is known about one registry.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// Host, with its port if it has one, or [`ANY_HOST`].
    pub host: String,
    /// Speak HTTP without TLS, or do not; `None` leaves that to the scheme rule.
    pub plain_http: Option<bool>,
    /// PEM files with certificates to trust besides those of the system.
    pub ca_files: Vec<PathBuf>,
    /// Accept any certificate.
    pub skip_verify: bool,
    /// User name; needs [`Self::password`].
    pub username: String,
    /// Where the password is.
    pub password: Option<Password>,
    /// Asked first, in this order: `harbor.example.com/ghcr`.
    pub mirrors: Vec<String>,
}

/// A password or token.
#[derive(Clone)]
pub enum Password {
    /// In a file, read again whenever credentials are refreshed. White space around it is dropped.
    File(PathBuf),
    /// Itself.
    Value(String),
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Value(_) => f.write_str("Value(…)"),
        }
    }
}

/// Why a registry cannot be used as configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryConfigError {
    /// No registry is called that.
    #[error(transparent)]
    Location(#[from] InvalidLocation),
    /// A file with certificates cannot be used.
    #[error("the certificates for registry {host} in {path} cannot be used: {reason}")]
    Certificates {
        /// The registry.
        host: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The machine's TLS set-up does not work.
    #[error("no connection to registry {host} can be prepared: {reason}")]
    Client {
        /// The registry.
        host: String,
        /// What is wrong.
        reason: String,
    },
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            credentials: CredentialFiles::from_environment(),
            refresh_credentials_every: Duration::from_secs(5 * 60),
            retry: RetryPolicy::default(),
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
            user_agent: concat!("image-factory/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            document: Duration::from_secs(120),
            credential_helper: Duration::from_secs(15),
            parallel: 64,
        }
    }
}

impl RegistryOptions {
    /// The entry for a registry: its own, else that for any.
    pub(super) fn host(&self, location: &Location) -> HostOptions {
        let named = |name: &str| self.hosts.iter().find(|entry| entry.host.eq_ignore_ascii_case(name));
        named(location.host()).or_else(|| named(ANY_HOST)).cloned().unwrap_or_default()
    }
}
