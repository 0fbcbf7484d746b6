//! A lock against being called back: OpenZeppelin's `ReentrancyGuard`.
//!
//! Native code needs it as Solidity does, where it calls others between reading its state and writing it. Better is
//! to write first.

use crate::{
    Context, Result,
    interfaces::IReentrancyGuardErrors::ReentrancyGuardReentrantCall,
    storage::{Layout, Place, Value},
};
use alloy_primitives::{U256, b256};

/// Where the lock lies, as of ERC-7201: outside every contract's own layout.
const SLOT: U256 = U256::from_be_bytes(b256!("9b779b17422d0df92223018b32b4d1fa46e071723d6817e2486d003becc55f00").0);

const NOT_ENTERED: U256 = U256::ONE;
const ENTERED: U256 = U256::from_limbs([2, 0, 0, 0]);

fn lock() -> Value<U256> {
    Value::at(Place::slot(SLOT))
}

/// Passes while no guarded function of this contract runs.
///
/// # Errors
///
/// `ReentrancyGuardReentrantCall` while one does; out of gas.
pub fn require_not_entered(cx: &mut Context<'_>) -> Result<()> {
    match lock().read(cx)? == ENTERED {
        true => Err(ReentrancyGuardReentrantCall {}.into()),
        false => Ok(()),
    }
}

/// Runs a function that nothing it calls may enter again, nor another one guarded so.
///
/// # Errors
///
/// `ReentrancyGuardReentrantCall` if such a function runs; the function's own; halts in a static call.
pub fn non_reentrant<T>(cx: &mut Context<'_>, function: impl FnOnce(&mut Context<'_>) -> Result<T>) -> Result<T> {
    require_not_entered(cx)?;
    lock().write(cx, ENTERED)?;
    let value = function(cx)?;
    lock().write(cx, NOT_ENTERED)?;
    Ok(value)
}
