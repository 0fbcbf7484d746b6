//! Finding an asset of the market, and what it says of itself.

use super::{LINK, Price, Result, ask, asked};
use crate::{
    abi::{
        CONSENT,
        IConsent::{Asset, assetOfCall},
    },
    client::DataError,
    ddo::{self, CarriedError, Flags, Sealed},
    market::abi::{
        DISPENSER, FACTORY, FIXED_RATE,
        IDatatoken::{getDispensersCall, getFixedRatesCall},
        IDispenser, IFactory,
        IFactory::NFTCreated,
        IFixedRate, INft,
        INft::{MetadataCreated, MetadataUpdated},
    },
    record::paged,
};
use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::SolEvent;
use std::cmp::min;
use stoa_client::{Client, ClientError, ViewError, view};
use stoa_privacy::ReadingSecret;

/// Blocks that are searched at once for a document, from the newest on.
const PAGE: u64 = 10_000;

/// An asset of the market as it is now.
#[derive(Clone, Debug)]
pub struct Found {
    /// The NFT.
    pub nft: Address,
    /// Who owns it.
    pub owner: Address,
    /// 0 active, 1 end of life, 2 deprecated, 3 revoked, 4 ordering disabled, 5 unlisted.
    pub state: u8,
    /// What an order costs one of; zero if there is none ([`Found::any`]).
    pub datatoken: Address,
    /// What that costs, and at which exchange; nothing if it is not for sale.
    pub price: Option<(Price, B256)>,
    /// The asset of consent that it says it sells.
    pub asset: Option<B256>,
    /// The hash of its document; zero if it has none.
    pub hash: B256,
}

/// Events of a contract in these blocks, with where they stand.
pub(super) async fn events<E: SolEvent>(
    client: &Client,
    filter: &Filter,
    first: u64,
    last: u64,
    told: &dyn Fn(u64, u64),
) -> Result<Vec<(E, Log)>> {
    let filter = filter.clone().event_signature(E::SIGNATURE_HASH);
    let logs = paged(first, last, async |from, to| {
        told(from - first, last + 1 - first);
        client.call::<Vec<Log>>("eth_getLogs", (filter.clone().from_block(from).to_block(to),)).await
    });
    let logs = logs.await.map_err(|error| DataError::Ledger(error.to_string()))?;
    Ok(logs.into_iter().filter_map(|log| E::decode_log(&log.inner).ok().map(|event| (event.data, log))).collect())
}

/// The newest block.
pub(super) async fn head(client: &Client) -> Result<u64> {
    client.block_number().await.map_err(|error| DataError::Ledger(error.to_string()))
}

async fn chain_id(client: &Client) -> Result<u64> {
    let id: std::result::Result<U256, _> = client.call("eth_chainId", ()).await;
    Ok(id.map_err(|error| DataError::Ledger(error.to_string()))?.saturating_to())
}

/// The NFT that a DID or an address names. A DID is looked for among all NFTs that there are, as it follows from the NFT's address
/// and does not tell it.
///
/// # Errors
///
/// If it names none of this chain's.
pub async fn find(client: &Client, name: &str, told: &dyn Fn(u64, u64)) -> Result<Address> {
    if name.starts_with("did:") {
        let chain = chain_id(client).await?;
        let made = events::<NFTCreated>(client, &Filter::new().address(FACTORY), 0, head(client).await?, told).await?;
        let named = made.into_iter().map(|(event, _)| event.newTokenAddress).find(|nft| ddo::names(name, *nft, chain));
        return named.ok_or_else(|| DataError::Ledger(format!("no asset of chain {chain} is {name}")));
    }
    let nft = name.parse::<Address>();
    let nft =
        nft.map_err(|_| DataError::Ledger(format!("want a DID (did:op:…) or the address of an NFT, got {name}")))?;
    let listed = ask(client, FACTORY, &IFactory::erc721ListCall { token: nft }).await?;
    if listed.is_zero() {
        return Err(DataError::Ledger(format!("{nft} is no asset of the market")));
    }
    Ok(nft)
}

/// The asset of consent that an NFT of the market says it sells; nothing if it names none, or somebody else's: whoever owns an NFT
/// writes what he likes there.
pub(super) async fn own_asset(client: &Client, nft: Address) -> Result<Option<(B256, Asset)>> {
    let link = ask(client, nft, &INft::getDataCall { key: LINK }).await?;
    if link.len() != 32 {
        return Ok(None);
    }
    let owner = ask(client, nft, &INft::standingCall {}).await?.owner;
    let asset = B256::from_slice(&link);
    match view(client, CONSENT, &assetOfCall { asset }).await {
        Ok((is, _)) => Ok((is.owner == owner).then_some((asset, is))),
        Err(ViewError::Reverted(_)) => Ok(None),
        Err(error) => Err(asked(error)),
    }
}

impl Found {
    /// What the ledger says of an NFT of the market.
    ///
    /// # Errors
    ///
    /// If it cannot be asked, or the NFT has no datatoken.
    pub async fn at(client: &Client, nft: Address) -> Result<Self> {
        let found = Self::any(client, nft).await?;
        match found.datatoken.is_zero() {
            true => Err(DataError::Ledger(format!("asset {nft} has no datatoken"))),
            false => Ok(found),
        }
    }

    /// The same of an NFT that may have no datatoken, so that nobody can order it.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked.
    pub async fn any(client: &Client, nft: Address) -> Result<Self> {
        let standing = ask(client, nft, &INft::standingCall {}).await?;
        let datatoken = ask(client, nft, &INft::getTokensListCall {}).await?.first().copied();
        let link = ask(client, nft, &INft::getDataCall { key: LINK }).await?;
        let hash = ask(client, nft, &INft::metaDataHashCall {}).await?;
        let asset = (link.len() == 32).then(|| B256::from_slice(&link));
        let price = match datatoken {
            Some(datatoken) => Self::price(client, datatoken).await?,
            None => None,
        };
        let datatoken = datatoken.unwrap_or_default();
        Ok(Self { nft, owner: standing.owner, state: standing.state, datatoken, price, asset, hash })
    }

