//! A whole volume.

use std::collections::BTreeMap;

use super::format::{BLOCK, CHUNK, LOG_GROUP, MAX_EXTENT};
use super::geometry::{Geometry, Stretch};
use super::headers::{Totals, group_head, log_record};
use super::inodes::{Entry, Extent, Format, Inode, MAX_EXTENTS, directory_fork, free_inode};
use crate::Layout;
use crate::canvas::{Canvas, CanvasError};
use crate::gpt::Guid;
use crate::sector::SectorSize;
use crate::tree::{Child, Directory, Tree, TreeError};

/// A volume to be written.
#[derive(Clone, Debug)]
pub struct XfsOptions {
    /// Length in bytes, a multiple of 4096 and at least about 260 MiB, as the log alone has 64 MiB.
    pub size: u64,
    /// Sector size.
    pub sector: SectorSize,
    /// Label, at most 12 bytes.
    pub label: String,
    /// UUID.
    pub uuid: Guid,
    /// All times, in seconds since 1970.
    pub epoch: u64,
    /// Permissions of directories that differ from 0755, by path.
    pub directory_modes: BTreeMap<String, u16>,
}

/// A file to be written.
#[derive(Clone, Debug)]
pub struct XfsFile {
    /// Path such as `A/vmlinuz`; directories are made.
    pub path: String,
    /// Permissions.
    pub mode: u16,
    /// Content.
    pub content: Layout,
}

