//! Programs of overlays, confined by `bubblewrap` (the Debian package of that name).
//!
//! | | with namespaces | with limits alone |
//! |---|---|---|
//! | network, processes, IPC, host name | own namespaces, the network empty | those of the server |
//! | files | `/usr` and its links read-only, the job's files read-only, one writable directory | those that the user may see |
//! | user | the server's without any rights; of a server that runs as root `nobody`, without any rights | the server's; of root `nobody` |
//! | environment, time, memory, processes, files, output | clean; limited | clean; limited |
//!
//! Namespaces are used wherever the system allows them. Where it does not (a container without user
//! namespaces), [`Isolation::Required`] refuses to run anything, and [`Isolation::Preferred`] makes do with
//! limits and says so in the log. Overlay images are signed like everything else of a release.
//!
//! Limits are kept twice: by the kernel for each process (`prlimit`), and by the [watch](watch) for all of
//! them together, which ends the job. Programs with a pid namespace of their own cannot leave a process
//! behind.

mod disk;
mod launch;
mod room;
mod tree;
mod watch;

use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use factory_domain::Arch;
use factory_domain::ports::{Sandbox, SandboxError, SandboxJob, SandboxOutcome};

use self::launch::{Launcher, Level};
use self::room::Room;
use self::watch::Ended;

/// What one job may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time from start to end.
    pub time: Duration,
    /// Resident memory of all processes together, in bytes.
    pub memory: u64,
    /// Processes and threads.
    pub processes: usize,
    /// Bytes on standard output, and on standard error.
    pub output: u64,
    /// Bytes of all files that it writes.
    pub files: u64,
    /// Files and directories that it makes.
    pub entries: usize,
    /// Directories inside one another.
    pub depth: usize,
}

impl Default for Limits {
    /// Known programs take some milliseconds and a few megabytes.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(60),
            memory: 512 << 20,
            processes: 64,
            output: 1 << 20,
            files: 256 << 20,
            entries: 4096,
            depth: 16,
        }
    }
}

/// What to do on a system that gives no namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Run programs with limits alone, and warn.
    #[default]
    Preferred,
    /// Run nothing.
    Required,
    /// Run programs with limits alone, whatever the system gives.
    Off,
}

/// Runs the programs of overlays.
#[derive(Debug)]
pub struct ProgramSandbox {
    path: PathBuf,
    arch: Arch,
    isolation: Isolation,
    limits: Limits,
    /// Found out at the first job.
    level: OnceLock<Result<Level, String>>,
}

impl ProgramSandbox {
    /// A sandbox for programs of this machine's architecture, with its files in a directory of its own,
    /// which is emptied first.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new(path: impl Into<PathBuf>, isolation: Isolation, limits: Limits) -> io::Result<Self> {
        let path = path.into();
        room::remove(&path)?;
        std::fs::create_dir_all(&path)?;
        let arch = if cfg!(target_arch = "aarch64") { Arch::Arm64 } else { Arch::Amd64 };
        Ok(Self { path, arch, isolation, limits, level: OnceLock::new() })
    }

    fn level(&self) -> Result<Level, SandboxError> {
        let found = self.level.get_or_init(|| {
            if self.isolation == Isolation::Off {
                return Ok(Level::Limits);
            }
            let found = launch::strongest(&self.path, &self.limits);
            match (&found, self.isolation) {
                (Ok(level), _) => tracing::info!(%level, "programs of overlays run in a sandbox"),
                (Err(reason), Isolation::Preferred) => tracing::warn!(
                    reason,
                    "no namespaces for programs of overlays: they run with limits alone. Install \
                     bubblewrap and allow user namespaces"
                ),
                (Err(_), _) => return found,
            }
            Ok(found.unwrap_or(Level::Limits))
        });
        found.clone().map_err(|reason| SandboxError::Unavailable {
            reason: format!("{reason}; install bubblewrap and allow user namespaces"),
        })
    }
}

impl Sandbox for ProgramSandbox {
    fn arch(&self) -> Arch {
        self.arch
    }

    fn run(&self, job: SandboxJob<'_>) -> Result<SandboxOutcome, SandboxError> {
        let launcher = Launcher { level: self.level()?, limits: &self.limits };
        let name = job.name.to_owned();
        let system =
            |error: io::Error| SandboxError::System { name: name.clone(), reason: error.to_string() };
        let room = Room::furnish(&self.path, job.files, job.contents, job.program).map_err(system)?;
        let input = (job.input)(&launcher.places());
        let streams = room.streams(&input).map_err(system)?;
        let command = launcher.command(&room, job.program.as_str(), job.argument);
        match watch::run(command, &room, &streams, &self.limits).map_err(system)? {
            Ended::Well => {}
            Ended::Badly(message) => return Err(SandboxError::Failed { name, message }),
            Ended::Exceeding(limit) => return Err(SandboxError::Exceeded { name, limit }),
        }
        let output = streams.output(self.limits.output).map_err(system)?;
        let mut spool = tree::Spool::new(tempfile::tempfile_in(&self.path).map_err(system)?);
        let writes = disk::harvest(&room.disk, &mut spool).map_err(system)?;
        let tree = tree::harvest(&room, &self.limits, &mut spool).map_err(|fault| fault.of(&name))?;
        let contents = Box::new(spool.finish().map_err(system)?);
        Ok(SandboxOutcome { output, writes, tree, contents })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use factory_formats::file_tree::{FileTree, TreePath};

    use super::*;

    #[test]
    fn nothing_runs_without_namespaces_that_are_required() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sandbox");
        let sandbox = ProgramSandbox::new(&path, Isolation::Required, Limits::default()).unwrap();
        sandbox.level.set(Err("bwrap: no such file".to_owned())).unwrap();
        let program: TreePath = "x".parse().unwrap();
        let error = sandbox.run(SandboxJob {
            name: "get-options of overlay x",
            files: &FileTree::new(),
            contents: &mut Cursor::new(Vec::new()),
            program: &program,
            argument: "get-options",
            input: &|_| String::new(),
        });
        assert_eq!(
            error.err().map(|error| error.to_string()).unwrap(),
            "programs of overlays cannot be run on this server: bwrap: no such file; install bubblewrap and \
             allow user namespaces"
        );
    }

    #[test]
    fn a_place_of_an_earlier_run_is_cleared() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sandbox");
        std::fs::create_dir_all(path.join("job-1/work/tree")).unwrap();
        ProgramSandbox::new(&path, Isolation::Preferred, Limits::default()).unwrap();
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    }
}
