//! Writing one blob: hashed and checked on the way to the disk, visible only as a whole.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use factory_domain::ports::{BlobInfo, BlobKind, BlobRef, BlobWriter, StoreError};
use factory_formats::Digest;
use factory_formats::checksum::ChecksBuilder;
use factory_formats::encode::compression_pays;
use sha2::{Digest as _, Sha256};

use super::files::{remove_if_there, storage_failed};
use super::shared::Shared;

/// Bytes collected before they are handed to the operating system.
const BUFFER_BYTES: usize = 256 << 10;

/// What was announced about a blob.
#[derive(Clone, Copy)]
struct Expected {
    digest: Digest,
    size: u64,
}

/// Where the bytes go meanwhile.
enum Place {
    /// Removed unless committed.
    Temporary,
    /// Stays for the next attempt, and belongs to this writer alone.
    Partial(Digest),
}

/// A blob being written.
struct FileWriter {
    store: Arc<Shared>,
    kind: BlobKind,
    expected: Option<Expected>,
    place: Place,
    path: PathBuf,
    /// `None` once it is committed or given up.
    file: Option<BufWriter<File>>,
    position: u64,
    hash: Sha256,
    checks: ChecksBuilder,
    /// Whether the file is worth nothing to a later attempt.
    worthless: bool,
    /// Why nothing can be written any more.
    failure: Option<StoreError>,
}

/// A blob that is there already: nothing is left to write.
struct Complete(BlobRef);

/// Starts a blob of unknown digest.
pub(crate) fn create(store: &Arc<Shared>, kind: BlobKind) -> Result<Box<dyn BlobWriter>, StoreError> {
    let failed = |error: io::Error| storage_failed("making a temporary file", &error);
    let (path, file) = with_relief(store, || store.directory.create_temporary()).map_err(failed)?;
    Ok(Box::new(FileWriter::new(store, kind, None, Place::Temporary, path, file)))
}

/// Starts, or goes on with, a blob of known digest and size.
pub(crate) fn resume(
    store: &Arc<Shared>,
    kind: BlobKind,
    digest: &Digest,
    size: u64,
) -> Result<Box<dyn BlobWriter>, StoreError> {
    if let Some(existing) = store.reference(digest) {
        if existing.info.size != size {
            return Err(size_mismatch(size, existing.info.size));
        }
        return Ok(Box::new(Complete(existing)));
    }
    if !store.state().could_ever_fit(size) {
        let budget = store.state().usage().budget;
        let reason = format!("blob {digest} has {size} bytes and the budget is {budget}");
        return Err(StoreError::Full { reason });
    }
    let expected = Some(Expected { digest: *digest, size });
    let failed = |error: io::Error| storage_failed(&format!("going on with blob {digest}"), &error);
    let claimed = with_relief(store, || store.partials.claim(&store.directory, digest)).map_err(failed)?;
    match claimed {
        Some((path, file)) => {
            let place = Place::Partial(*digest);
            let mut writer = FileWriter::new(store, kind, expected, place, path, file);
            if let Err(error) = writer.take_over(size) {
                writer.worthless = true;
                return Err(failed(error));
            }
            Ok(Box::new(writer))
        }
        None => {
            let (path, file) = with_relief(store, || store.directory.create_temporary()).map_err(failed)?;
            Ok(Box::new(FileWriter::new(store, kind, expected, Place::Temporary, path, file)))
        }
    }
}

/// Tries once more when the disk was full and something could be given up.
fn with_relief<T>(store: &Arc<Shared>, mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    match work() {
        Err(error) if error.kind() == io::ErrorKind::StorageFull && store.relieve(BUFFER_BYTES as u64) => {
            work()
        }
        done => done,
    }
}

fn size_mismatch(expected: u64, got: u64) -> StoreError {
    StoreError::Mismatch { expected: format!("{expected} bytes"), got: format!("{got} bytes") }
}

impl FileWriter {
    fn new(
        store: &Arc<Shared>,
        kind: BlobKind,
        expected: Option<Expected>,
        place: Place,
        path: PathBuf,
        file: File,
    ) -> Self {
        Self {
            store: Arc::clone(store),
            kind,
            expected,
            place,
            path,
            file: Some(BufWriter::with_capacity(BUFFER_BYTES, file)),
            position: 0,
            hash: Sha256::new(),
            checks: ChecksBuilder::new(),
            worthless: false,
            failure: None,
        }
    }

