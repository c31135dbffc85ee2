//! QCOW2 images, version 3 (`42-output-formats.md` §7.2; qemu's `docs/interop/qcow2.txt`).
//!
//! Everything is where it will stay when the first byte is written: header, reference counts, tables, then
//! the clusters that hold data, in the order of the disk. Other clusters are left out and read as zeros.

use std::iter::once;

use crate::layout::{NumberForm, Numbers, Run};
use crate::occupied::{Occupied, append_table};
use crate::record::Record;
use crate::{Layout, LayoutBuilder};

/// Why there is no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Qcow2Error {
    /// Clusters have 512 bytes to 2 MiB, a power of two.
    #[error("a QCOW2 image cannot have clusters of {0} bytes: use a power of two from 512 to 2097152")]
    ClusterSize(u32),
    /// Disks consist of sectors of 512 bytes.
    #[error("a disk of {0} bytes cannot be put into a QCOW2 image: use a multiple of 512")]
    Sectors(u64),
    /// The first table would be longer than readers accept.
    #[error("a disk of {size} bytes is too large for a QCOW2 image with clusters of {cluster} bytes")]
    TooLarge {
        /// Length of the disk.
        size: u64,
        /// Bytes per cluster.
        cluster: u64,
    },
}

/// First bytes of the file.
const MAGIC: [u8; 4] = *b"QFI\xFB";
/// Length of the header without extensions.
const HEADER_LEN: u32 = 112;
/// Counters have 2^4 bits.
const REFCOUNT_ORDER: u32 = 4;
/// Bytes of a counter.
const COUNTER: u64 = 2;
/// Bytes of an entry of any table.
const ENTRY: u64 = 8;
/// In a table entry: this is the only reference to the cluster.
const COPIED: u64 = 1 << 63;
/// Longest first table that qemu reads, in bytes.
const MAX_L1: u64 = 32 << 20;

/// Where everything is, in clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    refcount_table: u64,
    refcount_blocks: u64,
    l1: u64,
    l2: u64,
    data: u64,
    total: u64,
}

impl Plan {
    /// For so many clusters of first table, second tables and data.
    fn new(cluster: u64, l1: u64, l2: u64, data: u64) -> Self {
        let fixed = 1 + l1 + l2 + data;
        // Counters count themselves; more of them need more, until it is enough.
        let (mut blocks, mut table) = (0, 0);
        loop {
            let total = fixed + blocks + table;
            let needed = total.div_ceil(cluster / COUNTER);
            let needed_table = (needed * ENTRY).div_ceil(cluster);
            if (needed, needed_table) == (blocks, table) {
                break;
            }
            (blocks, table) = (needed, needed_table);
        }
        let refcount_table = 1;
        let refcount_blocks = refcount_table + table;
        let l1_at = refcount_blocks + blocks;
        let l2_at = l1_at + l1;
        let data_at = l2_at + l2;
        Self { refcount_table, refcount_blocks, l1: l1_at, l2: l2_at, data: data_at, total: data_at + data }
    }
}

/// A disk as a QCOW2 image with clusters of `cluster_size` bytes.
///
/// # Errors
/// See [`Qcow2Error`].
pub fn image(disk: &Layout, cluster_size: u32) -> Result<Layout, Qcow2Error> {
    if !cluster_size.is_power_of_two() || !(512..=2 << 20).contains(&cluster_size) {
        return Err(Qcow2Error::ClusterSize(cluster_size));
    }
    let (size, cluster) = (disk.len(), u64::from(cluster_size));
    if !size.is_multiple_of(512) {
        return Err(Qcow2Error::Sectors(size));
    }
    let per_table = cluster / ENTRY;
    let l1_entries = size.div_ceil(cluster).div_ceil(per_table);
    if l1_entries * ENTRY > MAX_L1 {
        return Err(Qcow2Error::TooLarge { size, cluster });
    }
    let data = Occupied::of(disk, cluster);
    let tables = data.coarser(per_table);
    let plan = Plan::new(cluster, (l1_entries * ENTRY).div_ceil(cluster), tables.count(), data.count());
    let entries = |first: u64| Numbers { first: first * cluster, step: cluster, form: NumberForm::Be64 };
    let copied = |first: u64| Numbers { first: COPIED | (first * cluster), ..entries(0) };

    let mut out = LayoutBuilder::new();
    out.slice(&header(&plan, cluster_size, size, l1_entries)).align(cluster);
    append_table(&mut out, once(0..plan.l1 - plan.refcount_blocks), entries(plan.refcount_blocks));
    out.align(cluster).run(Run::repeat(1_u16.to_be_bytes().to_vec().into(), plan.total)).align(cluster);
    append_table(&mut out, tables.ranges().iter().cloned(), copied(plan.l2));
    out.pad_to(plan.l2 * cluster);
    append_second_tables(&mut out, &data, &tables, per_table, copied(plan.data));
    for range in data.ranges() {
        out.append(&disk.slice(range.start * cluster, range.end * cluster)).align(cluster);
    }
    Ok(out.build())
}

/// The tables that are there, back to back.
fn append_second_tables(
    out: &mut LayoutBuilder,
    data: &Occupied,
    tables: &Occupied,
    per_table: u64,
    mut numbers: Numbers,
) {
    let mut left = data.ranges();
    for range in tables.ranges() {
        let (first, end) = (range.start * per_table, range.end * per_table);
        let (here, behind) = left.split_at(left.partition_point(|data| data.start < end));
        numbers = append_table(out, here.iter().map(|data| data.start - first..data.end - first), numbers);
        out.align(per_table * ENTRY);
        left = behind;
    }
}

fn header(plan: &Plan, cluster_size: u32, size: u64, l1_entries: u64) -> Vec<u8> {
    let cluster = u64::from(cluster_size);
    let table_clusters = plan.refcount_blocks - plan.refcount_table;
    let mut header = Record::zeroed(HEADER_LEN as usize);
    header.put(0, &MAGIC).be32(4, 3);
    header.be32(20, cluster_size.trailing_zeros()).be64(24, size);
    // Bounded by MAX_L1 and, for the table of counters, by what that lets a file hold.
    header.be32(36, l1_entries as u32).be64(40, plan.l1 * cluster);
    header.be64(48, plan.refcount_table * cluster).be32(56, table_clusters as u32);
    header.be32(96, REFCOUNT_ORDER).be32(100, HEADER_LEN);
    // Compression type 0, and behind the header no extension: zeros, which are there.
    header.into_vec()
}

#[cfg(test)]
mod tests;
