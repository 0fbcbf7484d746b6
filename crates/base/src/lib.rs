//! What every crate shares: transactions, blocks, receipts and the genesis file.
//!
//! A block's header is Ethereum's own, byte for byte, and its hash is Ethereum's; what consensus and state sync need
//! beyond it stands in the [`Seal`], whose hash the header carries in `extraData`.

mod block;
pub mod canonical;
mod genesis;
mod node;
#[cfg(unix)]
mod private;
mod receipt;
#[cfg(not(target_family = "wasm"))]
mod time;

pub use block::{Block, Seal};
pub use genesis::{Account, Committee, DEVELOPMENT_MNEMONIC, EPOCH_LENGTH, Fees, Genesis, GenesisError};
pub use node::NodeId;
#[cfg(unix)]
pub use private::{create_private, write_private};
pub use receipt::Receipt;
#[cfg(not(target_family = "wasm"))]
pub use time::{now, since_1970};

/// A signed transaction of type 0, 1, 2 or 4 (legacy, EIP-2930, EIP-1559, EIP-7702).
pub type Transaction = alloy_consensus::TxEnvelope;

/// A signed transaction with the address that its signature recovers to.
pub type Recovered = alloy_consensus::transaction::Recovered<Transaction>;
