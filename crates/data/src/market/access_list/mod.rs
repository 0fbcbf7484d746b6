//! Lists of who may and who may not: Ocean's `AccessList` and `AccessListFactory`.
//!
//! A list is an ERC-721 collection, a clone of this code: whoever holds a token of it is on the list, and its owner puts people on
//! it and takes them off. Unless it was made transferable, tokens do not move (they are soulbound), so that nobody passes a place
//! on. Assets name lists where they say who may order ([`Nft`](super::Nft)), nodes in their terms; here is only who is on them.
//!
//! Whose place it is may burn it, as in Ocean's. Where a list keeps people out, that would let them in: so it is remembered who has
//! given his place up himself, until the list's owner takes him off.

mod dispatch;
mod factory;

pub use factory::AccessListFactory;

use crate::market::abi::{
    ACCESS_LIST_FACTORY,
    IAccessList::{AddressAdded, AddressRemoved, initializeCall, placeOfReturn},
};
use alloy_primitives::{Address, U256};
use stoa_contract::{
    Context, Error, Result,
    parts::{
        erc721::{self, Erc721, Erc721Enumerable, Erc721EnumerableState, Erc721State},
        ownable::Ownable,
    },
    storage::{Mapping, Text, Value},
};

/// The most entries at a time.
const MOST_ENTRIES: usize = 64;

stoa_contract::storage! {
    /// A list.
    struct State {
        token: Erc721State,
        lists: Erc721EnumerableState,
        ownable: Ownable,
        initialized: Value<bool>,
        transferable: Value<bool>,
        /// How many tokens there ever were.
        count: Value<u64>,
        uris: Mapping<U256, Text>,
        /// Who has burned a place of his own since the owner last took him off.
        gave_up: Mapping<Address, Value<bool>>,
    }
}

/// The code of a list.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessList;

impl Erc721 for AccessList {
    fn erc721(&self) -> Erc721State {
        State::root().token
    }

    fn token_uri(&self, cx: &mut Context<'_>, token: U256) -> Result<String> {
        self.owner_of(cx, token)?;
        State::root().uris.at(&token).read(cx)
    }

    /// `Token not transferable`; the errors of ERC-721.
    fn update(&self, cx: &mut Context<'_>, to: Address, token: U256, auth: Address) -> Result<Address> {
        let from = erc721::update(self, cx, to, token, auth)?;
        if !from.is_zero() && !to.is_zero() && !State::root().transferable.read(cx)? {
            return Err(Error::message("Token not transferable"));
        }
        self.update_lists(cx, from, to, token)?;
        Ok(from)
    }
}

impl Erc721Enumerable for AccessList {
    fn enumerable(&self) -> Erc721EnumerableState {
        State::root().lists
    }
}

impl AccessList {
    /// `initialize`, by the factory, once.
    ///
    /// # Errors
    ///
    /// Without data for everybody else and ever after; the errors of [`AccessList::enter_all`].
    fn initialize(self, cx: &mut Context<'_>, call: &initializeCall) -> Result<bool> {
        let state = State::root();
        if cx.caller() != ACCESS_LIST_FACTORY || !cx.is_delegated() || state.initialized.read(cx)? {
            return Err(Error::EMPTY);
        }
        state.initialized.write(cx, true)?;
        state.transferable.write(cx, call.transferable)?;
        state.token.name.write(cx, &call.name)?;
        state.token.symbol.write(cx, &call.symbol)?;
        state.ownable.initialize(cx, call.owner)?;
        self.enter_all(cx, &call.users, &call.uris)?;
        Ok(true)
    }

    /// `mint`, by the list's owner.
    ///
    /// # Errors
    ///
    /// `OwnableUnauthorizedAccount`; `ERC721InvalidReceiver` for address zero; out of gas.
    fn put(self, cx: &mut Context<'_>, user: Address, uri: &str) -> Result<U256> {
        State::root().ownable.only_owner(cx)?;
        self.enter(cx, user, uri)
    }

    /// `batchMint`, by the list's owner.
    ///
    /// # Errors
    ///
    /// As [`AccessList::put`]; `Invalid input` for lists that differ or have more than 64 entries.
    fn put_all(self, cx: &mut Context<'_>, users: &[Address], uris: &[String]) -> Result<()> {
        State::root().ownable.only_owner(cx)?;
        self.enter_all(cx, users, uris)
    }

    fn enter_all(self, cx: &mut Context<'_>, users: &[Address], uris: &[String]) -> Result<()> {
        if users.len() != uris.len() || users.len() > MOST_ENTRIES {
            return Err(Error::message("Invalid input"));
        }
        users.iter().zip(uris).try_for_each(|(user, uri)| self.enter(cx, *user, uri).map(drop))
    }

    fn enter(self, cx: &mut Context<'_>, user: Address, uri: &str) -> Result<U256> {
        let state = State::root();
        let number = state.count.read(cx)?.saturating_add(1);
        state.count.write(cx, number)?;
        let token = U256::from(number);
        self.mint(cx, user, token)?;
        state.uris.at(&token).write(cx, uri)?;
        cx.emit(&AddressAdded { wallet: user, tokenId: token })?;
        Ok(token)
    }

    /// `burn`, by the list's owner, or by whose token it is.
    ///
    /// # Errors
    ///
    /// `ERC721NonexistentToken`; `ERC721: Not owner` for everybody else; out of gas.
    fn take_off(self, cx: &mut Context<'_>, token: U256) -> Result<()> {
        let (caller, holder, state) = (cx.caller(), self.owner_of(cx, token)?, State::root());
        let by_owner = state.ownable.owner(cx)? == caller;
        if holder != caller && !by_owner {
            return Err(Error::message("ERC721: Not owner"));
        }
        self.burn(cx, token)?;
        state.uris.at(&token).write(cx, "")?;
        let gave_up = state.gave_up.at(&holder);
        if gave_up.read(cx)? == by_owner {
            gave_up.write(cx, !by_owner)?;
        }
        cx.emit(&AddressRemoved { tokenId: token })
    }

    /// `placeOf`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    fn place_of(self, cx: &mut Context<'_>, account: Address) -> Result<placeOfReturn> {
        let state = State::root();
        let listed = !state.token.balances.at(&account).read(cx)?.is_zero();
        Ok(placeOfReturn { listed, gaveUp: state.gave_up.at(&account).read(cx)? })
    }
}
