//! Texts that end up inside images, byte for byte.

use crate::cmdline::{grub_quoted, wipe_argument};
use crate::profile::{EnrollKeys, Kind, PRODUCT};
use crate::version::TalosVersion;

/// `/etc/os-release` of a UKI (`31-uki.md` §3). `version` has its `v`.
pub fn os_release(name: &str, version: &str) -> String {
    let id = name.to_lowercase().replace(' ', "_");
    format!(
        "NAME=\"{name}\"\n\
         ID={id}\n\
         VERSION_ID={version}\n\
         PRETTY_NAME=\"{name} ({version})\"\n\
         HOME_URL=\"https://www.talos.dev/\"\n\
         BUG_REPORT_URL=\"https://github.com/siderolabs/talos/issues\"\n\
         VENDOR_NAME=\"Sidero Labs\"\n\
         VENDOR_URL=\"https://www.siderolabs.com/\"\n"
    )
}

/// The volume set id of an ISO image. `version` has its `v`.
pub fn iso_label(version: &str) -> String {
    format!("{PRODUCT}-{version}")
}

/// A label as a volume id of ISO 9660: at most 32 of `A`–`Z`, `0`–`9` and `_` (`21-quirks.md` §4.1).
pub fn iso_volume_id(label: &str) -> String {
    label
        .chars()
        .filter_map(|c| match c.to_ascii_uppercase() {
            '-' | '.' => Some('_'),
            c if c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_' => Some(c),
            _ => None,
        })
        .take(32)
        .collect()
}

/// `loader/loader.conf` of systemd-boot, with what it shall do about keys where it has any.
pub(super) fn loader_conf(enroll: Option<EnrollKeys>) -> String {
    let mut text = "# systemd-boot configuration\n\ntimeout 10\n".to_owned();
    if let Some(choice) = enroll {
        text.push_str(&format!("\nsecure-boot-enroll {}\n", choice.as_str()));
    }
    text
}

/// Whether a GRUB menu has an entry that resets the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResetEntry {
    /// It has.
    Present,
    /// Too old for it.
    Absent,
}

/// `grub.cfg` of an ISO image (`40-iso.md` §3).
pub(super) fn iso_grub_cfg(cmdline: &str, reset: ResetEntry) -> String {
    let entry = |title: &str, arguments: &str| {
        format!(
            "menuentry \"{title}\" {{\n\
             \tset gfxmode=auto\n\
             \tset gfxpayload=text\n\
             \tlinux /boot/vmlinuz {}{arguments}\n\
             \tinitrd /boot/initramfs.xz\n\
             }}\n",
            grub_quoted(cmdline)
        )
    };
    let reset = match reset {
        ResetEntry::Present => entry("Reset Talos installation", &format!(" {}", wipe_argument(Kind::Iso))),
        ResetEntry::Absent => String::new(),
    };
    format!(
        "set default=0\n\
         set timeout=3\n\
         \n\
         insmod all_video\n\
         \n\
         terminal_input console\n\
         terminal_output console\n\
         \n\
         {}\n{reset}",
        entry("Talos ISO", "")
    )
}

/// `grub.cfg` of a disk image (`41-disk-images.md` §5). Nodes read this file again when they upgrade,
/// so its shape is fixed.
pub(super) fn disk_grub_cfg(version: &TalosVersion, cmdline: &str, reset: ResetEntry) -> String {
    let entry = |title: &str, arguments: &str| {
        format!(
            "menuentry \"{title}\" {{\n  \
               set gfxmode=auto\n  \
               set gfxpayload=text\n  \
               linux /A/vmlinuz {}{arguments}\n  \
               initrd /A/initramfs.xz\n\
             }}\n",
            grub_quoted(cmdline)
        )
    };
    let title = format!("A - {PRODUCT} {}", version.tag());
    let reset = match reset {
        ResetEntry::Present => entry(
            "Reset Talos installation and return to maintenance mode",
            &format!(" {}", wipe_argument(Kind::Image)),
        ),
        ResetEntry::Absent => String::new(),
    };
    format!(
        "set default=\"{title}\"\n\
         \n\
         set timeout=3\n\
         \n\
         insmod all_video\n\
         \n\
         terminal_input console\n\
         terminal_output console\n\
         \n\
         {}{reset}",
        entry(&title, "")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loader_configurations_have_the_known_lengths() {
        assert_eq!(loader_conf(None).len(), 41);
        assert_eq!(loader_conf(Some(EnrollKeys::Off)).len(), 65);
        assert!(
            loader_conf(Some(EnrollKeys::IfSafe)).ends_with("timeout 10\n\nsecure-boot-enroll if-safe\n")
        );
    }

    #[test]
    fn menus() {
        let iso = iso_grub_cfg("a=${x}", ResetEntry::Absent);
        assert!(
            iso.ends_with("\tlinux /boot/vmlinuz a=\\$\\{x\\}\n\tinitrd /boot/initramfs.xz\n}\n\n"),
            "{iso}"
        );
        let version = TalosVersion::parse("1.13.0").unwrap();
        let disk = disk_grub_cfg(&version, "a", ResetEntry::Present);
        assert_eq!(
            disk,
            "set default=\"A - Talos v1.13.0\"\n\nset timeout=3\n\ninsmod all_video\n\n\
             terminal_input console\nterminal_output console\n\n\
             menuentry \"A - Talos v1.13.0\" {\n  set gfxmode=auto\n  set gfxpayload=text\n  \
             linux /A/vmlinuz a\n  initrd /A/initramfs.xz\n}\n\
             menuentry \"Reset Talos installation and return to maintenance mode\" {\n  \
             set gfxmode=auto\n  set gfxpayload=text\n  \
             linux /A/vmlinuz a talos.experimental.wipe=system:EPHEMERAL,STATE\n  \
             initrd /A/initramfs.xz\n}\n"
        );
        assert!(disk_grub_cfg(&version, "a", ResetEntry::Absent).ends_with("initrd /A/initramfs.xz\n}\n"));
    }
}
