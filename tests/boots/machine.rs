//! A machine that boots once and tells what it found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Condvar, Mutex, PoisonError};

use crate::support::fixture::qemu_boot;
use crate::support::tools::text;
use crate::support::{Config, Fixture, Server};

/// Longest time until the last line of the report, in seconds. A boot under emulation on two busy cores takes
/// a third of it.
const TIMEOUT: u32 = 400;

/// Machines that may run at the same time: emulation keeps a processor busy for each.
const AT_A_TIME: usize = 2;

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// The right to run a machine.
struct Place;

impl Place {
    fn wait() -> Self {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = ENDED
            .wait_while(running, |running| *running >= AT_A_TIME)
            .unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}

/// A factory and what machines need beside it.
pub struct Lab {
    /// The factory.
    pub server: Server,
    script: PathBuf,
    home: tempfile::TempDir,
}

impl Lab {
    /// A factory on the fixture; nothing when there is none.
    pub fn open() -> Option<Self> {
        Self::open_with(|config| config)
    }

    /// A factory with other settings.
    pub fn open_with(change: impl FnOnce(Config) -> Config) -> Option<Self> {
        let (fixture, script) = (Fixture::find()?, qemu_boot()?);
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let config = change(Config::on_layouts(&fixture));
        let server = Server::start(&config, &home.path().join("factory"));
        Some(Self { server, script, home })
    }

    /// Downloads an asset.
    pub fn save(&self, schematic: &str, version: &str, name: &str) -> PathBuf {
        self.server.client.save(&Server::image(schematic, version, name), self.home.path())
    }

    /// A directory for files of the test's own.
    pub fn folder(&self) -> &Path {
        self.home.path()
    }

    /// Boots with these options of `hack/qemu-boot`, and gives the machine's report.
    pub fn boot(&self, options: &[&str]) -> Report {
        let _place = Place::wait();
        let log = self.home.path().join("serial.log");
        let mut command = Command::new(&self.script);
        command.args(options).args(["--smp", "1", "--timeout", &TIMEOUT.to_string(), "--serial", text(&log)]);
        let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", self.script.display()));
        let serial = String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).replace('\r', "");
        assert!(
            output.status.success(),
            "{options:?}: {}{}\n-- the machine's last words:\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            last(&serial)
        );
        eprintln!("{options:?}: {}", String::from_utf8_lossy(&output.stdout).trim());
        let report = Report::read(&serial);
        let is_fault = |line: &&String| line.starts_with("module-error=") || line.starts_with("mount-error=");
        let faults: Vec<_> = report.lines.iter().filter(is_fault).collect();
        assert!(faults.is_empty(), "{options:?}: {faults:?}");
        report
    }
}

fn last(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

/// What a machine has said of itself.
#[derive(Debug)]
pub struct Report {
    lines: Vec<String>,
}

impl Report {
    /// Every line goes to every console, so several look the same.
    fn read(serial: &str) -> Self {
        let mut lines = Vec::<String>::new();
        for line in serial.lines().filter_map(|line| Some(line.split_once("FIXTURE ")?.1)) {
            if !lines.iter().any(|known| known == line) {
                lines.push(line.to_owned());
            }
        }
        Self { lines }
    }

    /// The value of the first `name=value` line; an empty text when there is none.
    pub fn value(&self, name: &str) -> &str {
        self.lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
    }

    /// The arguments of the kernel.
    pub fn arguments(&self) -> Vec<&str> {
        self.value("cmdline").split_whitespace().collect()
    }

    /// The text of `/extensions.yaml`.
    pub fn extensions_yaml(&self) -> String {
        let lines = self.lines.iter().filter_map(|line| line.strip_prefix("extensions.yaml| "));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Names of the layers that were mounted beside the root.
    pub fn layers(&self) -> Vec<&str> {
        let named = self.lines.iter().filter_map(|line| line.strip_prefix("extension=")?.split(' ').next());
        named.collect()
    }

    /// Whether a file is in some layer.
    pub fn layer_has(&self, path: &str) -> bool {
        self.lines.iter().any(|line| line.starts_with("extension-file ") && ends_with_path(line, path))
    }

    /// Whether a file is in the initramfs itself.
    pub fn initramfs_has(&self, path: &str) -> bool {
        self.lines.iter().any(|line| line.starts_with("initramfs-file ") && ends_with_path(line, path))
    }

    /// Labels of the partitions.
    pub fn partitions(&self) -> Vec<&str> {
        let labels = self.lines.iter().filter(|line| line.starts_with("block="));
        labels
            .filter_map(|line| line.split_once("label="))
            .map(|(_, label)| label)
            .filter(|l| !l.is_empty())
            .collect()
    }

    /// The values in the META partition by their tag.
    pub fn meta(&self) -> BTreeMap<u8, Vec<u8>> {
        let tags = self.lines.iter().filter_map(|line| line.strip_prefix("meta-tag=0x"));
        tags.map(|line| {
            let (tag, rest) = line.split_once(' ').expect("a tag");
            let (_, value) = rest.split_once("hex=").expect("a value");
            (u8::from_str_radix(tag, 16).expect("hex"), hex::decode(value.trim()).expect("hex"))
        })
        .collect()
    }
}

fn ends_with_path(line: &str, path: &str) -> bool {
    line.rsplit(' ').next().is_some_and(|name| name.trim_start_matches('/') == path)
}
