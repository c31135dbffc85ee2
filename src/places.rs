//! Where things live outside of the embedded store: which adapter stands for which setting.

use std::sync::Arc;
use std::time::Duration;

use factory_actors::publisher::{Elsewhere, InstallerRegistry};
use factory_adapters::bucket::{Bucket, BucketOptions, BucketRecords, BucketSchematics, S3Cache};
use factory_adapters::records::{RegistryRecords, SignedRecords};
use factory_adapters::registry::{RegistryOptions, RegistrySource, RetryPolicy, is_local};
use factory_adapters::registry_cache::RegistryCache;
use factory_adapters::schematics::{RegistrySchematics, SharedSchematics};
use factory_domain::ports::{AssetCache, SchematicStore, SharedRecords, Signer};

use crate::settings::{OciRepository, Place, Settings};
use crate::wiring::registry_options;

/// The places that the settings name.
pub struct Places {
    /// Schematics.
    pub schematics: Arc<dyn SchematicStore>,
    /// Whole assets; the first is asked first.
    pub caches: Vec<Arc<dyn AssetCache>>,
    /// Installers.
    pub installers: Elsewhere,
}

/// Wait before a place is asked a second and last time: somebody waits for the answer.
const SECOND_ATTEMPT: Duration = Duration::from_millis(300);

impl Places {
    /// Prepares them; `store` is the embedded one.
    ///
    /// # Errors
    /// One line that names the setting.
    pub fn new(
        settings: &Settings,
        signer: &Arc<dyn Signer>,
        store: Arc<dyn SchematicStore>,
    ) -> Result<Self, String> {
        let bucket = bucket(settings)?;
        let schematics = beside(store, schematics(settings, bucket.as_ref())?);
        let mut caches: Vec<Arc<dyn AssetCache>> = Vec::new();
        if let Some(bucket) = &bucket {
            let cdn = settings.cache.cdn.rule().map_err(|error| format!("cache.cdn.host: {error}"))?;
            let lifetime = settings.cache.s3.presigned_url_ttl.0;
            if !settings.cache.oci.registry.is_empty() {
                tracing::warn!("cache.oci is not used: copies of assets go to the bucket of cache.s3");
            }
            let cache = S3Cache::new(Arc::clone(bucket), Arc::clone(signer), lifetime, cdn);
            caches.push(Arc::new(cache.map_err(|error| format!("the factory's key: {error}"))?));
        } else if let Some((registry, place)) = registry(settings, "cache.oci", &settings.cache.oci)? {
            let repository = place.path.ok_or("cache.oci names no repository")?;
            let cache = RegistryCache::new(registry, &place.registry, repository, Arc::clone(signer));
            caches.push(Arc::new(cache.map_err(|error| format!("the factory's key: {error}"))?));
        }
        let installers = installers(settings, bucket.as_ref(), signer)?;
        Ok(Self { schematics, caches, installers })
    }
}

/// Where the settings keep schematics; `store` is the embedded one.
///
/// # Errors
/// One line that names the setting.
pub fn schematic_store(
    settings: &Settings,
    store: Arc<dyn SchematicStore>,
) -> Result<Arc<dyn SchematicStore>, String> {
    let bucket = bucket(settings)?;
    Ok(beside(store, schematics(settings, bucket.as_ref())?))
}

/// The embedded store with the shared one before it, where there is one.
fn beside(
    store: Arc<dyn SchematicStore>,
    shared: Option<Arc<dyn SchematicStore>>,
) -> Arc<dyn SchematicStore> {
    match shared {
        Some(shared) => Arc::new(SharedSchematics::new(store, shared)),
        None => store,
    }
}

fn bucket(settings: &Settings) -> Result<Option<Arc<Bucket>>, String> {
    let s3 = &settings.cache.s3;
    if !s3.enabled {
        return Ok(None);
    }
    let options = BucketOptions {
        bucket: s3.bucket.clone(),
        endpoint: s3.endpoint.clone(),
        region: s3.region.clone(),
        insecure: s3.insecure,
    };
    let bucket = Bucket::new(&options, |name| std::env::var(name).ok());
    Ok(Some(Arc::new(bucket.map_err(|error| format!("cache.s3: {error}"))?)))
}

fn schematics(
    settings: &Settings,
    bucket: Option<&Arc<Bucket>>,
) -> Result<Option<Arc<dyn SchematicStore>>, String> {
    const KEY: &str = "artifacts.schematic";
    if let Some((registry, place)) = registry(settings, KEY, &settings.artifacts.schematic)? {
        let repository = place.path.ok_or_else(|| format!("{KEY} names no repository"))?;
        return Ok(Some(Arc::new(RegistrySchematics::new(registry, repository))));
    }
    Ok(bucket.map(|bucket| Arc::new(BucketSchematics::new(Arc::clone(bucket))) as _))
}

/// Where installers are pushed to, and where factories agree on them: in the bucket, which can tell who was first,
/// else in that registry.
fn installers(
    settings: &Settings,
    bucket: Option<&Arc<Bucket>>,
    signer: &Arc<dyn Signer>,
) -> Result<Elsewhere, String> {
    let internal = &settings.artifacts.installer.internal;
    let pushed = registry(settings, "artifacts.installer.internal", internal)?;
    let records = match (bucket, &pushed) {
        (Some(bucket), _) => Some(Arc::new(BucketRecords::new(Arc::clone(bucket))) as Arc<dyn SharedRecords>),
        (None, Some((registry, place))) => {
            Some(Arc::new(RegistryRecords::new(Arc::clone(registry), place.path.clone())) as _)
        }
        (None, None) => None,
    };
    let records = records.map(|records| SignedRecords::new(records, Arc::clone(signer))).transpose();
    let records = records.map_err(|error| format!("the factory's key: {error}"))?;
    Ok(Elsewhere {
        records: records.map(|records| Arc::new(records) as _),
        registry: pushed.map(|(registry, place)| InstallerRegistry { target: registry, prefix: place.path }),
    })
}

/// Where pulls of installers are sent, `<scheme>://<host>/v2/<path>/`.
///
/// # Errors
/// One line that names the setting.
pub fn installer_redirect(settings: &Settings) -> Result<Option<String>, String> {
    let external = &settings.artifacts.installer.external;
    let Some(place) = external.place("artifacts.installer.external")? else { return Ok(None) };
    let scheme = if place.insecure || is_local(&place.registry) { "http" } else { "https" };
    let path = place.path.map(|path| format!("{path}/")).unwrap_or_default();
    Ok(Some(format!("{scheme}://{}/v2/{path}", place.registry)))
}

/// A client of the registry that a repository is in. It asks that registry alone: mirrors are for releases.
fn registry(
    settings: &Settings,
    key: &str,
    repository: &OciRepository,
) -> Result<Option<(Arc<RegistrySource>, Place)>, String> {
    let Some(place) = repository.place(key)? else { return Ok(None) };
    let mut options = registry_options(settings);
    for host in &mut options.hosts {
        host.mirrors.clear();
    }
    let retry = RetryPolicy { attempts: 2, first_wait: SECOND_ATTEMPT, ..RetryPolicy::default() };
    let options = RegistryOptions { retry, ..options };
    let registry = RegistrySource::new(&place.registry, place.insecure, &options);
    let registry = registry.map_err(|error| format!("{key}.registry {}: {error}", place.registry))?;
    Ok(Some((Arc::new(registry), place)))
}
