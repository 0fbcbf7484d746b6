//! What computing on an asset costs beside the order, and what may leave: what a buyer wants to know before he orders.

use super::{Result, SERVICE, ask};
use crate::{
    ddo::Document,
    jobs::{
        abi::{
            IJobs::{Offer, offerOfCall},
            JOBS, PROCESS, WASM,
        },
        cost,
        rules::Rules,
    },
    market::abi::IDatatoken::serviceTimeoutCall,
};
use alloy_primitives::{Address, B256, U256};
use serde::Serialize;
use stoa_client::Client;

/// On which terms programs run on an asset, as its owner offers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Computing {
    /// The node that computes.
    pub node: B256,
    /// The token that jobs are paid in.
    pub token: Address,
    /// What each job costs, in units of the token.
    pub base: U256,
    /// What each million steps cost that are begun.
    pub price: U256,
    /// Steps of one job at most.
    pub steps: u64,
    /// Seconds within which a job ends, or its buyer is paid back.
    pub time: u32,
    /// Whether WebAssembly runs, whose steps are instructions.
    pub wasm: bool,
    /// Whether processes run, whose steps are nanoseconds of a processor.
    pub processes: bool,
    /// The hash of the rules of what may leave.
    pub rules: B256,
    /// The rules with that hash, if the asset's document has them.
    pub leaving: Option<Rules>,
}

impl Computing {
    /// As the ledger has it of an asset of consent, and its document the rules; nothing if nobody computes on it.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked.
    pub async fn of(client: &Client, asset: B256, document: Option<&[u8]>) -> Result<Option<Self>> {
        let offer = ask(client, JOBS, &offerOfCall { asset }).await?;
        Ok((!offer.node.is_zero()).then(|| Self::new(&offer, document)))
    }

    fn new(offer: &Offer, document: Option<&[u8]>) -> Self {
        // What counts are the rules that the offer names: a document says what its publisher likes.
        let said = document.and_then(|document| Document::read(document).ok()?.rules());
        Self {
            node: offer.node,
            token: offer.token,
            base: offer.base,
            price: offer.price,
            steps: offer.fuel,
            time: offer.time,
            wasm: offer.runtimes & WASM != 0,
            processes: offer.runtimes & PROCESS != 0,
            rules: offer.rules,
            leaving: said.filter(|rules| rules.hash() == offer.rules),
        }
    }

    /// What a job of so many steps costs at most, in units of the token.
    pub fn cost(&self, steps: u64) -> U256 {
        let offer = Offer { base: self.base, price: self.price, ..Offer::default() };
        cost(&offer, steps).unwrap_or(U256::MAX)
    }
}

/// For how many seconds an order of a datatoken stands that is placed now; 0 for ever.
///
/// # Errors
///
/// If the ledger cannot be asked.
pub async fn lasts(client: &Client, datatoken: Address) -> Result<u64> {
    Ok(ask(client, datatoken, &serviceTimeoutCall { serviceIndex: U256::from(SERVICE) }).await?.saturating_to())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ddo::{About, Answers, Ddo, Place, Use},
        jobs::MILLION,
        look::{Looking, look_into},
    };
    use std::io::Cursor;

    #[test]
    fn rules_are_told_that_the_offer_names_and_no_others() {
        let looked = look_into("a.csv", 4, Cursor::new(b"a\n1\n"), Looking::default(), &|_| ()).unwrap();
        let rules = Rules::usual(B256::repeat_byte(9));
        let about = About::new(&looked, B256::repeat_byte(7)).ruled_by(&rules);
        let place = Place { chain_id: 1, nft: Address::ZERO, datatoken: Address::ZERO, timeout: 0, now: 0 };
        let document = Ddo::new(&Answers::default(), &about, Use::Compute, place).to_bytes().unwrap();
        let offer = Offer { rules: rules.hash(), base: U256::from(5), price: U256::from(2), ..Offer::default() };
        let computing = Computing::new(&Offer { runtimes: WASM | PROCESS, ..offer.clone() }, Some(&document));
        assert_eq!(computing.leaving, Some(rules));
        assert!(computing.wasm && computing.processes);
        // Million steps that are begun are paid.
        assert_eq!([0, 1, MILLION, MILLION + 1].map(|steps| computing.cost(steps)), [5, 7, 7, 9].map(U256::from));
        let other = Computing::new(&Offer { rules: B256::ZERO, ..offer.clone() }, Some(&document));
        assert_eq!((other.leaving, Computing::new(&offer, None).leaving), (None, None));
    }
}
