//! Content-addressed objects.

mod coding;
mod error;
mod fetch;
mod folder;
mod id;
mod layout;
mod manifest;
mod object;
mod peer;
mod pipeline;
mod placement;
mod repair;
mod restore;
mod seal;
mod store;
#[cfg(test)]
mod tests;
mod tree;

pub use error::Error;
pub use fetch::{Fault, Fetch, Fetched, Holder, Report, Spread, check, fetch, fetch_manifest, spread, transit};
pub use folder::{Entry, EntryKind, Folder, InvalidFolder, MAX_ENTRIES, MAX_FOLDER, MAX_NAME, check_name};
pub use id::{BlobHash, InvalidId, NodeId, ObjectId, Owner};
pub use layout::{Code, Layout, MAX_SIZE};
pub use manifest::{Coding, InvalidManifest, Kind, MAX_MANIFEST, MAX_SEAL, Manifest, Sealing};
pub use object::{Batch, Put};
pub use peer::{Answer, Peer, PeerError};
pub use placement::{Candidate, Domain, NoPlace, Placement, place};
pub use repair::{Plan, Policy, Repaired, Seen, plan, repair};
pub use restore::Bounds;
pub use seal::{Plain, Seal};
pub use store::{BlobReader, Collected, Found, Kept, Limits, Partial, Root, Status, Store};
