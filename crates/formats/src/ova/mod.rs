//! OVA archives: a machine's description, a manifest and its disk (`42-output-formats.md` §6.2 and §7.4).

mod ovf;

use sha2::{Digest as _, Sha256};

use crate::{Digest, Layout, tar};

/// What an OVA says beside its disk's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OvaOptions {
    /// Virtual size of the disk in bytes. The description rounds it up to MiB.
    pub capacity: u64,
    /// Time of all files in seconds since 1970.
    pub epoch: u64,
}

/// An OVA with this stream-optimised VMDK, whose SHA-256 stands in the manifest in front of it.
pub fn archive(options: &OvaOptions, vmdk: &Layout, vmdk_sha256: &Digest) -> Layout {
    let ovf = ovf::descriptor(options.capacity, vmdk.len());
    let ovf_sha256 = hex::encode(Sha256::digest(&ovf));
    let manifest = format!("SHA256(disk.vmdk)= {}\nSHA256(disk.ovf)= {ovf_sha256}\n", vmdk_sha256.hex());
    let (ovf, manifest) = (Layout::from_bytes(ovf), Layout::from_bytes(manifest));
    tar::archive(&[("disk.ovf", &ovf), ("disk.mf", &manifest), ("disk.vmdk", vmdk)], options.epoch)
}

#[cfg(test)]
mod tests;
