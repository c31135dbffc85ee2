//! Relative paths of a file system tree, cleaned and ordered as a walk meets them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A relative path with at least one component: `usr/lib/firmware`.
///
/// No component is empty, `.` or `..`, and none holds a NUL. Paths are ordered component by component,
/// byte-wise: a directory comes before what is in it, and that before the directory's next sibling.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TreePath(Box<str>);

/// A name that cannot be a path of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// It begins with a slash.
    #[error("is absolute")]
    Absolute,
    /// Its `..` lead out of the tree.
    #[error("leads out of the tree")]
    LeavesRoot,
    /// It holds a NUL.
    #[error("holds a NUL byte")]
    Nul,
    /// It names the root of the tree.
    #[error("names the root")]
    Root,
}

impl TreePath {
    /// Cleans a name lexically: drops `.` and doubled slashes, resolves `..`. `None` is the root itself.
    ///
    /// # Errors
    /// [`InvalidPath`] for absolute names, those that leave the root, and those with a NUL.
    pub fn clean(name: &str) -> Result<Option<Self>, InvalidPath> {
        if name.starts_with('/') {
            return Err(InvalidPath::Absolute);
        }
        if name.contains('\0') {
            return Err(InvalidPath::Nul);
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in name.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop().ok_or(InvalidPath::LeavesRoot)?;
                }
                other => parts.push(other),
            }
        }
        Ok((!parts.is_empty()).then(|| Self(parts.join("/").into())))
    }

    /// A path that this crate itself spells out.
    pub(crate) fn known(path: &'static str) -> Self {
        debug_assert_eq!(Self::clean(path).map(|p| p.map(|p| p.0)), Ok(Some(path.into())));
        Self(path.into())
    }

    /// A single component made of a number and a suffix.
    pub(crate) fn numbered(number: usize, suffix: &'static str) -> Self {
        debug_assert!(!suffix.contains(['/', '\0']));
        Self(format!("{number}{suffix}").into())
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components from the top.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The last component.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The directory that holds it; `None` when that is the root.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.into()))
    }

    /// All directories above it, the nearest first, without the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(), Self::parent)
    }

    /// Whether `self` is `directory` or lies below it.
    pub fn is_within(&self, directory: &Self) -> bool {
        self.0.strip_prefix(&*directory.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// What remains below `directory`; `None` when it is not below it.
    pub fn below(&self, directory: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(&*directory.0)?.strip_prefix('/')?;
        Some(Self(rest.into()))
    }

    /// `other` inside of `self`.
    pub fn join(&self, other: &Self) -> Self {
        Self(format!("{}/{}", self.0, other.0).into())
    }

    /// Where a symbolic link at this path leads to, without looking at any file system. `None` for the
    /// root.
    ///
    /// # Errors
    /// [`InvalidPath::LeavesRoot`] when a relative target leads out of the tree.
    pub fn resolve_link(&self, target: &str) -> Result<Option<Self>, InvalidPath> {
        match (target.strip_prefix('/'), self.parent()) {
            // The kernel stops `..` at the root of an absolute path; so does this.
            (Some(absolute), _) => Ok(clean_absolute(absolute)),
            (None, Some(parent)) => Self::clean(&format!("{parent}/{target}")),
            (None, None) => Self::clean(target),
        }
    }

    fn sort_key(&self) -> impl Iterator<Item = u8> {
        // NUL is in no name, so a slash that counts as NUL sorts below every other byte.
        self.0.bytes().map(|byte| if byte == b'/' { 0 } else { byte })
    }
}

fn clean_absolute(name: &str) -> Option<TreePath> {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    (!parts.is_empty()).then(|| TreePath(parts.join("/").into()))
}

impl FromStr for TreePath {
    type Err = InvalidPath;

    fn from_str(name: &str) -> Result<Self, InvalidPath> {
        Self::clean(name)?.ok_or(InvalidPath::Root)
    }
}

impl Ord for TreePath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.sort_key().cmp(other.sort_key())
    }
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(|reason| serde::de::Error::custom(format!("path {text:?} {reason}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_cleaned() {
        let clean = |name| TreePath::clean(name).map(|p| p.map(|p| p.to_string()));
        assert_eq!(clean("./a//b/./c/"), Ok(Some("a/b/c".into())));
        assert_eq!(clean("a/../b"), Ok(Some("b".into())));
        for root in ["", ".", "./", "a/.."] {
            assert_eq!(clean(root), Ok(None), "{root:?}");
        }
        for out in ["..", "a/../../b", "./../a"] {
            assert_eq!(clean(out), Err(InvalidPath::LeavesRoot), "{out:?}");
        }
        assert_eq!(clean("/etc"), Err(InvalidPath::Absolute));
        assert_eq!(clean("a\0b"), Err(InvalidPath::Nul));
        assert_eq!("./".parse::<TreePath>(), Err(InvalidPath::Root));
    }

    #[test]
    fn a_directory_is_followed_by_its_contents() {
        let mut paths = ["a-b", "a/z", "a", "b", "a/b/c", "a/b", "a.b", "a/b-c"].map(path);
        paths.sort();
        let order: Vec<_> = paths.iter().map(TreePath::as_str).collect();
        assert_eq!(order, ["a", "a/b", "a/b/c", "a/b-c", "a/z", "a-b", "a.b", "b"]);
    }

    #[test]
    fn parts_of_a_path() {
        let p = path("usr/lib/firmware");
        assert_eq!(p.name(), "firmware");
        assert_eq!(p.ancestors().map(|a| a.to_string()).collect::<Vec<_>>(), ["usr/lib", "usr"]);
        assert_eq!(p.below(&path("usr")), Some(path("lib/firmware")));
        assert_eq!(p.below(&path("usr/li")), None);
        assert!(p.is_within(&p) && p.is_within(&path("usr/lib")) && !p.is_within(&path("usr/lib/firm")));
    }

    #[test]
    fn links_resolve_lexically() {
        let link = path("usr/lib/a");
        assert_eq!(link.resolve_link("../b"), Ok(Some(path("usr/b"))));
        assert_eq!(link.resolve_link("../../../b"), Err(InvalidPath::LeavesRoot));
        assert_eq!(link.resolve_link("/../etc/./b"), Ok(Some(path("etc/b"))));
        assert_eq!(link.resolve_link("/"), Ok(None));
    }
}
