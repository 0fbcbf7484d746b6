//! Keeping the votes equal to the balances, at the end of transactions and blocks.

use super::{Coin, change, extension::Delegation, votes_of};
use crate::{
    Context, Result,
    interfaces::IVotes::DelegateChanged,
    parts::{erc20::Erc20, votes::Votes},
};
use alloy_primitives::{Address, U256};
use revm::{JournalEntry, context::journal::JournalInner};
use std::collections::BTreeMap;

/// The accounts with a delegatee whose balance the journal's transaction has touched.
pub(crate) fn unsettled(journal: &JournalInner<JournalEntry>) -> Vec<Address> {
    let mut accounts = Vec::new();
    let mut last = [Address::ZERO; 2];
    for entry in &journal.journal {
        let touched = match entry {
            JournalEntry::BalanceChange { address, .. } => [*address, *address],
            JournalEntry::BalanceTransfer { from, to, .. } => [*from, *to],
            JournalEntry::AccountDestroyed { address, target, .. } => [*address, *target],
            _ => continue,
        };
        for address in touched {
            // The sender and the receiver come again and again.
            if last.contains(&address) {
                continue;
            }
            last = [last[1], address];
            if journal.state.get(&address).is_some_and(|account| !account.info.extension.is_empty()) {
                accounts.push(address);
            }
        }
    }
    accounts.sort_unstable();
    accounts.dedup();
    accounts
}

/// Moves what these accounts gained and lost since they were settled into the votes of their delegatees.
pub(crate) fn settle(cx: &mut Context<'_>, accounts: &[Address]) -> Result<()> {
    let mut changes: BTreeMap<Address, (U256, U256)> = BTreeMap::new();
    for account in accounts {
        let (extension, balance, destroyed) = cx.extension(*account)?;
        let Some(Delegation { delegatee, counted }) = Delegation::decode(&extension) else {
            continue;
        };
        let balance = if destroyed { U256::ZERO } else { votes_of(balance) };
        if balance == counted && !destroyed {
            continue;
        }
        let (added, removed) = changes.entry(delegatee).or_default();
        *added += balance.saturating_sub(counted);
        *removed += counted.saturating_sub(balance);
        match destroyed {
            // Whatever is made at this address later has not delegated.
            true => {
                Coin.votes().delegatee.at(account).write(cx, Address::ZERO)?;
                cx.set_extension(*account, Delegation::encode(None))?;
                cx.emit(&DelegateChanged { delegator: *account, fromDelegate: delegatee, toDelegate: Address::ZERO })?;
            }
            false => {
                cx.set_extension(*account, Delegation::encode(Some(Delegation { delegatee, counted: balance })))?
            }
        }
    }
    for (delegatee, (added, removed)) in changes {
        Coin.change_votes(cx, delegatee, added, removed)?;
    }
    Ok(())
}

/// Adjusts the total supply, and its history, by what was added to all balances together and what was removed. It wraps around
/// where balances that are set by hand exceed 256 bits together, and is right again when they no longer do.
///
/// # Errors
///
/// If the state cannot be read.
pub fn end_block(cx: &mut Context<'_>, added: U256, removed: U256) -> Result<()> {
    let supply = Coin.erc20().total_supply;
    let new = |old: U256| old.wrapping_add(added).wrapping_sub(removed);
    let old = supply.read(cx)?;
    supply.write(cx, new(old))?;
    if added != removed {
        change(cx, Coin.votes().total_checkpoints, new)?;
    }
    Ok(())
}
