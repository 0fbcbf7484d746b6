//! Lists of people: Ocean's `AccessList`. An asset that names one ([`Seller::admit`](super::Seller::admit)) lets those on it order, or
//! keeps them out, as the list is at that moment. So there may be any number of them, and one list serves many assets.
//!
//! Lists that are made here have places that nobody can pass on: others say nothing of who has them, and assets refuse them.

use super::{
    Result, ask, event,
    find::{events, head},
    sent,
};
use crate::{
    client::DataError,
    market::abi::{
        ACCESS_LIST_FACTORY,
        IAccessList::{batchMintCall, burnCall, placeOfCall, transferableCall},
        IAccessListFactory::{NewAccessList, deployAccessListContractCall, isDeployedCall},
    },
};
use alloy_primitives::{Address, U256};
use alloy_rpc_types_eth::Filter;
use futures::future::try_join_all;
use serde::Serialize;
use std::collections::BTreeSet;
use stoa_client::{Client, Wallet};
use stoa_contract::interfaces::{
    IERC721::{balanceOfCall, ownerOfCall},
    IERC721Enumerable::{tokenByIndexCall, tokenOfOwnerByIndexCall, totalSupplyCall},
    IERC721Metadata::nameCall,
    IOwnable::ownerCall,
};

/// What the places of a list are called.
const SYMBOL: &str = "LIST";

/// The most people that one transaction puts on a list, within the gas that it may take.
const AT_ONCE: usize = 32;

/// A list of people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct List {
    /// Its contract, by which assets name it.
    pub list: Address,
    /// What it is called.
    pub name: String,
    /// Who puts people on it, and takes them off.
    pub owner: Address,
    /// Whether places on it can be passed on: then no asset takes it.
    pub transferable: bool,
    /// How many places are taken.
    pub places: u64,
}

impl List {
    /// As the ledger has it.
    ///
    /// # Errors
    ///
    /// If it is none of the market's, or the ledger cannot be asked.
    pub async fn at(client: &Client, list: Address) -> Result<Self> {
        if !ask(client, ACCESS_LIST_FACTORY, &isDeployedCall { contractAddress: list }).await? {
            let why = format!("{list} is no list of this market's (`stoa data access-list new` makes one)");
            return Err(DataError::Ledger(why));
        }
        Ok(Self {
            list,
            name: ask(client, list, &nameCall {}).await?,
            owner: ask(client, list, &ownerCall {}).await?,
            transferable: ask(client, list, &transferableCall {}).await?,
            places: ask(client, list, &totalSupplyCall {}).await?.saturating_to(),
        })
    }

    /// The lists that were made for this account, as far as it still owns them; `told` hears how many of how many blocks were looked at.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked, or the node does not keep old blocks any more.
    pub async fn of_owner(client: &Client, owner: Address, told: &dyn Fn(u64, u64)) -> Result<Vec<Self>> {
        let filter = Filter::new().address(ACCESS_LIST_FACTORY).topic2(owner.into_word());
        let mut own = Vec::new();
        for (made, _) in events::<NewAccessList>(client, &filter, 0, head(client).await?, told).await? {
            let list = Self::at(client, made.contractAddress).await?;
            if list.owner == owner {
                own.push(list);
            }
        }
        Ok(own)
    }

    /// Makes a list with these people on it.
    ///
    /// # Errors
    ///
    /// If one of them is address zero, or the ledger refuses. One that was made and is not whole is named.
    pub async fn make(wallet: &Wallet, name: &str, people: &[Address]) -> Result<Self> {
        let people = each_once(people)?;
        let (first, rest) = people.split_at(people.len().min(AT_ONCE));
        let call = deployAccessListContractCall {
            name: name.to_owned(),
            symbol: SYMBOL.to_owned(),
            transferable: false,
            owner: wallet.address(),
            users: first.to_vec(),
            uris: vec![String::new(); first.len()],
        };
        let receipt = wallet.call(ACCESS_LIST_FACTORY, &call).await.map_err(sent)?;
        let made: NewAccessList = event(&receipt, ACCESS_LIST_FACTORY)?;
        let list = Self::at(wallet.client(), made.contractAddress).await?;
        match list.put(wallet, rest).await {
            Ok(_) => Self::at(wallet.client(), list.list).await,
            Err(error) => {
                let made = list.list;
                let why = format!("list {made} is made, and not all are on it (`stoa data access-list add`): {error}");
                Err(DataError::Ledger(why))
            }
        }
    }

