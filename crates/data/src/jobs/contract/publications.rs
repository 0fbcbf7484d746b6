//! Who puts his name to which program, and from which source he says that it is built.
//!
//! A program is published as an asset of consent whose salt and object are its hash, so that nodes find it by its publisher. What is said
//! of its source is in an event; here is who said something, and in which block, so that whoever follows a job back finds it.

use super::Jobs;
use crate::{
    abi::{
        CONSENT,
        IConsent::{ConsentAssetUnknown, ConsentErased, assetIdCall, assetOfCall},
    },
    jobs::abi::IJobs::{JobsInvalidOffer, ProgramPublished, Publication},
};
use alloy_primitives::{Address, B256, U256};
use stoa_contract::{Context, Result, storage::Value};

/// The longest place of a source, in bytes.
const MOST_URL: usize = 512;

stoa_contract::storage! {
    /// Somebody who has put his name to a program, and when.
    pub(super) struct Entry {
        publisher: Value<Address>,
        number: Value<u64>,
    }
}

impl Jobs {
    /// `ConsentAssetUnknown` where the caller has not registered the program; `ConsentErased`; `JobsInvalidOffer` for a place that is too
    /// long.
    pub(in crate::jobs) fn publish_program(
        self,
        cx: &mut Context<'_>,
        algorithm: B256,
        source: B256,
        url: String,
    ) -> Result<()> {
        if url.len() > MOST_URL {
            return Err(JobsInvalidOffer { what: "the place of a source has at most 512 bytes".into() }.into());
        }
        let (publisher, number) = (cx.caller(), cx.block_number());
        let asset = cx.view_typed(CONSENT, &assetIdCall { owner: publisher, salt: algorithm })?;
        let is = cx.view_typed(CONSENT, &assetOfCall { asset })?;
        if is.object != algorithm {
            return Err(ConsentAssetUnknown { asset }.into());
        }
        if is.erased > 0 {
            return Err(ConsentErased { asset, number: is.erased }.into());
        }
        let entry = self.state().published.at(&algorithm).grow(cx)?;
        entry.publisher.write(cx, publisher)?;
        entry.number.write(cx, number)?;
        cx.emit(&ProgramPublished { algorithm, asset, publisher, source, url })
    }

    pub(in crate::jobs) fn publications_of(
        self,
        cx: &mut Context<'_>,
        algorithm: B256,
        from: U256,
        most: U256,
    ) -> Result<Vec<Publication>> {
        let published = self.state().published.at(&algorithm);
        let len = published.len(cx)?;
        let from = from.saturating_to::<usize>().min(len);
        let to = from.saturating_add(most.saturating_to()).min(len);
        let mut all = Vec::new();
        for index in from..to {
            let entry = published.get_unchecked(index);
            all.push(Publication { publisher: entry.publisher.read(cx)?, number: entry.number.read(cx)? });
        }
        Ok(all)
    }
}
