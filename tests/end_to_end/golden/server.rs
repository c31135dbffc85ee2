//! A factory with the recorder's own keys, so that certificates and public keys are the recorded ones.

use std::path::Path;

use serde_json::Value;

use super::{lines, text_of};
use crate::support::{Config, Fixture, Server};

/// What stands for hosts in the golden data, and ours (`support::server::EXTERNAL_URL`).
pub const HOSTS: &[(&str, &str)] =
    &[("FACTORY.EXAMPLE", "factory.example"), ("PXE.EXAMPLE", "factory.example")];

/// Starts a factory that signs with the keys of `uki.jsonl`.
pub fn start(fixture: &Fixture, home: &Path) -> Server {
    std::fs::create_dir_all(home).expect("a home");
    let recorded = lines("uki.jsonl");
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

/// Creates the schematics of lines whose paths have these ids.
pub fn create_schematics(server: &Server, lines: &[Value]) {
    let ids: Vec<String> = SCHEMATICS.iter().map(|(_, yaml)| server.client.schematic(yaml)).collect();
    for line in lines {
        let path = text_of(&line["request"]["path"]);
        let id = path.split('/').find(|segment| segment.len() == 64);
        assert!(id.is_none_or(|id| ids.iter().any(|known| known == id)), "{path}: an unknown schematic");
    }
}
