//! Fungible tokens: OpenZeppelin's `ERC20`, `ERC20Burnable`, `ERC20Permit` and `ERC20Votes`.
//!
//! A token implements [`Erc20`], and the traits of the extensions that it has. It overrides [`Erc20::update`], through
//! which every transfer, mint and burn goes, to add rules of its own: one with votes ends it with
//! [`update_votes`].

mod dispatch;

pub use dispatch::{burnable, metadata, permit, token};

use super::{eip712::Eip712, nonces::Nonces, votes::Votes};
use crate::{
    Context, Error, Result,
    interfaces::{
        IERC20::{Approval, Transfer},
        IERC20Errors::{
            ERC20InsufficientAllowance, ERC20InsufficientBalance, ERC20InvalidApprover, ERC20InvalidReceiver,
            ERC20InvalidSender, ERC20InvalidSpender,
        },
        IERC20Permit::{ERC2612ExpiredSignature, ERC2612InvalidSigner, permitCall},
        IERC20Votes::ERC20ExceededSafeSupply,
    },
    storage::{Mapping, Text, Value},
};
use alloy_primitives::{Address, U256};

use super::checkpoints::U208;

crate::storage! {
    /// A token's state.
    pub struct Erc20State {
        /// By owner, in the smallest unit.
        pub balances: Mapping<Address, Value<U256>>,
        /// By owner and spender, what the spender may still take.
        pub allowances: Mapping<Address, Mapping<Address, Value<U256>>>,
        /// The sum of all balances.
        pub total_supply: Value<U256>,
        /// What the token is called.
        pub name: Text,
        /// Its short name.
        pub symbol: Text,
    }
}

alloy_sol_types::sol! {
    struct Permit {
        address owner;
        address spender;
        uint256 value;
        uint256 nonce;
        uint256 deadline;
    }
}

/// A fungible token.
pub trait Erc20 {
    /// Where it keeps its state.
    fn erc20(&self) -> Erc20State;

    /// `name`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    fn name(&self, cx: &mut Context<'_>) -> Result<String> {
        self.erc20().name.read(cx)
    }

    /// `symbol`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    fn symbol(&self, cx: &mut Context<'_>) -> Result<String> {
        self.erc20().symbol.read(cx)
    }

    /// `decimals`: 18.
    ///
    /// # Errors
    ///
    /// Out of gas, where it is kept in storage.
    fn decimals(&self, _: &mut Context<'_>) -> Result<u8> {
        Ok(18)
    }

    /// `totalSupply`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    fn total_supply(&self, cx: &mut Context<'_>) -> Result<U256> {
        self.erc20().total_supply.read(cx)
    }

    /// `balanceOf`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    fn balance_of(&self, cx: &mut Context<'_>, account: Address) -> Result<U256> {
        self.erc20().balances.at(&account).read(cx)
    }

    /// `allowance`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    fn allowance(&self, cx: &mut Context<'_>, owner: Address, spender: Address) -> Result<U256> {
        self.erc20().allowances.at(&owner).at(&spender).read(cx)
    }

    /// `transfer`, from the caller.
    ///
    /// # Errors
    ///
    /// As [`Erc20::move_tokens`].
    fn transfer(&self, cx: &mut Context<'_>, to: Address, value: U256) -> Result<bool> {
        self.move_tokens(cx, cx.caller(), to, value)?;
        Ok(true)
    }

    /// `approve`, by the caller.
    ///
    /// # Errors
    ///
    /// As [`Erc20::set_allowance`].
    fn approve(&self, cx: &mut Context<'_>, spender: Address, value: U256) -> Result<bool> {
        self.set_allowance(cx, cx.caller(), spender, value, true)?;
        Ok(true)
    }

    /// `transferFrom`, on the caller's allowance.
    ///
    /// # Errors
    ///
    /// As [`Erc20::spend_allowance`] and [`Erc20::move_tokens`].
    fn transfer_from(&self, cx: &mut Context<'_>, from: Address, to: Address, value: U256) -> Result<bool> {
        self.spend_allowance(cx, from, cx.caller(), value)?;
        self.move_tokens(cx, from, to, value)?;
        Ok(true)
    }

    /// Moves tokens without asking for an allowance.
    ///
    /// # Errors
    ///
    /// `ERC20InvalidSender`, `ERC20InvalidReceiver` for address zero; the errors of [`Erc20::update`].
    fn move_tokens(&self, cx: &mut Context<'_>, from: Address, to: Address, value: U256) -> Result<()> {
        if from.is_zero() {
            return Err(ERC20InvalidSender { sender: Address::ZERO }.into());
        }
        if to.is_zero() {
            return Err(ERC20InvalidReceiver { receiver: Address::ZERO }.into());
        }
        self.update(cx, from, to, value)
    }

    /// Creates tokens.
    ///
    /// # Errors
    ///
    /// `ERC20InvalidReceiver` for address zero; the errors of [`Erc20::update`].
    fn mint(&self, cx: &mut Context<'_>, account: Address, value: U256) -> Result<()> {
        if account.is_zero() {
            return Err(ERC20InvalidReceiver { receiver: Address::ZERO }.into());
        }
        self.update(cx, Address::ZERO, account, value)
    }

    /// Destroys tokens.
    ///
    /// # Errors
    ///
    /// `ERC20InvalidSender` for address zero; the errors of [`Erc20::update`].
    fn burn(&self, cx: &mut Context<'_>, account: Address, value: U256) -> Result<()> {
        if account.is_zero() {
            return Err(ERC20InvalidSender { sender: Address::ZERO }.into());
        }
        self.update(cx, account, Address::ZERO, value)
    }

    /// `burnFrom`, on the caller's allowance.
    ///
    /// # Errors
    ///
    /// As [`Erc20::spend_allowance`] and [`Erc20::burn`].
    fn burn_from(&self, cx: &mut Context<'_>, account: Address, value: U256) -> Result<()> {
        self.spend_allowance(cx, account, cx.caller(), value)?;
        self.burn(cx, account, value)
    }

    /// What every movement goes through; address zero is the source of minted and the goal of burnt tokens.
    ///
    /// # Errors
    ///
    /// `ERC20InsufficientBalance`; `Panic(0x11)` if the supply gets too large; out of gas; halts in a static call.
    fn update(&self, cx: &mut Context<'_>, from: Address, to: Address, value: U256) -> Result<()> {
        update(self.erc20(), cx, from, to, value)
    }

    /// Sets what a spender may take.
    ///
    /// # Errors
    ///
    /// `ERC20InvalidApprover`, `ERC20InvalidSpender` for address zero; out of gas; halts in a static call.
    fn set_allowance(
        &self,
        cx: &mut Context<'_>,
        owner: Address,
        spender: Address,
        value: U256,
        emit: bool,
    ) -> Result<()> {
        if owner.is_zero() {
            return Err(ERC20InvalidApprover { approver: Address::ZERO }.into());
        }
        if spender.is_zero() {
            return Err(ERC20InvalidSpender { spender: Address::ZERO }.into());
        }
        self.erc20().allowances.at(&owner).at(&spender).write(cx, value)?;
        match emit {
            true => cx.emit(&Approval { owner, spender, value }),
            false => Ok(()),
        }
    }

    /// Takes from what a spender may take; the largest number stands for any amount and stays.
    ///
    /// # Errors
    ///
    /// `ERC20InsufficientAllowance`, the errors of [`Erc20::set_allowance`].
    fn spend_allowance(&self, cx: &mut Context<'_>, owner: Address, spender: Address, value: U256) -> Result<()> {
        let allowance = self.allowance(cx, owner, spender)?;
        if allowance == U256::MAX {
            return Ok(());
        }
        match allowance.checked_sub(value) {
            Some(rest) => self.set_allowance(cx, owner, spender, rest, false),
            None => Err(ERC20InsufficientAllowance { spender, allowance, needed: value }.into()),
        }
    }
}

