//! What is done with descriptors.

use super::{
    resources::{Descriptor, InputStream, Listing, OutputStream, open},
    streams::MOST_MOVED,
    types::{Datetime, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, MetadataHash, OpenFlags},
};
use crate::wasm::{
    errno::Errno,
    fs::{Files, NodeId, Stat},
    lookup::{Found, How},
    path::MOST_PATH,
    system::System,
};
use wasmtime::component::Resource;

type This = Resource<Descriptor>;

fn descriptor(system: &System, this: &This) -> Result<Descriptor, Errno> {
    system.resources.get(this).copied()
}

fn readable(system: &System, this: &This) -> Result<NodeId, Errno> {
    let Descriptor { id, read, .. } = descriptor(system, this)?;
    match (read, system.files.stat(id)?.folder) {
        (true, false) => Ok(id),
        (_, true) => Err(Errno::IsFolder),
        (false, false) => Err(Errno::BadFile),
    }
}

fn writable(system: &System, this: &This) -> Result<NodeId, Errno> {
    let Descriptor { id, write, .. } = descriptor(system, this)?;
    match (write, system.files.stat(id)?.folder) {
        (true, false) => Ok(id),
        (_, true) => Err(Errno::IsFolder),
        (false, false) => Err(Errno::BadFile),
    }
}

/// Where a path leads that begins at a descriptor.
pub(super) fn locate(system: &mut System, this: &This, path: &str) -> Result<Found, Errno> {
    system.charge(path.len());
    if path.len() > MOST_PATH {
        return Err(Errno::NameTooLong);
    }
    let from = descriptor(system, this)?.id;
    system.files.locate(from, path.as_bytes())
}

fn locate_id(system: &mut System, this: &This, path: &str) -> Result<NodeId, Errno> {
    let found = locate(system, this, path)?;
    system.files.get(&found)
}

/// Bytes from a place of a file on, and whether they end where it ends.
pub(super) fn read_at(system: &mut System, id: NodeId, offset: u64, length: u64) -> Result<(Vec<u8>, bool), Errno> {
    let left = system.files.stat(id)?.size.saturating_sub(offset);
    let count = length.min(left).min(MOST_MOVED);
    let mut bytes = vec![0; usize::try_from(count).map_err(|_| Errno::Invalid)?];
    let read = system.files.read(id, offset, &mut bytes)?;
    system.charge(read);
    bytes.truncate(read);
    Ok((bytes, count == left))
}

/// Writes bytes, which are paid for, from a place of a file on, or at its end. Returns where they end.
pub(super) fn write_at(system: &mut System, id: NodeId, offset: Option<u64>, bytes: &[u8]) -> Result<u64, Errno> {
    let before = system.files.stat(id)?.size;
    let offset = offset.unwrap_or(before);
    if bytes.is_empty() {
        return Ok(offset);
    }
    system.files.write(id, offset, bytes)?;
    // What lies between the end and where it wrote was filled with zeros.
    system.charge(usize::try_from(offset.saturating_sub(before)).unwrap_or(usize::MAX));
    Ok(offset + bytes.len() as u64)
}

pub(super) fn preopened(system: &mut System) -> Result<Vec<(This, String)>, Errno> {
    let given = Files::FOLDERS.into_iter().map(|(id, name)| {
        let descriptor = Descriptor { id, read: true, write: false };
        Ok((open(system, id, descriptor)?, name.to_owned()))
    });
    given.collect()
}

pub(super) fn read_via_stream(system: &mut System, this: &This, offset: u64) -> Result<Resource<InputStream>, Errno> {
    let id = readable(system, this)?;
    open(system, id, InputStream::File { id, offset })
}

/// A stream that writes from a place on, or at the end.
pub(super) fn write_via_stream(
    system: &mut System,
    this: &This,
    offset: Option<u64>,
) -> Result<Resource<OutputStream>, Errno> {
    let id = writable(system, this)?;
    open(system, id, OutputStream::File { id, offset })
}

pub(super) fn read(system: &mut System, this: &This, length: u64, offset: u64) -> Result<(Vec<u8>, bool), Errno> {
    let id = readable(system, this)?;
    read_at(system, id, offset, length)
}

pub(super) fn write(system: &mut System, this: &This, bytes: &[u8], offset: u64) -> Result<u64, Errno> {
    system.charge(bytes.len());
    let id = writable(system, this)?;
    write_at(system, id, Some(offset), bytes)?;
    Ok(bytes.len() as u64)
}

pub(super) fn flags(system: &System, this: &This) -> Result<DescriptorFlags, Errno> {
    let Descriptor { id, read, write } = descriptor(system, this)?;
    let mut flags = DescriptorFlags::default();
    if read {
        flags |= DescriptorFlags::READ;
    }
    if write {
        flags |= DescriptorFlags::WRITE;
    }
    if system.files.stat(id)?.folder && system.files.writable(id).is_ok() {
        flags |= DescriptorFlags::MUTATE_DIRECTORY;
    }
    Ok(flags)
}

