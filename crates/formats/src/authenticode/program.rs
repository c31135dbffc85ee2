//! What of a program a signature covers, and where the signature goes.

use std::io;
use std::ops::Range;

use sha2::{Digest as _, Sha256};

use crate::pe::{Pe, PeError};
use crate::{Layout, LayoutBuilder, ReadBlob};

/// Entries of the certificate table begin at multiples of this, and so does the table.
const ALIGN: u64 = 8;
/// `WIN_CERT_REVISION_2_0` and `WIN_CERT_TYPE_PKCS_SIGNED_DATA` (UEFI 2.10, 32.2.4).
const REVISION: u16 = 0x0200;
const PKCS_SIGNED_DATA: u16 = 0x0002;
/// Bytes of a `WIN_CERTIFICATE` in front of its data.
const HEADER_LEN: usize = 8;

/// The stretches of a file that a signature covers, in the order in which they are hashed. All of them are
/// inside the file; bytes behind its end up to a multiple of 8 count as zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regions {
    /// Stretches of bytes.
    pub ranges: Vec<Range<u64>>,
    /// Zero bytes after them.
    pub padding: u64,
}

/// An EFI program that is to be signed.
#[derive(Clone, Debug)]
pub struct Program {
    /// The file, without padding and further signatures.
    body: Layout,
    /// Certificates that it has already.
    existing: Layout,
    regions: Regions,
    certificate_entry: u64,
}

impl Program {
    /// Reads the headers of a program. One that is signed already keeps its signatures.
    ///
    /// # Errors
    /// Those of the blobs, and `InvalidData` with a [`PeError`] inside for a file that is no program.
    pub fn new(file: &Layout, blobs: &dyn ReadBlob) -> io::Result<Self> {
        let pe = Pe::of_layout(file, blobs)?;
        Self::of(file, &pe).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn of(file: &Layout, pe: &Pe) -> Result<Self, PeError> {
        let end = match pe.certificate_table() {
            None => file.len(),
            Some((start, size)) => {
                let start = u64::from(start);
                if start + u64::from(size) != file.len() || !start.is_multiple_of(ALIGN) {
                    return Err(PeError::Certificates("it is not the aligned end of the file"));
                }
                start
            }
        };
        Ok(Self {
            body: file.slice(0, end),
            existing: file.slice(end, file.len()),
            regions: regions(pe, end)?,
            certificate_entry: pe.certificate_entry_offset(),
        })
    }

    /// What a signature covers.
    pub fn regions(&self) -> &Regions {
        &self.regions
    }

    /// The digest that a signature is about. Reads the file once.
    ///
    /// # Errors
    /// Those of the blobs.
    pub fn digest(&self, blobs: &dyn ReadBlob) -> io::Result<[u8; 32]> {
        let mut hash = Sha256::new();
        for range in &self.regions.ranges {
            self.body.visit(range.start, range.end, blobs, &mut |bytes| hash.update(bytes))?;
        }
        hash.update(&[0; ALIGN as usize][..self.regions.padding as usize]);
        Ok(hash.finalize().into())
    }

    /// The program with a signature, a PKCS#7 message in DER, behind those that it has.
    ///
    /// # Errors
    /// [`PeError::TooBig`] when the file would be bigger than 4 GiB.
    pub fn with_signature(&self, message: &[u8]) -> Result<Layout, PeError> {
        let len = u32::try_from(message.len() + HEADER_LEN).map_err(|_| PeError::TooBig)?;
        let table = self.body.len() + self.regions.padding;
        let start = u32::try_from(table).map_err(|_| PeError::TooBig)?;
        let size = self.existing.len() + u64::from(len).next_multiple_of(ALIGN);
        let size = u32::try_from(size).map_err(|_| PeError::TooBig)?;

        let mut signed = LayoutBuilder::new();
        let entry = self.certificate_entry;
        signed.append(&self.body.slice(0, entry));
        signed.slice(&start.to_le_bytes()).slice(&size.to_le_bytes());
        signed.append(&self.body.slice(entry + 8, self.body.len())).zero(self.regions.padding);
        signed.append(&self.existing);
        signed.slice(&len.to_le_bytes()).slice(&REVISION.to_le_bytes());
        signed.slice(&PKCS_SIGNED_DATA.to_le_bytes()).slice(message);
        signed.pad_to(table + u64::from(size));
        Ok(signed.build())
    }
}

/// The rule that firmware follows. In a file without gaps it is everything but the fields that signing
/// changes.
fn regions(pe: &Pe, end: u64) -> Result<Regions, PeError> {
    let (checksum, entry) = (pe.checksum_offset(), pe.certificate_entry_offset());
    let headers = u64::from(pe.header_size());
    if headers < entry + 8 || headers > end {
        return Err(PeError::Truncated("headers"));
    }
    let mut ranges = vec![0..checksum, checksum + 4..entry, entry + 8..headers];
    let mut sections: Vec<Range<u64>> = pe
        .sections()
        .iter()
        .filter(|section| section.raw_size > 0)
        .map(|section| {
            let start = u64::from(section.raw_offset);
            start..start + u64::from(section.raw_size)
        })
        .collect();
    sections.sort_by_key(|range| range.start);
    if sections.iter().any(|range| range.end > end) {
        return Err(PeError::Certificates("it overlaps a section"));
    }
    let hashed = sections.iter().fold(headers, |sum, range| sum + (range.end - range.start));
    ranges.append(&mut sections);
    // Sections that share bytes: firmware hashes them, other verifiers do not.
    if hashed > end {
        return Err(PeError::Truncated("sections"));
    }
    if hashed < end {
        ranges.push(hashed..end);
    }
    Ok(Regions { ranges, padding: end.next_multiple_of(ALIGN) - end })
}
