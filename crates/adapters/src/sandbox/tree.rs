//! What a program left in its directory.
//!
//! Directories are opened one inside the other and links are never followed, so that nothing outside can
//! be meant, whatever the program does.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::OwnedFd;

use factory_domain::ports::SandboxError;
use factory_formats::file_tree::{FileTree, Node, Span, TreePath};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, open, openat, statat};

use super::Limits;
use super::room::{Room, TREE, WORK};

/// Contents, one after the other.
pub(super) struct Spool {
    file: BufWriter<File>,
    len: u64,
}

impl Spool {
    pub fn new(file: File) -> Self {
        Self { file: BufWriter::new(file), len: 0 }
    }

    pub fn append(&mut self, mut content: impl Read) -> io::Result<Span> {
        let len = io::copy(&mut content, &mut self.file)?;
        let span = Span { offset: self.len, len };
        self.len += len;
        Ok(span)
    }

    pub fn finish(mut self) -> io::Result<File> {
        self.file.flush()?;
        self.file.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

/// Why a tree cannot be taken.
pub(super) enum Fault {
    System(io::Error),
    Leftover(String),
    Exceeded(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<rustix::io::Errno> for Fault {
    fn from(error: rustix::io::Errno) -> Self {
        Self::System(error.into())
    }
}

impl Fault {
    /// The error of a job.
    pub fn of(self, name: &str) -> SandboxError {
        let name = name.to_owned();
        match self {
            Self::System(error) => SandboxError::System { name, reason: error.to_string() },
            Self::Leftover(found) => SandboxError::Leftover { name, found },
            Self::Exceeded(limit) => SandboxError::Exceeded { name, limit },
        }
    }
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Does not wait for the other end of a fifo.
const REGULAR: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Takes the tree: contents go to `spool`.
pub(super) fn harvest(room: &Room, limits: &Limits, spool: &mut Spool) -> Result<FileTree<Span>, Fault> {
    let work = open(room.work(), DIRECTORY, Mode::empty())?;
    let root = openat(&work, TREE, DIRECTORY, Mode::empty())
        .map_err(|_| Fault::Leftover(format!("no directory {TREE} in {WORK}")))?;
    let mut harvest = Harvest { limits, spool, tree: FileTree::new(), bytes: 0 };
    harvest.directory(&root, None, 0)?;
    Ok(harvest.tree)
}

struct Harvest<'a> {
    limits: &'a Limits,
    spool: &'a mut Spool,
    tree: FileTree<Span>,
    bytes: u64,
}

impl Harvest<'_> {
    fn directory(&mut self, fd: &OwnedFd, at: Option<&TreePath>, depth: usize) -> Result<(), Fault> {
        if depth > self.limits.depth {
            return Err(Fault::Exceeded(format!("{} directories inside one another", self.limits.depth)));
        }
        for entry in Dir::read_from(fd)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let shown = || match at {
                Some(at) => format!("{at}/{}", name.to_string_lossy()),
                None => name.to_string_lossy().into_owned(),
            };
            let path = name.to_str().ok().and_then(|name| TreePath::clean(name).ok().flatten());
            let path =
                path.ok_or_else(|| Fault::Leftover(format!("a file with an unusable name: {}", shown())))?;
            let path = at.map_or(path.clone(), |at| at.join(&path));
            if self.tree.len() >= self.limits.entries {
                return Err(Fault::Exceeded(format!("{} files", self.limits.entries)));
            }
            let unreadable = |_| Fault::Leftover(format!("{}, which cannot be read", shown()));
            let found = statat(fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
            match FileType::from_raw_mode(found.st_mode) {
                FileType::Directory => {
                    let inner = openat(fd, name, DIRECTORY, Mode::empty()).map_err(unreadable)?;
                    self.tree.put(path.clone(), Node::directory(0o755));
                    self.directory(&inner, Some(&path), depth + 1)?;
                }
                FileType::RegularFile => {
                    let file = openat(fd, name, REGULAR, Mode::empty()).map_err(unreadable)?;
                    let now = FileType::from_raw_mode(fstat(&file)?.st_mode);
                    if now != FileType::RegularFile {
                        return Err(Fault::Leftover(format!("something else than a file at {}", shown())));
                    }
                    let span = self.file(File::from(file))?;
                    self.tree.put(path, Node::file(0o644, span));
                }
                FileType::Symlink => return Err(Fault::Leftover(format!("a symbolic link at {}", shown()))),
                _ => return Err(Fault::Leftover(format!("something else than a file at {}", shown()))),
            }
        }
        Ok(())
    }

    fn file(&mut self, file: File) -> Result<Span, Fault> {
        // Holes count here: they are written out.
        let room = self.limits.files.saturating_sub(self.bytes);
        let span = self.spool.append(file.take(room.saturating_add(1)))?;
        self.bytes = self.bytes.saturating_add(span.len);
        if span.len > room {
            return Err(Fault::Exceeded(format!("{} bytes of files", self.limits.files)));
        }
        Ok(span)
    }
}
