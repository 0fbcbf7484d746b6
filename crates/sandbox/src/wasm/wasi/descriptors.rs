//! Calls on descriptors: `fd_*`.

use super::{
    memory::{Buffer, Memory},
    system::{Done, Open, Position},
};
use crate::wasm::{errno::Errno, fs::Stat, system::System};

/// Kinds of files, as WASI numbers them.
const CHARACTERS: u8 = 2;
const FOLDER: u8 = 3;
const REGULAR: u8 = 4;

/// All rights but those of sockets. Nobody checks rights here but what a descriptor was opened for.
const RIGHTS: u64 = (1 << 28) - 1;
const RIGHT_SEEK: u64 = 1 << 2;
const RIGHT_TELL: u64 = 1 << 5;
pub(super) const RIGHT_READ: u64 = 1 << 1;
pub(super) const RIGHT_WRITE: u64 = 1 << 6;

const FLAG_APPEND: u16 = 1;

impl System {
    /// Reads into buffers from a place of a file on. Returns how many bytes.
    fn read_into(
        &mut self,
        memory: &mut Memory<'_>,
        number: u32,
        buffers: &[Buffer],
        offset: u64,
    ) -> Result<u32, Errno> {
        let (id, read) = {
            let position = self.position(number)?;
            (position.id, position.read)
        };
        if !read {
            return Err(Errno::BadFile);
        }
        let mut count = 0;
        for buffer in buffers {
            // One call moves at most so many bytes that their number can be told.
            let buffer = buffer.first((u32::MAX - count) as usize);
            let offset = offset.saturating_add(u64::from(count));
            let got = self.files.read(id, offset, memory.get_mut(&buffer))?;
            self.charge(got);
            count += u32::try_from(got).map_err(|_| Errno::Io)?;
            if got < buffer.len() {
                break;
            }
        }
        Ok(count)
    }

    pub(super) fn fd_read(&mut self, memory: &mut Memory<'_>, number: u32, list: u32, count: u32, told: u32) -> Done {
        let buffers = memory.buffers(list, count)?;
        let offset = match self.descriptor(number)? {
            Open::Nothing => return memory.write_u32(told, 0),
            Open::Log => return Err(Errno::BadFile),
            Open::Node(position) => position.offset,
        };
        let read = self.read_into(memory, number, &buffers, offset)?;
        self.position(number)?.offset += u64::from(read);
        memory.write_u32(told, read)
    }

    pub(super) fn fd_pread(
        &mut self,
        memory: &mut Memory<'_>,
        number: u32,
        list: u32,
        count: u32,
        offset: u64,
        told: u32,
    ) -> Done {
        let buffers = memory.buffers(list, count)?;
        let read = self.read_into(memory, number, &buffers, offset)?;
        memory.write_u32(told, read)
    }

    /// Writes buffers to a file from a place on. Returns how many bytes: all.
    fn write_from(&mut self, memory: &Memory<'_>, number: u32, buffers: &[Buffer], offset: u64) -> Result<u32, Errno> {
        let (id, write) = {
            let position = self.position(number)?;
            (position.id, position.write)
        };
        if !write {
            return Err(Errno::BadFile);
        }
        let sum: usize = buffers.iter().map(Buffer::len).sum();
        let sum = u32::try_from(sum).map_err(|_| Errno::Invalid)?;
        // What lies between the end and where it writes is filled with zeros, and paid for even if no more is written.
        let (mut at, mut hole) = (offset, offset.saturating_sub(self.files.stat(id)?.size));
        for buffer in buffers.iter().filter(|buffer| buffer.len() > 0) {
            self.files.write(id, at, memory.get(buffer))?;
            self.charge(usize::try_from(std::mem::take(&mut hole)).unwrap_or(usize::MAX));
            self.charge(buffer.len());
            at = at.checked_add(buffer.len() as u64).ok_or(Errno::FileTooBig)?;
        }
        Ok(sum)
    }

    pub(super) fn fd_write(&mut self, memory: &mut Memory<'_>, number: u32, list: u32, count: u32, told: u32) -> Done {
        let buffers = memory.buffers(list, count)?;
        let (id, mut offset, append) = match self.descriptor(number)? {
            Open::Nothing => return Err(Errno::BadFile),
            Open::Log => {
                let sum: usize = buffers.iter().map(Buffer::len).sum();
                let sum = u32::try_from(sum).map_err(|_| Errno::Invalid)?;
                for buffer in &buffers {
                    self.say(memory.get(buffer));
                }
                self.charge(sum as usize);
                return memory.write_u32(told, sum);
            }
            Open::Node(position) => (position.id, position.offset, position.append),
        };
        if append {
            offset = self.files.stat(id)?.size;
        }
        let written = self.write_from(memory, number, &buffers, offset)?;
        self.position(number)?.offset = offset + u64::from(written);
        memory.write_u32(told, written)
    }

