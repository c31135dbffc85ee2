//! Do the field's own clients get installers and assets, wherever a factory keeps them?

mod clients;
mod signatures;
mod suite;

use std::fs;
use std::path::PathBuf;

use crate::EXTENDED;
use crate::support::fixture::NEWEST;
use crate::support::{Bucket, Cdn, Config, Fixture, Registry, Server};

/// Where things live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Places {
    /// In the store alone.
    Embedded,
    /// In a registry: schematics, assets, and installers, to which clients are sent.
    Registry,
    /// In a bucket.
    Bucket,
    /// In a bucket that clients see through a CDN.
    Cdn,
}

/// A factory with a schematic, and what it keeps things in.
struct Site {
    server: Server,
    schematic: String,
    home: tempfile::TempDir,
    registry: Option<Registry>,
    /// `host:port` to which clients are sent for assets.
    elsewhere: Option<String>,
    _bucket: Option<Bucket>,
    _cdn: Option<Cdn>,
}

impl Site {
    /// Starts all of it; `None` when a part is not to be had here, which is told.
    fn start(places: Places) -> Option<Self> {
        let mut config = Config::on_layouts(&Fixture::find()?);
        let (mut registry, mut bucket, mut cdn) = (None, None, None);
        match places {
            Places::Embedded => {}
            Places::Registry => {
                let at = Registry::empty();
                config = in_registry(config, &at);
                registry = Some(at);
            }
            Places::Bucket | Places::Cdn => {
                let at = Bucket::start()?;
                config = at.used_by(config);
                if places == Places::Cdn {
                    let before = Cdn::before(&at);
                    config = before.used_by(config);
                    cdn = Some(before);
                }
                bucket = Some(at);
            }
        }
        let elsewhere =
            cdn.as_ref().map(|cdn| &cdn.address).or(bucket.as_ref().map(|bucket| &bucket.address));
        let elsewhere = elsewhere.cloned();
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let server = Server::start(&config, &home.path().join("factory"));
        let schematic = server.client.schematic(EXTENDED);
        Some(Self { server, schematic, home, registry, elsewhere, _bucket: bucket, _cdn: cdn })
    }

    /// `host:port/image/schematic`.
    fn name(&self, image: &str) -> String {
        format!("{}/{image}/{}", self.server.address, self.schematic)
    }

    /// Digest of the index of an image, whoever sends it.
    fn digest(&self, image: &str) -> String {
        let path = format!("/v2/{image}/{}/manifests/{NEWEST}", self.schematic);
        let head = self.server.client.head(&path);
        match head.status {
            307 => head.header("location").rsplit('/').next().unwrap().to_owned(),
            200 => head.header("docker-content-digest").to_owned(),
            other => panic!("{path}: {other}"),
        }
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.home.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }
}

fn in_registry(config: Config, registry: &Registry) -> Config {
    let address = registry.address.as_str();
    config
        .set("artifacts.schematic.registry", address)
        .set("artifacts.schematic.insecure", true)
        .set("cache.oci.registry", address)
        .set("cache.oci.insecure", true)
        .with_installers(registry)
        .set("artifacts.installer.external.registry", address)
        .set("artifacts.installer.external.namespace", "site/installers")
}
