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
mod error;
mod follower;
mod genesis;
mod messages;
mod pass_on;
mod peers;
mod serve;
mod source;
mod take_over;
#[cfg(test)]
mod tests;
mod tip;

pub use check::{Certificate, Lie, Verifier};
pub use error::FollowError;
pub use follower::{Follower, Options, Start};
pub use genesis::genesis;
pub use messages::{MOST_REQUEST, Request};
pub use peers::{Failure, Link, PeerStatus, Peers};
pub use serve::{REACH, Server};
pub use tip::{Newest, newest};

use std::time::Duration;

/// How long a peer may take to answer, beyond how long it waits for a block.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long to wait before asking again where nobody may be asked.
const NOBODY: Duration = Duration::from_millis(250);

/// After how long a peer has a block that another has, unless it keeps it back.
const LATE: Duration = Duration::from_secs(30);
