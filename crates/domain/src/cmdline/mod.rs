//! The kernel command line.
//!
//! [`KernelArgs`] is the list of parameters with its operations; [`assemble`] puts the line of a
//! profile together; [`boot_profiles`] adds the lines of further boot menu entries; [`findings`] and
//! [`check_length`] say what is wrong with a line before somebody boots it.

mod args;
mod assemble;
mod check;

pub use args::{ExtraArgs, KernelArgs};
pub(crate) use assemble::wipe_argument;
pub use assemble::{BootProfile, assemble, boot_profiles};
pub use check::{ArgFinding, LineTooLong, MAX_LINE, check_length, findings};

/// Writes a command line into a GRUB menu entry: each character that GRUB's script language takes
/// for its own gets a backslash before it (`22-cmdline.md` §5.1).
pub fn grub_quoted(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        if matches!(c, '\\' | '{' | '}' | '&' | '$' | '|' | ';' | '<' | '>' | '"') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grub_quoting() {
        assert_eq!(grub_quoted(r#"a=\{}&$|;<>" 'b' #(c)"#), r#"a=\\\{\}\&\$\|\;\<\>\" 'b' #(c)"#);
    }
}
