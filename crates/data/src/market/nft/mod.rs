//! Assets: one ERC-721 token each, with metadata, a state, roles and the datatokens that sell it.
//!
//! An asset is a clone of this code, made by the factory, and its token is number 1. Its owner may do everything; others what
//! a role allows them. Roles and what follows from them end when the asset changes hands: they carry the number of changes at
//! which they were given, so that a transfer costs the same however many there are. Nothing else is touched by a transfer;
//! money that waits in an exchange goes to whom the asset's collector is when it is collected, and anybody may have it collected
//! beforehand.
//!
//! Orders are taken in the states 0 (active) and 5 (unlisted), for whom its [lists](access) let; the datatoken asks. What an asset was made from is recorded as
//! its owners say, and cannot be taken back.
//!
//! Ocean's `executeCall` and `withdrawETH` are not here: an asset that makes any call in its own name could be made to pass
//! for its owner, or to write over its own roles; and it takes no coin.

mod access;
mod dispatch;
mod metadata;
mod roles;

use crate::market::abi::{
    FACTORY,
    IFactory::{createTokenCall, erc721ListCall},
    INft::{
        AssetAncestorsTooMany, AssetAncestryInvalid, DerivationRecorded, createERC20Call, initializeCall,
        standingReturn,
    },
};
use alloy_primitives::{Address, B256, Bytes, U256};
use stoa_contract::{
    Context, Error, Result,
    parts::erc721::{self, Erc721, Erc721State},
    storage::{Array, Blob, EnumerableSet, Mapping, Text, Value},
};

/// The one token of each asset.
const TOKEN: U256 = U256::ONE;

/// The most assets that one can be recorded to be made from.
const MOST_ANCESTORS: usize = 64;

stoa_contract::storage! {
    /// Roles of an account, and how often roles had been ended when they were given.
    struct Granted {
        bits: Value<u8>,
        ended: Value<u32>,
    }

    /// An asset.
    struct State {
        token: Erc721State,
        initialized: Value<bool>,
        transferable: Value<bool>,
        has_metadata: Value<bool>,
        state: Value<u8>,
        /// How often it changed hands.
        transfers: Value<u32>,
        /// How often all roles were ended.
        ended: Value<u32>,
        /// Whether some may not order.
        restricted: Value<bool>,
        token_uri: Text,
        decryptor_url: Text,
        decryptor_address: Text,
        hash: Value<B256>,
        roles: Mapping<Address, Granted>,
        datatokens: EnumerableSet<Address>,
        data: Mapping<B256, Blob>,
        ancestors: Array<Value<Address>>,
        allowed: Array<access::Entry>,
        denied: Array<access::Entry>,
    }
}

/// The code of an asset.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nft;

impl Erc721 for Nft {
    fn erc721(&self) -> Erc721State {
        State::root().token
    }

    /// `tokenURI`.
    fn token_uri(&self, cx: &mut Context<'_>, token: U256) -> Result<String> {
        self.owner_of(cx, token)?;
        State::root().token_uri.read(cx)
    }

    /// `ERC721Template: Is non transferable`; the errors of ERC-721.
    fn update(&self, cx: &mut Context<'_>, to: Address, token: U256, auth: Address) -> Result<Address> {
        let state = State::root();
        let from = erc721::update(self, cx, to, token, auth)?;
        if !from.is_zero() {
            if !state.transferable.read(cx)? {
                return Err(Error::message("ERC721Template: Is non transferable"));
            }
            let transfers = state.transfers.read(cx)?;
            state.transfers.write(cx, transfers.wrapping_add(1))?;
            self.end_roles(cx)?;
            self.tell_added(cx, to, roles::Role::Manager)?;
        }
        Ok(from)
    }
}

impl Nft {
    /// `initialize`, by the factory, once.
    ///
    /// # Errors
    ///
    /// `ERC721Template: token instance already initialized` for everybody else and ever after; the errors of a mint.
    fn initialize(self, cx: &mut Context<'_>, call: &initializeCall) -> Result<bool> {
        let state = State::root();
        if cx.caller() != FACTORY || !cx.is_delegated() || state.initialized.read(cx)? {
            return Err(Error::message("ERC721Template: token instance already initialized"));
        }
        state.initialized.write(cx, true)?;
        state.transferable.write(cx, call.transferable)?;
        state.token.name.write(cx, &call.name)?;
        state.token.symbol.write(cx, &call.symbol)?;
        state.token_uri.write(cx, &call.tokenURI)?;
        self.mint(cx, call.owner, TOKEN)?;
        self.tell_added(cx, call.owner, roles::Role::Manager)?;
        if !call.additionalERC20Deployer.is_zero() {
            self.give(cx, call.additionalERC20Deployer, roles::Role::DeployErc20)?;
        }
        if !call.additionalMetaDataUpdater.is_zero() {
            self.give(cx, call.additionalMetaDataUpdater, roles::Role::UpdateMetadata)?;
        }
        Ok(true)
    }

