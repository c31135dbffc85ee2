//! Going over all layers, topmost first, and giving what is visible to a sink.

use std::collections::BTreeMap;

use super::entry::{Entry, EntryKind};
use super::shade::{Meaning, Shade, Verdict, meaning};
use super::stream::{Budget, Content, fault, walk};
use super::{EntryFault, Layers, LayersError, Limits, Note};
use crate::file_tree::{Attributes, TreePath};

/// Passes over layers that hard links may cost besides one for each layer.
const EXTRA_PASSES: usize = 8;

/// What takes the visible entries.
pub(super) trait Sink {
    /// Whether files at this path are of interest.
    fn wants(&self, path: &TreePath) -> bool;

    /// Whether entries that make no sense are errors; else they are left out.
    fn is_strict(&self) -> bool;

    /// A file with one or, when they are hard links, more names.
    fn file(
        &mut self,
        paths: &[TreePath],
        attributes: Attributes,
        size: u64,
        content: &mut Content<'_>,
    ) -> Result<(), LayersError>;

    fn symlink(&mut self, paths: &[TreePath], attributes: Attributes, target: &str);

    /// A directory; `None` is the root.
    fn directory(&mut self, path: Option<&TreePath>, attributes: Attributes);

    /// Another name for what the sink already has at `target`. `false` when it cannot.
    fn link(&mut self, path: &TreePath, target: &TreePath) -> bool;
}

/// A hard link whose target was not at hand: names by target.
type OpenLinks = BTreeMap<TreePath, Vec<TreePath>>;

struct Flattening<'a, S> {
    sink: &'a mut S,
    limits: &'a Limits,
    shade: Shade,
    /// Bytes of targets, labels and notes; the shade counts names.
    text: u64,
    root_seen: bool,
    /// By the topmost layer in which the target can be.
    open_links: BTreeMap<usize, OpenLinks>,
    notes: Vec<Note>,
}

/// Gives every visible entry to `sink`, then what hard links lead to.
pub(super) fn flatten<S: Sink>(
    layers: &dyn Layers,
    limits: &Limits,
    sink: &mut S,
) -> Result<Vec<Note>, LayersError> {
    let mut all = Flattening {
        sink,
        limits,
        shade: Shade::default(),
        text: 0,
        root_seen: false,
        open_links: BTreeMap::new(),
        notes: Vec::new(),
    };
    let budget = Budget::new(limits);
    for layer in (0..layers.count()).rev() {
        walk(layers, layer, &budget, &mut |entry, content| all.entry(layer, entry, content))?;
        all.shade.next_layer();
    }
    all.resolve_links(layers)?;
    Ok(all.notes)
}

