//! Following a chain without voting: nodes that need nobody's permission, and trust nobody.
//!
//! Whoever knows the network key takes certified blocks from any node, checks each certificate, executes, and serves them
//! on. A new node can take over the state instead of executing all that ever was. What a peer says that is not what a
//! quorum has signed is noticed, and the peer is left.
//!
//! ```text
//!  Follower ──asks──▶ Peers ──▶ Link ═══(QUIC, or a test's)═══▶ Server ──▶ Ledger
//!     └──executes──▶ Direct
//! ```
//!
//! One request is one stream: the bytes of a [`Request`], then the bytes of the answer.

mod check;
mod follower;
mod messages;
mod peers;
mod serve;
mod source;
#[cfg(test)]
mod tests;

pub use check::{Certificate, Lie, Verifier};
pub use follower::{FollowError, Follower, Options, Start, genesis, newest};
pub use messages::{MOST_REQUEST, Request};
pub use peers::{Failure, Link, PeerStatus, Peers};
pub use serve::Server;
