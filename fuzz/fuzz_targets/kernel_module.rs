//! Modules of any bytes are read or refused, and indexes can be made of what they say.
#![no_main]

use std::collections::BTreeMap;

use factory_formats::depmod::{BaseModules, ModuleFacts, Search, write_indexes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let path = |name: &str| name.parse().unwrap_or_else(|_| unreachable!("{name} is a path"));
    let Ok(facts) = ModuleFacts::read(path("kernel/a.ko"), data) else { return };
    let other = ModuleFacts { path: path("kernel/b.ko"), ..facts.clone() };
    let files = BTreeMap::from([("modules.builtin.modinfo".to_owned(), data.to_vec())]);
    let base = BaseModules { release: "6.1".to_owned(), modules: vec![facts, other], files };
    let _ = write_indexes(&base, &[], Search::Updates);
});