/// OpenZeppelin's `ERC20._update`, for tokens that override [`Erc20::update`].
///
/// # Errors
///
/// As [`Erc20::update`].
pub fn update(state: Erc20State, cx: &mut Context<'_>, from: Address, to: Address, value: U256) -> Result<()> {
    match from.is_zero() {
        true => {
            let supply = state.total_supply.read(cx)?.checked_add(value).ok_or_else(Error::overflow)?;
            state.total_supply.write(cx, supply)?;
        }
        false => {
            let slot = state.balances.at(&from);
            let balance = slot.read(cx)?;
            let Some(rest) = balance.checked_sub(value) else {
                return Err(ERC20InsufficientBalance { sender: from, balance, needed: value }.into());
            };
            slot.write(cx, rest)?;
        }
    }
    // Neither can leave its range: no balance is larger than the supply, which fits.
    match to.is_zero() {
        true => {
            let supply = state.total_supply.read(cx)?;
            state.total_supply.write(cx, supply.wrapping_sub(value))?;
        }
        false => {
            let slot = state.balances.at(&to);
            let balance = slot.read(cx)?;
            slot.write(cx, balance.wrapping_add(value))?;
        }
    }
    cx.emit(&Transfer { from, to, value })
}

/// What `ERC20Votes._update` does after the movement itself.
///
/// # Errors
///
/// `ERC20ExceededSafeSupply` if a mint goes beyond 2^208 - 1; the errors of [`Votes::transfer_voting_units`].
pub fn update_votes(
    token: &(impl Erc20 + Votes),
    cx: &mut Context<'_>,
    from: Address,
    to: Address,
    value: U256,
) -> Result<()> {
    if from.is_zero() {
        let (supply, cap) = (token.total_supply(cx)?, U256::from(U208::MAX));
        if supply > cap {
            return Err(ERC20ExceededSafeSupply { increasedSupply: supply, cap }.into());
        }
    }
    token.transfer_voting_units(cx, from, to, value)
}

/// A token whose owners can approve by signature.
pub trait Erc20Permit: Erc20 + Eip712 {
    /// Where the nonces of signatures are kept.
    fn permit_nonces(&self) -> Nonces;

    /// `permit`.
    ///
    /// # Errors
    ///
    /// `ERC2612ExpiredSignature`, `ERC2612InvalidSigner`, the errors of [`Eip712::recover`] and
    /// [`Erc20::set_allowance`].
    fn permit(&self, cx: &mut Context<'_>, call: &permitCall) -> Result<()> {
        if U256::from(cx.timestamp()) > call.deadline {
            return Err(ERC2612ExpiredSignature { deadline: call.deadline }.into());
        }
        let data = Permit {
            owner: call.owner,
            spender: call.spender,
            value: call.value,
            nonce: self.permit_nonces().use_nonce(cx, call.owner)?,
            deadline: call.deadline,
        };
        let signer = self.recover(cx, &data, (call.v, call.r, call.s))?;
        if signer != call.owner {
            return Err(ERC2612InvalidSigner { signer, owner: call.owner }.into());
        }
        self.set_allowance(cx, call.owner, call.spender, call.value, true)
    }
}
