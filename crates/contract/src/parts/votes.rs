//! Votes that can be delegated, with their history: OpenZeppelin's `Votes` (ERC-5805) on a clock of seconds (ERC-6372).

use super::{
    checkpoints::{Trace208, U208, to_u48, to_u208},
    eip712::Eip712,
    nonces::Nonces,
};
use crate::{
    Context, Error, Result, abi,
    interfaces::{
        Checkpoint208,
        IERC20Votes::IERC20VotesCalls,
        IERC6372::IERC6372Calls,
        IVotes::{
            DelegateChanged, DelegateVotesChanged, ERC5805FutureLookup, IVotesCalls, VotesExpiredSignature,
            delegateBySigCall,
        },
    },
    storage::{Mapping, Value},
};
use alloy_primitives::{Address, Bytes, U256, aliases::U48};

crate::storage! {
    /// Who votes for whom, and with how much at what time.
    pub struct VotesState {
        /// By account, who votes for it.
        pub delegatee: Mapping<Address, Value<Address>>,
        /// By delegatee, its votes.
        pub delegate_checkpoints: Mapping<Address, Trace208>,
        /// All votes that there are, delegated or not.
        pub total_checkpoints: Trace208,
    }
}

alloy_sol_types::sol! {
    #[doc = "What a delegator signs."]
    struct Delegation {
        address delegatee;
        uint256 nonce;
        uint256 expiry;
    }
}

/// A contract whose units can vote.
pub trait Votes: Eip712 {
    /// Where the votes are kept.
    fn votes(&self) -> VotesState;

    /// Where the nonces of signatures are kept.
    fn nonces(&self) -> Nonces;

    /// The votes that an account has to give.
    ///
    /// # Errors
    ///
    /// Out of gas.
    fn voting_units(&self, cx: &mut Context<'_>, account: Address) -> Result<U256>;

    /// `getVotes`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    fn get_votes(&self, cx: &mut Context<'_>, account: Address) -> Result<U256> {
        self.votes().delegate_checkpoints.at(&account).latest(cx).map(U256::from)
    }

    /// `getPastVotes`.
    ///
    /// # Errors
    ///
    /// `ERC5805FutureLookup` if the time is not past; out of gas.
    fn get_past_votes(&self, cx: &mut Context<'_>, account: Address, timepoint: U256) -> Result<U256> {
        let timepoint = past(cx, timepoint)?;
        self.votes().delegate_checkpoints.at(&account).upper_lookup_recent(cx, timepoint).map(U256::from)
    }

    /// `getPastTotalSupply`.
    ///
    /// # Errors
    ///
    /// `ERC5805FutureLookup` if the time is not past; out of gas.
    fn get_past_total_supply(&self, cx: &mut Context<'_>, timepoint: U256) -> Result<U256> {
        let timepoint = past(cx, timepoint)?;
        self.votes().total_checkpoints.upper_lookup_recent(cx, timepoint).map(U256::from)
    }

    /// `delegates`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    fn delegates(&self, cx: &mut Context<'_>, account: Address) -> Result<Address> {
        self.votes().delegatee.at(&account).read(cx)
    }

    /// `numCheckpoints`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    fn num_checkpoints(&self, cx: &mut Context<'_>, account: Address) -> Result<u32> {
        let len = self.votes().delegate_checkpoints.at(&account).len(cx)?;
        Ok(u32::try_from(len).unwrap_or(u32::MAX))
    }

    /// `checkpoints`.
    ///
    /// # Errors
    ///
    /// `Panic(0x32)` if there is none at this position; out of gas.
    fn checkpoints(&self, cx: &mut Context<'_>, account: Address, position: u32) -> Result<Checkpoint208> {
        let (key, value) = self.votes().delegate_checkpoints.at(&account).get(cx, position as usize)?;
        Ok(Checkpoint208 { _key: U48::from(key), _value: value })
    }

    /// `delegateBySig`.
    ///
    /// # Errors
    ///
    /// `VotesExpiredSignature`, `InvalidAccountNonce`, the errors of [`Eip712::recover`] and [`Votes::delegate`].
    fn delegate_by_sig(&self, cx: &mut Context<'_>, call: &delegateBySigCall) -> Result<()> {
        if U256::from(cx.timestamp()) > call.expiry {
            return Err(VotesExpiredSignature { expiry: call.expiry }.into());
        }
        let data = Delegation { delegatee: call.delegatee, nonce: call.nonce, expiry: call.expiry };
        let signer = self.recover(cx, &data, (call.v, call.r, call.s))?;
        self.nonces().use_checked_nonce(cx, signer, call.nonce)?;
        self.delegate(cx, signer, call.delegatee)
    }

    /// Gives an account's votes to a delegatee, itself perhaps; to address zero to give them to nobody.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call.
    fn delegate(&self, cx: &mut Context<'_>, account: Address, delegatee: Address) -> Result<()> {
        let slot = self.votes().delegatee.at(&account);
        let old = slot.read(cx)?;
        slot.write(cx, delegatee)?;
        cx.emit(&DelegateChanged { delegator: account, fromDelegate: old, toDelegate: delegatee })?;
        let units = self.voting_units(cx, account)?;
        self.move_delegate_votes(cx, old, delegatee, units)
    }

    /// Keeps the votes right when units move; address zero mints and burns.
    ///
    /// # Errors
    ///
    /// `SafeCastOverflowedUintDowncast` beyond 208 bits; out of gas; halts in a static call.
    fn transfer_voting_units(&self, cx: &mut Context<'_>, from: Address, to: Address, amount: U256) -> Result<()> {
        let total = self.votes().total_checkpoints;
        if from.is_zero() {
            push(cx, total, U208::checked_add, amount)?;
        }
        if to.is_zero() {
            push(cx, total, U208::checked_sub, amount)?;
        }
        let (from, to) = (self.delegates(cx, from)?, self.delegates(cx, to)?);
        self.move_delegate_votes(cx, from, to, amount)
    }

    /// Moves votes from one delegatee to another.
    ///
    /// # Errors
    ///
    /// As [`Votes::transfer_voting_units`].
    fn move_delegate_votes(&self, cx: &mut Context<'_>, from: Address, to: Address, amount: U256) -> Result<()> {
        if from == to || amount.is_zero() {
            return Ok(());
        }
        for (delegate, op) in [(from, U208::checked_sub as Op), (to, U208::checked_add)] {
            if !delegate.is_zero() {
                let trace = self.votes().delegate_checkpoints.at(&delegate);
                let (old, new) = push(cx, trace, op, amount)?;
                emit_votes(cx, delegate, old, new)?;
            }
        }
        Ok(())
    }
}

