//! A folder's content: names and what they stand for.
//!
//! ```text
//! count       u32
//! each        u8 length, name, u8 kind (0 file, 1 program, 2 folder), id 32
//! ```
//!
//! Names stand in the order of their bytes, each once: a folder has one encoding. A folder is an object like any other, so
//! that its names are sealed and spread as its files are. Whoever made it may be anybody: a name is one step of a path and
//! can neither leave the folder nor mean something to a terminal.

use crate::id::ObjectId;
use bytes::{Buf as _, BufMut};
use commonware_codec::{Copying, DecodeExt as _, EncodeSize, Error as CodecError, Read, ReadExt as _, Write};

/// Most entries of one folder.
pub const MAX_ENTRIES: usize = 1 << 16;

/// Longest name in bytes, as file systems have it.
pub const MAX_NAME: usize = 255;

/// Longest encoding.
pub const MAX_FOLDER: usize = 4 + MAX_ENTRIES * (1 + MAX_NAME + 1 + 32);

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Bytes.
    File,
    /// Bytes that may be run.
    Program,
    /// Another folder.
    Folder,
}

/// One name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// One step of a path.
    pub name: String,
    /// What it stands for.
    pub kind: EntryKind,
    /// Which object.
    pub id: ObjectId,
}

/// Names and what they stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    entries: Vec<Entry>,
}

/// No such folder can be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFolder {
    /// A name that may mean more than one step down.
    #[error("{name:?} is no name in a folder: {why}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Two entries of the same name.
    #[error("{0:?} stands in the folder twice")]
    Twice(String),
    /// Too many entries.
    #[error("a folder holds at most {MAX_ENTRIES} entries, this one {0}")]
    TooMany(usize),
    /// The bytes are something else.
    #[error("not a folder: {0}")]
    Form(String),
}

impl Folder {
    /// Of these entries, in any order.
    ///
    /// # Errors
    ///
    /// If a name cannot stand in a folder or stands there twice, or there are too many.
    pub fn new(mut entries: Vec<Entry>) -> Result<Self, InvalidFolder> {
        if entries.len() > MAX_ENTRIES {
            return Err(InvalidFolder::TooMany(entries.len()));
        }
        for entry in &entries {
            check_name(&entry.name)?;
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        match entries.windows(2).find(|two| two[0].name == two[1].name) {
            Some(two) => Err(InvalidFolder::Twice(two[0].name.clone())),
            None => Ok(Self { entries }),
        }
    }

    /// The entries, in the order of their names.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// From an object's content.
    ///
    /// # Errors
    ///
    /// If the bytes are no folder.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidFolder> {
        Self::decode(Copying(bytes)).map_err(|error| InvalidFolder::Form(error.to_string()))
    }
}

/// Checks that a name is one step of a path, and nothing but text.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn check_name(name: &str) -> Result<(), InvalidFolder> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME {
        "it is longer than 255 bytes"
    } else if name == "." || name == ".." {
        "it leads to another folder"
    } else if name.contains(std::path::is_separator) {
        "it is a path"
    } else if name.chars().any(char::is_control) {
        "it holds control characters"
    } else {
        return Ok(());
    };
    Err(InvalidFolder::Name { name: name.chars().take(MAX_NAME).collect(), why })
}

impl Write for Folder {
    fn write(&self, buf: &mut impl BufMut) {
        buf.put_u32(self.entries.len() as u32);
        for entry in &self.entries {
            buf.put_u8(entry.name.len() as u8);
            buf.put_slice(entry.name.as_bytes());
            buf.put_u8(match entry.kind {
                EntryKind::File => 0,
                EntryKind::Program => 1,
                EntryKind::Folder => 2,
            });
            buf.put_slice(&entry.id.0);
        }
    }
}

impl EncodeSize for Folder {
    fn encode_size(&self) -> usize {
        4 + self.entries.iter().map(|entry| 1 + entry.name.len() + 1 + 32).sum::<usize>()
    }
}

impl Read for Folder {
    type Cfg = ();

