//! Computing on data where they are: a program goes to the data, and what may leave comes back.
//!
//! [`abi`] and [`Jobs`] are the rules on the ledger. [`role`] is what the owner's node does, with [`data`] that lie there, and
//! [`rules`] of what may leave. Buyers ask it as [`wire`] says, by [`client`], of several owners in [`rounds`].

pub mod abi;
pub mod check;
pub mod client;
mod contract;
pub mod data;
mod dispatch;
pub mod held;
mod kept;
mod results;
pub mod role;
#[cfg(test)]
pub(crate) mod role_tests;
pub mod rounds;
pub mod rules;
mod run;
#[cfg(test)]
pub(crate) mod tests;
pub mod wire;

pub use contract::{Jobs, MILLION, commitment_digest, commitment_of, job_id, receipt_digest};
pub(crate) use contract::{cost, due};
pub use run::{Files, Rerun, how_ended, outputs_hash, params_hash, rerun, round_job, steps};
pub(crate) use run::{judge, run_unless_dropped};

use alloy_primitives::{Address, U256};
use stoa_client::coins;

/// The coin that jobs are usually paid in: an ERC-20 token.
pub use stoa_contract::coin::ADDRESS as COIN;

/// An amount for people: the coin's in coins, another token's in its smallest units.
pub fn units(amount: U256, token: Address) -> String {
    match token == COIN {
        true => coins(amount),
        false => format!("{amount} units of {token}"),
    }
}

/// What names a program: the BLAKE3 hash of its file.
pub fn algorithm(module: &[u8]) -> alloy_primitives::B256 {
    (*blake3::hash(module).as_bytes()).into()
}

/// What runs a program: WebAssembly is known by how it begins, all else is a process.
pub fn runtime_of(program: &[u8]) -> u8 {
    if program.starts_with(b"\0asm") { abi::WASM } else { abi::PROCESS }
}
