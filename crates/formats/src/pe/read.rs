//! Headers of a PE32+ file (Microsoft PE format specification), taken from untrusted bytes.

use std::fmt;
use std::io;

use crate::{Layout, ReadBlob};

/// Headers are looked for in the first bytes of a file only; real ones end below 4 KiB.
const HEAD_LEN: u64 = 64 << 10;
/// Loaders refuse more (PE format, "COFF file header": the Windows loader's limit).
pub(super) const MAX_SECTIONS: usize = 96;
/// Bytes of a PE32+ optional header with its 16 data directories.
pub(super) const OPTIONAL_LEN: usize = 240;
pub(super) const DIRECTORIES: u32 = 16;
/// Bytes of `PE\0\0` and the COFF header.
pub(super) const SIGNATURE_LEN: usize = 4;
pub(super) const COFF_LEN: usize = 20;
pub(super) const SECTION_LEN: usize = 40;

/// Offsets inside the optional header.
pub(super) mod optional {
    pub const MAGIC: usize = 0;
    pub const LINKER_VERSION: usize = 2;
    pub const SIZE_OF_CODE: usize = 4;
    pub const SIZE_OF_INITIALIZED_DATA: usize = 8;
    pub const IMAGE_BASE: usize = 24;
    pub const SECTION_ALIGNMENT: usize = 32;
    pub const FILE_ALIGNMENT: usize = 36;
    pub const SIZE_OF_IMAGE: usize = 56;
    pub const SIZE_OF_HEADERS: usize = 60;
    pub const CHECKSUM: usize = 64;
    pub const NUMBER_OF_DIRECTORIES: usize = 108;
    pub const CERTIFICATE_TABLE: usize = 144;
}

/// A section's name: eight bytes, padded with NUL.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionName(pub [u8; 8]);

impl SectionName {
    /// The name with this text.
    ///
    /// # Panics
    /// At compile time or in tests, when the text is longer than eight bytes: names are constants.
    pub const fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        assert!(bytes.len() <= 8, "a section name has eight bytes");
        let mut name = [0; 8];
        let mut i = 0;
        while i < bytes.len() {
            name[i] = bytes[i];
            i += 1;
        }
        Self(name)
    }

    /// The bytes up to the first NUL.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

impl fmt::Display for SectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

impl fmt::Debug for SectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One line of the section table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// Name.
    pub name: SectionName,
    /// Bytes in memory.
    pub virtual_size: u32,
    /// Address in memory, from the image base.
    pub virtual_address: u32,
    /// Bytes in the file, padding included.
    pub raw_size: u32,
    /// Offset in the file.
    pub raw_offset: u32,
    /// Flags.
    pub characteristics: u32,
}

impl Section {
    /// Offsets in the file of the bytes that count: without padding.
    pub fn content(&self) -> std::ops::Range<u64> {
        let start = u64::from(self.raw_offset);
        start..start + u64::from(self.virtual_size.min(self.raw_size))
    }
}

