//! A whole image from a file tree and an EFI system partition.

use bytes::Bytes;

use super::BLOCK;
use super::descriptors::{Primary, boot_record, terminator};
use super::directory::{Order, Place, Places, announcement, date, directory, name_fits, path_table};
use super::eltorito::catalog;
use super::system_area::{self, Extents, PartitionScheme};
use super::tree::{IsoDirectory, arrange};
use crate::Layout;
use crate::canvas::{Canvas, CanvasError};
use crate::grub::{GrubImageError, eltorito_image, hybrid_boot_code};
use crate::tree::{Tree, TreeError};

/// Properties of an image.
#[derive(Clone, Debug)]
pub struct IsoOptions {
    /// Volume id, see [`super::volume_id`].
    pub volume_id: String,
    /// Volume set id, at most 128 bytes.
    pub volume_set_id: String,
    /// All dates, in seconds since 1970.
    pub epoch: u64,
    /// The text that the GUIDs of the partition table are made from.
    pub guid_label: String,
    /// Partition table.
    pub scheme: PartitionScheme,
}

/// Where a file's bytes are.
#[derive(Clone, Debug)]
pub enum IsoContent {
    /// In blocks of its own.
    Own(Layout),
    /// Inside the EFI system partition. When the offset is no multiple of 2048 they are copied.
    InEsp {
        /// First byte, from the partition's start.
        offset: u64,
        /// Length.
        len: u64,
    },
}

/// A file of the ISO 9660 tree.
#[derive(Clone, Debug)]
pub struct IsoFile {
    /// Path such as `boot/vmlinuz`.
    pub path: String,
    /// Content.
    pub content: IsoContent,
}

/// GRUB for BIOS machines.
#[derive(Clone, Debug)]
pub struct BiosBoot {
    /// GRUB's image for CDs; becomes the file `boot/grub/i386-pc/eltorito.img`.
    pub eltorito: Bytes,
    /// GRUB's `boot_hybrid.img`, which starts that image when the medium is a disk.
    pub boot_hybrid: Bytes,
}

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct IsoParts {
    /// Files of the ISO 9660 tree.
    pub files: Vec<IsoFile>,
    /// EFI system partition.
    pub esp: Layout,
    /// Boot on BIOS machines.
    pub bios: Option<BiosBoot>,
}

/// A finished image.
#[derive(Clone, Debug)]
pub struct IsoImage {
    /// The bytes.
    pub layout: Layout,
    /// Where the EFI system partition begins.
    pub esp_offset: u64,
}

