use alloy_primitives::{Address, Log};
use alloy_rlp::{RlpDecodable, RlpEncodable};

/// What a transaction left behind.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
#[rlp(trailing)]
pub struct Receipt {
    /// EIP-2718 type of the transaction: 0, 1, 2 or 4.
    pub tx_type: u8,
    /// Whether execution ended without revert or halt.
    pub success: bool,
    /// Gas used by this transaction alone.
    pub gas_used: u64,
    /// Gas used by the block up to and including this transaction.
    pub cumulative_gas_used: u64,
    /// Price paid per gas, base fee and tip together, in wei.
    pub effective_gas_price: u128,
    /// Logs in the order they were emitted.
    pub logs: Vec<Log>,
    /// Address of the contract that the transaction created.
    pub contract_address: Option<Address>,
}
