//! Putting layouts together.

use bytes::{Bytes, BytesMut};

use super::{BlobRange, Extent, Layout, Run};

/// Appends extents in order and keeps the list short: neighbouring zeros, small neighbouring
/// byte pieces and stretches of a blob that continue each other become one extent, empty pieces vanish.
#[derive(Default)]
pub struct LayoutBuilder {
    extents: Vec<Extent>,
    /// Bytes not yet in `extents`.
    tail: BytesMut,
    len: u64,
}

/// Pieces up to this size are copied together; bigger ones are shared as they are.
const COPY_BELOW: usize = 4096;

impl LayoutBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes appended so far, which is the offset of what comes next.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends these bytes.
    pub fn bytes(&mut self, bytes: impl Into<Bytes>) -> &mut Self {
        let bytes = bytes.into();
        self.len += bytes.len() as u64;
        if bytes.len() <= COPY_BELOW {
            self.tail.extend_from_slice(&bytes);
        } else {
            self.flush();
            self.extents.push(Extent::Bytes(bytes));
        }
        self
    }

    /// Appends a copy of a slice.
    pub fn slice(&mut self, bytes: &[u8]) -> &mut Self {
        self.len += bytes.len() as u64;
        self.tail.extend_from_slice(bytes);
        self
    }

    /// Appends `len` zero bytes.
    pub fn zero(&mut self, len: u64) -> &mut Self {
        if len == 0 {
            return self;
        }
        self.len += len;
        // A few zeros between two headers are cheaper inline than as an extent of their own.
        if len <= 64 && !self.tail.is_empty() {
            self.tail.resize(self.tail.len() + len as usize, 0);
            return self;
        }
        self.flush();
        if let Some(Extent::Zero(last)) = self.extents.last_mut() {
            *last += len;
        } else {
            self.extents.push(Extent::Zero(len));
        }
        self
    }

    /// Appends zeros until the length is a multiple of `align`.
    pub fn align(&mut self, align: u64) -> &mut Self {
        self.zero(self.len.next_multiple_of(align) - self.len)
    }

    /// Appends zeros until the length is `offset`. Does nothing when it is there or beyond; callers
    /// that must not overshoot compare [`Self::len`] first.
    pub fn pad_to(&mut self, offset: u64) -> &mut Self {
        self.zero(offset.saturating_sub(self.len))
    }

    /// Appends a stretch of a blob. One that continues the last extent is joined with it.
    pub fn blob(&mut self, range: BlobRange) -> &mut Self {
        if range.len == 0 {
            return self;
        }
        self.flush();
        self.len += range.len;
        match self.extents.last_mut() {
            Some(Extent::Blob(last))
                if last.digest == range.digest && last.offset + last.len == range.offset =>
            {
                last.len += range.len;
            }
            _ => self.extents.push(Extent::Blob(range)),
        }
        self
    }

    /// Appends a run.
    pub fn run(&mut self, run: Run) -> &mut Self {
        self.extent(Extent::Run(run))
    }

    /// Appends any extent.
    pub fn extent(&mut self, extent: Extent) -> &mut Self {
        match extent {
            Extent::Zero(len) => self.zero(len),
            Extent::Bytes(bytes) => self.bytes(bytes),
            Extent::Blob(range) => self.blob(range),
            other if other.is_empty() => self,
            other => {
                self.flush();
                self.len += other.len();
                self.extents.push(other);
                self
            }
        }
    }

    /// Appends all of another layout.
    pub fn append(&mut self, layout: &Layout) -> &mut Self {
        for extent in layout.extents() {
            self.extent(extent.clone());
        }
        self
    }

    /// The layout of what was appended.
    pub fn build(mut self) -> Layout {
        self.flush();
        Layout::new(self.extents)
    }

    fn flush(&mut self) {
        if !self.tail.is_empty() {
            let bytes = self.tail.split().freeze();
            self.extents.push(Extent::Bytes(bytes));
        }
    }
}
