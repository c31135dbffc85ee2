//! Long objects, written part by part in constant memory.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use s3::serde_types::Part;

use super::client::{Bucket, Failure, limited};

/// Bytes of a part. The last one may be shorter.
const PART: usize = 16 << 20;

/// Longest time for one part.
const PART_TIME: Duration = Duration::from_secs(300);

/// Longest time for what begins and ends an upload. Stores may put the parts together in the last step.
const STEP_TIME: Duration = Duration::from_secs(120);

/// Type of all objects by digest; a link says which type a client is told.
const BYTES: &str = "application/octet-stream";

/// Pieces that become an object.
pub(super) type Pieces<'a> = futures_util::stream::BoxStream<'a, io::Result<Bytes>>;

/// Cuts pieces into parts.
struct Parts<'a> {
    pieces: Pieces<'a>,
    rest: Bytes,
}

impl Parts<'_> {
    /// The next bytes, as many as make a part; fewer are the last ones.
    async fn next(&mut self) -> Result<Vec<u8>, Failure> {
        // Memory is used as far as it is filled.
        let mut part = Vec::with_capacity(PART);
        while part.len() < PART {
            if self.rest.is_empty() {
                match self.pieces.next().await {
                    Some(Ok(piece)) => self.rest = piece,
                    Some(Err(error)) => return Err(Failure::Other(error.to_string())),
                    None => break,
                }
            }
            let now = self.rest.len().min(PART - part.len());
            part.extend_from_slice(&self.rest.split_to(now));
        }
        Ok(part)
    }
}

impl Bucket {
    /// Writes an object, in place of whatever was there. It is visible only when all of it is there. What a
    /// factory that is killed leaves of an upload is for the bucket's rules to clear away.
    pub(super) async fn upload(&self, key: &str, pieces: Pieces<'_>) -> Result<(), Failure> {
        let mut parts = Parts { pieces, rest: Bytes::new() };
        let first = parts.next().await?;
        if first.len() < PART {
            let put = self.long().put_object_builder(key, &first).with_content_type(BYTES);
            return limited(PART_TIME, put.execute()).await.map(drop);
        }
        let started = limited(STEP_TIME, self.long().initiate_multipart_upload(key, BYTES)).await?;
        let id = started.upload_id.as_str();
        let uploaded = self.upload_parts(key, id, first, &mut parts).await;
        if uploaded.is_err() {
            // The first failure is the one to tell.
            let _ = limited(STEP_TIME, self.long().abort_upload(key, id)).await;
        }
        uploaded
    }

    async fn upload_parts(
        &self,
        key: &str,
        id: &str,
        first: Vec<u8>,
        parts: &mut Parts<'_>,
    ) -> Result<(), Failure> {
        let (mut part, mut done) = (first, Vec::<Part>::new());
        while !part.is_empty() {
            let number = u32::try_from(done.len()).unwrap_or(u32::MAX).saturating_add(1);
            let put = self.long().put_multipart_chunk(part, key, number, id, BYTES);
            done.push(limited(PART_TIME, put).await?);
            part = parts.next().await?;
        }
        limited(STEP_TIME, self.long().complete_multipart_upload(key, id, done)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_of_any_length_become_parts_of_one_length() {
        let pieces = [1, PART - 1, 2 * PART + 3, 0, 5].map(|len| Ok(Bytes::from(vec![7; len])));
        let mut parts = Parts { pieces: futures_util::stream::iter(pieces).boxed(), rest: Bytes::new() };
        let mut lengths = Vec::new();
        loop {
            let part = parts.next().await.unwrap();
            if part.is_empty() {
                break;
            }
            lengths.push(part.len());
        }
        assert_eq!(lengths, [PART, PART, PART, 8]);
    }

    #[tokio::test]
    async fn a_piece_that_fails_fails_the_whole() {
        let pieces = [Ok(Bytes::from_static(b"x")), Err(io::Error::other("gone"))];
        let mut parts = Parts { pieces: futures_util::stream::iter(pieces).boxed(), rest: Bytes::new() };
        assert_eq!(parts.next().await, Err(Failure::Other("gone".to_owned())));
    }
}
