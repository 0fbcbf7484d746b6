//! Calls on paths: `path_*`.

use super::{
    descriptors::{RIGHT_READ, RIGHT_WRITE},
    memory::Memory,
    system::{Done, Position},
};
use crate::wasm::{
    errno::Errno,
    lookup::{Found, How},
    path::MOST_PATH,
    system::System,
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

impl System {
    fn locate(&mut self, memory: &Memory<'_>, place: Place) -> Result<Found, Errno> {
        if place.length as usize > MOST_PATH {
            return Err(Errno::NameTooLong);
        }
        self.charge(place.length as usize);
        let from = self.position(place.folder)?.id;
        let buffer = memory.buffer(place.pointer, place.length)?;
        self.files.locate(from, memory.get(&buffer))
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
        let how = How {
            create: how & CREATE != 0,
            folder: how & FOLDER != 0,
            exclusive: how & EXCLUSIVE != 0,
            truncate: how & TRUNCATE != 0,
            write,
        };
        let id = self.files.get_or_create(&found, how)?;
        let position = Position { append, ..Position::new(id, rights & RIGHT_READ != 0, write) };
        let number = self.insert(position)?;
        memory.write_u32(told, number)
    }

    pub(super) fn path_filestat_get(&mut self, memory: &mut Memory<'_>, place: Place, to: u32) -> Done {
        let found = self.locate(memory, place)?;
        let stat = self.files.stat(self.files.get(&found)?)?;
        self.tell_stat(memory, to, stat)
    }

    /// Times are what they are; whoever sets them is told that all is well.
    pub(super) fn path_filestat_set_times(&mut self, memory: &mut Memory<'_>, place: Place) -> Done {
        let found = self.locate(memory, place)?;
        self.files.writable(self.files.get(&found)?)
    }

    pub(super) fn path_create_directory(&mut self, memory: &mut Memory<'_>, place: Place) -> Done {
        let found = self.locate(memory, place)?;
        self.files.create_folder_at(&found)
    }

    pub(super) fn path_remove_directory(&mut self, memory: &mut Memory<'_>, place: Place) -> Done {
        let found = self.locate(memory, place)?;
        self.files.remove_folder_at(&found)
    }

    pub(super) fn path_unlink_file(&mut self, memory: &mut Memory<'_>, place: Place) -> Done {
        let found = self.locate(memory, place)?;
        self.files.unlink_at(&found)
    }

    pub(super) fn path_rename(&mut self, memory: &mut Memory<'_>, from: Place, to: Place) -> Done {
        let (from, to) = (self.locate(memory, from)?, self.locate(memory, to)?);
        self.files.rename_at(&from, &to)
    }

    /// There are no links.
    pub(super) fn path_readlink(&mut self, memory: &mut Memory<'_>, place: Place) -> Done {
        let found = self.locate(memory, place)?;
        self.files.get(&found)?;
        Err(Errno::Invalid)
    }
}
