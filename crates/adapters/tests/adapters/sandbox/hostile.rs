//! Programs that want to stay, grow, look around or reach out.

use std::net::TcpListener;
use std::time::Instant;

use super::*;

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits { time: Duration::from_secs(30), ..Limits::default() };
    change(&mut limits);
    limits
}

/// The error, which must come within the time of the limits and a little more.
fn refused(isolation: Isolation, limits: Limits, script: &str) -> String {
    // It includes finding out what the system can do, on a machine that has other work.
    let (bench, patience) = (Bench::with(isolation, limits.clone()), Duration::from_secs(30));
    let started = Instant::now();
    let error = bench.run(script).err().unwrap_or_else(|| panic!("{script} had a result"));
    assert!(started.elapsed() < limits.time + patience, "{script} took {:?}", started.elapsed());
    error.to_string()
}

/// Whether a process with this argument exists anywhere.
fn is_running(marker: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.any(|line| String::from_utf8_lossy(&line).contains(marker))
}

fn wait_until_gone(marker: &str) {
    let started = Instant::now();
    while is_running(marker) {
        assert!(started.elapsed() < Duration::from_secs(30), "{marker} is still running");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn endless_programs_are_ended() {
    for isolation in ALL {
        let brief = limits(|limits| limits.time = Duration::from_secs(1));
        let error = refused(isolation, brief.clone(), "while :; do :; done");
        assert_eq!(error, "install of board was ended: it took more than 1 s");
        let error = refused(isolation, brief, "sleep 100.000001");
        assert_eq!(error, "install of board was ended: it took more than 1 s");
        wait_until_gone("100.000001");
    }
}

#[test]
fn bombs_of_processes_do_not_spread() {
    let few = limits(|limits| {
        limits.time = Duration::from_secs(5);
        limits.processes = 32;
    });
    let error = refused(Isolation::Required, few.clone(), "bomb() { sleep 200.000001 & bomb & bomb; }; bomb");
    assert!(error.contains("Cannot fork") || error.contains("was ended"), "{error}");
    wait_until_gone("200.000001");
    // Without namespaces they are counted, but not kept from being born.
    let script = "i=0; while [ $i -lt 200 ]; do sleep 200.000002 & i=$((i+1)); done; wait";
    let error = refused(Isolation::Off, few, script);
    assert!(error.contains("32 processes"), "{error}");
    wait_until_gone("200.000002");
}

#[test]
fn nobody_is_left_behind() {
    let bench = Bench::new(Isolation::Required);
    bench.run("setsid sleep 300.000001 >/dev/null 2>&1 </dev/null & sleep 0.1; exit 0").unwrap();
    wait_until_gone("300.000001");
    let bench = Bench::new(Isolation::Off);
    bench.run("sleep 300.000002 & exit 0").unwrap();
    wait_until_gone("300.000002");
}

#[test]
fn memory_is_limited_for_each_and_for_all() {
    for isolation in ALL {
        let small = limits(|limits| limits.memory = 64 << 20);
        let error = refused(isolation, small.clone(), "x=aaaaaaaa; while :; do x=$x$x; done");
        assert!(error.contains("failed") || error.contains("bytes of memory"), "{error}");
        let each = "sh -c 'x=aaaaaaaa; while [ ${#x} -lt 16000000 ]; do x=$x$x; done; sleep 20' & ";
        let error = refused(isolation, small, &format!("{}wait", each.repeat(8)));
        assert_eq!(error, "install of board was ended: it took more than 67108864 bytes of memory");
    }
}

#[test]
fn output_is_limited() {
    for isolation in ALL {
        for script in ["cat /dev/zero", "cat /dev/zero >&2", "yes", "head -c 2000000 /dev/zero"] {
            let error = refused(isolation, limits(|_| {}), script);
            assert_eq!(error, "install of board was ended: it took more than 1048576 bytes of output");
        }
    }
}

#[test]
fn files_are_limited_in_bytes_number_and_depth() {
    let few = || {
        limits(|limits| {
            limits.files = 16 << 20;
            limits.entries = 100;
        })
    };
    for isolation in ALL {
        for (script, expected) in [
            ("i=0; while :; do head -c 9000000 /dev/zero > tree/$i; i=$((i+1)); done", "bytes of files"),
            ("yes > disk", "bytes of files"),
            ("i=0; while :; do : > tree/$i; i=$((i+1)); done", "100 files"),
            ("truncate -s 100G tree/x", "failed"),
            ("truncate -s 100M tree/x", "bytes of files"),
            (
                "cd tree; i=0; while [ $i -lt 40 ]; do mkdir d; cd d; i=$((i+1)); done",
                "16 directories inside one another",
            ),
        ] {
            let error = refused(isolation, few(), script);
            assert!(error.contains(expected), "{script}: {error}");
        }
    }
}

#[test]
fn what_cannot_be_a_boot_file_is_refused() {
    for isolation in ALL {
        for (script, expected) in [
            ("ln -s /etc/passwd tree/boot/EFI/x", "a symbolic link at boot/EFI/x"),
            ("ln -s / tree/boot/EFI/x", "a symbolic link at boot/EFI/x"),
            ("mkfifo tree/x", "something else than a file at x"),
            ("rm -r tree; ln -s /etc tree", "no directory tree in work"),
            ("rm -r tree", "no directory tree in work"),
            ("touch \"$(printf 'tree/a\\377')\"", "a file with an unusable name: a\u{fffd}"),
        ] {
            let error = refused(isolation, limits(|_| {}), script);
            assert_eq!(error, format!("install of board left {expected}"), "{script}");
        }
    }
}

#[test]
fn a_disk_that_is_taken_away_stays_what_it_was() {
    for isolation in ALL {
        let bench = Bench::new(isolation);
        for script in [
            "rm disk",
            "rm disk; ln -s /etc/passwd disk",
            "rm disk; mkdir disk",
            "mv disk tree/EFI/d; rm tree/EFI/d",
        ] {
            assert_eq!(bench.run(script).unwrap().writes, []);
        }
        assert_eq!(
            bench.run("printf abc | dd of=disk conv=notrunc 2>/dev/null; truncate -s 5 disk").unwrap().writes,
            []
        );
    }
}

#[test]
fn directories_without_permissions_are_cleared_away() {
    for isolation in ALL {
        let bench = Bench::new(isolation);
        // The harvest may or may not be able to read them; nothing is left in both cases.
        let _ = bench.run("mkdir -p tree/a/b/c; chmod 0 tree/a/b; chmod 0 tree/a");
    }
}

#[test]
fn there_is_nothing_to_write_to_but_the_own_place() {
    let probe = "for at in / /usr /usr/bin /overlay /overlay/installers /overlay/artifacts /dev /dev/shm /proc /tmp /etc /root /home; do \
                 if (: > $at/escaped) 2>/dev/null; then echo $at; fi; done; \
                 (echo x > /overlay/installers/board) 2>/dev/null && echo program; \
                 ls / | tr '\\n' ' '";
    let outcome = Bench::new(Isolation::Required).run(probe).unwrap();
    assert_eq!(String::from_utf8(outcome.output).unwrap(), "bin dev lib lib64 overlay proc usr work ");
}

#[test]
fn there_is_no_network_and_nobody_else() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let connect =
        format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null && echo met || echo alone");
    let said = |isolation, script: &str| {
        String::from_utf8(Bench::new(isolation).run(script).unwrap().output).unwrap()
    };
    assert_eq!(said(Isolation::Off, &connect), "met\n", "the probe can connect where it may");
    assert_eq!(said(Isolation::Required, &connect), "alone\n");
    assert_eq!(said(Isolation::Required, "grep -c : /proc/net/dev"), "1\n", "only the loopback");
    let processes: u32 = said(Isolation::Required, "ls /proc | grep -c '^[0-9]'").trim().parse().unwrap();
    assert!(processes <= 6, "{processes} processes are seen");
}
