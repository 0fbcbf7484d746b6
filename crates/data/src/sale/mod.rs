//! Selling and buying: what a publisher and a buyer do at the [market](crate::market).
//!
//! ```text
//! seller   asset of consent ──▶ NFT, datatoken and price (one transaction) ──▶ who may order ──▶ grant to whoever has an order
//!          ──▶ link ──▶ document
//! buyer    quote ──▶ datatoken ──▶ order ──▶ the grant that it opens
//! ```
//!
//! The NFT says in its store ([`LINK`]) which asset of consent it sells, and the grant of that asset is for whoever holds the credential
//! that the datatoken gives with an order of its service 0. So a buyer needs nobody's help: he orders, and the grant stands for him.
//!
//! Who may order is said by account, or by [list](List).
//!
//! Everybody publishes what he likes, so a buyer pays for nothing before he has seen that an order would open a grant
//! ([`Offered::opens`]).

mod access;
mod buyer;
mod computing;
mod earnings;
mod find;
mod lists;
#[cfg(test)]
mod node;
mod sample;
mod seller;
mod validator;

use crate::{
    client::DataError,
    jobs::{COIN, units},
    market::abi::{
        IDatatoken::{IDatatokenErrors, getERC721AddressCall},
        INft::{INftErrors, checkAccessCall},
    },
};
use alloy_primitives::{Address, B256, U256, b256};
use alloy_sol_types::{Revert, SolCall, SolError as _, SolEvent};
use serde::{Deserialize, Serialize};
use stoa_client::{Client, SendError, ViewError, decimal, utc, view};
use stoa_contract::interfaces::IERC20Metadata;

pub use access::{Access, Entry, Grade};
pub use buyer::{Bought, Buyer, Offered, Opens, purposes};
pub use computing::{Computing, lasts};
pub use earnings::{Amounts, Brought, Earnings, Failed, Waiting, earned_by, earned_by_jobs, earnings, registered_by};
pub use find::{Found, Told, document, find};
pub use lists::List;
pub use sample::{MOST_SAMPLE, Sample};
pub use seller::{Audience, Begun, Ends, Listed, Seller, Selling, check};

/// Where an NFT says which asset of consent it sells: `keccak256("stoa.asset")` in its ERC-725Y store.
pub const LINK: B256 = b256!("2fa7028dec0c20e32e6e6057e15e77575903bfbdba92fd0d6b73478d643c7566");

/// Where an NFT says which jobs it came of, 32 bytes each: `keccak256("stoa.derived")` in its ERC-725Y store.
pub const DERIVED: B256 = b256!("00d6638658070cf5da82ddece563cda5eb0b9f22e0ba637aca66220679d17fba");

/// The most jobs that an asset can be said to have come of.
pub const MOST_DERIVED: usize = 64;

/// The one service of what is published here.
const SERVICE: u32 = 0;

/// One datatoken.
const ONE: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// What an asset's states are called on the command line, by their numbers.
pub const STATES: [&str; 6] = ["active", "end-of-life", "deprecated", "revoked", "disabled", "unlisted"];

/// The states in which orders are taken.
const ACTIVE: u8 = 0;
const UNLISTED: u8 = 5;

/// The state in which no order stands.
const REVOKED: u8 = 3;

/// Whether orders are taken in a state.
const fn sells(state: u8) -> bool {
    matches!(state, ACTIVE | UNLISTED)
}

/// Why nothing can be ordered.
fn closed(state: u8) -> String {
    format!("nothing can be ordered: the asset is {}", STATES.get(usize::from(state)).unwrap_or(&"in no known state"))
}

/// What a datatoken costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Price {
    /// Nothing: a dispenser gives one to everybody.
    Free,
    /// So much of an ERC-20 token.
    Fixed {
        /// The token.
        token: Address,
        /// For one datatoken, with 18 decimals whatever the token has.
        rate: U256,
    },
}

type Result<T> = std::result::Result<T, DataError>;

/// How Ocean's contracts say that the caller is not whose it is, nor somebody whom that account lets.
const THEIRS: [&str; 4] = [
    "ERC721Template: NOT ",
    "ERC721Template: not NFTOwner",
    "ERC721RolesAddress: NOT ",
    "FixedRateExchange: invalid exchange owner",
];

