//! Whose data an asset is, as its owner says in the document that he has put on the ledger: what the contract of consent does not know.
//!
//! The document is in an event of the market's, with its hash. It counts if the asset's own owner published it, by an NFT that the
//! market's factory made, and it names the asset: nobody speaks for somebody else's data. The newest counts.

use super::{Place, RecordError, paged};
use crate::{
    ddo::{self, Document, People},
    market::abi::{
        FACTORY, IFactory,
        INft::{MetadataCreated, MetadataUpdated, getDataCall},
    },
    sale::LINK,
};
use alloy_primitives::{Address, B256, Bytes};
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::SolEvent as _;
use std::collections::BTreeMap;
use stoa_client::{Client, view};

/// What an asset's owner says of whose data it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Said {
    /// Nothing: there is no such document, or it does not say.
    #[default]
    Nothing,
    /// Nothing to everybody: the document is sealed to some.
    Sealed(Place),
    /// This.
    This {
        /// Whose, and of what kind.
        people: People,
        /// The hash of the document.
        document: B256,
        /// Where it was published.
        place: Place,
    },
}

/// A document as an event carries it.
struct Carried {
    by: Address,
    flags: Bytes,
    data: Bytes,
    hash: B256,
}

impl Carried {
    fn of(log: &Log) -> Option<Self> {
        if let Ok(event) = MetadataCreated::decode_log(&log.inner) {
            let MetadataCreated { createdBy: by, flags, data, metaDataHash: hash, .. } = event.data;
            return Some(Self { by, flags, data, hash });
        }
        let MetadataUpdated { updatedBy: by, flags, data, metaDataHash: hash, .. } =
            MetadataUpdated::decode_log(&log.inner).ok()?.data;
        Some(Self { by, flags, data, hash })
    }
}

/// What a document says, if it is one of this asset's.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    /// It is of another asset, or none.
    Other,
    /// It can be read by some alone.
    Sealed,
    /// This.
    This(People),
}

fn read(asset: B256, flags: &[u8], data: &[u8], hash: B256) -> Read {
    let document = match ddo::opened(flags, data, hash) {
        Ok(document) => document,
        Err(ddo::CarriedError::Sealed) => return Read::Sealed,
        Err(_) => return Read::Other,
    };
    match Document::read(&document).ok().and_then(|document| document.people()) {
        Some((of, people)) if of == asset => Read::This(people),
        _ => Read::Other,
    }
}

impl Said {
    /// Asks a node, from the block in which the asset was registered to this one.
    pub(super) async fn read(
        client: &Client,
        asset: B256,
        owner: Address,
        (first, last): (u64, u64),
    ) -> Result<Self, RecordError> {
        let filter = Filter::new().topic1(owner.into_word());
        let filter = filter.event_signature(vec![MetadataCreated::SIGNATURE_HASH, MetadataUpdated::SIGNATURE_HASH]);
        let logs = paged(first, last, async |from, to| {
            client.call::<Vec<Log>>("eth_getLogs", (filter.clone().from_block(from).to_block(to),)).await
        });
        let mut logs = logs.await?;
        logs.sort_by_key(|log| (log.block_number, log.log_index));
        // Anybody emits what looks like it.
        let mut made: BTreeMap<Address, bool> = BTreeMap::new();
        for log in logs.iter().rev() {
            let (Some(carried), nft) = (Carried::of(log), log.address()) else { continue };
            let is = read(asset, &carried.flags, &carried.data, carried.hash);
            if carried.by != owner || is == Read::Other {
                continue;
            }
            let by_factory = match made.get(&nft) {
                Some(known) => *known,
                None => {
                    let call = IFactory::erc721ListCall { token: nft };
                    let listed = view(client, FACTORY, &call).await.map_err(RecordError::View)?.0;
                    made.insert(nft, !listed.is_zero());
                    !listed.is_zero()
                }
            };
            if !by_factory {
                continue;
            }
            let malformed = || RecordError::Malformed(log.block_number);
            let (number, time) = log.block_number.zip(log.block_timestamp).ok_or_else(malformed)?;
            let place = Place { number, time, transaction: log.transaction_hash.ok_or_else(malformed)? };
            match is {
                Read::This(people) if people == People::default() => return Ok(Self::Nothing),
                Read::This(people) => return Ok(Self::This { people, document: carried.hash, place }),
                // Of which asset it is, its NFT says.
                _ => {
                    let link = view(client, nft, &getDataCall { key: LINK }).await.map_err(RecordError::View)?.0;
                    if link[..] == asset[..] {
                        return Ok(Self::Sealed(place));
                    }
                }
            }
        }
        Ok(Self::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ASSET: B256 = B256::repeat_byte(7);

    fn document(own: serde_json::Value) -> (Vec<u8>, B256) {
        let document = json!({
            "id": "did:op:1", "version": "4.7.0", "chainId": 1, "nftAddress": "0x0",
            "metadata": {
                "created": "", "updated": "", "name": "", "description": "", "type": "", "author": "", "license": "",
                "additionalInformation": { "stoa": own },
            },
        });
        let bytes = serde_json::to_vec(&document).unwrap();
        let hash = ddo::hash(&bytes);
        (bytes, hash)
    }

    #[test]
    fn a_document_speaks_for_the_asset_that_it_names_in_terms_of_the_vocabulary() {
        let patient = "https://w3id.org/dpv#Patient";
        let record = "https://w3id.org/dpv/pd#HealthRecord";
        let (bytes, hash) = document(json!({
            "asset": ASSET,
            "dataSubjects": [patient, "Ann Example", 7, "https://w3id.org/dpv#", "https://w3id.org/dpv#Pat ient"],
            "personalData": [record, "https://example.org/pd#Age"],
        }));
        let people = People { subjects: vec![patient.into()], personal: vec![record.into()] };
        assert_eq!(read(ASSET, &[0], &bytes, hash), Read::This(people));
        // Of another asset, with another hash, sealed, and saying nothing of it.
        assert_eq!(read(B256::ZERO, &[0], &bytes, hash), Read::Other);
        assert_eq!(read(ASSET, &[0], &bytes, B256::ZERO), Read::Other);
        assert_eq!(read(ASSET, &[2], &bytes, hash), Read::Sealed);
        let (bytes, hash) = document(json!({ "asset": ASSET, "dataSubjects": "people" }));
        assert_eq!(read(ASSET, &[0], &bytes, hash), Read::This(People::default()));
        let (bytes, hash) = document(json!({ "dataSubjects": [patient] }));
        assert_eq!(read(ASSET, &[0], &bytes, hash), Read::Other);
        // As many as there may be.
        let (bytes, hash) = document(json!({ "asset": ASSET, "dataSubjects": vec![patient; 1_000] }));
        let Read::This(people) = read(ASSET, &[0], &bytes, hash) else { panic!("it is this asset's") };
        assert_eq!(people.subjects.len(), ddo::MOST_TERMS);
    }
}
