//! Does a copy of a release do what the release does, and is it all there, whole and genuine?

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::EXTENDED;
use crate::support::fixture::{NEWEST, OLDEST_UKI};
use crate::support::process::Process;
use crate::support::server::PROGRAM;
use crate::support::tools::text;
use crate::support::{Config, Fixture, Registry, Server};

/// Extensions that are signed as they should be.
const GOOD: &str = "hello-world-service,util-tools,intel-ucode,siderolabs/wifi-firmware,drbd";

/// The command, with its configuration in `home`.
fn command(config: &Config, home: &Path, arguments: &[&str]) -> Command {
    let file = home.join("mirror.toml");
    std::fs::write(&file, config.to_toml()).unwrap();
    let mut command = Command::new(PROGRAM);
    command.arg("mirror").arg("--config").arg(&file).args(arguments).env("HOME", home).current_dir(home);
    command
}

fn run(config: &Config, home: &Path, arguments: &[&str]) -> (bool, String) {
    let Output { status, stdout, stderr } = command(config, home, arguments).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&stderr), String::from_utf8_lossy(&stdout));
    (status.success(), said)
}

/// Runs it and expects that everything was copied.
fn mirrored(config: &Config, home: &Path, arguments: &[&str]) -> String {
    let (is_fine, said) = run(config, home, arguments);
    assert!(is_fine, "{said}");
    said
}

fn layouts(directory: &Path) -> String {
    format!("oci-layout:{}", text(directory))
}

fn on_directory(directory: &Path, fixture: &Fixture) -> Config {
    Config::default().set("artifacts.core.registry", layouts(directory)).trusting(&fixture.key)
}

/// Blobs that the summary tells of, such as those `sent`.
fn told(said: &str, what: &str) -> u64 {
    let line = said.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(": ")?.split(' ').next());
    line.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("nothing of {what}: {said}"))
}

/// Everything that lies in the blobs of a directory of layouts, by repository and name.
fn blobs(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if folder.ends_with("blobs/sha256") {
                found.insert(path.strip_prefix(directory).unwrap().to_owned());
            }
        }
    }
    found
}

/// Digests of what a factory gives for both architectures and both versions, lists included.
fn gives(config: &Config) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(config, home.path());
    let schematic = server.client.schematic(EXTENDED);
    let mut all = vec![
        server.client.get(&format!("/version/{NEWEST}/overlays/official")).text(),
        server.client.get(&format!("/talosctl/{NEWEST}")).text(),
    ];
    for (version, name) in [
        (NEWEST, "kernel-amd64"),
        (NEWEST, "initramfs-amd64.xz"),
        (NEWEST, "initramfs-arm64.xz"),
        (OLDEST_UKI, "initramfs-amd64.xz"),
    ] {
        all.push(server.client.digest(&Server::image(&schematic, version, name)).0);
    }
    let manifest = server.client.get(&format!("/v2/installer/{schematic}/manifests/{NEWEST}"));
    assert_eq!(manifest.status, 200, "{}", manifest.text());
    all.push(manifest.text());
    // What clients verify themselves comes along.
    let index = server.client.head(&format!("/v2/siderolabs/imager/manifests/{NEWEST}"));
    let digest = index.header("docker-content-digest").to_owned();
    let referrers = server.client.get(&format!("/v2/siderolabs/imager/referrers/{digest}"));
    assert_eq!(referrers.json()["manifests"].as_array().map(Vec::len), Some(1), "{}", referrers.text());
    all.push(referrers.json()["manifests"][0]["digest"].to_string());
    all.push(digest);
    all
}

