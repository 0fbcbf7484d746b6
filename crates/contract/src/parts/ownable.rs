//! One account that may do more than the others: OpenZeppelin's `Ownable` and `Ownable2Step`.

use crate::{
    Context, Result, abi,
    interfaces::{
        IOwnable::{IOwnableCalls, OwnableInvalidOwner, OwnableUnauthorizedAccount, OwnershipTransferred},
        IOwnable2Step::{IOwnable2StepCalls, OwnershipTransferStarted},
    },
    storage::Value,
};
use alloy_primitives::{Address, Bytes};

crate::storage! {
    /// A contract's owner.
    pub struct Ownable {
        owner: Value<Address>,
    }

    /// A contract's owner, who hands over in two steps: the new one accepts.
    pub struct Ownable2Step {
        ownable: Ownable,
        pending_owner: Value<Address>,
    }
}

impl Ownable {
    /// What the constructor does: sets the first owner.
    ///
    /// # Errors
    ///
    /// `OwnableInvalidOwner` for address zero; out of gas; halts in a static call.
    pub fn initialize(&self, cx: &mut Context<'_>, owner: Address) -> Result<()> {
        valid(owner)?;
        self.set_owner(cx, owner)
    }

    /// `owner`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn owner(&self, cx: &mut Context<'_>) -> Result<Address> {
        self.owner.read(cx)
    }

    /// Lets only the owner pass.
    ///
    /// # Errors
    ///
    /// `OwnableUnauthorizedAccount` if the caller is another; out of gas.
    pub fn only_owner(&self, cx: &mut Context<'_>) -> Result<()> {
        let (owner, account) = (self.owner(cx)?, cx.caller());
        if owner == account { Ok(()) } else { Err(OwnableUnauthorizedAccount { account }.into()) }
    }

    /// `renounceOwnership`.
    ///
    /// # Errors
    ///
    /// As [`Ownable::only_owner`]; halts in a static call.
    pub fn renounce_ownership(&self, cx: &mut Context<'_>) -> Result<()> {
        self.only_owner(cx)?;
        self.set_owner(cx, Address::ZERO)
    }

    /// `transferOwnership`.
    ///
    /// # Errors
    ///
    /// As [`Ownable::only_owner`]; `OwnableInvalidOwner` for address zero; halts in a static call.
    pub fn transfer_ownership(&self, cx: &mut Context<'_>, new_owner: Address) -> Result<()> {
        self.only_owner(cx)?;
        valid(new_owner)?;
        self.set_owner(cx, new_owner)
    }

    fn set_owner(&self, cx: &mut Context<'_>, new_owner: Address) -> Result<()> {
        let previous = self.owner.read(cx)?;
        self.owner.write(cx, new_owner)?;
        cx.emit(&OwnershipTransferred { previousOwner: previous, newOwner: new_owner })
    }
}

fn valid(owner: Address) -> Result<()> {
    if owner.is_zero() { Err(OwnableInvalidOwner { owner }.into()) } else { Ok(()) }
}

impl Ownable2Step {
    /// What the constructor does: sets the first owner.
    ///
    /// # Errors
    ///
    /// `OwnableInvalidOwner` for address zero; out of gas; halts in a static call.
    pub fn initialize(&self, cx: &mut Context<'_>, owner: Address) -> Result<()> {
        valid(owner)?;
        self.set_owner(cx, owner)
    }

    /// `owner`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn owner(&self, cx: &mut Context<'_>) -> Result<Address> {
        self.ownable.owner(cx)
    }

    /// Lets only the owner pass.
    ///
    /// # Errors
    ///
    /// `OwnableUnauthorizedAccount` if the caller is another; out of gas.
    pub fn only_owner(&self, cx: &mut Context<'_>) -> Result<()> {
        self.ownable.only_owner(cx)
    }

    /// `pendingOwner`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn pending_owner(&self, cx: &mut Context<'_>) -> Result<Address> {
        self.pending_owner.read(cx)
    }

    /// `renounceOwnership`.
    ///
    /// # Errors
    ///
    /// As [`Ownable::only_owner`]; halts in a static call.
    pub fn renounce_ownership(&self, cx: &mut Context<'_>) -> Result<()> {
        self.only_owner(cx)?;
        self.set_owner(cx, Address::ZERO)
    }

    /// `transferOwnership`: names the next owner, or takes the name back with address zero.
    ///
    /// # Errors
    ///
    /// As [`Ownable::only_owner`]; halts in a static call.
    pub fn transfer_ownership(&self, cx: &mut Context<'_>, new_owner: Address) -> Result<()> {
        self.only_owner(cx)?;
        self.pending_owner.write(cx, new_owner)?;
        let previous = self.owner(cx)?;
        cx.emit(&OwnershipTransferStarted { previousOwner: previous, newOwner: new_owner })
    }

    /// `acceptOwnership`, by the next owner.
    ///
    /// # Errors
    ///
    /// `OwnableUnauthorizedAccount` if the caller is another; out of gas; halts in a static call.
    pub fn accept_ownership(&self, cx: &mut Context<'_>) -> Result<()> {
        let (pending, account) = (self.pending_owner(cx)?, cx.caller());
        match pending == account {
            true => self.set_owner(cx, account),
            false => Err(OwnableUnauthorizedAccount { account }.into()),
        }
    }

    fn set_owner(&self, cx: &mut Context<'_>, new_owner: Address) -> Result<()> {
        self.pending_owner.write(cx, Address::ZERO)?;
        self.ownable.set_owner(cx, new_owner)
    }
}

/// Runs a call of `Ownable`.
///
/// # Errors
///
/// The function's own.
pub fn dispatch(state: Ownable, cx: &mut Context<'_>, call: IOwnableCalls) -> Result<Bytes> {
    match call {
        IOwnableCalls::owner(call) => abi::reply(&call, state.owner(cx)),
        IOwnableCalls::renounceOwnership(_) => abi::done(state.renounce_ownership(cx)),
        IOwnableCalls::transferOwnership(call) => abi::done(state.transfer_ownership(cx, call.newOwner)),
    }
}

/// Runs a call of `Ownable2Step`.
///
/// # Errors
///
/// The function's own.
pub fn dispatch_2step(state: Ownable2Step, cx: &mut Context<'_>, call: IOwnable2StepCalls) -> Result<Bytes> {
    match call {
        IOwnable2StepCalls::owner(call) => abi::reply(&call, state.owner(cx)),
        IOwnable2StepCalls::pendingOwner(call) => abi::reply(&call, state.pending_owner(cx)),
        IOwnable2StepCalls::renounceOwnership(_) => abi::done(state.renounce_ownership(cx)),
        IOwnable2StepCalls::transferOwnership(call) => abi::done(state.transfer_ownership(cx, call.newOwner)),
        IOwnable2StepCalls::acceptOwnership(_) => abi::done(state.accept_ownership(cx)),
    }
}
