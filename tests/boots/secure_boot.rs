//! Does firmware enroll our keys, start what we sign and nothing else, and does a TPM see what we predicted?

use std::path::{Path, PathBuf};
use std::process::Command;

use factory_formats::pe::Pe;
use factory_formats::uki::{Bank, SectionDigests, replay, section};

use crate::machine::Lab;
use crate::support::Config;
use crate::support::fixture::{NEWEST, qemu_boot};
use crate::support::server::PROGRAM;
use crate::support::tools::text;

const SCHEMATIC: &str = "customization:
  extraKernelArgs:
    - console=ttyS0
";

fn keys(folder: &Path) -> PathBuf {
    let keys = folder.join("keys");
    let output = Command::new(PROGRAM).args(["secureboot", "generate-keys", text(&keys)]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    keys
}

fn configure(config: Config, keys: &Path) -> Config {
    let path = |name: &str| text(&keys.join(name)).to_owned();
    config
        .set("secureBoot.enabled", true)
        .set("secureBoot.file.signingKeyPath", path("uki-signing-key.pem"))
        .set("secureBoot.file.signingCertPath", path("uki-signing-cert.pem"))
        .set("secureBoot.file.pcrKeyPath", path("pcr-signing-key.pem"))
}

/// What PCR 11 holds after the stub has started the main profile of a UKI.
fn predicted(uki: &[u8]) -> String {
    let pe = Pe::parse(uki, uki.len() as u64).unwrap();
    let mut view = Vec::new();
    for found in pe.sections().iter().take_while(|found| found.name != section::PCRSIG) {
        let range = found.content();
        let content = &uki[range.start as usize..range.end as usize];
        view.push((found.name, SectionDigests::of(content)));
    }
    hex::encode(replay(Bank::Sha256, &view).after_sections)
}

#[test]
fn keys_are_enrolled_and_signed_files_alone_start() {
    let made = tempfile::tempdir().unwrap();
    let keys = keys(made.path());
    let Some(lab) = Lab::open_with(|config| configure(config, &keys)) else { return };
    let schematic = lab.server.client.schematic(SCHEMATIC);

    // Setup mode: in a virtual machine systemd-boot enrolls at once, and starts the machine again.
    let iso = lab.save(&schematic, NEWEST, "metal-amd64-secureboot.iso");
    let vars = lab.folder().join("vars.fd");
    let report = lab.boot(&["--iso", text(&iso), "--firmware", "secureboot", "--save-vars", text(&vars)]);
    assert_eq!((report.value("secureboot"), report.value("setupmode")), ("on", "off"));

    // With the keys in place, a UKI that nobody else has started, and its measurements.
    let uki = lab.save(&schematic, NEWEST, "metal-amd64-secureboot-uki.efi");
    let enrolled = ["--firmware", "secureboot", "--vars", text(&vars), "--tpm"];
    let report = lab.boot(&[&["--uki", text(&uki)][..], &enrolled].concat());
    assert_eq!(report.value("secureboot"), "on");
    let mut bytes = std::fs::read(&uki).unwrap();
    assert_eq!(report.value("pcr11").to_lowercase(), predicted(&bytes));

    // One byte of the kernel is another: the firmware refuses before anything of it runs.
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let altered = lab.folder().join("altered.efi");
    std::fs::write(&altered, bytes).unwrap();
    let script = qemu_boot().unwrap();
    let log = lab.folder().join("refused.log");
    let refusal = ["--expect", "Boot0001 .*Access Denied", "--timeout", "300", "--serial", text(&log)];
    let output =
        Command::new(script).args(["--uki", text(&altered)]).args(enrolled).args(refusal).output().unwrap();
    let serial = String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
    assert!(!serial.contains("FIXTURE"), "it ran: {serial}");
    assert!(output.status.success(), "{}\n{serial}", String::from_utf8_lossy(&output.stdout));
}
