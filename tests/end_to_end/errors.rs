//! Is wrong input refused with a reason, in the form that the client reads, before any work?

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::fixture::NEWEST;
use crate::support::process::free_port;
use crate::support::{Config, Fixture, Server};
use crate::{EMPTY, EXTENDED};

#[test]
fn errors_are_text_for_people_and_problems_for_programs() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let schematic = server.client.schematic(EMPTY);
    let path = Server::image(&schematic, NEWEST, "nonsense.iso");

    let text = server.client.get(&path);
    assert_eq!((text.status, text.header("content-type")), (400, "text/plain; charset=utf-8"));
    assert!(text.text().starts_with("error parsing profile from path: "), "{}", text.text());

    let json = server.client.ask("GET", &path, &[("accept", "application/json"), ("x-request-id", "one")]);
    assert_eq!((json.status, json.header("content-type")), (400, "application/problem+json"));
    let problem = json.json();
    assert_eq!(problem["status"], 400);
    assert_eq!(problem["requestId"], "one");
    assert_eq!(format!("{}\n", problem["detail"].as_str().unwrap()), text.text());

    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    assert!(server.client.ask("GET", &path, &browser).header("content-type").starts_with("text/plain"));
}

#[test]
fn wrong_input_is_refused_before_any_work() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let schematic = server.client.schematic(EMPTY);
    let unknown = "0".repeat(64);
    let cases = [
        (404, Server::image(&unknown, NEWEST, "metal-amd64.iso")),
        (404, Server::image("nonsense", NEWEST, "metal-amd64.iso")),
        (404, Server::image(&schematic, "v9.9.9", "metal-amd64.iso")),
        (400, Server::image(&schematic, "nonsense", "metal-amd64.iso")),
        (400, Server::image(&schematic, NEWEST, "metal-amd64.exe")),
        (400, Server::image(&schematic, NEWEST, "nowhere-amd64.iso")),
        (400, Server::image(&schematic, NEWEST, "metal-riscv64.iso")),
        (400, Server::image(&schematic, NEWEST, "kernel-")),
        (400, Server::image(&schematic, NEWEST, "..%2f..%2fetc%2fpasswd")),
        (400, Server::image(&schematic, NEWEST, &"a".repeat(3000))),
        (400, format!("/pxe/{schematic}/{NEWEST}/metal-mips")),
        (404, format!("/pxe/{unknown}/{NEWEST}/metal-amd64")),
        (404, "/version/v9.9.9/extensions/official".to_owned()),
        (400, "/version/nonsense/extensions/official".to_owned()),
        (404, format!("/schematics/{unknown}")),
        (404, "/nothing/here".to_owned()),
    ];
    for (status, path) in cases {
        let answer = server.client.get(&path);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(answer.text().len() > 5, "{path}: no reason is given");
    }
    assert_eq!(server.metrics().sum("image_factory_source_bytes_total", &[]), 0.0, "something was fetched");
    assert_eq!(server.metrics().all("image_factory_parts_built_total").len(), 0, "something was built");
    // Which clients there are is known only from the image that holds them.
    let client = server.client.get(&format!("/talosctl/{NEWEST}/talosctl-plan9-mips"));
    assert_eq!(client.status, 404, "{}", client.text());
}

#[test]
fn a_schematic_that_asks_for_what_there_is_not_is_told_so() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let with = |name: &str| {
        let list = format!("[{name}]");
        let yaml = format!("customization: {{systemExtensions: {{officialExtensions: {list}}}}}\n");
        let schematic = server.client.schematic(&yaml);
        let answer = server.client.get(&Server::image(&schematic, NEWEST, "initramfs-amd64.xz"));
        (answer.status, answer.text())
    };
    let (status, text) = with("siderolabs/no-such-thing");
    assert!(status == 400 && text.contains("siderolabs/no-such-thing"), "{status} {text}");
    let (status, text) = with("siderolabs/too-new");
    assert!(status == 400 && text.contains("too-new"), "{status} {text}");
    let (status, text) = with("siderolabs/retired");
    assert!(status == 400 && text.contains("siderolabs/retired"), "not in this version: {status} {text}");
}

#[test]
fn other_methods_and_near_misses_are_led_on() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let wrong = server.client.ask("DELETE", "/versions", &[]);
    assert_eq!(wrong.status, 405);
    assert!(wrong.header("allow").contains("GET"), "{}", wrong.header("allow"));
    assert_eq!(server.client.get("/schematics").status, 405);
    let slash = server.client.get("/versions/?broken=true");
    assert_eq!((slash.status, slash.header("location")), (301, "/versions?broken=true"));
    // A client library would tidy these up before they are sent.
    let answer = raw(&server.address, "GET //evil.example/..//versions HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 301") && answer.contains("location: /versions\r\n"), "{answer}");
}

#[test]
fn a_client_that_never_finishes_its_request_is_hung_up_on() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let config = Config::on_layouts(&fixture).set("http.readHeaderTimeout", "1s");
    let server = Server::start(&config, home.path());
    let started = Instant::now();
    let answer = raw(&server.address, "GET /versions HTT");
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(server.client.get("/healthz").status, 200);
}

#[test]
fn a_source_that_is_not_there_is_a_reason_to_come_back() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let nowhere = format!("127.0.0.1:{}", free_port());
    let server = Server::launch(&Config::on_address(&nowhere).trusting(&fixture.key), home.path());
    let schematic = server.client.schematic(EXTENDED);
    for path in ["/versions".to_owned(), Server::image(&schematic, NEWEST, "metal-amd64.iso")] {
        let answer = server.client.get(&path);
        assert_eq!(answer.status, 503, "{path}: {}", answer.text());
        assert!(answer.header("retry-after").parse::<u64>().is_ok(), "{path}");
        assert!(answer.text().contains(&nowhere), "the source is named: {}", answer.text());
    }
    // What needs no source goes on.
    assert_eq!(server.client.get(&format!("/schematics/{schematic}")).status, 200);
    let ready = server.client.get("/readyz");
    assert!(ready.status == 200 && ready.text().contains("degraded"), "{} {}", ready.status, ready.text());
}

/// Sends bytes as they are, and reads until the server hangs up or has answered.
fn raw(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..read]);
        if read == 0 || answer.windows(4).any(|end| end == b"\r\n\r\n") {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}
