//! ERC-165: a contract tells which interfaces it has.

use crate::{
    Result, abi,
    interfaces::IERC165::{IERC165Calls, IERC165Calls as Calls},
};
use alloy_primitives::{Bytes, FixedBytes};

/// Runs `supportsInterface` for a contract with these interfaces, by their ids ([`abi::interface_id`]), besides
/// ERC-165 itself.
///
/// # Errors
///
/// None; the type is that of all dispatches.
pub(crate) fn dispatch(interfaces: &[[u8; 4]], call: IERC165Calls) -> Result<Bytes> {
    let Calls::supportsInterface(call) = call;
    let FixedBytes(id) = call.interfaceId;
    abi::reply(&call, Ok(id == abi::interface_id::<Calls>() || interfaces.contains(&id)))
}
