//! What is wrong with kernel arguments that a user gave (`improve:` marks of `22-cmdline.md`).

use crate::asset::quoted;

/// Longest command line that the kernels of both architectures take, in bytes, without the NUL at its
/// end (`COMMAND_LINE_SIZE` is 2048 on x86 and arm64).
pub const MAX_LINE: usize = 2047;

/// A command line that the kernel would cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the kernel command line has {len} bytes and the kernel takes {MAX_LINE}: \
     remove arguments, or put large META values into a disk image"
)]
pub struct LineTooLong {
    /// Length in bytes.
    pub len: usize,
}

/// Refuses a line that the kernel would cut.
///
/// # Errors
/// [`LineTooLong`].
pub fn check_length(line: &str) -> Result<(), LineTooLong> {
    if line.len() > MAX_LINE { Err(LineTooLong { len: line.len() }) } else { Ok(()) }
}

/// Something about one argument that its author should know. Only control characters are worth
/// refusing: everything else works, if not as expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgFinding {
    /// It would break out of a line of a boot menu or a script.
    #[error("kernel argument {} contains a control character: remove it", quoted(.0))]
    ControlCharacter(String),
    /// White space always separates.
    #[error("kernel argument {} contains white space and counts as several: write one per item", quoted(.0))]
    WhiteSpace(String),
    /// Quotes do not hold words together.
    #[error("kernel argument {} contains quotes, which are passed on and protect nothing", quoted(.0))]
    Quotes(String),
    /// Talos then behaves as on another platform, with the arguments of this one.
    #[error("kernel argument {} replaces the platform: ask for an asset of that platform instead", quoted(.0))]
    Platform(String),
    /// Current versions do not support it.
    #[error("kernel argument {} is no longer supported by Talos", quoted(.0))]
    Obsolete(String),
}

impl ArgFinding {
    /// Whether the argument can do harm, rather than only surprise.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::ControlCharacter(_))
    }
}

/// Everything to say about the arguments of a schematic, in their order.
pub fn findings(extra_args: &[String]) -> Vec<ArgFinding> {
    extra_args.iter().filter_map(|arg| finding(arg)).collect()
}

fn finding(arg: &str) -> Option<ArgFinding> {
    let (key, value) = arg.split_once('=').unwrap_or((arg, ""));
    let name = arg.to_owned();
    if arg.chars().any(|c| c.is_control() && c != '\t') {
        Some(ArgFinding::ControlCharacter(name))
    } else if arg.contains('"') {
        Some(ArgFinding::Quotes(name))
    } else if arg.contains(char::is_whitespace) {
        Some(ArgFinding::WhiteSpace(name))
    } else if key == "talos.platform" {
        Some(ArgFinding::Platform(name))
    } else if key == "talos.unified_cgroup_hierarchy" && value == "0" {
        Some(ArgFinding::Obsolete(name))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_finding_for_each_odd_argument() {
        let args = [
            "console=ttyS0",
            "a\nb",
            "a=\"b c\"",
            "a b",
            "talos.platform=aws",
            "talos.unified_cgroup_hierarchy=0",
            "talos.unified_cgroup_hierarchy=1",
            "-talos.platform",
        ]
        .map(str::to_owned);
        use ArgFinding::{ControlCharacter, Obsolete, Platform, Quotes, WhiteSpace};
        let found = findings(&args);
        assert!(matches!(
            found.as_slice(),
            [ControlCharacter(_), Quotes(_), WhiteSpace(_), Platform(_), Obsolete(_)]
        ));
        assert_eq!(found.iter().filter(|finding| finding.is_error()).count(), 1);
        assert!(found[0].to_string().contains(r#""a\nb""#));
    }

    #[test]
    fn the_kernel_takes_2047_bytes() {
        assert_eq!(check_length(&"x".repeat(2047)), Ok(()));
        assert_eq!(check_length(&"x".repeat(2048)), Err(LineTooLong { len: 2048 }));
    }
}