    pub(super) fn fd_pwrite(
        &mut self,
        memory: &mut Memory<'_>,
        number: u32,
        list: u32,
        count: u32,
        offset: u64,
        told: u32,
    ) -> Done {
        let buffers = memory.buffers(list, count)?;
        let written = self.write_from(memory, number, &buffers, offset)?;
        memory.write_u32(told, written)
    }

    pub(super) fn fd_seek(&mut self, memory: &mut Memory<'_>, number: u32, by: i64, from: u32, told: u32) -> Done {
        let (id, offset) = match self.descriptor(number)? {
            Open::Node(position) => (position.id, position.offset),
            Open::Nothing | Open::Log => return Err(Errno::NotSeekable),
        };
        let base = match from {
            0 => 0,
            1 => offset,
            2 => self.files.stat(id)?.size,
            _ => return Err(Errno::Invalid),
        };
        let offset = base.checked_add_signed(by).ok_or(Errno::Invalid)?;
        self.position(number)?.offset = offset;
        memory.write_u64(told, offset)
    }

    pub(super) fn fd_tell(&mut self, memory: &mut Memory<'_>, number: u32, told: u32) -> Done {
        self.fd_seek(memory, number, 0, 1, told)
    }

    pub(super) fn fd_close(&mut self, _: &mut Memory<'_>, number: u32) -> Done {
        self.descriptor(number)?;
        let open = self.descriptors.0.get_mut(number as usize).and_then(Option::take);
        match open {
            Some(Open::Node(Position { id, preopened: None, .. })) => self.files.close(id),
            _ => Ok(()),
        }
    }

    pub(super) fn fd_renumber(&mut self, memory: &mut Memory<'_>, from: u32, to: u32) -> Done {
        self.descriptor(from)?;
        self.descriptor(to)?;
        if from == to {
            return Ok(());
        }
        self.fd_close(memory, to)?;
        let open = self.descriptors.0.get_mut(from as usize).and_then(Option::take);
        if let Some(place) = self.descriptors.0.get_mut(to as usize) {
            *place = open;
        }
        Ok(())
    }

    /// What has nothing to do here, for a descriptor that is open: advice, synchronising, times, rights.
    pub(super) fn fd_nothing(&mut self, _: &mut Memory<'_>, number: u32) -> Done {
        self.descriptor(number).map(|_| ())
    }

    pub(super) fn fd_allocate(&mut self, _: &mut Memory<'_>, number: u32, offset: u64, length: u64) -> Done {
        let position = self.position(number)?;
        let (id, write) = (position.id, position.write);
        if !write {
            return Err(Errno::BadFile);
        }
        let size = offset.checked_add(length).ok_or(Errno::FileTooBig)?;
        if size > self.files.stat(id)?.size { self.resize(id, size) } else { Ok(()) }
    }

    pub(super) fn fd_filestat_set_size(&mut self, _: &mut Memory<'_>, number: u32, size: u64) -> Done {
        let position = self.position(number)?;
        let (id, write) = (position.id, position.write);
        if write { self.resize(id, size) } else { Err(Errno::BadFile) }
    }

    pub(super) fn fd_fdstat_get(&mut self, memory: &mut Memory<'_>, number: u32, to: u32) -> Done {
        let (kind, flags, rights) = match self.descriptor(number)? {
            // Without these two rights it counts as a terminal, so that lines are written as they come.
            Open::Nothing | Open::Log => (CHARACTERS, 0, RIGHTS & !(RIGHT_SEEK | RIGHT_TELL)),
            Open::Node(position) => {
                let (id, flags) = (position.id, if position.append { FLAG_APPEND } else { 0 });
                let read = if position.read { RIGHT_READ } else { 0 };
                let write = if position.write { RIGHT_WRITE } else { 0 };
                let kind = if self.files.stat(id)?.folder { FOLDER } else { REGULAR };
                (kind, flags, RIGHTS & !(RIGHT_READ | RIGHT_WRITE) | read | write)
            }
        };
        let mut stat = [0; 24];
        stat[0] = kind;
        stat[2..4].copy_from_slice(&flags.to_le_bytes());
        stat[8..16].copy_from_slice(&rights.to_le_bytes());
        stat[16..24].copy_from_slice(&RIGHTS.to_le_bytes());
        memory.write(to, &stat)
    }

