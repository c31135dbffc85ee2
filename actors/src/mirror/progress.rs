//! Telling somebody how far it is.

use super::MirrorError;

/// Watches a copy. Calls come from many tasks at the same time.
pub trait Progress: Send + Sync {
    /// So many images are to be copied.
    fn planned(&self, images: usize);

    /// A blob of so many bytes begins; `name` says whose it is.
    fn blob_begins(&self, name: &str, bytes: u64);

    /// So many more bytes of blobs were sent.
    fn bytes_sent(&self, bytes: u64);

    /// A blob was there already.
    fn blob_skipped(&self, bytes: u64);

    /// An image is done, or failed.
    fn image_done(&self, name: &str, failed: Option<&MirrorError>);
}

/// Watches and says nothing.
pub struct Silent;

impl Progress for Silent {
    fn planned(&self, _: usize) {}
    fn blob_begins(&self, _: &str, _: u64) {}
    fn bytes_sent(&self, _: u64) {}
    fn blob_skipped(&self, _: u64) {}
    fn image_done(&self, _: &str, _: Option<&MirrorError>) {}
}
