//! The files that a program sees: `/data`, which cannot be changed, `/out` and `/tmp`, which live in memory.
//!
//! Everything that real file systems leave open is settled: folders list their entries by name, inode numbers follow from
//! the order in which things were put there, all times are the job's, and there are neither links, owners nor devices.

mod given;
mod quota;

use super::errno::Errno;
use crate::{Error, Job, SCRATCH_FILES, job::PARAMS};
use given::Given;
use quota::Quota;
use std::{collections::BTreeMap, ops::Bound, path::PathBuf, sync::Arc};

/// Files and folders of all inputs together.
const MOST_GIVEN: usize = 200_000;
/// Inputs that are open at one time: each may be a file of this machine.
const MOST_OPEN: usize = 128;
/// Folders within each other. What walks them may recurse.
const MOST_DEPTH: usize = 64;

/// A file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(u32);

impl NodeId {
    /// Its inode number.
    pub fn inode(self) -> u64 {
        u64::from(self.0) + 1
    }

    fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Area {
    Data,
    Out,
    Scratch,
}

#[derive(Debug)]
enum Kind {
    Folder(BTreeMap<String, NodeId>),
    /// Part of an input.
    Given(Given),
    /// Written by the program.
    Written(Vec<u8>),
}

#[derive(Debug)]
struct Node {
    area: Area,
    depth: usize,
    kind: Kind,
    /// How many descriptors are open on it.
    opened: u32,
    /// Whether a folder has it.
    linked: bool,
}

/// What is known of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub id: NodeId,
    pub folder: bool,
    pub size: u64,
}

/// The file system of one run.
#[derive(Debug)]
pub(crate) struct Files {
    nodes: Vec<Option<Node>>,
    free: Vec<NodeId>,
    out: Quota,
    scratch: Quota,
    /// Inputs that are open.
    open: usize,
    /// An input could not be read, or the machine has no memory for what is written: the run is void.
    failure: Option<(PathBuf, std::io::Error)>,
}

impl Files {
    pub const DATA: NodeId = NodeId(0);
    pub const OUT: NodeId = NodeId(1);
    pub const SCRATCH: NodeId = NodeId(2);
    /// The folders that a program is given, and their names.
    pub const FOLDERS: [(NodeId, &str); 3] = [(Self::DATA, "/data"), (Self::OUT, "/out"), (Self::SCRATCH, "/tmp")];

    /// With the inputs of a job.
    ///
    /// # Errors
    ///
    /// If an input cannot be read, or there are too many.
    pub fn new(job: &Job) -> Result<Self, Error> {
        let limits = &job.limits;
        let mut files = Self {
            nodes: Vec::new(),
            free: Vec::new(),
            out: Quota { bytes: limits.output_bytes, files: limits.output_files, exceeded: false },
            scratch: Quota {
                bytes: limits.scratch_bytes,
                files: limits.output_files.saturating_add(SCRATCH_FILES),
                exceeded: false,
            },
            open: 0,
            failure: None,
        };
        for area in [Area::Data, Area::Out, Area::Scratch] {
            files.add(Node { area, depth: 0, kind: Kind::Folder(BTreeMap::new()), opened: 0, linked: true });
        }
        if !job.params.is_empty() {
            files.give(Self::DATA, PARAMS, Kind::Given(Given::bytes(Arc::from(&job.params[..]))))?;
        }
        // In the order of names, so that inode numbers do not depend on the order in which they were given.
        let mut inputs: Vec<_> = job.inputs.iter().collect();
        inputs.sort_by_key(|input| &input.name);
        for input in inputs {
            given::add(&mut files, input)?;
        }
        Ok(files)
    }

    fn add(&mut self, node: Node) -> NodeId {
        if let Some(id) = self.free.pop() {
            self.nodes[id.index()] = Some(node);
            return id;
        }
        let id = NodeId(self.nodes.len().try_into().unwrap_or(u32::MAX));
        self.nodes.push(Some(node));
        id
    }

