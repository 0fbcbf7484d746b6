//! Signed transactions, as `eth_sendRawTransaction` takes them.

use crate::{CHAIN_ID, Target, signer};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::{
    eip2718::Encodable2718,
    eip2930::{AccessList, AccessListItem},
    eip7702::Authorization,
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy_signer::SignerSync;
use std::sync::Arc;
use stoa_base::Transaction;
use stoa_mempool::{Account, Config, Pool, PoolError, State};

/// Signed transactions, as `eth_sendRawTransaction` takes them.
pub const TARGET: Target = Target { name: "transaction", run, seeds };

/// A chain on which everybody is rich.
struct Rich;

impl State for Rich {
    fn chain_id(&self) -> u64 {
        CHAIN_ID
    }

    fn gas_limit(&self) -> u64 {
        30_000_000
    }

    fn account(&self, _: Address) -> Result<Account, String> {
        Ok(Account { nonce: 0, balance: U256::MAX, has_code: false })
    }
}

/// Decodes, recovers the sender, and has the mempool check it.
fn run(bytes: &[u8]) -> bool {
    let Ok(transaction) = stoa_mempool::recover(bytes) else { return false };
    assert_eq!(transaction.inner().encoded_2718(), bytes, "a transaction has one encoding");
    let config = Config { events: 1, allow_unprotected: true, ..Config::default() };
    let pool = Pool::new(config, Arc::new(Rich));
    if let Ok(hash) = pool.add(transaction.clone()) {
        assert_eq!(pool.get(&hash).as_deref(), Some(&transaction), "it waits under its hash");
        assert_eq!(pool.add(transaction), Err(PoolError::AlreadyKnown), "once");
    }
    true
}

fn sign<T: SignableTransaction<Signature>>(unsigned: T) -> Transaction
where
    Transaction: From<alloy_consensus::Signed<T>>,
{
    let signature = signer(0).sign_hash_sync(&unsigned.signature_hash()).expect("a key in memory signs");
    unsigned.into_signed(signature).into()
}

/// One of each type, and what differs within a type.
pub(crate) fn examples() -> Vec<Transaction> {
    let to = TxKind::Call(Address::repeat_byte(0xaa));
    let call = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce: 0,
        gas_limit: 100_000,
        max_fee_per_gas: 3_000_000_000,
        max_priority_fee_per_gas: 1,
        to,
        value: U256::from(10).pow(U256::from(18)),
        ..TxEip1559::default()
    };
    let legacy = TxLegacy {
        chain_id: Some(CHAIN_ID),
        gas_price: 1_000_000_000,
        gas_limit: 21_000,
        to,
        value: U256::from(1),
        ..TxLegacy::default()
    };
    let item =
        AccessListItem { address: Address::repeat_byte(0xbb), storage_keys: vec![B256::ZERO, B256::with_last_byte(1)] };
    let access_list = AccessList(vec![item.clone(), AccessListItem { storage_keys: Vec::new(), ..item }]);
    let authorization = |chain_id| {
        let unsigned = Authorization { chain_id: U256::from(chain_id), address: Address::repeat_byte(0xcc), nonce: 1 };
        let signature = signer(1).sign_hash_sync(&unsigned.signature_hash()).expect("a key in memory signs");
        unsigned.into_signed(signature)
    };
    vec![
        sign(legacy.clone()),
        sign(TxLegacy { chain_id: None, nonce: 1, input: Bytes::from(vec![0x11; 70]), gas_limit: 60_000, ..legacy }),
        sign(TxEip2930 {
            chain_id: CHAIN_ID,
            gas_price: 1_000_000_000,
            gas_limit: 60_000,
            to,
            access_list: access_list.clone(),
            ..TxEip2930::default()
        }),
        sign(call.clone()),
        sign(TxEip1559 {
            to: TxKind::Create,
            input: Bytes::from_static(&[0x60, 0x01, 0x60, 0x00, 0xf3]),
            ..call.clone()
        }),
        sign(TxEip1559 {
            nonce: 300,
            access_list: access_list.clone(),
            input: Bytes::from(vec![0; 300]),
            ..call.clone()
        }),
        sign(TxEip7702 {
            chain_id: CHAIN_ID,
            gas_limit: 100_000,
            max_fee_per_gas: call.max_fee_per_gas,
            to: Address::repeat_byte(0xaa),
            access_list,
            authorization_list: vec![authorization(CHAIN_ID), authorization(0)],
            ..TxEip7702::default()
        }),
    ]
}

fn seeds() -> Vec<Vec<u8>> {
    examples().iter().map(Encodable2718::encoded_2718).collect()
}
