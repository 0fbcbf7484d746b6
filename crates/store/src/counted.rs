//! Bytes on their way through, counted for people who look how far it is.

use crate::Store;
use std::io::{self, Read, Write};

/// Counts what is read or written through it, for the store and by itself.
pub(crate) struct Counted<'a, T> {
    through: T,
    store: &'a Store,
    /// How many bytes it was.
    pub bytes: u64,
}

impl<'a, T> Counted<'a, T> {
    pub fn new(through: T, store: &'a Store) -> Self {
        Self { through, store, bytes: 0 }
    }

    fn count(&mut self, bytes: usize) -> usize {
        self.bytes += bytes as u64;
        self.store.count(bytes);
        bytes
    }
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.through.read(buf)?;
        Ok(self.count(read))
    }
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.through.write(bytes)?;
        Ok(self.count(written))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.through.flush()
    }
}
