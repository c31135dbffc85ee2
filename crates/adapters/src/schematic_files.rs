//! Schematics in files of a directory, and which of them changed.
//!
//! Kubernetes mounts a ConfigMap as links through a directory `..data`, which is a link itself and is replaced
//! as a whole. So files are looked at through links, and it is their content's file that counts, not the link.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What tells one content of a file from another without reading it. None for what is not there.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// A directory of schematics.
pub struct SchematicFiles {
    directory: PathBuf,
    /// Longest file that is read, in bytes.
    max_size: u64,
    seen: BTreeMap<PathBuf, Stamp>,
}

/// A file that is new or changed.
#[derive(Debug)]
pub struct ChangedFile {
    /// Its path.
    pub path: PathBuf,
    /// What it holds.
    pub content: io::Result<Vec<u8>>,
}

impl SchematicFiles {
    /// The files of this directory, none of them seen yet.
    pub fn new(directory: &Path, max_size: u64) -> Self {
        Self { directory: directory.to_owned(), max_size, seen: BTreeMap::new() }
    }

    /// The files that are new, or changed since they were given out. Those that are gone are forgotten.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn changed(&mut self) -> io::Result<Vec<ChangedFile>> {
        let paths = list_schematics(&self.directory)?;
        self.seen.retain(|path, _| paths.contains(path));
        let mut changed = Vec::new();
        for path in paths {
            // Before the content: what is written in between is seen the next time.
            let now = fs::metadata(&path).ok().map(|metadata| stamp(&metadata));
            if self.seen.get(&path) != Some(&now) {
                changed
                    .push(ChangedFile { content: read_schematic(&path, self.max_size), path: path.clone() });
                self.seen.insert(path, now);
            }
        }
        Ok(changed)
    }

    /// Lets a file count as changed: what was to be done with it did not work.
    pub fn forget(&mut self, path: &Path) {
        self.seen.remove(path);
    }
}

fn stamp(metadata: &Metadata) -> (u64, u64, u64, i64, i64) {
    (metadata.dev(), metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// The files `*.yaml` and `*.yml` of a directory, by name. Names that begin with a dot are left out.
///
/// # Errors
/// When the directory cannot be read.
pub fn list_schematics(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if is_yaml && !is_hidden && !path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The bytes of a file of at most `max_size` bytes.
///
/// # Errors
/// When it cannot be read, is longer, or is no regular file, which could make readers wait for ever.
pub fn read_schematic(path: &Path, max_size: u64) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(max_size.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_size {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is longer than {max_size} bytes"),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn changed(files: &mut SchematicFiles) -> Vec<(String, Option<Vec<u8>>)> {
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let found = files.changed().unwrap().into_iter();
        found.map(|file| (name(&file.path), file.content.ok())).collect()
    }

    #[test]
    fn new_and_changed_files_come_once() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for name in ["b.yml", "a.yaml", "c.txt", ".hidden.yaml"] {
            fs::write(at(name), name).unwrap();
        }
        fs::create_dir(at("d.yaml")).unwrap();
        let mut files = SchematicFiles::new(home.path(), 100);
        let some = |name: &str, text: &str| (name.to_owned(), Some(text.as_bytes().to_vec()));
        assert_eq!(changed(&mut files), [some("a.yaml", "a.yaml"), some("b.yml", "b.yml")]);
        assert_eq!(changed(&mut files), []);
        fs::write(at("a.yaml"), "other length").unwrap();
        assert_eq!(changed(&mut files), [some("a.yaml", "other length")]);
        files.forget(&at("b.yml"));
        fs::remove_file(at("a.yaml")).unwrap();
        assert_eq!(changed(&mut files), [some("b.yml", "b.yml")]);
        fs::write(at("a.yaml"), "other length").unwrap();
        assert_eq!(changed(&mut files), [some("a.yaml", "other length")], "gone and back");
    }

    #[test]
    fn a_config_map_is_replaced_as_a_whole() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for (folder, text) in [("..1", "one"), ("..2", "two")] {
            fs::create_dir(at(folder)).unwrap();
            fs::write(at(folder).join("a.yaml"), text).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/a.yaml", at("a.yaml")).unwrap();
        let mut files = SchematicFiles::new(home.path(), 100);
        assert_eq!(changed(&mut files), [("a.yaml".to_owned(), Some(b"one".to_vec()))]);
        symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_eq!(changed(&mut files), [("a.yaml".to_owned(), Some(b"two".to_vec()))]);
        assert_eq!(changed(&mut files), []);
    }

    #[test]
    fn what_cannot_be_read_is_told_once() {
        let home = tempfile::tempdir().unwrap();
        symlink("nowhere", home.path().join("a.yaml")).unwrap();
        fs::write(home.path().join("b.yaml"), [b'x'; 101]).unwrap();
        let mut files = SchematicFiles::new(home.path(), 100);
        assert_eq!(changed(&mut files), [("a.yaml".to_owned(), None), ("b.yaml".to_owned(), None)]);
        assert_eq!(changed(&mut files), []);
        fs::remove_dir_all(home.path()).unwrap();
        assert!(files.changed().is_err());
    }
}
