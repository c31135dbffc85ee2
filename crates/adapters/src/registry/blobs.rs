//! Blobs as streams, from any offset on, gone on with when the connection breaks.

use std::sync::Arc;

use bytes::Bytes;
use factory_domain::ports::{BlobStream, Repository, SourceError};
use factory_formats::Digest;
use futures_util::StreamExt as _;
use futures_util::stream;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE};
use reqwest::{Method, Response};
use tokio::time::timeout;

use super::endpoint::{Ask, Document, Endpoint, Failure, network_failure};

/// A blob on its way.
struct Download {
    endpoint: Arc<Endpoint>,
    repository: Repository,
    digest: Digest,
    what: String,
    size: u64,
    /// Bytes handed out, those before the start included.
    at: u64,
    connection: Option<Connection>,
    /// Connections that broke without a byte of progress.
    fruitless: u32,
}

/// An answer that is being read.
struct Connection {
    response: Response,
    /// Bytes at its start that nobody asked for.
    surplus: u64,
}

impl Endpoint {
    /// Length of a blob in bytes.
    pub async fn blob_size(&self, repository: &Repository, digest: &Digest) -> Result<u64, Failure> {
        let head = self.blob_head(repository, digest, &[]).await?;
        let len = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        len.ok_or_else(|| Failure::Wrong("it does not tell its length".to_owned()))
    }

    /// What the registry tells of a blob without its bytes.
    pub async fn blob_head(
        &self,
        repository: &Repository,
        digest: &Digest,
        expects: &[u16],
    ) -> Result<Document, Failure> {
        let ask = Ask {
            what: &format!("blob {digest} of {repository}"),
            repository,
            method: Method::HEAD,
            url: self.url(repository, &format!("blobs/{digest}")),
            accept: "*/*",
            from: None,
            body: None,
            expects,
        };
        self.document(&ask, 0).await
    }

    /// A blob's bytes from `offset` on. The first answer is waited for, so that what does not exist shows.
    pub async fn open_blob(
        self: &Arc<Self>,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        offset: u64,
    ) -> Result<BlobStream, Failure> {
        let mut download = Download {
            endpoint: Arc::clone(self),
            repository: repository.clone(),
            digest: *digest,
            what: format!("blob {digest} of {repository}"),
            size,
            at: offset,
            connection: None,
            fruitless: 0,
        };
        if offset > size {
            return Err(Failure::Wrong(format!("byte {offset} of {size} was asked for")));
        }
        download.connection = Some(download.connect().await?);
        let pieces = stream::unfold(Some(download), |download| async {
            let mut download = download?;
            match download.next_piece().await {
                Ok(None) => None,
                Ok(Some(piece)) => Some((Ok(piece), Some(download))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(pieces.boxed())
    }
}

impl Download {
    /// Asks for everything that is still missing.
    async fn connect(&self) -> Result<Connection, Failure> {
        let ask = Ask {
            what: &self.what,
            repository: &self.repository,
            method: Method::GET,
            url: self.endpoint.url(&self.repository, &format!("blobs/{}", self.digest)),
            accept: "*/*",
            // A range that starts at the very end cannot be satisfied.
            from: Some(self.at).filter(|&at| at > 0 && at < self.size),
            body: None,
            expects: &[416],
        };
        let response = self.endpoint.open(&ask).await?;
        let wrong = |len: u64| Failure::Wrong(format!("it has {len} bytes, not {}", self.size));
        match response.status().as_u16() {
            206 => {
                let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
                let (first, total) = range
                    .and_then(read_content_range)
                    .ok_or_else(|| Failure::Wrong("it gives a part without saying which".to_owned()))?;
                if let Some(total) = total.filter(|&total| total != self.size) {
                    return Err(wrong(total));
                }
                // Less than was asked for is too much; more can be skipped.
                let surplus = self.at.checked_sub(first).ok_or_else(|| {
                    Failure::Wrong(format!("it gives bytes from {first} on instead of {}", self.at))
                })?;
                Ok(Connection { response, surplus })
            }
            // The blob ends before the place where we want to go on.
            416 => Err(Failure::Wrong(format!("it has less than {} bytes", self.at))),
            _ => {
                if let Some(len) = response.content_length().filter(|&len| len != self.size) {
                    return Err(wrong(len));
                }
                // Ranges are optional: the whole blob comes again, and we skip what we have.
                Ok(Connection { response, surplus: self.at })
            }
        }
    }

    /// The next bytes, or `None` at the end. A connection that breaks is made again.
    async fn next_piece(&mut self) -> Result<Option<Bytes>, SourceError> {
        loop {
            if self.at == self.size {
                return Ok(None);
            }
            let failure = match self.read_on().await {
                Ok(piece) => return Ok(Some(piece)),
                Err(failure) => failure,
            };
            self.connection = None;
            self.fruitless += 1;
            let paused = self.endpoint.pause(&self.what, self.fruitless, failure).await;
            paused.map_err(|failure| failure.into_source_error(&self.what, &self.endpoint.name))?;
        }
    }

    async fn read_on(&mut self) -> Result<Bytes, Failure> {
        if self.connection.is_none() {
            self.connection = Some(self.connect().await?);
        }
        let Some(connection) = self.connection.as_mut() else {
            return Err(Failure::Lasting("there is no connection".to_owned()));
        };
        loop {
            let piece = {
                let _transfer = self.endpoint.transfer().await;
                timeout(self.endpoint.limits.idle, connection.response.chunk()).await
            };
            let reached = || format!("after {} of {} bytes", self.at, self.size);
            let piece = piece
                .map_err(|_| Failure::passing(format!("nothing more came {}", reached())))?
                .map_err(|error| network_failure(&error))?;
            let Some(mut piece) = piece else {
                return Err(Failure::passing(format!("it ended {}", reached())));
            };
            let skipped = connection.surplus.min(piece.len() as u64);
            connection.surplus -= skipped;
            let piece = piece.split_off(usize::try_from(skipped).unwrap_or(piece.len()));
            if piece.is_empty() {
                continue;
            }
            let after = self.at + piece.len() as u64;
            if after > self.size {
                return Err(Failure::Wrong(format!("it has more than {} bytes", self.size)));
            }
            self.at = after;
            self.fruitless = 0;
            return Ok(piece);
        }
    }
}

/// First byte and total length of `bytes 5-9/10`; the total may be `*`.
fn read_content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    (first <= last && total.is_none_or(|total| last < total)).then_some((first, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(read_content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(read_content_range("bytes 0-0/*"), Some((0, None)));
        for bad in [
            "",
            "bytes",
            "bytes */10",
            "bytes 5-4/10",
            "bytes 5-10/10",
            "items 5-9/10",
            "bytes 5/10",
            "bytes -5/10",
        ] {
            assert_eq!(read_content_range(bad), None, "{bad}");
        }
    }
}