/// A volume that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XfsError {
    /// The size is odd, or too small for the log.
    #[error("an XFS volume of {0} bytes is not possible: it needs 260 MiB or more, and a multiple of 4096")]
    VolumeSize(u64),
    /// The label is too long.
    #[error("XFS label {0:?} is longer than 12 bytes")]
    Label(String),
    /// A path that cannot be added.
    #[error(transparent)]
    Path(#[from] TreeError),
    /// More files and directories than this minimal form has inodes for.
    #[error("{0} files and directories are too many for a boot volume")]
    Inodes(usize),
    /// A directory does not fit into its inode.
    #[error("directory {0:?} has too many or too long names for a boot volume")]
    DirectorySize(String),
    /// The content is too big for the volume.
    #[error("{path} has {size} bytes and does not fit into the XFS volume of {volume} bytes")]
    NoRoom {
        /// The first file that does not fit.
        path: String,
        /// Its length.
        size: u64,
        /// Bytes of the volume.
        volume: u64,
    },
    /// The pieces do not fit together.
    #[error(transparent)]
    Canvas(#[from] CanvasError),
}

/// Inodes that are neither file nor directory: realtime bitmap and summary.
const SPECIAL_INODES: u64 = 2;
const TYPE_DIRECTORY: u16 = 0o040_000;
const TYPE_FILE: u16 = 0o100_000;
const PERMISSIONS: u16 = 0o7777;

/// Writes a volume with these files, owned by root.
///
/// # Errors
/// See [`XfsError`].
pub fn volume(options: &XfsOptions, files: &[XfsFile]) -> Result<Layout, XfsError> {
    let geometry =
        Geometry::choose(options.size, options.sector).ok_or(XfsError::VolumeSize(options.size))?;
    if options.label.len() > 12 {
        return Err(XfsError::Label(options.label.clone()));
    }
    let mut tree = Tree::new();
    for file in files {
        tree.insert(&file.path, file)?;
    }
    let directories = tree.directories();
    let numbers = Numbers::give(&geometry, &directories);
    if numbers.used > CHUNK {
        return Err(XfsError::Inodes(directories.len() + files.len()));
    }

    let mut space = FreeSpace::new(&geometry);
    let mut canvas = Canvas::new(options.size);
    let mut inodes = Inodes { options, bytes: BTreeMap::new() };
    inodes.add(&special(geometry.root_inode() + 1, 4));
    inodes.add(&special(geometry.root_inode() + 2, 0));
    for (index, directory) in directories.iter().enumerate() {
        let path = path_of(&directories, index);
        inodes.add_directory(&path, index, directory, &numbers)?;
        for (position, (name, child)) in directory.entries.iter().enumerate() {
            let Child::File(file) = child else { continue };
            let extents = space.take(&file.content, &geometry).ok_or_else(|| XfsError::NoRoom {
                path: format!("{path}{name}"),
                size: file.content.len(),
                volume: options.size,
            })?;
            for (stretch, content) in &extents {
                let offset = geometry.offset(stretch.group, stretch.start);
                canvas.put(offset, file.path.clone(), content.clone());
            }
            inodes.add_file(file, numbers.of_entry(index, position), &extents, &geometry);
        }
    }
    let totals = Totals {
        uuid: options.uuid,
        label: options.label.clone().into_bytes(),
        used_inodes: numbers.used,
        free: space.free,
    };
    for free in &totals.free {
        let head = Layout::from_bytes(group_head(&geometry, &totals, free));
        canvas.put(geometry.offset(free.group, 0), "allocation group", head);
    }
    let chunk = inodes.chunk(&geometry);
    canvas.put(geometry.offset(0, geometry.data_start()), "inodes", Layout::from_bytes(chunk));
    let log = Layout::from_bytes(log_record(&geometry, options.uuid));
    canvas.put(geometry.offset(LOG_GROUP, geometry.data_start()), "log", log);
    Ok(canvas.build()?)
}

/// The path of a directory, with a slash behind all but the root's.
fn path_of(directories: &[Directory<'_, &XfsFile>], index: usize) -> String {
    match directories.get(index) {
        Some(directory) if index != 0 => {
            format!("{}{}/", path_of(directories, directory.parent), directory.name)
        }
        _ => String::new(),
    }
}

/// Inode numbers: the root, the special ones, then directory by directory what each holds.
struct Numbers {
    /// By index of directory.
    directories: Vec<u64>,
    /// By index of directory and position inside it.
    entries: Vec<Vec<u64>>,
    /// Inodes in use.
    used: u64,
}

impl Numbers {
    fn give(geometry: &Geometry, directories: &[Directory<'_, &XfsFile>]) -> Self {
        let root = geometry.root_inode();
        let mut next = root + 1 + SPECIAL_INODES;
        let mut numbers = Self { directories: vec![root; directories.len()], entries: Vec::new(), used: 0 };
        for directory in directories {
            let mut own = Vec::with_capacity(directory.entries.len());
            for (_, child) in &directory.entries {
                if let Child::Directory(index) = child
                    && let Some(number) = numbers.directories.get_mut(*index)
                {
                    *number = next;
                }
                own.push(next);
                next += 1;
            }
            numbers.entries.push(own);
        }
        numbers.used = next - root;
        numbers
    }

    fn of_directory(&self, index: usize) -> u64 {
        self.directories.get(index).copied().unwrap_or_default()
    }

    fn of_entry(&self, directory: usize, position: usize) -> u64 {
        self.entries.get(directory).and_then(|own| own.get(position)).copied().unwrap_or_default()
    }
}

/// What each group still has free.
struct FreeSpace {
    free: [Stretch; super::format::GROUPS as usize],
}

impl FreeSpace {
    fn new(geometry: &Geometry) -> Self {
        Self { free: geometry.free() }
    }

    /// Takes blocks for a file, group after group, the one with the log last; `None` when they are
    /// not enough. Pairs each stretch with the content that goes there.
    fn take(&mut self, content: &Layout, geometry: &Geometry) -> Option<Vec<(Stretch, Layout)>> {
        const ORDER: [usize; 4] = [0, 1, 3, LOG_GROUP as usize];
        let mut left = content.len().div_ceil(BLOCK);
        let mut done = 0;
        let mut out = Vec::new();
        for group in ORDER {
            let free = self.free.get_mut(group)?;
            while left > 0 && free.blocks > 0 {
                let blocks = left.min(free.blocks).min(MAX_EXTENT);
                let piece = content.slice(done * BLOCK, (done + blocks) * BLOCK);
                out.push((Stretch { group: group as u64, start: free.start, blocks }, piece));
                free.start += blocks;
                free.blocks -= blocks;
                left -= blocks;
                done += blocks;
            }
        }
        debug_assert!(self.free.iter().all(|free| free.start <= geometry.blocks_of(free.group)));
        (left == 0 && out.len() <= MAX_EXTENTS).then_some(out)
    }
}

/// Inodes by number.
struct Inodes<'a> {
    options: &'a XfsOptions,
    bytes: BTreeMap<u64, Vec<u8>>,
}

impl Inodes<'_> {
    fn add(&mut self, inode: &Inode<'_>) {
        self.bytes.insert(inode.number, inode.to_bytes(self.options.uuid, self.options.epoch));
    }

    fn add_directory(
        &mut self,
        path: &str,
        index: usize,
        directory: &Directory<'_, &XfsFile>,
        numbers: &Numbers,
    ) -> Result<(), XfsError> {
        let entries: Vec<Entry<'_>> = directory
            .entries
            .iter()
            .enumerate()
            .map(|(position, (name, child))| Entry {
                name,
                is_directory: matches!(child, Child::Directory(_)),
                inode: numbers.of_entry(index, position),
            })
            .collect();
        let subdirectories = entries.iter().filter(|entry| entry.is_directory).count();
        let fork = directory_fork(numbers.of_directory(directory.parent), &entries)
            .ok_or_else(|| XfsError::DirectorySize(path.to_owned()))?;
        let mode = self.options.directory_modes.get(path.trim_end_matches('/')).copied().unwrap_or(0o755);
        self.add(&Inode {
            number: numbers.of_directory(index),
            mode: TYPE_DIRECTORY | (mode & PERMISSIONS),
            format: Format::Local,
            links: 2 + subdirectories as u32,
            size: fork.len() as u64,
            blocks: 0,
            extents: 0,
            flags: 0,
            fork: &fork,
        });
        Ok(())
    }

    fn add_file(&mut self, file: &XfsFile, number: u64, extents: &[(Stretch, Layout)], geometry: &Geometry) {
        let mut fork = Vec::with_capacity(extents.len() * 16);
        let mut file_block = 0;
        for (stretch, _) in extents {
            let block = geometry.block_number(stretch.group, stretch.start);
            fork.extend(Extent { file_block, block, len: stretch.blocks }.to_bytes());
            file_block += stretch.blocks;
        }
        self.add(&Inode {
            number,
            mode: TYPE_FILE | (file.mode & PERMISSIONS),
            format: Format::Extents,
            links: 1,
            size: file.content.len(),
            blocks: file_block,
            extents: extents.len() as u32,
            flags: 0,
            fork: &fork,
        });
    }

    /// All inodes of the chunk, free ones too.
    fn chunk(mut self, geometry: &Geometry) -> Vec<u8> {
        let root = geometry.root_inode();
        let uuid = self.options.uuid;
        let all = (root..root + CHUNK)
            .flat_map(|number| self.bytes.remove(&number).unwrap_or_else(|| free_inode(number, uuid)));
        all.collect()
    }
}

/// An empty file that nobody names: the realtime device's bookkeeping.
fn special(number: u64, flags: u16) -> Inode<'static> {
    Inode {
        number,
        mode: TYPE_FILE,
        format: Format::Extents,
        links: 1,
        size: 0,
        blocks: 0,
        extents: 0,
        flags,
        fork: &[],
    }
}
