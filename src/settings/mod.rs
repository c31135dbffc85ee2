//! Configuration: what can be set, where it is read from, and what is wrong with it.
//!
//! Keys keep the reference's names, so its files load here too. TOML comes first; YAML, JSON and environment
//! variables use the same key paths.

mod check;
mod keys;
mod later;
mod legacy;
mod load;
mod print;
mod secure_boot;
mod storage;
mod values;

pub use check::{Checked, check};
pub use legacy::translate_arguments;
pub use load::{Source, load};
pub use print::{Format, print};
pub use secure_boot::{
    KeySource, SecureBoot, SecureBootAwsKms, SecureBootAzureKeyVault, SecureBootFile, SecureBootPkcs11,
};
pub use storage::{Cdn, Installer, OciRepository, Place, S3};
pub use values::{Duration, Size};

use serde::{Deserialize, Serialize};

/// Everything that can be configured, with its defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// Directory whose `*.yaml` and `*.yml` are schematics of this factory; empty for none.
    pub schematics_directory: String,
    /// Listeners and addresses.
    pub http: Http,
    /// What is built, and how much at a time.
    pub build: Build,
    /// How source images are verified.
    pub container_signature: ContainerSignature,
    /// The factory's key and its caches.
    pub cache: Cache,
    /// Where release images come from, and where schematics and installers live.
    pub artifacts: Artifacts,
    /// Signed boot files.
    pub secure_boot: SecureBoot,
    /// The embedded store.
    pub store: Store,
    /// The metrics listener.
    pub metrics: Metrics,
    /// Logging.
    pub log: Log,
    /// Registry clients.
    pub registry: RegistryClient,
    /// Access to single registries.
    pub registries: Vec<Registry>,
}

/// `http`: listeners and addresses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Http {
    /// Main listener, `host:port` or `:port`.
    pub http_listen_addr: String,
    /// PEM certificate chain; TLS is on when this and `keyFile` are set.
    pub cert_file: String,
    /// PEM private key.
    pub key_file: String,
    /// Address under which clients reach the factory.
    #[serde(rename = "externalURL")]
    pub external_url: String,
    /// Base address in iPXE scripts; empty means `externalURL`.
    #[serde(rename = "externalPXEURL")]
    pub external_pxe_url: String,
    /// Second listener, always plain HTTP, for machines that boot over iPXE. Empty means none.
    pub pxe_listen_addr: String,
    /// Origins that browsers may call from; one `*` inside an entry is a wildcard.
    pub allowed_origins: Vec<String>,
    /// Longest schematic accepted.
    pub max_schematic_size: Size,
    /// How long a client may take to send its request head.
    pub read_header_timeout: Duration,
    /// How long running downloads may go on when the factory is told to stop.
    pub shutdown_timeout: Duration,
    /// Requests that may be planned at the same time; more are told to come back.
    pub max_pending_requests: usize,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            http_listen_addr: ":8080".to_owned(),
            cert_file: String::new(),
            key_file: String::new(),
            external_url: "https://localhost/".to_owned(),
            external_pxe_url: String::new(),
            pxe_listen_addr: String::new(),
            allowed_origins: vec!["*".to_owned()],
            max_schematic_size: Size::mib(1),
            read_header_timeout: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(30),
            max_pending_requests: 1024,
        }
    }
}

/// `build`: what is built, and how much at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Build {
    /// Oldest Talos version offered.
    pub min_talos_version: String,
    /// Versions hidden from lists and refused.
    pub broken_talos_versions: Vec<String>,
    /// Part builds that run at the same time.
    pub max_concurrency: usize,
    /// Whether programs of overlays run only in namespaces of their own (`required`), in them where the system
    /// has them (`preferred`), or never (`off`).
    pub overlay_sandbox: String,
}

impl Default for Build {
    fn default() -> Self {
        Self {
            min_talos_version: "1.2.0".to_owned(),
            broken_talos_versions: Vec::new(),
            max_concurrency: 6,
            overlay_sandbox: "preferred".to_owned(),
        }
    }
}

/// `containerSignature`: how source images are verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerSignature {
    /// Identity of keyless signatures; an empty text turns them off.
    pub subject_reg_exp: String,
    /// Issuer of keyless identities as an expression; replaces `issuer` when set.
    pub issuer_reg_exp: String,
    /// Exact issuer of keyless identities.
    pub issuer: String,
    /// PEM public key, tried first.
    pub public_key_file: String,
    /// `sha224`, `sha256`, `sha384` or `sha512`.
    pub public_key_hash_algo: String,
    /// `trusted_root.json` that keyless signatures are judged by. Empty: the public instance of Sigstore.
    pub trusted_root_file: String,
    /// Where updates of the public trusted root come from; empty means that none are looked for.
    #[serde(rename = "tufMirror")]
    pub tuf_mirror: String,
    /// Accept every source image.
    pub disabled: bool,
}

impl Default for ContainerSignature {
    fn default() -> Self {
        Self {
            subject_reg_exp:
                r"(@siderolabs\.com$|^releasemgr-svc@talos-production\.iam\.gserviceaccount\.com$)".to_owned(),
            issuer_reg_exp: String::new(),
            issuer: "https://accounts.google.com".to_owned(),
            public_key_file: String::new(),
            public_key_hash_algo: "sha256".to_owned(),
            trusted_root_file: String::new(),
            tuf_mirror: "https://tuf-repo-cdn.sigstore.dev".to_owned(),
            disabled: false,
        }
    }
}

