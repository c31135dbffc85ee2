//! Does the store tell what its space goes to, and give up what nobody uses, and nothing else?

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::EXTENDED;
use crate::support::fixture::NEWEST;
use crate::support::process::wait_for;
use crate::support::server::PROGRAM;
use crate::support::{Config, Fixture, Server};

/// Runs `gc` on the configuration that the factory in `home` was started with.
fn gc(home: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(PROGRAM);
    command.args(["gc", "--config"]).arg(home.join("image-factory.toml")).args(arguments);
    let output = command.env("HOME", home).current_dir(home).output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

/// The lines that tell what goes, without the words for whether it went.
fn ranks(said: &str) -> Vec<String> {
    let is_rank = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit());
    said.lines().filter(is_rank).map(str::to_owned).collect()
}

fn freed(said: &str) -> u64 {
    let line = said.lines().find(|line| line.contains(" bytes (store.maxBytes")).unwrap();
    line.split_whitespace().find_map(|word| word.parse().ok()).unwrap()
}

#[test]
fn a_dry_run_tells_what_then_happens() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let schematic = server.client.schematic(EXTENDED);
    let asset = Server::image(&schematic, NEWEST, "metal-amd64.iso");
    let sum = server.client.digest(&asset);
    let (is_fine, said) = gc(home.path(), &["--dry-run"]);
    assert!(!is_fine && said.contains("belongs to a factory that runs"), "{said}");
    let metrics = server.metrics();
    let of = |kind: &str| metrics.sum("image_factory_store_bytes", &[&format!("kind=\"{kind}\"")]);
    for kind in ["sources", "parts", "memory", "schematics"] {
        assert!(of(kind) > 0.0, "{kind}: {:?}", metrics.all("image_factory_store_bytes"));
    }
    let store = server.store.clone();
    let held: u64 = Server::blobs(&store).iter().map(|(_, size)| size).sum();
    let told = of("sources") + of("parts");
    assert!(told >= held as f64 && told < held as f64 * 1.01, "{told} are told, {held} lie there");
    assert_eq!(metrics.sum("image_factory_store_records", &["kind=\"schematics\""]), 1.0);
    server.stop();

    // What an interruption leaves behind goes too.
    std::fs::write(store.join("tmp/99"), [0; 1000]).unwrap();
    let (is_fine, nothing) = gc(home.path(), &["--dry-run"]);
    assert!(is_fine && freed(&nothing) == 1000, "{nothing}");
    assert!(store.join("tmp/99").exists());

    let parts = ["--set", "store.maxIdle.parts=1ms"];
    let blobs = Server::blobs(&store);
    let (_, would) = gc(home.path(), &[&parts[..], &["--dry-run"]].concat());
    let (_, again) = gc(home.path(), &[&parts[..], &["--dry-run"]].concat());
    assert_eq!(would, again, "looking changes nothing");
    assert_eq!(Server::blobs(&store).len(), blobs.len());
    let (is_fine, done) = gc(home.path(), &parts);
    assert!(is_fine, "{done}");
    assert_eq!(ranks(&would), ranks(&done));
    assert!(freed(&done) == freed(&would) && freed(&done) > 1000, "{done}");
    assert!(!store.join("tmp/99").exists());
    let left: u64 = Server::blobs(&store).iter().map(|(_, size)| size).sum();
    assert!(left < held && left > 0, "{left} of {held} are left: sources stay");

    // A budget of nothing: everything goes but what must stay.
    let (is_fine, done) = gc(home.path(), &["--set", "store.maxBytes=1"]);
    assert!(is_fine && done.contains("sources over store.maxBytes"), "{done}");
    assert_eq!(Server::blobs(&store).len(), 0);
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    assert_eq!(server.client.get(&format!("/schematics/{schematic}")).status, 200, "schematics stay");
    assert_eq!(server.client.digest(&asset), sum, "and give the same bytes again");
}

#[test]
fn a_download_goes_on_while_what_it_reads_is_too_old() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let config =
        Config::on_layouts(&fixture).set("store.maxIdle.sources", "1s").set("store.maxIdle.parts", "1s");
    let server = Server::start(&config, home.path());
    let schematic = server.client.schematic(EXTENDED);
    let path = Server::image(&schematic, NEWEST, "metal-amd64.raw");
    let (want, len) = server.client.digest(&path);

    let mut stream = TcpStream::connect(&server.address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut read = vec![0; 1 << 16];
    stream.read_exact(&mut read).unwrap();
    // More than socket buffers hold is still to come.
    std::thread::sleep(Duration::from_secs(4));
    let given_up = server.metrics().sum("image_factory_store_given_up_bytes_total", &["idle"]);
    stream.read_to_end(&mut read).unwrap();
    let body = read.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    assert_eq!((read.len() - body) as u64, len);
    let file = home.path().join("disk.raw");
    std::fs::write(&file, &read[body..]).unwrap();
    let sum = crate::support::tools::says("sha256sum", "coreutils", &[crate::support::tools::text(&file)]);
    assert!(sum.starts_with(&want), "{sum} is not {want}");

    // When it is over, all of it goes.
    drop(stream);
    let is_empty = || {
        let metrics = server.metrics();
        let held = |kind: &str| metrics.sum("image_factory_store_bytes", &[kind]);
        (held("kind=\"sources\"") + held("kind=\"parts\"") == 0.0).then_some(())
    };
    wait_for("what is idle is given up", Duration::from_secs(20), is_empty);
    let after = server.metrics().sum("image_factory_store_given_up_bytes_total", &["idle"]);
    assert!(after > given_up, "{given_up} bytes, then {after}");
    assert_eq!(Server::blobs(&server.store).len(), 0);
    assert_eq!(server.client.digest(&path), (want, len), "and come back");
}

#[test]
fn what_was_replaced_in_the_store_is_found_and_made_again() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let config = Config::on_layouts(&fixture);
    let (asset, sum) = {
        let server = Server::start(&config, home.path());
        let schematic = server.client.schematic(EXTENDED);
        let asset = Server::image(&schematic, NEWEST, "metal-amd64.iso");
        let sum = server.client.digest(&asset);
        server.stop();
        (asset, sum)
    };
    let store = home.path().join("store");
    let (largest, _) = Server::blobs(&store).into_iter().max_by_key(|(_, size)| *size).unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::remove_file(&largest).unwrap();
    std::fs::write(&largest, &bytes).unwrap();

    let server = Server::start(&config.set("store.scrubInterval", "1s"), home.path());
    wait_for("the blob is found", Duration::from_secs(60), || {
        server.process.output().contains("found by reading the store again").then_some(())
    });
    assert_eq!(server.client.digest(&asset), sum, "the asset is right again");
    drop(server);
    Server::check_blobs(&store);
}