#[test]
fn a_copy_does_what_the_release_does() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut registry = Registry::with_fixture(&fixture);
    let source = Config::on_registry(&registry, &fixture);
    let want = gives(&source);
    let (directory, versions) = (home.path().join("copy"), format!("{OLDEST_UKI},{NEWEST}"));
    let to = layouts(&directory);
    let arguments = ["--versions", &versions, "--extensions", GOOD, "--to", &to];

    let dry = mirrored(&source, home.path(), &[&arguments[..], &["--dry-run"]].concat());
    assert_eq!(blobs(&directory), BTreeSet::new(), "{dry}");
    let said = mirrored(&source, home.path(), &arguments);
    let (planned, sent, linked) = (told(&dry, "to send"), told(&said, "sent"), told(&said, "there already"));
    assert!(sent > 20 && sent <= planned, "{dry}\n{said}");
    assert_eq!(planned, sent + linked, "what one repository has another one gets for nothing: {dry}\n{said}");
    assert!(said.contains("copied siderolabs/imager:v1.12.4"), "{said}");

    // Again there is nothing left to do.
    let before = blobs(&directory);
    let again = mirrored(&source, home.path(), &arguments);
    assert_eq!((told(&again, "sent"), told(&again, "there already")), (0, planned), "{again}");
    assert_eq!(blobs(&directory), before);

    // What the medium damages is found when somebody asks for that.
    let victim = directory
        .join("siderolabs/imager/blobs/sha256")
        .join(&registry.layers("siderolabs/imager", NEWEST)[0]);
    std::fs::write(&victim, b"damaged").unwrap();
    assert_eq!(told(&mirrored(&source, home.path(), &arguments), "sent"), 0, "it was looked at");
    let checked = mirrored(&source, home.path(), &[&arguments[..], &["--check"]].concat());
    assert_eq!(told(&checked, "sent"), 1, "{checked}");
    assert_eq!(blobs(&directory), before);

    // Other tools read the directory too.
    let image = format!("oci:{}:{NEWEST}", text(&directory.join("siderolabs/imager")));
    let seen = crate::support::tools::says("skopeo", "skopeo", &["inspect", "--raw", &image]);
    assert_eq!(seen.as_bytes(), registry.manifest("siderolabs/imager", NEWEST).1);

    // From here on there is no way to the release. Something carries the copy.
    registry.stop();
    let there = home.path().join("there");
    crate::support::tools::success("cp", "coreutils", &["-a", text(&directory), text(&there)]);
    std::fs::remove_dir_all(&directory).unwrap();
    let copy = on_directory(&there, &fixture);
    assert_eq!(gives(&copy), want);
    let carried = tempfile::tempdir().unwrap();
    let server = Server::start(&copy, carried.path());
    assert_eq!(server.client.get("/versions").list(), [OLDEST_UKI, NEWEST], "what was asked for and no more");
    drop(server);

    // And on from there into a registry, which has no referrers API and checks what it is given.
    let far = Registry::empty();
    let arguments = ["--versions", "v1.10.0..", "--extensions", GOOD, "--insecure", "--to", &far.address];
    let said = mirrored(&copy, home.path(), &arguments);
    assert_eq!(gives(&Config::on_registry(&far, &fixture)), want, "{said}");
    let again = mirrored(&copy, home.path(), &arguments);
    assert_eq!(told(&again, "sent"), 0, "{again}");
    let Some(cosign) = crate::support::fixture::cosign() else { return };
    for image in [format!("imager:{NEWEST}"), format!("imager:{OLDEST_UKI}"), "util-tools:2.39.1".to_owned()]
    {
        let image = format!("{}/siderolabs/{image}", far.address);
        let arguments = ["verify", "--private-infrastructure", "--key", text(&fixture.key), &image];
        let output = Command::new(&cosign).args(arguments).env("HOME", home.path()).output().unwrap();
        assert!(output.status.success(), "{image}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn below_a_path_and_for_one_architecture() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let source = Config::on_layouts(&fixture);
    let far = Registry::empty();
    let below = format!("{}/ghcr/copy", far.address);
    let to = ["--versions", NEWEST, "--extensions", "util-tools", "--insecure", "--to", &below];
    mirrored(&source, home.path(), &to);
    let config = Config::on_registry(&far, &fixture).set("artifacts.core.namespace", "ghcr/copy");
    let server = Server::start(&config, home.path());
    assert_eq!(server.client.get("/versions").list(), [NEWEST]);
    drop(server);

    let (all, one) = (home.path().join("all"), home.path().join("one"));
    for (directory, more) in [(&all, &[][..]), (&one, &["--arch", "amd64"])] {
        let to = layouts(directory);
        let arguments = ["--versions", NEWEST, "--extensions", "util-tools,drbd", "--to", &to];
        mirrored(&source, home.path(), &[&arguments[..], more].concat());
    }
    assert!(blobs(&one).is_subset(&blobs(&all)) && blobs(&one).len() + 5 < blobs(&all).len());
    let server = Server::start(&on_directory(&one, &fixture), home.path());
    let yaml = "customization: {systemExtensions: {officialExtensions: [siderolabs/drbd]}}\n";
    let schematic = server.client.schematic(yaml);
    assert_eq!(server.client.get(&Server::image(&schematic, NEWEST, "initramfs-amd64.xz")).status, 200);
}

#[test]
fn what_is_not_genuine_stays_away_and_is_named() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let directory = home.path().join("copy");
    let to = layouts(&directory);
    let (is_fine, said) =
        run(&Config::on_layouts(&fixture), home.path(), &["--versions", "latest", "--to", &to]);
    assert!(!is_fine, "{said}");
    assert!(said.contains("2 images are not copied"), "{said}");
    for name in ["unsigned", "forged"] {
        assert!(said.contains(&format!("siderolabs/{name}:1.0.0: failed to verify")), "{said}");
        assert!(!directory.join("siderolabs").join(name).exists(), "{name} was copied");
    }
    // All the others are there, and the version is on offer.
    let server = Server::start(&on_directory(&directory, &fixture), home.path());
    assert_eq!(server.client.get("/versions").list(), [NEWEST]);
    drop(server);

    let (is_fine, said) =
        run(&Config::on_layouts(&fixture), home.path(), &["--versions", "v1.99.0", "--to", &to]);
    assert!(!is_fine && said.contains("v1.99.0") && said.contains(NEWEST), "{said}");
    let arguments = ["--versions", NEWEST, "--extensions", "util-tools,nowhere", "--to", &to];
    let (is_fine, said) = run(&Config::on_layouts(&fixture), home.path(), &arguments);
    assert!(!is_fine && said.contains("v1.12.4 lists no extension nowhere"), "{said}");
}

