//! Reads the labels out of an image by walking its directories, for images of one zstd, zlib or stored
//! metadata block after the other.

use std::collections::BTreeMap;
use std::io::Read;

fn u16_at(bytes: &[u8], at: usize) -> usize {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()).into()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Metadata from a position on, as many blocks as there are before `end`.
fn metadata(image: &[u8], table: u64, reference: u64, end: u64) -> Vec<u8> {
    let mut at = (table + (reference >> 16)) as usize;
    let mut out = Vec::new();
    while at < end as usize {
        let header = u16_at(image, at);
        let len = header & 0x7FFF;
        let block = &image[at + 2..at + 2 + len];
        if header & 0x8000 != 0 {
            out.extend_from_slice(block);
        } else {
            crate::decompress::Compression::Zstd.decoder(block).unwrap().read_to_end(&mut out).unwrap();
        }
        at += 2 + len;
    }
    out.split_off((reference & 0xFFFF) as usize)
}

/// Labels by path; the root is the empty path.
pub(super) fn labels(image: &[u8]) -> BTreeMap<String, String> {
    let (root, ids) = (u64_at(image, 32), u64_at(image, 56) as usize);
    let (inodes, directories, fragments) = (u64_at(image, 64), u64_at(image, 72), u64_at(image, 80));
    let label = |number: u32| {
        if number == u32::MAX {
            return None;
        }
        let (pairs, id_blocks) = (u64_at(image, ids), u64_at(image, ids + 16));
        assert!(number < u32_at(image, ids + 8));
        let id = &metadata(image, id_blocks, 0, ids as u64)[number as usize * 16..];
        assert_eq!(u32_at(id, 8), 1);
        let pair = metadata(image, pairs, u64_at(id, 0), id_blocks);
        assert_eq!((u16_at(&pair, 0), u16_at(&pair, 2), &pair[4..11]), (2, 7, &b"selinux"[..]));
        let len = u32_at(&pair, 11) as usize;
        assert_eq!(u32_at(id, 12) as usize, "security.selinux".len() + 1 + len);
        Some(String::from_utf8(pair[15..15 + len].to_vec()).unwrap())
    };
    let mut found = BTreeMap::new();
    let mut open = vec![(String::new(), root)];
    while let Some((path, reference)) = open.pop() {
        let inode = metadata(image, inodes, reference, directories);
        let (number, listing) = match u16_at(&inode, 0) {
            1 => (u32::MAX, Some((u32_at(&inode, 16), u16_at(&inode, 26), u16_at(&inode, 24)))),
            8 => {
                let size = u32_at(&inode, 20) as usize;
                (u32_at(&inode, 36), Some((u32_at(&inode, 24), u16_at(&inode, 34), size)))
            }
            9 => (u32_at(&inode, 52), None),
            10 => (u32_at(&inode, 24 + u32_at(&inode, 20) as usize), None),
            2 | 3 => (u32::MAX, None),
            other => panic!("inode type {other}"),
        };
        if let Some(label) = label(number) {
            found.insert(path.clone(), label);
        }
        let Some((block, offset, size)) = listing else { continue };
        let reference = u64::from(block) << 16 | offset as u64;
        let end = metadata_end(image, fragments);
        let entries = &metadata(image, directories, reference, end)[..size - 3];
        let mut at = 0;
        while at < entries.len() {
            let (count, block) = (u32_at(entries, at) + 1, u32_at(entries, at + 4));
            at += 12;
            for _ in 0..count {
                let len = u16_at(entries, at + 6) + 1;
                let name = std::str::from_utf8(&entries[at + 8..at + 8 + len]).unwrap();
                let below = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
                open.push((below, u64::from(block) << 16 | u16_at(entries, at) as u64));
                at += 8 + len;
            }
        }
    }
    found
}

/// Where the directories end: at the first block of fragments' records, or at the list of these blocks.
fn metadata_end(image: &[u8], fragments: u64) -> u64 {
    if u32_at(image, 16) == 0 { fragments } else { u64_at(image, fragments as usize) }
}
