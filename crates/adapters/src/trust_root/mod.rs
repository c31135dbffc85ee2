//! Whose certificates, logs and timestamps count for keyless signatures, and where that is known from.
//!
//! | from | what it is | changes |
//! |---|---|---|
//! | file | what the operator gives: another instance of Sigstore, or none but his own | with a restart |
//! | embedded | the public instance as of [`EMBEDDED_DATE`], inside of this program | with a release of ours |
//! | update | the public instance by The Update Framework, kept on disk | in the background, daily |
//!
//! No request waits for the network, and none is needed: without an answer from outside, what was known last
//! stays. What is older than that, or not signed by whom it must be, is never taken.

mod updates;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use factory_formats::Digest;
use sigstore_verify::Verifier;
use sigstore_verify::trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};

pub use updates::{PUBLIC_MIRROR, Updates};

/// When the embedded trusted root was taken from the public instance.
pub const EMBEDDED_DATE: &str = "2026-10-23";

/// Time between two looks for an update.
const PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// Time until the next look when there was no answer.
const RETRY: Duration = Duration::from_secs(60 * 60);

/// The trusted root as of now.
pub struct TrustRoot {
    current: ArcSwap<Material>,
    updates: Option<Updates>,
    /// What tells this root from others, whatever their state.
    name: String,
}

/// One state of a trusted root, ready to verify with.
pub struct Material {
    verifier: Verifier,
    /// Digest of its content, however it was written down.
    digest: Digest,
    origin: Origin,
}

/// Where a trusted root is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file of the operator.
    File(PathBuf),
    /// This program.
    Embedded,
    /// The repository of updates, kept on disk.
    Kept,
    /// The repository of updates, just now.
    Fetched,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Embedded => write!(f, "what is embedded in this program, of {EMBEDDED_DATE}"),
            Self::Kept => f.write_str("the last update, kept on disk"),
            Self::Fetched => f.write_str("an update"),
        }
    }
}

/// Why there is no trusted root, or no newer one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustRootError {
    /// The file cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is no trusted root, or one that nothing can be verified with.
    #[error("{origin} is no trusted root: {reason}")]
    Invalid {
        /// Where it is from.
        origin: Origin,
        /// What is wrong with it.
        reason: String,
    },
    /// The repository of updates did not answer, or not with what can be trusted.
    #[error("no update of the trusted root from {mirror}: {reason}")]
    Update {
        /// Address of the repository.
        mirror: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no HTTP client.
    #[error("no client for updates of the trusted root: {0}")]
    Client(String),
}

/// What a look for an update led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// There is a new one.
    Changed,
    /// It is the same.
    Unchanged,
    /// There is nowhere to look.
    Fixed,
}

impl Material {
    fn read(json: &str, origin: Origin) -> Result<Self, TrustRootError> {
        match TrustedRoot::from_json(json) {
            Ok(root) => Self::of(&root, origin),
            Err(error) => Err(TrustRootError::Invalid { origin, reason: error.to_string() }),
        }
    }