    fn read_cfg(buf: &mut impl commonware_codec::Buf, (): &()) -> Result<Self, CodecError> {
        let count = u32::read(buf)? as usize;
        if count > MAX_ENTRIES {
            return Err(CodecError::InvalidLength(count));
        }
        // Nothing is set aside for what a count merely claims.
        let mut entries: Vec<Entry> = Vec::new();
        for _ in 0..count {
            let length = usize::from(u8::read(buf)?);
            if buf.remaining() < length {
                return Err(CodecError::EndOfBuffer);
            }
            let name = String::from_utf8(buf.copy_to_bytes(length).to_vec())
                .map_err(|_| CodecError::Invalid("Folder", "a name is not UTF-8"))?;
            if check_name(&name).is_err() {
                return Err(CodecError::Invalid("Folder", "a name is no step of a path"));
            }
            if entries.last().is_some_and(|last| last.name >= name) {
                return Err(CodecError::Invalid("Folder", "names are not in order, or one stands there twice"));
            }
            let kind = match u8::read(buf)? {
                0 => EntryKind::File,
                1 => EntryKind::Program,
                2 => EntryKind::Folder,
                other => return Err(CodecError::InvalidEnum(other)),
            };
            entries.push(Entry { name, kind, id: ObjectId(<[u8; 32]>::read(buf)?) });
        }
        Ok(Self { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_codec::Encode as _;
    use proptest::prelude::*;

    fn entry(name: &str) -> Entry {
        Entry { name: name.into(), kind: EntryKind::File, id: ObjectId([1; 32]) }
    }

    /// What nobody could make with [`Folder::new`].
    fn forged(names: &[&str]) -> Vec<u8> {
        Folder { entries: names.iter().map(|name| entry(name)).collect() }.encode().to_vec()
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        let long = "x".repeat(256);
        for name in ["", ".", "..", "/etc/passwd", "a/b", "../x", "a\0b", "a\nb", "\u{1b}[2J", &long] {
            let refused = matches!(Folder::new(vec![entry(name)]), Err(InvalidFolder::Name { .. }));
            assert!(refused, "{name:?}");
            assert!(Folder::from_bytes(&forged(&[name])).is_err(), "{name:?}");
        }
        for name in ["a", "...", "Ünï cödé", ".hidden", "-rf", "a:b", "a\\b", "..\\x"] {
            let folder = Folder::new(vec![entry(name)]).unwrap();
            assert_eq!(Folder::from_bytes(&folder.encode()).unwrap(), folder);
        }
    }

    #[test]
    fn a_folder_has_one_encoding() {
        assert_eq!(Folder::new(vec![entry("a"), entry("a")]), Err(InvalidFolder::Twice("a".into())));
        assert!(Folder::from_bytes(&forged(&["a", "a"])).is_err());
        assert!(Folder::from_bytes(&forged(&["b", "a"])).is_err());
        assert!(Folder::from_bytes(&forged(&["a", "b"])).is_ok());
    }

    #[test]
    fn a_count_that_is_only_claimed_takes_no_memory() {
        assert!(Folder::from_bytes(&u32::MAX.to_be_bytes()).is_err());
        assert!(Folder::from_bytes(&(MAX_ENTRIES as u32).to_be_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn a_folder_survives_encoding(names in prop::collection::btree_set("[^/\\p{Cc}]{1,40}", 0..20)) {
            prop_assume!(!names.contains(".") && !names.contains(".."));
            let folder = Folder::new(names.iter().rev().map(|name| entry(name)).collect()).unwrap();
            let bytes = folder.encode();
            prop_assert_eq!(bytes.len(), folder.encode_size());
            prop_assert_eq!(Folder::from_bytes(&bytes).unwrap(), folder);
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_decode_to_one_encoding_only(bytes: Vec<u8>) {
            if let Ok(folder) = Folder::from_bytes(&bytes) {
                prop_assert_eq!(folder.encode().to_vec(), bytes);
            }
        }
    }
}
