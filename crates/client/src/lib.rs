//! A typed client of a node.
//!
//! [`Client`] calls a node over JSON-RPC. What it returns is the node's word, but for [`Client::prove`]: that comes with
//! a proof, which [`ProofReply::verify`] checks against the state root of a block whose hash the caller trusts. Whoever
//! knows the network key need trust no hash: [`Client::certificate`] brings what [`CertificateReply::verify`] checks with it.

mod certificate;
mod proof;
mod rpc;
mod status;

pub use certificate::{CertificateReply, InvalidCertificate};
pub use proof::{InvalidProof, ProofReply, ProvenAccount, SlotProof};
pub use rpc::{Client, ClientError};
pub use status::{PeerStatus, Status, ValidatorStatus};