    /// Gives the writer up and says why in the terms of [`io::Error`].
    fn fail(&mut self, failure: StoreError) -> io::Error {
        let kind = match failure {
            StoreError::Full { .. } => io::ErrorKind::StorageFull,
            StoreError::Mismatch { .. } => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        // A full disk needs the space, and bytes that are too many make the others suspicious.
        self.worthless = kind != io::ErrorKind::Other;
        self.failure = Some(failure.clone());
        io::Error::new(kind, failure)
    }

    /// Hashes what an earlier attempt left, and stands behind it.
    fn take_over(&mut self, size: u64) -> io::Result<()> {
        let Some(file) = self.file.as_mut() else { return Ok(()) };
        let file = file.get_mut();
        if file.metadata()?.len() > size {
            return file.set_len(0);
        }
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = file.read(&mut buffer)?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
            self.hash.update(bytes);
            self.checks.update(bytes);
            self.position += read as u64;
        }
    }

    /// Everything up to the moment at which the file could be published.
    fn finish(&mut self) -> Result<(File, BlobInfo, ChecksBuilder), StoreError> {
        let failed = |error: io::Error| storage_failed("finishing a blob", &error);
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let Some(mut buffered) = self.file.take() else {
            return Err(storage_failed("finishing a blob", &io::ErrorKind::BrokenPipe.into()));
        };
        with_relief(&self.store, || buffered.flush()).map_err(failed)?;
        let digest = Digest::from_bytes(std::mem::take(&mut self.hash).finalize().into());
        if let Some(expected) = self.expected {
            if self.position != expected.size {
                self.worthless = true;
                return Err(size_mismatch(expected.size, self.position));
            }
            if digest != expected.digest {
                self.worthless = true;
                return Err(StoreError::Mismatch {
                    expected: expected.digest.to_string(),
                    got: digest.to_string(),
                });
            }
        }
        let file = buffered.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        let read_at = |offset: u64, buf: &mut [u8]| file.read_exact_at(buf, offset);
        let compressible = compression_pays(self.position, read_at).map_err(failed)?;
        let info = BlobInfo { digest, size: self.position, kind: self.kind, compressible };
        Ok((file, info, std::mem::take(&mut self.checks)))
    }
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(failure) = &self.failure {
            return Err(io::Error::other(failure.clone()));
        }
        if let Some(expected) = self.expected
            && self.position + bytes.len() as u64 > expected.size
        {
            let got = format!("more than {} bytes", expected.size);
            let failure = StoreError::Mismatch { expected: format!("{} bytes", expected.size), got };
            return Err(self.fail(failure));
        }
        let Some(file) = self.file.as_mut() else { return Err(io::ErrorKind::BrokenPipe.into()) };
        match with_relief(&self.store, || file.write(bytes)) {
            Ok(written) => {
                let bytes = bytes.get(..written).unwrap_or(bytes);
                self.hash.update(bytes);
                self.checks.update(bytes);
                self.position += written as u64;
                Ok(written)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(self.fail(storage_failed("writing a blob", &error))),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(file) = self.file.as_mut() else { return Err(io::ErrorKind::BrokenPipe.into()) };
        match with_relief(&self.store, || file.flush()) {
            Err(error) => Err(self.fail(storage_failed("writing a blob", &error))),
            Ok(()) => Ok(()),
        }
    }
}

impl BlobWriter for FileWriter {
    fn position(&self) -> u64 {
        self.position
    }

    fn commit(mut self: Box<Self>) -> Result<BlobRef, StoreError> {
        let (file, info, checks) = self.finish()?;
        let done = self.store.publish_blob(&self.path, &file, &info, &checks.finish());
        // Whole and right, but there was no room: fetching it again is the smaller evil than a full disk.
        self.worthless = true;
        done
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        let keep = match self.place {
            Place::Temporary => false,
            Place::Partial(_) => !self.worthless,
        };
        if let Some(mut file) = self.file.take() {
            if keep {
                // What does not get there is fetched again.
                let _ = file.flush();
            } else {
                let _ = file.into_parts();
            }
        }
        if !keep && let Err(error) = remove_if_there(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a temporary file cannot be removed");
        }
        if let Place::Partial(digest) = &self.place {
            self.store.partials.release(digest);
        }
    }
}

impl Write for Complete {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let size = self.0.info.size;
        Err(io::Error::new(io::ErrorKind::InvalidData, size_mismatch(size, size + bytes.len() as u64)))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for Complete {
    fn position(&self) -> u64 {
        self.0.info.size
    }

    fn commit(self: Box<Self>) -> Result<BlobRef, StoreError> {
        Ok(self.0)
    }
}
