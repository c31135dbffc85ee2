//! What a program wrote to its disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use factory_domain::ports::{DISK_SIZE, SandboxWrite};
use factory_formats::file_tree::Span;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::tree::Spool;

/// The smallest stretch of zeros that separates two writes, and the unit in which data are looked at.
const BLOCK: u64 = 4096;
/// What the ends of a write are trimmed to: the smallest sector of a disk.
const SECTOR: usize = 512;

/// Everything on the disk that is not zero. Costs as much as was written, not as much as the disk is long.
pub(super) fn harvest(disk: &File, spool: &mut Spool) -> io::Result<Vec<SandboxWrite>> {
    let mut writes = Writes { done: Vec::new(), open: None };
    let mut from = 0;
    while let Some((start, end)) = data_after(disk, from)? {
        let mut at = start / BLOCK * BLOCK;
        while at < end {
            let mut block = [0; BLOCK as usize];
            disk.read_exact_at(&mut block, at)?;
            writes.block(at, &block, spool)?;
            at += BLOCK;
        }
        from = at;
    }
    Ok(writes.finish())
}

/// The first stretch of data that begins at or after a place.
fn data_after(disk: &File, from: u64) -> io::Result<Option<(u64, u64)>> {
    if from >= DISK_SIZE {
        return Ok(None);
    }
    let start = match seek(disk, SeekFrom::Data(from)) {
        Ok(start) if start < DISK_SIZE => start,
        Ok(_) | Err(Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let end = seek(disk, SeekFrom::Hole(start))?;
    // Somebody may have cut the disk or made it longer.
    let len = disk.metadata()?.len().min(DISK_SIZE) / BLOCK * BLOCK;
    Ok((start < len).then_some((start, end.min(len))))
}

struct Writes {
    done: Vec<SandboxWrite>,
    /// The one that blocks are being added to, and its bytes up to the last that is not zero.
    open: Option<(SandboxWrite, u64)>,
}

impl Writes {
    fn block(&mut self, at: u64, block: &[u8; BLOCK as usize], spool: &mut Spool) -> io::Result<()> {
        let is_zero = |sector: &[u8]| sector.iter().all(|byte| *byte == 0);
        let mut used = block.chunks(SECTOR).enumerate().filter(|(_, sector)| !is_zero(sector));
        let Some((first, _)) = used.next() else {
            self.close();
            return Ok(());
        };
        let last = used.next_back().map_or(first, |(last, _)| last);
        if self.open.as_ref().is_some_and(|(write, _)| write.offset + write.content.len != at) {
            self.close();
        }
        let begin = if self.open.is_some() { 0 } else { first * SECTOR };
        let content = spool.append(block.get(begin..).unwrap_or_default())?;
        let offset = at + begin as u64;
        let (write, used) =
            self.open.get_or_insert((SandboxWrite { offset, content: Span { len: 0, ..content } }, 0));
        write.content.len += content.len;
        *used = at + ((last + 1) * SECTOR) as u64 - write.offset;
        Ok(())
    }

    fn close(&mut self) {
        self.done.extend(
            self.open
                .take()
                .map(|(write, used)| SandboxWrite { content: Span { len: used, ..write.content }, ..write }),
        );
    }

    fn finish(mut self) -> Vec<SandboxWrite> {
        self.close();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    fn harvested(writes: &[(u64, &[u8])]) -> Vec<(u64, Vec<u8>)> {
        let disk = tempfile::tempfile().unwrap();
        disk.set_len(DISK_SIZE).unwrap();
        for (offset, bytes) in writes {
            disk.write_all_at(bytes, *offset).unwrap();
        }
        let mut spool = Spool::new(tempfile::tempfile().unwrap());
        let found = harvest(&disk, &mut spool).unwrap();
        let mut contents = spool.finish().unwrap();
        let read = |write: SandboxWrite| {
            let mut bytes = Vec::new();
            contents.seek(io::SeekFrom::Start(write.content.offset)).unwrap();
            (&mut contents).take(write.content.len).read_to_end(&mut bytes).unwrap();
            (write.offset, bytes)
        };
        found.into_iter().map(read).collect()
    }

    fn padded(bytes: &[u8], front: usize, len: usize) -> Vec<u8> {
        let mut padded = vec![0; front];
        padded.extend_from_slice(bytes);
        padded.resize(len, 0);
        padded
    }

    #[test]
    fn an_untouched_disk_has_no_writes() {
        assert_eq!(harvested(&[]), []);
        assert_eq!(harvested(&[(8192, &[0; 70_000])]), []);
    }

    #[test]
    fn writes_are_found_and_trimmed_to_sectors() {
        let loader: Vec<u8> = (0..300_001_u32).map(|i| (i % 251 + 1) as u8).collect();
        assert_eq!(harvested(&[(32_768, &loader)]), [(32_768, padded(&loader, 0, 300_032))]);
        assert_eq!(harvested(&[(8700, b"x")]), [(8192, padded(b"x", 508, 512))]);
        let last = DISK_SIZE - 1;
        assert_eq!(
            harvested(&[(last, b"z"), (0, b"a")]),
            [(0, padded(b"a", 0, 512)), (DISK_SIZE - 512, padded(b"z", 511, 512)),]
        );
    }

    #[test]
    fn zeros_inside_separate_only_when_there_are_many() {
        let mut near = vec![1; 100];
        near.resize(4096, 0);
        near.extend([2; 100]);
        assert_eq!(harvested(&[(0, &near)]), [(0, padded(&near, 0, 4096 + 512))]);
        assert_eq!(
            harvested(&[(0, b"a"), (8192, b"b")]),
            [(0, padded(b"a", 0, 512)), (8192, padded(b"b", 0, 512)),]
        );
    }
}
