//! An initramfs: archives in a row, each as it is or compressed, as the kernel unpacks them.

use std::io::Read;

use serde_json::{Map, Value, json};

use super::content;

/// Everything an initramfs has, one segment for every stretch of the same packing.
pub fn describe(bytes: &[u8]) -> Value {
    let mut segments = Vec::new();
    let mut offset = 0;
    while let Some(start) = bytes[offset..].iter().position(|byte| *byte != 0) {
        offset += start;
        let (compression, len, archives) = segment(&bytes[offset..]);
        let entries = entries(&archives);
        segments.push(json!({
            "offset": offset,
            "compression": compression,
            "entry_count": entries.len(),
            "entries": entries,
            "trailer": true,
        }));
        offset += len;
    }
    json!({"kind": "initramfs", "size": bytes.len(), "segments": segments})
}

/// How the next segment is packed, its length as it is packed, and its archives.
fn segment(bytes: &[u8]) -> (&'static str, usize, Vec<u8>) {
    let mut unpacked = Vec::new();
    if bytes.starts_with(b"070701") {
        let len = archive_len(bytes);
        return ("none", len, bytes[..len].to_vec());
    }
    let mut rest = bytes;
    if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let decoder = zstd::Decoder::with_buffer(&mut rest).expect("a decoder").single_frame();
        { decoder }.read_to_end(&mut unpacked).expect("a whole zstd frame");
        return ("zstd", bytes.len() - rest.len(), unpacked);
    }
    assert!(bytes.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]), "unknown packing: {:x?}", &bytes[..6]);
    let stream = xz2::stream::Stream::new_stream_decoder(u64::MAX, 0).expect("a decoder");
    let mut decoder = xz2::bufread::XzDecoder::new_stream(&mut rest, stream);
    decoder.read_to_end(&mut unpacked).expect("a whole xz stream");
    let len = decoder.total_in() as usize;
    ("xz", len, unpacked)
}

/// Length of one archive with its trailer.
fn archive_len(bytes: &[u8]) -> usize {
    let mut offset = 0;
    loop {
        let entry = Entry::read(bytes, offset);
        offset = entry.end;
        if entry.name == "TRAILER!!!" {
            return offset;
        }
    }
}

/// The files of archives in a row. Each of them must end with a trailer.
fn entries(archives: &[u8]) -> Vec<Value> {
    let (mut told, mut offset) = (Vec::new(), 0);
    while let Some(start) = archives[offset..].iter().position(|byte| *byte != 0) {
        offset += start;
        loop {
            let entry = Entry::read(archives, offset);
            offset = entry.end;
            if entry.name == "TRAILER!!!" {
                break;
            }
            told.push(Value::Object(entry.tell()));
        }
    }
    told
}

/// One entry of an archive in the newc format.
struct Entry<'a> {
    name: String,
    mode: u64,
    uid: u64,
    gid: u64,
    nlink: u64,
    mtime: u64,
    content: &'a [u8],
    /// Where the next one begins.
    end: usize,
}

impl<'a> Entry<'a> {
    fn read(archive: &'a [u8], offset: usize) -> Self {
        let header = &archive[offset..offset + 110];
        assert!(header.starts_with(b"070701"), "not a header of newc at {offset}");
        let field = |number: usize| {
            let digits = std::str::from_utf8(&header[6 + 8 * number..14 + 8 * number]).expect("digits");
            u64::from_str_radix(digits, 16).expect("digits")
        };
        let (size, name_len) = (field(6) as usize, field(11) as usize);
        let name = &archive[offset + 110..offset + 110 + name_len - 1];
        let start = (offset + 110 + name_len).next_multiple_of(4);
        Self {
            name: String::from_utf8(name.to_vec()).expect("a printable name"),
            mode: field(1),
            uid: field(2),
            gid: field(3),
            nlink: field(4),
            mtime: field(5),
            content: &archive[start..start + size],
            end: (start + size).next_multiple_of(4),
        }
    }

    fn tell(&self) -> Map<String, Value> {
        let is_directory = self.mode & 0o170_000 == 0o040_000;
        let mut told = if is_directory { Map::new() } else { content(self.content) };
        told.insert("name".to_owned(), self.name.as_str().into());
        told.insert("mode".to_owned(), format!("{:#o}", self.mode).into());
        for (key, value) in
            [("uid", self.uid), ("gid", self.gid), ("nlink", self.nlink), ("mtime", self.mtime)]
        {
            told.insert(key.to_owned(), value.into());
        }
        told
    }
}
