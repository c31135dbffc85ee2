//! Are two factories that know nothing of each other the same factory?

use crate::EXTENDED;
use crate::support::fixture::{NEWEST, OLDEST_UKI};
use crate::support::tools::says;
use crate::support::{Config, Fixture, Registry, Server};

const ASSETS: [&str; 9] = [
    "kernel-{arch}",
    "cmdline-metal-{arch}",
    "initramfs-{arch}.xz",
    "metal-{arch}-uki.efi",
    "metal-{arch}.iso",
    "metal-{arch}.raw",
    "metal-{arch}.raw.xz",
    "metal-{arch}.raw.zst",
    "metal-{arch}.raw.gz",
];

fn paths(schematic: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (version, arch) in [(NEWEST, "amd64"), (NEWEST, "arm64"), (OLDEST_UKI, "amd64")] {
        for asset in ASSETS {
            paths.push(Server::image(schematic, version, &asset.replace("{arch}", arch)));
        }
    }
    paths
}

#[test]
fn two_factories_give_the_same_bytes() {
    let Some(fixture) = Fixture::find() else { return };
    let registry = Registry::with_fixture(&fixture);
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    // One reads a directory, works on one thing at a time, and lives in another year.
    let mut odd = Config::on_layouts(&fixture).set("build.maxConcurrency", 1);
    odd.runner = other_clock();
    let plain = Config::on_registry(&registry, &fixture).set("build.maxConcurrency", 5);
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| sums(&plain, homes[0].path(), false));
        let second = scope.spawn(|| sums(&odd, homes[1].path(), true));
        (first.join().unwrap(), second.join().unwrap())
    });
    let year = |log: &str| log.split('-').next().map(str::to_owned);
    assert_ne!(year(&first.1), year(&second.1), "the second factory's clock was not another one");
    assert_eq!(first.0, second.0);
}

/// Entity tag, digest and length of every asset, and what the factory said meanwhile.
fn sums(
    config: &Config,
    home: &std::path::Path,
    is_backwards: bool,
) -> (Vec<(String, String, String, u64)>, String) {
    let server = Server::start(config, home);
    let schematic = server.client.schematic(EXTENDED);
    let mut paths = paths(&schematic);
    if is_backwards {
        paths.reverse();
    }
    let sum = |path: String| {
        let etag = server.client.head(&path).header("etag").to_owned();
        let (sum, len) = server.client.digest(&path);
        (path, etag, sum, len)
    };
    let mut sums: Vec<_> = paths.into_iter().map(sum).collect();
    sums.sort();
    (sums, server.process.output())
}

/// Runs a program in another year. The wrapper `faketime` itself would stay in between, and the program would
/// outlive it.
fn other_clock() -> Vec<String> {
    const OFFSET: &str = "+400d";
    let library = says("faketime", "faketime", &["-m", "-f", OFFSET, "printenv", "LD_PRELOAD"]);
    vec!["env".to_owned(), format!("LD_PRELOAD={}", library.trim()), format!("FAKETIME={OFFSET}")]
}
