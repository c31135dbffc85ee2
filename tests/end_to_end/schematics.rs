//! Do schematics get the identity that they should, for ever, whatever is thrown at the route?

use std::time::Instant;

use crate::support::{Config, Fixture, Server};
use crate::{EMPTY, EXTENDED};

/// The identity of a schematic that asks for nothing, as every Talos user knows it.
const EMPTY_ID: &str = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";

#[test]
fn ids_are_those_of_the_reference() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    assert_eq!(server.client.schematic(EMPTY), EMPTY_ID);
    assert_eq!(server.client.schematic("{}"), EMPTY_ID, "another text for the same");
    assert_eq!(server.client.post("/schematics", "").status, 400, "nothing at all is no schematic");
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/schematics.jsonl");
    let text = std::fs::read_to_string(golden).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for line in text.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let Some(input) = case["input"].as_str() else { continue };
        let answer = server.client.post("/schematics", input);
        match case["output"]["id"].as_str().filter(|_| case["output"]["validate_error"].is_null()) {
            Some(id) => {
                assert_eq!(answer.status, 201, "{}: {}", case["case"], answer.text());
                assert_eq!(answer.json()["id"], id, "{}", case["case"]);
                accepted += 1;
            }
            None => {
                assert!((400..500).contains(&answer.status), "{}: {}", case["case"], answer.status);
                refused += 1;
            }
        }
    }
    assert!(accepted > 50 && refused > 20, "{accepted} accepted, {refused} refused");
}

#[test]
fn they_are_kept_over_restarts() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let config = Config::on_layouts(&fixture);
    let server = Server::start(&config, home.path());
    let first = server.client.post("/schematics", EXTENDED);
    assert!(!first.has("x-schematic-existed"));
    let id = first.json()["id"].as_str().unwrap().to_owned();
    let again = server.client.post("/schematics", EXTENDED);
    assert_eq!((again.status, again.header("x-schematic-existed")), (201, "true"));
    drop(server); // without any farewell

    let server = Server::start(&config, home.path());
    let answer = server.client.get(&format!("/schematics/{id}"));
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/yaml"));
    assert_eq!(answer.text(), first.json()["schematic"]);
    let etag = answer.header("etag").to_owned();
    let known = server.client.ask("GET", &format!("/schematics/{id}"), &[("if-none-match", &etag)]);
    assert_eq!(known.status, 304);
}

#[test]
fn many_clients_that_create_the_same_get_the_same() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let ids: Vec<String> = std::thread::scope(|scope| {
        let one = || server.client.schematic(EXTENDED);
        let clients: Vec<_> = (0..16).map(|_| scope.spawn(one)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn what_is_too_long_is_refused_without_being_read() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let config = Config::on_layouts(&fixture).set("http.maxSchematicSize", "2KiB");
    let server = Server::start(&config, home.path());
    let padded = |len: usize| {
        let mut yaml = EMPTY.to_owned();
        yaml.push_str(&"#".repeat(len - yaml.len()));
        server.client.post("/schematics", yaml)
    };
    assert_eq!(padded(2048).status, 201);
    let refused = padded(2049);
    assert_eq!(refused.status, 413);
    assert!(refused.text().contains("2048"), "{}", refused.text());
    assert_eq!(server.client.get("/healthz").status, 200);
}

#[test]
fn bombs_go_off_in_bounded_time_and_memory() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let before = resident(&server);

    let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..30 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    laughs.push_str("customization: {extraKernelArgs: *a29}\n");
    let nested = format!("customization: {}{}", "[".repeat(200_000), "]".repeat(200_000));
    let merged = format!("x: &x {{<<: *x}}\n{}", "y: *x\n".repeat(1000));
    let wide = format!("customization: {{extraKernelArgs: [{}]}}", "a,".repeat(400_000));
    let keys: String = (0..60_000).map(|key| format!("k{key}: {key}\n")).collect();
    for bomb in [laughs, nested, merged, wide, keys] {
        let started = Instant::now();
        let answer = server.client.post("/schematics", bomb.as_str());
        let start: String = bomb.chars().take(40).collect();
        assert!((400..500).contains(&answer.status) || answer.status == 201, "{start}: {}", answer.status);
        assert!(started.elapsed().as_secs() < 10, "{start}: took {:?}", started.elapsed());
    }
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 256 << 20, "memory grew by {grown} bytes");
    assert_eq!(server.client.schematic(EMPTY), EMPTY_ID, "and it still works");
}

/// The most memory that the process has had so far, in bytes.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
