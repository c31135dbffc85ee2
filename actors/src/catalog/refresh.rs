//! Reading the lists anew, and keeping them over restarts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use factory_domain::catalog::{ExtensionCatalog, OverlayCatalog, talosctl_files};
use factory_domain::ports::{Record, RecordKey, RecordKind, Reference, Repository, SourceError, StoreError};
use factory_domain::version::usable_versions;
use factory_domain::{Arch, TalosVersion};

use super::{CatalogError, State, TalosctlFiles, VersionList};
use crate::flights::Flight;
use crate::sources::{FetchFiles, ImageRef, Selection, SourceFiles};

/// Longest catalogue file that is read into memory, in bytes. Real ones have a few ten thousand.
const MAX_FILE: u64 = 4 << 20;

/// Texts of a catalogue image by file name, as they are kept in the store.
type Texts = BTreeMap<String, String>;

impl State {
    pub(super) fn now(&self) -> Duration {
        self.clock.since_epoch()
    }

    /// Reads the list of versions again; what is known stays in force until then, and when that fails.
    pub(super) fn refresh_versions(this: &Arc<Self>) -> Flight<Arc<VersionList>, CatalogError> {
        let state = Arc::clone(this);
        this.versions.join((), "reading the list of versions", move || async move {
            let outcome = state.read_tags().await;
            let label = if outcome.is_ok() { "read" } else { "failed" };
            metrics::counter!("image_factory_catalog_refreshes_total", "outcome" => label).increment(1);
            match outcome {
                Ok(tags) => {
                    let list = state.offer(&tags);
                    state.lists.set_versions(Arc::clone(&list));
                    let text = serde_json::to_string(&tags).unwrap_or_default();
                    state.keep(state.versions_key(), "list of versions".to_owned(), text).await?;
                    Ok(list)
                }
                Err(error) => {
                    tracing::warn!(%error, "the list of versions cannot be read");
                    state.lists.versions().ok_or(CatalogError::NoList(error))
                }
            }
        })
    }

    async fn read_tags(&self) -> Result<Vec<String>, SourceError> {
        let repository = self.pull_name(&self.options.components.imager)?;
        self.source.list_tags(&repository).await
    }

    /// What is offered of these tags under the rules in force now.
    fn offer(&self, tags: &[String]) -> Arc<VersionList> {
        let (min, broken) = (&self.options.min_version, &self.options.broken);
        let versions = usable_versions(tags.iter().map(String::as_str), min, broken);
        Arc::new(VersionList { versions, broken: broken.clone() })
    }

    /// Takes up what an earlier process kept.
    pub(super) fn recall(&self) {
        let known = self.store.record(&self.versions_key()).ok().flatten();
        let tags = known.and_then(|record| serde_json::from_str::<Vec<String>>(&record.value).ok());
        if let Some(tags) = tags {
            self.lists.set_versions(self.offer(&tags));
        }
    }

    pub(super) fn refresh_extensions(
        this: &Arc<Self>,
        version: &TalosVersion,
    ) -> Flight<Arc<ExtensionCatalog>, CatalogError> {
        let (state, of) = (Arc::clone(this), version.clone());
        let what = format!("reading the extensions of {version}");
        this.extensions.join(version.clone(), &what, move || async move {
            let repository = state.options.components.extensions.clone();
            let (texts, is_fresh) =
                state.texts(&repository, &of, &["image-digests", "descriptions.yaml"]).await?;
            let text = |name: &str| texts.get(name).map(|text| text.as_bytes());
            let list =
                ExtensionCatalog::parse(text("image-digests").unwrap_or_default(), text("descriptions.yaml"))
                    .map_err(|source| CatalogError::Invalid { version: of.clone(), source })?;
            let list = Arc::new(list);
            state.lists.set_extensions(of, Arc::clone(&list), state.until(is_fresh));
            Ok(list)
        })
    }

    pub(super) fn refresh_overlays(
        this: &Arc<Self>,
        version: &TalosVersion,
    ) -> Flight<Arc<OverlayCatalog>, CatalogError> {
        let (state, of) = (Arc::clone(this), version.clone());
        let what = format!("reading the overlays of {version}");
        this.overlays.join(version.clone(), &what, move || async move {
            let repository = state.options.components.overlays.clone();
            let (texts, is_fresh) = state.texts(&repository, &of, &["overlays.yaml"]).await?;
            let text = texts.get("overlays.yaml").map(|text| text.as_bytes());
            let list = OverlayCatalog::parse(text.unwrap_or_default())
                .map_err(|source| CatalogError::Invalid { version: of.clone(), source })?;
            let list = Arc::new(list);
            state.lists.set_overlays(of, Arc::clone(&list), state.until(is_fresh));
            Ok(list)
        })
    }

