//! A factory with the recorder's own keys, so that certificates and public keys are the recorded ones.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{are_ours, lines_in, our_folder, text_of};
use crate::support::{Config, Fixture, Server};

/// What stands for hosts in the golden data, and ours (`support::server::EXTERNAL_URL`).
pub const HOSTS: &[(&str, &str)] =
    &[("FACTORY.EXAMPLE", "factory.example"), ("PXE.EXAMPLE", "factory.example")];

/// Starts a factory that signs with the keys of `uki.jsonl`.
pub fn start(fixture: &Fixture, home: &Path) -> Server {
    std::fs::create_dir_all(home).expect("a home");
    let recorded = lines_in(&our_folder(), "uki.jsonl");
    let key = |name: &str| {
        let case = format!("uki/input/key/{name}");
        let line = recorded.iter().find(|line| line["case"] == *case).expect("the recorder's keys");
        let path = home.join(name);
        std::fs::write(&path, text_of(&line["output"]["pem"])).expect("a key");
        path.to_str().expect("a printable path").to_owned()
    };
    let config = Config::on_layouts(fixture)
        .set("secureBoot.enabled", true)
        .set("secureBoot.file.signingKeyPath", key("sb.key"))
        .set("secureBoot.file.signingCertPath", key("sb.crt"))
        .set("secureBoot.file.pcrKeyPath", key("pcr.key"));
    Server::start(&config, home)
}

/// The texts of the schematics that recorded assets and installers have, by the recorder's name for them. Golden
/// files tell the ids; the texts of all but `empty` and `rpi` (`schematics.jsonl`) follow from the
/// records of their assets, and the ids prove them.
pub const SCHEMATICS: &[(&str, &str)] = &[
    ("empty", "customization: {}\n"),
    ("rpi", "overlay:\n  name: rpi_generic\n  image: siderolabs/sbc-raspberrypi\n"),
    (
        "ext",
        "customization:
  extraKernelArgs: [golden=1]
  systemExtensions:
    officialExtensions: [siderolabs/hello-world-service, siderolabs/util-tools, siderolabs/intel-ucode]
",
    ),
    ("grub-4k", "customization:\n  bootloader: grub\n  diskImage:\n    sectorSize: 4096\n"),
    ("meta-sdboot", "customization:\n  bootloader: sd-boot\n  meta:\n    - key: 0xa\n      value: foo\n"),
];

/// Creates the schematics, and gives their ids by name.
pub fn create_schematics(server: &Server) -> BTreeMap<&'static str, String> {
    SCHEMATICS.iter().map(|(name, yaml)| (*name, server.client.schematic(yaml))).collect()
}

/// Whether a line's schematic is one of these. Lines from elsewhere may have others, whose texts nobody knows here.
pub fn is_known(schematics: &BTreeMap<&str, String>, line: &Value) -> bool {
    let case = text_of(&line["case"]);
    let id = text_of(&line["request"]["path"]).split('/').find(|segment| segment.len() == 64);
    let is_known = id.is_none_or(|id| schematics.values().any(|known| known == id));
    assert!(is_known || !are_ours(), "{case}: an unknown schematic");
    if !is_known {
        println!("left out: {case}, whose schematic nobody knows");
    }
    is_known
}
