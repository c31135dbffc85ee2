//! Scratch files in a directory.

use std::io;
use std::path::PathBuf;

use factory_domain::ports::{Scratch, ScratchFile};

/// Gives files without a name in a directory, so nothing is left behind however the process ends.
#[derive(Clone, Debug)]
pub struct ScratchDirectory {
    path: PathBuf,
}

impl ScratchDirectory {
    /// Scratch space in this directory, which must exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl Scratch for ScratchDirectory {
    fn file(&self) -> io::Result<Box<dyn ScratchFile>> {
        Ok(Box::new(tempfile::tempfile_in(&self.path)?))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom, Write};

    use super::*;

    #[test]
    fn a_scratch_file_has_no_name() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = ScratchDirectory::new(directory.path()).file().unwrap();
        file.write_all(b"abc").unwrap();
        file.seek(SeekFrom::Start(1)).unwrap();
        let mut rest = String::new();
        file.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "bc");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
