//! Long names and the 8.3 aliases that stand beside them.

use std::collections::{BTreeMap, BTreeSet};

/// UTF-16 units in one long-name entry.
pub(super) const UNITS_PER_ENTRY: usize = 13;
/// Longest name in UTF-16 units.
const MAX_UNITS: usize = 255;

/// The eleven bytes of a short name.
pub(super) type ShortName = [u8; 11];

/// Whether FAT can hold this name at all.
pub(super) fn is_valid(name: &str) -> bool {
    !name.is_empty()
        && name.encode_utf16().count() <= MAX_UNITS
        && !name.chars().any(|c| c.is_control() || "\"*/:<>?\\|".contains(c))
        // Windows and some firmware drop these silently.
        && !name.ends_with(['.', ' '])
        && !name.starts_with(' ')
}

/// The form in which names are compared: FAT ignores case.
pub(super) fn folded(name: &str) -> String {
    name.chars().flat_map(char::to_uppercase).collect()
}

fn is_short_char(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"!#$%&'()-@^_`{}~".contains(&byte)
}

fn join(base: &[u8], extension: &[u8]) -> ShortName {
    let mut out = [b' '; 11];
    for (to, from) in out.iter_mut().zip(base.iter().take(8)) {
        *to = *from;
    }
    for (to, from) in out.iter_mut().skip(8).zip(extension) {
        *to = *from;
    }
    out
}

/// The short name that says all of `name`, when it is upper-case 8.3.
pub(super) fn exact(name: &str) -> Option<ShortName> {
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let fits = (1..=8).contains(&base.len())
        && extension.len() <= 3
        && name.contains('.') != extension.is_empty()
        && base.bytes().chain(extension.bytes()).all(is_short_char);
    fits.then(|| join(base.as_bytes(), extension.as_bytes()))
}

/// Chooses a short name for each name of a directory; the aliases keep clear of each other and of
/// the names that need none. The flag says whether long-name entries have to stand in front.
pub(super) fn short_names<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<(ShortName, bool)> {
    let mut aliases = Aliases { used: names.clone().filter_map(exact).collect(), next: BTreeMap::new() };
    names
        .map(|name| match exact(name) {
            Some(short) => (short, false),
            None => (aliases.choose(name), true),
        })
        .collect()
}

/// The short names of a directory while they are chosen.
struct Aliases {
    used: BTreeSet<ShortName>,
    /// Next number to try for a name without number, so that many names that are alike cost no search.
    next: BTreeMap<(Vec<u8>, Vec<u8>), u32>,
}

impl Aliases {
    fn choose(&mut self, name: &str) -> ShortName {
        let clean = |text: &str| -> Vec<u8> {
            text.to_ascii_uppercase().bytes().filter(|byte| is_short_char(*byte)).collect()
        };
        let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let (mut base, mut extension) = (clean(base), clean(extension));
        if base.is_empty() {
            base.push(b'_');
        }
        base.truncate(8);
        extension.truncate(3);
        let next = self.next.entry((base.clone(), extension.clone())).or_insert(1);
        loop {
            let tail = format!("~{next}");
            let kept = base.get(..8 - tail.len().min(7)).unwrap_or(&base);
            let candidate = join(&[kept, tail.as_bytes()].concat(), &extension);
            *next += 1;
            if self.used.insert(candidate) {
                return candidate;
            }
        }
    }
}

/// The checksum that ties long-name entries to their short entry.
pub(super) fn checksum(short: &ShortName) -> u8 {
    short.iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aliases(names: &[&str]) -> Vec<String> {
        short_names(names.iter().copied())
            .into_iter()
            .map(|(short, long)| {
                format!("{}{}", String::from_utf8_lossy(&short), if long { "+" } else { "" })
            })
            .collect()
    }

    #[test]
    fn upper_case_names_need_no_long_entry() {
        assert_eq!(aliases(&["BOOTX64.EFI", "EFI", "A.B"]), ["BOOTX64 EFI", "EFI        ", "A       B  "]);
    }

    #[test]
    fn other_names_get_numbered_aliases() {
        assert_eq!(
            aliases(&[
                "Talos-v1.14.0.efi",
                "Talos-v1.13.0.efi",
                "loader.conf",
                "boot",
                "TALOS-~1.EFI",
                "ü",
                "A."
            ]),
            [
                "TALOS-~2EFI+",
                "TALOS-~3EFI+",
                "LOADER~1CON+",
                "BOOT~1     +",
                "TALOS-~1EFI",
                "_~1        +",
                "A~1        +"
            ]
        );
        let many: Vec<String> = (0..1100).map(|i| format!("longer name {i}.txt")).collect();
        let found = aliases(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(found.last().unwrap(), "LON~1100TXT+");
    }

    #[test]
    fn names_that_fat_cannot_hold() {
        for name in ["", "a:b", "a*", "end.", "end ", " a", "tab\t", "back\\slash", &"x".repeat(256)] {
            assert!(!is_valid(name), "{name:?}");
        }
        assert!(is_valid(&"x".repeat(255)) && is_valid("ünï cödé 😀.efi") && is_valid(".disk"));
    }

    #[test]
    fn the_checksum_of_a_known_name() {
        // From the FAT specification's algorithm, computed by hand for eleven spaces.
        let mut sum = 0u8;
        for _ in 0..11 {
            sum = ((sum & 1) << 7).wrapping_add(sum >> 1).wrapping_add(b' ');
        }
        assert_eq!(checksum(b"           "), sum);
    }
}
