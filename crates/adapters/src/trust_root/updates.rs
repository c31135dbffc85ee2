//! Updates of the public trusted root by The Update Framework (TUF).

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use sigstore_verify::trust_root::{SigstoreInstance, TrustedRoot, TufBootstrap, TufConfig};

use super::{EMBEDDED_DATE, Material, Origin, TrustRootError};

/// Where the public instance publishes its updates.
pub const PUBLIC_MIRROR: &str = "https://tuf-repo-cdn.sigstore.dev";

/// Longest time for one file of an update.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The file whose age says when the last update was.
const TIMESTAMP: &str = "timestamp.json";

/// A repository of updates, and the directory where verified updates are kept.
///
/// Every version of every file there is signed, and what is in the directory is never followed by something
/// older: a mirror cannot bring back a root that was replaced.
pub struct Updates {
    mirror: String,
    directory: PathBuf,
    config: TufConfig,
}

impl Updates {
    /// Updates of the public instance from `mirror`, kept in `directory`.
    ///
    /// # Errors
    /// [`TrustRootError::Client`].
    pub fn public(mirror: &str, directory: &Path) -> Result<Self, TrustRootError> {
        Self::signed_by(SigstoreInstance::PublicGood.tuf_root(), mirror, directory)
    }

    /// Updates that are signed by whom `root`, a `root.json` of TUF, names.
    ///
    /// # Errors
    /// [`TrustRootError::Client`].
    pub fn signed_by(root: &[u8], mirror: &str, directory: &Path) -> Result<Self, TrustRootError> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("image-factory/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| TrustRootError::Client(error.to_string()))?;
        let config = TufConfig::custom(mirror, TufBootstrap::trusted(root))
            .with_cache_dir(directory.to_owned())
            .with_http_client(client);
        Ok(Self { mirror: mirror.to_owned(), directory: directory.to_owned(), config })
    }

    /// What the mirror has now, verified.
    pub(super) async fn fetch(&self) -> Result<Material, TrustRootError> {
        let root = TrustedRoot::from_tuf(self.config.clone()).await.map_err(|error| self.failed(&error))?;
        Material::of(&root, Origin::Fetched)
    }

    /// What the last update left, verified again. None when there was none, or none since the program was made.
    pub(super) async fn kept(&self) -> Result<Option<Material>, TrustRootError> {
        let path = self.directory.join(TIMESTAMP);
        let modified = match tokio::fs::metadata(&path).await.and_then(|metadata| metadata.modified()) {
            Ok(modified) => modified,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TrustRootError::Unreadable { path, error }),
        };
        let modified = Timestamp::try_from(modified).map_err(|error| self.failed(&error))?;
        let embedded: Timestamp =
            format!("{EMBEDDED_DATE}T00:00:00Z").parse().map_err(|error: jiff::Error| self.failed(&error))?;
        if modified < embedded {
            return Ok(None);
        }
        let offline = || self.config.clone().offline();
        let root = match TrustedRoot::from_tuf(offline()).await {
            Ok(root) => root,
            Err(error) => {
                // It was good when it came. A newer one may exist, and without the network nobody can know;
                // refusing it would put an older one in its place.
                let root = TrustedRoot::from_tuf_at(offline(), modified).await;
                let root = root.map_err(|error| self.failed(&error))?;
                tracing::warn!(%error, since = %modified, "the kept trusted root has expired and is used all the same");
                root
            }
        };
        Material::of(&root, Origin::Kept).map(Some)
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> TrustRootError {
        TrustRootError::Update { mirror: self.mirror.clone(), reason: error.to_string() }
    }
}
