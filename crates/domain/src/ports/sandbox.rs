//! Running programs that others wrote.
//!
//! Only overlays need this: a board's own program knows where its boot loader goes on a disk
//! (`20-profiles.md` §9.3). It gets files to read, a text on standard input and an empty place to work
//! in; what it leaves there is the result.

use factory_formats::file_tree::{FileTree, Span, TreePath};

use super::ScratchFile;
use crate::arch::Arch;

/// What a program is given, and what it is asked.
pub struct SandboxJob<'a> {
    /// For people: `get-options of overlay rock64`.
    pub name: &'a str,
    /// Files that it may read; the program itself is one of them.
    pub files: &'a FileTree<Span>,
    /// Where the contents of these files are.
    pub contents: &'a mut dyn ScratchFile,
    /// Which of the files is run.
    pub program: &'a TreePath,
    /// Its only argument.
    pub argument: &'a str,
    /// Makes the text on its standard input, for which it has to be known where things are.
    pub input: &'a dyn Fn(&SandboxPlaces) -> String,
}

/// Where things are, as paths that the program can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxPlaces {
    /// The directory with the files of the job.
    pub files: String,
    /// A file of [`DISK_SIZE`] bytes without any data, in place of a disk.
    pub disk: String,
    /// A directory in place of where the partitions of that disk are mounted; it holds `EFI` and
    /// `boot/EFI`, both empty.
    pub tree: String,
}

/// Length of the disk that a program sees, in bytes. What boards need on a disk lies in its first
/// megabytes; this is room for every partition offset that is in use, with sectors of 4096 bytes too.
pub const DISK_SIZE: u64 = 128 << 20;

/// What a program did.
pub struct SandboxOutcome {
    /// What it wrote to standard output.
    pub output: Vec<u8>,
    /// What it wrote to the disk, by ascending offset. Stretches of zeros are left out.
    pub writes: Vec<SandboxWrite>,
    /// What it put into the directory. There are directories and regular files only.
    pub tree: FileTree<Span>,
    /// Where the contents of both are.
    pub contents: Box<dyn ScratchFile>,
}

/// A stretch of the disk that is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SandboxWrite {
    /// Its first byte, counted from the start of the disk; a multiple of 512.
    pub offset: u64,
    /// What is there; its length is a multiple of 512.
    pub content: Span,
}

/// Why a program has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// Programs cannot be confined here.
    #[error("programs of overlays cannot be run on this server: {reason}")]
    Unavailable {
        /// What is missing.
        reason: String,
    },
    /// It ended with an error.
    #[error("{name} failed: {message}")]
    Failed {
        /// The job.
        name: String,
        /// What it said, or how it ended.
        message: String,
    },
    /// It took more than it is given, and was ended.
    #[error("{name} was ended: it took more than {limit}")]
    Exceeded {
        /// The job.
        name: String,
        /// The limit.
        limit: String,
    },
    /// It left something that is of no use.
    #[error("{name} left {found}")]
    Leftover {
        /// The job.
        name: String,
        /// What and where.
        found: String,
    },
    /// The disk or the system failed.
    #[error("{name} could not be run: {reason}")]
    System {
        /// The job.
        name: String,
        /// The cause.
        reason: String,
    },
}

/// Runs programs where they can do no harm: without a network, with nothing to write to but the place
/// they are given, for a limited time, with limited memory, processes and results. A call takes as long as the
/// program does: make it from a build thread.
pub trait Sandbox: Send + Sync {
    /// The architecture of the programs that can be run.
    fn arch(&self) -> Arch;

    /// Runs a program to its end.
    ///
    /// # Errors
    /// See [`SandboxError`]. Whatever the program does, it is an error in bounded time.
    fn run(&self, job: SandboxJob<'_>) -> Result<SandboxOutcome, SandboxError>;
}
