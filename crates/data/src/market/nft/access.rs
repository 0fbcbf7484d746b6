//! Who may order: an asset's allow list and deny list.
//!
//! They bind on the ledger: a datatoken asks before it takes an order, and each time that somebody wants to use one, so that no program
//! has to be believed that it has looked. Whoever is denied may not, whatever else; an empty allow list is everybody. What counts is
//! for whom an order is, not who pays. They stay when the asset changes hands: its new owner says something else if he likes.
//!
//! An entry is an account, or a list of the market's own factory, which is asked who is on it now. Lists whose places can be passed on
//! are refused, and who has burned his own place is still on a list that keeps people out.

use super::{Nft, State};
use crate::market::abi::{
    ACCESS_LIST_FACTORY, AccessEntry,
    IAccessList::{placeOfCall, transferableCall},
    IAccessListFactory::isDeployedCall,
    INft::{AccessDenied, AccessListTransferable, AccessNotAllowed, AccessSet, AccessTooMany, getAccessReturn},
};
use alloy_primitives::{Address, U256};
use stoa_contract::{
    Context, Result,
    storage::{Array, Value},
};

/// The most entries that are allowed, and that are denied: all of them are asked within the gas that a check of consent may cost. More
/// people stand on a list, which has room for any number.
const MOST_ENTRIES: usize = 6;

stoa_contract::storage! {
    /// An account, or a list.
    pub(super) struct Entry {
        who: Value<Address>,
        list: Value<bool>,
    }
}

impl Nft {
    /// `setAccess`.
    ///
    /// # Errors
    ///
    /// `ERC721RolesAddress: NOT MANAGER`; `AccessTooMany` above 6 of either; `AccessListTransferable`; out of gas.
    pub(super) fn set_access(self, cx: &mut Context<'_>, allow: Vec<Address>, deny: Vec<Address>) -> Result<()> {
        self.only_manager(cx)?;
        let state = State::root();
        for (entries, named) in [(state.allowed, &allow), (state.denied, &deny)] {
            if named.len() > MOST_ENTRIES {
                return Err(AccessTooMany { most: U256::from(MOST_ENTRIES) }.into());
            }
            while !entries.is_empty(cx)? {
                let last = entries.shrink(cx)?;
                last.who.write(cx, Address::ZERO)?;
                last.list.write(cx, false)?;
            }
            for who in named.iter().copied() {
                let list = cx.view_typed(ACCESS_LIST_FACTORY, &isDeployedCall { contractAddress: who })?;
                if list && cx.view_typed(who, &transferableCall {})? {
                    return Err(AccessListTransferable { list: who }.into());
                }
                let entry = entries.grow(cx)?;
                entry.who.write(cx, who)?;
                entry.list.write(cx, list)?;
            }
        }
        state.restricted.write(cx, !allow.is_empty() || !deny.is_empty())?;
        let setBy = cx.caller();
        cx.emit(&AccessSet { allow, deny, setBy })
    }

    /// `getAccess`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub(super) fn access(self, cx: &mut Context<'_>) -> Result<getAccessReturn> {
        let state = State::root();
        Ok(getAccessReturn { allow: entries(cx, state.allowed)?, deny: entries(cx, state.denied)? })
    }

    /// `checkAccess`.
    ///
    /// # Errors
    ///
    /// `AccessDenied`; `AccessNotAllowed`; out of gas.
    pub(super) fn check_access(self, cx: &mut Context<'_>, account: Address) -> Result<()> {
        let state = State::root();
        if !state.restricted.read(cx)? {
            return Ok(());
        }
        if is_among(cx, state.denied, account, true)? {
            return Err(AccessDenied { account }.into());
        }
        match state.allowed.is_empty(cx)? || is_among(cx, state.allowed, account, false)? {
            true => Ok(()),
            false => Err(AccessNotAllowed { account }.into()),
        }
    }
}

fn entries(cx: &mut Context<'_>, of: Array<Entry>) -> Result<Vec<AccessEntry>> {
    let mut all = Vec::new();
    for index in 0..of.len(cx)? {
        let entry = of.get_unchecked(index);
        all.push(AccessEntry { who: entry.who.read(cx)?, list: entry.list.read(cx)? });
    }
    Ok(all)
}

/// Whether an account is one of these, or on one of the lists among them; with `denies`, also if it has given its place there up itself.
fn is_among(cx: &mut Context<'_>, entries: Array<Entry>, account: Address, denies: bool) -> Result<bool> {
    for index in 0..entries.len(cx)? {
        let entry = entries.get_unchecked(index);
        let who = entry.who.read(cx)?;
        let is = match entry.list.read(cx)? {
            true => {
                let place = cx.view_typed(who, &placeOfCall { account })?;
                place.listed || (denies && place.gaveUp)
            }
            false => who == account,
        };
        if is {
            return Ok(true);
        }
    }
    Ok(false)
}
