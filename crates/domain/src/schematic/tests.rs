use proptest::prelude::*;

use super::*;
use crate::goyaml::Value;

#[track_caller]
fn canonical(text: &str) -> String {
    Schematic::parse(text.as_bytes()).unwrap().canonical()
}

/// Ids that upstream's own tests assert.
#[test]
fn well_known_ids() {
    for (text, id) in [
        ("{}", "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba"),
        (
            "customization: {extraKernelArgs: [noapic, nolapic]}",
            "9cba8e32753f91a16c1837ab8abf356af021706ef284aef07380780177d9a06c",
        ),
        (
            "customization: {meta: [{key: 0xa, value: foo}]}",
            "d308a2a5ee2277bed5fbaa104fcbc8d59122abfa737df987a95b4ca763459a7f",
        ),
        (
            "customization: {secureboot: {includeWellKnownCertificates: yes}}",
            "fa8e05f142a851d3ee568eb0a8e5841eaf6b0ebc8df9a63df16ac5ed2c04f3e6",
        ),
        (
            "customization: {diskImage: {sectorSize: 4096}}",
            "92833e9ddd9bb9e11b2464fa5525429f01866306d52ebd882ee08d7918f6d1ea",
        ),
        (
            "overlay: {name: rpi_generic, image: siderolabs/sbc-raspberrypi}",
            "ee21ef4a5ef808a9b7484cc0dda0f25075021691c8c09a276591eedb638ea1f9",
        ),
        (
            "customization: {embeddedMachineConfiguration: \
             \"apiVersion: v1alpha1\\nkind: HostnameConfig\\nhostname: worker-33\"}",
            "02f29f9a702fceec4fc2e2e51314d63710fc1b192ebb1629ac12301949d49c8c",
        ),
        (
            "customization: {meta: [{key: 12, value: 42}]}",
            "5a88197d566baacb69bbeb1c49b759aa0b10db4c864107c7c6663c72615a27c5",
        ),
    ] {
        assert_eq!(Schematic::parse(text.as_bytes()).unwrap().id().to_string(), id, "{text}");
    }
}

#[test]
fn a_schematic_with_everything() {
    let text = "\
overlay:
    image: ghcr.io/siderolabs/sbc-raspberry-pi
    name: rpi_generic
    options:
        data: mydata
customization:
    embeddedMachineConfiguration: |
        apiVersion: v1alpha1
        kind: HostnameConfig
        hostname: my-custom-hostname
        auto: off
        ---
        apiVersion: v1alpha1
        kind: KmsgLogConfig
        name: remote-log
        url: tcp://10.0.0.50:5044/
    extraKernelArgs:
        - vga=791
    meta:
        - key: 10
          value: '{}'
    systemExtensions:
        officialExtensions:
            - siderolabs/gvisor
            - siderolabs/amd-ucode
    bootloader: sd-boot
    secureboot:
        enrollKeys: force
        includeWellKnownCertificates: true
    diskImage:
        sectorSize: 4096
";
    let schematic = Schematic::parse(text.as_bytes()).unwrap();
    assert_eq!(schematic.canonical(), text);
    assert_eq!(
        schematic.id().to_string(),
        "7dc6a7fa48654d7b3f4782189b422b50ebde04737857153996fa2af4ff6a8a28"
    );
    assert_eq!(schematic.overlay.options.get("data"), Some(&Value::from("mydata")));
    assert_eq!(schematic.customization.bootloader, Bootloader::SdBoot);
}

#[test]
fn what_is_empty_is_left_out() {
    for text in [
        "null",
        "{}\n---\nother: document",
        "owner: ''",
        "overlay: {name: '', options: {}}",
        "customization: {secureboot: {enrollKeys: ''}, systemExtensions: {officialExtensions: []}}",
        "customization: {bootloader: none, diskImage: {sectorSize: 0}, extraKernelArgs: [~]}",
    ] {
        assert_eq!(canonical(text), "customization: {}\n", "{text}");
    }
}

#[test]
fn auto_is_no_boot_loader() {
    assert_eq!(canonical("customization: {bootloader: AUTO}"), "customization: {}\n");
}

