//! Response bodies: a range of a layout, or nothing but its length.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use factory_actors::stream::LayoutStream;
use futures_util::Stream;

/// A body of known length that is streamed.
pub struct StreamBody {
    len: u64,
    stream: LayoutStream,
}

impl StreamBody {
    /// All that is left in `stream`.
    pub fn new(stream: LayoutStream) -> Self {
        Self { len: stream.remaining(), stream }
    }
}

impl MessageBody for StreamBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.len)
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        Pin::new(&mut self.stream).poll_next(cx)
    }
}

/// The body of an answer to `HEAD`: its length and no byte.
pub struct LengthOnly(pub u64);

impl MessageBody for LengthOnly {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        Poll::Ready(None)
    }
}
