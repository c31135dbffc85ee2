//! Which modules count, and in which order.

use std::collections::{BTreeMap, HashMap};

use super::facts::ModuleFacts;

/// Directories of a kernel release whose modules win over those elsewhere with the same name: the line
/// `search` of depmod's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// `updates`, which depmod takes without a configuration.
    Updates,
    /// `extras`, as the imager of some releases is configured.
    Extras,
}

impl Search {
    fn is_preferred(self, module: &ModuleFacts) -> bool {
        let directory = match self {
            Self::Updates => "updates/",
            Self::Extras => "extras/",
        };
        module.path.as_str().starts_with(directory)
    }
}

/// The modules of a system in the order of their priority, each name once.
///
/// `sources` are lists of modules: those of the base system first, then those of each extension. At
/// equal paths the later source wins, as a later extension lies above an earlier one. Of modules with the
/// same name the one in a preferred directory wins, then that of the later source, then that with the
/// later path.
///
/// Modules that `modules.order` lists come first, in its order; then the others by source and path.
pub(super) fn select<'a>(
    sources: &[&'a [ModuleFacts]],
    modules_order: &str,
    search: Search,
) -> Vec<&'a ModuleFacts> {
    let mut by_path = BTreeMap::new();
    for (source, modules) in sources.iter().enumerate() {
        by_path.extend(modules.iter().map(|module| (&module.path, (source, module))));
    }
    let listed: HashMap<&str, usize> =
        modules_order.lines().enumerate().map(|(place, line)| (line.trim_end(), place)).collect();

    let mut by_name: BTreeMap<String, (usize, &ModuleFacts)> = BTreeMap::new();
    for &(source, module) in by_path.values() {
        let rank = |source: usize, module: &ModuleFacts| (search.is_preferred(module), source);
        let name = module.name();
        // Paths come in order, so at equal ranks the later one replaces the earlier one.
        if by_name.get(&name).is_none_or(|&(s, m)| rank(source, module) >= rank(s, m)) {
            by_name.insert(name, (source, module));
        }
    }
    let mut chosen: Vec<_> = by_name.into_values().collect();
    chosen.sort_by_key(|&(source, module)| {
        let place = listed.get(module.plain_path()).copied().unwrap_or(usize::MAX);
        (place, source, &module.path)
    });
    chosen.into_iter().map(|(_, module)| module).collect()
}
