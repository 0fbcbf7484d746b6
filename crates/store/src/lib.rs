//! Objects under the hash of what they are: in and out of a node's disk, cut into pieces that any k of n suffice of, on nodes
//! apart from each other, and made whole again when some are gone.
//!
//! ```text
//!  file ──seal──▶ content ──stripes──▶ n pieces ──place──▶ n nodes          put_file, spread
//!                    │                    │
//!                    └─────── hashes ─────┴──▶ manifest ──hash──▶ ObjectId
//!
//!  ObjectId ──▶ manifest ──▶ any k pieces ──decode──▶ content ──open──▶ file    fetch, get_to
//!                    └─────▶ any k pieces ──────────▶ pieces that are gone      plan, repair
//! ```
//!
//! **Names.** An object's id is the hash of its [`Manifest`], which holds the hash of the content and of every piece. All
//! hashes are BLAKE3, whose tree lets a part be checked without the rest. Whoever has the id needs to believe nobody.
//!
//! **What an attacker may do.** A node that keeps pieces may lose them, give wrong ones, old ones, too much, or nothing, or
//! take its time: [`fetch`] notices each, says who it was, and goes on with others. It cannot read them if the content was
//! sealed, and nothing that is not sealed leaves for strangers by mistake ([`spread`]). A manifest or folder from anybody
//! decodes to one value or is refused, within bounds. Whoever asks this node to keep things may fill his own quota and no
//! more, in whoever's name he asks, and all strangers together, whose keys cost nothing, three quarters of what there is
//! ([`Limits`]).
//!
//! **What a disk may do.** It may be full: room is set aside before anything is promised. It may lose power: what was
//! acknowledged was synced, what was not leaves no trace, and what is here only on its way is read before it is believed. It
//! may rot: what is read is compared with its hash, and what is damaged is set aside or made good from other pieces
//! ([`Store::scrub`], [`Store::rebuild`]).
//!
//! [`Peer`] is what a transport has to offer, and [`Network`] one over QUIC, in iroh's blobs protocol. [`Seal`] is how content
//! is sealed, [`Sealed`] the way of `stoa-privacy`. Who is paid for keeping pieces is decided behind [`Peer::keep`].
//!
//! ```
//! use stoa_store::{Code, Limits, Put, Store};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let store = Store::open(folder.path(), Limits { margin: 0, ..Limits::default() })?;
//!
//! // Four of ten pieces suffice.
//! let put = Put { code: Some(Code::default()), ..Put::default() };
//! let id = store.put(&b"what is worth keeping"[..], put)?;
//! assert_eq!(store.manifest(id)?.blobs().len(), 10);
//!
//! let mut content = Vec::new();
//! store.get(id, &mut content)?;
//! assert_eq!(content, b"what is worth keeping");
//! # Ok(())
//! # }
//! ```

mod coding;
mod counted;
mod error;
mod fetch;
mod folder;
mod id;
mod layout;
mod manifest;
mod net;
mod object;
mod peer;
mod pipeline;
mod placement;
mod read;
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
pub use id::{BlobHash, InvalidId, ObjectId, Owner};
pub use layout::{Code, Layout, MAX_SIZE};
pub use manifest::{Coding, InvalidManifest, Kind, MAX_MANIFEST, MAX_SEAL, Manifest, Sealing};
#[doc(hidden)]
pub use net::request_again;
pub use net::{
    BLOBS, Guard, Looked, Member, Members, Network, STORE, Server, Silent, Spreading, Terms, Watch, Where, code_for,
    days_from_now,
};
pub use object::{Batch, Put};
pub use peer::{Answer, Denied, Peer};
pub use placement::{Candidate, Domain, NoPlace, Placement, place};
pub use read::Here;
pub use repair::{Plan, Policy, Repaired, Seen, plan, repair};
pub use restore::Bounds;
pub use seal::{KeySource, Plain, Seal, Sealed};
pub use stoa_base::NodeId;
pub use store::{BlobReader, Collected, Found, Kept, Limits, Partial, Root, SMALL, Scrubbed, Status, Store};
