//! Content-addressed objects.

mod folder;
mod id;
mod layout;
mod manifest;

pub use folder::{Entry, EntryKind, Folder, InvalidFolder, MAX_ENTRIES, MAX_FOLDER, MAX_NAME, check_name};
pub use id::{BlobHash, InvalidId, NodeId, ObjectId, Owner};
pub use layout::{Code, Layout, MAX_SIZE};
pub use manifest::{Coding, InvalidManifest, Kind, MAX_MANIFEST, MAX_SEAL, Manifest, Sealing};