    pub(super) fn fd_fdstat_set_flags(&mut self, _: &mut Memory<'_>, number: u32, flags: u32) -> Done {
        if let Open::Node(position) = self.descriptor(number)? {
            position.append = flags & u32::from(FLAG_APPEND) != 0;
        }
        Ok(())
    }

    /// Writes what is known of a file: 64 bytes.
    pub(super) fn tell_stat(&self, memory: &mut Memory<'_>, to: u32, stat: Stat) -> Done {
        let kind = if stat.folder { FOLDER } else { REGULAR };
        let time = self.start();
        // Device, inode, kind, links, size, and the times of access, change and status.
        let words = [0, stat.id.inode(), kind.into(), 1, stat.size, time, time, time];
        memory.write(to, &words.map(u64::to_le_bytes).concat())
    }

    pub(super) fn fd_filestat_get(&mut self, memory: &mut Memory<'_>, number: u32, to: u32) -> Done {
        let id = match self.descriptor(number)? {
            Open::Node(position) => position.id,
            Open::Nothing | Open::Log => {
                let words = [0, 0, CHARACTERS.into(), 1, 0, 0, 0, 0];
                return memory.write(to, &words.map(u64::to_le_bytes).concat());
            }
        };
        self.tell_stat(memory, to, self.files.stat(id)?)
    }

    fn preopened(&mut self, number: u32) -> Result<&'static str, Errno> {
        match self.descriptor(number)? {
            Open::Node(Position { preopened: Some(name), .. }) => Ok(name),
            _ => Err(Errno::BadFile),
        }
    }

    pub(super) fn fd_prestat_get(&mut self, memory: &mut Memory<'_>, number: u32, to: u32) -> Done {
        let length = u32::try_from(self.preopened(number)?.len()).map_err(|_| Errno::NameTooLong)?;
        memory.write_u64(to, u64::from(length) << 32)
    }

    pub(super) fn fd_prestat_dir_name(&mut self, memory: &mut Memory<'_>, number: u32, to: u32, room: u32) -> Done {
        let name = self.preopened(number)?;
        if name.len() > room as usize {
            return Err(Errno::NameTooLong);
        }
        memory.write(to, name.as_bytes())
    }

    /// Lists a folder as far as there is room: 24 bytes and the name for each entry, the last one cut off.
    pub(super) fn fd_readdir(
        &mut self,
        memory: &mut Memory<'_>,
        number: u32,
        to: u32,
        room: u32,
        cookie: u64,
        told: u32,
    ) -> Done {
        let buffer = memory.buffer(to, room)?;
        let room = memory.get_mut(&buffer);
        let position = self.position(number)?;
        let id = position.id;
        let mut position = position.clone();
        let after = position.remembered.iter().find(|(at, _)| *at == cookie).map(|(_, name)| name.clone());
        let skip = usize::try_from(cookie).map_err(|_| Errno::Invalid)?;
        let (mut filled, mut at) = (0, cookie);
        for (name, stat) in self.files.list(id, after.as_deref(), skip)? {
            at = at.checked_add(1).ok_or(Errno::Invalid)?;
            let mut entry = [0; 24];
            entry[..8].copy_from_slice(&at.to_le_bytes());
            entry[8..16].copy_from_slice(&stat.id.inode().to_le_bytes());
            entry[16..20].copy_from_slice(&u32::try_from(name.len()).map_err(|_| Errno::Io)?.to_le_bytes());
            entry[20] = if stat.folder { FOLDER } else { REGULAR };
            for bytes in [&entry[..], name.as_bytes()] {
                let count = bytes.len().min(room.len() - filled);
                room[filled..filled + count].copy_from_slice(&bytes[..count]);
                filled += count;
            }
            if filled == room.len() {
                break;
            }
            position.remember(at, name);
        }
        self.position(number)?.remembered = position.remembered;
        self.cost = self.cost.saturating_add(if after.is_none() { cookie.min(1 << 20) } else { 0 });
        self.charge(filled);
        memory.write_u32(told, u32::try_from(filled).map_err(|_| Errno::Io)?)
    }
}
