//! Kernel command lines.

use factory_domain::cmdline::assemble;
use factory_domain::meta;
use factory_domain::profile::{SecureBootService, fill_defaults, validate};
use factory_domain::schematic::SchematicId;
use factory_domain::version::TalosVersion;

use crate::support::{Fixture, lines, per_version, schematic, text};

/// Replaces compressed META values by what they say: compressors differ.
pub fn with_meta_decoded(line: &str) -> String {
    line.split(' ')
        .map(|word| match word.strip_prefix("talos.environment=INSTALLER_META_BASE64=H4sI") {
            Some(rest) => format!("{:?}", meta::decode(&format!("H4sI{rest}")).unwrap()),
            None => word.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn golden_command_lines() {
    let fixture = Fixture::new();
    for line in lines("cmdline.jsonl") {
        let case = text(&line["case"]);
        let path = text(&line["input"]["path"]);
        let (schematic, _) = schematic(text(&line["input"]["schematic"]));
        let made = |version: &TalosVersion| {
            let id = SchematicId::of(b"");
            let mut profile = fixture
                .enhance(path, &schematic, id, version, SecureBootService::Enabled)
                .map_err(|error| error.to_string())?;
            fill_defaults(&mut profile);
            validate(&profile).map_err(|error| format!("profile is invalid: {error}"))?;
            // Programs of overlays did not run when the lines were made.
            assemble::<&str>(&profile, &[]).map(|line| line.to_string()).map_err(|error| error.to_string())
        };
        for (version, expected) in per_version(&line) {
            let expected = expected.map(|output| with_meta_decoded(text(&output)));
            assert_eq!(made(&version).map(|line| with_meta_decoded(&line)), expected, "{case} {version}");
        }
    }
}
