//! The verbs that we need of an object store, with limits, and what its answers mean.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use s3::Region;
use s3::error::S3Error;

use super::credentials;

/// Longest time for anything small.
const SMALL: Duration = Duration::from_secs(5);

/// Longest time between two pieces of an object.
const IDLE: Duration = Duration::from_secs(30);

/// Region of stores that have none.
const ANY_REGION: &str = "us-east-1";

/// Which bucket.
#[derive(Clone, Debug, Default)]
pub struct BucketOptions {
    /// Its name. It must exist.
    pub bucket: String,
    /// `host[:port]` of the store; empty means Amazon's in [`Self::region`].
    pub endpoint: String,
    /// Region; may be empty when there is an endpoint.
    pub region: String,
    /// Speak HTTP without TLS.
    pub insecure: bool,
}

/// Why a bucket cannot be used as configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BucketConfigError {
    /// Nobody says who we are.
    #[error(
        "no credentials for the bucket {bucket} ({reason}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE"
    )]
    Credentials {
        /// The bucket.
        bucket: String,
        /// What was found.
        reason: String,
    },
    /// Neither endpoint nor region.
    #[error("no region: {0:?} is none, and there is no endpoint either")]
    Region(String),
    /// No connection can be prepared.
    #[error("no connection to the bucket {bucket} can be prepared: {reason}")]
    Client {
        /// The bucket.
        bucket: String,
        /// Why not.
        reason: String,
    },
}

/// Why an object store did not do what was asked of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// There is no such object.
    #[error("there is no such object")]
    NotFound,
    /// A condition was not met.
    #[error("the condition does not hold")]
    Condition,
    /// The store does not know such requests.
    #[error("the store cannot do that: {0}")]
    Unsupported(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// What a look at an object tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectInfo {
    /// Length in bytes.
    pub size: u64,
    /// The store's entity tag, without its quotes.
    pub etag: String,
}

/// Whether a new object was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It was.
    New,
    /// There was one already, which stays.
    Existed,
}

/// The bytes of an object.
pub(super) type ObjectStream = BoxStream<'static, Result<Bytes, Failure>>;

/// A bucket. Clients of it need no more than this.
pub struct Bucket {
    name: String,
    /// Small requests, with a limit for the whole.
    small: s3::Bucket,
    /// Long ones, which are watched piece by piece.
    long: s3::Bucket,
    /// Whether the store has refused a conditional write.
    lacks_conditions: AtomicBool,
}

impl Bucket {
    /// Prepares to talk to a bucket; nothing is sent to it yet. Credentials are looked for in `environment` first.
    ///
    /// # Errors
    /// [`BucketConfigError`].
    pub fn new(
        options: &BucketOptions,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, BucketConfigError> {
        // Whoever calls this decides about trying again; for the whole process, since the library has it so.
        s3::set_retries(0);
        let bucket = options.bucket.clone();
        let region = region(options)?;
        let credentials = credentials::find(environment).map_err(|error| BucketConfigError::Credentials {
            bucket: bucket.clone(),
            reason: error.to_string(),
        })?;
        let failed = |error: S3Error| BucketConfigError::Client {
            bucket: options.bucket.clone(),
            reason: error.to_string(),
        };
        let mut small = *s3::Bucket::new(&bucket, region, credentials).map_err(failed)?;
        // Amazon alone gives every bucket a host of its own.
        if !options.endpoint.is_empty() && !options.endpoint.ends_with(".amazonaws.com") {
            small.set_path_style();
        }
        small.set_request_timeout(Some(SMALL));
        let mut long = small.clone();
        long.set_request_timeout(None);
        Ok(Self { name: format!("bucket {bucket}"), small, long, lacks_conditions: AtomicBool::new(false) })
    }

    /// A name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn long(&self) -> &s3::Bucket {
        &self.long
    }

    /// What there is of an object.
    pub(super) async fn head(&self, key: &str) -> Result<ObjectInfo, Failure> {
        let (head, _) = limited(SMALL, self.small.head_object(key)).await?;
        let size = head.content_length.and_then(|size| u64::try_from(size).ok());
        let size = size.ok_or_else(|| Failure::Other("it does not tell a length".to_owned()))?;
        let etag = head.e_tag.unwrap_or_default().trim_matches('"').to_owned();
        Ok(ObjectInfo { size, etag })
    }

    /// A whole object of at most `limit` bytes.
    pub(super) async fn get(&self, key: &str, limit: usize) -> Result<Bytes, Failure> {
        let read = async {
            let mut stream = self.stream(key).await?;
            let mut bytes = Vec::new();
            while let Some(piece) = stream.next().await {
                bytes.extend_from_slice(&piece?);
                if bytes.len() > limit {
                    return Err(Failure::Other(format!("it is longer than {limit} bytes")));
                }
            }
            Ok(Bytes::from(bytes))
        };
        tokio::time::timeout(SMALL, read).await.unwrap_or_else(|_| Err(too_slow()))
    }

