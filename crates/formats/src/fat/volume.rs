//! A whole volume.

use std::collections::BTreeMap;

use super::boot_sector::{BACKUP_SECTOR, FS_INFO_SECTOR, boot_sector, fs_info};
use super::directory::{ENTRY_LEN, Entries, Stamp, attribute, entries_of};
use super::geometry::{FIRST_CLUSTER, Geometry, ROOT_ENTRIES, Width};
use super::names::{self, ShortName};
use super::table::{Chain, table};
use crate::Layout;
use crate::canvas::{Canvas, CanvasError};
use crate::sector::SectorSize;
use crate::tree::{Child, Directory, Tree, TreeError, split};

/// Every file begins at a multiple of this from the volume's start.
pub const FILE_ALIGNMENT: u64 = 4096;
/// Longest file: its size is a 32-bit number.
pub const MAX_FILE_LEN: u64 = u32::MAX as u64;
/// Entries of the biggest directory.
const MAX_ENTRIES: u64 = 65_536;

/// A volume to be written.
#[derive(Clone, Debug)]
pub struct FatOptions {
    /// Length in bytes, a multiple of the sector size.
    pub size: u64,
    /// Sector size.
    pub sector: SectorSize,
    /// Label: 1 to 11 upper-case letters, digits, `-` or `_`.
    pub label: String,
    /// Serial number, which tools show as the UUID.
    pub serial: u32,
    /// All times, in seconds since 1970.
    pub epoch: u64,
}

/// A file to be written.
#[derive(Clone, Debug)]
pub struct FatFile {
    /// Path such as `EFI/BOOT/BOOTX64.EFI`; case is kept, directories are made.
    pub path: String,
    /// Content.
    pub content: Layout,
    /// Whether to set the read-only attribute.
    pub read_only: bool,
}

impl FatFile {
    /// A file that can be written to.
    pub fn new(path: impl Into<String>, content: Layout) -> Self {
        Self { path: path.into(), content, read_only: false }
    }
}

/// A finished volume.
#[derive(Clone, Debug)]
pub struct FatVolume {
    /// The bytes.
    pub layout: Layout,
    /// Bits of a table entry.
    pub width: Width,
    /// Bytes of a cluster.
    pub cluster_bytes: u64,
    /// Where each file lies, by path as it is in the volume.
    pub files: BTreeMap<String, FileSpan>,
}

/// Where a file's bytes are inside the volume; empty files are at offset 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSpan {
    /// First byte.
    pub offset: u64,
    /// Length.
    pub len: u64,
}

