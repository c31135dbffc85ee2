//! Streaming a layout to a client: reads ahead on the worker threads, in constant memory.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use factory_domain::ports::{BlobStore, Lease};
use factory_formats::layout::{Cursor, Layout, Piece};
use futures_util::Stream;
use tokio::task::JoinHandle;

use crate::lock::lock;
use crate::workers::Workers;

/// Bytes of one piece. Two of them are under way per client: one being sent, one being read.
pub const PIECE: usize = 256 << 10;

static ZEROS: [u8; PIECE] = [0; PIECE];

/// Up to this many bytes are read at once, without a change of thread, when no blob is involved.
const INLINE: u64 = 64 << 10;

/// Buffers that were sent and wait for the next read. Fresh memory would have to be mapped and cleared by
/// the kernel for every piece, which costs about as much as reading it.
#[derive(Clone, Default)]
pub struct Buffers {
    free: Arc<Mutex<Vec<Box<[u8]>>>>,
}

/// Buffers kept beyond those in use.
const KEEP_FREE: usize = 32;

impl Buffers {
    fn take(&self) -> Box<[u8]> {
        let free = lock(&self.free).pop();
        free.unwrap_or_else(|| vec![0; PIECE].into_boxed_slice())
    }

    fn give_back(&self, buffer: Box<[u8]>) {
        let mut free = lock(&self.free);
        if free.len() < KEEP_FREE {
            free.push(buffer);
        }
    }
}

/// The used part of a buffer, which goes back to its pool when the last byte of it was sent.
struct Filled {
    buffer: Option<Box<[u8]>>,
    len: usize,
    pool: Buffers,
}

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| &buffer[..self.len])
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.pool.give_back(buffer);
        }
    }
}

/// A range of a layout as a stream of pieces. Dropping it stops the reading at once.
pub struct LayoutStream {
    blobs: Arc<dyn BlobStore>,
    workers: Workers,
    buffers: Buffers,
    /// Keeps the blobs from eviction while they are being sent.
    _lease: Lease,
    state: State,
    remaining: u64,
}

enum State {
    /// A read is under way.
    Reading(JoinHandle<Read>),
    /// So many zeros, at least one, are to be sent before the cursor is asked again.
    Zeros(u64, Cursor),
    /// All of it is short and needs no blob.
    Inline(Cursor),
    /// Nothing is left, or an error was told.
    Ended,
}

struct Read {
    cursor: Cursor,
    outcome: io::Result<Ready>,
}

enum Ready {
    Bytes(Bytes),
    Zeros(u64),
    End,
}

impl LayoutStream {
    /// Streams the bytes `start..end` of `layout`; `lease` holds its blobs.
    pub fn new(
        layout: &Layout,
        start: u64,
        end: u64,
        blobs: Arc<dyn BlobStore>,
        lease: Lease,
        workers: Workers,
        buffers: Buffers,
    ) -> Self {
        let cursor = layout.cursor(start, end);
        let remaining = cursor.remaining();
        let mut stream = Self { blobs, workers, buffers, _lease: lease, state: State::Ended, remaining };
        stream.state = if remaining <= INLINE && layout.blobs().is_empty() {
            State::Inline(cursor)
        } else {
            stream.read(cursor)
        };
        stream
    }

    /// Bytes not yet given out.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    fn read(&self, mut cursor: Cursor) -> State {
        if cursor.remaining() == 0 {
            return State::Ended;
        }
        let (blobs, buffers) = (Arc::clone(&self.blobs), self.buffers.clone());
        State::Reading(self.workers.start_blocking(move || {
            let outcome = step(&mut cursor, &*blobs, &buffers);
            Read { cursor, outcome }
        }))
    }

    fn give(&mut self, bytes: Bytes) -> Poll<Option<io::Result<Bytes>>> {
        self.remaining -= bytes.len() as u64;
        Poll::Ready(Some(Ok(bytes)))
    }
}

fn step(cursor: &mut Cursor, blobs: &dyn BlobStore, buffers: &Buffers) -> io::Result<Ready> {
    let mut buffer = buffers.take();
    match cursor.next(blobs, &mut buffer) {
        Ok(Piece::Data(len)) => {
            let filled = Filled { buffer: Some(buffer), len, pool: buffers.clone() };
            Ok(Ready::Bytes(Bytes::from_owner(filled)))
        }
        Ok(Piece::Zeros(len)) => {
            buffers.give_back(buffer);
            Ok(Ready::Zeros(len))
        }
        Ok(Piece::End) => {
            buffers.give_back(buffer);
            Ok(Ready::End)
        }
        Err(error) => {
            buffers.give_back(buffer);
            Err(error)
        }
    }
}

impl Stream for LayoutStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Inline(mut cursor) => match step(&mut cursor, &*self.blobs, &self.buffers) {
                    Ok(Ready::Bytes(bytes)) => {
                        self.state = State::Inline(cursor);
                        return self.give(bytes);
                    }
                    Ok(Ready::Zeros(len)) => self.state = State::Zeros(len, cursor),
                    Ok(Ready::End) => return Poll::Ready(None),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
                State::Zeros(len, cursor) => {
                    let now = len.min(PIECE as u64);
                    self.state = if len == now { self.read(cursor) } else { State::Zeros(len - now, cursor) };
                    return self.give(Bytes::from_static(&ZEROS[..now as usize]));
                }
                State::Reading(mut task) => {
                    let joined = match Pin::new(&mut task).poll(cx) {
                        Poll::Pending => {
                            self.state = State::Reading(task);
                            return Poll::Pending;
                        }
                        Poll::Ready(joined) => joined,
                    };
                    let Ok(Read { cursor, outcome }) = joined else {
                        return Poll::Ready(Some(Err(io::Error::other("a read crashed"))));
                    };
                    match outcome {
                        Ok(Ready::Bytes(bytes)) => {
                            self.state = self.read(cursor);
                            return self.give(bytes);
                        }
                        Ok(Ready::Zeros(len)) => self.state = State::Zeros(len, cursor),
                        Ok(Ready::End) => return Poll::Ready(None),
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
            }
        }
    }
}
