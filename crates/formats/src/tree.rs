//! Directory trees made of paths, as the file system writers take them.

use std::collections::BTreeMap;

/// A directory with everything below it, sorted bytewise by name.
#[derive(Clone, Debug)]
pub struct Tree<T> {
    entries: BTreeMap<String, Node<T>>,
}

/// A file or a directory.
#[derive(Clone, Debug)]
pub enum Node<T> {
    /// A file with what the writer needs to know about it.
    File(T),
    /// A directory.
    Directory(Tree<T>),
}

/// A path that cannot be added to a tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// Not of the form `a/b/c`.
    #[error("{0:?} is not a path inside an image: expected names joined by \"/\"")]
    InvalidPath(String),
    /// More than [`MAX_DEPTH`] names.
    #[error("{0:?} is nested too deep: at most {MAX_DEPTH} names in a path")]
    TooDeep(String),
    /// The path is taken, or a directory of it is a file.
    #[error("{0:?} is there already, or a part of it is a file")]
    Taken(String),
}

/// Names in the longest path. What goes into images has four; the bound keeps recursion shallow.
pub const MAX_DEPTH: usize = 16;

/// One directory of [`Tree::directories`].
#[derive(Debug)]
pub struct Directory<'a, T> {
    /// Index of the directory that holds this one; the root holds itself.
    pub parent: usize,
    /// Name, empty for the root.
    pub name: &'a str,
    /// What it holds, sorted bytewise by name.
    pub entries: Vec<(&'a str, Child<'a, T>)>,
}

/// An entry of a [`Directory`].
#[derive(Debug)]
pub enum Child<'a, T> {
    /// A file.
    File(&'a T),
    /// The directory with this index.
    Directory(usize),
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new() }
    }
}

impl<T> Tree<T> {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is directly inside.
    pub fn entries(&self) -> &BTreeMap<String, Node<T>> {
        &self.entries
    }

    /// Adds a file and the directories on the way to it.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn insert(&mut self, path: &str, file: T) -> Result<(), TreeError> {
        let (parents, name) = split(path)?;
        let directory = self.descend(path, &parents)?;
        if directory.entries.contains_key(name) {
            return Err(TreeError::Taken(path.to_owned()));
        }
        directory.entries.insert(name.to_owned(), Node::File(file));
        Ok(())
    }

    fn descend(&mut self, path: &str, names: &[&str]) -> Result<&mut Self, TreeError> {
        let mut at = self;
        for name in names {
            let entry = at.entries.entry((*name).to_owned());
            match entry.or_insert_with(|| Node::Directory(Self::new())) {
                Node::Directory(directory) => at = directory,
                Node::File(_) => return Err(TreeError::Taken(path.to_owned())),
            }
        }
        Ok(at)
    }

    /// All directories: the root first, then level by level, each level in order of its paths.
    pub fn directories(&self) -> Vec<Directory<'_, T>> {
        let mut out = vec![Directory { parent: 0, name: "", entries: Vec::new() }];
        let mut trees = vec![self];
        let mut index = 0;
        while let Some(tree) = trees.get(index) {
            let mut entries = Vec::with_capacity(tree.entries.len());
            let mut found = Vec::new();
            for (name, node) in &tree.entries {
                match node {
                    Node::File(file) => entries.push((name.as_str(), Child::File(file))),
                    Node::Directory(inner) => {
                        entries.push((name.as_str(), Child::Directory(out.len())));
                        out.push(Directory { parent: index, name, entries: Vec::new() });
                        found.push(inner);
                    }
                }
            }
            trees.extend(found);
            if let Some(directory) = out.get_mut(index) {
                directory.entries = entries;
            }
            index += 1;
        }
        out
    }
}

/// The directories on the way, and the last name.
pub(crate) fn split(path: &str) -> Result<(Vec<&str>, &str), TreeError> {
    let mut names: Vec<&str> = path.split('/').collect();
    if names.iter().any(|name| matches!(*name, "" | "." | "..") || name.contains('\0')) {
        return Err(TreeError::InvalidPath(path.to_owned()));
    }
    if names.len() > MAX_DEPTH {
        return Err(TreeError::TooDeep(path.to_owned()));
    }
    let name = names.pop().ok_or_else(|| TreeError::InvalidPath(path.to_owned()))?;
    Ok((names, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> Result<Tree<usize>, TreeError> {
        let mut tree = Tree::new();
        for (i, path) in paths.iter().enumerate() {
            tree.insert(path, i)?;
        }
        Ok(tree)
    }

    #[test]
    fn directories_come_level_by_level() {
        let tree = tree(&["b/y/1", "a/x/2", "b/3", "c", "a/x/1"]).unwrap();
        let all = tree.directories();
        let names: Vec<_> = all.iter().map(|d| (d.name, d.parent)).collect();
        assert_eq!(names, [("", 0), ("a", 0), ("b", 0), ("x", 1), ("y", 2)]);
        let root: Vec<_> = all[0].entries.iter().map(|(name, _)| *name).collect();
        assert_eq!(root, ["a", "b", "c"]);
        assert!(matches!(all[1].entries[..], [("x", Child::Directory(3))]));
        assert!(matches!(all[3].entries[..], [("1", Child::File(4)), ("2", Child::File(1))]));
    }

    #[test]
    fn bad_paths_are_refused() {
        for path in ["", "/a", "a/", "a//b", "a/../b", ".", "a\0b"] {
            assert_eq!(tree(&[path]).unwrap_err(), TreeError::InvalidPath(path.to_owned()));
        }
        let deep = ["d"; MAX_DEPTH + 1].join("/");
        assert_eq!(tree(&[&deep]).unwrap_err(), TreeError::TooDeep(deep.clone()));
        assert_eq!(tree(&["a/b", "a/b"]).unwrap_err(), TreeError::Taken("a/b".to_owned()));
        assert_eq!(tree(&["a/b", "a"]).unwrap_err(), TreeError::Taken("a".to_owned()));
        assert_eq!(tree(&["a", "a/b"]).unwrap_err(), TreeError::Taken("a/b".to_owned()));
    }
}