    pub(super) fn find_talosctl(
        this: &Arc<Self>,
        version: &TalosVersion,
    ) -> Flight<Arc<TalosctlFiles>, CatalogError> {
        let (state, of) = (Arc::clone(this), version.clone());
        let what = format!("fetching talosctl {version}");
        this.talosctl.join(version.clone(), &what, move || async move {
            let repository = state.options.components.talosctl.clone();
            let files = state.fetch(&repository, &of, Selection::TopLevel("talosctl-")).await?;
            let names = talosctl_files(files.files.keys().map(String::as_str))
                .map_err(|source| CatalogError::InvalidTalosctl { version: of, source })?;
            let with_file = |name: factory_domain::catalog::Talosctl| {
                let file = *files.files.get(&name.file)?;
                Some((name, file))
            };
            Ok(Arc::new(names.into_iter().filter_map(with_file).collect()))
        })
    }

    /// The texts of a catalogue image: from the source, else those kept from the last time. The second
    /// value says which.
    async fn texts(
        &self,
        repository: &Repository,
        version: &TalosVersion,
        names: &[&str],
    ) -> Result<(Texts, bool), CatalogError> {
        let key = self.texts_key(repository, version);
        let error = match self.read_texts(repository, version, names).await {
            Ok(texts) => {
                let value = serde_json::to_string(&texts).unwrap_or_default();
                self.keep(key, format!("{repository} of {version}"), value).await?;
                return Ok((texts, true));
            }
            Err(error) => error,
        };
        let known = self.store.record(&key)?;
        match known.and_then(|record| serde_json::from_str(&record.value).ok()) {
            Some(texts) => {
                tracing::warn!(%repository, %version, %error, "serving the list read earlier");
                Ok((texts, false))
            }
            None => Err(error),
        }
    }

    async fn read_texts(
        &self,
        repository: &Repository,
        version: &TalosVersion,
        names: &[&str],
    ) -> Result<Texts, CatalogError> {
        let files = self.fetch(repository, version, Selection::TopLevel("")).await?;
        let wanted: Vec<_> =
            names.iter().filter_map(|name| Some(((*name).to_owned(), *files.files.get(*name)?))).collect();
        let store = Arc::clone(&self.store);
        let texts =
            self.workers
                .run("reading a catalogue", move || {
                    let mut texts = Texts::new();
                    for (name, file) in wanted {
                        let mut bytes = vec![0; file.size.min(MAX_FILE + 1) as usize];
                        store.read_exact_at(&file.digest, 0, &mut bytes).map_err(|error| {
                            StoreError::Failed { what: format!("reading {name}"), reason: error.to_string() }
                        })?;
                        texts.insert(name, String::from_utf8_lossy(&bytes).into_owned());
                    }
                    Ok::<_, StoreError>(texts)
                })
                .await??;
        Ok(texts)
    }

    async fn fetch(
        &self,
        repository: &Repository,
        version: &TalosVersion,
        selection: Selection,
    ) -> Result<Arc<SourceFiles>, CatalogError> {
        let image = ImageRef {
            repository: self.pull_name(repository).map_err(crate::sources::FetchError::from)?,
            reference: Reference::Tag(version.tag()),
        };
        // Lists do not differ between platforms.
        Ok(self.fetcher.ask(FetchFiles { image, arch: Arch::Amd64, selection }).await?)
    }

    fn pull_name(&self, repository: &Repository) -> Result<Repository, SourceError> {
        repository.under(&self.options.registry.namespace).map_err(|error| SourceError::Invalid {
            what: "artifacts.core.namespace".to_owned(),
            source_name: "the configuration".to_owned(),
            reason: error.to_string(),
        })
    }

    async fn keep(&self, key: RecordKey, label: String, value: String) -> Result<(), CatalogError> {
        let store = Arc::clone(&self.store);
        let record = Record { key, label, value, blobs: Vec::new() };
        Ok(self.workers.run("keeping a list", move || store.save(record)).await??)
    }

    /// A list that could not be read anew is tried again soon.
    fn until(&self, is_fresh: bool) -> Duration {
        let age = if is_fresh { self.options.recheck } else { self.options.recheck / 10 };
        self.now() + age
    }

    fn versions_key(&self) -> RecordKey {
        self.memory_key("versions/v1", &self.options.components.imager)
    }

    fn texts_key(&self, repository: &Repository, version: &TalosVersion) -> RecordKey {
        self.memory_key(&format!("catalogue/v1 {}", version.tag()), repository)
    }

    fn memory_key(&self, what: &str, repository: &Repository) -> RecordKey {
        let subject =
            format!("{what} {} {} {repository}", self.source.name(), self.options.registry.namespace);
        RecordKey::new(RecordKind::Memory, &subject)
    }
}