/// The last time that a checkpoint can have.
pub(crate) const CLOCK_MAX: u64 = (1 << 48) - 1;

type Op = fn(U208, U208) -> Option<U208>;

fn push(cx: &mut Context<'_>, trace: Trace208, op: Op, amount: U256) -> Result<(U208, U208)> {
    let amount = to_u208(amount)?;
    let value = op(trace.latest(cx)?, amount).ok_or_else(Error::overflow)?;
    let clock = clock(cx);
    trace.push(cx, clock, value)
}

pub(crate) fn emit_votes(cx: &mut Context<'_>, delegate: Address, old: U208, new: U208) -> Result<()> {
    cx.emit(&DelegateVotesChanged { delegate, previousVotes: U256::from(old), newVotes: U256::from(new) })
}

/// `clock()`: seconds since 1970. The 48 bits that it has last for nine million years; a simulation that goes beyond
/// stays at their end.
pub fn clock(cx: &Context<'_>) -> u64 {
    cx.timestamp().min(CLOCK_MAX)
}

fn past(cx: &Context<'_>, timepoint: U256) -> Result<u64> {
    let clock = clock(cx);
    if timepoint >= U256::from(clock) {
        return Err(ERC5805FutureLookup { timepoint, clock: U48::from(clock) }.into());
    }
    to_u48(timepoint)
}

/// Runs a call of ERC-5805.
///
/// # Errors
///
/// The function's own.
pub fn dispatch(contract: &impl Votes, cx: &mut Context<'_>, call: IVotesCalls) -> Result<Bytes> {
    match call {
        IVotesCalls::getVotes(call) => abi::reply(&call, contract.get_votes(cx, call.account)),
        IVotesCalls::getPastVotes(call) => abi::reply(&call, contract.get_past_votes(cx, call.account, call.timepoint)),
        IVotesCalls::getPastTotalSupply(call) => abi::reply(&call, contract.get_past_total_supply(cx, call.timepoint)),
        IVotesCalls::delegates(call) => abi::reply(&call, contract.delegates(cx, call.account)),
        IVotesCalls::delegate(call) => abi::done(contract.delegate(cx, cx.caller(), call.delegatee)),
        IVotesCalls::delegateBySig(call) => abi::done(contract.delegate_by_sig(cx, &call)),
    }
}

/// Runs a call of ERC-6372.
///
/// # Errors
///
/// The function's own.
pub fn dispatch_clock(cx: &Context<'_>, call: IERC6372Calls) -> Result<Bytes> {
    match call {
        IERC6372Calls::clock(call) => abi::reply(&call, Ok(U48::from(clock(cx)))),
        IERC6372Calls::CLOCK_MODE(call) => abi::reply(&call, Ok("mode=timestamp".to_owned())),
    }
}

/// Runs a call of what `ERC20Votes` adds.
///
/// # Errors
///
/// The function's own.
pub fn dispatch_checkpoints(contract: &impl Votes, cx: &mut Context<'_>, call: IERC20VotesCalls) -> Result<Bytes> {
    match call {
        IERC20VotesCalls::checkpoints(call) => abi::reply(&call, contract.checkpoints(cx, call.account, call.pos)),
        IERC20VotesCalls::numCheckpoints(call) => abi::reply(&call, contract.num_checkpoints(cx, call.account)),
    }
}
