//! The two extensions the factory makes itself: one tells a machine its schematic, the other brings
//! its configuration.

use bytes::Bytes;
use factory_formats::Digest;

use super::manifest::{MANIFEST_PATH, Manifest, Metadata};
use crate::schematic::SchematicId;

/// Root of what an extension puts into the system, in its archive.
const ROOTFS: &str = "rootfs";
/// Directory of the file named after the schematic.
const SCHEMATIC_FOLDER: &str = "usr/local/share/schematic";
/// Directory of the embedded configuration.
const CONFIG_FOLDER: &str = "usr/local/etc/talos";
/// Name of the embedded configuration.
const CONFIG_NAME: &str = "config.yaml";
/// Keeps processes of containers from the configuration, which may hold secrets.
const CONFIG_LABEL: &str = "system_u:object_r:system_state_t:s0";
/// All versions that have extensions.
const ANY_TALOS: &str = ">= 1.0.0";

/// An extension that comes from no image: its manifest and its archive, as plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedExtension {
    /// The manifest, which is also the first entry.
    pub manifest: Manifest,
    /// What the archive holds, in order, every directory before what is in it. Owner and times are 0.
    pub entries: Vec<Entry>,
}

/// An entry of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name in the archive; that of a directory may end in `/`.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u16,
    /// Value of `security.selinux`, without a final zero.
    pub selinux_label: Option<&'static str>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file with these contents.
    File(Bytes),
}

/// Who runs the factory; machines show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Edition {
    /// Anybody.
    #[default]
    Open,
    /// A factory with users.
    Enterprise,
}

/// How much of the schematic the machine is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchematicInfo<'a> {
    /// Its id: all that Talos before 1.7 looks for.
    Id,
    /// The id and its canonical text.
    Text(&'a str),
}

impl Entry {
    /// Path below the root of the system, without slashes at its ends: empty for the root itself, and
    /// nothing for what is not part of the system.
    pub fn rootfs_path(&self) -> Option<&str> {
        let path = self.name.strip_prefix(ROOTFS)?;
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.is_empty() { Some(path) } else { path.strip_prefix('/') }
    }
}

/// The extension by which a machine knows its schematic.
///
/// Running machines split the author at its last ` (` to find the factory, so `external_url` is the
/// address of its API as configured.
pub fn schematic(
    id: &SchematicId,
    info: SchematicInfo<'_>,
    edition: Edition,
    external_url: &str,
) -> GeneratedExtension {
    let factory = match edition {
        Edition::Open => "Image Factory",
        Edition::Enterprise => "Image Factory Enterprise",
    };
    let manifest = Manifest {
        metadata: Metadata {
            name: "schematic".to_owned(),
            version: id.to_string(),
            author: format!("{factory} ({external_url})"),
            description: "Virtual extension which specifies the schematic of the image built with schematic."
                .to_owned(),
            talos_versions: ANY_TALOS.to_owned(),
            extra_info: match info {
                SchematicInfo::Id => String::new(),
                SchematicInfo::Text(canonical) => canonical.to_owned(),
            },
        },
    };
    let mut entries = vec![file(MANIFEST_PATH.to_owned(), manifest.to_yaml().into())];
    entries.extend(folders(SCHEMATIC_FOLDER, "/"));
    entries.push(file(format!("{ROOTFS}/{SCHEMATIC_FOLDER}/{id}"), Bytes::new()));
    GeneratedExtension { manifest, entries }
}

/// The extension that brings a machine configuration, which is not looked into.
pub fn embedded_config(configuration: &str) -> GeneratedExtension {
    let manifest = Manifest {
        metadata: Metadata {
            name: "embedded-config".to_owned(),
            version: Digest::of(configuration.as_bytes()).hex(),
            author: "Imager".to_owned(),
            description: "Virtual extension which embeds the machine configuration.".to_owned(),
            talos_versions: ANY_TALOS.to_owned(),
            extra_info: String::new(),
        },
    };
    let mut entries = vec![file(MANIFEST_PATH.to_owned(), manifest.to_yaml().into())];
    entries.extend(folders(CONFIG_FOLDER, ""));
    entries.push(Entry {
        mode: 0o400,
        selinux_label: Some(CONFIG_LABEL),
        ..file(format!("{ROOTFS}/{CONFIG_FOLDER}/{CONFIG_NAME}"), configuration.to_owned().into())
    });
    GeneratedExtension { manifest, entries }
}

fn file(name: String, contents: Bytes) -> Entry {
    Entry { name, kind: EntryKind::File(contents), mode: 0o644, selinux_label: None }
}

/// The root of the system and every directory down to `path`, their names with `suffix`.
fn folders(path: &str, suffix: &str) -> Vec<Entry> {
    let whole = format!("{ROOTFS}/{path}/");
    whole
        .match_indices('/')
        .map(|(end, _)| Entry {
            name: format!("{}{suffix}", whole.get(..end).unwrap_or_default()),
            kind: EntryKind::Directory,
            mode: 0o755,
            selinux_label: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_the_system() {
        let extension = embedded_config("test");
        let paths: Vec<_> = extension.entries.iter().map(Entry::rootfs_path).collect();
        assert_eq!(
            paths,
            [
                None,
                Some(""),
                Some("usr"),
                Some("usr/local"),
                Some("usr/local/etc"),
                Some("usr/local/etc/talos"),
                Some("usr/local/etc/talos/config.yaml"),
            ]
        );
        let id = SchematicId::of(b"");
        let extension = schematic(&id, SchematicInfo::Id, Edition::Enterprise, "https://f.example/");
        let paths: Vec<_> = extension.entries.iter().filter_map(Entry::rootfs_path).collect();
        let named = format!("usr/local/share/schematic/{id}");
        assert_eq!(
            paths,
            ["", "usr", "usr/local", "usr/local/share", "usr/local/share/schematic", named.as_str()]
        );
        assert_eq!(extension.manifest.metadata.author, "Image Factory Enterprise (https://f.example/)");
    }

    #[test]
    fn a_configuration_is_known_by_its_digest() {
        assert_eq!(
            embedded_config("test").manifest.metadata.version,
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
        );
    }
}
