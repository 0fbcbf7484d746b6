//! Listing a collection's tokens: OpenZeppelin's `ERC721Enumerable`.

use super::Erc721;
use crate::{
    Context, Error, Result,
    interfaces::IERC721Enumerable::ERC721OutOfBoundsIndex,
    storage::{Array, Mapping, Value},
};
use alloy_primitives::{Address, U256};

crate::storage! {
    /// The lists of a collection's tokens.
    pub struct Erc721EnumerableState {
        /// By owner and index.
        pub owned_tokens: Mapping<Address, Mapping<U256, Value<U256>>>,
        /// By token, its index in its owner's list.
        pub owned_tokens_index: Mapping<U256, Value<U256>>,
        /// All tokens.
        pub all_tokens: Array<Value<U256>>,
        /// By token, its index in the list of all.
        pub all_tokens_index: Mapping<U256, Value<U256>>,
    }
}

/// A collection that can be listed.
pub trait Erc721Enumerable: Erc721 {
    /// Where it keeps the lists.
    fn enumerable(&self) -> Erc721EnumerableState;

    /// `totalSupply`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    fn total_supply(&self, cx: &mut Context<'_>) -> Result<U256> {
        self.enumerable().all_tokens.len(cx).map(U256::from)
    }

    /// `tokenOfOwnerByIndex`.
    ///
    /// # Errors
    ///
    /// `ERC721OutOfBoundsIndex`, `ERC721InvalidOwner` for address zero; out of gas.
    fn token_of_owner_by_index(&self, cx: &mut Context<'_>, owner: Address, index: U256) -> Result<U256> {
        if index >= self.balance_of(cx, owner)? {
            return Err(ERC721OutOfBoundsIndex { owner, index }.into());
        }
        self.enumerable().owned_tokens.at(&owner).at(&index).read(cx)
    }

    /// `tokenByIndex`.
    ///
    /// # Errors
    ///
    /// `ERC721OutOfBoundsIndex`; out of gas.
    fn token_by_index(&self, cx: &mut Context<'_>, index: U256) -> Result<U256> {
        if index >= self.total_supply(cx)? {
            return Err(ERC721OutOfBoundsIndex { owner: Address::ZERO, index }.into());
        }
        self.enumerable().all_tokens.get(cx, index.saturating_to())?.read(cx)
    }

    /// Follows a movement that [`super::update`] made, from the owner that it returned.
    ///
    /// # Errors
    ///
    /// `ERC721InvalidOwner` if a token moves from nobody to nobody; out of gas; halts in a static call.
    fn update_lists(&self, cx: &mut Context<'_>, from: Address, to: Address, token: U256) -> Result<()> {
        let state = self.enumerable();
        if from.is_zero() {
            let len = state.all_tokens.len(cx)?;
            state.all_tokens_index.at(&token).write(cx, U256::from(len))?;
            state.all_tokens.push(cx, token)?;
        } else if from != to {
            self.remove_from_owner(cx, from, token)?;
        }
        if to.is_zero() {
            self.remove_from_all(cx, token)?;
        } else if from != to {
            let index = self.balance_of(cx, to)?.wrapping_sub(U256::ONE);
            state.owned_tokens.at(&to).at(&index).write(cx, token)?;
            state.owned_tokens_index.at(&token).write(cx, index)?;
        }
        Ok(())
    }

    /// The last of the owner's tokens takes the place of the one that goes.
    #[doc(hidden)]
    fn remove_from_owner(&self, cx: &mut Context<'_>, from: Address, token: U256) -> Result<()> {
        let state = self.enumerable();
        let owned = state.owned_tokens.at(&from);
        // The balance has been counted down already.
        let last = self.balance_of(cx, from)?;
        let index = state.owned_tokens_index.at(&token).read(cx)?;
        if index != last {
            let moved = owned.at(&last).read(cx)?;
            owned.at(&index).write(cx, moved)?;
            state.owned_tokens_index.at(&moved).write(cx, index)?;
        }
        state.owned_tokens_index.at(&token).write(cx, U256::ZERO)?;
        owned.at(&last).write(cx, U256::ZERO)
    }

    /// The last of all tokens takes the place of the one that goes.
    #[doc(hidden)]
    fn remove_from_all(&self, cx: &mut Context<'_>, token: U256) -> Result<()> {
        let state = self.enumerable();
        let last = state.all_tokens.len(cx)?.checked_sub(1).ok_or_else(Error::overflow)?;
        let index = state.all_tokens_index.at(&token).read(cx)?;
        let moved = state.all_tokens.get(cx, last)?.read(cx)?;
        state.all_tokens.get(cx, index.saturating_to())?.write(cx, moved)?;
        state.all_tokens_index.at(&moved).write(cx, index)?;
        state.all_tokens_index.at(&token).write(cx, U256::ZERO)?;
        state.all_tokens.pop(cx).map(|_| ())
    }
}
