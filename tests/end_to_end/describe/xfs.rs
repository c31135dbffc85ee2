//! XFS volumes: blkid and xfs_db tell about them, GRUB reads the files. Nothing is mounted, so that nobody has
//! to be root.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::content;
use crate::support::tools::{says, success, text};

/// The volume in a file of its own.
pub fn describe(volume: &Path) -> Value {
    let probed = says("blkid", "util-linux", &["-p", "-o", "export", text(volume)]);
    let blkid: Map<String, Value> = probed
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| ["BLOCK_SIZE", "LABEL", "TYPE", "USAGE", "UUID"].contains(key))
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    let mut files = Vec::new();
    list(volume, "", &mut files);
    json!({"blkid": blkid, "files": files})
}

/// Tells about everything below a directory, in the order of the paths.
fn list(volume: &Path, directory: &str, files: &mut Vec<Value>) {
    let listing = database(volume, &[&format!("path /{directory}"), "ls"]);
    // Cookie, inode, type, hash, length of the name, name.
    let names = listing.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(2);
        Some((words.next()?.to_owned(), words.nth(2)?.to_owned()))
    });
    let mut names: Vec<_> =
        names.filter(|(_, name)| name != "." && name != "..").map(|(kind, name)| (name, kind)).collect();
    names.sort();
    for (name, kind) in names {
        let path = format!("{directory}{name}");
        let inode =
            database(volume, &[&format!("path /{path}"), "print core.mode core.uid core.gid core.mtime.sec"]);
        let field = |name: &str| {
            let line = inode.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
            line.unwrap_or_else(|| panic!("no {name} in {inode}")).trim().to_owned()
        };
        let mode = u32::from_str_radix(field("core.mode").trim_start_matches('0'), 8).expect("a mode");
        assert_eq!((field("core.uid"), field("core.gid")), ("0".to_owned(), "0".to_owned()), "{path}");
        let is_directory = kind == "directory";
        let mut told = Map::new();
        if !is_directory {
            told = content(&success(
                "grub-fstest",
                "grub-common",
                &[text(volume), "cat", &format!("(loop0)/{path}")],
            ));
            told.insert("mtime".to_owned(), seconds(&field("core.mtime.sec")).into());
        }
        told.insert("mode".to_owned(), format!("{:#o}", mode & 0o7777).into());
        told.insert("path".to_owned(), format!("{path}{}", if is_directory { "/" } else { "" }).into());
        files.push(Value::Object(told));
        if is_directory {
            list(volume, &format!("{path}/"), files);
        }
    }
}

fn database(volume: &Path, commands: &[&str]) -> String {
    let mut arguments = vec!["-r", "-f"];
    commands.iter().for_each(|command| arguments.extend(["-c", command]));
    arguments.push(text(volume));
    says("xfs_db", "xfsprogs", &arguments)
}

/// Seconds since 1970 of a time as xfs_db prints it, such as `Sat Jun  1 21:34:52 2019`.
fn seconds(time: &str) -> u64 {
    let said = says("date", "coreutils", &["-u", "+%s", "-d", &format!("{time} UTC")]);
    said.trim().parse().expect("a number")
}
