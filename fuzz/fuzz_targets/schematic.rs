//! Schematics are read or refused, and the text that names one is read as the same schematic.
#![no_main]

use factory_domain::schematic::Schematic;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(schematic) = Schematic::parse(data) else { return };
    let canonical = schematic.canonical();
    let again = Schematic::parse_stored(canonical.as_bytes());
    let Ok(again) = again else { panic!("the canonical text cannot be read: {again:?}\n{canonical}") };
    // The reference's order of keys goes round in circles for numbers that overflow: then the options of an
    // overlay may be written in another order the next time, which is why stored texts are kept as they are.
    let lines = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&again.canonical()), lines(&canonical));
});