#[test]
fn damaged_blobs_are_refused_and_promise_nothing() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let registry = Registry::to_change(&fixture);
    let of_extension = registry.layers("siderolabs/util-tools", "2.39.1").remove(0);
    registry.damage(&of_extension);
    let of_base = registry.layers("siderolabs/installer-base", OLDEST_UKI).remove(0);
    registry.damage(&of_base);
    let source = Config::on_registry(&registry, &fixture);
    let far = Registry::empty();
    let directory = home.path().join("copy");
    let versions = format!("{OLDEST_UKI},{NEWEST}");
    for to in [vec![layouts(&directory)], vec![far.address.clone(), "--insecure".to_owned()]] {
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        let arguments = ["--versions", &versions, "--extensions", "util-tools,drbd", "--to"];
        let (is_fine, said) = run(&source, home.path(), &[&arguments[..], &to].concat());
        assert!(!is_fine, "{said}");
        assert!(said.contains("siderolabs/util-tools:2.39.1: ") && said.contains(&of_extension), "{said}");
        // Its installers could not be made, so this version must not come on offer.
        let reason = format!("siderolabs/imager:{OLDEST_UKI}: left out, because siderolabs/installer-base");
        assert!(said.contains(&reason), "{said}");
    }
    let all = blobs(&directory);
    assert!(!all.iter().any(|path| path.ends_with(&of_extension) || path.ends_with(&of_base)));
    for config in [on_directory(&directory, &fixture), Config::on_registry(&far, &fixture)] {
        let home = tempfile::tempdir().unwrap();
        let server = Server::start(&config, home.path());
        assert_eq!(server.client.get("/versions").list(), [NEWEST]);
    }
}

#[test]
fn killed_at_any_time_it_goes_on_where_it_was() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let registry = Registry::with_fixture(&fixture);
    let source = Config::on_registry(&registry, &fixture);
    let directory = home.path().join("copy");
    let to = layouts(&directory);
    let jobs = 3;
    let arguments = ["--versions", NEWEST, "--extensions", GOOD, "--jobs", &jobs.to_string(), "--to", &to];
    let mut kills = 0;
    for wanted in [1, 12, 25, 40] {
        let log = home.path().join("log");
        let mut process =
            Process::start("mirror", "this project", &mut command(&source, home.path(), &arguments), &log);
        let started = Instant::now();
        while blobs(&directory).len() < wanted
            && process.runs()
            && started.elapsed() < Duration::from_secs(60)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        kills += usize::from(process.runs());
        process.kill();
        // Whatever has a name is whole.
        for path in blobs(&directory) {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let sum = crate::support::tools::says("sha256sum", "coreutils", &[text(&directory.join(&path))]);
            assert!(sum.starts_with(&name), "{} is not what it says", path.display());
        }
    }
    assert!(kills >= 2, "it was too quick to be killed");
    let said = mirrored(&source, home.path(), &arguments);
    // Signatures and lists are read again each time, layers only where the end came in the middle of one.
    let layers: Vec<String> = ["imager", "installer-base", "talosctl-all"]
        .iter()
        .flat_map(|name| registry.layers(&format!("siderolabs/{name}"), NEWEST))
        .collect();
    let mut pulls = registry.pulls();
    pulls.retain(|(path, _)| layers.iter().any(|layer| path.ends_with(layer)));
    let (distinct, all) = (pulls.len(), pulls.iter().map(|(_, times)| times).sum::<usize>());
    assert!(distinct >= 5 && all <= distinct + kills * jobs, "{all} pulls of {distinct} layers: {pulls:?}");
    assert_eq!(std::fs::read_dir(directory.join(".mirror")).unwrap().count(), 1, "the lock and nothing else");
    let server = Server::start(&on_directory(&directory, &fixture), home.path());
    let schematic = server.client.schematic(EXTENDED);
    let asset = Server::image(&schematic, NEWEST, "initramfs-amd64.xz");
    assert_eq!(server.client.get(&asset).status, 200, "{said}");
}
