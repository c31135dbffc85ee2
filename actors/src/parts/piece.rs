//! Stretches of part blobs, and writing them.

use std::io::{self, Read, Write};

use factory_domain::ports::{BlobKind, BlobRef, BlobStore, BlobWriter, StoreError};
use factory_formats::Digest;
use factory_formats::layout::{BlobRange, Layout, LayoutBuilder};
use serde::{Deserialize, Serialize};

use super::PartError;

/// A stretch of a blob of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The blob.
    pub blob: Digest,
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

impl Piece {
    /// All of a blob.
    pub fn whole(blob: &BlobRef) -> Self {
        Self { blob: blob.info.digest, offset: 0, len: blob.info.size }
    }

    /// The bytes as a layout.
    pub fn layout(&self) -> Layout {
        let mut builder = LayoutBuilder::new();
        builder.blob(BlobRange { digest: self.blob, offset: self.offset, len: self.len });
        builder.build()
    }

    /// The bytes in memory, when there are at most `limit`.
    ///
    /// # Errors
    /// [`PartError`] when there are more, or the blob is gone.
    pub fn read(&self, store: &dyn BlobStore, limit: u64) -> Result<Vec<u8>, PartError> {
        if self.len > limit {
            return Err(PartError::input(self.blob.to_string(), format!("it has {} bytes", self.len)));
        }
        let mut bytes = vec![0; self.len as usize];
        store.read_exact_at(&self.blob, self.offset, &mut bytes).map_err(|error| disk(&error))?;
        Ok(bytes)
    }
}

/// A failure to read or write the store or scratch space.
pub(super) fn disk(error: &io::Error) -> PartError {
    let store = error.get_ref().and_then(|inner| inner.downcast_ref::<StoreError>());
    PartError::Store(store.cloned().unwrap_or_else(|| StoreError::Failed {
        what: "building a part".to_owned(),
        reason: error.to_string(),
    }))
}

/// Several pieces in one blob.
pub(super) struct Bundle {
    writer: Box<dyn BlobWriter>,
    len: u64,
}

/// A piece of a bundle whose blob has no name yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unnamed {
    offset: u64,
    len: u64,
}

impl Unnamed {
    /// The piece, once the bundle is a blob.
    pub fn named(self, blob: Digest) -> Piece {
        Piece { blob, offset: self.offset, len: self.len }
    }
}

impl Bundle {
    pub fn new(store: &dyn BlobStore) -> Result<Self, PartError> {
        Ok(Self { writer: store.create(BlobKind::Part)?, len: 0 })
    }

    /// Appends all that `content` gives.
    pub fn append(&mut self, content: &mut dyn Read) -> Result<Unnamed, PartError> {
        let len = io::copy(content, &mut self.writer).map_err(|error| disk(&error))?;
        let piece = Unnamed { offset: self.len, len };
        self.len += len;
        Ok(piece)
    }

    /// The bundle as a blob; none when nothing was appended.
    pub fn finish(self) -> Result<Option<BlobRef>, PartError> {
        if self.len == 0 {
            return Ok(None);
        }
        Ok(Some(self.writer.commit()?))
    }
}

/// A blob of these bytes.
pub(super) fn keep(store: &dyn BlobStore, bytes: &[u8]) -> Result<BlobRef, PartError> {
    let mut writer = store.create(BlobKind::Part)?;
    writer.write_all(bytes).map_err(|error| disk(&error))?;
    Ok(writer.commit()?)
}