    /// Puts a part of an input into a folder of `/data`.
    fn give(&mut self, folder: NodeId, name: &str, kind: Kind) -> Result<NodeId, Error> {
        if self.nodes.len() >= MOST_GIVEN {
            return Err(Error::Job(format!("the inputs have more than {MOST_GIVEN} files and folders: pack them")));
        }
        let depth = self.node(folder).map_or(0, |node| node.depth) + 1;
        if depth > MOST_DEPTH {
            return Err(Error::Job(format!("the inputs have more than {MOST_DEPTH} folders within each other")));
        }
        let id = self.add(Node { area: Area::Data, depth, kind, opened: 0, linked: true });
        if let Ok(entries) = self.entries_mut(folder) {
            entries.insert(name.to_owned(), id);
        }
        Ok(id)
    }

    fn node(&self, id: NodeId) -> Result<&Node, Errno> {
        self.nodes.get(id.index()).and_then(Option::as_ref).ok_or(Errno::BadFile)
    }

    fn node_mut(&mut self, id: NodeId) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(id.index()).and_then(Option::as_mut).ok_or(Errno::BadFile)
    }

    fn entries(&self, folder: NodeId) -> Result<&BTreeMap<String, NodeId>, Errno> {
        match &self.node(folder)?.kind {
            Kind::Folder(entries) => Ok(entries),
            Kind::Given(_) | Kind::Written(_) => Err(Errno::NotFolder),
        }
    }

    fn entries_mut(&mut self, folder: NodeId) -> Result<&mut BTreeMap<String, NodeId>, Errno> {
        match &mut self.node_mut(folder)?.kind {
            Kind::Folder(entries) => Ok(entries),
            Kind::Given(_) | Kind::Written(_) => Err(Errno::NotFolder),
        }
    }

    fn quota(&mut self, area: Area) -> Result<&mut Quota, Errno> {
        match area {
            Area::Data => Err(Errno::ReadOnly),
            Area::Out => Ok(&mut self.out),
            Area::Scratch => Ok(&mut self.scratch),
        }
    }

    /// Follows names from a folder.
    pub fn find(&self, from: NodeId, names: &[&str]) -> Result<NodeId, Errno> {
        names.iter().try_fold(from, |at, name| self.entries(at)?.get(*name).copied().ok_or(Errno::NotFound))
    }

    pub fn stat(&self, id: NodeId) -> Result<Stat, Errno> {
        let (folder, size) = match &self.node(id)?.kind {
            Kind::Folder(_) => (true, 0),
            Kind::Given(given) => (false, given.size()),
            Kind::Written(bytes) => (false, bytes.len() as u64),
        };
        Ok(Stat { id, folder, size })
    }

    /// Whether it can be written to.
    pub fn writable(&self, id: NodeId) -> Result<(), Errno> {
        if self.node(id)?.area == Area::Data { Err(Errno::ReadOnly) } else { Ok(()) }
    }

    /// The entries of a folder by name: those after `after` if it is given, else all but the first `skip`.
    pub fn list<'a>(
        &'a self,
        folder: NodeId,
        after: Option<&'a str>,
        skip: usize,
    ) -> Result<impl Iterator<Item = (&'a str, Stat)>, Errno> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.entries(folder)?.range::<str, _>((from, Bound::Unbounded));
        let skip = if after.is_some() { 0 } else { skip };
        Ok(entries.skip(skip).filter_map(|(name, id)| Some((name.as_str(), self.stat(*id).ok()?))))
    }

    /// Makes a file or folder, which must not be there.
    pub fn create(&mut self, parent: NodeId, name: &str, folder: bool) -> Result<NodeId, Errno> {
        let (area, depth) = {
            let Node { area, depth, linked, .. } = self.node(parent)?;
            if !linked {
                return Err(Errno::NotFound);
            }
            (*area, depth + 1)
        };
        if self.entries(parent)?.contains_key(name) {
            return Err(Errno::Exists);
        }
        if depth > MOST_DEPTH {
            return Err(Errno::NameTooLong);
        }
        self.quota(area)?.take_file()?;
        let kind = if folder { Kind::Folder(BTreeMap::new()) } else { Kind::Written(Vec::new()) };
        let id = self.add(Node { area, depth, kind, opened: 0, linked: true });
        self.entries_mut(parent)?.insert(name.to_owned(), id);
        Ok(id)
    }

    /// Takes a file, or an empty folder, out of its folder. A file that is open stays until it is closed.
    pub fn remove(&mut self, parent: NodeId, name: &str, folder: bool) -> Result<(), Errno> {
        self.writable(parent)?;
        let id = self.find(parent, &[name])?;
        match &self.node(id)?.kind {
            Kind::Folder(entries) if folder && entries.is_empty() => {}
            Kind::Folder(_) if folder => return Err(Errno::NotEmpty),
            Kind::Folder(_) => return Err(Errno::IsFolder),
            Kind::Given(_) | Kind::Written(_) if folder => return Err(Errno::NotFolder),
            Kind::Given(_) | Kind::Written(_) => {}
        }
        self.entries_mut(parent)?.remove(name);
        self.node_mut(id)?.linked = false;
        self.release(id)
    }

    /// Gives a file another name and place in the same area, in the place of a file of that name. A folder keeps its parent.
    pub fn rename(&mut self, from: (NodeId, &str), to: (NodeId, &str)) -> Result<(), Errno> {
        let id = self.find(from.0, &[from.1])?;
        self.writable(from.0)?;
        let (area, target) = (self.node(from.0)?.area, self.node(to.0)?);
        if area != target.area {
            return Err(Errno::OtherFileSystem);
        }
        if !target.linked {
            return Err(Errno::NotFound);
        }
        let (depth, folder) = (target.depth + 1, self.stat(id)?.folder);
        if folder && from.0 != to.0 {
            // Its depth, and that of all within it, would change.
            return Err(Errno::NotSupported);
        }
        match self.entries(to.0)?.get(to.1).copied() {
            Some(there) if there == id => return Ok(()),
            Some(there) => {
                if !folder && self.stat(there)?.folder {
                    return Err(Errno::IsFolder);
                }
                self.remove(to.0, to.1, folder)?;
            }
            None => {}
        }
        self.entries_mut(from.0)?.remove(from.1);
        self.entries_mut(to.0)?.insert(to.1.to_owned(), id);
        self.node_mut(id)?.depth = depth;
        Ok(())
    }

    /// A descriptor is opened.
    pub fn open(&mut self, id: NodeId) -> Result<(), Errno> {
        let node = self.nodes.get_mut(id.index()).and_then(Option::as_mut).ok_or(Errno::BadFile)?;
        if let Kind::Given(given) = &mut node.kind
            && node.opened == 0
        {
            if self.open == MOST_OPEN {
                return Err(Errno::TooManyFiles);
            }
            given.open().map_err(|error| {
                self.failure = Some(error);
                Errno::Io
            })?;
            self.open += 1;
        }
        node.opened += 1;
        Ok(())
    }

    /// A descriptor is closed.
    pub fn close(&mut self, id: NodeId) -> Result<(), Errno> {
        let node = self.nodes.get_mut(id.index()).and_then(Option::as_mut).ok_or(Errno::BadFile)?;
        node.opened = node.opened.checked_sub(1).ok_or(Errno::BadFile)?;
        if node.opened == 0
            && let Kind::Given(given) = &mut node.kind
        {
            given.close();
            self.open = self.open.saturating_sub(1);
        }
        self.release(id)
    }

    /// Forgets what no folder has and nobody has open.
    fn release(&mut self, id: NodeId) -> Result<(), Errno> {
        let node = self.node(id)?;
        if node.linked || node.opened > 0 {
            return Ok(());
        }
        let size = if let Kind::Written(bytes) = &node.kind { bytes.len() as u64 } else { 0 };
        let quota = self.quota(node.area)?;
        quota.bytes += size;
        quota.files += 1;
        self.nodes[id.index()] = None;
        self.free.push(id);
        Ok(())
    }

    /// Reads from a place on. Returns how many bytes: fewer than there is room for only at the end.
    pub fn read(&mut self, id: NodeId, offset: u64, to: &mut [u8]) -> Result<usize, Errno> {
        let node = self.nodes.get_mut(id.index()).and_then(Option::as_mut).ok_or(Errno::BadFile)?;
        match &mut node.kind {
            Kind::Folder(_) => Err(Errno::IsFolder),
            Kind::Given(given) => given.read(offset, to).map_err(|error| {
                self.failure = Some(error);
                Errno::Io
            }),
            Kind::Written(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let count = to.len().min(bytes.len() - from);
                to[..count].copy_from_slice(&bytes[from..from + count]);
                Ok(count)
            }
        }
    }

    /// Writes all, from a place on. What lies before it and was not written is zero, and counts.
    pub fn write(&mut self, id: NodeId, offset: u64, from: &[u8]) -> Result<(), Errno> {
        if from.is_empty() {
            return Ok(());
        }
        let end = offset.checked_add(from.len() as u64).ok_or(Errno::FileTooBig)?;
        if end > self.stat(id)?.size {
            self.set_size(id, end)?;
        }
        match &mut self.node_mut(id)?.kind {
            Kind::Written(bytes) => {
                let start = usize::try_from(offset).map_err(|_| Errno::FileTooBig)?;
                bytes[start..start + from.len()].copy_from_slice(from);
                Ok(())
            }
            Kind::Folder(_) => Err(Errno::IsFolder),
            Kind::Given(_) => Err(Errno::ReadOnly),
        }
    }

    /// Makes a file longer or shorter.
    pub fn set_size(&mut self, id: NodeId, size: u64) -> Result<(), Errno> {
        let node = self.nodes.get_mut(id.index()).and_then(Option::as_mut).ok_or(Errno::BadFile)?;
        let quota = match node.area {
            Area::Data => return Err(Errno::ReadOnly),
            Area::Out => &mut self.out,
            Area::Scratch => &mut self.scratch,
        };
        let Kind::Written(bytes) = &mut node.kind else { return Err(Errno::IsFolder) };
        let before = bytes.len() as u64;
        if let Some(more) = size.checked_sub(before) {
            quota.take_bytes(more)?;
        } else {
            quota.bytes += before - size;
        }
        let size = usize::try_from(size).map_err(|_| Errno::FileTooBig)?;
        if bytes.try_reserve(size.saturating_sub(bytes.len())).is_err() {
            // The limits allow it, so another machine would have had it.
            self.failure = Some((PathBuf::from("/out"), std::io::ErrorKind::OutOfMemory.into()));
            return Err(Errno::Io);
        }
        bytes.resize(size, 0);
        // What is given back may be taken again by another file.
        if bytes.capacity() / 2 > size {
            bytes.shrink_to_fit();
        }
        Ok(())
    }

    /// Whether more was written under `/out` than there was room for.
    pub fn output_exceeded(&self) -> bool {
        self.out.exceeded
    }

    /// Why an input could not be read, if so.
    pub fn take_failure(&mut self) -> Option<Error> {
        self.failure.take().map(|(path, error)| Error::Input { path, error })
    }

    /// Takes the files under `/out` by their paths.
    pub fn into_output(mut self) -> BTreeMap<String, Vec<u8>> {
        let mut output = BTreeMap::new();
        let mut folders = vec![(String::new(), Self::OUT)];
        while let Some((path, id)) = folders.pop() {
            let entries: Vec<_> =
                self.entries(id).into_iter().flatten().map(|(name, id)| (name.clone(), *id)).collect();
            for (name, id) in entries {
                let path = if path.is_empty() { name } else { format!("{path}/{name}") };
                match self.nodes[id.index()].take().map(|node| node.kind) {
                    Some(Kind::Written(bytes)) => drop(output.insert(path, bytes)),
                    Some(kind) => {
                        self.nodes[id.index()] =
                            Some(Node { area: Area::Out, depth: 0, kind, opened: 0, linked: true });
                        folders.push((path, id));
                    }
                    None => {}
                }
            }
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_has_given_back_is_not_kept() {
        let mut files = Files::new(&Job::new(PathBuf::from("program"))).unwrap();
        let id = files.create(Files::SCRATCH, "it", false).unwrap();
        let held = |files: &Files| match &files.node(id).unwrap().kind {
            Kind::Written(bytes) => bytes.capacity(),
            Kind::Folder(_) | Kind::Given(_) => panic!("it is a file that was written"),
        };
        files.set_size(id, 1 << 20).unwrap();
        assert!(held(&files) >= 1 << 20);
        for size in [1000, 0] {
            files.set_size(id, size).unwrap();
            assert!(held(&files) <= 2000, "{size} bytes take {}", held(&files));
        }
    }
}