/// A refusal of the market in words.
pub(crate) fn words(error: &ViewError) -> Option<String> {
    let ViewError::Reverted(data) = error else { return None };
    if let Some(error) = error.reason::<IDatatokenErrors>() {
        use IDatatokenErrors as E;
        return Some(match error {
            E::OrderingClosed(error) => closed(error.state),
            E::OrderExpired(error) => format!("order {} ended at {}", error.order, utc(error.until.saturating_to())),
            E::OrderUnknown(error) => format!("there is no order {}", error.order),
            E::OrderNotYours(error) => format!("order {} is not for {}", error.order, error.caller),
            E::OrderStandsAlready(error) => format!("order {} of yours stands as long already", error.order),
            E::OrderInvalidTimeout(error) => format!("an order cannot stand for {} seconds", error.timeout),
            other => format!("the datatoken refuses: {other:?}"),
        });
    }
    if let Some(error) = error.reason::<INftErrors>() {
        use INftErrors as E;
        return Some(match error {
            E::AssetStateUnknown(error) => format!("there is no state {}", error.state),
            E::AssetProofInvalid(error) => format!("validator {} has not signed this document", error.validator),
            E::AccessDenied(error) => {
                format!("the asset takes no orders for {}, who is denied, and lets none be of use", error.account)
            }
            E::AccessNotAllowed(error) => {
                format!("the asset takes orders for those alone who are allowed, and {} is none of them", error.account)
            }
            E::AccessTooMany(error) => {
                format!(
                    "{} accounts and lists at most can be named: more people stand on a list (`stoa data access-list`)",
                    error.most
                )
            }
            E::AccessListTransferable(error) => {
                format!("places on list {} can be passed on, and so say nothing of who has them", error.list)
            }
            other => format!("the asset refuses: {other:?}"),
        });
    }
    let why = Revert::abi_decode(data).ok()?.reason;
    Some(match why.as_str() {
        "FixedRateExchange: Too many base tokens" => "the price has risen since it was asked".into(),
        "FixedRateExchange: Exchange is inactive!" | "Dispenser not active" => "it is not for sale now".into(),
        why if THEIRS.iter().any(|theirs| why.starts_with(theirs)) => "it is another account's".into(),
        _ => format!("the market refuses: {}", why.chars().take(200).collect::<String>()),
    })
}

/// Why the market was not asked, or said no.
fn asked(error: ViewError) -> DataError {
    words(&error).map_or_else(|| error.into(), DataError::Ledger)
}

fn sent(error: SendError) -> DataError {
    match error {
        SendError::Refused(error) => asked(error),
        error => error.into(),
    }
}

async fn ask<C: SolCall>(client: &Client, to: Address, call: &C) -> Result<C::Return> {
    Ok(view(client, to, call).await.map_err(asked)?.0)
}

/// An amount of a token for people.
async fn shown(client: &Client, token: Address, amount: U256) -> Result<String> {
    if token == COIN {
        return Ok(units(amount, token));
    }
    let decimals = ask(client, token, &IERC20Metadata::decimalsCall {}).await?;
    let symbol = ask(client, token, &IERC20Metadata::symbolCall {}).await.unwrap_or_default();
    // A contract is called whatever its maker likes.
    let symbol: String = symbol.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    Ok(format!("{} {symbol} (token {token})", decimal(amount, decimals)))
}

/// Why an account gets nothing of an asset whose orders are of this datatoken, if its owner denies it.
pub(crate) async fn denied(client: &Client, datatoken: Address, account: Address) -> Option<String> {
    let (nft, _) = view(client, datatoken, &getERC721AddressCall {}).await.ok()?;
    let refused = view(client, nft, &checkAccessCall { account }).await.err()?;
    matches!(refused, ViewError::Reverted(_)).then(|| words(&refused)).flatten()
}

/// The first event of a kind in a receipt.
fn event<E: SolEvent>(receipt: &alloy_rpc_types_eth::TransactionReceipt, of: Address) -> Result<E> {
    let logs = receipt.inner.logs().iter().filter(|log| log.address() == of);
    logs.filter_map(|log| E::decode_log(&log.inner).ok()).map(|log| log.data).next().ok_or(DataError::Receipt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::keccak256;

    #[test]
    fn the_link_is_the_hash_of_its_name() {
        assert_eq!(LINK, keccak256("stoa.asset"));
        assert_eq!(DERIVED, keccak256("stoa.derived"));
    }

    #[test]
    fn refusals_are_told_in_words() {
        let revert = |text: &str| ViewError::Reverted(Revert::from(text).abi_encode().into());
        let risen = words(&revert("FixedRateExchange: Too many base tokens")).unwrap();
        assert_eq!(risen, "the price has risen since it was asked");
        for theirs in ["ERC721Template: NOT METADATA_ROLE", "FixedRateExchange: invalid exchange owner"] {
            assert_eq!(words(&revert(theirs)).unwrap(), "it is another account's");
        }
        let closed = crate::market::abi::IDatatoken::OrderingClosed { state: 4 }.abi_encode();
        let closed = words(&ViewError::Reverted(closed.into())).unwrap();
        assert!(closed.contains("is disabled"), "{closed}");
        let named = |state: &str| state.parse::<crate::search::State>().unwrap() as usize;
        assert_eq!(STATES.map(named), [0, 1, 2, 3, 4, 5], "one name in all commands");
        assert_eq!(words(&ViewError::Malformed), None);
        let account = Address::repeat_byte(1);
        let denied = crate::market::abi::INft::AccessDenied { account }.abi_encode();
        let denied = words(&ViewError::Reverted(denied.into())).unwrap();
        assert!(denied.contains("denied") && denied.contains(&account.to_string()), "{denied}");
    }
}
