//! Reading the lists that a release brings along, in memory: they are small.

use std::collections::BTreeMap;
use std::io::{self, Read};

use bytes::{Bytes, BytesMut};
use factory_domain::Arch;
use factory_domain::mirror::{Links, Platforms};
use factory_domain::ports::{Descriptor, Reference, Repository, SourceError};
use factory_formats::Digest;
use factory_formats::file_tree::TreePath;
use factory_formats::oci_layers::{Layers, Limits, Picker, pick_files};
use futures_util::StreamExt as _;

use super::{Mirror, MirrorError};

/// Layers of a list are read into memory up to this length; real ones have a few ten thousand bytes.
const MAX_LAYER: u64 = 64 << 20;

/// What they may hold unpacked.
const MAX_UNPACKED: u64 = 256 << 20;

impl Mirror {
    /// The files at the top of a list's image, by name. The image is verified first.
    pub(super) async fn read_list(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<BTreeMap<String, Vec<u8>>, MirrorError> {
        let at = self.at_source(repository)?;
        self.check.verify(&at, digest).await?;
        let no_list =
            |reason: String| MirrorError::NoList { image: format!("{repository}@{digest}"), reason };
        let mut manifest = self.source.fetch_manifest(&at, &Reference::Digest(*digest)).await?;
        let unreadable = |source| MirrorError::Manifest { image: format!("{repository}@{digest}"), source };
        let amd64 = Platforms::of(&[Arch::Amd64]);
        let entries = Links::of(&manifest).map_err(unreadable)?.manifests;
        if let Some(entry) = entries.iter().find(|entry| amd64.wants(entry)) {
            manifest = self.source.fetch_manifest(&at, &Reference::Digest(entry.digest)).await?;
        }
        // The first blob is the configuration.
        let blobs = Links::of(&manifest).map_err(unreadable)?.blobs;
        let layers = blobs.into_iter().skip(1);
        let mut read = Vec::new();
        for layer in layers {
            read.push(self.read_blob(&at, &layer).await?);
        }
        let unpacked = tokio::task::spawn_blocking(move || {
            let limits = Limits { unpacked_bytes: MAX_UNPACKED, ..Limits::default() };
            let mut keep = Keep::default();
            pick_files(&InMemory(read), &limits, &mut keep).map(|_| keep.0)
        });
        let unpacked = unpacked.await.map_err(|error| no_list(error.to_string()))?;
        unpacked.map_err(|error| no_list(error.to_string()))
    }

    async fn read_blob(&self, at: &Repository, blob: &Descriptor) -> Result<Bytes, MirrorError> {
        let wrong = |reason: String| SourceError::Invalid {
            what: format!("blob {} of {at}", blob.digest),
            source_name: self.source.name().to_owned(),
            reason,
        };
        if blob.size > MAX_LAYER {
            return Err(wrong(format!("it has {} bytes, too many for a list", blob.size)).into());
        }
        let mut stream = self.source.open_blob(at, &blob.digest, blob.size, 0).await?;
        let mut bytes = BytesMut::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece?);
            if bytes.len() as u64 > blob.size {
                break;
            }
        }
        let found = Digest::of(&bytes);
        if found != blob.digest {
            return Err(wrong(format!("its bytes have the digest {found}")).into());
        }
        Ok(bytes.freeze())
    }
}

/// Layers in memory.
struct InMemory(Vec<Bytes>);

impl Layers for InMemory {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn open(&self, index: usize) -> io::Result<Box<dyn Read + '_>> {
        let layer = self.0.get(index).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(&layer[..]))
    }
}

/// Files at the top.
#[derive(Default)]
struct Keep(BTreeMap<String, Vec<u8>>);

impl Picker for Keep {
    type Writer = Vec<u8>;

    fn wants(&self, path: &TreePath) -> bool {
        !path.as_str().contains('/')
    }

    fn open(&mut self, _: &TreePath, _: u64) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn close(&mut self, path: &TreePath, bytes: Vec<u8>) -> io::Result<()> {
        self.0.insert(path.as_str().to_owned(), bytes);
        Ok(())
    }
}
