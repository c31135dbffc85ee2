//! The command line client that a release brings for several systems (`50-artifacts.md` §4.3).

use crate::asset::quoted;
use crate::version::TalosVersion;

/// One file of the client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Talosctl {
    /// Name of the file, such as `talosctl-linux-amd64`.
    pub file: String,
    /// Operating system.
    pub os: String,
    /// Architecture.
    pub arch: String,
}

/// A file whose name does not say what it is for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not talosctl-<os>-<arch>", quoted(.0))]
pub struct InvalidTalosctl(pub String);

const PREFIX: &str = "talosctl-";

/// The client's files among the names in an image, sorted by name. Other files are left out.
///
/// # Errors
/// [`InvalidTalosctl`] for a file that begins like one but has no system and architecture in its name.
pub fn talosctl_files<'a>(
    names: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<Talosctl>, InvalidTalosctl> {
    let mut files = names
        .into_iter()
        .filter_map(|name| Some((name, name.strip_prefix(PREFIX)?)))
        .map(|(name, rest)| read(name, rest).ok_or_else(|| InvalidTalosctl(name.to_owned())))
        .collect::<Result<Vec<_>, _>>()?;
    files.sort();
    files.dedup();
    Ok(files)
}

fn read(name: &str, rest: &str) -> Option<Talosctl> {
    let rest = rest.strip_suffix(".exe").unwrap_or(rest);
    let (os, arch) = rest.split_once('-')?;
    let is_word =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (is_word(os) && is_word(arch)).then(|| Talosctl {
        file: name.to_owned(),
        os: os.to_owned(),
        arch: arch.to_owned(),
    })
}

/// Where clients download the files. `base_url` is this server's address.
pub fn talosctl_urls(base_url: &str, version: &TalosVersion, files: &[Talosctl]) -> Vec<String> {
    let base = base_url.trim_end_matches('/');
    files.iter().map(|talosctl| format!("{base}/talosctl/{}/{}", version.tag(), talosctl.file)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_urls() {
        let names =
            ["talosctl-windows-amd64.exe", "etc/passwd", "talosctl-linux-armv7", "talosctl-darwin-arm64"];
        let files = talosctl_files(names).unwrap();
        assert_eq!((files[2].os.as_str(), files[2].arch.as_str()), ("windows", "amd64"));
        let version = TalosVersion::parse("1.11.0").unwrap();
        assert_eq!(
            talosctl_urls("https://factory.example/", &version, &files),
            [
                "https://factory.example/talosctl/v1.11.0/talosctl-darwin-arm64",
                "https://factory.example/talosctl/v1.11.0/talosctl-linux-armv7",
                "https://factory.example/talosctl/v1.11.0/talosctl-windows-amd64.exe",
            ]
        );
        for bad in ["talosctl-", "talosctl-linux", "talosctl-linux-", "talosctl-a-b-c", "talosctl-../x-y"] {
            assert_eq!(
                talosctl_files([bad]).unwrap_err().to_string(),
                format!("{bad:?} is not talosctl-<os>-<arch>")
            );
        }
    }
}
