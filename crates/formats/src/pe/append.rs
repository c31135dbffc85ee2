//! A stub with more sections (specification 31, 8).

use bytes::Bytes;

use super::read::{
    COFF_LEN, MAX_SECTIONS, OPTIONAL_LEN, Pe, PeError, SECTION_LEN, SIGNATURE_LEN, Section, SectionName,
    optional,
};
use super::{INITIALIZED_DATA, MEM_READ};
use crate::record::Record;
use crate::{Layout, LayoutBuilder};

/// Where the PE header of the result begins; the stub's DOS program is dropped.
const PE_OFFSET: usize = 0x80;

/// PE format, "FileAlignment": 512 to 64 Ki. The header arithmetic below needs at least 8.
const MIN_FILE_ALIGNMENT: u32 = 512;

/// A section to be appended: readable data.
#[derive(Clone, Debug)]
pub struct NewSection {
    /// Name.
    pub name: SectionName,
    /// Content; its length is the virtual size.
    pub content: Layout,
    /// The file offset becomes a multiple of this power of two; 1 leaves it at FileAlignment.
    pub align: u32,
}

/// How the file is put together.
#[derive(Clone, Copy, Debug)]
pub struct AppendOptions {
    /// TimeDateStamp, in seconds since 1970.
    pub timestamp: u32,
}

/// A finished program.
#[derive(Clone, Debug)]
pub struct PePlan {
    /// The bytes.
    pub layout: Layout,
    /// All sections, the stub's first, as in the table.
    pub sections: Vec<Section>,
}

/// Copies the stub's sections and appends others, back to back.
///
/// The stub's COFF symbols and certificate table are dropped. Alignment beyond FileAlignment is made
/// by padding the data in front, because a gap between sections would be hashed by some verifiers
/// and not by others.
///
/// # Errors
/// [`PeError`] when the stub is malformed or the result would be.
pub fn append_sections(stub: &Bytes, new: &[NewSection], options: AppendOptions) -> Result<PePlan, PeError> {
    let pe = Pe::parse(stub, stub.len() as u64)?;
    if pe.file_alignment() < MIN_FILE_ALIGNMENT {
        return Err(PeError::Alignment { file: pe.file_alignment(), section: pe.section_alignment() });
    }
    let mut pieces = stub_pieces(&pe, stub)?;
    let count = pieces.len() + new.len();
    if count > MAX_SECTIONS {
        return Err(PeError::SectionCount(count));
    }
    let mut next_address = next_address(&pe)?;
    for section in new {
        let size = u32::try_from(section.content.len()).map_err(|_| PeError::TooBig)?;
        pieces.push(Piece {
            section: Section {
                name: section.name,
                virtual_size: size,
                virtual_address: next_address,
                raw_size: aligned(size, pe.file_alignment())?,
                raw_offset: 0,
                characteristics: INITIALIZED_DATA | MEM_READ,
            },
            content: section.content.clone(),
            align: section.align,
        });
        next_address =
            aligned(next_address.checked_add(size).ok_or(PeError::TooBig)?, pe.section_alignment())?;
    }
    let header_size =
        aligned((PE_OFFSET + COFF_LEN + OPTIONAL_LEN + SECTION_LEN * count) as u32, pe.file_alignment())?;
    place(&mut pieces, header_size)?;

    let mut builder = LayoutBuilder::new();
    builder.bytes(headers(&pe, &pieces, header_size, options)?);
    for piece in &pieces {
        if piece.section.raw_size > 0 {
            builder.pad_to(u64::from(piece.section.raw_offset)).append(&piece.content);
            builder.pad_to(u64::from(piece.section.raw_offset) + u64::from(piece.section.raw_size));
        }
    }
    Ok(PePlan { layout: builder.build(), sections: pieces.into_iter().map(|piece| piece.section).collect() })
}

struct Piece {
    section: Section,
    content: Layout,
    align: u32,
}

fn aligned(value: u32, alignment: u32) -> Result<u32, PeError> {
    value.checked_next_multiple_of(alignment).ok_or(PeError::TooBig)
}

/// The stub's sections with their data, by index: names need not be unique.
fn stub_pieces(pe: &Pe, stub: &Bytes) -> Result<Vec<Piece>, PeError> {
    let piece = |section: &Section| {
        let bad = |reason| PeError::Section { name: section.name, reason };
        if pe.has_symbols() && section.name.0.starts_with(b"/") {
            return Err(bad("its long name needs the COFF string table, which is dropped"));
        }
        if !section.raw_size.is_multiple_of(pe.file_alignment()) {
            return Err(bad("its size in the file is not a multiple of FileAlignment"));
        }
        let content = if section.raw_size > 0 {
            let start = section.raw_offset as usize;
            Layout::from_bytes(stub.slice(start..start + section.raw_size as usize))
        } else {
            Layout::default()
        };
        Ok(Piece { section: *section, content, align: 1 })
    };
    pe.sections().iter().map(piece).collect()
}