#[test]
fn options_are_kept_by_value() {
    let text =
        "overlay: {name: o, options: {b: 2, a10: x, a2: yes, a1: 0x10, d: 2024-01-02, l: [1, {k: v}]}}";
    let expected = "\
overlay:
    image: \"\"
    name: o
    options:
        a1: 16
        a2: 'yes'
        a10: x
        b: 2
        d: 2024-01-02T00:00:00Z
        l:
            - 1
            - k: v
customization: {}
";
    assert_eq!(canonical(text), expected);
}

#[test]
fn refusals_have_the_words_of_the_reference() {
    for (text, message) in [
        ("", "EOF"),
        (
            "something:",
            "yaml: construct errors: line 1: field something not found in type schematic.Schematic",
        ),
        (
            "customization:\n  extraKernelArgs: [{a: b}]\n  meta: [{key: '1', value: []}]\n  bootloader: lilo",
            "yaml: construct errors: line 2: cannot construct !!map into string; \
             line 3: cannot construct !!str `1` into uint8; line 3: cannot construct !!seq into string; \
             line 4: lilo does not belong to BootloaderKind values",
        ),
        (
            "overlay: {options: {a: 1, a: 2}}",
            "yaml: construct errors: line 1: mapping key \"a\" already defined at line 1",
        ),
        (
            "customization: {diskImage: {sectorSize: 1.5}}",
            "yaml: construct errors: line 1: cannot construct !!float `1.5` into uint",
        ),
        (
            "customization: {<<: {foo: 1}, bar: 2}",
            "yaml: construct errors: line 1: field bar not found in type schematic.Customization; \
             line 1: field foo not found in type schematic.Customization",
        ),
    ] {
        assert_eq!(Schematic::parse(text.as_bytes()).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn only_factories_with_users_know_owners() {
    let schematic = Schematic::parse(b"owner: alice").unwrap();
    assert_eq!(
        schematic.check_without_users().unwrap_err().to_string(),
        "owner field is only supported in Enterprise edition"
    );
    assert_eq!(Schematic::default().check_without_users(), Ok(()));
}

#[test]
fn stored_texts_may_have_keys_of_newer_factories() {
    let text = "owner: o\nnewer: {a: 1}\ncustomization:\n    newer: x\n    bootloader: grub\n";
    assert!(Schematic::parse(text.as_bytes()).is_err());
    let schematic = Schematic::parse_stored(text.as_bytes()).unwrap();
    assert_eq!((schematic.owner.as_str(), schematic.customization.bootloader), ("o", Bootloader::Grub));
}

#[test]
fn a_schematic_is_not_too_long() {
    let text = format!("owner: {}", "x".repeat(MAX_SCHEMATIC_SIZE));
    assert!(matches!(
        Schematic::parse(text.as_bytes()),
        Err(SchematicError::Yaml(crate::goyaml::Error::TooLong { .. }))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn stored_schematics_are_read_back(
        owner in "\\PC{0,8}",
        args in proptest::collection::vec("[ -~\n\té\u{2028}]{0,12}", 0..4),
        meta in proptest::collection::vec((any::<u8>(), "[ \ta-z:#\n]{0,16}"), 0..3),
        configuration in "[ \ta-z:#'\"\n-]{0,40}",
        sector_size in any::<u64>(),
        bootloader in proptest::sample::select(&Bootloader::ALL[..]),
        option in "[ -~\n]{0,8}",
    ) {
        let mut schematic = Schematic { owner, ..Schematic::default() };
        schematic.overlay.options.push(option.as_str(), Value::String(option.clone()));
        schematic.customization = Customization {
            embedded_machine_configuration: configuration,
            extra_kernel_args: args,
            meta: meta.into_iter().map(|(key, value)| MetaValue { key, value }).collect(),
            bootloader,
            disk_image: DiskImage { sector_size },
            ..Customization::default()
        };
        let canonical = schematic.canonical();
        let stored = Schematic::parse_stored(canonical.as_bytes());
        prop_assert_eq!(stored, Ok(schematic), "{}", canonical);
    }
}
