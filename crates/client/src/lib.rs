//! A typed client of a node.
//!
//! [`Client`] calls a node over JSON-RPC. What it returns is the node's word, but for what comes with a proof:
//! [`Client::prove`] and [`Client::prove_receipt`], whose answers lead to a block's header, and [`Client::certificate`],
//! which proves with the network key that the block is final. `stoa-proof` checks all of them.
//!
//! [`Wallet`] sends transactions. [`Chain`] is what contracts can be asked of, a node or one's own copy of the ledger.

mod chain;
mod clock;
mod flight;
mod rpc;
mod status;
mod wallet;
mod words;

pub use chain::{At, Chain, ViewError, view};
pub use clock::{ClockError, ClocksApart};
pub use rpc::{Client, ClientError};
pub use status::{PeerStatus, Status, ValidatorStatus, Vote};
pub use stoa_base::{lines, plain};
pub use stoa_proof::{
    CertificateReply, InvalidCertificate, InvalidProof, InvalidReceipt, ProofReply, ProvenAccount, ProvenReceipt,
    ReceiptReply, SlotProof,
};
pub use wallet::{Fate, SendError, Sent, Wallet};
pub use words::{coins, counted, decimal, iso_8601, utc, when};
