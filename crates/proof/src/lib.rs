//! What a light client checks, with nothing but the network key: that a block is final, and what it says of balances,
//! storage, receipts and events. No network, no storage, no clock.
//!
//! ```text
//!  network key ──CertificateReply::verify──▶ header of a final block
//!                                             ├─ stateRoot ──ProofReply::verify──▶ balance, nonce, code hash, slots
//!                                             └─ receiptsRoot ──ReceiptReply::verify──▶ receipt, events
//! ```

mod account;
mod certificate;
mod key;
mod leaf;
mod receipt;

pub use account::{InvalidProof, ProofReply, ProvenAccount, SlotProof};
pub use certificate::{CertificateReply, InvalidCertificate};
pub use key::{CHUNK, Family, KeyProof, ProofError, verify_key};
pub use leaf::{AccountLeaf, Key, Leaf, MAX_CODE, account_key, code_key, slot_key};
pub use receipt::{InvalidReceipt, ProvenReceipt, ReceiptReply, merkle_root, receipt_digest, transactions_root};
