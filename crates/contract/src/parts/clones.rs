//! Many instances of one contract: OpenZeppelin's `Clones` (ERC-1167).
//!
//! A clone is an account with 45 bytes of code that delegate every call to an implementation; storage, coin and
//! address are the clone's. The implementation may be native code: then an instance of a native contract costs what
//! a clone costs in Solidity, and since native addresses are always warm, its calls cost the delegation at the low
//! price.

use crate::{Context, Error, Result, interfaces::IDeploymentErrors::FailedDeployment};
use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};

const BEFORE: [u8; 20] = hex!("3d602d80600a3d3981f3363d3d373d3d3d363d73");
const AFTER: [u8; 15] = hex!("5af43d82803e903d91602b57fd5bf3");

/// The code that creates a clone. Its last 45 bytes are the clone's own.
pub fn init_code(implementation: Address) -> Bytes {
    [&BEFORE, implementation.as_slice(), &AFTER].concat().into()
}

/// The implementation, if this is a clone's code.
pub fn implementation(code: &[u8]) -> Option<Address> {
    let address = code.strip_prefix(&BEFORE[10..])?.strip_suffix(&AFTER)?;
    Address::try_from(address).ok()
}

/// Creates a clone, at the address that this contract's nonce gives.
///
/// # Errors
///
/// `FailedDeployment`; out of gas; halts in a static call.
pub fn clone(cx: &mut Context<'_>, implementation: Address) -> Result<Address> {
    create(cx, implementation, None)
}

/// Creates a clone at [`predict_deterministic_address`].
///
/// # Errors
///
/// `FailedDeployment`, also if it exists already; out of gas; halts in a static call.
pub fn clone_deterministic(cx: &mut Context<'_>, implementation: Address, salt: B256) -> Result<Address> {
    create(cx, implementation, Some(salt))
}

fn create(cx: &mut Context<'_>, implementation: Address, salt: Option<B256>) -> Result<Address> {
    let created = cx.create(init_code(implementation), U256::ZERO, salt)?;
    created.map_err(|_| Error::from(FailedDeployment {}))
}

/// Where the deployer's clone with this salt is, or will be.
pub fn predict_deterministic_address(implementation: Address, salt: B256, deployer: Address) -> Address {
    deployer.create2(salt, keccak256(init_code(implementation)))
}
