//! Does the store keep to its budget, and lose nothing by it?

use std::time::Duration;

use crate::EXTENDED;
use crate::support::fixture::{NEWEST, OLDEST_UKI};
use crate::support::process::wait_for;
use crate::support::{Config, Fixture, Registry, Server};

/// Bytes that count against the budget.
fn budgeted(server: &Server) -> f64 {
    let of = |kind: &str| server.metrics().sum("image_factory_store_bytes", &[kind]);
    of("kind=\"sources\"") + of("kind=\"parts\"")
}

#[test]
fn a_small_budget_is_kept_and_what_was_evicted_comes_back_the_same() {
    let Some(fixture) = Fixture::find() else { return };
    let (registry, home) = (Registry::with_fixture(&fixture), tempfile::tempdir().unwrap());
    let config = Config::on_registry(&registry, &fixture);

    // How much one version takes says which budget is too small for four. While an image is taken apart, its
    // layers and its files are there at the same time.
    let roomy = tempfile::tempdir().unwrap();
    let server = Server::start(&config, roomy.path());
    let schematic = server.client.schematic(EXTENDED);
    let asset = |version: &str| Server::image(&schematic, version, "metal-amd64.iso");
    let want = server.client.digest(&asset(NEWEST));
    let needed = budgeted(&server);
    drop(server);
    let budget = (needed * 2.8) as i64;

    let server = Server::start(&config.set("store.maxBytes", budget.to_string()), home.path());
    assert_eq!(server.client.schematic(EXTENDED), schematic);
    let marks: Vec<String> = (0..20)
        .map(|mark| server.client.schematic(&EXTENDED.replace("end.to.end=1", &format!("mark={mark}"))))
        .collect();
    let imager = registry.layers("siderolabs/imager", NEWEST);
    let pulls = || {
        let of_imager = registry.pulls();
        let of_imager = of_imager.iter().filter(|(path, _)| imager.iter().any(|layer| path.ends_with(layer)));
        of_imager.map(|(_, times)| times).sum::<usize>()
    };
    let already = pulls();
    for round in 1..=2 {
        for version in [NEWEST, OLDEST_UKI, "v1.11.2", "v1.14.0-alpha.2", "v1.9.5"] {
            let sum = server.client.digest(&asset(version));
            assert!(version != NEWEST || sum == want, "round {round}: other bytes than with room for all");
            let within = || {
                let bytes = budgeted(&server);
                (bytes <= budget as f64).then_some(())
            };
            wait_for("the store is within its budget", Duration::from_secs(10), within);
        }
    }
    assert!(pulls() >= already + 2, "nothing was ever evicted");
    let on_disk: u64 = Server::blobs(&server.store).iter().map(|(_, size)| size).sum();
    assert!(on_disk <= budget as u64, "{on_disk} bytes of blobs are on the disk");
    for id in marks {
        assert_eq!(server.client.get(&format!("/schematics/{id}")).status, 200, "schematics stay");
    }
}
