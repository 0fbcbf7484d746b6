//! Calls on paths: `path_*`.

use super::{
    descriptors::{RIGHT_READ, RIGHT_WRITE},
    memory::Memory,
    system::{Done, Position, System},
};
use crate::wasm::{
    errno::Errno,
    fs::NodeId,
    path::{MOST_PATH, relative},
};

const CREATE: u32 = 1;
const FOLDER: u32 = 2;
const EXCLUSIVE: u32 = 4;
const TRUNCATE: u32 = 8;

/// A path in the program's memory, below a descriptor.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub folder: u32,
    pub pointer: u32,
    pub length: u32,
}

/// The folder that something is in, and its name there. No name: it is the descriptor's folder itself.
struct Found {
    parent: NodeId,
    name: Option<String>,
    /// The path ends in a way that only a folder's may.
    folder: bool,
}

impl Found {
    /// The name of what is to be made or removed: a descriptor's own folder stays.
    fn name(&self) -> Result<&str, Errno> {
        self.name.as_deref().ok_or(Errno::NotCapable)
    }
}

impl System {
    fn locate(&mut self, memory: &Memory<'_>, place: Place) -> Result<Found, Errno> {
        if place.length as usize > MOST_PATH {
            return Err(Errno::NameTooLong);
        }
        self.charge(place.length as usize);
        let from = self.position(place.folder)?.id;
        let buffer = memory.buffer(place.pointer, place.length)?;
        let path = relative(memory.get(&buffer))?;
        let Some((name, parents)) = path.names.split_last() else {
            self.folder(from)?;
            return Ok(Found { parent: from, name: None, folder: true });
        };
        let parent = self.files.find(from, parents)?;
        self.folder(parent)?;
        Ok(Found { parent, name: Some((*name).to_owned()), folder: path.folder })
    }

    fn folder(&self, id: NodeId) -> Done {
        if self.files.stat(id)?.folder { Ok(()) } else { Err(Errno::NotFolder) }
    }

    /// What is there.
    fn get(&self, found: &Found) -> Result<NodeId, Errno> {
        let Some(name) = &found.name else { return Ok(found.parent) };
        let id = self.files.find(found.parent, &[name])?;
        if found.folder {
            self.folder(id)?;
        }
        Ok(id)
    }

    pub(super) fn path_open(
        &mut self,
        memory: &mut Memory<'_>,
        place: Place,
        how: u32,
        rights: u64,
        append: bool,
        told: u32,
    ) -> Done {
        let found = self.locate(memory, place)?;
        let write = rights & RIGHT_WRITE != 0;
        let id = match self.get(&found) {
            Ok(_) if how & CREATE != 0 && how & EXCLUSIVE != 0 => return Err(Errno::Exists),
            Ok(id) => id,
            Err(Errno::NotFound) if how & CREATE != 0 => {
                self.files.writable(found.parent)?;
                if found.folder || how & FOLDER != 0 {
                    return Err(Errno::NotFound);
                }
                self.files.create(found.parent, found.name()?, false)?
            }
            Err(error) => return Err(error),
        };
        let stat = self.files.stat(id)?;
        if how & FOLDER != 0 && !stat.folder {
            return Err(Errno::NotFolder);
        }
        if (write && !stat.folder) || how & TRUNCATE != 0 {
            self.files.writable(id)?;
        }
        if how & TRUNCATE != 0 {
            self.files.set_size(id, 0)?;
        }
        let position = Position { append, ..Position::new(id, rights & RIGHT_READ != 0, write) };
        let number = self.insert(position)?;
        memory.write_u32(told, number)
    }

    pub(super) fn path_filestat_get(&mut self, memory: &mut Memory<'_>, place: Place, to: u32) -> Done {
        let found = self.locate(memory, place)?;
        let stat = self.files.stat(self.get(&found)?)?;
        self.tell_stat(memory, to, stat)
    }

    /// Times are what they are; whoever sets them is told that all is well.
    pub(super) fn path_filestat_set_times(&mut self, memory: &mut Memory<'_>, place: Place) -> Done {
        let found = self.locate(memory, place)?;
        self.files.writable(self.get(&found)?)
    }

    pub(super) fn path_create_directory(&mut self, memory: &mut Memory<'_>, place: Place) -> Done {
        let found = self.locate(memory, place)?;
        if self.get(&found).is_ok() {
            return Err(Errno::Exists);
        }
        self.files.create(found.parent, found.name()?, true).map(|_| ())
    }

    pub(super) fn path_remove_directory(&mut self, memory: &mut Memory<'_>, place: Place) -> Done {
        let found = self.locate(memory, place)?;
        self.files.remove(found.parent, found.name()?, true)
    }

    pub(super) fn path_unlink_file(&mut self, memory: &mut Memory<'_>, place: Place) -> Done {
        let found = self.locate(memory, place)?;
        if found.folder {
            return Err(Errno::NotFolder);
        }
        self.files.remove(found.parent, found.name()?, false)
    }

    pub(super) fn path_rename(&mut self, memory: &mut Memory<'_>, from: Place, to: Place) -> Done {
        let (from, to) = (self.locate(memory, from)?, self.locate(memory, to)?);
        self.files.rename((from.parent, from.name()?), (to.parent, to.name()?))
    }

    /// There are no links.
    pub(super) fn path_readlink(&mut self, memory: &mut Memory<'_>, place: Place) -> Done {
        let found = self.locate(memory, place)?;
        self.get(&found)?;
        Err(Errno::Invalid)
    }
}
