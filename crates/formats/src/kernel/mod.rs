//! Finding out which release a kernel image is.
//!
//! x86 images say it in their boot header. arm64 images do not: their text is searched for the banner
//! `Linux version …`, after unpacking when the image is one that unpacks itself. Nothing is held in memory
//! but a small window.

mod banner;
mod error;

pub use error::KernelError;

use std::io::{BufReader, Read, Seek, SeekFrom};

use crate::decompress::{Compression, MAGIC_LEN};

/// Bytes at the start of an image that tell what it is.
const HEAD: usize = 0x400;

/// x86 boot header (Linux, Documentation/arch/x86/boot.rst).
mod x86 {
    pub(super) const SETUP_SECTORS: usize = 0x1F1;
    pub(super) const MAGIC: (usize, &[u8]) = (0x202, b"HdrS");
    pub(super) const VERSION: usize = 0x20E;
    /// The version's pointer counts from here.
    pub(super) const VERSION_BASE: u64 = 0x200;
    pub(super) const SECTOR: u64 = 0x200;
    /// Longest text that is looked at.
    pub(super) const VERSION_LEN: u64 = 256;
}

/// arm64 images (Linux, Documentation/arch/arm64/booting.rst) and those that unpack themselves
/// (drivers/firmware/efi/libstub/zboot-header.S).
mod arm64 {
    pub(super) const MAGIC: (usize, &[u8]) = (56, b"ARM\x64");
    pub(super) const ZBOOT_MAGIC: (usize, &[u8]) = (4, b"zimg");
    pub(super) const PAYLOAD_OFFSET: usize = 8;
    pub(super) const PAYLOAD_SIZE: usize = 12;
    pub(super) const COMPRESSION: std::ops::Range<usize> = 24..56;
}

/// The release of a kernel image, as `uname -r` would say: `6.18.45-talos`.
///
/// # Errors
/// [`KernelError`] when the image is of no known kind, or does not say.
pub fn release<R: Read + Seek>(image: &mut R) -> Result<String, KernelError> {
    let mut head = Vec::with_capacity(HEAD);
    image.seek(SeekFrom::Start(0))?;
    image.take(HEAD as u64).read_to_end(&mut head)?;
    let has = |(at, magic): (usize, &[u8])| head.get(at..at + magic.len()) == Some(magic);
    if has(x86::MAGIC) {
        return x86_release(image, &head);
    }
    if head.starts_with(b"MZ") && has(arm64::ZBOOT_MAGIC) {
        return zboot_release(image, &head);
    }
    if has(arm64::MAGIC) {
        image.seek(SeekFrom::Start(0))?;
        return banner::find(image);
    }
    match Compression::sniff(head.get(..MAGIC_LEN).unwrap_or_default()) {
        Compression::None => Err(KernelError::Unknown),
        compression => {
            image.seek(SeekFrom::Start(0))?;
            banner::find(&mut compression.decoder(BufReader::new(image))?)
        }
    }
}

fn x86_release<R: Read + Seek>(image: &mut R, head: &[u8]) -> Result<String, KernelError> {
    let setup_sectors = u64::from(head.get(x86::SETUP_SECTORS).copied().unwrap_or(0));
    let bytes = head.get(x86::VERSION..x86::VERSION + 2).and_then(|b| b.try_into().ok());
    let pointer = u64::from(bytes.map_or(0, u16::from_le_bytes));
    if pointer == 0 || pointer > setup_sectors * x86::SECTOR {
        return Err(KernelError::NoRelease);
    }
    image.seek(SeekFrom::Start(pointer + x86::VERSION_BASE))?;
    let mut text = Vec::new();
    image.take(x86::VERSION_LEN).read_to_end(&mut text)?;
    let end = text.iter().position(|&byte| byte == 0 || byte == b' ').unwrap_or(text.len());
    text.truncate(end);
    match String::from_utf8(text) {
        Ok(release) if !release.is_empty() => Ok(release),
        _ => Err(KernelError::NoRelease),
    }
}

fn zboot_release<R: Read + Seek>(image: &mut R, head: &[u8]) -> Result<String, KernelError> {
    let word = |at: usize| {
        let bytes = head.get(at..at + 4).and_then(|b| b.try_into().ok());
        bytes.map(u32::from_le_bytes).ok_or(KernelError::Unknown)
    };
    let (offset, size) = (word(arm64::PAYLOAD_OFFSET)?, word(arm64::PAYLOAD_SIZE)?);
    let name = head.get(arm64::COMPRESSION).unwrap_or_default();
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    let compression = match name {
        b"gzip" => Compression::Gzip,
        b"zstd" | b"zstd22" => Compression::Zstd,
        b"xz" | b"xzkern" => Compression::Xz,
        b"lzma" => Compression::Lzma,
        other => return Err(KernelError::Compression(String::from_utf8_lossy(other).into_owned())),
    };
    image.seek(SeekFrom::Start(u64::from(offset)))?;
    let payload = BufReader::new(image.take(u64::from(size)));
    banner::find(&mut compression.decoder(payload)?)
}

#[cfg(test)]
mod tests;
