//! `grub.cfg` of ISO images and disks (specification 40, 3; 41, 5).

/// A command line that would break out of its menu entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be written to grub.cfg: it has a line break or a NUL")]
pub struct ConfigError(pub String);

/// Puts a backslash in front of what GRUB's shell would take as its own.
fn quoted(text: &str) -> Result<String, ConfigError> {
    if text.contains(['\n', '\r', '\0']) {
        return Err(ConfigError(text.to_owned()));
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\{}&$|;<>\"".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    Ok(out)
}

struct Entry<'a> {
    title: &'a str,
    kernel: &'a str,
    initramfs: &'a str,
    cmdline: String,
    indent: &'a str,
}

impl Entry<'_> {
    fn write(&self, out: &mut String) {
        let Self { title, kernel, initramfs, cmdline, indent } = self;
        let lines = [
            format!("menuentry \"{title}\" {{\n"),
            format!("{indent}set gfxmode=auto\n{indent}set gfxpayload=text\n"),
            format!("{indent}linux {kernel} {cmdline}\n{indent}initrd {initramfs}\n}}\n"),
        ];
        out.extend(lines);
    }
}

const CONSOLE: &str = "\ninsmod all_video\n\nterminal_input console\nterminal_output console\n\n";

/// The configuration of an ISO image; `can_reset` adds the entry that wipes an installation
/// (Talos 1.4 and later).
///
/// # Errors
/// When the command line has a line break or a NUL.
pub fn iso_config(cmdline: &str, can_reset: bool) -> Result<String, ConfigError> {
    let cmdline = quoted(cmdline)?;
    let entry = |title, cmdline| Entry {
        title,
        kernel: "/boot/vmlinuz",
        initramfs: "/boot/initramfs.xz",
        cmdline,
        indent: "\t",
    };
    let mut out = format!("set default=0\nset timeout=3\n{CONSOLE}");
    entry("Talos ISO", cmdline.clone()).write(&mut out);
    out.push('\n');
    if can_reset {
        entry("Reset Talos installation", format!("{cmdline} talos.experimental.wipe=system"))
            .write(&mut out);
    }
    Ok(out)
}

/// The configuration of a disk. Nodes parse it again when they upgrade, so its shape is fixed.
///
/// # Errors
/// When the version or the command line has a line break or a NUL.
pub fn disk_config(version: &str, cmdline: &str, can_reset: bool) -> Result<String, ConfigError> {
    let (version, cmdline) = (quoted(version)?, quoted(cmdline)?);
    let title = format!("A - Talos {version}");
    let entry = |title, cmdline| Entry {
        title,
        kernel: "/A/vmlinuz",
        initramfs: "/A/initramfs.xz",
        cmdline,
        indent: "  ",
    };
    let mut out = format!("set default=\"{title}\"\n\nset timeout=3\n{CONSOLE}");
    entry(&title, cmdline.clone()).write(&mut out);
    if can_reset {
        entry(
            "Reset Talos installation and return to maintenance mode",
            format!("{cmdline} talos.experimental.wipe=system:EPHEMERAL,STATE"),
        )
        .write(&mut out);
    }
    Ok(out)
}
