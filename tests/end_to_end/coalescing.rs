//! Do many clients that want the same cold thing cause its work once?

use std::sync::Barrier;

use crate::EXTENDED;
use crate::support::fixture::NEWEST;
use crate::support::{Config, Fixture, Registry, Server};

const ASSETS: [&str; 4] =
    ["metal-amd64.iso", "metal-amd64.raw.zst", "metal-amd64-uki.efi", "initramfs-amd64.xz"];

/// Downloads each of the assets with so many clients that all begin at the same time.
fn download(server: &Server, clients_each: usize) {
    let schematic = server.client.schematic(EXTENDED);
    let gate = Barrier::new(clients_each * ASSETS.len());
    std::thread::scope(|scope| {
        let start = |name: &'static str| {
            let (path, gate) = (Server::image(&schematic, NEWEST, name), &gate);
            scope.spawn(move || {
                gate.wait();
                (name, server.client.digest(&path))
            })
        };
        let clients: Vec<_> =
            ASSETS.into_iter().flat_map(|name| vec![name; clients_each]).map(start).collect();
        let got: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        for (name, sum) in &got {
            let first = got.iter().find(|(other, _)| other == name).unwrap();
            assert_eq!(*sum, first.1, "{name} is another file for another client");
        }
    });
}

#[test]
fn a_crowd_causes_one_pull_and_one_build_each() {
    let Some(fixture) = Fixture::find() else { return };
    let parts = |server: &Server| {
        let metrics = server.metrics();
        let all = metrics.all("image_factory_parts_built_total").into_iter();
        all.map(|(name, count)| (name.to_owned(), count)).collect::<Vec<_>>()
    };

    let (registry, home) = (Registry::with_fixture(&fixture), tempfile::tempdir().unwrap());
    let crowded = Server::start(&Config::on_registry(&registry, &fixture), home.path());
    download(&crowded, 8);
    let pulls = registry.pulls();
    assert!(pulls.len() > 10, "the log tells of {} pulls only", pulls.len());
    assert_eq!(
        pulls[0].1,
        1,
        "pulled more than once: {:?}",
        pulls.iter().filter(|p| p.1 > 1).collect::<Vec<_>>()
    );

    let (registry, home) = (Registry::with_fixture(&fixture), tempfile::tempdir().unwrap());
    let alone = Server::start(&Config::on_registry(&registry, &fixture), home.path());
    download(&alone, 1);
    let built = parts(&alone);
    assert!(built.iter().any(|(name, count)| name.contains("extension/") && *count == 5.0), "{built:?}");
    assert_eq!(parts(&crowded), built, "a crowd builds what one client builds");
    let mut same = registry.pulls();
    let mut pulls = pulls;
    same.sort();
    pulls.sort();
    assert_eq!(pulls, same, "a crowd pulls what one client pulls");

    // Warm, nothing is pulled and nothing is built.
    download(&alone, 4);
    assert_eq!(parts(&alone), built);
    assert_eq!(registry.pulls().len(), same.len());
}

#[test]
fn extension_parts_are_shared_between_schematics() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let built = || server.metrics().sum("image_factory_parts_built_total", &["extension/"]);
    for mark in 0..3 {
        let schematic = server.client.schematic(&EXTENDED.replace("end.to.end=1", &format!("mark={mark}")));
        server.client.digest(&Server::image(&schematic, NEWEST, "metal-amd64.iso"));
        assert_eq!(built(), 5.0, "after schematic {mark}");
    }
}
