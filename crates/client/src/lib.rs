//! A typed client of a node.
//!
//! [`Client`] calls a node over JSON-RPC. What it returns is the node's word, but for [`Client::prove`]: that comes with
//! a proof, which [`ProofReply::verify`] checks against the state root of a block whose hash the caller trusts.

mod proof;
mod rpc;

pub use proof::{InvalidProof, ProofReply, ProvenAccount, SlotProof};
pub use rpc::{Client, ClientError};
