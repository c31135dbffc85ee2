//! One layer as a stream of tar entries.

use std::cell::Cell;
use std::io::{self, BufReader, Read};

use super::entry::{Assembler, Entry};
use super::{EntryFault, Layers, LayersError, Limits};
use crate::decompress;

/// What is left of the limits that count over all layers.
pub(super) struct Budget<'a> {
    pub(super) limits: &'a Limits,
    /// Unpacked bytes left; `None` once there were too many.
    bytes: Cell<Option<u64>>,
    entries: Cell<u64>,
}

impl<'a> Budget<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self { limits, bytes: Cell::new(Some(limits.unpacked_bytes)), entries: Cell::new(limits.entries) }
    }

    fn count_entry(&self) -> Result<(), LayersError> {
        let left = self.entries.get().checked_sub(1);
        self.entries.set(left.ok_or(LayersError::TooManyEntries(self.limits.entries))?);
        Ok(())
    }

    /// The error of a failed read, which may be the meter's own.
    pub(super) fn read_error(&self, layer: usize, source: io::Error) -> LayersError {
        match self.bytes.get() {
            None => LayersError::TooManyBytes(self.limits.unpacked_bytes),
            Some(_) => LayersError::Read { layer, source },
        }
    }
}

/// Counts what is read against the budget.
struct Meter<'a, R> {
    inner: R,
    left: &'a Cell<Option<u64>>,
}

impl<R: Read> Read for Meter<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        let left = self.left.get().and_then(|left| left.checked_sub(n as u64));
        self.left.set(left);
        left.map(|_| n).ok_or_else(|| io::Error::other("too many bytes"))
    }
}

/// Content of the entry at hand.
pub(super) struct Content<'a> {
    reader: &'a mut dyn Read,
    budget: &'a Budget<'a>,
    layer: usize,
    left: u64,
    name: &'a str,
}

impl Content<'_> {
    /// Gives the whole content piece by piece to `take`.
    pub(super) fn for_each(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), LayersError>,
    ) -> Result<(), LayersError> {
        let mut buf = vec![0; self.left.clamp(1, 64 << 10) as usize];
        while self.left > 0 {
            let want = self.left.min(buf.len() as u64) as usize;
            let n = match self.reader.read(&mut buf[..want]) {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.budget.read_error(self.layer, e)),
            };
            if n == 0 {
                return Err(fault(self.layer, self.name, EntryFault::Truncated));
            }
            take(&buf[..n])?;
            self.left -= n as u64;
        }
        Ok(())
    }
}

/// The error for an entry, with its name cut to a length fit for a log.
pub(super) fn fault(layer: usize, name: &str, fault: EntryFault) -> LayersError {
    LayersError::Entry { layer, name: name.chars().take(200).collect(), fault }
}

/// Reads one layer to its very end and shows every entry to `visit`.
pub(super) fn walk(
    layers: &dyn Layers,
    layer: usize,
    budget: &Budget<'_>,
    visit: &mut dyn FnMut(Entry, &mut Content<'_>) -> Result<(), LayersError>,
) -> Result<(), LayersError> {
    let read_error = |e| budget.read_error(layer, e);
    let mut raw = layers.open(layer).map_err(read_error)?;
    {
        let decoder = decompress::sniffing_decoder(BufReader::new(&mut raw)).map_err(read_error)?;
        let meter = Meter { inner: decoder, left: &budget.bytes };
        let mut archive = tar::Archive::new(meter);
        let mut assembler = Assembler::new(layer, budget.limits);
        for item in archive.entries().map_err(read_error)?.raw(true) {
            let mut item = item.map_err(read_error)?;
            budget.count_entry()?;
            let header = item.header().clone();
            let Some(entry) = assembler.next(&header, &mut item).map_err(|e| match e {
                LayersError::Read { source, .. } => read_error(source),
                other => other,
            })?
            else {
                continue;
            };
            let name = entry.name.clone();
            let mut content = Content { reader: &mut item, budget, layer, left: entry.size, name: &name };
            visit(entry, &mut content)?;
        }
        // What follows the end mark belongs to the digest too.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(read_error)?;
    }
    io::copy(&mut raw, &mut io::sink()).map_err(read_error)?;
    Ok(())
}