    /// Who is on it now; `told` hears how many of how many places were looked at.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked, or somebody is taken off meanwhile.
    pub async fn people(&self, client: &Client, told: &dyn Fn(u64, u64)) -> Result<Vec<Address>> {
        let (mut people, places) = (BTreeSet::new(), (0..self.places).collect::<Vec<_>>());
        for some in places.chunks(AT_ONCE) {
            let each = some.iter().map(|place| async move {
                let token = ask(client, self.list, &tokenByIndexCall { index: U256::from(*place) }).await?;
                ask(client, self.list, &ownerOfCall { tokenId: token }).await
            });
            people.extend(try_join_all(each).await?);
            told(some.last().map_or(0, |place| place + 1), self.places);
        }
        Ok(people.into_iter().collect())
    }

    /// Puts people on it who are not; those who were put.
    ///
    /// # Errors
    ///
    /// If it is another account's, one of them is address zero, or the ledger refuses.
    pub async fn put(&self, wallet: &Wallet, people: &[Address]) -> Result<Vec<Address>> {
        self.own(wallet)?;
        let mut new = Vec::new();
        for account in each_once(people)? {
            if !ask(wallet.client(), self.list, &placeOfCall { account }).await?.listed {
                new.push(account);
            }
        }
        for some in new.chunks(AT_ONCE) {
            self.enter(wallet, some).await?;
        }
        Ok(new)
    }

    async fn enter(&self, wallet: &Wallet, people: &[Address]) -> Result<()> {
        let call = batchMintCall { users: people.to_vec(), uris: vec![String::new(); people.len()] };
        wallet.call(self.list, &call).await.map(drop).map_err(sent)
    }

    /// Takes people off it; those who were taken. Who has given his place up himself is still on a list that keeps people out, until
    /// this is done.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub async fn take_off(&self, wallet: &Wallet, people: &[Address]) -> Result<Vec<Address>> {
        self.own(wallet)?;
        let (client, mut off) = (wallet.client(), Vec::new());
        for account in each_once(people)? {
            let place = ask(client, self.list, &placeOfCall { account }).await?;
            if !place.listed && !place.gaveUp {
                continue;
            }
            if !place.listed {
                self.enter(wallet, &[account]).await?;
            }
            // He may have more than one place.
            while !ask(client, self.list, &balanceOfCall { owner: account }).await?.is_zero() {
                let first = tokenOfOwnerByIndexCall { owner: account, index: U256::ZERO };
                let token = ask(client, self.list, &first).await?;
                wallet.call(self.list, &burnCall { tokenId: token }).await.map_err(sent)?;
            }
            off.push(account);
        }
        Ok(off)
    }

    fn own(&self, wallet: &Wallet) -> Result<()> {
        if self.owner == wallet.address() {
            return Ok(());
        }
        let why = format!("list {} belongs to {}; this wallet is {}", self.list, self.owner, wallet.address());
        Err(DataError::Ledger(why))
    }
}

/// Each of them once, in their order.
fn each_once(people: &[Address]) -> Result<Vec<Address>> {
    if people.contains(&Address::ZERO) {
        return Err(DataError::Ledger("address zero is nobody's, and stands on no list".to_owned()));
    }
    let mut seen = BTreeSet::new();
    Ok(people.iter().copied().filter(|account| seen.insert(*account)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_named_twice_has_one_place_and_address_zero_none() {
        let [one, other] = [1, 2].map(Address::repeat_byte);
        assert_eq!(each_once(&[other, one, other]).unwrap(), [other, one]);
        assert!(each_once(&[one, Address::ZERO]).unwrap_err().to_string().contains("address zero"));
    }
}