    /// What is open: an exchange before a dispenser.
    async fn price(client: &Client, datatoken: Address) -> Result<Option<(Price, B256)>> {
        for exchange in ask(client, datatoken, &getFixedRatesCall {}).await? {
            if exchange.contractAddress != FIXED_RATE {
                continue;
            }
            let is = ask(client, FIXED_RATE, &IFixedRate::getExchangeCall { exchangeId: exchange.id }).await?;
            if is.active {
                return Ok(Some((Price::Fixed { token: is.baseToken, rate: is.fixedRate }, exchange.id)));
            }
        }
        if ask(client, datatoken, &getDispensersCall {}).await?.contains(&DISPENSER) {
            let is = ask(client, DISPENSER, &IDispenser::statusCall { datatoken }).await?;
            return Ok(is.active.then_some((Price::Free, B256::ZERO)));
        }
        Ok(None)
    }
}

/// A document that is on the ledger.
#[derive(Clone, Debug)]
pub struct Told {
    /// As its publisher wrote it.
    pub document: Vec<u8>,
    /// As it is sealed; nothing if it is public.
    pub sealed: Option<Sealed>,
}

/// The newest document of an NFT, as this reader may read it; nothing if it has none.
///
/// # Errors
///
/// If the ledger cannot be asked, the node does not keep the block any more, or the document is sealed to others or none.
pub async fn document(
    client: &Client,
    found: &Found,
    reader: Option<&ReadingSecret>,
    told: &(dyn Fn(u64, u64) + Sync),
) -> Result<Option<Told>> {
    if found.hash.is_zero() {
        return Ok(None);
    }
    let head = head(client).await?;
    let (mut last, mut page) = (head, PAGE);
    loop {
        let first = (last + 1).saturating_sub(page);
        told(head - last, head + 1);
        let filter = Filter::new().address(found.nft).from_block(first).to_block(last);
        let filter = filter.event_signature(vec![MetadataCreated::SIGNATURE_HASH, MetadataUpdated::SIGNATURE_HASH]);
        let logs = match client.call::<Vec<Log>>("eth_getLogs", (filter,)).await {
            Ok(logs) => logs,
            // Too much at once: how much is the node's own rule.
            Err(ClientError::Refused { .. }) if last > first => {
                page = (last - first).div_ceil(2);
                continue;
            }
            Err(error) => return Err(DataError::Ledger(error.to_string())),
        };
        for log in logs.iter().rev() {
            let carried = MetadataCreated::decode_log(&log.inner).map(|event| {
                let event = event.data;
                (event.flags, event.data, event.metaDataHash)
            });
            let carried = carried.or_else(|_| {
                MetadataUpdated::decode_log(&log.inner).map(|event| {
                    let event = event.data;
                    (event.flags, event.data, event.metaDataHash)
                })
            });
            if let Ok((flags, data, hash)) = carried
                && hash == found.hash
            {
                let identity = ddo::identity(found.nft, chain_id(client).await?);
                let told = Told::read(&flags, &data, hash, identity, reader);
                return Ok(Some(told.map_err(|error| DataError::Ledger(error.to_string()))?));
            }
        }
        if first == 0 {
            return Err(DataError::Ledger(format!(
                "no event of asset {} has the document with hash {}",
                found.nft, found.hash
            )));
        }
        (last, page) = (first - 1, min(2 * page, PAGE));
    }
}

impl Told {
    /// What an event carries, as a reader may read it.
    fn read(
        flags: &[u8],
        data: &[u8],
        hash: B256,
        identity: B256,
        reader: Option<&ReadingSecret>,
    ) -> std::result::Result<Self, CarriedError> {
        if !Flags::read(flags)?.sealed {
            return Ok(Self { document: ddo::opened(flags, data, hash)?.into_owned(), sealed: None });
        }
        let (sealed, reader) = Sealed::from_bytes(data).zip(reader).ok_or(CarriedError::Sealed)?;
        let document = sealed.open(identity, reader)?;
        let document = ddo::opened(&Flags::default().to_bytes(), &document, hash)?.into_owned();
        Ok(Self { document, sealed: Some(sealed) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::{abi::IFactory::deployERC721ContractCall, tests::OWNER},
        sale::node::node,
    };

    #[tokio::test]
    async fn what_says_which_asset_it_is_of_and_has_no_datatoken_is_found_and_not_to_be_ordered() {
        let asset = B256::repeat_byte(7);
        let (client, nft) = node(&[], move |ledger| {
            let deploy = deployERC721ContractCall {
                name: "Bare".into(),
                symbol: "BARE".into(),
                templateIndex: U256::ONE,
                additionalERC20Deployer: Address::ZERO,
                additionalMetaDataUpdater: Address::ZERO,
                tokenURI: String::new(),
                transferable: true,
                owner: OWNER,
            };
            let nft = ledger.send(OWNER, FACTORY, &deploy);
            ledger.send(OWNER, nft, &INft::setNewDataCall { key: LINK, value: asset.to_vec().into() });
            nft
        });
        let found = Found::any(&client, nft).await.unwrap();
        assert_eq!((found.owner, found.asset, found.datatoken), (OWNER, Some(asset), Address::ZERO));
        assert_eq!((found.price, found.hash), (None, B256::ZERO));
        let why = Found::at(&client, nft).await.unwrap_err().to_string();
        assert!(why.contains("has no datatoken"), "{why}");
    }
}
