//! Do the sources of release images give what they hold, and nothing else?

mod authorization;
mod content;
mod contract;
mod docker_registry;
mod hostile_directories;
mod interference;
mod mirrors;
mod pushes;
mod scripted;
mod tls;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use factory_adapters::registry::{CredentialFiles, Limits, RegistryOptions, RegistrySource, RetryPolicy};
use factory_domain::ports::{BlobStream, Repository, SourceError};
use futures_util::StreamExt as _;

pub use content::{Content, Image};
pub use docker_registry::DockerRegistry;
pub use scripted::{Answer, Scripted};

/// Options that make tests quick: short waits, no credentials of whoever runs them.
pub fn quick() -> RegistryOptions {
    RegistryOptions {
        credentials: CredentialFiles::none(),
        retry: RetryPolicy {
            first_wait: Duration::from_millis(5),
            factor: 2.0,
            longest_wait: Duration::from_secs(2),
            jitter: || 0.0,
            ..RetryPolicy::default()
        },
        limits: Limits {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(5),
            idle: Duration::from_secs(5),
            document: Duration::from_secs(10),
            ..Limits::default()
        },
        ..RegistryOptions::default()
    }
}

pub fn registry(host: &str, options: &RegistryOptions) -> RegistrySource {
    crate::install_tls();
    RegistrySource::new(host, false, options).unwrap()
}

pub fn repository(path: &str) -> Repository {
    path.parse().unwrap()
}

/// Everything that a stream gives, or how it ends.
pub async fn drain(mut stream: BlobStream) -> Result<Bytes, SourceError> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes.freeze())
}
