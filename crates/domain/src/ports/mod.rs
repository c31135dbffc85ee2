//! The ports: what the factory asks of the world, in its own words.
//!
//! Each port is a small trait with documented failures. Adapters implement them; for each there is a
//! twin in memory, and one suite of tests runs against both.

mod asset_cache;
mod blobs;
mod clock;
mod grub;
mod keys;
mod records;
mod release;
mod sandbox;
mod schematics;
mod scratch;
mod secure_boot;
mod signatures;
mod target;

pub use asset_cache::{AssetBody, AssetCache, AssetStream, CacheError, CachedAsset};
pub use blobs::{
    Amount, BlobInfo, BlobKind, BlobRef, BlobStore, BlobWriter, FactoryBlobs, Holdings, Lease, Record,
    RecordKey, RecordKind, StoreError, StoreUsage,
};
pub use clock::Clock;
pub use grub::{CoreImage, GrubError, GrubImages};
pub use keys::{KeyError, Signer};
pub use records::SharedRecords;
pub use release::{
    BlobStream, Descriptor, InvalidRepository, Platform, RawManifest, Reference, ReleaseSource, Repository,
    SourceError,
};
pub use sandbox::{
    DISK_SIZE, Sandbox, SandboxError, SandboxJob, SandboxOutcome, SandboxPlaces, SandboxWrite,
};
pub use schematics::SchematicStore;
pub use scratch::{Scratch, ScratchFile};
pub use secure_boot::{RsaSigner, SecureBootKeys, SignatureHash, UnfitKeys};
pub use signatures::{SignatureCheck, Verified, VerifyError};
pub use target::ImageTarget;
