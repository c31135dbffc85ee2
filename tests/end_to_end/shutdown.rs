//! Does it stop as it should: no new requests, running downloads to their end, but not for ever?

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::EXTENDED;
use crate::support::fixture::NEWEST;
use crate::support::{Config, Fixture, Server};

/// A download of which a little has been read, and how much there is of it.
fn begun(server: &Server) -> (TcpStream, Vec<u8>, u64) {
    let schematic = server.client.schematic(EXTENDED);
    let path = Server::image(&schematic, NEWEST, "metal-amd64.iso");
    let len = server.client.head(&path).header("content-length").parse().unwrap();
    let mut stream = TcpStream::connect(&server.address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut start = vec![0; 4096];
    stream.read_exact(&mut start).unwrap();
    (stream, start, len)
}

#[test]
fn running_downloads_end_and_nothing_new_begins() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let mut server = Server::start(&Config::on_layouts(&fixture), home.path());
    let (mut stream, start, len) = begun(&server);
    server.process.signal("TERM");
    std::thread::sleep(Duration::from_millis(100));
    let told = server.client.get("/readyz");
    assert_eq!(told.status, 503, "{}", told.text());
    std::thread::sleep(Duration::from_millis(700));
    assert!(TcpStream::connect(&server.address).is_err(), "it still accepts");
    assert!(server.process.runs(), "it did not wait");

    let mut whole = start;
    stream.read_to_end(&mut whole).unwrap();
    let head = whole.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    assert_eq!((whole.len() - head) as u64, len, "the download was cut off");
    let status = server.process.wait(Duration::from_secs(20));
    assert!(status.success(), "{status}");
    assert!(server.process.output().contains("stopped"));
}

#[test]
fn a_download_that_never_ends_is_not_waited_for_for_ever() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let config = Config::on_layouts(&fixture).set("http.shutdownTimeout", "2s");
    let mut server = Server::start(&config, home.path());
    let (_stream, _, _) = begun(&server);
    let started = Instant::now();
    server.process.signal("INT");
    let status = server.process.wait(Duration::from_secs(20));
    assert!(status.success(), "{status}");
    assert!(started.elapsed() >= Duration::from_secs(2), "it did not wait at all");
}

#[test]
fn a_store_is_for_one_factory() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let output = std::process::Command::new(crate::support::server::PROGRAM)
        .args(["serve", "--config", "image-factory.toml", "--set", "http.httpListenAddr=127.0.0.1:0"])
        .current_dir(home.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("in use by another process"), "{said}");
    server.stop();
}
