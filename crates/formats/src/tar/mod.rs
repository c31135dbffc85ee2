//! Tar archives: whole files, and a disk with its holes left out (`42-output-formats.md` §6).
//!
//! Contents stay references, so an archive's length and any range of it are known beforehand.

mod sparse;

pub use sparse::sparse_disk;

use ::tar::{EntryType, Header};

use crate::{Layout, LayoutBuilder};

/// Bytes of a header and of what contents are filled up to.
const RECORD: u64 = 512;
/// Archives are filled up to this many bytes, as they were when they went onto tapes.
const BLOCK: u64 = 20 * RECORD;

/// An archive of files that belong to root and may be read by all, in this order. `epoch` is the time of
/// each, in seconds since 1970. Names have at most 100 bytes; what is longer is cut.
pub fn archive(files: &[(&str, &Layout)], epoch: u64) -> Layout {
    let mut out = LayoutBuilder::new();
    for (name, content) in files {
        let mut header = Header::new_ustar();
        fill(&mut header, name, content.len(), epoch);
        header.set_entry_type(EntryType::Regular);
        append_header(&mut out, header);
        out.append(content).align(RECORD);
    }
    finish(out)
}

/// The fields that do not depend on the kind of entry.
fn fill(header: &mut Header, name: &str, size: u64, epoch: u64) {
    for (slot, byte) in header.as_old_mut().name.iter_mut().zip(name.bytes()) {
        *slot = byte;
    }
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_mtime(epoch);
}

fn append_header(out: &mut LayoutBuilder, mut header: Header) {
    header.set_cksum();
    // Seven digits and NUL become what other writers use: six digits, NUL, space. A sum has no more.
    let sum = &mut header.as_old_mut().cksum;
    sum.rotate_left(1);
    sum[7] = b' ';
    out.slice(header.as_bytes());
}

/// Two empty records end an archive.
fn finish(mut out: LayoutBuilder) -> Layout {
    out.zero(2 * RECORD).align(BLOCK);
    out.build()
}

#[cfg(test)]
mod tests;
