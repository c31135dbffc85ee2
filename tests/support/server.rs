//! The factory: the real program, with a configuration and a state directory of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::client::Client;
use super::process::{Process, free_port, wait_for};
use super::tools::{success, text};
use super::{Fixture, Registry};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_image-factory");

/// Where every factory believes to be reached. Machines are told it, so it is part of what an asset depends
/// on: factories on other ports would give other bytes.
pub const EXTERNAL_URL: &str = "http://factory.example/";

/// How long it may take to start. Debug builds on a busy machine are slow.
const START: Duration = Duration::from_secs(60);

/// What a factory is started with.
#[derive(Clone, Debug, Default)]
pub struct Config {
    settings: toml::Table,
    /// Runs the program, such as `faketime`; the program itself when empty.
    pub runner: Vec<String>,
    /// The host under which machines reach the plain listener for iPXE; no such listener when empty.
    pub pxe_host: String,
    /// Further variables of its environment.
    pub environment: Vec<(String, String)>,
    /// The certificate that the client trusts; the main listener then speaks TLS.
    pub certificate: Option<String>,
}

impl Config {
    /// A factory on the fixture's directory, without a network.
    pub fn on_layouts(fixture: &Fixture) -> Self {
        let registry = format!("oci-layout:{}", fixture.release.display());
        Self::default().set("artifacts.core.registry", registry).trusting(&fixture.key)
    }

    /// A factory on a registry that serves the fixture.
    pub fn on_registry(registry: &Registry, fixture: &Fixture) -> Self {
        Self::on_address(&registry.address).trusting(&fixture.key)
    }

    /// A factory on whatever listens at an address.
    pub fn on_address(address: &str) -> Self {
        Self::default().set("artifacts.core.registry", address).set("artifacts.core.insecure", true)
    }

    /// Accepts images that are signed with this key.
    pub fn trusting(self, key: &Path) -> Self {
        self.set("containerSignature.publicKeyFile", key.to_str().expect("a printable path"))
            .set("containerSignature.subjectRegExp", "")
    }

    /// Sets a key by its dotted path.
    pub fn set(mut self, path: &str, value: impl Into<toml::Value>) -> Self {
        let mut table = &mut self.settings;
        let (sections, key) = path.rsplit_once('.').expect("a section");
        for section in sections.split('.') {
            let entry = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            table = entry.as_table_mut().expect("a section");
        }
        table.insert(key.to_owned(), value.into());
        self
    }

    /// Sets a key that lies in no section.
    pub fn set_top(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.settings.insert(key.to_owned(), value.into());
        self
    }

    /// A new key in `home`, the same for all factories with this configuration.
    pub fn with_key(self, home: &Path) -> Self {
        let key = home.join("shared.key");
        let made = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", text(&key)];
        success("openssl", "openssl", &made);
        self.set("cache.signingKeyPath", text(&key))
    }

    /// Installers are kept in this registry.
    pub fn with_installers(self, registry: &Registry) -> Self {
        self.set("artifacts.installer.internal.registry", registry.address.as_str())
            .set("artifacts.installer.internal.namespace", "site/installers")
            .set("artifacts.installer.internal.insecure", true)
    }

    /// The configuration as a file.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(&self.settings).expect("a table")
    }
}

/// A running factory.
pub struct Server {
    /// Its process.
    pub process: Process,
    /// A client of its main listener.
    pub client: Client,
    /// Address of the main listener.
    pub url: String,
    /// Address of the listener for iPXE, as machines see it.
    pub pxe_url: String,
    /// `127.0.0.1:port` of the main listener.
    pub address: String,
    /// State directory.
    pub store: PathBuf,
    metrics: Client,
}

impl Server {
    /// Starts a factory with its files in `home`, and waits until it is ready.
    pub fn start(config: &Config, home: &Path) -> Self {
        let server = Self::launch(config, home);
        let mut process = server.process;
        let client = server.client;
        wait_for("the factory is ready", START, || {
            assert!(process.runs(), "the factory has ended:\n{}", process.tail());
            (client.get("/readyz").status == 200).then_some(())
        });
        Self { process, client, ..server }
    }

