//! Disk images in the formats of clouds and hypervisors.

use std::sync::Arc;

use factory_domain::recipe::DiskEncoding;
use factory_formats::encode::{Codec, EncodeOptions};
use factory_formats::hash::HashFunction;
use factory_formats::ova::{self, OvaOptions};
use factory_formats::{Layout, qcow2, tar, vhd, vmdk};

use super::{EPOCH, PlanError, State};
use crate::parts::{BuildPart, HashSpec};

const WHAT: &str = "the disk image";

impl State {
    /// The disk in the format that its recipe asks for. `name` is what the file is called in the log.
    pub(super) async fn convert(
        self: &Arc<Self>,
        disk: Layout,
        encoding: DiskEncoding,
        name: &str,
    ) -> Result<Layout, PlanError> {
        let capacity = disk.len();
        let virtual_disk =
            self.workers.run("converting a disk", move || virtual_disk(disk, encoding)).await??;
        if encoding != DiskEncoding::Ova {
            return Ok(virtual_disk);
        }
        // The manifest is in front of the disk, so this cannot wait until the disk is sent.
        let spec = HashSpec {
            name: format!("disk.vmdk in {name}"),
            layout: virtual_disk.clone(),
            function: HashFunction::Sha256,
        };
        let digest = self.peers.hashes.ask(BuildPart { spec }).await?.digest()?;
        Ok(ova::archive(&OvaOptions { capacity, epoch: EPOCH }, &virtual_disk, &digest))
    }

    /// A raw disk as `.tar.gz`. The gzip header has no name: the archive never was a file.
    pub(super) async fn archive(self: &Arc<Self>, disk: &Layout) -> Result<Layout, PlanError> {
        self.encode(tar::sparse_disk(disk, EPOCH), Codec::Gzip, EncodeOptions::default()).await
    }
}

/// The disk as the virtual disk that is the file, or that is in it.
fn virtual_disk(disk: Layout, encoding: DiskEncoding) -> Result<Layout, PlanError> {
    match encoding {
        DiskEncoding::Raw => Ok(disk),
        DiskEncoding::Qcow2 { cluster_size } => {
            qcow2::image(&disk, cluster_size).map_err(|error| PlanError::unmakable(WHAT, error))
        }
        DiskEncoding::FixedVhd => vhd::fixed(&disk, EPOCH).map_err(|error| PlanError::unmakable(WHAT, error)),
        DiskEncoding::Ova => vmdk::stream_optimized(&disk).map_err(|error| PlanError::unmakable(WHAT, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(encoding: DiskEncoding, len: usize) -> Result<Vec<u8>, String> {
        let made = virtual_disk(Layout::from_bytes(vec![7; len]), encoding);
        made.map(|layout| layout.inline_bytes().unwrap_or_default()).map_err(|error| error.to_string())
    }

    #[test]
    fn each_encoding_is_the_format_of_its_name() {
        let qcow2 = DiskEncoding::Qcow2 { cluster_size: 8192 };
        assert_eq!(made(DiskEncoding::Raw, 1024), Ok(vec![7; 1024]));
        assert!(made(qcow2, 1024).unwrap().starts_with(b"QFI\xFB\0\0\0\x03"));
        assert!(made(DiskEncoding::FixedVhd, 1024).unwrap()[1024..].starts_with(b"conectix"));
        assert!(made(DiskEncoding::Ova, 1024).unwrap().starts_with(b"KDMV"));
        for encoding in [qcow2, DiskEncoding::FixedVhd, DiskEncoding::Ova] {
            let said = made(encoding, 1000).unwrap_err();
            assert!(said.starts_with("the disk image cannot be made: a disk of 1000 bytes"), "{said}");
        }
    }
}
