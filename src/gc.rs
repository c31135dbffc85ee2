//! `image-factory gc`: what the store's space goes to, and giving up what nobody needs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytesize::ByteSize;
use factory_adapters::store::{Collected, EmbeddedStore, OpenError};
use factory_domain::ports::{Amount, BlobStore as _, Holdings, RecordKind};

use crate::settings::{Checked, Settings};
use crate::telemetry::kinds;
use crate::wiring::store_options;

/// Whether anything is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything that can be.
    Collect,
    /// Nothing: what would be is told.
    DryRun,
}

/// Collects garbage in the store of a factory that does not run, and says what came of it.
///
/// # Errors
/// One line that says why it cannot be done.
pub fn run(settings: &Settings, checked: &Checked, mode: Mode) -> Result<String, String> {
    let path = &checked.store_path;
    if !path.join("index.redb").exists() {
        return Err(format!("there is no store in {}: look at store.path", path.display()));
    }
    let told = |error: OpenError| match error {
        OpenError::InUse { path } => format!(
            "the store in {} belongs to a factory that runs. It gives up by itself, once a minute, what was idle \
             for store.maxIdle, and what is more than store.maxBytes as soon as it is; its metrics \
             (image_factory_store_bytes) tell what the space goes to. Stop it to collect by hand",
            path.display()
        ),
        error => error.to_string(),
    };
    let options = store_options(settings);
    let store = match mode {
        Mode::Collect => EmbeddedStore::open(path, options),
        Mode::DryRun => EmbeddedStore::look_into(path, options),
    };
    let store = store.map_err(told)?;
    let (held, budget) = (store.holdings(), store.usage().budget);
    let collected = match mode {
        Mode::Collect => store.collect().map_err(|error| error.to_string())?,
        Mode::DryRun => store.would_collect(),
    };
    let mut text = format!("store in {}\n", path.display());
    // Writing to a text cannot fail.
    let _ = show(&mut text, &held, budget, store.leftovers(), &collected, mode);
    Ok(text)
}

/// One line of what is given up: its rank (`53-scale-design.md` §8.2), its name, and how much it is.
fn ranks(leftovers: Amount, collected: &Collected) -> Vec<(u8, &'static str, Amount)> {
    let of = |freed: &BTreeMap<RecordKind, Amount>, kind| freed.get(&kind).copied().unwrap_or_default();
    let (idle, room) = (&collected.idle, &collected.room);
    vec![
        (0, "left behind, in files", leftovers),
        (1, "parts idle for store.maxIdle.parts", of(idle, RecordKind::Part)),
        (2, "sources idle for store.maxIdle.sources", of(idle, RecordKind::Source)),
        (3, "parts over store.maxBytes", of(room, RecordKind::Part)),
        (4, "sources over store.maxBytes", of(room, RecordKind::Source)),
    ]
}

fn show(
    out: &mut String,
    held: &Holdings,
    budget: u64,
    leftovers: Amount,
    collected: &Collected,
    mode: Mode,
) -> std::fmt::Result {
    let size = |bytes: u64| ByteSize(bytes).display().iec().to_string();
    writeln!(out, "\n{:<42} {:>8} {:>12}", "held", "records", "size")?;
    for (kind, Amount { items, bytes }) in kinds(held) {
        writeln!(out, "{kind:<42} {items:>8} {:>12}", size(bytes))?;
    }
    let (given_up, freed) = match mode {
        Mode::Collect => ("given up, by rank", "freed"),
        Mode::DryRun => ("to be given up, by rank", "would free"),
    };
    writeln!(out, "\n{given_up:<42} {:>8} {:>12}", "records", "size")?;
    let mut all = 0;
    for (rank, name, Amount { items, bytes }) in ranks(leftovers, collected) {
        writeln!(out, "{rank} {name:<40} {items:>8} {:>12}", size(bytes))?;
        all += bytes;
    }
    let budget = if budget == 0 { "none".to_owned() } else { size(budget) };
    writeln!(out, "\n{freed} {all} bytes (store.maxBytes: {budget})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rank_is_told_with_its_size() {
        let amount = |items, bytes| Amount { items, bytes };
        let held =
            Holdings { sources: amount(3, 3 << 20), schematics: amount(7, 700), ..Holdings::default() };
        let collected = Collected {
            idle: [(RecordKind::Part, amount(1, 1 << 20))].into_iter().collect(),
            room: [(RecordKind::Source, amount(2, 512))].into_iter().collect(),
        };
        let mut text = String::new();
        show(&mut text, &held, 1 << 30, amount(1, 88), &collected, Mode::DryRun).unwrap();
        for part in ["sources", "3.0 MiB", "schematics", "700 B", "would free 1049176 bytes", "1.0 GiB"] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(
            text.lines().any(|line| line.starts_with("1 parts idle") && line.ends_with("1.0 MiB")),
            "{text}"
        );
    }
}