/// `cache`: the factory's key and its caches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cache {
    /// PEM private key (ECDSA P-256) that signs what the factory publishes. Empty: one is generated in the
    /// store on first start.
    pub signing_key_path: String,
    /// Schematics in memory.
    pub schematic: SchematicCache,
    /// Whole assets in a registry. Not used beside a bucket.
    pub oci: OciRepository,
    /// Whole assets in a bucket.
    pub s3: S3,
    /// A CDN in front of that bucket.
    pub cdn: Cdn,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            signing_key_path: String::new(),
            schematic: SchematicCache::default(),
            oci: OciRepository::without_registry("siderolabs/image-factory", "cache"),
            s3: S3::default(),
            cdn: Cdn::default(),
        }
    }
}

/// `cache.schematic`: schematics in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SchematicCache {
    /// Entries.
    pub capacity: u64,
    /// How long "there is no such schematic" is remembered.
    #[serde(rename = "negativeTTL")]
    pub negative_ttl: Duration,
}

impl Default for SchematicCache {
    fn default() -> Self {
        Self { capacity: 100_000, negative_ttl: Duration::from_secs(30) }
    }
}

/// `artifacts`: where release images come from, and where schematics and installers live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Artifacts {
    /// Source of all release images.
    pub core: Core,
    /// Where schematics live. Without a registry: in the bucket of `cache.s3`, else in the embedded store.
    pub schematic: OciRepository,
    /// Where installer images are pushed to and pulled from.
    pub installer: Installer,
    /// How often the lists of versions are refreshed.
    pub talos_version_recheck_interval: Duration,
    /// How long registry credentials and tokens are used before they are read again.
    pub refresh_interval: Duration,
}

impl Default for Artifacts {
    fn default() -> Self {
        Self {
            core: Core::default(),
            schematic: OciRepository::without_registry("siderolabs/image-factory", "schematics"),
            installer: Installer::default(),
            talos_version_recheck_interval: Duration::from_secs(15 * 60),
            refresh_interval: Duration::from_secs(5 * 60),
        }
    }
}

/// `artifacts.core`: source of all release images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Core {
    /// Registry host, or `oci-layout:DIRECTORY`.
    pub registry: String,
    /// Path put in front of every repository.
    pub namespace: String,
    /// Plain HTTP.
    pub insecure: bool,
    /// Repository names.
    pub components: Components,
}

impl Default for Core {
    fn default() -> Self {
        Self {
            registry: "ghcr.io".to_owned(),
            namespace: String::new(),
            insecure: false,
            components: Components::default(),
        }
    }
}

/// `artifacts.core.components`: repository names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Components {
    /// Installer base from Talos 1.10 on.
    pub installer_base: String,
    /// Installer before Talos 1.10.
    pub installer: String,
    /// Boot assets; its tags are the list of versions.
    pub imager: String,
    /// List of extensions.
    pub extension_manifest: String,
    /// List of overlays.
    pub overlay_manifest: String,
    /// Command line clients.
    pub talosctl: String,
}

impl Default for Components {
    fn default() -> Self {
        let name = |component: &str| format!("siderolabs/{component}");
        Self {
            installer_base: name("installer-base"),
            installer: name("installer"),
            imager: name("imager"),
            extension_manifest: name("extensions"),
            overlay_manifest: name("overlays"),
            talosctl: name("talosctl-all"),
        }
    }
}

/// `store`: the embedded store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Store {
    /// Directory of all state. Empty: `$STATE_DIRECTORY`, else `$XDG_STATE_HOME/image-factory`, else
    /// `~/.local/state/image-factory`.
    pub path: String,
    /// Budget for sources and parts; 0 is unlimited. Schematics are never evicted.
    pub max_bytes: Size,
    /// How long what can be fetched or made again may go unused.
    pub max_idle: MaxIdle,
    /// Within what time all of it is read again and compared with its digests; 0 is never.
    pub scrub_interval: Duration,
}

/// Four days: some hundredth of the store an hour.
const SCRUB_INTERVAL: std::time::Duration = std::time::Duration::from_secs(4 * 24 * 3600);

impl Default for Store {
    fn default() -> Self {
        Self {
            path: String::new(),
            max_bytes: Size::default(),
            max_idle: MaxIdle::default(),
            scrub_interval: Duration(SCRUB_INTERVAL),
        }
    }
}

/// `store.maxIdle`: how long what can be fetched or made again may go unused before it is given up; 0 is for
/// ever.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MaxIdle {
    /// Files and layers of release images.
    pub sources: Duration,
    /// What was made of them.
    pub parts: Duration,
}

/// `metrics`: the metrics listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metrics {
    /// `host:port` or `:port`; empty turns it off.
    pub addr: String,
    /// Prefix of all metric names.
    pub namespace: String,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { addr: ":2122".to_owned(), namespace: String::new() }
    }
}

/// `log`: logging to standard error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,factory_actors=debug`.
    pub level: String,
    /// `text` or `json`.
    pub format: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: "text".to_owned() }
    }
}

/// `registry`: registry clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegistryClient {
    /// Transfers at the same time from one registry.
    pub jobs: usize,
}

impl Default for RegistryClient {
    fn default() -> Self {
        Self { jobs: 64 }
    }
}

/// One entry of `registries`: access to a registry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Registry {
    /// Host, with port if any; `*` for all others.
    pub host: String,
    /// Speak plain HTTP.
    #[serde(rename = "plainHTTP")]
    pub plain_http: bool,
    /// PEM file of further certificate authorities.
    pub ca_file: String,
    /// Accept any certificate.
    pub skip_verify: bool,
    /// User name.
    pub username: String,
    /// Password, or `${VARIABLE}`.
    pub password: String,
    /// File with the password.
    pub password_file: String,
    /// Hosts to ask first, each with an optional path in front of the repository.
    pub mirrors: Vec<String>,
}
