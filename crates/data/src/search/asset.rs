//! All that is known of an asset.

use super::{
    document::{Reading, Summary, did_of, read, text},
    index::{Amount, Index, SearchError},
    query::State,
};
use crate::ddo::{self, Flags, did};
use alloy_primitives::{Address, B256, U256, hex};
use rusqlite::{OptionalExtension as _, Row, types::Type};
use serde::{Serialize, Serializer};
use serde_json::{Value, value::RawValue};

/// The most datatokens of an asset, and prices of a datatoken, that are told.
const MOST: i64 = 256;

/// Where on the ledger something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The block's number.
    pub number: u64,
    /// The block's time, in seconds since 1970.
    pub time: u64,
    /// The transaction's hash.
    pub transaction: B256,
}

/// At which price datatokens can be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Price {
    /// In parts of 10^18 of a base token, whatever its decimals; 0 from a dispenser.
    pub amount: U256,
    /// The base token; none for a dispenser.
    pub token: Option<Address>,
    /// The id of the exchange; none for a dispenser.
    pub exchange: Option<B256>,
    /// Whether they can be had now.
    pub active: bool,
    /// Who alone can have them, if not everybody.
    pub only: Option<Address>,
}

/// A datatoken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Datatoken {
    /// Its contract.
    pub address: Address,
    /// Its name.
    pub name: String,
    /// Its symbol.
    pub symbol: String,
    /// How often it was paid for an order.
    pub orders: u64,
    /// Where it can be had.
    pub prices: Vec<Price>,
}

/// A document as it was published. It is written into JSON as it is, and read when it is needed: read, it may take thirty times
/// the memory.
#[derive(Clone, Debug)]
pub struct Document(Box<RawValue>);

impl Document {
    /// Its text.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// What it says.
    pub fn read(&self) -> Value {
        serde_json::from_str(self.text()).unwrap_or_default()
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Asset {
    /// Takes what a sealed document says, which whoever may read it has opened.
    ///
    /// # Errors
    ///
    /// Why it cannot be used.
    pub fn open(&mut self, chain_id: u64, document: &[u8]) -> Result<(), String> {
        let opened = read(self.nft, chain_id, &[], document, ddo::hash(document));
        let Reading::Read(text, summary) = opened else {
            return Err(if let Reading::Bad(why) = opened { why } else { "it is sealed twice".to_owned() });
        };
        let document = Document(RawValue::from_string(text).map_err(|error| error.to_string())?);
        if let Some(did) = did_of(&document.read()) {
            did.clone_into(&mut self.id);
        }
        self.metadata = Metadata::Readable { summary, document };
        Ok(())
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// What an asset's publisher says of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "metadata")]
pub enum Metadata {
    /// Nothing was published yet.
    #[default]
    None,
    /// A document.
    Readable {
        /// What a search uses of it.
        summary: Box<Summary>,
        /// As it was published (DDO).
        document: Document,
    },
    /// A document that is encrypted.
    Sealed,
    /// A document that cannot be used.
    Bad {
        /// What is wrong with it.
        why: String,
    },
}

/// How metadata were published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Publication {
    /// The account that did.
    pub by: Address,
    /// Where.
    pub place: Place,
    /// The hash of the document.
    pub hash: B256,
    /// Who decrypts it, if it is encrypted.
    pub decryptor: String,
    /// Who signed the hash.
    pub validators: Vec<Address>,
}

/// An asset.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asset {
    /// Its decentralized identifier, as its document writes it; that of version 4 if there is none that can be read.
    #[serde(rename = "did")]
    pub id: String,
    /// That of version 4, whatever its document says.
    #[serde(skip)]
    pub did: String,
    /// Its contract.
    pub nft: Address,
    /// Whose it is.
    pub owner: Address,
    /// Who made it.
    pub creator: Address,
    /// Its token's name.
    pub token_name: String,
    /// Its token's symbol.
    pub symbol: String,
    /// Its token's URI.
    pub uri: String,
    /// What its publisher says about its use.
    pub state: State,
    /// Where it was made.
    pub created: Place,
    /// How its metadata were published.
    pub published: Option<Publication>,
    /// Those.
    #[serde(flatten)]
    pub metadata: Metadata,
    /// How often it was ordered.
    pub orders: u64,
    /// How it is sold.
    pub datatokens: Vec<Datatoken>,
}

fn address(row: &Row<'_>, at: usize) -> rusqlite::Result<Address> {
    row.get::<_, [u8; 20]>(at).map(Into::into)
}

fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(i64::cast_unsigned)
}

fn place(row: &Row<'_>, at: usize) -> rusqlite::Result<Place> {
    let transaction = row.get::<_, [u8; 32]>(at + 2)?.into();
    Ok(Place { number: number(row, at)?, time: number(row, at + 1)?, transaction })
}

impl Asset {
    /// What it is called: as its document says, else as its token is called.
    pub fn name(&self) -> &str {
        match &self.metadata {
            Metadata::Readable { summary, .. } if !summary.name.is_empty() => &summary.name,
            _ => &self.token_name,
        }
    }

