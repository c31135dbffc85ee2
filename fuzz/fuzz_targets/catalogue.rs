//! Lists of extensions and overlays, and manifests of extensions, are read or refused, whatever bytes they are.
#![no_main]

use factory_domain::catalog::{ExtensionCatalog, OverlayCatalog};
use factory_domain::extension::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The list and its descriptions are two files.
    let middle = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (list, rest) = data.split_at(middle);
    let descriptions = rest.get(1..);
    if let Ok(extensions) = ExtensionCatalog::parse(list, descriptions) {
        for extension in extensions.entries() {
            let name = extension.reference.repository.to_string();
            assert!(extensions.find(&name).is_some(), "{name} is listed and not found");
        }
    }
    if let Ok(overlays) = OverlayCatalog::parse(data) {
        for overlay in overlays.entries() {
            assert!(overlays.find(&overlay.name).is_some(), "{} is listed and not found", overlay.name);
        }
    }
    if let Ok(manifest) = Manifest::parse(data) {
        let written = manifest.to_yaml();
        let again = Manifest::parse(written.as_bytes());
        assert!(again.is_ok(), "what was written cannot be read: {again:?}\n{written}");
    }
});
