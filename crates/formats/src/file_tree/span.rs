//! Stretches of a spool.

use std::io::{self, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};

/// Where a file's content is in a spool: a file or memory to which contents were appended one after
/// the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First byte, counted from the spool's start.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

impl Span {
    /// The content as a stream. It ends early when the spool does.
    ///
    /// # Errors
    /// Those of the spool.
    pub fn open<R: Read + Seek>(self, spool: &mut R) -> io::Result<io::Take<&mut R>> {
        spool.seek(SeekFrom::Start(self.offset))?;
        Ok(spool.take(self.len))
    }

    /// The whole content, when it has at most `limit` bytes.
    ///
    /// # Errors
    /// `InvalidData` when it is longer, `UnexpectedEof` when the spool ends before it, and those of the
    /// spool.
    pub fn read<R: Read + Seek>(self, spool: &mut R, limit: u64) -> io::Result<Vec<u8>> {
        if self.len > limit {
            let text = format!("a file of {} bytes where at most {limit} are accepted", self.len);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut bytes = Vec::new();
        self.open(spool)?.read_to_end(&mut bytes)?;
        if bytes.len() as u64 != self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }
}
