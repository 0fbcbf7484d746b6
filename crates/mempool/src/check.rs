//! What can be said of a transaction without its sender's account.

use crate::{Config, MAX_TRANSACTION_BYTES, PoolError};
use alloy_consensus::Transaction as _;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::U256;
use revm::{context_interface::cfg::GasParams, primitives::hardfork::SpecId};
use std::sync::Arc;
use stoa_base::Recovered;

/// What a transaction pays per gas: at most, and of that to the proposer. Ordered by worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Price {
    pub fee_cap: u128,
    pub tip_cap: u128,
}

impl Price {
    /// What is left for the proposer under a base fee, `None` if it can't be paid. All in wei per gas.
    pub fn tip(self, base_fee: u64) -> Option<u128> {
        Some(self.fee_cap.checked_sub(base_fee.into())?.min(self.tip_cap))
    }
}

/// A transaction that is well-formed, with the numbers that the pool works on.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub transaction: Arc<Recovered>,
    pub price: Price,
    /// The most it can cost its sender, in wei.
    pub cost: U256,
    /// Encoded bytes.
    pub size: usize,
}

/// Checks what does not depend on accounts.
pub(crate) fn check(
    config: &Config,
    chain_id: u64,
    block_gas_limit: u64,
    transaction: Recovered,
) -> Result<Checked, PoolError> {
    let tx = transaction.inner();
    if tx.is_eip4844() {
        return Err(PoolError::Blob);
    }
    let size = tx.encode_2718_len();
    if size > MAX_TRANSACTION_BYTES {
        return Err(PoolError::Oversized { size, limit: MAX_TRANSACTION_BYTES });
    }
    match tx.chain_id() {
        Some(have) if have != chain_id => return Err(PoolError::ChainId { have, want: chain_id }),
        None if !config.allow_unprotected => return Err(PoolError::Unprotected),
        _ => {}
    }
    if tx.is_create() && tx.input().len() > config.max_initcode {
        return Err(PoolError::InitCode { size: tx.input().len(), limit: config.max_initcode });
    }
    let gas = tx.gas_limit();
    if gas > block_gas_limit {
        return Err(PoolError::BlockGasLimit);
    }
    if gas > config.max_gas {
        return Err(PoolError::GasCap { cap: config.max_gas, gas });
    }
    let price = Price { fee_cap: tx.max_fee_per_gas(), tip_cap: tx.priority_fee_or_price() };
    if price.tip_cap > price.fee_cap {
        return Err(PoolError::TipAboveFeeCap);
    }
    if tx.nonce() == u64::MAX {
        return Err(PoolError::NonceMax);
    }
    let authorizations = tx.authorization_list().map(<[_]>::len);
    if authorizations == Some(0) {
        return Err(PoolError::EmptyAuthorizationList);
    }
    let (accounts, slots) = tx
        .access_list()
        .map_or((0, 0), |list| (list.len() as u64, list.iter().map(|item| item.storage_keys.len() as u64).sum()));
    let needed = GasParams::new_spec(SpecId::OSAKA).initial_tx_gas(
        tx.input(),
        tx.is_create(),
        accounts,
        slots,
        authorizations.unwrap_or_default() as u64,
        None,
    );
    if gas < needed.initial_total_gas() {
        return Err(PoolError::IntrinsicGas { gas, needed: needed.initial_total_gas() });
    }
    if gas < needed.floor_gas() {
        return Err(PoolError::FloorGas { gas, needed: needed.floor_gas() });
    }
    if price.tip_cap < config.minimum_tip {
        return Err(PoolError::BelowMinimum { tip: price.tip_cap, needed: config.minimum_tip });
    }
    // Gas times fee takes at most 192 bits; a sum that does not fit is more than anybody has.
    let cost = (U256::from(gas) * U256::from(price.fee_cap)).saturating_add(tx.value());
    // The hash is computed once and kept: here, rather than under the pool's lock.
    tx.hash();
    Ok(Checked { price, cost, size, transaction: Arc::new(transaction) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{SignableTransaction, TxEip1559, TxEip4844, TxEip4844Variant, TxEip7702, TxLegacy};
    use alloy_eips::{
        eip2930::{AccessList, AccessListItem},
        eip7702::{Authorization, SignedAuthorization},
    };
    use alloy_primitives::{Address, B256, Signature, TxKind};
    use stoa_base::Transaction;

    fn error(tx: impl Into<Transaction>) -> PoolError {
        outcome(tx).unwrap_err()
    }

    fn outcome(tx: impl Into<Transaction>) -> Result<Checked, PoolError> {
        let transaction = Recovered::new_unchecked(tx.into(), Address::ZERO);
        check(&Config { minimum_tip: 1, ..Config::default() }, 31337, 30_000_000, transaction)
    }

    fn sign<T: SignableTransaction<Signature>>(tx: T) -> alloy_consensus::Signed<T> {
        tx.into_signed(Signature::test_signature())
    }

    fn base() -> TxEip1559 {
        TxEip1559 {
            chain_id: 31337,
            gas_limit: 21_000,
            max_fee_per_gas: 10,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(Address::ZERO),
            ..TxEip1559::default()
        }
    }

    #[test]
    fn a_plain_transfer_passes_with_its_highest_cost() {
        let checked = outcome(sign(TxEip1559 { value: U256::from(7), ..base() })).unwrap();
        assert_eq!(checked.cost, U256::from(210_007));
        assert_eq!(outcome(sign(TxEip1559 { value: U256::MAX, ..base() })).unwrap().cost, U256::MAX);
    }

    #[test]
    fn each_broken_rule_is_named_in_geths_words() {
        let cases: [(TxEip1559, &str); 8] = [
            (TxEip1559 { chain_id: 1, ..base() }, "invalid sender: invalid chain id for signer: have 1 want 31337"),
            (TxEip1559 { gas_limit: 30_000_001, ..base() }, "exceeds block gas limit"),
            (
                TxEip1559 { gas_limit: 16_777_217, ..base() },
                "transaction gas limit too high (cap: 16777216, tx: 16777217)",
            ),
            (
                TxEip1559 { max_priority_fee_per_gas: 11, ..base() },
                "max priority fee per gas higher than max fee per gas",
            ),
            (TxEip1559 { nonce: u64::MAX, ..base() }, "nonce has max value"),
            (TxEip1559 { gas_limit: 20_999, ..base() }, "intrinsic gas too low: gas 20999, minimum needed 21000"),
            (
                TxEip1559 { max_priority_fee_per_gas: 0, ..base() },
                "transaction gas price below minimum: gas tip cap 0, minimum needed 1",
            ),
            (
                TxEip1559 { to: TxKind::Create, input: vec![0; 49_153].into(), ..base() },
                "max initcode size exceeded: code size 49153, limit 49152",
            ),
        ];
        for (tx, message) in cases {
            assert_eq!(error(sign(tx)).to_string(), message);
        }
    }

    #[test]
    fn a_development_chain_may_let_a_transaction_have_a_whole_block() {
        let whole = sign(TxEip1559 { gas_limit: 30_000_000, ..base() });
        assert_eq!(error(whole.clone()), PoolError::GasCap { cap: 16_777_216, gas: 30_000_000 });
        let transaction = Recovered::new_unchecked(whole.into(), Address::ZERO);
        assert!(check(&Config { max_gas: u64::MAX, ..Config::default() }, 31337, 30_000_000, transaction).is_ok());
    }

    #[test]
    fn a_development_chain_may_take_longer_code_that_creates_a_contract() {
        let long = TxEip1559 { to: TxKind::Create, input: vec![0; 49_153].into(), gas_limit: 1_000_000, ..base() };
        let transaction = Recovered::new_unchecked(sign(long).into(), Address::ZERO);
        let config = Config { max_initcode: 49_153, ..Config::default() };
        assert!(check(&config, 31337, 30_000_000, transaction).is_ok());
    }

    #[test]
    fn blobs_are_refused_in_clear_words() {
        let blob = sign(<TxEip4844Variant>::from(TxEip4844 { chain_id: 31337, ..TxEip4844::default() }));
        let said = error(blob).to_string();
        assert_eq!(said, "transaction type not supported: blob transactions are not accepted on this chain");
    }

    #[test]
    fn a_transaction_for_any_chain_is_refused_unless_allowed() {
        let tx = TxLegacy { gas_price: 1, gas_limit: 21_000, to: TxKind::Call(Address::ZERO), ..TxLegacy::default() };
        assert_eq!(error(sign(tx.clone())), PoolError::Unprotected);
        let transaction = Recovered::new_unchecked(sign(tx).into(), Address::ZERO);
        assert!(check(&Config { allow_unprotected: true, ..Config::default() }, 1, 30_000_000, transaction).is_ok());
    }

    #[test]
    fn data_access_lists_and_authorizations_cost_what_the_fork_says() {
        // EIP-7623: ten gas for each of four tokens per non-zero byte is the floor.
        let data = TxEip1559 { input: vec![1; 100].into(), gas_limit: 24_999, ..base() };
        assert_eq!(error(sign(data.clone())), PoolError::FloorGas { gas: 24_999, needed: 25_000 });
        assert!(outcome(sign(TxEip1559 { gas_limit: 25_000, ..data })).is_ok());
        let item = AccessListItem { address: Address::ZERO, storage_keys: vec![B256::ZERO; 2] };
        let listed = TxEip1559 { access_list: AccessList(vec![item]), ..base() };
        assert_eq!(error(sign(listed)), PoolError::IntrinsicGas { gas: 21_000, needed: 21_000 + 2400 + 2 * 1900 });
        let delegating = TxEip7702 {
            chain_id: 31337,
            gas_limit: 45_999,
            max_fee_per_gas: 10,
            max_priority_fee_per_gas: 1,
            ..TxEip7702::default()
        };
        assert_eq!(error(sign(delegating.clone())), PoolError::EmptyAuthorizationList);
        let authorization = Authorization { chain_id: U256::ZERO, address: Address::ZERO, nonce: 0 };
        let authorization = SignedAuthorization::new_unchecked(authorization, 0, U256::from(1), U256::from(1));
        let delegating = TxEip7702 { authorization_list: vec![authorization], ..delegating };
        assert_eq!(error(sign(delegating)), PoolError::IntrinsicGas { gas: 45_999, needed: 46_000 });
    }

    #[test]
    fn a_transaction_longer_than_any_may_be_is_refused() {
        let long = TxEip1559 { input: vec![0; MAX_TRANSACTION_BYTES].into(), ..base() };
        assert!(matches!(error(sign(long)), PoolError::Oversized { .. }));
    }
}
