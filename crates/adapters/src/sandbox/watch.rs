//! Keeping an eye on a running program.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::Limits;
use super::room::{Room, Streams};

/// How a program ended.
pub(super) enum Ended {
    /// With success.
    Well,
    /// By itself, with this complaint.
    Badly(String),
    /// By us, because of this limit.
    Exceeding(String),
}

/// First pause between two looks. Programs usually take a few milliseconds.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// Longest pause. What can be written or taken meanwhile goes beyond the limits.
const LAST_PAUSE: Duration = Duration::from_millis(20);

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started or looked after.
pub(super) fn run(
    mut command: Command,
    room: &Room,
    streams: &Streams,
    limits: &Limits,
) -> io::Result<Ended> {
    command.stdin(Stdio::from(streams.stdin.try_clone()?));
    command.stdout(Stdio::from(streams.stdout.try_clone()?));
    command.stderr(Stdio::from(streams.stderr.try_clone()?));
    let mut child = Killed(command.spawn()?);
    let (started, mut pause) = (Instant::now(), FIRST_PAUSE);
    let status = loop {
        if let Some(status) = child.0.try_wait()? {
            break status;
        }
        if let Some(limit) = excess(child.0.id(), started, room, streams, limits)? {
            return Ok(Ended::Exceeding(limit));
        }
        sleep(pause);
        pause = (pause * 2).min(LAST_PAUSE);
    };
    drop(child);
    // It may have been quicker than a look.
    if let Some(limit) = excess_of_files(room, streams, limits)? {
        return Ok(Ended::Exceeding(limit));
    }
    if status.success() {
        return Ok(Ended::Well);
    }
    let complaint = streams.complaint();
    Ok(Ended::Badly(if complaint.is_empty() { describe(status) } else { complaint }))
}

/// How it ended, when it said nothing.
fn describe(status: ExitStatus) -> String {
    // Launchers pass a signal on as a status above 128.
    let signal = status.signal().or(status.code().filter(|code| *code > 128).map(|code| code - 128));
    match (signal, status.code()) {
        (Some(signal), _) if signal == Signal::XFSZ.as_raw() => {
            "it wrote beyond the end of the disk".to_owned()
        }
        (Some(signal), _) => format!("it was ended by signal {signal}"),
        (None, Some(code)) => format!("it ended with status {code}"),
        (None, None) => "it ended".to_owned(),
    }
}

/// A child that does not outlive this handle, nor do those that it started.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let family = Family::of(self.0.id());
        if let Some(leader) = Pid::from_raw(self.0.id() as i32) {
            // That they are gone already is what is wanted.
            let _ = kill_process_group(leader, Signal::KILL);
        }
        for pid in family.pids.into_iter().filter_map(|pid| Pid::from_raw(pid as i32)) {
            if matches!(self.0.try_wait(), Ok(None)) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn excess(
    pid: u32,
    started: Instant,
    room: &Room,
    streams: &Streams,
    limits: &Limits,
) -> io::Result<Option<String>> {
    if started.elapsed() > limits.time {
        return Ok(Some(format!("{} s", limits.time.as_secs_f32())));
    }
    let family = Family::of(pid);
    if family.pids.len() > limits.processes {
        return Ok(Some(format!("{} processes", limits.processes)));
    }
    if family.memory > limits.memory {
        return Ok(Some(format!("{} bytes of memory", limits.memory)));
    }
    excess_of_files(room, streams, limits)
}

fn excess_of_files(room: &Room, streams: &Streams, limits: &Limits) -> io::Result<Option<String>> {
    if streams.len()? > limits.output {
        return Ok(Some(format!("{} bytes of output", limits.output)));
    }
    let (bytes, entries) = usage(&room.work(), limits.entries);
    if entries > limits.entries {
        return Ok(Some(format!("{} files", limits.entries)));
    }
    if bytes > limits.files {
        return Ok(Some(format!("{} bytes of files", limits.files)));
    }
    Ok(None)
}

/// Bytes on disk and number of everything below a directory; stops counting above `most` entries.
/// What cannot be read counts as nothing: it may be gone again.
fn usage(path: &Path, most: usize) -> (u64, usize) {
    let (mut bytes, mut entries, mut open) = (0_u64, 0, vec![path.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            entries += 1;
            if entries > most {
                return (bytes, entries);
            }
            // This does not follow links.
            let Ok(metadata) = entry.metadata() else { continue };
            bytes = bytes.saturating_add(metadata.blocks().saturating_mul(512));
            if metadata.is_dir() {
                open.push(entry.path());
            }
        }
    }
    (bytes, entries)
}

/// A process and all that descend from it.
#[derive(Default)]
struct Family {
    pids: Vec<u32>,
    /// Resident memory of all, in bytes. Shared pages count for each.
    memory: u64,
}

/// Most processes that are looked at. Limits are far below.
const MAX_FAMILY: usize = 10_000;

impl Family {
    fn of(pid: u32) -> Self {
        let mut family = Self::default();
        let mut open = vec![pid];
        while let Some(pid) = open.pop() {
            if family.pids.len() >= MAX_FAMILY {
                break;
            }
            family.pids.push(pid);
            let resident = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
            let pages: u64 = resident.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
            family.memory = family.memory.saturating_add(pages.saturating_mul(page_size()));
            for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
                let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                open.extend(children.split(' ').filter_map(|pid| pid.parse::<u32>().ok()));
            }
        }
        family
    }
}

fn page_size() -> u64 {
    rustix::param::page_size() as u64
}
