//! Does anything get lost or half done when the process is killed at any instant?

use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use factory_domain::ports::{BlobKind, BlobStore as _, RecordKey, RecordKind};
use factory_formats::Digest;
use factory_formats::checksum::ReadChecks as _;
use factory_formats::testing::noise;

use super::{open, read, record};

/// Tells the test below that it runs as the process to be killed, and where.
const VICTIM: &str = "FACTORY_STORE_VICTIM";

/// How long processes are started and killed.
const DURATION: Duration = Duration::from_secs(4);

fn contents(number: u64) -> Vec<u8> {
    noise(1 + (number as usize * 7919) % 300_000, number)
}

/// Not a test of its own: writes blobs and records for ever, and says after each that it is done.
#[test]
fn victim() {
    let Some(path) = env::var_os(VICTIM) else { return };
    let store = open(Path::new(&path), 3_000_000);
    let known = store.list(RecordKind::Part).unwrap().into_iter().filter_map(|(_, label)| label.parse().ok());
    let start = known.max().map_or(0, |last: u64| last + 1);
    for number in start.. {
        let bytes = contents(number);
        let digest = Digest::of(&bytes);
        let mut writer = match number % 3 {
            0 => store.create(BlobKind::Part).unwrap(),
            _ => store.resume(BlobKind::Part, &digest, bytes.len() as u64).unwrap(),
        };
        let from = writer.position() as usize;
        for piece in bytes[from..].chunks(40_000) {
            writer.write_all(piece).unwrap();
        }
        let blob = writer.commit().unwrap();
        store.save(record(RecordKind::Part, &number.to_string(), &[blob.info.digest])).unwrap();
        if number % 7 == 3 {
            store.forget(&RecordKey::new(RecordKind::Part, &(number - 1).to_string())).unwrap();
        }
        println!("saved {number}");
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_half_done_shows() {
    let directory = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let mut rounds = 0;
    let mut last_saved = None;
    while begun.elapsed() < DURATION {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "stores::killed::victim", "--nocapture"])
            .env(VICTIM, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        let reader = thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            // The test harness writes to the same stream and may share a line.
            lines.filter_map(|line| line.rsplit_once("saved ")?.1.parse::<u64>().ok()).last()
        });
        thread::sleep(Duration::from_millis(20 + (rounds * 37) % 180));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        let mut complaints = String::new();
        child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
        assert_eq!(status.code(), None, "it ended by itself: {complaints}");
        last_saved = reader.join().unwrap().or(last_saved);
        rounds += 1;

        let store = open(directory.path(), 3_000_000);
        let records = store.list(RecordKind::Part).unwrap();
        let mut bytes = 0;
        for (key, label) in &records {
            let found = store.record(key).unwrap().unwrap();
            let expected = contents(label.parse().unwrap());
            assert_eq!(found.blobs, [Digest::of(&expected)], "record {label}");
            assert_eq!(read(&store, &found.blobs[0], expected.len()), expected, "blob of record {label}");
            assert_eq!(store.checks(&found.blobs[0]).unwrap().size(), expected.len() as u64);
            bytes += expected.len() as u64;
        }
        let usage = store.usage();
        assert_eq!(
            (usage.blobs, usage.records, usage.bytes),
            (records.len() as u64, records.len() as u64, bytes)
        );
        if let Some(saved) = last_saved {
            let newest = records.iter().filter_map(|(_, label)| label.parse::<u64>().ok()).max();
            assert!(
                newest.is_some_and(|newest| newest >= saved),
                "{saved} was saved, {newest:?} is the newest"
            );
        }
        assert_eq!(std::fs::read_dir(directory.path().join("tmp")).unwrap().count(), 0);
    }
    println!("killed {rounds} times, last acknowledged record {last_saved:?}");
    assert!(last_saved.is_some(), "no process lived long enough to save anything");
}
