use alloy_consensus::Header;
use alloy_eips::eip1559::{BaseFeeParams, calc_next_block_base_fee};
use stoa_base::Fees;

/// EIP-1559: the base fee of the block after `parent`, in wei per gas.
pub fn next_base_fee(fees: &Fees, parent: &Header) -> u64 {
    let parameters = BaseFeeParams::new(u128::from(fees.change_denominator), u128::from(fees.elasticity));
    let base_fee = parent.base_fee_per_gas.unwrap_or(fees.initial_base_fee);
    calc_next_block_base_fee(parent.gas_used, parent.gas_limit, base_fee, parameters).max(fees.minimum_base_fee)
}