    /// The lowest price at which everybody can have it now.
    pub fn price(&self) -> Option<&Price> {
        let prices = self.datatokens.iter().flat_map(|token| &token.prices);
        prices.filter(|price| price.active && price.only.is_none()).min_by_key(|price| price.amount)
    }
}

impl Index {
    /// The asset of this contract.
    ///
    /// # Errors
    ///
    /// [`SearchError::Damaged`], [`SearchError::Storage`].
    pub fn asset(&self, nft: Address) -> Result<Option<Asset>, SearchError> {
        self.one("SELECT id FROM assets WHERE nft = ?", &nft.0.0)
    }

    /// The asset with this DID, as documents of any version write it.
    ///
    /// # Errors
    ///
    /// As [`asset`](Self::asset).
    pub fn asset_by_did(&self, did: &str) -> Result<Option<Asset>, SearchError> {
        let hash = ["did:op:", "did:ope:"].iter().find_map(|method| did.strip_prefix(method));
        let mut bytes = [0; 32];
        match hash.map(|hash| hex::decode_to_slice(hash, &mut bytes)) {
            Some(Ok(())) => self.one("SELECT id FROM assets WHERE did = ?", &bytes),
            _ => Ok(None),
        }
    }

    /// The asset that a datatoken is of.
    ///
    /// # Errors
    ///
    /// As [`asset`](Self::asset).
    pub fn asset_by_datatoken(&self, datatoken: Address) -> Result<Option<Asset>, SearchError> {
        self.one("SELECT asset FROM datatokens WHERE address = ?", &datatoken.0.0)
    }

    /// The contracts of the assets that this account owns now, in whatever state, with the blocks in which they were made: the oldest
    /// first.
    ///
    /// # Errors
    ///
    /// As [`asset`](Self::asset).
    pub fn owned_by(&self, owner: Address) -> Result<Vec<(Address, u64)>, SearchError> {
        let mut statement =
            self.connection.prepare_cached("SELECT nft, number FROM assets WHERE owner = ? ORDER BY id")?;
        let made = |row: &Row<'_>| Ok((address(row, 0)?, number(row, 1)?));
        Ok(statement.query_map([owner.0.0], made)?.collect::<Result<_, _>>()?)
    }

    fn one(&self, sql: &str, key: &[u8]) -> Result<Option<Asset>, SearchError> {
        let id = self.connection.prepare_cached(sql)?.query_one([key], |row| row.get(0)).optional()?;
        id.map(|id| self.asset_of(id)).transpose()
    }

