//! Tokens that others wrote: asked with distrust.
//!
//! A token of somebody else may take a part of what it moves, say that it moved what it did not, or call back. So every
//! payment into the market is measured: what does not arrive in full is refused, and no account is credited with more than a
//! contract holds. Contracts that keep accounts write them before they pay out, and are locked while they call.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::{SolCall, SolValue as _};
use stoa_contract::{Context, Error, Outcome, Result, interfaces::IERC20, parts::eip712};

/// One datatoken, one order, the unit of rates and of fees: 10^18.
pub(crate) const ONE: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// Takes tokens that their owner allowed this contract to take, and gives them to `to`.
///
/// # Errors
///
/// The token's own; `Transfer amount is too low` if less arrives, as where a token keeps a fee; out of gas.
pub(crate) fn pull(cx: &mut Context<'_>, token: Address, from: Address, to: Address, amount: U256) -> Result<()> {
    let call = IERC20::transferFromCall { from, to, value: amount };
    if from == to {
        return run(cx, token, &call);
    }
    let before = balance(cx, token, to)?;
    run(cx, token, &call)?;
    let arrived = balance(cx, token, to)?.saturating_sub(before);
    if arrived < amount { Err(Error::message("Transfer amount is too low")) } else { Ok(()) }
}

/// Pays tokens of this contract.
///
/// # Errors
///
/// The token's own; out of gas.
pub(crate) fn pay(cx: &mut Context<'_>, token: Address, to: Address, amount: U256) -> Result<()> {
    run(cx, token, &IERC20::transferCall { to, value: amount })
}

/// Pays tokens of this contract, for so much gas and no more. If that fails nothing has moved, and a revert is the token's doing, not that
/// of whoever calls this contract.
///
/// # Errors
///
/// As [`pay`]; out of gas, also where less than that is left for it; halts where the token could be too deep.
pub(crate) fn pay_within(cx: &mut Context<'_>, token: Address, to: Address, amount: U256, gas: u64) -> Result<()> {
    let call = IERC20::transferCall { to, value: amount }.abi_encode();
    cx.attempt(|cx| {
        let outcome = cx.call_with_gas(token, call.into(), gas)?;
        judge(cx, token, outcome)
    })
}

/// Allows another contract to take tokens of this one.
///
/// # Errors
///
/// The token's own; out of gas.
pub(crate) fn approve(cx: &mut Context<'_>, token: Address, spender: Address, amount: U256) -> Result<()> {
    run(cx, token, &IERC20::approveCall { spender, value: amount })
}

/// The balance of an account.
///
/// # Errors
///
/// The token's own; reverts without data where there is no token; out of gas.
pub(crate) fn balance(cx: &mut Context<'_>, token: Address, account: Address) -> Result<U256> {
    cx.view_typed(token, &IERC20::balanceOfCall { account })
}

/// Calls a token as OpenZeppelin's `SafeERC20` does: tokens that answer nothing are believed where there is code.
fn run<C: SolCall>(cx: &mut Context<'_>, token: Address, call: &C) -> Result<()> {
    let outcome = cx.call(token, U256::ZERO, call.abi_encode().into())?;
    judge(cx, token, outcome)
}

/// Passes if a token says that it did what it was told.
fn judge(cx: &mut Context<'_>, token: Address, outcome: Outcome) -> Result<()> {
    let answer = outcome.output.clone();
    match outcome.success {
        false if answer.is_empty() => Err(Error::message("SafeERC20: low-level call failed")),
        false => Err(Error::Revert(outcome.output)),
        true if answer.is_empty() => match cx.has_code(token)? {
            true => Ok(()),
            false => Err(Error::message("Address: call to non-contract")),
        },
        true => match bool::abi_decode(&answer) {
            Ok(true) => Ok(()),
            _ => Err(Error::message("SafeERC20: ERC20 operation did not succeed")),
        },
    }
}

/// A part of an amount, where [`ONE`] stands for all of it, rounded down.
///
/// # Errors
///
/// `Panic(0x11)` if the product is too large.
pub(crate) fn part(amount: U256, of_one: U256) -> Result<U256> {
    Ok(amount.checked_mul(of_one).ok_or_else(Error::overflow)? / ONE)
}

/// Adds.
///
/// # Errors
///
/// `Panic(0x11)` if the sum is too large.
pub(crate) fn add(a: U256, b: U256) -> Result<U256> {
    a.checked_add(b).ok_or_else(Error::overflow)
}

/// Passes if `signer` signed this hash as wallets sign messages (EIP-191).
///
/// # Errors
///
/// A message with `refusal` if it did not; out of gas.
pub(crate) fn check_signed(
    cx: &mut Context<'_>,
    signer: Address,
    hash: B256,
    signature: (u8, B256, B256),
    refusal: &str,
) -> Result<()> {
    cx.charge(48)?;
    let digest = keccak256([b"\x19Ethereum Signed Message:\n32".as_slice(), hash.as_slice()].concat());
    match eip712::recover(cx, digest, signature) {
        Ok(who) if who == signer => Ok(()),
        Ok(_) | Err(Error::Revert(_)) => Err(Error::message(refusal)),
        Err(error) => Err(error),
    }
}

/// A signature of 65 bytes in its parts; one of another length is nobody's.
pub(crate) fn split(signature: &[u8]) -> (u8, B256, B256) {
    match signature {
        [rs @ .., v] if rs.len() == 64 => (*v, B256::from_slice(&rs[..32]), B256::from_slice(&rs[32..])),
        _ => (0, B256::ZERO, B256::ZERO),
    }
}
