//! What paths name, below a folder that a program has open, and what is done there.

use super::{
    errno::Errno,
    fs::{Files, NodeId},
    path::relative,
};

/// The folder that something is in, and its name there. No name: it is the folder itself that the path begins at.
pub(super) struct Found {
    pub parent: NodeId,
    name: Option<String>,
    /// The path ends in a way that only a folder's may.
    folder: bool,
}

/// How something is opened.
#[derive(Clone, Copy, Default)]
pub(super) struct How {
    /// Make a file if there is none.
    pub create: bool,
    /// It has to be a folder.
    pub folder: bool,
    /// It must not be there.
    pub exclusive: bool,
    pub truncate: bool,
    pub write: bool,
}

impl Found {
    /// The name of what is to be made or removed: the folder itself stays.
    fn name(&self) -> Result<&str, Errno> {
        self.name.as_deref().ok_or(Errno::NotCapable)
    }
}

impl Files {
    pub fn locate(&self, from: NodeId, path: &[u8]) -> Result<Found, Errno> {
        let path = relative(path)?;
        let Some((name, parents)) = path.names.split_last() else {
            self.folder(from)?;
            return Ok(Found { parent: from, name: None, folder: true });
        };
        let parent = self.find(from, parents)?;
        self.folder(parent)?;
        Ok(Found { parent, name: Some((*name).to_owned()), folder: path.folder })
    }

    fn folder(&self, id: NodeId) -> Result<(), Errno> {
        if self.stat(id)?.folder { Ok(()) } else { Err(Errno::NotFolder) }
    }

    /// What is there.
    pub fn get(&self, found: &Found) -> Result<NodeId, Errno> {
        let Some(name) = &found.name else { return Ok(found.parent) };
        let id = self.find(found.parent, &[name])?;
        if found.folder {
            self.folder(id)?;
        }
        Ok(id)
    }

    /// What is there, or is made there, to be opened.
    pub fn get_or_create(&mut self, found: &Found, how: How) -> Result<NodeId, Errno> {
        let id = match self.get(found) {
            Ok(_) if how.create && how.exclusive => return Err(Errno::Exists),
            Ok(id) => id,
            Err(Errno::NotFound) if how.create => {
                self.writable(found.parent)?;
                if found.folder || how.folder {
                    return Err(Errno::NotFound);
                }
                self.create(found.parent, found.name()?, false)?
            }
            Err(error) => return Err(error),
        };
        let folder = self.stat(id)?.folder;
        if how.folder && !folder {
            return Err(Errno::NotFolder);
        }
        if (how.write && !folder) || how.truncate {
            self.writable(id)?;
        }
        if how.truncate {
            self.set_size(id, 0)?;
        }
        Ok(id)
    }

    pub fn create_folder_at(&mut self, found: &Found) -> Result<(), Errno> {
        if self.get(found).is_ok() {
            return Err(Errno::Exists);
        }
        self.create(found.parent, found.name()?, true).map(|_| ())
    }

    pub fn remove_folder_at(&mut self, found: &Found) -> Result<(), Errno> {
        self.remove(found.parent, found.name()?, true)
    }

    pub fn unlink_at(&mut self, found: &Found) -> Result<(), Errno> {
        if found.folder {
            return Err(Errno::NotFolder);
        }
        self.remove(found.parent, found.name()?, false)
    }

    pub fn rename_at(&mut self, from: &Found, to: &Found) -> Result<(), Errno> {
        self.rename((from.parent, from.name()?), (to.parent, to.name()?))
    }
}
