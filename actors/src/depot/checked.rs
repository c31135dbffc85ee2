//! The bytes of an asset out of a place that is not trusted to keep them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use factory_domain::ports::{AssetStream, CachedAsset};
use factory_formats::expected::{Expected, Unexpected};
use futures_util::Stream;

use super::Damaged;

/// Bytes whose digest is checked while they are sent. The last piece is held back until all are known to be
/// right: whoever got wrong ones did not get all, and notices by the length.
pub struct CheckedStream {
    inner: Option<AssetStream>,
    expected: Expected,
    held: Option<Bytes>,
    damaged: Arc<Damaged>,
}

impl CheckedStream {
    pub(super) fn new(inner: AssetStream, asset: &CachedAsset, damaged: Arc<Damaged>) -> Self {
        let expected = Expected::new(asset.digest, asset.size);
        Self { inner: Some(inner), expected, held: None, damaged }
    }

    fn wrong(&mut self, reason: &Unexpected) -> Poll<Option<io::Result<Bytes>>> {
        (self.inner, self.held) = (None, None);
        let digest = self.expected.digest();
        self.damaged.note(digest);
        tracing::error!(%digest, %reason, "a cache gave wrong bytes; the download is broken off");
        Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::InvalidData, reason.to_string()))))
    }

    /// All bytes have come: gives out the last piece when they were right.
    fn end(&mut self) -> Poll<Option<io::Result<Bytes>>> {
        self.inner = None;
        match self.expected.finish() {
            Ok(()) => Poll::Ready(self.held.take().map(Ok)),
            Err(reason) => self.wrong(&reason),
        }
    }
}

impl Stream for CheckedStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(inner) = self.inner.as_mut() else { return Poll::Ready(None) };
            let piece = match inner.as_mut().poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return self.end(),
                // The place failed; that does not make its contents wrong.
                Poll::Ready(Some(Err(error))) => {
                    (self.inner, self.held) = (None, None);
                    return Poll::Ready(Some(Err(io::Error::other(error))));
                }
                Poll::Ready(Some(Ok(piece))) => piece,
            };
            if piece.is_empty() {
                continue;
            }
            if let Err(reason) = self.expected.take(&piece) {
                return self.wrong(&reason);
            }
            if let Some(ready) = self.held.replace(piece) {
                return Poll::Ready(Some(Ok(ready)));
            }
        }
    }
}
