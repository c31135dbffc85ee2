//! Is there an end to what clients can make the factory do?

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::EXTENDED;
use crate::support::fixture::NEWEST;
use crate::support::process::wait_for;
use crate::support::{Config, Fixture, Server};

/// A registry that takes every connection and never answers, until it hangs up.
struct Silent {
    address: String,
    hangs_up: Arc<AtomicBool>,
}

impl Silent {
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let hangs_up = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&hangs_up);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept()
                && !told.load(Ordering::SeqCst)
            {
                held.push(stream);
            }
        });
        Self { address, hangs_up }
    }

    /// Closes all connections; nobody listens any more.
    fn hang_up(&self) {
        self.hangs_up.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
    }
}

#[test]
fn more_than_may_wait_are_told_to_come_back() {
    let home = tempfile::tempdir().unwrap();
    let silent = Silent::listen();
    let config = Config::on_address(&silent.address).set("http.maxPendingRequests", 3);
    let server = Server::launch(&config, home.path());
    let schematic = server.client.schematic(EXTENDED);
    let path = Server::image(&schematic, NEWEST, "metal-amd64.iso");
    // Three questions that get no answer fill the planner.
    let mut waiting: Vec<TcpStream> = (0..3)
        .map(|number| {
            let mut stream = TcpStream::connect(&server.address).unwrap();
            let other =
                path.replace("metal-amd64.iso", ["kernel-amd64", "kernel-arm64", "metal-arm64.iso"][number]);
            write!(stream, "GET {other} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let refused = wait_for("the planner is full", Duration::from_secs(20), || {
        // A question that is not refused waits with the others: it may have been faster than one of them.
        let mut stream = TcpStream::connect(&server.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut answer = String::new();
        match stream.read_to_string(&mut answer) {
            Ok(_) => Some(answer),
            Err(_) => {
                waiting.push(stream);
                None
            }
        }
    });
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.to_lowercase().contains("retry-after: 1\r\n"), "{refused}");
    assert!(server.metrics().sum("image_factory_questions_refused_total", &["planner"]) >= 1.0);
    // Others are not held up.
    assert_eq!(server.client.get(&format!("/schematics/{schematic}")).status, 200);
    // Who leaves gives back the place; the work goes on until the source has said something.
    drop(waiting);
    let left = || server.metrics().sum("http_response_size_bytes_count", &["code=\"499\""]);
    wait_for("it is noticed that they have left", Duration::from_secs(20), || (left() >= 3.0).then_some(()));
    silent.hang_up();
    wait_for("a place is free", Duration::from_secs(60), || {
        let answer = server.client.get(&path);
        assert_eq!(answer.status, 503, "there is no source: {}", answer.text());
        answer.text().contains(&silent.address).then_some(())
    });
}

#[test]
fn a_client_that_leaves_stops_its_stream() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let schematic = server.client.schematic(EXTENDED);
    let path = Server::image(&schematic, NEWEST, "metal-amd64.raw");
    let (_, len) = server.client.digest(&path); // from here on, nothing is fetched or built
    let done = || server.metrics().sum("http_response_size_bytes_sum", &["code=\"499\""]);
    let leavers = || server.metrics().sum("http_response_size_bytes_count", &["code=\"499\""]);
    assert_eq!((done(), leavers()), (0.0, 0.0));

    let before = server.bytes_read();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        stream.read_exact(&mut vec![0; 1 << 20]).unwrap();
    }
    wait_for("all three are gone", Duration::from_secs(20), || (leavers() == 3.0).then_some(()));
    assert!(done() < len as f64 / 4.0, "{} of {len} bytes were sent to clients that had left", done());
    assert_eq!(server.metrics().sum("http_requests_inflight", &[]), 0.0);
    let after = server.bytes_read();
    assert!(after - before < len / 4, "{} bytes were read", after - before);
    std::thread::sleep(Duration::from_millis(300));
    // What the test itself asked for is all that is read.
    assert!(server.bytes_read() - after < 64 << 10, "it reads on");
}

#[test]
fn downloads_cost_memory_by_their_number_and_not_by_their_size() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let schematic = server.client.schematic(EXTENDED);
    let path = Server::image(&schematic, NEWEST, "metal-amd64.raw");
    server.client.digest(&path);
    let resident = || {
        let text = std::fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    };
    let before = resident();
    let clients: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut stream = TcpStream::connect(&server.address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            stream.read_exact(&mut vec![0; 1 << 20]).unwrap();
            stream
        })
        .collect();
    let grown = resident().saturating_sub(before) / clients.len() as u64;
    assert!(grown < 2 << 20, "each download holds {grown} bytes");
}
