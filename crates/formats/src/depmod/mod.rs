//! Module indexes: what `depmod` writes beside the modules of a kernel release.
//!
//! Two steps, so that the slow one is done once for each module: [`ModuleFacts::read`] takes from a module
//! what matters and can be stored; [`write_indexes`] makes the files `modules.*` of any set of facts.
//! The formats are those of kmod 30; its own tool is the oracle of the tests.

mod base;
mod facts;
mod graph;
mod select;
mod text;
mod trie;

pub use base::{BaseError, BaseModules};
pub use facts::{FactsError, MAX_MODULE, ModuleFacts};
pub use graph::DependencyCycle;
pub use select::Search;
pub use trie::IndexTooBig;

use std::collections::BTreeMap;

use crate::file_tree::{Attributes, InlineTree, InvalidPath, TreePath};
use graph::Dependencies;
use text::normalized_alias;
use trie::Trie;

/// Modules that no indexes can be made of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// They need one another in a circle.
    #[error(transparent)]
    Cycle(#[from] DependencyCycle),
    /// They are too many.
    #[error(transparent)]
    TooBig(#[from] IndexTooBig),
}

/// Makes the indexes of a base system with the modules of extensions added in their order.
///
/// Gives the files `modules.*` that belong into the directory of the kernel release: those of the base,
/// with the indexes put over them. `modules.order`, `modules.builtin` and `modules.builtin.modinfo` of the
/// base are read; each may be missing.
///
/// # Errors
/// [`IndexError`] when modules need one another in a circle.
pub fn write_indexes(
    base: &BaseModules,
    extensions: &[&[ModuleFacts]],
    search: Search,
) -> Result<BTreeMap<String, Vec<u8>>, IndexError> {
    let input = |name: &str| base.files.get(name).map(|bytes| String::from_utf8_lossy(bytes));
    let sources: Vec<_> = std::iter::once(&base.modules[..]).chain(extensions.iter().copied()).collect();
    let order = input("modules.order").unwrap_or_default();
    let modules = select::select(&sources, &order, search);
    let dependencies = Dependencies::of(&modules)?;
    let lines = text::dependency_lines(&modules, &dependencies);

    let (mut by_name, mut by_alias, mut by_symbol) = (Trie::default(), Trie::default(), Trie::default());
    for ((module, line), priority) in modules.iter().zip(&lines).zip(0..) {
        by_name.insert(&module.name(), line, priority);
        for alias in module.aliases.iter().filter_map(|alias| normalized_alias(alias)) {
            by_alias.insert(&alias, &module.name(), priority);
        }
    }
    for (symbol, &place) in &dependencies.owners {
        by_symbol.insert(&format!("symbol:{symbol}"), &modules[place].name(), place as u32);
    }

    let mut files = base.files.clone();
    let mut put = |name: &str, bytes: Vec<u8>| files.insert(name.to_owned(), bytes);
    put("modules.dep", lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect());
    put("modules.dep.bin", by_name.bytes()?);
    put("modules.alias", text::aliases(&modules).into_bytes());
    put("modules.alias.bin", by_alias.bytes()?);
    put("modules.softdep", text::softdeps(&modules).into_bytes());
    put("modules.symbols", text::symbols(&modules, &dependencies).into_bytes());
    put("modules.symbols.bin", by_symbol.bytes()?);
    put("modules.devname", text::device_names(&modules).into_bytes());
    if let Some(weakdeps) = text::weakdeps(&modules) {
        put("modules.weakdep", weakdeps.into_bytes());
    }
    if let Some(builtin) = input("modules.builtin") {
        put("modules.builtin.bin", builtin_index(&builtin).bytes()?);
    }
    if let Some(modinfo) = input("modules.builtin.modinfo") {
        put("modules.builtin.alias.bin", builtin_aliases(&modinfo).bytes()?);
    }
    Ok(files)
}

/// The layer that shadows the indexes of the base system: `files` in the directory of the kernel release
/// below `directory` (`usr/lib/modules` or `lib/modules`).
///
/// # Errors
/// [`InvalidPath`] when the release or a name is no path.
pub fn index_layer(
    directory: &TreePath,
    release: &str,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<InlineTree, InvalidPath> {
    let directory = directory.join(&release.parse()?);
    let mut tree = InlineTree::new();
    for (name, content) in files {
        tree.file(directory.join(&name.parse()?), Attributes::mode(0o644), content);
    }
    Ok(tree)
}

/// Names of modules that are part of the kernel.
fn builtin_index(builtin: &str) -> Trie {
    let mut trie = Trie::default();
    for line in builtin.lines().filter(|line| !line.trim().is_empty()) {
        trie.insert(&facts::module_name(line.trim_end()), "", 0);
    }
    trie
}

/// Aliases of modules that are part of the kernel: entries `<module>.alias=<alias>`.
fn builtin_aliases(modinfo: &str) -> Trie {
    let mut trie = Trie::default();
    for entry in modinfo.split('\0') {
        let Some((key, value)) = entry.split_once('=') else { continue };
        let Some((module, "alias")) = key.rsplit_once('.') else { continue };
        if let Some(alias) = normalized_alias(value) {
            trie.insert(&alias, &facts::module_name(module), 0);
        }
    }
    trie
}

#[cfg(test)]
mod tests;
