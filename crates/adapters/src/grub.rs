//! GRUB's image maker, `grub-mkimage`, as a process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use factory_domain::ports::{CoreImage, GrubError, GrubImages};

/// The program of the package `grub-common`.
pub const GRUB_MKIMAGE: &str = "grub-mkimage";

/// Making an image takes a tenth of a second.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// How often it is looked whether the process has ended.
const POLL: Duration = Duration::from_millis(5);

/// What of an error message is kept, in bytes.
const MAX_MESSAGE: u64 = 2000;

/// Largest image that is believed, in bytes. Real ones have less than one megabyte.
const MAX_IMAGE: u64 = 16 << 20;

/// Runs `grub-mkimage` in a directory of its own that vanishes afterwards.
#[derive(Debug)]
pub struct GrubMkimage {
    program: PathBuf,
    scratch: PathBuf,
    tool: OnceLock<String>,
}

impl GrubMkimage {
    /// The tool of this name or path. Its files are put below `scratch`, which must exist.
    pub fn new(program: impl Into<PathBuf>, scratch: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), scratch: scratch.into(), tool: OnceLock::new() }
    }

    fn name(&self) -> String {
        self.program.display().to_string()
    }

    fn failed(&self, reason: impl std::fmt::Display) -> GrubError {
        GrubError::Failed { tool: self.name(), reason: reason.to_string() }
    }

    /// Runs the tool to its end. It sees nothing of this process's environment but where programs are.
    fn run(&self, directory: &Path, args: &[&str]) -> Result<String, GrubError> {
        let log = |name: &str| directory.join(name);
        let create = |name: &str| File::create(log(name)).map_err(|error| self.failed(error));
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(directory).env_clear().env("LC_ALL", "C");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        // Files instead of pipes: nobody has to read them for the process to go on.
        command.stdin(Stdio::null()).stdout(create(OUT)?).stderr(create(ERRORS)?);
        let mut process = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                GrubError::Missing { tool: self.name(), reason: error.to_string() }
            }
            _ => self.failed(error),
        })?;
        let ended = wait(&mut process).map_err(|error| self.failed(error))?;
        let said = |name| read_start(&log(name)).map_err(|error| self.failed(error));
        match ended {
            None => Err(self.failed(format!("it did not end within {} s", TIME_LIMIT.as_secs()))),
            Some(status) if !status.success() => {
                Err(self.failed(format!("{status}: {}", said(ERRORS)?.trim())))
            }
            Some(_) => said(OUT),
        }
    }

    fn room(&self) -> Result<tempfile::TempDir, GrubError> {
        tempfile::tempdir_in(&self.scratch).map_err(|error| self.failed(error))
    }
}

const OUT: &str = "stdout";
const ERRORS: &str = "stderr";

/// The status of a process, none when it had to be ended.
fn wait(process: &mut std::process::Child) -> io::Result<Option<ExitStatus>> {
    let end = Instant::now() + TIME_LIMIT;
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            process.kill()?;
            process.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

fn read_start(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_MESSAGE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a name from a release image is just that of a file.
fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

fn write_all(directory: &Path, files: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    fs::create_dir(directory)?;
    for (name, bytes) in files.iter().filter(|(name, _)| is_file_name(name)) {
        fs::write(directory.join(name), bytes)?;
    }
    Ok(())
}

impl GrubImages for GrubMkimage {
    fn tool(&self) -> Result<String, GrubError> {
        if let Some(known) = self.tool.get() {
            return Ok(known.clone());
        }
        let room = self.room()?;
        let said = self.run(room.path(), &["--version"])?;
        Ok(self.tool.get_or_init(|| said.trim().to_owned()).clone())
    }

    fn core_image(&self, image: &CoreImage<'_>) -> Result<Vec<u8>, GrubError> {
        let room = self.room()?;
        let (modules, made) = ("modules", room.path().join("image"));
        write_all(&room.path().join(modules), image.directory).map_err(|error| self.failed(error))?;
        let options = ["-d", modules, "-O", image.format, "-p", image.prefix, "-o", "image", "--"];
        self.run(room.path(), &[&options, image.modules].concat())?;
        let size = fs::metadata(&made).map_err(|error| self.failed(error))?.len();
        if size > MAX_IMAGE {
            return Err(self.failed(format!("its image has {size} bytes")));
        }
        fs::read(&made).map_err(|error| self.failed(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(platform: &str) -> BTreeMap<String, Vec<u8>> {
        let folder = Path::new("/usr/lib/grub").join(platform);
        let entries = fs::read_dir(&folder)
            .unwrap_or_else(|e| panic!("{}: {e}: install grub-pc-bin", folder.display()));
        let files = entries.map(|entry| entry.unwrap()).filter(|entry| entry.file_type().unwrap().is_file());
        files
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
            .collect()
    }

    fn image<'a>(directory: &'a BTreeMap<String, Vec<u8>>, modules: &'a [&'a str]) -> CoreImage<'a> {
        CoreImage { format: "i386-pc", prefix: "(,gpt3)/grub", modules, directory }
    }

    #[test]
    fn images_are_the_same_every_time_and_leave_nothing_behind() {
        let scratch = tempfile::tempdir().unwrap();
        let tool = GrubMkimage::new(GRUB_MKIMAGE, scratch.path());
        assert!(tool.tool().unwrap().contains("GRUB"), "{:?}", tool.tool());
        let directory = directory("i386-pc");
        let make = |modules: &[&str]| tool.core_image(&image(&directory, modules)).unwrap();
        let small = make(&["biosdisk"]);
        assert_eq!(small, make(&["biosdisk"]));
        assert!(small.len() > 20_000 && small.len() < make(&["biosdisk", "part_gpt", "xfs"]).len());
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn failures_say_what_is_wrong() {
        let scratch = tempfile::tempdir().unwrap();
        let nowhere = GrubMkimage::new("/nowhere/grub-mkimage", scratch.path());
        let error = nowhere.tool().unwrap_err();
        assert!(matches!(error, GrubError::Missing { .. }));
        assert!(error.to_string().ends_with("install the package grub-common"), "{error}");

        let tool = GrubMkimage::new(GRUB_MKIMAGE, scratch.path());
        let directory = directory("i386-pc");
        let error = tool.core_image(&image(&directory, &["no-such-module"])).unwrap_err();
        assert!(error.to_string().contains("no-such-module"), "{error}");
        assert!(tool.core_image(&image(&BTreeMap::new(), &["biosdisk"])).is_err());
    }

    #[test]
    fn names_stay_inside_of_the_directory() {
        for name in ["", ".", "..", "../x", "/etc/passwd", "a/b"] {
            assert!(!is_file_name(name), "{name}");
        }
        assert!(is_file_name("normal.mod"));
    }
}
