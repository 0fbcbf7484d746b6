//! Agreement on blocks: commonware simplex over the ledger.
//!
//! A validator is one [`engine`]: `simplex` votes, `marshal` keeps finalized blocks and hands them on in order,
//! `stateful` forks, executes and applies the state database, and [`Node`] is the ledger behind it. A block is final
//! once a quorum has signed it; what is final never changes.
//!
//! ```text
//!  simplex ──propose, verify──▶ Paced ──▶ Deferred ──▶ Stateful ──▶ Node ──build, verify──▶ Ledger
//!     │                                        ▲            └──record, publish──▶ Ledger
//!     └──certificates──▶ marshal ──final blocks┘
//! ```

mod again;
mod application;
mod block;
mod ceremony;
mod committee;
mod engine;
mod epochs;
mod equivocation;
mod floor;
pub mod follow;
mod gossip;
mod observe;
mod pace;
mod seeds;
#[cfg(test)]
mod tests;
mod validator;
mod wire;

pub use application::{LedgerApplication, Node, Origin, Scheme, Waiting};
pub use block::{Bounds, Context, SealedBlock};
pub use ceremony::{CeremonyError, generate};
pub use committee::{Committee, CommitteeError, Identity, MAX_VALIDATORS, NetworkKey};
pub use engine::{BLOCK_OVERHEAD, CHANNELS, Config, start};
pub use epochs::{Compared, Secrets};
pub use equivocation::Equivocations;
pub use floor::Floor;
pub use observe::{Running, Standing, Votes};
pub use pace::{Pace, PaceError};
pub use validator::{Validator, ValidatorError, namespace, start as start_validator};
pub use wire::{Peers, Wire, WireError, connect, peers};
