//! The text indexes, and the forms of aliases.

use super::facts::ModuleFacts;
use super::graph::Dependencies;

/// Longest alias with dashes made alike, in bytes, as in libkmod.
const MAX_ALIAS: usize = 4096;

/// An alias as it is looked up: dashes outside of brackets are underscores. `None` for one with brackets
/// that do not match.
pub(super) fn normalized_alias(alias: &str) -> Option<String> {
    if alias.len() >= MAX_ALIAS {
        return None;
    }
    let mut in_brackets = false;
    let mut out = String::with_capacity(alias.len());
    for c in alias.chars() {
        match (c, in_brackets) {
            ('-', false) => {
                out.push('_');
                continue;
            }
            (']', false) => return None,
            ('[', false) => in_brackets = true,
            (']', true) => in_brackets = false,
            _ => {}
        }
        out.push(c);
    }
    (!in_brackets).then_some(out)
}

/// The line of `modules.dep` of each module.
pub(super) fn dependency_lines(modules: &[&ModuleFacts], dependencies: &Dependencies) -> Vec<String> {
    let line = |(module, needed): (&&ModuleFacts, &Vec<usize>)| {
        let mut line = format!("{}:", module.path);
        for &place in needed {
            line.push(' ');
            line.push_str(modules[place].path.as_str());
        }
        line
    };
    modules.iter().zip(&dependencies.all).map(line).collect()
}

/// `modules.alias`.
pub(super) fn aliases(modules: &[&ModuleFacts]) -> String {
    let lines = |m: &&ModuleFacts| lines_of(&m.aliases, |alias| format!("alias {alias} {}\n", m.name()));
    header("# Aliases extracted from modules themselves.\n", modules.iter().map(lines))
}

/// `modules.softdep`.
pub(super) fn softdeps(modules: &[&ModuleFacts]) -> String {
    let lines = |m: &&ModuleFacts| lines_of(&m.softdeps, |dep| format!("softdep {} {dep}\n", m.name()));
    header("# Soft dependencies extracted from modules themselves.\n", modules.iter().map(lines))
}

/// `modules.weakdep`; `None` when no module has any, as older tools do not know the file.
pub(super) fn weakdeps(modules: &[&ModuleFacts]) -> Option<String> {
    let lines = |m: &&ModuleFacts| lines_of(&m.weakdeps, |dep| format!("weakdep {} {dep}\n", m.name()));
    let any = modules.iter().any(|module| !module.weakdeps.is_empty());
    any.then(|| header("# Weak dependencies extracted from modules themselves.\n", modules.iter().map(lines)))
}

/// `modules.symbols`, sorted by symbol.
pub(super) fn symbols(modules: &[&ModuleFacts], dependencies: &Dependencies) -> String {
    let mut owners: Vec<_> = dependencies.owners.iter().collect();
    owners.sort_unstable();
    let lines =
        owners.iter().map(|(name, place)| format!("alias symbol:{name} {}\n", modules[**place].name()));
    header("# Aliases for symbols, used by symbol_request().\n", lines)
}

/// `modules.devname`: the device nodes that exist before their modules are loaded.
pub(super) fn device_names(modules: &[&ModuleFacts]) -> String {
    let line = |module: &&ModuleFacts| {
        let node = DeviceNode::of(module)?;
        Some(format!("{} {} {}{}:{}\n", module.name(), node.name, node.kind, node.major, node.minor))
    };
    header("# Device nodes to trigger on-demand module loading.\n", modules.iter().filter_map(line))
}

/// A device node that a module's aliases announce: a name and a number.
struct DeviceNode<'a> {
    name: &'a str,
    kind: char,
    major: u32,
    minor: u32,
}

impl<'a> DeviceNode<'a> {
    fn of(module: &'a ModuleFacts) -> Option<Self> {
        let (mut name, mut number) = (None, None);
        for alias in &module.aliases {
            if let Some(value) = alias.strip_prefix("devname:") {
                name = Some(value);
            } else if let Some(value) = alias.strip_prefix("char-major-") {
                number = device_number(value).map(|n| ('c', n)).or(number);
            } else if let Some(value) = alias.strip_prefix("block-major-") {
                number = device_number(value).map(|n| ('b', n)).or(number);
            }
            if let (Some(name), Some((kind, (major, minor)))) = (name, number) {
                return Some(Self { name, kind, major, minor });
            }
        }
        None
    }
}

/// `10-229` as major and minor number.
fn device_number(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('-')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn lines_of(values: &[String], line: impl Fn(&String) -> String) -> String {
    values.iter().map(line).collect()
}

fn header(first: &str, lines: impl Iterator<Item = String>) -> String {
    let mut out = first.to_owned();
    out.extend(lines);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_in_brackets_stay() {
        assert_eq!(normalized_alias("a-b[c-d]e-f").as_deref(), Some("a_b[c-d]e_f"));
        for bad in ["a]", "a[b", "[a]]"] {
            assert_eq!(normalized_alias(bad), None, "{bad}");
        }
    }
}