    /// Starts a factory, and waits until it answers at all: its source may be down.
    pub fn launch(config: &Config, home: &Path) -> Self {
        let (port, pxe_port, metrics_port) = (free_port(), free_port(), free_port());
        let scheme = if config.certificate.is_some() { "https" } else { "http" };
        let at = |port: u16| format!("127.0.0.1:{port}");
        let url = format!("{scheme}://{}", at(port));
        let pxe_url = format!("http://{}:{pxe_port}", config.pxe_host);
        let store = home.join("store");
        let mut full = config
            .clone()
            .set("http.httpListenAddr", at(port))
            .set("http.externalURL", EXTERNAL_URL)
            .set("metrics.addr", at(metrics_port))
            .set("store.path", store.to_str().expect("a printable path"));
        if !config.pxe_host.is_empty() {
            full = full.set("http.pxeListenAddr", at(pxe_port)).set("http.externalPXEURL", pxe_url.as_str());
        }
        let file = home.join("image-factory.toml");
        std::fs::create_dir_all(home).expect("a home");
        std::fs::write(&file, full.to_toml()).expect("a configuration");

        let mut command = match config.runner.split_first() {
            Some((runner, arguments)) => {
                let mut command = Command::new(runner);
                command.args(arguments).arg(PROGRAM);
                command
            }
            None => Command::new(PROGRAM),
        };
        command.args(["serve", "--config"]).arg(&file).env("HOME", home).current_dir(home);
        command.envs(config.environment.iter().map(|(name, value)| (name, value)));
        let log = home.join("image-factory.log");
        let mut process = Process::start(
            "image-factory",
            "this project, a runner of it with hack/setup",
            &mut command,
            &log,
        );
        wait_for("the factory listens", START, || {
            assert!(process.runs(), "the factory has ended:\n{}", process.tail());
            let listens = |port: u16| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
            (listens(port) && listens(metrics_port)).then_some(())
        });
        let client = match &config.certificate {
            Some(certificate) => Client::trusting(&url, certificate),
            None => Client::new(&url),
        };
        let metrics = Client::new(&format!("http://{}", at(metrics_port)));
        Self { process, client, url, pxe_url, address: at(port), store, metrics }
    }

    /// Path of an asset.
    pub fn image(schematic: &str, version: &str, name: &str) -> String {
        format!("/image/{schematic}/{version}/{name}")
    }

    /// Everything that is measured, by name with its labels.
    pub fn metrics(&self) -> Metrics {
        let text = self.metrics.get("/metrics").text();
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Metrics(samples.collect())
    }

    /// Bytes that the process has read from files and sockets so far.
    pub fn bytes_read(&self) -> u64 {
        let path = format!("/proc/{}/io", self.process.id());
        let text = std::fs::read_to_string(&path).expect("the system tells");
        let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
        line.and_then(|value| value.parse().ok()).expect("a number")
    }

    /// The finished blobs in a store, each with its size in bytes.
    pub fn blobs(store: &Path) -> Vec<(PathBuf, u64)> {
        let mut found = Vec::new();
        for shard in std::fs::read_dir(store.join("blobs/sha256")).expect("the store") {
            for blob in std::fs::read_dir(shard.expect("an entry").path()).expect("a shard") {
                let blob = blob.expect("an entry");
                // A running factory may evict one meanwhile.
                if let Ok(data) = blob.metadata() {
                    found.push((blob.path(), data.len()));
                }
            }
        }
        found
    }

    /// Digests of all finished blobs in a store, after a check that each is what its name says.
    pub fn check_blobs(store: &Path) -> Vec<String> {
        let check = |(path, _): (PathBuf, u64)| {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
            assert_eq!(digest(&path), name, "{} is not what it says", path.display());
            name
        };
        Self::blobs(store).into_iter().map(check).collect()
    }

    /// Stops it as an operator would, and waits for its end.
    pub fn stop(mut self) {
        self.process.signal("TERM");
        let status = self.process.wait(Duration::from_secs(40));
        assert!(status.success(), "{status}:\n{}", self.process.tail());
    }
}

/// SHA-256 of a file.
fn digest(path: &Path) -> String {
    let mut file = File::open(path).expect("a file");
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).expect("it reads") {
            0 => return hex::encode(hash.finalize()),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// A reading of `/metrics`.
#[derive(Debug)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// The sum of all samples whose name and labels contain all of these texts.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let fits = |sample: &str| {
            let base = sample.split('{').next().unwrap_or_default();
            base == name && labels.iter().all(|label| sample.contains(label))
        };
        self.0.iter().filter(|(sample, _)| fits(sample)).map(|(_, value)| value).sum()
    }

    /// All samples of a name.
    pub fn all(&self, name: &str) -> BTreeMap<&str, f64> {
        let fits = |sample: &str| sample.split('{').next() == Some(name);
        let samples = self.0.iter().filter(|(sample, _)| fits(sample));
        samples.map(|(sample, value)| (sample.as_str(), *value)).collect()
    }
}
