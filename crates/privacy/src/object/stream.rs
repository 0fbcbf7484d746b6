//! Sealing and opening what is read from somewhere: a chunk of memory, whatever the length.
//!
//! Both are [`BufRead`]: `fill_buf` lends a whole chunk from where it was sealed or opened, without a copy.

use super::{
    ObjectError,
    chunk::{Header, Opener, Sealer},
    layout::{CHUNK_LEN, HEADER_LEN, TAG_LEN},
};
use crate::{id::AssetId, key::DataKey};
use rand::CryptoRng;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use zeroize::Zeroizing;

impl From<ObjectError> for io::Error {
    fn from(error: ObjectError) -> Self {
        Self::new(ErrorKind::InvalidData, error)
    }
}

/// Chunks from a source, each with the knowledge whether it is the last: one byte is read ahead.
struct Chunks<R> {
    source: R,
    ahead: Option<u8>,
    /// Of the next chunk.
    index: u64,
    ended: bool,
}

impl<R: Read> Chunks<R> {
    const fn new(source: R) -> Self {
        Self { source, ahead: None, index: 0, ended: false }
    }

    /// Fills `buffer`, or as much of it as there is. Says how much, and which chunk that is; `None` behind the last.
    fn next(&mut self, buffer: &mut [u8]) -> io::Result<Option<(usize, u64, bool)>> {
        if self.ended {
            return Ok(None);
        }
        let mut length = 0;
        if let Some(byte) = self.ahead.take() {
            buffer[0] = byte;
            length = 1;
        }
        length += read_full(&mut self.source, &mut buffer[length..])?;
        if length == buffer.len() {
            let mut byte = Zeroizing::new([0]);
            if read_full(&mut self.source, &mut byte[..])? == 1 {
                self.ahead = Some(byte[0]);
            }
        }
        self.ended = self.ahead.is_none();
        self.index += 1;
        Ok(Some((length, self.index - 1, self.ended)))
    }
}

fn read_full(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What was made and not yet taken: `start..end` of a chunk's buffer, which is erased when dropped.
struct Ready {
    buffer: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    failed: bool,
}

impl Ready {
    fn new() -> Self {
        Self { buffer: Zeroizing::new(vec![0; CHUNK_LEN + TAG_LEN]), start: 0, end: 0, failed: false }
    }

    /// What is there, or comes next.
    fn fill(&mut self, next: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<&[u8]> {
        if self.start == self.end {
            if self.failed {
                return Err(failed_before());
            }
            next(self).inspect_err(|_| self.failed = true)?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }
}

/// Part of a chunk is lost with an error, so that what follows would be in the wrong place.
fn failed_before() -> io::Error {
    io::Error::other("reading failed before, and cannot go on; begin again from the start")
}

fn read_from(reader: &mut impl BufRead, out: &mut [u8]) -> io::Result<usize> {
    let ready = reader.fill_buf()?;
    let count = ready.len().min(out.len());
    out[..count].copy_from_slice(&ready[..count]);
    reader.consume(count);
    Ok(count)
}

/// Reads content from a source and gives the sealed object. After an error it gives nothing but errors.
pub struct SealReader<R> {
    sealer: Sealer,
    chunks: Chunks<R>,
    ready: Ready,
}

impl<R: Read> SealReader<R> {
    /// Begins an object, whose content is what `plain` gives to its end.
    pub fn new(key: &DataKey, object: AssetId, plain: R, rng: &mut impl CryptoRng) -> Self {
        let sealer = Sealer::new(key, object, rng);
        let mut ready = Ready::new();
        ready.buffer[..HEADER_LEN].copy_from_slice(&sealer.header().to_bytes());
        ready.end = HEADER_LEN;
        Self { sealer, chunks: Chunks::new(plain), ready }
    }
}

fn seal_next(sealer: &mut Sealer, chunks: &mut Chunks<impl Read>, ready: &mut Ready) -> io::Result<()> {
    let Some((length, index, last)) = chunks.next(&mut ready.buffer[..CHUNK_LEN])? else { return Ok(()) };
    let too_long = |_| ObjectError::TooLong { plain: index * CHUNK_LEN as u64 + length as u64 };
    let index = u32::try_from(index).map_err(too_long)?;
    sealer.seal(index, last, &mut ready.buffer[..length + TAG_LEN]);
    (ready.start, ready.end) = (0, length + TAG_LEN);
    Ok(())
}

impl<R: Read> BufRead for SealReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let Self { sealer, chunks, ready } = self;
        ready.fill(|ready| seal_next(sealer, chunks, ready))
    }

    fn consume(&mut self, count: usize) {
        self.ready.consume(count);
    }
}

impl<R: Read> Read for SealReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        read_from(self, out)
    }
}