    /// The bytes of an object.
    pub(super) async fn stream(&self, key: &str) -> Result<ObjectStream, Failure> {
        let object = limited(SMALL, self.long.get_object_stream(key)).await?;
        let pieces = futures_util::stream::unfold(Some(object.bytes), |bytes| async {
            let mut bytes = bytes?;
            match tokio::time::timeout(IDLE, bytes.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(piece))) => Some((Ok(piece), Some(bytes))),
                Ok(Some(Err(error))) => Some((Err(failure(error)), None)),
                Err(_) => Some((Err(too_slow()), None)),
            }
        });
        Ok(pieces.boxed())
    }

    /// Writes a small object in place of whatever was there.
    pub(super) async fn put(&self, key: &str, bytes: &[u8], content_type: &str) -> Result<(), Failure> {
        let put = self.small.put_object_builder(key, bytes).with_content_type(content_type);
        limited(SMALL, put.execute()).await.map(drop)
    }

    /// Writes a small object when there is none of this name. Where the store has no conditional writes, another
    /// factory's may be replaced; the contents are such that this does no harm.
    pub(super) async fn put_new(
        &self,
        key: &str,
        bytes: &[u8],
        content_type: &str,
    ) -> Result<Written, Failure> {
        if !self.lacks_conditions.load(Ordering::Relaxed) {
            let put = self.small.put_object_builder(key, bytes).with_content_type(content_type);
            let put = put.with_header("if-none-match", "*").map_err(failure)?;
            match limited(SMALL, put.execute()).await {
                Ok(_) => return Ok(Written::New),
                Err(Failure::Condition) => return Ok(Written::Existed),
                Err(Failure::Unsupported(reason)) => {
                    tracing::info!(bucket = %self.name, reason, "no conditional writes: looking before writing");
                    self.lacks_conditions.store(true, Ordering::Relaxed);
                }
                Err(error) => return Err(error),
            }
        }
        match self.head(key).await {
            Ok(_) => return Ok(Written::Existed),
            Err(Failure::NotFound) => {}
            Err(error) => return Err(error),
        }
        self.put(key, bytes, content_type).await?;
        Ok(Written::New)
    }

    /// An address at which anybody gets an object for some time.
    pub(super) async fn presign(
        &self,
        key: &str,
        lifetime: Duration,
        content_type: &str,
        disposition: &str,
    ) -> Result<String, Failure> {
        let queries = HashMap::from([
            ("response-content-type".to_owned(), content_type.to_owned()),
            ("response-content-disposition".to_owned(), disposition.to_owned()),
        ]);
        let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
        limited(SMALL, self.small.presign_get(key, seconds, Some(queries))).await
    }
}

fn region(options: &BucketOptions) -> Result<Region, BucketConfigError> {
    if !options.endpoint.is_empty() {
        let scheme = if options.insecure { "http" } else { "https" };
        let region = if options.region.is_empty() { ANY_REGION } else { &options.region };
        return Ok(Region::Custom {
            region: region.to_owned(),
            endpoint: format!("{scheme}://{}", options.endpoint),
        });
    }
    match options.region.parse() {
        // What it does not know it takes for the address of a store.
        Ok(Region::Custom { .. }) | Err(_) => Err(BucketConfigError::Region(options.region.clone())),
        Ok(region) => Ok(region),
    }
}

/// Waits for an answer, but not for ever.
pub(super) async fn limited<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, S3Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(failure),
        Err(_) => Err(too_slow()),
    }
}

fn too_slow() -> Failure {
    Failure::Other("it does not answer in time".to_owned())
}

/// Longest message of a store that is passed on, in characters.
const SHOWN: usize = 300;

/// What an error of the library means. Its words may hold addresses with signatures, so they are not passed on
/// where they do.
pub(super) fn failure(error: S3Error) -> Failure {
    match error {
        S3Error::HttpFailWithBody(status, text) => {
            let text: String = text.trim().chars().take(SHOWN).collect();
            match status {
                404 => Failure::NotFound,
                // Somebody else writes it right now: theirs will be there.
                409 | 412 => Failure::Condition,
                501 => Failure::Unsupported(text),
                400 if text.contains("NotImplemented") => Failure::Unsupported(text),
                _ => Failure::Other(format!("status {status}: {text}")),
            }
        }
        S3Error::Reqwest(error) => {
            let error = error.without_url();
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            Failure::Other(text)
        }
        other => Failure::Other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_or_an_endpoint_is_needed() {
        let options = |endpoint: &str, region: &str, insecure| BucketOptions {
            bucket: "b".to_owned(),
            endpoint: endpoint.to_owned(),
            region: region.to_owned(),
            insecure,
        };
        assert_eq!(region(&options("", "eu-west-1", false)).unwrap(), Region::EuWest1);
        assert!(region(&options("", "", false)).is_err());
        assert!(region(&options("", "nowhere", false)).is_err());
        let custom = region(&options("127.0.0.1:9000", "", true)).unwrap();
        assert_eq!(custom.endpoint(), "http://127.0.0.1:9000");
    }

    #[test]
    fn answers_mean_something() {
        let of = |status, text: &str| failure(S3Error::HttpFailWithBody(status, text.to_owned()));
        assert_eq!(of(404, ""), Failure::NotFound);
        assert_eq!(of(412, "PreconditionFailed"), Failure::Condition);
        assert!(matches!(of(501, ""), Failure::Unsupported(_)));
        assert!(matches!(of(400, "<Code>NotImplemented</Code>"), Failure::Unsupported(_)));
        assert!(matches!(of(503, "SlowDown"), Failure::Other(text) if text.contains("503")));
    }
}
