//! The coin as an ERC-20 with permit and votes. Its balances are the accounts' own.
//!
//! `balanceOf` reads what `eth_getBalance` reads, and `transfer` moves what a transaction's value moves. A plain
//! transfer emits no `Transfer` event, as it does not on Ethereum; a transfer through the token does.
//!
//! # Votes
//!
//! An account that has called `delegate` carries its delegatee in its account (the extension of revm's
//! [`AccountInfo`](revm::state::AccountInfo)), beside the ordinary `delegates` slot that Solidity and `eth_getStorageAt` see. With it goes the
//! balance that the delegatee's votes contain. At the end of every transaction the machine goes through the journal,
//! and for each such account whose balance is another now, for whatever reason (value, fees, the proposer's tips, a
//! contract that destroyed itself), it moves the difference: one checkpoint and one `DelegateVotesChanged` for each
//! delegatee. So at the end of a transaction the votes of a delegatee are the balances of those who delegate to it,
//! exactly; within the transaction they are those of its start, or of the last `delegate`.
//!
//! Where nobody delegates this costs a look at the accounts in the journal. Where somebody does, writing the
//! checkpoints is not charged to anyone: a plain transfer costs 21,000 gas whoever its parties are, or wallets could
//! not pay. What that gives away is bounded by what is paid for: a slot for each delegatee in each second at most,
//! while moving the value costs 6,700 gas or more.
//! The logs of a failed transaction hold what its fees moved.
//!
//! The total supply follows at the end of each block ([`end_block`]), when the burnt fees are known.
//!
//! # In the ledger
//!
//! What is to be kept of an account is its delegatee: [`delegate_of`] and [`set_delegate`]. What is to be copied of the coin's storage
//! to another chain, where the supply and the histories of votes follow other balances, is what [`allowance_slot`], [`nonce_slot`] and
//! [`delegatee_slot`] name.

mod dispatch;
mod extension;
mod settle;
#[cfg(test)]
mod tests;

pub use extension::{delegate_of, set_delegate};
pub use settle::end_block;
pub(crate) use settle::{settle, unsettled};

use crate::{
    Context, Result,
    interfaces::{IERC20::Transfer, IERC20Errors::ERC20InsufficientBalance, IVotes::DelegateChanged},
    natives,
    parts::{
        checkpoints::{Trace208, U208},
        eip712::Eip712,
        erc20::{Erc20, Erc20Permit, Erc20State},
        nonces::Nonces,
        votes::{self, Votes, VotesState},
    },
    storage::Layout,
};
use alloy_primitives::{Address, U256};
use extension::Delegation;
use std::borrow::Cow;

/// Where the coin lives.
pub const ADDRESS: Address = natives::address(1);

/// The name of the coin, and of its domain of typed data.
pub const NAME: &str = "Stoa";

/// The short name of the coin.
pub const SYMBOL: &str = "STOA";

crate::storage! {
    /// What the coin keeps in storage. The balances are elsewhere: in the accounts.
    pub struct State {
        /// Allowances and the supply.
        pub erc20: Erc20State,
        /// Of permits and delegations.
        pub nonces: Nonces,
        /// Who votes for whom.
        pub votes: VotesState,
    }
}

/// The coin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Coin;

impl Coin {
    fn state(self) -> State {
        State::root()
    }
}

impl Erc20 for Coin {
    fn erc20(&self) -> Erc20State {
        self.state().erc20
    }

    fn name(&self, _: &mut Context<'_>) -> Result<String> {
        Ok(NAME.to_owned())
    }

    fn symbol(&self, _: &mut Context<'_>) -> Result<String> {
        Ok(SYMBOL.to_owned())
    }

    fn balance_of(&self, cx: &mut Context<'_>, account: Address) -> Result<U256> {
        cx.balance(account)
    }

    fn update(&self, cx: &mut Context<'_>, from: Address, to: Address, value: U256) -> Result<()> {
        if !cx.transfer_from(from, to, value)? {
            let balance = cx.balance(from)?;
            return Err(ERC20InsufficientBalance { sender: from, balance, needed: value }.into());
        }
        cx.emit(&Transfer { from, to, value })
    }
}

impl Eip712 for Coin {
    fn name_and_version(&self, _: &mut Context<'_>) -> Result<(Cow<'static, str>, Cow<'static, str>)> {
        Ok((NAME.into(), "1".into()))
    }
}

