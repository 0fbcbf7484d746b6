//! Contracts that tools expect at the same address on every chain, for a development genesis.

use crate::Account;
use alloy_eips::eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE};
use alloy_primitives::{Address, Bytes, address, hex};

/// Takes many calls and makes them in one.
pub const MULTICALL3: Address = address!("cA11bde05977b3631167028862bE2a173976CA11");

/// Creates contracts at addresses that depend on their code alone: salt, then creation code, as call data.
pub const CREATE2_DEPLOYER: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");

/// Lets tokens move by their owners' signatures.
pub const PERMIT2: Address = address!("000000000022D473030F116dDEE9F6B43aC78BA3");

/// The deployer's code: `CREATE2` with what follows the first 32 bytes of the call data, and them as salt.
const CREATE2_DEPLOYER_CODE: [u8; 69] = hex!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f580151560395781"
    "82fd5b8082525050506014600cf3"
);

const MULTICALL3_CODE: &str = include_str!("../contracts/Multicall3.hex");
const PERMIT2_CODE: &str = include_str!("../contracts/Permit2.hex");

/// Addresses and accounts of the contracts: Multicall3, Permit2, the CREATE2 deployer, EIP-2935's history of block hashes.
pub fn canonical_contracts() -> Vec<(Address, Account)> {
    let code = |file: &str| Bytes::from(hex::decode(file.trim()).expect("the file holds hexadecimal digits"));
    [
        (MULTICALL3, code(MULTICALL3_CODE)),
        (PERMIT2, code(PERMIT2_CODE)),
        (CREATE2_DEPLOYER, Bytes::from_static(&CREATE2_DEPLOYER_CODE)),
        (HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE.clone()),
    ]
    .map(|(address, code)| (address, Account { nonce: 1, code, ..Account::default() }))
    .into()
}
