//! Writing an image.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;

use super::Compressor;
use super::compress::Worker;
use super::data::{Contents, DataWriter, Duplicates};
use super::inode::{Common, DirectoryEntry, InodeType, Listing, listing};
use super::metadata::{Stream, table};
use super::superblock::{self, NO_TABLE, Superblock};
use super::xattr::Labels;
use crate::file_tree::{Attributes, FileTree, Node, NodeKind, Span, TreePath};

/// Time of the image and of everything in it: the release's source epoch, 2019-06-01T21:34:52Z.
const TIME: u32 = 1_559_424_892;
/// Images are filled up with zeros to a multiple of this, so that they can be loop-mounted.
const PADDING: u64 = 4096;
/// Number of the root directory's inode.
const ROOT: u32 = 1;
/// Longest name of a directory entry, in bytes.
const MAX_NAME: usize = 255;
/// Longest target of a symbolic link, in bytes.
const MAX_TARGET: usize = 4095;

/// How an image is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How blocks are compressed.
    pub compressor: Compressor,
    /// How many threads compress. The bytes do not depend on it.
    pub threads: NonZeroUsize,
}

/// A tree that cannot become an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A name that directories cannot hold.
    #[error("the name of {0} is longer than {MAX_NAME} bytes")]
    Name(TreePath),
    /// A link that the kernel would not read.
    #[error("the target of the link {0} is empty or longer than {MAX_TARGET} bytes")]
    Target(TreePath),
    /// More nodes than inode numbers.
    #[error("a squashfs image takes less than 2^32 files")]
    TooManyNodes,
    /// Reading a content, compressing or writing failed.
    #[error("squashfs image cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// Writes an image of a tree, whose contents are in `spool`, to `out` from its position on, and gives its
/// length in bytes. Memory is bounded by the number of nodes and some dozens of blocks.
///
/// # Errors
/// [`WriteError`] for names and links that no image can hold, and when reading or writing fails.
pub fn write<R: Read + Seek, W: Write + Seek>(
    tree: &FileTree<Span>,
    spool: &mut R,
    options: &Options,
    out: &mut W,
) -> Result<u64, WriteError> {
    check(tree)?;
    let base = out.stream_position()?;
    let head = superblock::options(options.compressor);
    out.write_all(&[0; superblock::LEN as usize])?;
    out.write_all(&head)?;
    let first_block = superblock::LEN + head.len() as u64;
    let (contents, files) = write_contents(tree, spool, options, first_block, out)?;

    let mut worker = Worker::new(options.compressor)?;
    let labels = labels(tree);
    let inodes = Inodes::new(tree, &labels, &contents, &files).write(&mut worker)?;
    let inode_table = contents.end;
    let directory_table = inode_table + inodes.inodes.len() as u64;
    out.write_all(&inodes.inodes)?;
    out.write_all(&inodes.directories)?;
    let mut at = directory_table + inodes.directories.len() as u64;

    // The kernel takes the start of each table as the end of the one before.
    let mut put = |(bytes, list): (Vec<u8>, u64)| -> io::Result<(u64, u64)> {
        out.write_all(&bytes)?;
        Ok((list, bytes.len() as u64))
    };
    let (fragment_table, len) = put(table(&fragment_records(&contents), at, &mut worker)?)?;
    at += len;
    let export: Vec<u8> = inodes.references.iter().flat_map(|inode| inode.to_le_bytes()).collect();
    let (export_table, len) = put(table(&export, at, &mut worker)?)?;
    at += len;
    let (ids, len) = put(table(&[0; 4], at, &mut worker)?)?;
    at += len;
    let mut xattrs = NO_TABLE;
    if let Some(table) = labels.table(at, &mut worker)? {
        let (list, len) = put(table)?;
        xattrs = list;
        at += len;
    }

    let length = at.next_multiple_of(PADDING);
    io::copy(&mut io::repeat(0).take(length - at), out)?;
    let superblock = Superblock {
        compressor: options.compressor,
        inodes: inodes.references.len() as u32,
        fragments: contents.fragments.len() as u32,
        root: inodes.root,
        bytes_used: at,
        ids,
        xattrs,
        inode_table,
        directory_table,
        fragment_table,
        export_table,
    };
    out.seek(SeekFrom::Start(base))?;
    out.write_all(&superblock.bytes(TIME))?;
    out.seek(SeekFrom::Start(base + length))?;
    Ok(length)
}

fn check(tree: &FileTree<Span>) -> Result<(), WriteError> {
    if u32::try_from(tree.len()).is_ok_and(|len| len < u32::MAX - 1) {
        for (path, node) in tree.iter() {
            if path.name().len() > MAX_NAME {
                return Err(WriteError::Name(path.clone()));
            }
            if let NodeKind::Symlink(target) = &node.kind
                && !(1..=MAX_TARGET).contains(&target.len())
            {
                return Err(WriteError::Target(path.clone()));
            }
        }
        return Ok(());
    }
    Err(WriteError::TooManyNodes)
}

fn labels(tree: &FileTree<Span>) -> Labels<'_> {
    let all = std::iter::once(tree.root()).chain(tree.iter().map(|(_, node)| &node.attributes));
    Labels::new(all.filter_map(|attributes| attributes.label.as_deref()))
}

