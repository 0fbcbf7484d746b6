//! Content-addressed objects.

mod coding;
mod error;
mod folder;
mod id;
mod layout;
mod manifest;
mod object;
mod pipeline;
mod seal;
mod store;
mod tree;

pub use error::Error;
pub use folder::{Entry, EntryKind, Folder, InvalidFolder, MAX_ENTRIES, MAX_FOLDER, MAX_NAME, check_name};
pub use id::{BlobHash, InvalidId, NodeId, ObjectId, Owner};
pub use layout::{Code, Layout, MAX_SIZE};
pub use manifest::{Coding, InvalidManifest, Kind, MAX_MANIFEST, MAX_SEAL, Manifest, Sealing};
pub use object::{Batch, Put};
pub use seal::{Plain, Seal};
pub use store::{BlobReader, Collected, Found, Kept, Limits, Partial, Root, Status, Store};
