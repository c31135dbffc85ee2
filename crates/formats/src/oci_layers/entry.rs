//! One entry of a layer, put together from its header and the extended headers in front of it.

use std::io::Read;

use tar::{EntryType, Header};

use super::pax::Records;
use super::stream::fault;
use super::{EntryFault, LayersError, Limits};
use crate::file_tree::{Attributes, TreePath};

/// PAX key of the SELinux label.
const LABEL: &[u8] = b"SCHILY.xattr.security.selinux";
/// What PAX keys of extended attributes begin with.
const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";

/// An entry of a layer.
pub(super) struct Entry {
    /// The name as it was written.
    pub(super) name: String,
    /// The cleaned name; `None` for the root directory.
    pub(super) path: Option<TreePath>,
    pub(super) attributes: Attributes,
    pub(super) kind: EntryKind,
    /// Bytes of content; 0 for all but files.
    pub(super) size: u64,
    /// Names of extended attributes that are not kept.
    pub(super) dropped: Vec<String>,
}

pub(super) enum EntryKind {
    Directory,
    File,
    Symlink(String),
    /// The target as it was written.
    HardLink(String),
    Special(&'static str),
}

/// Collects extended headers until the entry comes that they belong to.
pub(super) struct Assembler<'a> {
    layer: usize,
    limits: &'a Limits,
    extended: Extended,
}

#[derive(Default)]
struct Extended {
    bytes: u64,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    label: Option<Vec<u8>>,
    dropped: Vec<String>,
    sparse: bool,
}

impl<'a> Assembler<'a> {
    pub(super) fn new(layer: usize, limits: &'a Limits) -> Self {
        Self { layer, limits, extended: Extended::default() }
    }

    /// Takes the next header of the archive. `None` when it is an extended one, whose content was read.
    pub(super) fn next(
        &mut self,
        header: &Header,
        content: &mut dyn Read,
    ) -> Result<Option<Entry>, LayersError> {
        let size = header.entry_size().map_err(|source| LayersError::Read { layer: self.layer, source })?;
        match header.entry_type() {
            EntryType::XHeader => {
                let bytes = self.extension(size, content)?;
                self.records(&bytes)?;
            }
            EntryType::GNULongName => {
                let bytes = self.extension(size, content)?;
                self.extended.path.get_or_insert(until_nul(&bytes).to_vec());
            }
            EntryType::GNULongLink => {
                let bytes = self.extension(size, content)?;
                self.extended.link.get_or_insert(until_nul(&bytes).to_vec());
            }
            // Defaults for all entries: comments in practice, and nothing that an image depends on.
            EntryType::XGlobalHeader => {
                self.extension(size, content)?;
                self.extended = Extended::default();
            }
            entry_type => return self.entry(header, entry_type, size).map(Some),
        }
        Ok(None)
    }

    fn fault(&self, fault_: EntryFault) -> LayersError {
        let name = self.extended.path.as_deref().map(String::from_utf8_lossy);
        fault(self.layer, &name.unwrap_or_default(), fault_)
    }

    fn extension(&mut self, size: u64, content: &mut dyn Read) -> Result<Vec<u8>, LayersError> {
        self.extended.bytes = self.extended.bytes.saturating_add(size);
        if self.extended.bytes > self.limits.header_bytes {
            return Err(self.fault(EntryFault::HeaderTooBig));
        }
        let mut bytes = Vec::new();
        let read = content.take(size).read_to_end(&mut bytes);
        read.map_err(|source| LayersError::Read { layer: self.layer, source })?;
        if bytes.len() as u64 != size {
            return Err(self.fault(EntryFault::Truncated));
        }
        Ok(bytes)
    }

    fn records(&mut self, bytes: &[u8]) -> Result<(), LayersError> {
        for record in Records::new(bytes) {
            let Ok((key, value)) = record else {
                return Err(self.fault(EntryFault::BadHeader));
            };
            match key {
                b"path" => self.extended.path = Some(value.to_vec()),
                b"linkpath" => self.extended.link = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    self.extended.size = Some(size.ok_or_else(|| self.fault(EntryFault::BadHeader))?);
                }
                LABEL => self.extended.label = Some(value.strip_suffix(b"\0").unwrap_or(value).to_vec()),
                _ if key.starts_with(ATTRIBUTE) => {
                    let name = String::from_utf8_lossy(&key[ATTRIBUTE.len()..]).into_owned();
                    self.extended.dropped.push(name);
                }
                _ if key.starts_with(b"GNU.sparse.") => self.extended.sparse = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn entry(&mut self, header: &Header, entry_type: EntryType, size: u64) -> Result<Entry, LayersError> {
        let extended = std::mem::take(&mut self.extended);
        let name = extended.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let fault = |fault_| fault(self.layer, &String::from_utf8_lossy(&name), fault_);
        let text = |bytes: Vec<u8>| match String::from_utf8(bytes) {
            Ok(text) if text.len() <= self.limits.path_len => Ok(text),
            Ok(_) => Err(fault(EntryFault::TooLong)),
            Err(_) => Err(fault(EntryFault::NotUtf8)),
        };
        let shown = text(name.clone())?;
        let path = TreePath::clean(&shown).map_err(|e| fault(e.into()))?;
        if path.as_ref().is_some_and(|path| path.components().count() > self.limits.depth) {
            return Err(fault(EntryFault::TooDeep));
        }
        if extended.size.is_some_and(|extended| extended != size) {
            return Err(fault(EntryFault::TwoSizes));
        }
        let link = || {
            let link = extended.link.or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
            text(link.unwrap_or_default())
        };
        let kind = match entry_type {
            _ if extended.sparse => EntryKind::Special("sparse file"),
            EntryType::Directory => EntryKind::Directory,
            // Before ustar a directory was a file with a slash at its end.
            EntryType::Regular if shown.ends_with('/') => EntryKind::Directory,
            EntryType::Regular | EntryType::Continuous => EntryKind::File,
            EntryType::Symlink => EntryKind::Symlink(link()?),
            EntryType::Link => EntryKind::HardLink(link()?),
            EntryType::Char | EntryType::Block => EntryKind::Special("device"),
            EntryType::Fifo => EntryKind::Special("fifo"),
            EntryType::GNUSparse => EntryKind::Special("sparse file"),
            _ => EntryKind::Special("entry of unknown type"),
        };
        let mode = header.mode().map_err(|source| LayersError::Read { layer: self.layer, source })?;
        let label = extended.label.map(text).transpose()?.filter(|label| !label.is_empty());
        let size = if matches!(kind, EntryKind::File) { size } else { 0 };
        let attributes = Attributes { mode: (mode & 0o7777) as u16, label };
        Ok(Entry { name: shown, path, attributes, kind, size, dropped: extended.dropped })
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}