    /// `createERC20`.
    ///
    /// # Errors
    ///
    /// `ERC721Template: NOT ERC20DEPLOYER_ROLE`; the factory's.
    fn create_erc20(self, cx: &mut Context<'_>, call: &createERC20Call) -> Result<Address> {
        let caller = cx.caller();
        if caller != FACTORY && !self.may(cx, caller, roles::Role::DeployErc20)? {
            return Err(Error::message("ERC721Template: NOT ERC20DEPLOYER_ROLE"));
        }
        let createERC20Call { templateIndex, strings, addresses, uints, bytess } = call.clone();
        let create = createTokenCall { templateIndex, strings, addresses, uints, bytess };
        let token = cx.call_typed(FACTORY, U256::ZERO, &create)?;
        State::root().datatokens.add(cx, token)?;
        Ok(token)
    }

    /// `standing`.
    ///
    /// # Errors
    ///
    /// `ERC721NonexistentToken` before the asset is initialized; out of gas.
    pub(super) fn standing(self, cx: &mut Context<'_>) -> Result<standingReturn> {
        let (owner, kept) = (self.owner_of(cx, TOKEN)?, State::root());
        // They share a slot.
        let word = kept.state.word(cx)?;
        let (state, transfers, restricted) = (kept.state.of(word), kept.transfers.of(word), kept.restricted.of(word));
        Ok(standingReturn { owner, state, transfers, restricted })
    }

    /// The state alone, of what [`Nft::standing`] tells.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub(super) fn state(self, cx: &mut Context<'_>) -> Result<u8> {
        State::root().state.read(cx)
    }

    /// `recordDerivation`.
    ///
    /// # Errors
    ///
    /// `ERC721Template: NOT METADATA_ROLE`; `AssetAncestorsTooMany` beyond 64 in all; `AssetAncestryInvalid` for this asset
    /// itself, and for what is no asset of the factory.
    fn record_derivation(self, cx: &mut Context<'_>, ancestors: &[Address]) -> Result<()> {
        self.only_metadata_updater(cx)?;
        let (recorded, this, caller) = (State::root().ancestors, cx.this(), cx.caller());
        if recorded.len(cx)?.saturating_add(ancestors.len()) > MOST_ANCESTORS {
            return Err(AssetAncestorsTooMany { most: U256::from(MOST_ANCESTORS) }.into());
        }
        for ancestor in ancestors.iter().copied() {
            let listed = cx.view_typed(FACTORY, &erc721ListCall { token: ancestor })?;
            if ancestor == this || listed != ancestor || ancestor.is_zero() {
                return Err(AssetAncestryInvalid { ancestor }.into());
            }
            recorded.push(cx, ancestor)?;
            cx.emit(&DerivationRecorded { ancestor, recordedBy: caller })?;
        }
        Ok(())
    }

    /// Writes data under a key: ERC-725Y.
    fn write_data(self, cx: &mut Context<'_>, key: B256, value: Bytes) -> Result<()> {
        State::root().data.at(&key).write(cx, &value)?;
        cx.emit(&crate::market::abi::INft::DataChanged { key, value })
    }

    /// `setNewData`.
    ///
    /// # Errors
    ///
    /// `ERC721Template: NOT STORE UPDATER`; out of gas.
    fn set_new_data(self, cx: &mut Context<'_>, key: B256, value: Bytes) -> Result<()> {
        if !self.may(cx, cx.caller(), roles::Role::Store)? {
            return Err(Error::message("ERC721Template: NOT STORE UPDATER"));
        }
        self.write_data(cx, key, value)
    }

    /// `setDataERC20`, by a datatoken of this asset.
    ///
    /// # Errors
    ///
    /// `ERC721Template: NOT ERC20 Contract`; out of gas.
    fn set_data_erc20(self, cx: &mut Context<'_>, key: B256, value: Bytes) -> Result<()> {
        if !State::root().datatokens.contains(cx, cx.caller())? {
            return Err(Error::message("ERC721Template: NOT ERC20 Contract"));
        }
        self.write_data(cx, key, value)
    }
}
