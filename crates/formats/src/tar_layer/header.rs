//! Headers: POSIX.1-1988 ustar, and POSIX.1-2001 extended headers ("pax") for what is too long for it.

use tar::{EntryType, Header};

use super::{BLOCK, TarEntry, TarError, TarKind};
use crate::layout::LayoutBuilder;

/// Largest size in the eleven octal digits of a ustar header.
const MAX_SIZE: u64 = 0o777_7777_7777;

/// Bytes of a name or link target in a ustar header.
const NAME: usize = 100;

/// Bytes of what stands in front of a name.
const PREFIX: usize = 155;

/// Name of extended headers. Readers never see it.
const PAX_NAME: &[u8] = b"PaxHeaders.0/x";

/// Appends the header of an entry, with an extended one in front where it is needed.
pub(super) fn write(out: &mut LayoutBuilder, entry: &TarEntry) -> Result<(), TarError> {
    check_path(&entry.path)?;
    let (kind, size, target) = match &entry.kind {
        TarKind::File(content) => (EntryType::Regular, content.len(), ""),
        TarKind::Directory => (EntryType::Directory, 0, ""),
        TarKind::Symlink(target) => (EntryType::Symlink, 0, check_target(&entry.path, target)?),
    };
    let path = match entry.kind {
        TarKind::Directory => format!("{}/", entry.path),
        _ => entry.path.clone(),
    };
    let (split, mut records) = (split(&path), Vec::new());
    if split.is_none() {
        record(&mut records, "path", &path);
    }
    if !fits(target) {
        record(&mut records, "linkpath", target);
    }
    if size > MAX_SIZE {
        record(&mut records, "size", &size.to_string());
    }
    if !records.is_empty() {
        let mut header = header(EntryType::XHeader, 0o644, records.len() as u64);
        put(&mut header.as_old_mut().name, PAX_NAME);
        header.set_cksum();
        out.slice(header.as_bytes()).slice(&records).align(BLOCK);
    }
    let mut header = header(kind, entry.mode & 0o7777, if size > MAX_SIZE { 0 } else { size });
    let (prefix, name) = split.unwrap_or(("", &path));
    put(&mut header.as_old_mut().name, name.as_bytes());
    put(&mut header.as_old_mut().linkname, target.as_bytes());
    if let Some(ustar) = header.as_ustar_mut() {
        put(&mut ustar.prefix, prefix.as_bytes());
    }
    header.set_cksum();
    out.slice(header.as_bytes());
    Ok(())
}

fn header(kind: EntryType, mode: u16, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode.into());
    header.set_size(size);
    for zero in [Header::set_uid, Header::set_gid, Header::set_mtime] {
        zero(&mut header, 0);
    }
    header
}

/// Puts as much of `text` into a field as it holds. What was cut stands in full in an extended header.
fn put(field: &mut [u8], text: &[u8]) {
    let len = text.len().min(field.len());
    field[..len].copy_from_slice(&text[..len]);
}

/// Whether a ustar header holds this text in one field.
fn fits(text: &str) -> bool {
    text.len() <= NAME && text.is_ascii()
}

/// Prefix and name of a path; `None` when a ustar header cannot hold it.
fn split(path: &str) -> Option<(&str, &str)> {
    if fits(path) {
        return Some(("", path));
    }
    // The slash between the two is in neither, and the last byte may be that of a directory.
    let slashes = path.bytes().enumerate().filter(|&(at, byte)| byte == b'/' && at + 1 < path.len());
    let at = slashes.map(|(at, _)| at).take_while(|&at| at <= PREFIX).last()?;
    let (prefix, name) = (path.get(..at)?, path.get(at + 1..)?);
    (path.is_ascii() && name.len() <= NAME && !prefix.is_empty()).then_some((prefix, name))
}

/// Appends `<length> <key>=<value>\n`, whose length counts its own digits.
fn record(out: &mut Vec<u8>, key: &str, value: &str) {
    let rest = key.len() + value.len() + " =\n".len();
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    out.extend_from_slice(format!("{len} {key}={value}\n").as_bytes());
}

fn check_path(path: &str) -> Result<(), TarError> {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    match !path.contains('\0') && path.split('/').all(is_plain) {
        true => Ok(()),
        false => Err(TarError::Path(path.to_owned())),
    }
}

fn check_target<'a>(path: &str, target: &'a str) -> Result<&'a str, TarError> {
    match target.is_empty() || target.contains('\0') {
        true => Err(TarError::Target { path: path.to_owned(), target: target.to_owned() }),
        false => Ok(target),
    }
}