/// A volume that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FatError {
    /// No FAT has this size.
    #[error("a FAT volume of {size} bytes with sectors of {sector} bytes is not possible")]
    VolumeSize {
        /// Bytes of the volume.
        size: u64,
        /// Bytes of a sector.
        sector: u64,
    },
    /// The label is empty, too long or has characters that labels cannot have.
    #[error("{0:?} is not a FAT label: use 1 to 11 of A-Z, 0-9, - and _")]
    Label(String),
    /// A path has a name that FAT cannot hold.
    #[error("{0:?} has a name that FAT cannot hold")]
    Name(String),
    /// A path that cannot be added.
    #[error(transparent)]
    Path(#[from] TreeError),
    /// A file is 4 GiB or longer.
    #[error("{path} has {size} bytes, more than a file on FAT can have")]
    FileSize {
        /// The file.
        path: String,
        /// Its length.
        size: u64,
    },
    /// The content is too big for the volume.
    #[error("the files need {needed} bytes of the FAT volume, which has {available}")]
    NoRoom {
        /// Bytes of the files and directories in clusters.
        needed: u64,
        /// Bytes of all clusters.
        available: u64,
    },
    /// A directory has more entries than FAT allows.
    #[error("directory {0:?} has too many entries for FAT")]
    DirectorySize(String),
    /// The pieces do not fit together.
    #[error(transparent)]
    Canvas(#[from] CanvasError),
}

/// Writes a volume with these files.
///
/// Paths that differ only in case name the same directory (the first spelling stays) and must not name
/// the same file.
///
/// # Errors
/// See [`FatError`].
pub fn volume(options: &FatOptions, files: &[FatFile]) -> Result<FatVolume, FatError> {
    let geometry = Geometry::choose(options.size, options.sector)
        .ok_or(FatError::VolumeSize { size: options.size, sector: options.sector.bytes() })?;
    let label = label(&options.label)?;
    let tree = tree(files)?;
    let directories = tree.directories();
    let paths = paths(&directories);
    let places = allocate(&geometry, &directories, &paths, files)?;

    let mut canvas = Canvas::new(options.size);
    let boot = Layout::from_bytes(boot_sector(&geometry, options.serial, &label));
    canvas.put(0, "boot sector", boot.clone());
    if geometry.width == Width::Fat32 {
        let used: u64 = places.chains().iter().map(|chain| chain.clusters).sum();
        let info = Layout::from_bytes(fs_info(geometry.clusters - used, places.next));
        let at = |sector: u64| sector * options.sector.bytes();
        canvas.put(at(FS_INFO_SECTOR), "FSInfo", info.clone());
        canvas.put(at(BACKUP_SECTOR), "copy of the boot sector", boot);
        canvas.put(at(BACKUP_SECTOR + FS_INFO_SECTOR), "copy of FSInfo", info);
    }
    let fat = table(&geometry, &places.chains());
    canvas.put(geometry.fat_offset(0), "allocation table", fat.clone());
    canvas.put(geometry.fat_offset(1), "copy of the allocation table", fat);

    let stamp = Stamp::of(options.epoch);
    for (index, directory) in directories.iter().enumerate() {
        let offset = match places.directories.get(index) {
            Some(Some(chain)) => geometry.cluster_offset(chain.first),
            _ => geometry.root_offset(),
        };
        let bytes = entries(index, directory, &places, stamp, &label);
        canvas.put(offset, "directory", Layout::from_bytes(bytes));
    }
    let mut spans = BTreeMap::new();
    for placed in places.files.iter().flatten() {
        let offset = placed.chain.map_or(0, |chain| geometry.cluster_offset(chain.first));
        canvas.put(offset, placed.path.clone(), placed.file.content.clone());
        spans.insert(placed.path.clone(), FileSpan { offset, len: placed.file.content.len() });
    }
    Ok(FatVolume {
        layout: canvas.build()?,
        width: geometry.width,
        cluster_bytes: geometry.cluster_bytes(),
        files: spans,
    })
}

fn label(text: &str) -> Result<ShortName, FatError> {
    let fits = (1..=11).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    let mut out = [b' '; 11];
    match out.get_mut(..text.len()).filter(|_| fits) {
        Some(place) => place.copy_from_slice(text.as_bytes()),
        None => return Err(FatError::Label(text.to_owned())),
    }
    Ok(out)
}

/// The files, by index, as a tree in which names that differ only in case are one.
fn tree(files: &[FatFile]) -> Result<Tree<usize>, FatError> {
    let mut tree = Tree::new();
    // From a path without case to the spelling that came first.
    let mut spellings: BTreeMap<String, String> = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        if file.content.len() > MAX_FILE_LEN {
            return Err(FatError::FileSize { path: file.path.clone(), size: file.content.len() });
        }
        let (parents, name) = split(&file.path)?;
        let (mut folded, mut path) = (String::new(), String::new());
        for name in parents.into_iter().chain([name]) {
            if !names::is_valid(name) {
                return Err(FatError::Name(file.path.clone()));
            }
            folded = format!("{folded}/{}", names::folded(name));
            let spelling = || if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            path = spellings.entry(folded.clone()).or_insert_with(spelling).clone();
        }
        tree.insert(&path, index)?;
    }
    Ok(tree)
}

/// The path of each directory, with a slash behind all but the root's.
fn paths(directories: &[Directory<'_, usize>]) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(directories.len());
    for directory in directories {
        let path = match out.get(directory.parent) {
            Some(parent) => format!("{parent}{}/", directory.name),
            None => String::new(),
        };
        out.push(path);
    }
    out
}

/// Clusters of everything.
struct Places<'a> {
    /// By index of directory; the root of FAT12 and FAT16 has none.
    directories: Vec<Option<Chain>>,
    /// By index of file.
    files: Vec<Option<PlacedFile<'a>>>,
    /// First cluster behind all chains.
    next: u64,
}

struct PlacedFile<'a> {
    path: String,
    file: &'a FatFile,
    /// None for an empty file.
    chain: Option<Chain>,
}

