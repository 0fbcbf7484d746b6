//! Tokens of which each is one of its kind: OpenZeppelin's `ERC721`, `ERC721Enumerable` and the receiver check.
//!
//! A collection implements [`Erc721`] and overrides [`Erc721::update`], through which every transfer, mint and burn
//! goes, to add rules of its own: one that can be listed calls [`Erc721Enumerable::update_lists`] after [`update`].

mod dispatch;
mod enumerable;

pub use dispatch::{enumerable, metadata, token};
pub use enumerable::{Erc721Enumerable, Erc721EnumerableState};

use crate::{
    Context, Error, Result,
    interfaces::{
        IERC721::{Approval, ApprovalForAll, Transfer},
        IERC721Errors::{
            ERC721IncorrectOwner, ERC721InsufficientApproval, ERC721InvalidApprover, ERC721InvalidOperator,
            ERC721InvalidOwner, ERC721InvalidReceiver, ERC721InvalidSender, ERC721NonexistentToken,
        },
        IERC721Receiver::onERC721ReceivedCall,
    },
    storage::{Mapping, Text, Value},
};
use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolCall;

crate::storage! {
    /// A collection's state.
    pub struct Erc721State {
        /// What the collection is called.
        pub name: Text,
        /// Its short name.
        pub symbol: Text,
        /// By token.
        pub owners: Mapping<U256, Value<Address>>,
        /// By owner, the number of tokens.
        pub balances: Mapping<Address, Value<U256>>,
        /// By token, who else may move it once.
        pub token_approvals: Mapping<U256, Value<Address>>,
        /// By owner and operator, whether the operator may move all tokens.
        pub operator_approvals: Mapping<Address, Mapping<Address, Value<bool>>>,
    }
}

/// A collection of tokens.
pub trait Erc721 {
    /// Where it keeps its state.
    fn erc721(&self) -> Erc721State;

    /// What token URIs begin with; none if empty.
    ///
    /// # Errors
    ///
    /// Out of gas, where it is kept in storage.
    fn base_uri(&self, _: &mut Context<'_>) -> Result<String> {
        Ok(String::new())
    }

    /// `tokenURI`: the base and the token's number.
    ///
    /// # Errors
    ///
    /// `ERC721NonexistentToken`; out of gas.
    fn token_uri(&self, cx: &mut Context<'_>, token: U256) -> Result<String> {
        self.owner_of(cx, token)?;
        let base = self.base_uri(cx)?;
        Ok(if base.is_empty() { base } else { format!("{base}{token}") })
    }

    /// `balanceOf`.
    ///
    /// # Errors
    ///
    /// `ERC721InvalidOwner` for address zero; out of gas.
    fn balance_of(&self, cx: &mut Context<'_>, owner: Address) -> Result<U256> {
        if owner.is_zero() {
            return Err(ERC721InvalidOwner { owner }.into());
        }
        self.erc721().balances.at(&owner).read(cx)
    }

    /// `ownerOf`.
    ///
    /// # Errors
    ///
    /// `ERC721NonexistentToken`; out of gas.
    fn owner_of(&self, cx: &mut Context<'_>, token: U256) -> Result<Address> {
        let owner = self.erc721().owners.at(&token).read(cx)?;
        if owner.is_zero() { Err(ERC721NonexistentToken { tokenId: token }.into()) } else { Ok(owner) }
    }

    /// `getApproved`.
    ///
    /// # Errors
    ///
    /// `ERC721NonexistentToken`; out of gas.
    fn get_approved(&self, cx: &mut Context<'_>, token: U256) -> Result<Address> {
        self.owner_of(cx, token)?;
        self.erc721().token_approvals.at(&token).read(cx)
    }

