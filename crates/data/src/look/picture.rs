//! Pictures: how many pixels they have.

use super::Looked;
use serde::{Deserialize, Serialize};
use std::io::{self, Cursor, Read};

/// Bytes of a picture at most in which its size is looked for.
const MOST: u64 = 256 << 10;

/// A picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Pixels across.
    pub width: u64,
    /// Pixels down.
    pub height: u64,
}

/// Looks at a picture.
pub(super) fn look(looked: &mut Looked, file: impl Read) -> io::Result<()> {
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    match imagesize::reader_size(Cursor::new(bytes)) {
        Ok(size) => looked.picture = Some(Picture { width: size.width as u64, height: size.height as u64 }),
        Err(_) => looked.problem = Some("its size does not stand where it should".into()),
    }
    Ok(())
}
