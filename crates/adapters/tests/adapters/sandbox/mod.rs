//! Programs that do what they should, and programs that do what they should not. Programs are shell
//! scripts: the sandbox has the system's `/usr`.

mod hostile;

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::time::Duration;

use factory_adapters::sandbox::{Isolation, Limits, ProgramSandbox};
use factory_domain::ports::{Sandbox, SandboxError, SandboxJob, SandboxOutcome, SandboxPlaces};
use factory_formats::file_tree::{FileTree, InlineTree, Span, TreePath};
use tempfile::TempDir;

/// Every way of confining programs that there is on this machine.
const ALL: [Isolation; 2] = [Isolation::Required, Isolation::Off];

struct Bench {
    directory: TempDir,
    sandbox: ProgramSandbox,
}

impl Bench {
    fn new(isolation: Isolation) -> Self {
        Self::with(isolation, Limits::default())
    }

    fn with(isolation: Isolation, limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let sandbox = ProgramSandbox::new(directory.path().join("sandbox"), isolation, limits).unwrap();
        Self { directory, sandbox }
    }

    fn run(&self, script: &str) -> Result<SandboxOutcome, SandboxError> {
        self.run_with(script, &|places| format!("{} {} {}\n", places.files, places.disk, places.tree))
    }

    fn run_with(
        &self,
        script: &str,
        input: &dyn Fn(&SandboxPlaces) -> String,
    ) -> Result<SandboxOutcome, SandboxError> {
        let path = |text: &str| text.parse::<TreePath>().unwrap();
        let mut tree = InlineTree::new();
        let attributes = || factory_formats::file_tree::Attributes::mode(0o755);
        tree.file(path("installers/board"), attributes(), format!("#!/bin/sh\n{script}\n").as_bytes());
        tree.file(path("artifacts/arm64/u-boot.bin"), attributes(), b"loader");
        let mut bytes = Vec::new();
        tree.spool().read_to_end(&mut bytes).unwrap();
        let mut contents = Cursor::new(bytes);
        let program = path("installers/board");
        let job = SandboxJob {
            name: "install of board",
            files: tree.tree(),
            contents: &mut contents,
            program: &program,
            argument: "install",
            input,
        };
        let outcome = self.sandbox.run(job);
        let left: Vec<_> = std::fs::read_dir(self.directory.path().join("sandbox")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        outcome
    }
}

fn content(outcome: &mut SandboxOutcome, span: Span) -> Vec<u8> {
    let mut bytes = Vec::new();
    outcome.contents.seek(SeekFrom::Start(span.offset)).unwrap();
    (&mut outcome.contents).take(span.len).read_to_end(&mut bytes).unwrap();
    bytes
}

fn names(tree: &FileTree<Span>) -> Vec<&str> {
    tree.iter().map(|(path, _)| path.as_str()).collect()
}

#[test]
fn a_board_writes_its_loader_and_its_boot_files() {
    for isolation in ALL {
        let mut outcome = Bench::new(isolation)
            .run(
                "read files disk tree\n\
                 echo \"$0 $*\"\n\
                 dd if=$files/artifacts/arm64/u-boot.bin of=$disk bs=1 seek=32768 conv=notrunc,fsync 2>/dev/null\n\
                 mkdir -p $tree/boot/EFI/dtb && cp $files/artifacts/arm64/u-boot.bin $tree/boot/EFI/dtb/x.dtb",
            )
            .unwrap();
        let output = String::from_utf8(outcome.output.clone()).unwrap();
        assert!(output.ends_with("installers/board install\n"), "{output}");
        let [write] = outcome.writes.as_slice() else { panic!("{:?}", outcome.writes) };
        let write = *write;
        assert_eq!((write.offset, write.content.len), (32_768, 512));
        assert!(content(&mut outcome, write.content).starts_with(b"loader\0"));
        assert_eq!(names(&outcome.tree), ["EFI", "boot", "boot/EFI", "boot/EFI/dtb", "boot/EFI/dtb/x.dtb"]);
    }
}

#[test]
fn a_failure_is_told_in_the_programs_words() {
    for isolation in ALL {
        let bench = Bench::new(isolation);
        let error = bench.run("echo 'unknown option: dtb' >&2; exit 3").err().unwrap();
        assert_eq!(error.to_string(), "install of board failed: unknown option: dtb");
        let error = bench.run("exit 3").err().unwrap();
        assert_eq!(error.to_string(), "install of board failed: it ended with status 3");
        let error = bench.run("kill -SEGV $$").err().unwrap();
        assert_eq!(error.to_string(), "install of board failed: it was ended by signal 11");
    }
}

#[test]
fn nothing_of_the_server_is_passed_on() {
    for isolation in ALL {
        let outcome = Bench::new(isolation)
            .run("tr '\\0' '\\n' < /proc/self/environ; echo end; id -u; grep -E 'Cap(Eff|Prm|Inh)|NoNewPrivs' /proc/self/status")
            .unwrap();
        let output = String::from_utf8(outcome.output).unwrap();
        let (environment, rest) = output.split_once("end\n").unwrap();
        assert!(environment.lines().all(|line| line.starts_with("PWD=")), "{environment}");
        let (user, status) = rest.split_once('\n').unwrap();
        assert_ne!(user, "0");
        assert_eq!(status.matches("0000000000000000").count(), 3, "{status}");
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    }
}

#[test]
fn a_program_of_a_language_with_a_runtime_fits_into_the_limits() {
    // Programs of overlays are Go, which reserves much memory and starts threads.
    let home = std::env::var("HOME").unwrap_or_default();
    let cosign = format!("{home}/.cache/image-factory/tools/cosign-v3.0.4");
    let Ok(program) = std::fs::read(&cosign) else {
        eprintln!("SKIP: no program in Go at {cosign}");
        return;
    };
    let path: TreePath = "cosign".parse().unwrap();
    let mut tree = InlineTree::new();
    tree.file(path.clone(), factory_formats::file_tree::Attributes::mode(0o755), &program);
    let mut bytes = Vec::new();
    tree.spool().read_to_end(&mut bytes).unwrap();
    let bench = Bench::new(Isolation::Required);
    let outcome = bench.sandbox.run(SandboxJob {
        name: "cosign",
        files: tree.tree(),
        contents: &mut Cursor::new(bytes),
        program: &path,
        argument: "version",
        input: &|_| String::new(),
    });
    let outcome = outcome.map_err(|error| error.to_string()).map(|outcome| outcome.output);
    assert!(String::from_utf8(outcome.unwrap()).unwrap().contains("GoVersion"));
}

#[test]
fn many_jobs_at_a_time_do_not_meet() {
    let bench = Bench::new(Isolation::Required);
    bench.run("true").unwrap();
    let limits = Limits { time: Duration::from_secs(120), ..Limits::default() };
    let bench = Bench::with(Isolation::Required, limits);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let bench = &bench.sandbox;
            scope.spawn(move || {
                let mut tree = InlineTree::new();
                let path: TreePath = "x".parse().unwrap();
                let script = format!("#!/bin/sh\necho {number} > tree/EFI/{number}; ls tree/EFI");
                tree.file(
                    path.clone(),
                    factory_formats::file_tree::Attributes::mode(0o755),
                    script.as_bytes(),
                );
                let mut bytes = Vec::new();
                tree.spool().read_to_end(&mut bytes).unwrap();
                let outcome = bench.run(SandboxJob {
                    name: "x",
                    files: tree.tree(),
                    contents: &mut Cursor::new(bytes),
                    program: &path,
                    argument: "",
                    input: &|_| String::new(),
                });
                let output = outcome.map(|outcome| outcome.output).unwrap();
                assert_eq!(String::from_utf8(output).unwrap(), format!("{number}\n"));
            });
        }
    });
}