    /// `isApprovedForAll`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    fn is_approved_for_all(&self, cx: &mut Context<'_>, owner: Address, operator: Address) -> Result<bool> {
        self.erc721().operator_approvals.at(&owner).at(&operator).read(cx)
    }

    /// `approve`, by the caller.
    ///
    /// # Errors
    ///
    /// `ERC721NonexistentToken`, `ERC721InvalidApprover`; out of gas; halts in a static call.
    fn approve(&self, cx: &mut Context<'_>, to: Address, token: U256) -> Result<()> {
        let (owner, auth) = (self.owner_of(cx, token)?, cx.caller());
        if !auth.is_zero() && owner != auth && !self.is_approved_for_all(cx, owner, auth)? {
            return Err(ERC721InvalidApprover { approver: auth }.into());
        }
        cx.emit(&Approval { owner, approved: to, tokenId: token })?;
        self.erc721().token_approvals.at(&token).write(cx, to)
    }

    /// `setApprovalForAll`, by the caller.
    ///
    /// # Errors
    ///
    /// `ERC721InvalidOperator` for address zero; out of gas; halts in a static call.
    fn set_approval_for_all(&self, cx: &mut Context<'_>, operator: Address, approved: bool) -> Result<()> {
        let owner = cx.caller();
        if owner.is_zero() {
            return Err(ERC721InvalidApprover { approver: owner }.into());
        }
        if operator.is_zero() {
            return Err(ERC721InvalidOperator { operator }.into());
        }
        self.erc721().operator_approvals.at(&owner).at(&operator).write(cx, approved)?;
        cx.emit(&ApprovalForAll { owner, operator, approved })
    }

    /// `transferFrom`, by the caller.
    ///
    /// # Errors
    ///
    /// `ERC721InvalidReceiver` for address zero, `ERC721IncorrectOwner`, the errors of [`Erc721::update`].
    fn transfer_from(&self, cx: &mut Context<'_>, from: Address, to: Address, token: U256) -> Result<()> {
        if to.is_zero() {
            return Err(ERC721InvalidReceiver { receiver: to }.into());
        }
        let owner = self.update(cx, to, token, cx.caller())?;
        match owner == from {
            true => Ok(()),
            false => Err(ERC721IncorrectOwner { sender: from, tokenId: token, owner }.into()),
        }
    }

    /// `safeTransferFrom`, by the caller: a contract must accept the token.
    ///
    /// # Errors
    ///
    /// As [`Erc721::transfer_from`] and [`check_received`].
    fn safe_transfer_from(
        &self,
        cx: &mut Context<'_>,
        from: Address,
        to: Address,
        token: U256,
        data: Bytes,
    ) -> Result<()> {
        self.transfer_from(cx, from, to, token)?;
        check_received(cx, from, to, token, data)
    }

    /// Creates a token, without asking.
    ///
    /// # Errors
    ///
    /// `ERC721InvalidReceiver` for address zero, `ERC721InvalidSender` if it exists; out of gas; halts in a static
    /// call.
    fn mint(&self, cx: &mut Context<'_>, to: Address, token: U256) -> Result<()> {
        if to.is_zero() {
            return Err(ERC721InvalidReceiver { receiver: to }.into());
        }
        match self.update(cx, to, token, Address::ZERO)?.is_zero() {
            true => Ok(()),
            false => Err(ERC721InvalidSender { sender: Address::ZERO }.into()),
        }
    }

    /// Creates a token, without asking; a contract must accept it.
    ///
    /// # Errors
    ///
    /// As [`Erc721::mint`] and [`check_received`].
    fn safe_mint(&self, cx: &mut Context<'_>, to: Address, token: U256, data: Bytes) -> Result<()> {
        self.mint(cx, to, token)?;
        check_received(cx, Address::ZERO, to, token, data)
    }

    /// Destroys a token, without asking.
    ///
    /// # Errors
    ///
    /// `ERC721NonexistentToken`; out of gas; halts in a static call.
    fn burn(&self, cx: &mut Context<'_>, token: U256) -> Result<()> {
        match self.update(cx, Address::ZERO, token, Address::ZERO)?.is_zero() {
            true => Err(ERC721NonexistentToken { tokenId: token }.into()),
            false => Ok(()),
        }
    }

    /// What every movement goes through; returns who had the token. Address zero is the goal of a burnt token, and as
    /// `auth` asks for no approval.
    ///
    /// # Errors
    ///
    /// `ERC721NonexistentToken`, `ERC721InsufficientApproval`; out of gas; halts in a static call.
    fn update(&self, cx: &mut Context<'_>, to: Address, token: U256, auth: Address) -> Result<Address> {
        update(self, cx, to, token, auth)
    }

    /// Passes if the spender may move the owner's token.
    ///
    /// # Errors
    ///
    /// `ERC721NonexistentToken`, `ERC721InsufficientApproval`; out of gas.
    fn check_authorized(&self, cx: &mut Context<'_>, owner: Address, spender: Address, token: U256) -> Result<()> {
        let authorized = !spender.is_zero()
            && (owner == spender
                || self.is_approved_for_all(cx, owner, spender)?
                || self.erc721().token_approvals.at(&token).read(cx)? == spender);
        match authorized {
            true => Ok(()),
            false if owner.is_zero() => Err(ERC721NonexistentToken { tokenId: token }.into()),
            false => Err(ERC721InsufficientApproval { operator: spender, tokenId: token }.into()),
        }
    }
}

/// OpenZeppelin's `ERC721._update`, for collections that override [`Erc721::update`].
///
/// # Errors
///
/// As [`Erc721::update`].
pub fn update<C: Erc721 + ?Sized>(
    collection: &C,
    cx: &mut Context<'_>,
    to: Address,
    token: U256,
    auth: Address,
) -> Result<Address> {
    let state = collection.erc721();
    let owner = state.owners.at(&token);
    let from = owner.read(cx)?;
    if !auth.is_zero() {
        collection.check_authorized(cx, from, auth, token)?;
    }
    if !from.is_zero() {
        state.token_approvals.at(&token).write(cx, Address::ZERO)?;
        add(cx, state.balances.at(&from), U256::MAX)?;
    }
    if !to.is_zero() {
        add(cx, state.balances.at(&to), U256::ONE)?;
    }
    owner.write(cx, to)?;
    cx.emit(&Transfer { from, to, tokenId: token })?;
    Ok(from)
}

/// Counting tokens one by one never gets far.
fn add(cx: &mut Context<'_>, balance: Value<U256>, by: U256) -> Result<()> {
    let count = balance.read(cx)?;
    balance.write(cx, count.wrapping_add(by))
}

/// Asks the receiver, if it is a contract, whether it takes the token.
///
/// # Errors
///
/// `ERC721InvalidReceiver` if it does not say so; what it reverts with; out of gas.
pub fn check_received(cx: &mut Context<'_>, from: Address, to: Address, token: U256, data: Bytes) -> Result<()> {
    if !cx.has_code(to)? {
        return Ok(());
    }
    let call = onERC721ReceivedCall { operator: cx.caller(), from, tokenId: token, data };
    let outcome = cx.call(to, U256::ZERO, call.abi_encode().into())?;
    if !outcome.success && !outcome.output.is_empty() {
        return Err(Error::Revert(outcome.output));
    }
    if outcome.success && outcome.output.len() < 32 {
        return Err(Error::EMPTY);
    }
    match outcome.success && outcome.output.starts_with(&onERC721ReceivedCall::SELECTOR) {
        true => Ok(()),
        false => Err(ERC721InvalidReceiver { receiver: to }.into()),
    }
}