impl<S: Sink> Flattening<'_, S> {
    fn entry(&mut self, layer: usize, entry: Entry, content: &mut Content<'_>) -> Result<(), LayersError> {
        let is_directory = matches!(entry.kind, EntryKind::Directory);
        let Some(path) = &entry.path else {
            if is_directory && !std::mem::replace(&mut self.root_seen, true) {
                self.sink.directory(None, entry.attributes);
            }
            return Ok(());
        };
        match meaning(path) {
            Meaning::Entry => {}
            Meaning::Reserved => return Ok(()),
            deletion => {
                self.shade.delete(path, deletion);
                return self.count(0);
            }
        }
        match self.shade.judge(path, is_directory, layer) {
            Verdict::Visible => {}
            Verdict::BelowNonDirectory if self.sink.is_strict() => {
                return Err(fault(layer, &entry.name, EntryFault::BelowNonDirectory));
            }
            Verdict::Hidden | Verdict::BelowNonDirectory => return Ok(()),
        }
        self.count(entry.attributes.label.as_ref().map_or(0, String::len))?;
        if !entry.dropped.is_empty() {
            self.count(entry.dropped.iter().map(String::len).sum())?;
            self.notes.push(Note::AttributesDropped { path: path.clone(), names: entry.dropped });
        }
        match entry.kind {
            EntryKind::Directory => self.sink.directory(Some(path), entry.attributes),
            EntryKind::File if self.sink.wants(path) => {
                self.sink.file(std::slice::from_ref(path), entry.attributes, entry.size, content)?;
            }
            EntryKind::File => {}
            EntryKind::Symlink(target) => {
                self.count(target.len())?;
                match path.resolve_link(&target) {
                    Ok(_) if !target.is_empty() && !target.contains('\0') => {
                        self.sink.symlink(std::slice::from_ref(path), entry.attributes, &target);
                    }
                    _ => self.notes.push(Note::LinkDropped { path: path.clone(), target }),
                }
            }
            EntryKind::HardLink(target) => {
                self.count(target.len())?;
                match TreePath::clean(target.trim_start_matches('/')) {
                    Ok(Some(target)) => self.hard_link(layer, path, target),
                    _ => self.notes.push(Note::LinkDropped { path: path.clone(), target }),
                }
            }
            EntryKind::Special(what) if self.sink.is_strict() => {
                return Err(fault(layer, &entry.name, EntryFault::Special(what)));
            }
            EntryKind::Special(_) => {}
        }
        Ok(())
    }

    /// Counts remembered texts, and looks whether everything remembered is too much.
    fn count(&mut self, text: usize) -> Result<(), LayersError> {
        self.text += text as u64;
        let limit = self.limits.metadata_bytes;
        if self.text + self.shade.cost() > limit { Err(LayersError::TooMuchMetadata(limit)) } else { Ok(()) }
    }

    fn hard_link(&mut self, layer: usize, path: &TreePath, target: TreePath) {
        // A target of the same layer is what tar writers mean. Is it hidden by a layer above, the link
        // still leads to the hidden file, which has to be fetched by another pass.
        let at_hand = self.shade.is_leaf_of(&target, layer) && self.sink.link(path, &target);
        if !at_hand && self.sink.wants(path) {
            self.open_links.entry(layer).or_default().entry(target).or_default().push(path.clone());
        }
    }

    /// Reads the layers with targets again, from the top down.
    fn resolve_links(&mut self, layers: &dyn Layers) -> Result<(), LayersError> {
        let mut passes = layers.count() + EXTRA_PASSES;
        while let Some((layer, mut open)) = self.open_links.pop_last() {
            let budget = Budget::new(self.limits);
            let mut chained = OpenLinks::new();
            let sink = &mut *self.sink;
            walk(layers, layer, &budget, &mut |entry, content| {
                let Some((target, paths)) = entry.path.and_then(|path| open.remove_entry(&path)) else {
                    return Ok(());
                };
                match entry.kind {
                    EntryKind::File => return sink.file(&paths, entry.attributes, entry.size, content),
                    EntryKind::Symlink(to) => sink.symlink(&paths, entry.attributes, &to),
                    EntryKind::HardLink(next) => match TreePath::clean(next.trim_start_matches('/')) {
                        Ok(Some(next)) => chained.entry(next).or_default().extend(paths),
                        _ => return Err(dead_link(&paths, &target)),
                    },
                    EntryKind::Directory | EntryKind::Special(_) => return Err(dead_link(&paths, &target)),
                }
                Ok(())
            })?;
            passes -= 1;
            self.look_on(layer, passes > 0, chained)?;
            self.look_on(layer.wrapping_sub(1), layer > 0 && passes > 0, open)?;
        }
        Ok(())
    }

    /// Notes that links still lead nowhere and that `layer` is the next place to look, if there is one.
    fn look_on(&mut self, layer: usize, possible: bool, links: OpenLinks) -> Result<(), LayersError> {
        for (target, paths) in links {
            if !possible {
                return Err(dead_link(&paths, &target));
            }
            self.open_links.entry(layer).or_default().entry(target).or_default().extend(paths);
        }
        Ok(())
    }
}

fn dead_link(paths: &[TreePath], target: &TreePath) -> LayersError {
    LayersError::DeadLink { link: paths.first().unwrap_or(target).clone(), target: target.clone() }
}