    /// The asset with this id.
    pub(super) fn asset_of(&self, id: i64) -> Result<Asset, SearchError> {
        let sql = "SELECT nft, owner, creator, name, symbol, uri, assets.number, assets.time, assets.tx, state, orders,
                   by, decryptor, hash, metadata.number, metadata.time, metadata.tx, sealed, why, packed, document
                   FROM assets JOIN standing ON standing.id = assets.id LEFT JOIN metadata ON asset = assets.id
                   WHERE assets.id = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let read = |row: &Row<'_>| {
            let nft = address(row, 0)?;
            let state = usize::from(row.get::<_, u8>(9)?);
            let did = did(nft, self.chain.id);
            let mut asset = Asset {
                id: did.clone(),
                did,
                nft,
                owner: address(row, 1)?,
                creator: address(row, 2)?,
                token_name: row.get(3)?,
                symbol: row.get(4)?,
                uri: row.get(5)?,
                state: State::ALL.get(state).copied().unwrap_or(State::Revoked),
                created: place(row, 6)?,
                published: None,
                metadata: Metadata::None,
                orders: number(row, 10)?,
                datatokens: Vec::new(),
            };
            if row.get::<_, Option<[u8; 20]>>(11)?.is_some() {
                let hash = row.get::<_, [u8; 32]>(13)?.into();
                asset.published = Some(Publication {
                    by: address(row, 11)?,
                    decryptor: row.get(12)?,
                    hash,
                    place: place(row, 14)?,
                    validators: Vec::new(),
                });
                asset.metadata = match (row.get(17)?, row.get::<_, Option<String>>(18)?) {
                    (true, _) => Metadata::Sealed,
                    (false, Some(why)) => Metadata::Bad { why },
                    (false, None) => {
                        let flags = Flags { packed: row.get(19)?, sealed: false };
                        let text = text(&flags.to_bytes(), &row.get::<_, Vec<u8>>(20)?, hash).ok();
                        let document = text.and_then(|text| RawValue::from_string(text).ok()).map(Document);
                        let document = document.ok_or_else(|| {
                            let why = "a document cannot be read any more".into();
                            rusqlite::Error::FromSqlConversionFailure(20, Type::Blob, why)
                        })?;
                        let said = document.read();
                        if let Some(did) = did_of(&said) {
                            did.clone_into(&mut asset.id);
                        }
                        Metadata::Readable { summary: Box::new(Summary::of(&said)), document }
                    }
                };
            }
            Ok(asset)
        };
        let mut asset = statement.query_one([id], read)?;
        if let Some(published) = &mut asset.published {
            let sql = "SELECT validator FROM validators WHERE asset = ? LIMIT ?";
            let mut statement = self.connection.prepare_cached(sql)?;
            published.validators = statement.query_map([id, MOST], |row| address(row, 0))?.collect::<Result<_, _>>()?;
        }
        let sql = "SELECT id, address, name, symbol, orders FROM datatokens WHERE asset = ? ORDER BY id LIMIT ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([id, MOST])?;
        while let Some(row) = rows.next()? {
            asset.datatokens.push(Datatoken {
                address: address(row, 1)?,
                name: row.get(2)?,
                symbol: row.get(3)?,
                orders: number(row, 4)?,
                prices: self.prices(id, row.get(0)?)?,
            });
        }
        Ok(asset)
    }

    fn prices(&self, asset: i64, datatoken: i64) -> Result<Vec<Price>, SearchError> {
        let sql = "SELECT amount, token, exchange, active, swapper FROM prices
                   WHERE asset = ? AND datatoken = ? ORDER BY id LIMIT ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let price = |row: &Row<'_>| {
            Ok(Price {
                amount: row.get::<_, Amount>(0)?.0,
                token: row.get::<_, Option<[u8; 20]>>(1)?.map(Into::into),
                exchange: row.get::<_, Option<[u8; 32]>>(2)?.map(Into::into),
                active: row.get(3)?,
                only: row.get::<_, Option<[u8; 20]>>(4)?.map(Into::into),
            })
        };
        Ok(statement.query_map([asset, datatoken, MOST], price)?.collect::<Result<_, _>>()?)
    }
}
