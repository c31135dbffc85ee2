//! Command lines that confine a program.

use std::fmt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use factory_domain::ports::{DISK_SIZE, SandboxPlaces};
use factory_formats::file_tree::{FileTree, Node, Span, TreePath};

use super::Limits;
use super::room::{DISK, FILES, NOBODY, Room, TREE, is_root};
use super::watch::{self, Ended};

/// How well programs are confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// All namespaces, the user's too.
    Namespaces,
    /// All namespaces but the user's: the server is root, and the system has no user namespaces.
    NamespacesOfRoot,
    /// None.
    Limits,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "with namespaces",
            Self::NamespacesOfRoot => "with namespaces, but without one of users",
            Self::Limits => "with limits alone",
        })
    }
}

/// Where the job's files are in a mount namespace.
const INNER_FILES: &str = "/overlay";
/// Where the job works in a mount namespace.
const INNER_WORK: &str = "/work";

/// Address space of one process, in bytes. Runtimes reserve far more than they use.
const ADDRESS_SPACE: u64 = 8 << 30;
/// Open files of one process.
const OPEN_FILES: u64 = 256;

/// Makes command lines.
pub(super) struct Launcher<'a> {
    pub level: Level,
    pub limits: &'a Limits,
}

impl Launcher<'_> {
    /// Where things are for the program. It starts in the directory where it works.
    pub fn places(&self) -> SandboxPlaces {
        let (files, work) = match self.level {
            Level::Limits => (format!("../{FILES}"), String::new()),
            _ => (INNER_FILES.to_owned(), format!("{INNER_WORK}/")),
        };
        SandboxPlaces { files, disk: format!("{work}{DISK}"), tree: format!("{work}{TREE}") }
    }

    /// The command that runs one of the room's files.
    pub fn command(&self, room: &Room, program: &str, argument: &str) -> Command {
        let program = format!("{}/{program}", self.places().files);
        let mut command = self.confined(room);
        command.arg(program).arg(argument);
        command
    }

    /// A command that lacks nothing but the program.
    fn confined(&self, room: &Room) -> Command {
        let mut command = match self.level {
            Level::Limits => {
                let mut command = Command::new("/usr/bin/setpriv");
                command.arg("--no-new-privs");
                if is_root() {
                    become_nobody(&mut command);
                }
                command.arg("--");
                command
            }
            level => self.namespaces(room, level),
        };
        self.limit(&mut command);
        command.env_clear().current_dir(room.work()).process_group(0);
        command
    }

    fn namespaces(&self, room: &Room, level: Level) -> Command {
        let mut command = Command::new("/usr/bin/bwrap");
        command.args(["--die-with-parent", "--clearenv", "--unshare-net", "--unshare-pid", "--unshare-ipc"]);
        command.args(["--unshare-uts", "--unshare-cgroup-try"]);
        if !is_root() {
            command.args(["--unshare-user", "--disable-userns"]);
        }
        command.args(["--ro-bind", "/usr", "/usr"]);
        for link in ["/bin", "/lib", "/lib64"] {
            command.args(["--ro-bind-try", link, link]);
        }
        command.args(["--proc", "/proc", "--dev", "/dev"]);
        command.arg("--ro-bind").arg(room.files()).arg(INNER_FILES);
        command.arg("--bind").arg(room.work()).arg(INNER_WORK);
        // Otherwise memory file systems could be filled.
        command.args(["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", INNER_WORK, "--"]);
        if is_root() {
            command.args(["/usr/bin/setpriv", "--no-new-privs"]);
            become_nobody(&mut command);
            command.arg("--");
            if level == Level::Namespaces {
                command.args(["/usr/bin/unshare", "--user", "--map-current-user", "--"]);
            }
        }
        command
    }

    /// Limits that the kernel keeps for each process.
    fn limit(&self, command: &mut Command) {
        let limits = self.limits;
        command.arg("/usr/bin/prlimit");
        let mut limit = |name: &str, value: u64| {
            command.arg(format!("--{name}={value}:{value}"));
        };
        limit("as", ADDRESS_SPACE);
        limit("data", limits.memory);
        limit("fsize", DISK_SIZE);
        limit("nofile", OPEN_FILES);
        limit("core", 0);
        limit("cpu", processor_seconds(limits.time));
        // Without a namespace of users all threads of the server count as well.
        if self.level != Level::Limits {
            limit("nproc", limits.processes as u64);
        }
        command.arg("--");
    }
}

/// Processor time of each process, in seconds. Whoever watches ends a program by the clock; this is
/// for the case that nobody does, and must not come first, however many threads are at work.
fn processor_seconds(time: Duration) -> u64 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    time.as_secs().saturating_add(2).saturating_mul(cores)
}

fn become_nobody(command: &mut Command) {
    command.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={NOBODY}"));
    command.args(["--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
}

/// The strongest level that this system allows.
///
/// # Errors
/// What keeps it from giving namespaces.
pub(super) fn strongest(path: &Path, limits: &Limits) -> Result<Level, String> {
    let candidates: &[Level] =
        if is_root() { &[Level::Namespaces, Level::NamespacesOfRoot] } else { &[Level::Namespaces] };
    let mut reasons = Vec::new();
    for level in candidates {
        match works(&Launcher { level: *level, limits }, path) {
            Ok(()) => return Ok(*level),
            Err(reason) if reasons.contains(&reason) => {}
            Err(reason) => reasons.push(reason),
        }
    }
    Err(reasons.join("; "))
}

/// Whether something harmless runs.
fn works(launcher: &Launcher<'_>, path: &Path) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let (mut files, mut contents) = (FileTree::<Span>::new(), std::io::Cursor::new(Vec::new()));
    let program = TreePath::clean("none").ok().flatten().ok_or("no name for a program")?;
    files.put(program.clone(), Node::directory(0o755));
    let room = Room::furnish(path, &files, &mut contents, &program).map_err(text)?;
    let streams = room.streams("").map_err(text)?;
    let mut command = launcher.confined(&room);
    command.arg("/usr/bin/true");
    let limits = Limits { time: Duration::from_secs(10), ..launcher.limits.clone() };
    let program = command.get_program().to_string_lossy().into_owned();
    match watch::run(command, &room, &streams, &limits) {
        Ok(Ended::Well) => Ok(()),
        Ok(Ended::Badly(message) | Ended::Exceeding(message)) => Err(message),
        Err(error) => Err(format!("{program}: {error}")),
    }
}
