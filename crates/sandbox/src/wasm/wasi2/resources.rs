//! What a component has: streams, descriptors and so on. It is given handles, which wasmtime leads back to these.

use crate::wasm::{
    errno::Errno,
    fs::NodeId,
    system::{Stop, System},
};
use wasmtime::{
    Result,
    component::{Resource, ResourceTable},
};

/// Resources at one time at most.
const MOST_RESOURCES: usize = 512;

/// A file or folder that is open.
#[derive(Clone, Copy)]
pub(super) struct Descriptor {
    pub id: NodeId,
    pub read: bool,
    pub write: bool,
}

pub(super) enum InputStream {
    /// Standard input: empty.
    Nothing,
    File {
        id: NodeId,
        offset: u64,
    },
}

pub(super) enum OutputStream {
    /// Standard output or error.
    Log,
    /// A file, from a place on, or at its end.
    File { id: NodeId, offset: Option<u64> },
}

/// A folder that is being listed, and the last name that was told.
pub(super) struct Listing {
    pub id: NodeId,
    pub after: Option<String>,
}

/// Nanoseconds from the start at which it is ready; 0 for what always is.
pub(super) struct Pollable(pub u64);

/// Why something on a stream failed.
pub(super) struct Failure(pub Errno);

pub(super) struct TerminalInput;
pub(super) struct TerminalOutput;

/// All resources of a component.
pub(crate) struct Resources(ResourceTable);

impl Resources {
    pub fn new() -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST_RESOURCES);
        Self(table)
    }

    /// One more, where there may be no room.
    pub fn add<T: Send + 'static>(&mut self, new: T) -> Result<Resource<T>, Errno> {
        self.0.push(new).map_err(|_| Errno::TooManyFiles)
    }

    /// One more, for a call that cannot fail: it ends the program if there is no room.
    pub fn must_add<T: Send + 'static>(&mut self, new: T) -> Result<Resource<T>> {
        self.add(new).map_err(|_| Stop::TooManyResources.into())
    }

    pub fn get<T: 'static>(&self, of: &Resource<T>) -> Result<&T, Errno> {
        self.0.get(of).map_err(|_| Errno::BadFile)
    }

    pub fn get_mut<T: 'static>(&mut self, of: &Resource<T>) -> Result<&mut T, Errno> {
        self.0.get_mut(of).map_err(|_| Errno::BadFile)
    }

    pub fn take<T: 'static>(&mut self, of: Resource<T>) -> Result<T> {
        Ok(self.0.delete(of)?)
    }
}

/// Adds what has a file or folder open.
pub(super) fn open<T: Send + 'static>(system: &mut System, id: NodeId, new: T) -> Result<Resource<T>, Errno> {
    let added = system.resources.add(new)?;
    if let Err(error) = system.files.open(id) {
        system.resources.take(added).map_err(|_| Errno::BadFile)?;
        return Err(error);
    }
    Ok(added)
}

/// What had a file or folder open is gone.
pub(super) fn close(system: &mut System, id: NodeId) {
    // It was open, so it is there.
    let _ = system.files.close(id);
}
