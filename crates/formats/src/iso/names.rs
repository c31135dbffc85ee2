//! ISO 9660 identifiers. Linux and GRUB go by the Rock Ridge names; these are for readers that know
//! nothing better, so they stay readable.

use std::collections::BTreeSet;

/// Letters in front of and behind the dot.
const BASE: usize = 8;
const EXTENSION: usize = 3;

fn clean(text: &str, limit: usize) -> String {
    let kept = text.chars().filter(char::is_ascii_alphanumeric);
    kept.map(|c| c.to_ascii_uppercase()).take(limit).collect()
}

/// An identifier such as `VMLINUZ.;1` for a file or `GRUB` for a directory, different from all `used`
/// ones, to which it is added.
pub(super) fn identifier(name: &str, is_directory: bool, used: &mut BTreeSet<String>) -> String {
    let (base, extension) =
        if is_directory { (name, "") } else { name.rsplit_once('.').unwrap_or((name, "")) };
    let (base, extension) = (clean(base, BASE), clean(extension, EXTENSION));
    let mut number = 0u32;
    loop {
        let digits = if number == 0 && !base.is_empty() { String::new() } else { format!("{number}") };
        let kept: String = base.chars().take(BASE.saturating_sub(digits.len())).collect();
        let found =
            if is_directory { format!("{kept}{digits}") } else { format!("{kept}{digits}.{extension};1") };
        if used.insert(found.clone()) {
            return found;
        }
        // The name without a number counts as the first one.
        number = (number + 1).max(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_and_unique() {
        let mut used = BTreeSet::new();
        let mut file = |name| identifier(name, false, &mut used);
        assert_eq!(file("vmlinuz"), "VMLINUZ.;1");
        assert_eq!(file("initramfs.xz"), "INITRAMF.XZ;1");
        assert_eq!(file("Talos-v1.14.0.efi"), "TALOSV11.EFI;1");
        assert_eq!(file("Talos-v1.15.0.efi"), "TALOSV12.EFI;1");
    }

    #[test]
    fn directories_have_no_extension() {
        let mut used = BTreeSet::new();
        assert_eq!(identifier("i386-pc", true, &mut used), "I386PC");
        assert_eq!(identifier("I386.PC", true, &mut used), "I386PC2");
        assert_eq!(identifier("äöü", true, &mut used), "0");
        assert_eq!(identifier("ßß", true, &mut used), "2");
    }
}
