//! Reading archives as a stream.

use std::io::{self, Read};

use super::{ALIGN, HEADER_LEN, MAGIC, TRAILER, TYPE_DIRECTORY, TYPE_FILE, TYPE_MASK, TYPE_SYMLINK};

/// Longest name that is accepted, as in the Linux kernel.
const MAX_NAME: u32 = 4096;

/// Bytes that are no cpio archive, or an archive that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The stream failed or ended too early.
    #[error("cpio archive cannot be read at offset {offset}: {source}")]
    Io {
        /// Where, in uncompressed bytes.
        offset: u64,
        /// What went wrong.
        source: io::Error,
    },
    /// No record where one should be.
    #[error("no cpio record at offset {offset}: {what}")]
    Malformed {
        /// Where, in uncompressed bytes.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
}

/// A stream of one or more archives, with zeros between them.
pub struct Reader<R> {
    stream: R,
    offset: u64,
    /// Content and padding of the entry at hand that were not read.
    left: u64,
    padding: u64,
    /// First byte of the next record, when it was read already.
    first: Option<u8>,
    ended: bool,
}

/// An entry; its content is what it reads to.
pub struct Entry<'a, R> {
    /// The name as it stands in the archive.
    pub name: String,
    /// Type and permission bits.
    pub mode: u32,
    /// Length of the content in bytes; a symbolic link's content is its target.
    pub size: u64,
    reader: &'a mut Reader<R>,
}

impl<R: Read> Reader<R> {
    /// Reads uncompressed archives from a stream.
    pub fn new(stream: R) -> Self {
        Self { stream, offset: 0, left: 0, padding: 0, first: None, ended: false }
    }

    /// The next entry; what was not read of the one before is passed over. `None` at the end of an
    /// archive, and again and again until [`Self::next_archive`].
    ///
    /// # Errors
    /// [`ReadError`] when there is neither an entry nor an end.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_, R>>, ReadError> {
        if self.ended {
            return Ok(None);
        }
        self.skip()?;
        let mut header = [0; HEADER_LEN];
        match self.first.take() {
            Some(first) => {
                header[0] = first;
                self.offset += 1;
                self.fill(&mut header[1..])?;
            }
            None => self.fill(&mut header)?,
        }
        self.record(&header)
    }

    /// Goes on to the next archive of the stream after the end of one. `false` when there is none.
    ///
    /// # Errors
    /// [`ReadError`] when something else than zeros or an archive follows.
    pub fn next_archive(&mut self) -> Result<bool, ReadError> {
        while self.next_entry()?.is_some() {}
        let mut first = [0];
        loop {
            match self.stream.read(&mut first) {
                Ok(0) => return Ok(false),
                Ok(_) if first == [0] => self.offset += 1,
                Ok(_) => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(ReadError::Io { offset: self.offset, source }),
            }
        }
        if first[0] != MAGIC[0] || !self.offset.is_multiple_of(ALIGN) {
            return Err(self.malformed("neither zeros nor an aligned record"));
        }
        self.ended = false;
        self.first = Some(first[0]);
        Ok(true)
    }

    fn record(&mut self, header: &[u8; HEADER_LEN]) -> Result<Option<Entry<'_, R>>, ReadError> {
        if !header.starts_with(MAGIC) {
            return Err(self.malformed("its magic is not 070701"));
        }
        let field = |index: usize| {
            let digits = header.get(6 + index * 8..14 + index * 8)?;
            // from_str_radix would take a sign as well.
            let hex = digits.iter().all(u8::is_ascii_hexdigit);
            u32::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| hex)?, 16).ok()
        };
        let (Some(mode), Some(size), Some(name_len)) = (field(1), field(6), field(11)) else {
            return Err(self.malformed("a field is not hexadecimal"));
        };
        if !(1..=MAX_NAME).contains(&name_len) {
            return Err(self.malformed("the length of its name is out of bounds"));
        }
        let mut name = vec![0; name_len as usize];
        self.fill(&mut name)?;
        let text = name.split_last().filter(|(last, _)| **last == 0).map(|(_, text)| text.to_vec());
        let name = text.and_then(|text| String::from_utf8(text).ok());
        let Some(name) = name.filter(|name| !name.contains('\0')) else {
            return Err(self.malformed("its name is not UTF-8 text with a closing NUL"));
        };
        let head = HEADER_LEN as u64 + u64::from(name_len);
        let padding = head.next_multiple_of(ALIGN) - head;
        self.fill(&mut [0; ALIGN as usize][..padding as usize])?;
        if name == TRAILER {
            self.ended = true;
            return Ok(None);
        }
        let size = u64::from(size);
        self.left = size;
        self.padding = size.next_multiple_of(ALIGN) - size;
        Ok(Some(Entry { name, mode, size, reader: self }))
    }

    fn skip(&mut self) -> Result<(), ReadError> {
        let left = std::mem::take(&mut self.left) + std::mem::take(&mut self.padding);
        let copied = io::copy(&mut (&mut self.stream).take(left), &mut io::sink());
        let skipped = copied.map_err(|source| ReadError::Io { offset: self.offset, source })?;
        self.offset += skipped;
        if skipped < left {
            return Err(ReadError::Io { offset: self.offset, source: io::ErrorKind::UnexpectedEof.into() });
        }
        Ok(())
    }

    fn fill(&mut self, buf: &mut [u8]) -> Result<(), ReadError> {
        self.stream.read_exact(buf).map_err(|source| ReadError::Io { offset: self.offset, source })?;
        self.offset += buf.len() as u64;
        Ok(())
    }

    fn malformed(&self, what: &'static str) -> ReadError {
        ReadError::Malformed { offset: self.offset, what }
    }
}

impl<R> Entry<'_, R> {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.mode & TYPE_MASK == TYPE_DIRECTORY
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.mode & TYPE_MASK == TYPE_FILE
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.mode & TYPE_MASK == TYPE_SYMLINK
    }
}

impl<R: Read> Read for Entry<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = self.reader.left.min(buf.len() as u64) as usize;
        if want == 0 {
            return Ok(0);
        }
        let n = self.reader.stream.read(&mut buf[..want])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.reader.left -= n as u64;
        self.reader.offset += n as u64;
        Ok(n)
    }
}
