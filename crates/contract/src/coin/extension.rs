//! What an account that delegates carries.

use super::votes_of;
use alloy_primitives::{Address, U256};
use revm::state::{AccountExtension, AccountInfo};

/// To whom an account gives its votes, and how many of them are counted there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delegation {
    /// Who votes for the account.
    pub(super) delegatee: Address,
    /// The votes of the account's balance as the delegatee's contain them, in wei.
    pub(super) counted: U256,
}

impl Delegation {
    const LEN: usize = 20 + 32;

    pub(super) fn decode(extension: &AccountExtension) -> Option<Self> {
        let (delegatee, counted) = extension.as_ref().split_first_chunk::<20>()?;
        Some(Self { delegatee: Address::new(*delegatee), counted: U256::try_from_be_slice(counted)? })
    }

    pub(super) fn encode(delegation: Option<Self>) -> AccountExtension {
        let Some(Self { delegatee, counted }) = delegation else {
            return AccountExtension::new();
        };
        AccountExtension::new_with(Self::LEN, |bytes| {
            bytes[..20].copy_from_slice(delegatee.as_slice());
            bytes[20..].copy_from_slice(&counted.to_be_bytes::<32>());
        })
    }
}

/// To whom an account gives its votes: what the ledger keeps of the extension.
pub fn delegate_of(info: &AccountInfo) -> Option<Address> {
    Delegation::decode(&info.extension).map(|delegation| delegation.delegatee)
}

/// Restores what [`delegate_of`] told, when an account with its balance is read. Between transactions all votes of the
/// balance are counted.
pub fn set_delegate(info: &mut AccountInfo, delegatee: Option<Address>) {
    let delegation = delegatee.map(|delegatee| Delegation { delegatee, counted: votes_of(info.balance) });
    info.extension = Delegation::encode(delegation);
}
