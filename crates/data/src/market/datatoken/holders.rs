//! What a datatoken keeps of an account, in one slot: its balance, and the last order of its own.
//!
//! An order takes a datatoken, and whoever placed it has to find it again. Its number lies above the balance, which the order changes
//! anyway: under a key of its own it would be a new key for nearly every order, and those cost a block most. 192 bits are left for
//! balances, some 6·10^39 datatokens, and there can be no more.

use super::{Datatoken, State};
use alloy_primitives::{Address, U256, aliases::U192};
use stoa_contract::{
    Context, Error, Result,
    interfaces::{IERC20::Transfer, IERC20Errors::ERC20InsufficientBalance},
    parts::erc20::{Erc20, Erc20State},
    storage::{Layout, Mapping, Value},
};

stoa_contract::storage! {
    /// What is kept of an account: one slot, where other ERC-20 tokens keep the balance alone.
    pub(super) struct Holder {
        pub(super) balance: Value<U192>,
        /// The number of the last order of service 0 that it has paid for itself, or accepted.
        pub(super) last: Value<u64>,
    }
}

impl Erc20 for Datatoken {
    fn erc20(&self) -> Erc20State {
        State::root().token
    }

    fn balance_of(&self, cx: &mut Context<'_>, account: Address) -> Result<U256> {
        self.holder(account).balance.read(cx).map(U256::from)
    }

    /// `ERC20InsufficientBalance`; `Panic(0x11)` where there would be 2^192 units or more.
    fn update(&self, cx: &mut Context<'_>, from: Address, to: Address, value: U256) -> Result<()> {
        let supply = self.erc20().total_supply;
        match from.is_zero() {
            true => {
                let sum = supply.read(cx)?.checked_add(value).filter(|sum| *sum <= U256::from(U192::MAX));
                supply.write(cx, sum.ok_or_else(Error::overflow)?)?;
            }
            false => {
                let kept = self.holder(from).balance;
                let word = kept.word(cx)?;
                let balance = U256::from(kept.of(word));
                if balance < value {
                    return Err(ERC20InsufficientBalance { sender: from, balance, needed: value }.into());
                }
                kept.write_word(cx, word.wrapping_sub(value))?;
            }
        }
        match to.is_zero() {
            true => {
                let left = supply.read(cx)?.wrapping_sub(value);
                supply.write(cx, left)?;
                cx.emit(&Transfer { from, to, value })
            }
            false => self.receive(cx, from, to, value),
        }
    }
}

impl Datatoken {
    /// What is kept of an account.
    pub(super) fn holder(self, account: Address) -> Holder {
        let holders: Mapping<Address, Holder> = Layout::at(State::root().token.balances.place());
        holders.at(&account)
    }

    /// Gives an account what was taken from another.
    pub(super) fn receive(self, cx: &mut Context<'_>, from: Address, to: Address, value: U256) -> Result<()> {
        let kept = self.holder(to).balance;
        let word = kept.word(cx)?;
        // It stays within its bits: no balance is larger than the supply.
        kept.write_word(cx, word.wrapping_add(value))?;
        cx.emit(&Transfer { from, to, value })
    }
}