/// Writes the contents of all files in order, equal ones once. Gives for each node of the tree the index
/// of its content; those of directories and links mean nothing.
fn write_contents<R: Read + Seek, W: Write>(
    tree: &FileTree<Span>,
    spool: &mut R,
    options: &Options,
    at: u64,
    out: &mut W,
) -> io::Result<(Contents, Vec<usize>)> {
    let span = |node: &Node<Span>| match node.kind {
        NodeKind::File(span) => Some(span),
        NodeKind::Directory | NodeKind::Symlink(_) => None,
    };
    let mut duplicates = Duplicates::new(tree.iter().filter_map(|(_, node)| span(node)));
    let mut data = DataWriter::new(out, at, options.compressor, options.threads);
    let mut files = Vec::with_capacity(tree.len());
    for (_, node) in tree.iter() {
        let Some(span) = span(node) else {
            files.push(0);
            continue;
        };
        files.push(match duplicates.find(span, spool)? {
            Ok(index) => index,
            Err(unseen) => {
                let index = data.file(span.len, &mut span.open(spool)?)?;
                duplicates.remember(unseen, index);
                index
            }
        });
    }
    Ok((data.finish()?, files))
}

/// Records of the fragment table: offset, stored size, nothing.
fn fragment_records(contents: &Contents) -> Vec<u8> {
    let record = |&(start, size): &(u64, u32)| {
        [&start.to_le_bytes()[..], &size.to_le_bytes(), &0u32.to_le_bytes()].concat()
    };
    contents.fragments.iter().flat_map(record).collect()
}

/// The tables of inodes and directories while they are made.
///
/// Nodes are numbered in order, behind the root. Their records are written in the opposite order, as the
/// record of a directory needs those of everything in it.
struct Inodes<'a> {
    tree: &'a FileTree<Span>,
    labels: &'a Labels<'a>,
    contents: &'a Contents,
    files: &'a [usize],
    inodes: Stream,
    directories: Stream,
    /// Reference of each inode by number, counted from 1.
    references: Vec<u64>,
    /// Entries of directories that were not written yet, the last name first.
    entries: BTreeMap<Option<TreePath>, Vec<DirectoryEntry>>,
}

struct InodeTables {
    inodes: Vec<u8>,
    directories: Vec<u8>,
    references: Vec<u64>,
    root: u64,
}

impl<'a> Inodes<'a> {
    fn new(
        tree: &'a FileTree<Span>,
        labels: &'a Labels<'a>,
        contents: &'a Contents,
        files: &'a [usize],
    ) -> Self {
        Self {
            tree,
            labels,
            contents,
            files,
            inodes: Stream::default(),
            directories: Stream::default(),
            references: vec![0; tree.len() + 1],
            entries: BTreeMap::new(),
        }
    }

    fn write(mut self, worker: &mut Worker) -> io::Result<InodeTables> {
        let tree = self.tree;
        let directories = tree.iter().zip(ROOT + 1..).filter(|((_, node), _)| node.is_directory());
        let numbers: BTreeMap<&TreePath, u32> = directories.map(|((path, _), n)| (path, n)).collect();
        for (index, ((path, node), &file)) in tree.iter().zip(self.files).enumerate().rev() {
            let number = ROOT + 1 + index as u32;
            let common = self.common(&node.attributes, number);
            let parent = path.parent();
            let (inode_type, record) = match &node.kind {
                NodeKind::Directory => {
                    let above = parent.as_ref().and_then(|p| numbers.get(p)).copied().unwrap_or(ROOT);
                    let listing = self.listing(Some(path.clone()), above, worker)?;
                    (InodeType::Directory, common.directory(&listing))
                }
                NodeKind::File(_) => (InodeType::File, common.file(&self.contents.files[file])),
                NodeKind::Symlink(target) => (InodeType::Symlink, common.symlink(target)),
            };
            let position = self.inodes.position();
            self.references[number as usize - 1] = position.reference();
            self.inodes.push(&record, worker)?;
            let entry = DirectoryEntry { name: path.name().to_owned(), inode_type, number, position };
            self.entries.entry(parent).or_default().push(entry);
        }
        // Nothing is above the root; the kernel wants a number that is no inode's.
        let above = self.references.len() as u32 + 1;
        let listing = self.listing(None, above, worker)?;
        let record = self.common(tree.root(), ROOT).directory(&listing);
        let root = self.inodes.position().reference();
        self.references[0] = root;
        self.inodes.push(&record, worker)?;
        let (inodes, _) = self.inodes.finish(worker)?;
        let (directories, _) = self.directories.finish(worker)?;
        Ok(InodeTables { inodes, directories, references: self.references, root })
    }

    fn common(&self, attributes: &Attributes, number: u32) -> Common {
        let xattr = self.labels.id(attributes.label.as_deref());
        Common { mode: attributes.mode, time: TIME, number, xattr }
    }

    fn listing(&mut self, path: Option<TreePath>, parent: u32, worker: &mut Worker) -> io::Result<Listing> {
        let mut entries = self.entries.remove(&path).unwrap_or_default();
        entries.reverse();
        let directories = entries.iter().filter(|entry| entry.inode_type == InodeType::Directory);
        let links = 2 + directories.count() as u32;
        let bytes = listing(&entries);
        let position = self.directories.position();
        self.directories.push(&bytes, worker)?;
        Ok(Listing { position, len: bytes.len() as u32, links, parent })
    }
}
