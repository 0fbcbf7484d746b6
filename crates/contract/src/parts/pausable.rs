//! A switch that stops a contract: OpenZeppelin's `Pausable`.

use crate::{
    Context, Result, abi,
    interfaces::IPausable::{EnforcedPause, ExpectedPause, IPausableCalls, Paused, Unpaused},
    storage::Value,
};
use alloy_primitives::Bytes;

crate::storage! {
    /// Whether a contract is paused.
    pub struct Pausable {
        paused: Value<bool>,
    }
}

impl Pausable {
    /// `paused`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn paused(&self, cx: &mut Context<'_>) -> Result<bool> {
        self.paused.read(cx)
    }

    /// Passes while the contract runs.
    ///
    /// # Errors
    ///
    /// `EnforcedPause` if it is paused; out of gas.
    pub fn when_not_paused(&self, cx: &mut Context<'_>) -> Result<()> {
        if self.paused(cx)? { Err(EnforcedPause {}.into()) } else { Ok(()) }
    }

    /// Passes while the contract is paused.
    ///
    /// # Errors
    ///
    /// `ExpectedPause` if it runs; out of gas.
    pub fn when_paused(&self, cx: &mut Context<'_>) -> Result<()> {
        if self.paused(cx)? { Ok(()) } else { Err(ExpectedPause {}.into()) }
    }

    /// Pauses the contract, without asking.
    ///
    /// # Errors
    ///
    /// `EnforcedPause` if it is paused; out of gas; halts in a static call.
    pub fn pause(&self, cx: &mut Context<'_>) -> Result<()> {
        self.when_not_paused(cx)?;
        self.paused.write(cx, true)?;
        let account = cx.caller();
        cx.emit(&Paused { account })
    }

    /// Lets the contract run again, without asking.
    ///
    /// # Errors
    ///
    /// `ExpectedPause` if it runs; out of gas; halts in a static call.
    pub fn unpause(&self, cx: &mut Context<'_>) -> Result<()> {
        self.when_paused(cx)?;
        self.paused.write(cx, false)?;
        let account = cx.caller();
        cx.emit(&Unpaused { account })
    }
}

/// Runs a call of `Pausable`.
///
/// # Errors
///
/// The function's own.
pub fn dispatch(state: Pausable, cx: &mut Context<'_>, call: IPausableCalls) -> Result<Bytes> {
    match call {
        IPausableCalls::paused(call) => abi::reply(&call, state.paused(cx)),
    }
}
