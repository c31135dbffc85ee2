//! The only place that knows both adapters and actors.

use std::path::PathBuf;
use std::sync::Arc;

use factory_actors::catalog::Components;
use factory_actors::workers::Workers;
use factory_actors::{Factory, FactoryOptions, Ports};
use factory_actors::{catalog, schematics, sources};
use factory_adapters::clock::SystemClock;
use factory_adapters::grub::{GRUB_MKIMAGE, GrubMkimage};
use factory_adapters::keys::LocalKey;
use factory_adapters::oci_layout::OciLayouts;
use factory_adapters::registry::{HostOptions, Limits, Password, RegistryOptions, RegistrySource};
use factory_adapters::sandbox::{Isolation, Limits as SandboxLimits, ProgramSandbox};
use factory_adapters::scratch::ScratchDirectory;
use factory_adapters::store::{EmbeddedStore, MaxIdle, StoreOptions};
use factory_domain::TalosVersion;
use factory_domain::catalog::SourceRegistry;
use factory_domain::ports::{ReleaseSource, Repository, SecureBootKeys, Signer};

use url::Url;

use crate::places::Places;
use crate::secure_boot;
use crate::settings::{Checked, Duration, Settings};
use crate::verification::{Verification, verification};

/// What is running behind the front door.
pub struct Wired {
    /// The actors.
    pub factory: Factory,
    /// The factory's key.
    pub signer: Arc<dyn Signer>,
    /// The keys that sign boot files. None when Secure Boot is off.
    pub secure_boot: Option<Arc<SecureBootKeys>>,
}

/// Marks a source that is a directory.
pub const OCI_LAYOUT: &str = "oci-layout:";

/// Bytes of schematics kept in memory.
const SCHEMATIC_MEMORY: usize = 64 << 20;

/// Name of the generated signing key below the store's path.
const SIGNING_KEY: &str = "signing.key";

/// Directory of verified updates of the trusted root, below the store's path.
pub const TRUST: &str = "trust";

