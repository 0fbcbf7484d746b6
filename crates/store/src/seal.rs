use crate::Sealing;
use std::io::{self, Read, Write};

/// How content is sealed on its way in and opened on its way out. What is behind it is another crate's: here, content is
/// bytes.
pub trait Seal: Sync {
    /// Wraps what is read, and says how it is to be opened.
    ///
    /// # Errors
    ///
    /// If there is no key to seal with.
    fn seal<'a>(&self, plain: Box<dyn Read + Send + 'a>) -> io::Result<(Sealing, Box<dyn Read + Send + 'a>)>;

    /// Wraps what is written, so that `plain` gets what was sealed. The last bytes, and whether they were the right ones,
    /// may come with the flush.
    ///
    /// # Errors
    ///
    /// If there is no key for this seal.
    fn open<'a>(&self, sealing: &Sealing, plain: Box<dyn Write + 'a>) -> io::Result<Box<dyn Write + 'a>>;
}

/// No seal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Seal for Plain {
    fn seal<'a>(&self, plain: Box<dyn Read + Send + 'a>) -> io::Result<(Sealing, Box<dyn Read + Send + 'a>)> {
        Ok((Sealing::Plain, plain))
    }

    fn open<'a>(&self, sealing: &Sealing, plain: Box<dyn Write + 'a>) -> io::Result<Box<dyn Write + 'a>> {
        match sealing {
            Sealing::Plain => Ok(plain),
            Sealing::Sealed(_) => Err(io::Error::other("the object is sealed, and there is no key to open it with")),
        }
    }
}
