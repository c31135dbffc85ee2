//! A bucket of an S3-compatible object store.
//!
//! | name of an object | what it is |
//! |---|---|
//! | `blobs/sha256/<aa>/<hex>` | bytes by their digest: whole assets |
//! | `refs/<key>` | what is known about the asset with this key, signed ([`S3Cache`]) |
//! | `schematics/<id>` | a schematic's canonical text ([`BucketSchematics`]) |
//! | `records/<name>` | a small record that factories share ([`BucketRecords`]) |

mod cache;
mod cdn;
mod client;
mod credentials;
mod records;
mod reference;
mod schematics;
mod upload;

pub use cache::S3Cache;
pub use cdn::{Cdn, InvalidCdn};
pub use client::{Bucket, BucketConfigError, BucketOptions};
pub use records::BucketRecords;
pub use schematics::BucketSchematics;
