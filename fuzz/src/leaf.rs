//! Values of the state, as peers send them to whoever syncs.

use crate::Target;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
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
    let rich = AccountLeaf::new(1 << 40, U256::from(10).pow(U256::from(24)), KECCAK256_EMPTY, None);
    let contract = AccountLeaf::new(rich.nonce, rich.balance, B256::repeat_byte(7), Some(Address::repeat_byte(8)));
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
