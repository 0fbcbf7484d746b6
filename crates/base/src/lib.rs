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
mod words;

pub use block::{Block, Seal};
pub use genesis::{Account, Committee, DEVELOPMENT_MNEMONIC, EPOCH_LENGTH, Fees, Genesis, GenesisError};
pub use node::NodeId;
#[cfg(unix)]
pub use private::{create_private, gone, write_private};
pub use receipt::Receipt;
#[cfg(not(target_family = "wasm"))]
pub use time::{now, since_1970};
pub use words::{lines, plain};

use alloy_consensus::Transaction as _;
use alloy_eips::eip2718::Decodable2718 as _;

/// A signed transaction of type 0, 1, 2 or 4 (legacy, EIP-2930, EIP-1559, EIP-7702).
pub type Transaction = alloy_consensus::TxEnvelope;

/// The EIP-155 id of the chain that a signed transaction, as EIP-2718 encodes it, is for; nothing if it names none, or is no transaction.
pub fn chain_id_of(signed: &[u8]) -> Option<u64> {
    Transaction::decode_2718_exact(signed).ok()?.chain_id()
}

/// A signed transaction with the address that its signature recovers to.
pub type Recovered = alloy_consensus::transaction::Recovered<Transaction>;

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::hex;

    #[test]
    fn a_signed_transaction_names_its_chain() {
        // The example of EIP-155.
        let signed = hex!(
            "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
        );
        assert_eq!(chain_id_of(&signed), Some(1));
        for none in [&signed[..0], &signed[1..], &signed[..signed.len() - 1], &[&signed[..], &[0]].concat()] {
            assert_eq!(chain_id_of(none), None);
        }
    }
}
