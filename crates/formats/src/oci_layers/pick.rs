//! Selected files of an image, streamed to their destinations.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::flatten::{Sink, flatten};
use super::stream::Content;
use super::{Layers, LayersError, Limits, Note};
use crate::file_tree::{Attributes, TreePath};

/// Says which files of an image to pick, and where they go.
pub trait Picker {
    /// A destination.
    type Writer: Write;

    /// Whether the regular file at this path is wanted.
    fn wants(&self, path: &TreePath) -> bool;

    /// A destination for the file at this path, which has `size` bytes.
    ///
    /// # Errors
    /// When there is none to be had; flattening ends with it.
    fn open(&mut self, path: &TreePath, size: u64) -> io::Result<Self::Writer>;

    /// Takes the destination back after all bytes were written to it.
    ///
    /// # Errors
    /// When the file cannot be kept; flattening ends with it.
    fn close(&mut self, path: &TreePath, writer: Self::Writer) -> io::Result<()>;
}

/// What was picked.
#[derive(Debug)]
pub struct Picked {
    /// The files with their lengths in bytes.
    pub files: BTreeMap<TreePath, u64>,
    /// What was left out on the way.
    pub notes: Vec<Note>,
}

/// Picks regular files out of the layers of an image. Links, directories and devices that are in the
/// way of nothing are passed over. Every layer is read to its end, so that its digest can be checked by
/// the reader beneath; until then nothing that was written may be trusted.
///
/// # Errors
/// [`LayersError`] when the layers hold what no image may hold, exceed the limits or cannot be read, and
/// when a destination fails.
pub fn pick_files<P: Picker>(
    layers: &dyn Layers,
    limits: &Limits,
    picker: &mut P,
) -> Result<Picked, LayersError> {
    let mut sink = PickSink { picker, files: BTreeMap::new() };
    let notes = flatten(layers, limits, &mut sink)?;
    Ok(Picked { files: sink.files, notes })
}

struct PickSink<'a, P> {
    picker: &'a mut P,
    files: BTreeMap<TreePath, u64>,
}

impl<P: Picker> Sink for PickSink<'_, P> {
    fn wants(&self, path: &TreePath) -> bool {
        self.picker.wants(path)
    }

    fn is_strict(&self) -> bool {
        false
    }

    fn file(
        &mut self,
        paths: &[TreePath],
        _: Attributes,
        size: u64,
        content: &mut Content<'_>,
    ) -> Result<(), LayersError> {
        let failed = |path: &TreePath| {
            let path = path.clone();
            move |source| LayersError::Write { path, source }
        };
        let mut open = Vec::new();
        for path in paths {
            open.push((path, self.picker.open(path, size).map_err(failed(path))?));
        }
        content.for_each(|bytes| {
            let mut each = open.iter_mut();
            each.try_for_each(|(path, writer)| writer.write_all(bytes).map_err(failed(path)))
        })?;
        for (path, writer) in open {
            self.picker.close(path, writer).map_err(failed(path))?;
            self.files.insert(path.clone(), size);
        }
        Ok(())
    }

    fn symlink(&mut self, _: &[TreePath], _: Attributes, _: &str) {}

    fn directory(&mut self, _: Option<&TreePath>, _: Attributes) {}

    fn link(&mut self, _: &TreePath, _: &TreePath) -> bool {
        // What was picked is out of reach.
        false
    }
}