fn kind(stat: &Stat) -> DescriptorType {
    if stat.folder { DescriptorType::Directory } else { DescriptorType::RegularFile }
}

pub(super) fn kind_of(system: &System, this: &This) -> Result<DescriptorType, Errno> {
    Ok(kind(&system.files.stat(descriptor(system, this)?.id)?))
}

pub(super) fn set_size(system: &mut System, this: &This, size: u64) -> Result<(), Errno> {
    let id = writable(system, this)?;
    system.resize(id, size)
}

/// What has nothing to do here, for a descriptor: advice, synchronising, times.
pub(super) fn nothing(system: &System, this: &This) -> Result<(), Errno> {
    descriptor(system, this).map(|_| ())
}

fn tell(system: &System, id: NodeId) -> Result<DescriptorStat, Errno> {
    let stat = system.files.stat(id)?;
    let time = Some(Datetime::from_nanoseconds(system.start()));
    let size = stat.size;
    Ok(DescriptorStat { kind: kind(&stat), link_count: 1, size, accessed: time, modified: time, changed: time })
}

pub(super) fn stat(system: &System, this: &This) -> Result<DescriptorStat, Errno> {
    tell(system, descriptor(system, this)?.id)
}

pub(super) fn stat_at(system: &mut System, this: &This, path: &str) -> Result<DescriptorStat, Errno> {
    let id = locate_id(system, this, path)?;
    tell(system, id)
}

/// Times are what they are; whoever sets them is told that all is well.
pub(super) fn set_times_at(system: &mut System, this: &This, path: &str) -> Result<(), Errno> {
    let id = locate_id(system, this, path)?;
    system.files.writable(id)
}

pub(super) fn open_at(
    system: &mut System,
    this: &This,
    path: &str,
    how: OpenFlags,
    flags: DescriptorFlags,
) -> Result<This, Errno> {
    let found = locate(system, this, path)?;
    let (read, write) = (flags.contains(DescriptorFlags::READ), flags.contains(DescriptorFlags::WRITE));
    let how = How {
        create: how.contains(OpenFlags::CREATE),
        folder: how.contains(OpenFlags::DIRECTORY),
        exclusive: how.contains(OpenFlags::EXCLUSIVE),
        truncate: how.contains(OpenFlags::TRUNCATE),
        write,
    };
    let id = system.files.get_or_create(&found, how)?;
    open(system, id, Descriptor { id, read, write })
}

/// There are no links, and none can be made. What was read of a component's memory costs all the same.
pub(super) fn no_link(system: &mut System, paths: [&str; 2]) -> Result<(), Errno> {
    system.charge(paths[0].len() + paths[1].len());
    Err(Errno::NotSupported)
}

pub(super) fn readlink_at(system: &mut System, this: &This, path: &str) -> Result<String, Errno> {
    locate_id(system, this, path)?;
    Err(Errno::Invalid)
}

pub(super) fn rename_at(system: &mut System, from: (&This, &str), to: (&This, &str)) -> Result<(), Errno> {
    let (from, to) = (locate(system, from.0, from.1)?, locate(system, to.0, to.1)?);
    system.files.rename_at(&from, &to)
}

pub(super) fn is_same(system: &System, this: &This, other: &This) -> Result<bool, Errno> {
    Ok(descriptor(system, this)?.id == descriptor(system, other)?.id)
}

fn hash_of(id: NodeId) -> MetadataHash {
    MetadataHash { lower: id.inode(), upper: 0 }
}

/// The inode number, which says whether two are the same.
pub(super) fn hash(system: &System, this: &This) -> Result<MetadataHash, Errno> {
    Ok(hash_of(descriptor(system, this)?.id))
}

pub(super) fn hash_at(system: &mut System, this: &This, path: &str) -> Result<MetadataHash, Errno> {
    locate_id(system, this, path).map(hash_of)
}

pub(super) fn read_directory(system: &mut System, this: &This) -> Result<Resource<Listing>, Errno> {
    let id = descriptor(system, this)?.id;
    if !system.files.stat(id)?.folder {
        return Err(Errno::NotFolder);
    }
    open(system, id, Listing { id, after: None })
}

pub(super) fn next_entry(system: &mut System, this: &Resource<Listing>) -> Result<Option<DirectoryEntry>, Errno> {
    let listing = system.resources.get(this)?;
    let next = system.files.list(listing.id, listing.after.as_deref(), 0)?.next();
    let Some(entry) = next.map(|(name, stat)| DirectoryEntry { kind: kind(&stat), name: name.to_owned() }) else {
        return Ok(None);
    };
    system.charge(entry.name.len());
    system.resources.get_mut(this)?.after = Some(entry.name.clone());
    Ok(Some(entry))
}
