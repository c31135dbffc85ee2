//! Does a kill at any instant leave nothing but what is whole?

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::EXTENDED;
use crate::support::fixture::NEWEST;
use crate::support::{Config, Fixture, Registry, Server};

/// Moments at which the factory is killed, spread over the time that it takes from nothing to the last byte.
const MOMENTS: u32 = 10;

const ASSET: &str = "metal-amd64.raw.zst";

#[test]
fn killed_while_it_pulls_and_builds_it_goes_on_from_there() {
    let Some(fixture) = Fixture::find() else { return };
    let registry = Registry::with_fixture(&fixture);
    let config = Config::on_registry(&registry, &fixture);

    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&config, home.path());
    let schematic = server.client.schematic(EXTENDED);
    let path = Server::image(&schematic, NEWEST, ASSET);
    let started = Instant::now();
    let undisturbed = server.client.digest(&path);
    let took = started.elapsed();
    drop(server);

    // Each time from nothing, killed a little later; and one that goes on and on from what is there.
    let survivor = tempfile::tempdir().unwrap();
    let mut partials = 0;
    for moment in 0..MOMENTS {
        let fresh = tempfile::tempdir().unwrap();
        for home in [fresh.path(), survivor.path()] {
            let mut server = Server::start(&config, home);
            assert_eq!(server.client.schematic(EXTENDED), schematic);
            let mut stream = TcpStream::connect(&server.address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            std::thread::sleep(took * (2 * moment + 1) / (2 * MOMENTS));
            server.process.kill();
            Server::check_blobs(&server.store);
            partials += std::fs::read_dir(server.store.join("partial")).unwrap().count();
        }
        let server = Server::start(&config, fresh.path());
        assert_eq!(server.client.get(&format!("/schematics/{schematic}")).status, 200, "it was acknowledged");
        assert_eq!(server.client.digest(&path), undisturbed, "after a kill at moment {moment}");
        Server::check_blobs(&server.store);
    }
    let server = Server::start(&config, survivor.path());
    assert_eq!(server.client.digest(&path), undisturbed);
    println!("{partials} partial downloads were gone on with; undisturbed it takes {took:?}");
}

#[test]
fn a_pull_goes_on_where_a_kill_ended_it() {
    let Some(fixture) = Fixture::find() else { return };
    let registry = Registry::with_fixture(&fixture);
    let home = tempfile::tempdir().unwrap();
    let config = Config::on_registry(&registry, &fixture);
    let path = {
        let server = Server::start(&config, home.path());
        let schematic = server.client.schematic(crate::EMPTY);
        Server::image(&schematic, NEWEST, "kernel-amd64")
    };
    // Kill as soon as a part of a layer is on the disk.
    for _ in 0..20 {
        let mut server = Server::start(&config, home.path());
        let mut stream = TcpStream::connect(&server.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let partial = server.store.join("partial");
        let started = Instant::now();
        let has_bytes = || {
            std::fs::read_dir(&partial)
                .unwrap()
                .any(|entry| entry.unwrap().metadata().is_ok_and(|m| m.len() > 1 << 20))
        };
        while !has_bytes() && started.elapsed() < Duration::from_secs(10) {
            if Server::blobs(&server.store).iter().any(|(_, size)| *size > 1 << 20) {
                break;
            }
        }
        server.process.kill();
        if has_bytes() {
            let server = Server::start(&config, home.path());
            assert_eq!(server.client.get(&path).status, 200);
            let continued = registry.requests().iter().any(|r| r.path.contains("/blobs/") && r.status == 206);
            assert!(continued, "the registry was asked for the whole again");
            return;
        }
        std::fs::remove_dir_all(home.path().join("store")).unwrap();
        let server = Server::start(&config, home.path());
        server.client.schematic(crate::EMPTY);
    }
    panic!("no pull could be interrupted");
}