/// The first free address behind all sections of the stub.
fn next_address(pe: &Pe) -> Result<u32, PeError> {
    let ends =
        pe.sections().iter().map(|section| section.virtual_address.saturating_add(section.virtual_size));
    aligned(ends.max().unwrap_or(0), pe.section_alignment())
}

/// Gives every section its file offset; raises the size of the one in front where more alignment is
/// asked for.
fn place(pieces: &mut [Piece], header_size: u32) -> Result<(), PeError> {
    let mut next = header_size;
    let mut last_with_data: Option<usize> = None;
    for index in 0..pieces.len() {
        let (before, rest) = pieces.split_at_mut(index);
        let Some(piece) = rest.first_mut() else { break };
        let wanted = aligned(next, piece.align.max(1))?;
        if wanted > next && piece.section.raw_size > 0 {
            let Some(padded) = last_with_data.and_then(|i| before.get_mut(i)) else {
                let reason = "there is no section in front of it that could be padded";
                return Err(PeError::Section { name: piece.section.name, reason });
            };
            padded.section.raw_size += wanted - next;
            // Sections without data that stand in between keep pointing to where data begins.
            before.iter_mut().skip(last_with_data.map_or(0, |i| i + 1)).for_each(|empty| {
                empty.section.raw_offset = wanted;
            });
            next = wanted;
        }
        piece.section.raw_offset = next;
        next = next.checked_add(piece.section.raw_size).ok_or(PeError::TooBig)?;
        if piece.section.raw_size > 0 {
            last_with_data = Some(index);
        }
    }
    Ok(())
}

fn headers(pe: &Pe, pieces: &[Piece], header_size: u32, options: AppendOptions) -> Result<Vec<u8>, PeError> {
    let sum = |with_data: bool| -> Result<u32, PeError> {
        let chosen = pieces.iter().map(|piece| piece.section);
        chosen
            .filter(|section| (section.characteristics & INITIALIZED_DATA != 0) == with_data)
            .try_fold(0u32, |sum, section| sum.checked_add(section.raw_size))
            .ok_or(PeError::TooBig)
    };
    let mut optional = Record::from_slice(&pe.optional);
    optional.le16(optional::LINKER_VERSION, 0);
    optional.le32(optional::SIZE_OF_CODE, sum(false)?);
    optional.le32(optional::SIZE_OF_INITIALIZED_DATA, sum(true)?);
    optional.le32(optional::SIZE_OF_IMAGE, size_of_image(pe, pieces)?);
    optional.le32(optional::SIZE_OF_HEADERS, header_size);
    optional.le32(optional::CHECKSUM, 0);
    optional.le64(optional::CERTIFICATE_TABLE, 0);

    let mut coff = Record::from_slice(&pe.coff);
    coff.le16(2, pieces.len() as u16).le32(4, options.timestamp).le64(8, 0);

    let mut dos = Record::from_slice(&pe.dos);
    dos.le32(0x3C, PE_OFFSET as u32);

    let mut out = Record::zeroed(header_size as usize);
    let coff_at = PE_OFFSET + SIGNATURE_LEN;
    let optional_at = coff_at + COFF_LEN;
    out.put(0, dos.as_slice()).put(PE_OFFSET, b"PE\0\0");
    out.put(coff_at, coff.as_slice()).put(optional_at, optional.as_slice());
    for (index, Piece { section, .. }) in pieces.iter().enumerate() {
        let at = optional_at + OPTIONAL_LEN + index * SECTION_LEN;
        out.put(at, &section.name.0);
        out.le32(at + 8, section.virtual_size).le32(at + 12, section.virtual_address);
        out.le32(at + 16, section.raw_size).le32(at + 20, section.raw_offset);
        out.le32(at + 36, section.characteristics);
    }
    Ok(out.into_vec())
}

/// The rounding takes the image base in, as the reference does; for sane bases it has no effect.
fn size_of_image(pe: &Pe, pieces: &[Piece]) -> Result<u32, PeError> {
    let ends = pieces
        .iter()
        .map(|piece| u64::from(piece.section.virtual_address) + u64::from(piece.section.virtual_size));
    let end = pe.image_base().checked_add(ends.max().unwrap_or(0));
    end.and_then(|end| end.checked_next_multiple_of(u64::from(pe.section_alignment())))
        .and_then(|end| u32::try_from(end - pe.image_base()).ok())
        .ok_or(PeError::TooBig)
}
