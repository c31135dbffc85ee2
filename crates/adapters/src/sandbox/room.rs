//! The directories of a job: files to read, a place to write.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use factory_domain::ports::{DISK_SIZE, ScratchFile};
use factory_formats::file_tree::{FileTree, NodeKind, Span, TreePath};
use tempfile::TempDir;

/// `nobody`: what programs run as when the server is root.
pub(super) const NOBODY: u32 = 65_534;

/// Whether the server is root.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Names inside of a room.
pub(super) const FILES: &str = "files";
pub(super) const WORK: &str = "work";
pub(super) const DISK: &str = "disk";
pub(super) const TREE: &str = "tree";

/// A room; it is cleared with this handle.
pub(super) struct Room {
    /// Taken at the end.
    directory: Option<TempDir>,
    path: PathBuf,
    /// The disk. Held open, so that it stays this file whatever the program does to its name.
    pub disk: File,
}

impl Room {
    /// A room with these files and an empty place to work in.
    pub fn furnish(
        parent: &Path,
        files: &FileTree<Span>,
        contents: &mut dyn ScratchFile,
        program: &TreePath,
    ) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("job-").tempdir_in(parent)?;
        let path = directory.path().to_owned();
        // Others must get through to the two directories, when the program is not run as this user.
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let below = path.join(FILES);
        make_directory(&below, 0o755)?;
        for (at, node) in files.iter() {
            let at_path = below.join(at.as_str());
            match &node.kind {
                NodeKind::Directory => make_directory(&at_path, 0o755)?,
                NodeKind::Symlink(target) => symlink(target, &at_path)?,
                NodeKind::File(span) => {
                    let mode = if at == program { 0o755 } else { 0o644 };
                    let mut file =
                        OpenOptions::new().write(true).create_new(true).mode(mode).open(&at_path)?;
                    contents.seek(SeekFrom::Start(span.offset))?;
                    let copied = io::copy(&mut contents.take(span.len), &mut file)?;
                    if copied != span.len {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        }
        let work = path.join(WORK);
        let disk_path = work.join(DISK);
        let (tree, boot) = (work.join(TREE), work.join(TREE).join("boot"));
        let writable = [work.clone(), tree.clone(), tree.join("EFI"), boot.clone(), boot.join("EFI")];
        for directory in &writable {
            make_directory(directory, 0o755)?;
        }
        let mut options = OpenOptions::new();
        let disk = options.read(true).write(true).create_new(true).mode(0o644).open(&disk_path)?;
        disk.set_len(DISK_SIZE)?;
        if is_root() {
            for path in writable.iter().chain([&disk_path]) {
                chown(path, Some(NOBODY), Some(NOBODY))?;
            }
        }
        Ok(Self { directory: Some(directory), path, disk })
    }

    /// The read-only files.
    pub fn files(&self) -> PathBuf {
        self.path.join(FILES)
    }

    /// The writable directory.
    pub fn work(&self) -> PathBuf {
        self.path.join(WORK)
    }

    /// Files without a name for what comes in and out.
    pub fn streams(&self, input: &str) -> io::Result<Streams> {
        let file = || tempfile::tempfile_in(&self.path);
        let mut stdin = file()?;
        stdin.write_all(input.as_bytes())?;
        stdin.seek(SeekFrom::Start(0))?;
        Ok(Streams { stdin, stdout: file()?, stderr: file()? })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(directory) = self.directory.take()
            && let Err(error) = remove(&directory.keep())
        {
            tracing::warn!(%error, "a sandbox could not be cleared away");
        }
    }
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(path)
}

/// Removes a directory with everything that a program may have put there. None is no error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            // Nested too deeply, without permissions, or a process was still on its way out.
            let run = |program: &str, arguments: &[&str]| {
                let done = Command::new(program).env_clear().args(arguments).arg("--").arg(path).status();
                done.is_ok_and(|status| status.success())
            };
            run("/bin/chmod", &["-R", "u+rwX"]);
            if run("/bin/rm", &["-rf"]) { Ok(()) } else { Err(error) }
        }
    }
}

/// What a program reads and writes besides files.
pub(super) struct Streams {
    pub stdin: File,
    pub stdout: File,
    pub stderr: File,
}

impl Streams {
    /// The longer of both outputs, in bytes.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.stdout.metadata()?.len().max(self.stderr.metadata()?.len()))
    }

    /// Standard output, up to `limit` bytes.
    pub fn output(&self, limit: u64) -> io::Result<Vec<u8>> {
        head(&self.stdout, limit)
    }

    /// What a person would want to know of standard error: its last lines.
    pub fn complaint(&self) -> String {
        const SHOWN: u64 = 1000;
        let len = self.stderr.metadata().map_or(0, |metadata| metadata.len());
        let mut bytes = vec![0; len.min(SHOWN) as usize];
        let read = self.stderr.read_exact_at(&mut bytes, len.saturating_sub(SHOWN));
        let text = if read.is_ok() { String::from_utf8_lossy(&bytes) } else { "".into() };
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        text.trim().chars().map(clean).collect()
    }
}

fn head(file: &File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; file.metadata()?.len().min(limit) as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
