//! Events of the market, as a search needs them.

use crate::market::abi::{
    DISPENSER, FACTORY, FIXED_RATE,
    IDatatoken::OrderStarted,
    IDispenser::{DispenserActivated, DispenserAllowedSwapperChanged, DispenserCreated, DispenserDeactivated},
    IFactory::{NFTCreated, TokenCreated},
    IFixedRate::{
        ExchangeActivated, ExchangeAllowedSwapperChanged, ExchangeCreated, ExchangeDeactivated, ExchangeRateChanged,
    },
    INft::{MetadataCreated, MetadataState, MetadataUpdated, MetadataValidated, TokenURIUpdate},
};
use alloy_primitives::{Address, B256, Log, U256};
use alloy_sol_types::SolEvent;
use stoa_contract::interfaces::IERC721::Transfer;

/// The contracts of which there is one, whose events are asked for by their address.
pub const CONTRACTS: [Address; 3] = [FACTORY, FIXED_RATE, DISPENSER];

/// The events of those.
pub const CONTRACT_TOPICS: [B256; 11] = [
    NFTCreated::SIGNATURE_HASH,
    TokenCreated::SIGNATURE_HASH,
    ExchangeCreated::SIGNATURE_HASH,
    ExchangeRateChanged::SIGNATURE_HASH,
    ExchangeActivated::SIGNATURE_HASH,
    ExchangeDeactivated::SIGNATURE_HASH,
    ExchangeAllowedSwapperChanged::SIGNATURE_HASH,
    DispenserCreated::SIGNATURE_HASH,
    DispenserActivated::SIGNATURE_HASH,
    DispenserDeactivated::SIGNATURE_HASH,
    DispenserAllowedSwapperChanged::SIGNATURE_HASH,
];

/// The events of assets and datatokens, of which there may be millions: they are asked for whoever emitted them.
pub const INSTANCE_TOPICS: [B256; 6] = [
    MetadataCreated::SIGNATURE_HASH,
    MetadataUpdated::SIGNATURE_HASH,
    MetadataState::SIGNATURE_HASH,
    MetadataValidated::SIGNATURE_HASH,
    TokenURIUpdate::SIGNATURE_HASH,
    OrderStarted::SIGNATURE_HASH,
];

/// The event that an asset changes hands, and the number of its one token, which keeps transfers of other tokens out.
pub const TRANSFER: (B256, B256) = (Transfer::SIGNATURE_HASH, B256::new(U256::ONE.to_be_bytes::<32>()));

/// An event, and where it happened.
#[derive(Clone, Debug)]
pub struct Logged {
    /// The block's number.
    pub number: u64,
    /// The block's time, in seconds since 1970.
    pub time: u64,
    /// The transaction's hash.
    pub transaction: B256,
    /// What happened.
    pub log: Log,
}

/// What happened to a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Priced {
    /// It costs so much from now on, in parts of 10^18 of a base token.
    Costs(U256),
    /// It can be had, or no longer.
    Active(bool),
    /// Who alone can have it; zero for all.
    Only(Address),
}

/// What happened.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Asset(NFTCreated),
    Datatoken(TokenCreated),
    Exchange(ExchangeCreated),
    ExchangePriced(B256, Priced),
    Dispenser(DispenserCreated),
    DispenserPriced(Address, Priced),
    Metadata(MetadataUpdated),
    State(MetadataState),
    Validated(MetadataValidated),
    Uri(TokenURIUpdate),
    Transferred(Transfer),
    Ordered,
}

impl Event {
    /// What a log says, if it is one that a search needs and comes from where such events come from. Whether an asset or a
    /// datatoken is one of the factory's is for the index to say.
    pub(super) fn of(log: &Log) -> Option<Self> {
        fn decoded<E: SolEvent>(log: &Log) -> Option<E> {
            E::decode_log(log).ok().map(|log| log.data)
        }
        let topic = *log.topics().first()?;
        match log.address {
            FACTORY => match topic {
                NFTCreated::SIGNATURE_HASH => decoded(log).map(Self::Asset),
                TokenCreated::SIGNATURE_HASH => decoded(log).map(Self::Datatoken),
                _ => None,
            },
            FIXED_RATE => {
                let priced = |id, what| Some(Self::ExchangePriced(id, what));
                match topic {
                    ExchangeCreated::SIGNATURE_HASH => decoded(log).map(Self::Exchange),
                    ExchangeRateChanged::SIGNATURE_HASH => {
                        let event: ExchangeRateChanged = decoded(log)?;
                        priced(event.exchangeId, Priced::Costs(event.newRate))
                    }
                    ExchangeActivated::SIGNATURE_HASH => {
                        priced(decoded::<ExchangeActivated>(log)?.exchangeId, Priced::Active(true))
                    }
                    ExchangeDeactivated::SIGNATURE_HASH => {
                        priced(decoded::<ExchangeDeactivated>(log)?.exchangeId, Priced::Active(false))
                    }
                    ExchangeAllowedSwapperChanged::SIGNATURE_HASH => {
                        let event: ExchangeAllowedSwapperChanged = decoded(log)?;
                        priced(event.exchangeId, Priced::Only(event.allowedSwapper))
                    }
                    _ => None,
                }
            }
            DISPENSER => {
                let priced = |token, what| Some(Self::DispenserPriced(token, what));
                match topic {
                    DispenserCreated::SIGNATURE_HASH => decoded(log).map(Self::Dispenser),
                    DispenserActivated::SIGNATURE_HASH => {
                        priced(decoded::<DispenserActivated>(log)?.datatokenAddress, Priced::Active(true))
                    }
                    DispenserDeactivated::SIGNATURE_HASH => {
                        priced(decoded::<DispenserDeactivated>(log)?.datatokenAddress, Priced::Active(false))
                    }
                    DispenserAllowedSwapperChanged::SIGNATURE_HASH => {
                        let event: DispenserAllowedSwapperChanged = decoded(log)?;
                        priced(event.datatoken, Priced::Only(event.newAllowedSwapper))
                    }
                    _ => None,
                }
            }
            _ => match topic {
                // The first metadata and later ones say the same.
                MetadataCreated::SIGNATURE_HASH => {
                    let MetadataCreated {
                        createdBy,
                        state,
                        decryptorUrl,
                        flags,
                        data,
                        metaDataHash,
                        timestamp,
                        blockNumber,
                    } = decoded(log)?;
                    let event = MetadataUpdated {
                        updatedBy: createdBy,
                        state,
                        decryptorUrl,
                        flags,
                        data,
                        metaDataHash,
                        timestamp,
                        blockNumber,
                    };
                    Some(Self::Metadata(event))
                }
                MetadataUpdated::SIGNATURE_HASH => decoded(log).map(Self::Metadata),
                MetadataState::SIGNATURE_HASH => decoded(log).map(Self::State),
                MetadataValidated::SIGNATURE_HASH => decoded(log).map(Self::Validated),
                TokenURIUpdate::SIGNATURE_HASH => decoded(log).map(Self::Uri),
                OrderStarted::SIGNATURE_HASH => decoded::<OrderStarted>(log).map(|_| Self::Ordered),
                Transfer::SIGNATURE_HASH => {
                    let event: Transfer = decoded(log)?;
                    (event.tokenId == U256::ONE).then_some(Self::Transferred(event))
                }
                _ => None,
            },
        }
    }
}