/// Reads a sealed object from a source and gives its content, each chunk after it was found whole. That there is an end
/// says that nothing was cut off: an object that lacks its last chunk ends in an error.
pub struct OpenReader<R> {
    opener: Opener,
    chunks: Chunks<R>,
    ready: Ready,
}

impl<R: Read> OpenReader<R> {
    /// Reads the header and checks that key and id are this object's.
    ///
    /// # Errors
    ///
    /// The source's, or an [`ObjectError`] inside an error of kind [`ErrorKind::InvalidData`].
    pub fn new(key: &DataKey, object: AssetId, mut sealed: R) -> io::Result<Self> {
        let mut header = [0; HEADER_LEN];
        let length = read_full(&mut sealed, &mut header)?;
        let opener = Opener::new(key, object, &Header::from_bytes(&header[..length])?)?;
        Ok(Self { opener, chunks: Chunks::new(sealed), ready: Ready::new() })
    }
}

fn open_next(opener: &Opener, chunks: &mut Chunks<impl Read>, ready: &mut Ready) -> io::Result<()> {
    let Some((length, index, last)) = chunks.next(&mut ready.buffer[..])? else { return Ok(()) };
    let index = u32::try_from(index).map_err(|_| ObjectError::Chunk { index: u32::MAX })?;
    let length = opener.open(index, last, &mut ready.buffer[..length])?.len();
    // Sealed so by nobody: one object would have two forms.
    if length == 0 && index > 0 {
        return Err(ObjectError::Chunk { index }.into());
    }
    (ready.start, ready.end) = (0, length);
    Ok(())
}

impl<R: Read> BufRead for OpenReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let Self { opener, chunks, ready } = self;
        ready.fill(|ready| open_next(opener, chunks, ready))
    }

    fn consume(&mut self, count: usize) {
        self.ready.consume(count);
    }
}

impl<R: Read> Read for OpenReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        read_from(self, out)
    }
}

/// Takes a sealed object as it comes and gives its content on, each chunk after it was found whole. The last chunk comes
/// with the flush, which ends the object: only then is it known that nothing was cut off.
pub struct OpenWriter<W> {
    key: DataKey,
    object: AssetId,
    opener: Option<Opener>,
    /// The header, then one chunk, as far as they have come.
    buffer: Zeroizing<Vec<u8>>,
    index: u64,
    ended: bool,
    plain: W,
}

impl<W: Write> OpenWriter<W> {
    /// Begins an object whose content goes to `plain`.
    pub fn new(key: DataKey, object: AssetId, plain: W) -> Self {
        let buffer = Zeroizing::new(Vec::with_capacity(CHUNK_LEN + TAG_LEN));
        Self { key, object, opener: None, buffer, index: 0, ended: false, plain }
    }

    /// Opens what is in the buffer, which is a whole chunk.
    fn open(&mut self, last: bool) -> io::Result<()> {
        let header = || ObjectError::Header("it ends within its header");
        let opener = self.opener.as_ref().ok_or_else(header)?;
        let index = u32::try_from(self.index).map_err(|_| ObjectError::Chunk { index: u32::MAX })?;
        let plain = opener.open(index, last, &mut self.buffer)?;
        // Sealed so by nobody: one object would have two forms.
        if plain.is_empty() && index > 0 {
            return Err(ObjectError::Chunk { index }.into());
        }
        self.plain.write_all(plain)?;
        self.buffer.clear();
        self.index += 1;
        Ok(())
    }
}

impl<W: Write> Write for OpenWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.ended {
            return Err(io::Error::other("the object has ended"));
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let whole = if self.opener.is_some() { CHUNK_LEN + TAG_LEN } else { HEADER_LEN };
            if self.buffer.len() == whole {
                // More follows: it is not the last.
                self.open(false)?;
            }
            let (now, later) = rest.split_at(rest.len().min(whole - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            rest = later;
            if self.opener.is_none() && self.buffer.len() == HEADER_LEN {
                self.opener = Some(Opener::new(&self.key, self.object, &Header::from_bytes(&self.buffer)?)?);
                self.buffer.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.ended {
            self.open(true)?;
            self.ended = true;
        }
        self.plain.flush()
    }
}