impl Erc20Permit for Coin {
    fn permit_nonces(&self) -> Nonces {
        self.state().nonces
    }
}

impl Votes for Coin {
    fn votes(&self) -> VotesState {
        self.state().votes
    }

    fn nonces(&self) -> Nonces {
        self.state().nonces
    }

    fn voting_units(&self, cx: &mut Context<'_>, account: Address) -> Result<U256> {
        cx.balance(account).map(votes_of)
    }

    fn delegate(&self, cx: &mut Context<'_>, account: Address, delegatee: Address) -> Result<()> {
        let slot = self.votes().delegatee.at(&account);
        let old = slot.read(cx)?;
        slot.write(cx, delegatee)?;
        cx.emit(&DelegateChanged { delegator: account, fromDelegate: old, toDelegate: delegatee })?;

        let balance = votes_of(cx.balance(account)?);
        let (extension, ..) = cx.extension(account)?;
        // What the old delegatee has of this account is its balance when it was settled last, not the one of now.
        let counted = Delegation::decode(&extension).map_or(U256::ZERO, |delegation| delegation.counted);
        if old == delegatee {
            return Ok(());
        }
        if !old.is_zero() {
            self.change_votes(cx, old, U256::ZERO, counted)?;
        }
        if !delegatee.is_zero() {
            self.change_votes(cx, delegatee, balance, U256::ZERO)?;
        }
        let delegation = (!delegatee.is_zero()).then_some(Delegation { delegatee, counted: balance });
        cx.set_extension(account, Delegation::encode(delegation))
    }
}

impl Coin {
    /// Changes a delegatee's votes, by one checkpoint and one event, if they do change.
    fn change_votes(self, cx: &mut Context<'_>, delegate: Address, added: U256, removed: U256) -> Result<()> {
        if added == removed {
            return Ok(());
        }
        let trace = self.votes().delegate_checkpoints.at(&delegate);
        let new = |old: U256| old.saturating_add(added).saturating_sub(removed);
        if let Some((old, new)) = change(cx, trace, new)? {
            votes::emit_votes(cx, delegate, old, new)?;
        }
        Ok(())
    }
}

/// The votes of a balance: all of it, but what is beyond 128 bits, which only a development network can hand out. So the votes of
/// however many accounts are counted in 208 bits.
fn votes_of(balance: U256) -> U256 {
    balance.min(U256::from(u128::MAX))
}

/// Changes the newest value of a history, of which the lowest 208 bits are kept. A simulation can lie before the newest point; it then
/// changes that one.
fn change(cx: &mut Context<'_>, trace: Trace208, new: impl FnOnce(U256) -> U256) -> Result<Option<(U208, U208)>> {
    let (newest, old) = trace.latest_checkpoint(cx)?;
    let new = U208::from(new(U256::from(old)) & U256::from(U208::MAX));
    if new == old {
        return Ok(None);
    }
    let clock = votes::clock(cx).max(newest);
    trace.push(cx, clock, new).map(Some)
}

/// The slot that says how much of an owner's coin a spender may still take.
pub fn allowance_slot(owner: Address, spender: Address) -> U256 {
    State::root().erc20.allowances.at(&owner).at(&spender).place().slot
}

/// The slot with the nonce that an account's next permit or signed delegation must have.
pub fn nonce_slot(account: Address) -> U256 {
    State::root().nonces.nonces.at(&account).place().slot
}

/// The slot that says to whom an account gives its votes.
pub fn delegatee_slot(account: Address) -> U256 {
    State::root().votes.delegatee.at(&account).place().slot
}

/// The storage of the coin in a fresh chain with this much coin, in wei, at this time, in seconds since 1970.
pub(crate) fn genesis_storage(supply: U256, timestamp: u64) -> Vec<(U256, U256)> {
    if supply.is_zero() {
        return Vec::new();
    }
    let state = State::root();
    let trace = state.votes.total_checkpoints.checkpoints;
    let counted = supply & U256::from(U208::MAX);
    vec![
        (state.erc20.total_supply.place().slot, supply),
        (trace.place().slot, U256::ONE),
        (trace.get_unchecked(0).place().slot, (counted << 48) | U256::from(timestamp.min(votes::CLOCK_MAX))),
    ]
}
