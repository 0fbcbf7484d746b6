//! Values of the state, as peers send them to whoever syncs.

use crate::Target;
use alloy_primitives::{Address, B256, Bytes, U256};
use commonware_codec::{Copying, DecodeExt as _, Encode as _, EncodeSize as _};
use stoa_ledger::state::{AccountLeaf, Leaf};

/// Values of the state, as peers send them to whoever syncs.
pub const TARGET: Target = Target { name: "leaf", run, seeds };

fn run(bytes: &[u8]) -> bool {
    let Ok(leaf) = Leaf::decode(Copying(bytes)) else { return false };
    assert_eq!(leaf.encode().as_ref(), bytes, "a leaf has one encoding");
    assert_eq!(leaf.encode_size(), bytes.len());
    true
}

fn seeds() -> Vec<Vec<u8>> {
    let rich = AccountLeaf { nonce: 1 << 40, balance: U256::from(10).pow(U256::from(24)), ..AccountLeaf::default() };
    let contract =
        AccountLeaf { code_hash: B256::repeat_byte(7), delegate: Some(Address::repeat_byte(8)), ..rich.clone() };
    let leaves = [
        Leaf::Account(AccountLeaf::default()),
        Leaf::Account(rich),
        Leaf::Account(contract),
        Leaf::Slot(U256::from(1)),
        Leaf::Slot(U256::MAX),
        Leaf::Code(Bytes::new()),
        Leaf::Code(Bytes::from(vec![0x5b; 300])),
    ];
    leaves.iter().map(|leaf| leaf.encode().to_vec()).collect()
}
