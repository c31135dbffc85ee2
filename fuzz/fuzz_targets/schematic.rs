//! Schematics are read or refused, and the text that names one is read as the same schematic.
#![no_main]

use factory_domain::schematic::Schematic;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(schematic) = Schematic::parse(data) else { return };
    let canonical = schematic.canonical();
    let again = Schematic::parse_stored(canonical.as_bytes());
    let Ok(again) = again else { panic!("the canonical text cannot be read: {again:?}\n{canonical}") };
    assert_eq!(again.canonical(), canonical);
    assert_eq!(again.id(), schematic.id());
});