impl Places<'_> {
    /// All chains, ascending.
    fn chains(&self) -> Vec<Chain> {
        let directories = self.directories.iter().flatten().copied();
        let files = self.files.iter().flatten().filter_map(|placed| placed.chain);
        let mut all: Vec<Chain> = directories.chain(files).collect();
        all.sort_by_key(|chain| chain.first);
        all
    }
}

/// Gives out clusters from the first one on: the directories, then the files one behind the other.
fn allocate<'a>(
    geometry: &Geometry,
    directories: &[Directory<'_, usize>],
    paths: &[String],
    files: &'a [FatFile],
) -> Result<Places<'a>, FatError> {
    let cluster = geometry.cluster_bytes();
    let mut places = Places { directories: Vec::new(), files: Vec::new(), next: FIRST_CLUSTER };
    places.files.resize_with(files.len(), || None);
    for (index, (directory, path)) in directories.iter().zip(paths).enumerate() {
        let count = entry_count(index, directory);
        let is_fixed = index == 0 && geometry.width != Width::Fat32;
        if count > if is_fixed { ROOT_ENTRIES } else { MAX_ENTRIES } {
            return Err(FatError::DirectorySize(path.clone()));
        }
        places.directories.push((!is_fixed).then(|| {
            let chain = Chain { first: places.next, clusters: (count * ENTRY_LEN).div_ceil(cluster) };
            places.next += chain.clusters;
            chain
        }));
    }
    let step = (FILE_ALIGNMENT / cluster).max(1);
    for (directory, path) in directories.iter().zip(paths) {
        for (name, child) in &directory.entries {
            let Child::File(index) = child else { continue };
            let (Some(file), Some(place)) = (files.get(**index), places.files.get_mut(**index)) else {
                continue;
            };
            let chain = (!file.content.is_empty()).then(|| {
                let first = (places.next - FIRST_CLUSTER).next_multiple_of(step) + FIRST_CLUSTER;
                let chain = Chain { first, clusters: file.content.len().div_ceil(cluster) };
                places.next = first + chain.clusters;
                chain
            });
            *place = Some(PlacedFile { path: format!("{path}{name}"), file, chain });
        }
    }
    let needed = places.next - FIRST_CLUSTER;
    if needed > geometry.clusters {
        return Err(FatError::NoRoom { needed: needed * cluster, available: geometry.clusters * cluster });
    }
    Ok(places)
}

/// Names with their short forms, in the order of the directory.
fn short_names(directory: &Directory<'_, usize>) -> Vec<(ShortName, bool)> {
    names::short_names(directory.entries.iter().map(|(name, _)| *name))
}

fn entry_count(index: usize, directory: &Directory<'_, usize>) -> u64 {
    let shorts = short_names(directory);
    let named = directory.entries.iter().zip(&shorts);
    let own = if index == 0 { 1 } else { 2 };
    own + named.map(|((name, _), (_, is_long))| entries_of(name, *is_long)).sum::<u64>()
}

/// The bytes of a directory.
fn entries(
    index: usize,
    directory: &Directory<'_, usize>,
    places: &Places<'_>,
    stamp: Stamp,
    label: &ShortName,
) -> Vec<u8> {
    let first = |chain: Option<Chain>| chain.map_or(0, |chain| chain.first as u32);
    let directory_cluster = |index: usize| first(places.directories.get(index).copied().flatten());
    let mut out = Entries::new(stamp);
    if index == 0 {
        out.short(label, attribute::VOLUME_LABEL, 0, 0);
    } else {
        // The root counts as cluster 0 for those directly below it, also on FAT32.
        let parent = if directory.parent == 0 { 0 } else { directory_cluster(directory.parent) };
        out.short(b".          ", attribute::DIRECTORY, directory_cluster(index), 0);
        out.short(b"..         ", attribute::DIRECTORY, parent, 0);
    }
    for ((name, child), (short, is_long)) in directory.entries.iter().zip(short_names(directory)) {
        if is_long {
            out.long(name, &short);
        }
        match child {
            Child::Directory(inner) => out.short(&short, attribute::DIRECTORY, directory_cluster(*inner), 0),
            Child::File(index) => {
                let Some(Some(placed)) = places.files.get(**index) else { continue };
                let read_only = if placed.file.read_only { attribute::READ_ONLY } else { 0 };
                let size = placed.file.content.len() as u32;
                out.short(&short, attribute::ARCHIVE | read_only, first(placed.chain), size);
            }
        }
    }
    out.into_bytes()
}
