//! From the calls of the token interfaces to their functions.

use super::{Erc20, Erc20Permit};
use crate::{
    Context, Result,
    abi::{done, reply},
    interfaces::{
        IERC20::IERC20Calls, IERC20Burnable::IERC20BurnableCalls, IERC20Metadata::IERC20MetadataCalls,
        IERC20Permit::IERC20PermitCalls,
    },
};
use alloy_primitives::Bytes;

/// Runs a call of `IERC20`.
///
/// # Errors
///
/// The function's own.
pub fn token(token: &impl Erc20, cx: &mut Context<'_>, call: IERC20Calls) -> Result<Bytes> {
    match call {
        IERC20Calls::totalSupply(call) => reply(&call, token.total_supply(cx)),
        IERC20Calls::balanceOf(call) => reply(&call, token.balance_of(cx, call.account)),
        IERC20Calls::transfer(call) => reply(&call, token.transfer(cx, call.to, call.value)),
        IERC20Calls::allowance(call) => reply(&call, token.allowance(cx, call.owner, call.spender)),
        IERC20Calls::approve(call) => reply(&call, token.approve(cx, call.spender, call.value)),
        IERC20Calls::transferFrom(call) => reply(&call, token.transfer_from(cx, call.from, call.to, call.value)),
    }
}

/// Runs a call of `IERC20Metadata`.
///
/// # Errors
///
/// The function's own.
pub fn metadata(token: &impl Erc20, cx: &mut Context<'_>, call: IERC20MetadataCalls) -> Result<Bytes> {
    match call {
        IERC20MetadataCalls::name(call) => reply(&call, token.name(cx)),
        IERC20MetadataCalls::symbol(call) => reply(&call, token.symbol(cx)),
        IERC20MetadataCalls::decimals(call) => reply(&call, token.decimals(cx)),
    }
}

/// Runs a call of `ERC20Burnable`.
///
/// # Errors
///
/// The function's own.
pub fn burnable(token: &impl Erc20, cx: &mut Context<'_>, call: IERC20BurnableCalls) -> Result<Bytes> {
    match call {
        IERC20BurnableCalls::burn(call) => done(token.burn(cx, cx.caller(), call.value)),
        IERC20BurnableCalls::burnFrom(call) => done(token.burn_from(cx, call.account, call.value)),
    }
}

/// Runs a call of `IERC20Permit`.
///
/// # Errors
///
/// The function's own.
pub fn permit(token: &impl Erc20Permit, cx: &mut Context<'_>, call: IERC20PermitCalls) -> Result<Bytes> {
    match call {
        IERC20PermitCalls::permit(call) => done(token.permit(cx, &call)),
        IERC20PermitCalls::nonces(call) => reply(&call, token.permit_nonces().nonces(cx, call.owner)),
        IERC20PermitCalls::DOMAIN_SEPARATOR(call) => reply(&call, token.domain_separator(cx)),
    }
}