/// Opens the store, the source and the keys, and starts the actors on the current arbiter.
///
/// # Errors
/// One line that says which setting leads to what.
pub async fn wire(settings: &Settings, checked: &Checked) -> Result<Wired, String> {
    let clock = Arc::new(SystemClock);
    let path = &checked.store_path;
    std::fs::create_dir_all(path).map_err(|error| format!("store.path {}: {error}", path.display()))?;
    let store = EmbeddedStore::open(path, store_options(settings)).map_err(|error| error.to_string())?;
    let store = Arc::new(store);
    let scrubbed = Arc::clone(&store);
    let scratch = path.join("scratch");
    std::fs::create_dir_all(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;

    let source = source(settings)?;
    let trusted = &settings.container_signature;
    let Verification { check, trust, root } = verification(trusted, &source, &path.join(TRUST)).await?;
    let signer = signing_key(settings, path.join(SIGNING_KEY))?;
    let secure_boot = secure_boot::load(&settings.secure_boot)?;
    let workers = Workers::start(settings.build.max_concurrency).map_err(|error| error.to_string())?;
    let sandbox = path.join("sandbox");
    let isolation = match settings.build.overlay_sandbox.as_str() {
        "required" => Isolation::Required,
        "off" => Isolation::Off,
        _ => Isolation::Preferred,
    };
    let sandbox = ProgramSandbox::new(&sandbox, isolation, SandboxLimits::default())
        .map_err(|error| format!("{}: {error}", sandbox.display()))?;
    let places = Places::new(settings, &signer, Arc::clone(&store) as _)?;
    let ports = Ports {
        source,
        check,
        schematics: places.schematics,
        caches: places.caches,
        installers: places.installers,
        store,
        grub: Arc::new(GrubMkimage::new(GRUB_MKIMAGE, scratch.as_path())),
        scratch: Arc::new(ScratchDirectory::new(scratch)),
        sandbox: Arc::new(sandbox),
        signer: Arc::clone(&signer),
        secure_boot: secure_boot.clone(),
        clock,
    };
    if let Some(root) = root {
        drop(workers.spawn(root.keep_fresh()));
    }
    if !settings.store.scrub_interval.0.is_zero() {
        drop(workers.spawn(scrubbed.keep_verified(settings.store.scrub_interval.0)));
    }
    let arbiter = actix_rt::Arbiter::current();
    let factory = Factory::start(&arbiter, workers, ports, factory_options(settings, checked, trust)?);
    Ok(Wired { factory, signer, secure_boot })
}

/// How the embedded store behaves.
pub fn store_options(settings: &Settings) -> StoreOptions {
    let limit = |limit: Duration| (!limit.0.is_zero()).then_some(limit.0);
    let max_idle = &settings.store.max_idle;
    StoreOptions {
        budget_bytes: settings.store.max_bytes.0,
        max_idle: MaxIdle { sources: limit(max_idle.sources), parts: limit(max_idle.parts) },
        ..StoreOptions::default()
    }
}

/// The place that release images come from.
///
/// # Errors
/// One line that says which setting leads to what.
pub fn source(settings: &Settings) -> Result<Arc<dyn ReleaseSource>, String> {
    let core = &settings.artifacts.core;
    if let Some(directory) = core.registry.strip_prefix(OCI_LAYOUT) {
        let layouts = OciLayouts::open(directory.as_ref());
        let layouts =
            layouts.map_err(|error| format!("artifacts.core.registry {}: {error}", core.registry))?;
        return Ok(Arc::new(layouts));
    }
    let registry = RegistrySource::new(&core.registry, core.insecure, &registry_options(settings));
    let registry = registry.map_err(|error| format!("artifacts.core.registry {}: {error}", core.registry))?;
    Ok(Arc::new(registry))
}

/// How registries are talked to.
pub fn registry_options(settings: &Settings) -> RegistryOptions {
    let hosts = settings.registries.iter().map(|entry| HostOptions {
        host: entry.host.clone(),
        plain_http: entry.plain_http.then_some(true),
        ca_files: (!entry.ca_file.is_empty()).then(|| PathBuf::from(&entry.ca_file)).into_iter().collect(),
        skip_verify: entry.skip_verify,
        username: entry.username.clone(),
        password: password(&entry.password, &entry.password_file),
        mirrors: entry.mirrors.clone(),
    });
    let defaults = RegistryOptions::default();
    RegistryOptions {
        hosts: hosts.collect(),
        refresh_credentials_every: settings.artifacts.refresh_interval.0,
        limits: Limits { parallel: settings.registry.jobs, ..defaults.limits },
        user_agent: format!("image-factory/{}", env!("CARGO_PKG_VERSION")),
        ..RegistryOptions::default()
    }
}

fn password(value: &str, file: &str) -> Option<Password> {
    if !file.is_empty() {
        return Some(Password::File(PathBuf::from(file)));
    }
    let variable = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let value = match variable {
        Some(name) => std::env::var(name).unwrap_or_default(),
        None => value.to_owned(),
    };
    (!value.is_empty()).then_some(Password::Value(value))
}

fn signing_key(settings: &Settings, generated: PathBuf) -> Result<Arc<dyn Signer>, String> {
    let given = &settings.cache.signing_key_path;
    let loaded = match given.as_str() {
        "" => LocalKey::load_or_create(&generated),
        path => LocalKey::load(path.as_ref()),
    };
    let (key, warning) = loaded.map_err(|error| error.to_string())?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    Ok(Arc::new(key))
}

fn factory_options(settings: &Settings, checked: &Checked, trust: String) -> Result<FactoryOptions, String> {
    let core = &settings.artifacts.core;
    let (min_version, broken) = versions(settings)?;
    let recheck = settings.artifacts.talos_version_recheck_interval.0;
    // A directory has no host that clients could be shown; references then carry the reference's own.
    let host = match core.registry.strip_prefix(OCI_LAYOUT) {
        Some(_) => "ghcr.io".to_owned(),
        None => core.registry.clone(),
    };
    Ok(FactoryOptions {
        pending: settings.http.max_pending_requests,
        schematics: schematics::Limits {
            entries: usize::try_from(settings.cache.schematic.capacity).unwrap_or(usize::MAX),
            bytes: SCHEMATIC_MEMORY,
            negative_ttl: settings.cache.schematic.negative_ttl.0,
        },
        sources: sources::Options { recheck, trust, ..sources::Options::default() },
        catalog: catalog::Options {
            min_version,
            broken,
            recheck,
            registry: SourceRegistry { host, namespace: core.namespace.clone() },
            components: components(settings)?,
        },
        external_url: settings.http.external_url.clone(),
        external_host: host_of(&checked.external_url),
    })
}

/// The oldest version on offer, and those that were withdrawn.
///
/// # Errors
/// One line that says which setting leads to what.
pub fn versions(settings: &Settings) -> Result<(TalosVersion, Vec<TalosVersion>), String> {
    let version =
        |key: &str, text: &str| TalosVersion::parse(text).map_err(|error| format!("{key}: {error}"));
    let broken = settings.build.broken_talos_versions.iter();
    let broken = broken.map(|text| version("build.brokenTalosVersions", text));
    let min_version = version("build.minTalosVersion", &settings.build.min_talos_version)?;
    Ok((min_version, broken.collect::<Result<_, _>>()?))
}

/// The repositories of the release's own images.
///
/// # Errors
/// One line that says which setting leads to what.
pub fn components(settings: &Settings) -> Result<Components, String> {
    let repository = |key: &str, text: &str| {
        text.parse::<Repository>().map_err(|error| format!("artifacts.core.components.{key}: {error}"))
    };
    let components = &settings.artifacts.core.components;
    Ok(Components {
        imager: repository("imager", &components.imager)?,
        extensions: repository("extensionManifest", &components.extension_manifest)?,
        overlays: repository("overlayManifest", &components.overlay_manifest)?,
        talosctl: repository("talosctl", &components.talosctl)?,
        installer_base: repository("installerBase", &components.installer_base)?,
        installer: repository("installer", &components.installer)?,
    })
}

/// Host of an address, with its port when that is not the usual one: how images are named.
fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