/// A file that is no PE32+ image we can work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeError {
    /// The file ends inside its headers.
    #[error("the EFI program ends inside its {0}")]
    Truncated(&'static str),
    /// A magic number is missing.
    #[error("not an EFI program: no {0}")]
    Magic(&'static str),
    /// It is one, but not of the 64-bit kind with the usual 16 data directories.
    #[error("only PE32+ programs with 16 data directories are supported: {0}")]
    Unsupported(&'static str),
    /// An alignment is no power of two, or out of bounds.
    #[error("the EFI program has a file alignment of {file} and a section alignment of {section}")]
    Alignment {
        /// FileAlignment.
        file: u32,
        /// SectionAlignment.
        section: u32,
    },
    /// No section, or more than loaders take.
    #[error("{0} sections: an EFI program has 1 to {MAX_SECTIONS}")]
    SectionCount(usize),
    /// A section lies outside the file, or the addresses leave 32 bits.
    #[error("section {name} of the EFI program is malformed: {reason}")]
    Section {
        /// Its name.
        name: SectionName,
        /// What is wrong.
        reason: &'static str,
    },
    /// The certificate table is not where it can be.
    #[error("the certificate table of the EFI program is malformed: {0}")]
    Certificates(&'static str),
    /// The image would be bigger than 4 GiB.
    #[error("the EFI program would be bigger than 4 GiB")]
    TooBig,
}

/// What the headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pe {
    /// First 64 bytes.
    pub(super) dos: [u8; 64],
    pub(super) coff: [u8; COFF_LEN],
    pub(super) optional: [u8; OPTIONAL_LEN],
    sections: Vec<Section>,
    optional_offset: usize,
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize, what: &'static str) -> Result<[u8; N], PeError> {
    at.checked_add(N)
        .and_then(|end| bytes.get(at..end))
        .and_then(|found| found.try_into().ok())
        .ok_or(PeError::Truncated(what))
}

fn u16_at(bytes: &[u8], at: usize, what: &'static str) -> Result<u16, PeError> {
    bytes_at(bytes, at, what).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize, what: &'static str) -> Result<u32, PeError> {
    bytes_at(bytes, at, what).map(u32::from_le_bytes)
}

impl Pe {
    /// Reads the headers. `head` is the file's beginning, all of it or the first 64 KiB;
    /// `file_len` its whole length, which no section may exceed.
    ///
    /// # Errors
    /// See [`PeError`].
    pub fn parse(head: &[u8], file_len: u64) -> Result<Self, PeError> {
        let dos: [u8; 64] = bytes_at(head, 0, "DOS header")?;
        if !dos.starts_with(b"MZ") {
            return Err(PeError::Magic("MZ header"));
        }
        let pe = u32_at(&dos, 0x3C, "DOS header")? as usize;
        if bytes_at(head, pe, "PE header")? != *b"PE\0\0" {
            return Err(PeError::Magic("PE header"));
        }
        let coff: [u8; COFF_LEN] = bytes_at(head, pe + SIGNATURE_LEN, "COFF header")?;
        let count = usize::from(u16_at(&coff, 2, "COFF header")?);
        if usize::from(u16_at(&coff, 16, "COFF header")?) != OPTIONAL_LEN {
            return Err(PeError::Unsupported("the optional header has another size"));
        }
        let optional_offset = pe + SIGNATURE_LEN + COFF_LEN;
        let optional: [u8; OPTIONAL_LEN] = bytes_at(head, optional_offset, "optional header")?;
        if u16_at(&optional, optional::MAGIC, "optional header")? != 0x20B {
            return Err(PeError::Unsupported("the optional header is of another kind"));
        }
        if u32_at(&optional, optional::NUMBER_OF_DIRECTORIES, "optional header")? != DIRECTORIES {
            return Err(PeError::Unsupported("another number of data directories"));
        }
        if !(1..=MAX_SECTIONS).contains(&count) {
            return Err(PeError::SectionCount(count));
        }
        let mut sections = Vec::with_capacity(count);
        for index in 0..count {
            let at = optional_offset + OPTIONAL_LEN + index * SECTION_LEN;
            let entry: [u8; SECTION_LEN] = bytes_at(head, at, "section table")?;
            sections.push(section(&entry, file_len)?);
        }
        let found = Self { dos, coff, optional, sections, optional_offset };
        let (file, section) = (found.file_alignment(), found.section_alignment());
        let is_sane = |value: u32| value.is_power_of_two() && value <= 1 << 20;
        if !is_sane(file) || !is_sane(section) || file > section {
            return Err(PeError::Alignment { file, section });
        }
        Ok(found)
    }

    /// Reads the headers of a layout.
    ///
    /// # Errors
    /// Those of the blobs, and `InvalidData` with a [`PeError`] inside.
    pub fn of_layout(layout: &Layout, blobs: &dyn ReadBlob) -> io::Result<Self> {
        let head = layout.slice(0, HEAD_LEN).to_vec(blobs)?;
        Self::parse(&head, layout.len()).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }

    /// The sections in the order of the table.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The first section of that name.
    pub fn section(&self, name: SectionName) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    fn optional_u32(&self, at: usize) -> u32 {
        // The offsets are constants inside the array.
        u32_at(&self.optional, at, "optional header").unwrap_or_default()
    }

    /// Machine type: 0x8664 is x86-64, 0xAA64 is 64-bit ARM.
    pub fn machine(&self) -> u16 {
        u16_at(&self.coff, 0, "COFF header").unwrap_or_default()
    }

    /// FileAlignment.
    pub fn file_alignment(&self) -> u32 {
        self.optional_u32(optional::FILE_ALIGNMENT)
    }

    /// SectionAlignment.
    pub fn section_alignment(&self) -> u32 {
        self.optional_u32(optional::SECTION_ALIGNMENT)
    }

    /// SizeOfHeaders.
    pub fn header_size(&self) -> u32 {
        self.optional_u32(optional::SIZE_OF_HEADERS)
    }

    /// ImageBase.
    pub fn image_base(&self) -> u64 {
        bytes_at(&self.optional, optional::IMAGE_BASE, "optional header").map_or(0, u64::from_le_bytes)
    }

    /// Whether there is a COFF symbol table, which UKIs drop.
    pub fn has_symbols(&self) -> bool {
        self.coff.get(8..16).is_some_and(|fields| fields.iter().any(|byte| *byte != 0))
    }

    /// File offset of the CheckSum field, which signatures leave out.
    pub fn checksum_offset(&self) -> u64 {
        (self.optional_offset + optional::CHECKSUM) as u64
    }

    /// File offset of the certificate table's data directory, which signatures leave out.
    pub fn certificate_entry_offset(&self) -> u64 {
        (self.optional_offset + optional::CERTIFICATE_TABLE) as u64
    }

    /// File offset and length of the certificate table, when there is one.
    pub fn certificate_table(&self) -> Option<(u32, u32)> {
        let size = self.optional_u32(optional::CERTIFICATE_TABLE + 4);
        (size > 0).then(|| (self.optional_u32(optional::CERTIFICATE_TABLE), size))
    }
}

fn section(entry: &[u8; SECTION_LEN], file_len: u64) -> Result<Section, PeError> {
    let field = |at| u32_at(entry, at, "section table");
    let section = Section {
        name: SectionName(bytes_at(entry, 0, "section table")?),
        virtual_size: field(8)?,
        virtual_address: field(12)?,
        raw_size: field(16)?,
        raw_offset: field(20)?,
        characteristics: field(36)?,
    };
    let bad = |reason| PeError::Section { name: section.name, reason };
    if section.raw_size > 0 && u64::from(section.raw_offset) + u64::from(section.raw_size) > file_len {
        return Err(bad("its data lies outside the file"));
    }
    if section.virtual_address.checked_add(section.virtual_size).is_none() {
        return Err(bad("it reaches beyond 4 GiB of memory"));
    }
    Ok(section)
}