/// An image that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IsoError {
    /// A volume id or volume set id that does not fit its field.
    #[error("{0:?} cannot be a volume id: it is too long or not plain ASCII")]
    VolumeId(String),
    /// A path that cannot be added.
    #[error(transparent)]
    Path(#[from] TreeError),
    /// A name too long for a directory record.
    #[error("the name {0:?} is too long for an ISO image")]
    Name(String),
    /// A file of 4 GiB or more.
    #[error("{path} has {size} bytes, too many for a file of an ISO image")]
    FileSize {
        /// The file.
        path: String,
        /// Its length.
        size: u64,
    },
    /// A file that is said to be in the EFI system partition reaches beyond it.
    #[error("{0} lies outside the EFI system partition")]
    OutsideEsp(String),
    /// More than 65535 directories, or 8 TiB.
    #[error("the ISO image would be too big")]
    TooBig,
    /// GRUB's images are not what they should be.
    #[error(transparent)]
    Grub(#[from] GrubImageError),
    /// The pieces do not fit together.
    #[error(transparent)]
    Canvas(#[from] CanvasError),
}

/// Blocks of the descriptors.
const PRIMARY: u64 = 16;
const BOOT_RECORD: u64 = 17;
const TERMINATOR: u64 = 18;
const PATH_TABLES: u64 = 19;
/// The EFI system partition and the end are at multiples of 1 MiB.
const ALIGN_BLOCKS: u64 = (1 << 20) / BLOCK;
/// Room for the backup partition table: 33 sectors.
const TAIL_BLOCKS: u64 = 16;
/// Longest file, in one extent.
const MAX_FILE: u64 = (1 << 32) - BLOCK;
const ELTORITO_PATH: &str = "boot/grub/i386-pc/eltorito.img";

/// Makes the image.
///
/// # Errors
/// See [`IsoError`].
pub fn image(options: &IsoOptions, parts: &IsoParts) -> Result<IsoImage, IsoError> {
    check_ids(options)?;
    let files = contents(parts)?;
    let mut tree = Tree::new();
    for (index, file) in files.iter().enumerate() {
        tree.insert(&file.path, index)?;
    }
    let flat = tree.directories();
    let directories = arrange(&flat);
    check_names(&directories)?;
    let plan = Plan::new(&directories, &files, &parts.esp, options)?;

    let mut canvas = Canvas::new(plan.total * BLOCK);
    let mut put = |block: u64, what: &'static str, bytes: Vec<u8>| {
        canvas.put(block * BLOCK, what, Layout::from_bytes(bytes));
    };
    let eltorito = parts.bios.as_ref().and_then(|_| plan.files.last().copied()).map(|place| place.block);
    put(PRIMARY, "volume descriptor", plan.primary(options).to_bytes());
    put(BOOT_RECORD, "boot record", boot_record(plan.catalog as u32));
    put(TERMINATOR, "terminator", terminator());
    put(PATH_TABLES, "path table", path_table(&directories, &plan.directories, Order::Little));
    put(plan.path_table_big, "path table", path_table(&directories, &plan.directories, Order::Big));
    let places = plan.places(options);
    for (index, place) in plan.directories.iter().enumerate() {
        put(u64::from(place.block), "directory", directory(index, &directories, &places));
    }
    put(plan.continuation, "Rock Ridge announcement", announcement());
    put(plan.catalog, "boot catalog", catalog(eltorito, plan.esp as u32));
    for (file, place) in files.iter().zip(&plan.files) {
        let content = match &file.content {
            Content::InEsp { .. } => continue,
            Content::Own(content) => content.clone(),
            Content::Eltorito(image) => eltorito_image(image, place.block)?,
        };
        canvas.put(u64::from(place.block) * BLOCK, file.path.clone(), content);
    }
    canvas.put(plan.esp * BLOCK, "EFI system partition", parts.esp.clone());
    let code = match (&parts.bios, eltorito) {
        (Some(bios), Some(block)) => Some(hybrid_boot_code(&bios.boot_hybrid, block)?),
        _ => None,
    };
    system_area::put(&mut canvas, plan.extents(), options.scheme, &options.guid_label, code);
    Ok(IsoImage { layout: canvas.build()?, esp_offset: plan.esp * BLOCK })
}

fn check_ids(options: &IsoOptions) -> Result<(), IsoError> {
    for (id, limit) in [(&options.volume_id, 32), (&options.volume_set_id, 128)] {
        if id.len() > limit || !id.bytes().all(|byte| (b' '..0x7F).contains(&byte)) {
            return Err(IsoError::VolumeId(id.clone()));
        }
    }
    Ok(())
}

fn check_names(directories: &[IsoDirectory<'_>]) -> Result<(), IsoError> {
    if directories.len() > usize::from(u16::MAX) {
        return Err(IsoError::TooBig);
    }
    let mut entries = directories.iter().flat_map(|directory| &directory.entries);
    match entries.find(|entry| !name_fits(entry.name, &entry.identifier)) {
        Some(entry) => Err(IsoError::Name(entry.name.to_owned())),
        None => Ok(()),
    }
}

/// A file whose way of being stored is decided.
struct StoredFile {
    path: String,
    content: Content,
}

enum Content {
    Own(Layout),
    InEsp {
        block: u64,
        len: u64,
    },
    /// To be patched with its place.
    Eltorito(Bytes),
}

impl Content {
    fn len(&self) -> u64 {
        match self {
            Self::Own(content) => content.len(),
            Self::InEsp { len, .. } => *len,
            Self::Eltorito(image) => image.len() as u64,
        }
    }
}

/// The given files, and the El Torito image as the last one.
fn contents(parts: &IsoParts) -> Result<Vec<StoredFile>, IsoError> {
    let mut out = Vec::with_capacity(parts.files.len() + 1);
    for file in &parts.files {
        let content = match &file.content {
            IsoContent::Own(content) => Content::Own(content.clone()),
            IsoContent::InEsp { offset, len } => {
                let end = offset.checked_add(*len).filter(|end| *end <= parts.esp.len());
                let end = end.ok_or_else(|| IsoError::OutsideEsp(file.path.clone()))?;
                if offset.is_multiple_of(BLOCK) {
                    Content::InEsp { block: offset / BLOCK, len: *len }
                } else {
                    Content::Own(parts.esp.slice(*offset, end))
                }
            }
        };
        if content.len() > MAX_FILE {
            return Err(IsoError::FileSize { path: file.path.clone(), size: content.len() });
        }
        out.push(StoredFile { path: file.path.clone(), content });
    }
    out.extend(parts.bios.as_ref().map(|bios| StoredFile {
        path: ELTORITO_PATH.to_owned(),
        content: Content::Eltorito(bios.eltorito.clone()),
    }));
    Ok(out)
}

/// Blocks of everything.
struct Plan {
    path_table_len: usize,
    path_table_big: u64,
    directories: Vec<Place>,
    continuation: u64,
    catalog: u64,
    files: Vec<Place>,
    esp: u64,
    esp_end: u64,
    total: u64,
}

impl Plan {
    fn new(
        directories: &[IsoDirectory<'_>],
        files: &[StoredFile],
        esp: &Layout,
        options: &IsoOptions,
    ) -> Result<Self, IsoError> {
        let nowhere = vec![Place::default(); directories.len()];
        let path_table_len = path_table(directories, &nowhere, Order::Little).len();
        let path_table_big = PATH_TABLES + (path_table_len as u64).div_ceil(BLOCK);
        let mut next = path_table_big + (path_table_len as u64).div_ceil(BLOCK);
        let mut plan = Self {
            path_table_len,
            path_table_big,
            directories: Vec::new(),
            continuation: 0,
            catalog: 0,
            files: Vec::new(),
            esp: 0,
            esp_end: 0,
            total: 0,
        };
        let unplaced =
            Places { directories: &nowhere, files: &[], continuation: 0, date: date(options.epoch) };
        for index in 0..directories.len() {
            let size = directory(index, directories, &unplaced).len() as u64;
            plan.directories.push(place(next, size)?);
            next += size / BLOCK;
        }
        plan.continuation = next;
        plan.catalog = next + 1;
        next += 2;
        for file in files {
            let len = file.content.len();
            // The places of shared files are known only when the partition's is.
            let is_own = !matches!(file.content, Content::InEsp { .. });
            plan.files.push(place(if is_own && len > 0 { next } else { 0 }, len)?);
            next += if is_own { len.div_ceil(BLOCK) } else { 0 };
        }
        plan.esp = next.next_multiple_of(ALIGN_BLOCKS);
        plan.esp_end = plan.esp + esp.len().div_ceil(BLOCK);
        plan.total = (plan.esp_end + TAIL_BLOCKS).next_multiple_of(ALIGN_BLOCKS);
        u32::try_from(plan.total).map_err(|_| IsoError::TooBig)?;
        for (file, at) in files.iter().zip(&mut plan.files) {
            if let Content::InEsp { block, len } = file.content
                && len > 0
            {
                *at = place(plan.esp + block, len)?;
            }
        }
        Ok(plan)
    }

    fn places(&self, options: &IsoOptions) -> Places<'_> {
        Places {
            directories: &self.directories,
            files: &self.files,
            continuation: self.continuation as u32,
            date: date(options.epoch),
        }
    }

    fn primary<'a>(&self, options: &'a IsoOptions) -> Primary<'a> {
        Primary {
            volume_id: &options.volume_id,
            volume_set_id: &options.volume_set_id,
            blocks: self.total as u32,
            path_table_len: self.path_table_len as u32,
            path_table_little: PATH_TABLES as u32,
            path_table_big: self.path_table_big as u32,
            root: self.directories.first().copied().unwrap_or_default(),
            epoch: options.epoch,
        }
    }

    fn extents(&self) -> Extents {
        Extents { esp_start: self.esp, esp_end: self.esp_end, total: self.total }
    }
}

fn place(block: u64, size: u64) -> Result<Place, IsoError> {
    let narrow = |value| u32::try_from(value).map_err(|_| IsoError::TooBig);
    Ok(Place { block: narrow(block)?, size: narrow(size)? })
}