    fn of(root: &TrustedRoot, origin: Origin) -> Result<Self, TrustRootError> {
        let invalid = |reason: String| TrustRootError::Invalid { origin: origin.clone(), reason };
        // Without these no keyless signature can ever be accepted: better said at once.
        for (what, missing) in [
            ("certificate authority", root.certificate_authorities.is_empty()),
            ("transparency log", root.tlogs.is_empty()),
            ("certificate log", root.ctlogs.is_empty()),
        ] {
            if missing {
                return Err(invalid(format!("it names no {what}")));
            }
        }
        let verifier = Verifier::new(root).map_err(|error| invalid(error.to_string()))?;
        let json = serde_json::to_vec(root).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { verifier, digest: Digest::of(&json), origin })
    }

    /// Verifies by this state.
    pub(crate) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Where it is from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Digest of its content, however it was written down.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl TrustRoot {
    /// What the operator gives: a `trusted_root.json`.
    ///
    /// # Errors
    /// [`TrustRootError`] when it cannot be used.
    pub fn from_file(path: &Path) -> Result<Self, TrustRootError> {
        let read = std::fs::read_to_string(path);
        let json = read.map_err(|error| TrustRootError::Unreadable { path: path.to_owned(), error })?;
        let material = Material::read(&json, Origin::File(path.to_owned()))?;
        let name = format!("file {}", material.digest);
        Ok(Self { current: ArcSwap::from_pointee(material), updates: None, name })
    }

    /// The public instance: what the last update left on disk, or else what is embedded. The network is not
    /// asked here.
    ///
    /// # Errors
    /// [`TrustRootError`] when what is embedded cannot be used.
    pub async fn public(updates: Option<Updates>) -> Result<Self, TrustRootError> {
        let mut material = Material::read(SIGSTORE_PRODUCTION_TRUSTED_ROOT, Origin::Embedded)?;
        if let Some(updates) = &updates {
            match updates.kept().await {
                Ok(Some(kept)) => material = kept,
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "the kept trusted root is not used"),
            }
        }
        let name = "public".to_owned();
        Ok(Self { current: ArcSwap::from_pointee(material), updates, name })
    }

    /// The state that counts now.
    pub fn current(&self) -> Arc<Material> {
        self.current.load_full()
    }

    /// What tells this root from others. Updates do not change it: they come from the same authority.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Looks for an update once.
    ///
    /// # Errors
    /// [`TrustRootError`]; what was there stays.
    pub async fn refresh(&self) -> Result<Refreshed, TrustRootError> {
        let Some(updates) = &self.updates else { return Ok(Refreshed::Fixed) };
        let material = updates.fetch().await?;
        if material.digest == self.current().digest {
            return Ok(Refreshed::Unchanged);
        }
        self.current.store(Arc::new(material));
        Ok(Refreshed::Changed)
    }

    /// Looks for updates for ever, now and daily; hourly while there is no answer.
    pub async fn keep_fresh(self: Arc<Self>) {
        loop {
            let pause = match self.refresh().await {
                Ok(Refreshed::Fixed) => return,
                Ok(Refreshed::Unchanged) => PERIOD,
                Ok(Refreshed::Changed) => {
                    tracing::info!(digest = %self.current().digest, "the trusted root was updated");
                    PERIOD
                }
                Err(error) => {
                    let using = self.current();
                    tracing::warn!(%error, using = %using.origin, "the trusted root stays as it is");
                    RETRY
                }
            };
            tokio::time::sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever takes newer data has to say of when they are.
    #[test]
    fn the_embedded_root_is_that_of_its_date() {
        let expected = "6494e21ea73fa7ee769f85f57d5a3e6a08725eae1e38c755fc3517c9e6bc0b66";
        assert_eq!(
            Digest::of(SIGSTORE_PRODUCTION_TRUSTED_ROOT.as_bytes()).hex(),
            expected,
            "of {EMBEDDED_DATE}"
        );
        assert!(Material::read(SIGSTORE_PRODUCTION_TRUSTED_ROOT, Origin::Embedded).is_ok());
    }

    #[test]
    fn roots_that_nothing_can_be_verified_with_are_refused() {
        let whole: serde_json::Value = serde_json::from_str(SIGSTORE_PRODUCTION_TRUSTED_ROOT).unwrap();
        let without = |key: &str| {
            let mut changed = whole.clone();
            changed[key] = serde_json::json!([]);
            changed.to_string()
        };
        for json in
            ["", "{}", "[]", &without("tlogs"), &without("ctlogs"), &without("certificateAuthorities")]
        {
            assert!(
                matches!(Material::read(json, Origin::Embedded), Err(TrustRootError::Invalid { .. })),
                "{json}"
            );
        }
        assert!(Material::read(&without("timestampAuthorities"), Origin::Embedded).is_ok());
    }
}
