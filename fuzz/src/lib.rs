//! The decoders of what comes from outside, as functions that any bytes can be given to.
//!
//! A [`Target`] panics when its decoder breaks a promise: to panic on nothing, to give back what it took in the same
//! bytes, to believe no false proof. Its seeds are real encodings, which a fuzzer begins with (`cargo xtask bench fuzz`)
//! and the tests run as they are and damaged.

mod block;
mod folder;
mod grant;
#[cfg(feature = "libfuzzer")]
pub mod harness;
mod leaf;
mod look;
mod manifest;
mod object;
mod piece;
mod proof;
mod request;
mod rpc;
#[cfg(test)]
mod tests;
mod transaction;

pub use block::TARGET as BLOCK;
pub use folder::TARGET as FOLDER;
pub use grant::TARGET as GRANT;
pub use leaf::TARGET as LEAF;
pub use look::TARGET as LOOK;
pub use manifest::TARGET as MANIFEST;
pub use object::TARGET as OBJECT;
pub use piece::TARGET as PIECE;
pub use proof::TARGET as PROOF;
pub use request::TARGET as REQUEST;
pub use rpc::TARGET as RPC;
pub use transaction::TARGET as TRANSACTION;

use alloy_primitives::B256;
use alloy_signer_local::PrivateKeySigner;

/// One decoder.
pub struct Target {
    /// What it is called.
    pub name: &'static str,
    /// Decodes, and says whether the bytes were taken.
    ///
    /// # Panics
    ///
    /// If a promise is broken.
    pub run: fn(&[u8]) -> bool,
    /// Encodings that are taken.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// EIP-155 chain id of what the seeds hold.
const CHAIN_ID: u64 = 31337;

/// A key for seeds.
fn signer(n: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(n + 1)).expect("the scalar is below the curve's order")
}
