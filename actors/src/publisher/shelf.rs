//! Shelves: what was published in each repository, kept in the store.

use std::sync::Arc;

use factory_domain::TalosVersion;
use factory_domain::ports::{Record, RecordKey, RecordKind};
use factory_formats::Digest;
use serde::{Deserialize, Serialize};

use super::edition::{Attestation, Edition, Signed};
use super::signing::evidence;
use super::{InstallerRepository, PublishError, State};

/// Editions remembered of one repository. There are some hundred versions, and more than one edition of a
/// version only when keys or the factory itself changed.
const MAX_EDITIONS: usize = 2000;

/// What was published in a repository, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Shelf {
    pub editions: Vec<Edition>,
}

fn key(repository: &InstallerRepository) -> RecordKey {
    // Never evicted: clients hold digests for as long as they like.
    RecordKey::new(RecordKind::Memory, &format!("installers/v1 {repository}"))
}

impl State {
    /// Full name of a repository, as signatures tell it.
    pub(super) fn full_name(&self, repository: &InstallerRepository) -> String {
        format!("{}/{repository}", self.host)
    }

    /// What was published in a repository. A record that cannot be read is as good as none.
    pub(super) fn shelf(&self, repository: &InstallerRepository) -> Result<Shelf, PublishError> {
        let record = self.store.record(&key(repository))?;
        let shelf = record.and_then(|record| {
            let read = serde_json::from_str(&record.value);
            read.inspect_err(|error| tracing::warn!(%repository, %error, "an unreadable record")).ok()
        });
        Ok(shelf.unwrap_or_default())
    }

    /// Puts an edition on its shelf, in place of the same image with other attestations.
    pub(super) async fn keep(
        &self,
        repository: &InstallerRepository,
        edition: Edition,
    ) -> Result<(), PublishError> {
        let _guard = self.shelving.lock().await;
        let mut shelf = self.shelf(repository)?;
        match shelf.editions.iter_mut().find(|kept| kept.is_same_image(&edition)) {
            Some(kept) => *kept = edition,
            None => shelf.editions.push(edition),
        }
        let surplus = shelf.editions.len().saturating_sub(MAX_EDITIONS);
        shelf.editions.drain(..surplus);
        let record = Record {
            key: key(repository),
            label: format!("installers {repository}"),
            value: serde_json::to_string(&shelf).unwrap_or_default(),
            blobs: Vec::new(),
        };
        let store = Arc::clone(&self.store);
        self.workers.run("remembering an installer", move || store.save(record)).await??;
        Ok(())
    }

    /// The version whose image a digest belongs to, the image of the newest edition if there are several.
    pub(super) async fn version_of(
        self: &Arc<Self>,
        repository: &InstallerRepository,
        digest: &Digest,
    ) -> Result<Option<TalosVersion>, PublishError> {
        let (state, repository, digest) = (Arc::clone(self), repository.clone(), *digest);
        // A shelf may be long, and anybody may ask for what is on none.
        let find = move || {
            let shelf = state.shelf(&repository)?;
            let found = shelf.editions.iter().rev().find(|edition| belongs(edition, &digest));
            Ok(found.and_then(|edition| TalosVersion::parse(&edition.version).ok()))
        };
        self.workers.run("looking for a digest", find).await?
    }
}

/// Whether a digest belongs to an edition: to the image itself, or to what is signed about it.
fn belongs(edition: &Edition, digest: &Digest) -> bool {
    let shows = |(media_type, signed): (&'static str, &Signed)| {
        let evidence = evidence(&edition.name, &edition.key, signed, media_type);
        evidence.documents().iter().any(|document| document.digest == *digest)
    };
    let attests = |attestation: &Attestation| {
        let attached = edition.attached(attestation);
        attestation.bundle == *digest
            || attached.is_some_and(|(_, referrer)| referrer.manifest.digest == *digest)
    };
    edition.names(digest) || edition.signed().any(shows) || edition.attestations.iter().any(attests)
}
