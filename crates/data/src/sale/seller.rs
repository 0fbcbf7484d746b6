//! What a seller does. Every step is looked for on the ledger before it is done, so that whoever was cut off goes on.

use super::{
    Access, DERIVED, LINK, ONE, Price, REVOKED, Result, SERVICE, Sample, ask, buyer::for_orders, event, find,
    find::events, find::head, sells, sent, validator,
};
use crate::{
    abi::{
        COMPUTE, CONSENT, CREDENTIAL,
        IConsent::{Granted, Terms, assetOfCall, grantCall, grantOfCall, grantsOfCall},
        READ,
    },
    client::{DataError, reader_key},
    ddo::{self, About, Answers, Ddo, Flags, Place, Sealed, Use},
    jobs::COIN,
    look::Looked,
    market::abi::{
        DISPENSER, DatatokenData, DispenserData, FACTORY, FIXED_RATE, FixedRateData,
        IDatatoken::{NewDispenser, NewFixedRate, getERC721AddressCall, serviceTimeoutCall, setServiceTimeoutCall},
        IFactory::{
            NFTCreated, TokenCreated, createNftWithErc20WithDispenserCall, createNftWithErc20WithFixedRateCall,
            erc20ListCall,
        },
        IFixedRate::{collectBTCall, setRateCall},
        INft::{
            getDataCall, metaDataHashCall, setAccessCall, setMetaDataCall, setMetaDataStateCall, setNewDataCall,
            standingCall,
        },
        NftData,
    },
    reading::Reading,
};
use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::{Filter, TransactionReceipt};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt::Display, io};
use stoa_client::Wallet;
use stoa_contract::interfaces::IERC20Metadata;

/// Characters of a token's name that are the asset's.
const MOST_NAME: usize = 64;

/// What the tokens of an asset are called that says only to some what it is.
const SEALED_NAME: &str = "Sealed asset";

/// Grants of an asset that are looked through for one that is there already.
const MOST_GRANTS: u64 = 1_000;

/// What a sale is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selling {
    /// Reading or computing.
    pub used: Use,
    /// For what.
    pub price: Price,
    /// For how many seconds an order stands; 0 for ever.
    pub timeout: u64,
    /// For what whoever buys may use it: a term of the Data Privacy Vocabulary.
    pub purpose: String,
    /// Who reads what it says of itself, beside its owner; everybody if this is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readers: Option<Vec<Address>>,
    /// Who may order: accounts, or lists of them; everybody if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Address>,
    /// Who may not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Address>,
    /// What everybody sees of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
}

/// Who may read a document.
#[derive(Clone, Debug)]
pub enum Audience {
    /// Everybody.
    Public,
    /// Its owner and these.
    To(Vec<Address>),
    /// Who could read the one before.
    As(Sealed),
}

/// An asset at the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The NFT.
    pub nft: Address,
    /// What an order costs one of.
    pub datatoken: Address,
}

/// What is about to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// A grant.
    Grant(B256),
    /// All grants of an asset of consent.
    All(B256),
}

/// A sale that has begun: what is written down, so that it can be gone on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The asset of consent.
    pub asset: B256,
    /// What the sale is.
    pub selling: Selling,
    /// The node that computes, and the hash of its rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computes: Option<(B256, B256)>,
    /// The block from which on its NFT may have been made.
    pub from: u64,
    /// Its NFT, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Listed>,
}

/// Somebody who sells.
pub struct Seller {
    wallet: Wallet,
    /// Nodes that look at his documents before they are published.
    validators: Vec<String>,
}

impl Seller {
    /// The wallet's owner.
    pub const fn new(wallet: Wallet) -> Self {
        Self { wallet, validators: Vec::new() }
    }

    /// The same, whose documents are looked at before they are published, by nodes at these addresses.
    #[must_use]
    pub fn validated_by(self, validators: Vec<String>) -> Self {
        Self { validators, ..self }
    }

    /// A sale of an asset of consent, before anything of it is on the ledger.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked.
    pub async fn begin(&self, asset: B256, selling: Selling, computes: Option<(B256, B256)>) -> Result<Begun> {
        let from = head(self.wallet.client()).await?;
        Ok(Begun { asset, selling, computes, from, listed: None })
    }

    /// Does what is missing of a sale; `save` writes down how far it has come, `told` hears what is done. The document that was
    /// published, and the grant of those who buy.
    ///
    /// # Errors
    ///
    /// If the ledger refuses, the document would not be as it should, or nothing can be written down. What was done stays done.
    pub async fn go_on(
        &self,
        begun: &mut Begun,
        answers: &Answers,
        about: About,
        now: u64,
        save: &mut (dyn FnMut(&Begun) -> io::Result<()> + Send),
        told: &(dyn Fn(&str) + Sync),
    ) -> Result<(Ddo, B256)> {
        let chain_id = self.wallet.chain_id();
        let (node, rules) = begun.computes.unzip();
        let about = About { asset: begun.asset, node, rules, ..about };
        let timeout = begun.selling.timeout;
        if begun.listed.is_none() {
            told("making NFT, datatoken and price");
            let listed = match self.made_before(begun).await? {
                Some(listed) => listed,
                None => self.create(answers, begun).await?,
            };
            begun.listed = Some(listed);
            save(begun).map_err(|error| DataError::Ledger(format!("what was done cannot be written down: {error}")))?;
        }
        let listed = begun.listed.ok_or(DataError::Receipt)?;
        let client = self.wallet.client();
        let service = U256::from(SERVICE);
        if ask(client, listed.datatoken, &serviceTimeoutCall { serviceIndex: service }).await? != U256::from(timeout) {
            told("saying how long orders stand");
            let call = setServiceTimeoutCall { serviceIndex: service, timeout: U256::from(timeout) };
            self.wallet.call(listed.datatoken, &call).await.map_err(sent)?;
        }
        let mut access = Access::of(client, listed.nft).await?;
        let Selling { allow, deny, .. } = &begun.selling;
        if !access.is(allow, deny) {
            told("saying who may order");
            access = self.admit(listed.nft, allow, deny).await?;
        }
        told("allowing it to whoever has an order");
        let grant = self.grant(begun, listed.datatoken).await?;
        if ask(client, listed.nft, &getDataCall { key: LINK }).await?[..] != begun.asset[..] {
            told("linking NFT and asset");
            let call = setNewDataCall { key: LINK, value: begun.asset.to_vec().into() };
            self.wallet.call(listed.nft, &call).await.map_err(sent)?;
        }
        let jobs: Vec<u8> = about.derived.iter().flat_map(|derived| derived.job.0).collect();
        if ask(client, listed.nft, &getDataCall { key: DERIVED }).await?[..] != jobs[..] {
            told("recording what it was derived from");
            let call = setNewDataCall { key: DERIVED, value: jobs.into() };
            self.wallet.call(listed.nft, &call).await.map_err(sent)?;
        }
        let place = Place { chain_id, nft: listed.nft, datatoken: listed.datatoken, timeout, now };
        let mut ddo = Ddo::new(answers, &about, begun.selling.used, place);
        ddo.credentials = access.credentials(chain_id);
        if let Some(sample) = &begun.selling.sample {
            sample.put(&mut ddo);
        }
        told("publishing the document");
        let audience = begun.selling.readers.clone().map_or(Audience::Public, Audience::To);
        let ddo = self.describe(listed.nft, ddo, 0, &audience).await?;
        Ok((ddo, grant))
    }

    /// What an asset's NFT is called at: it tells which asset it was made for.
    fn uri(asset: B256) -> String {
        format!("stoa:{asset}")
    }

    /// An NFT that this account made for this sale, and was cut off before that could be written down. What others make for it, with
    /// datatokens that they mint, is none of its own, whatever it is called at.
    async fn made_before(&self, begun: &Begun) -> Result<Option<Listed>> {
        let (client, own) = (self.wallet.client(), self.wallet.address().into_word());
        let filter = Filter::new().address(FACTORY).topic2(own).topic3(own);
        let made = events::<NFTCreated>(client, &filter, begun.from, head(client).await?, &|_, _| ()).await?;
        let own = made.into_iter().find(|(event, _)| event.tokenURI == Self::uri(begun.asset));
        let Some((event, _)) = own else { return Ok(None) };
        let found = find::Found::at(client, event.newTokenAddress).await?;
        Ok(Some(Listed { nft: found.nft, datatoken: found.datatoken }))
    }

    async fn create(&self, answers: &Answers, begun: &Begun) -> Result<Listed> {
        let (owner, nobody) = (self.wallet.address(), Address::ZERO);
        let name = if begun.selling.readers.is_some() { SEALED_NAME } else { &answers.name };
        let name: String = name.chars().take(MOST_NAME).collect();
        let nft = NftData {
            name: name.clone(),
            symbol: "DATA".into(),
            templateIndex: U256::ONE,
            tokenURI: Self::uri(begun.asset),
            transferable: true,
            owner,
        };
        let datatoken = DatatokenData {
            templateIndex: U256::ONE,
            strings: vec![name, "USE".into()],
            addresses: vec![owner, nobody, nobody, nobody],
            uints: vec![U256::MAX, U256::ZERO],
            bytess: Vec::new(),
        };
        let receipt = match begun.selling.price {
            Price::Free => {
                let dispenser = free();
                self.wallet.call(FACTORY, &createNftWithErc20WithDispenserCall { nft, datatoken, dispenser }).await
            }
            Price::Fixed { token, rate } => {
                let decimals = ask(self.wallet.client(), token, &IERC20Metadata::decimalsCall {}).await?;
                let fixed = FixedRateData {
                    fixedPriceAddress: FIXED_RATE,
                    addresses: vec![token, owner, owner, nobody],
                    uints: vec![U256::from(decimals), U256::from(18), rate, U256::ZERO, U256::ONE],
                };
                let call = createNftWithErc20WithFixedRateCall { nft, datatoken, fixedRate: fixed };
                self.wallet.call(FACTORY, &call).await
            }
        };
        let receipt = receipt.map_err(sent)?;
        let nft = event::<NFTCreated>(&receipt, FACTORY)?.newTokenAddress;
        let datatoken = event::<TokenCreated>(&receipt, FACTORY)?.newTokenAddress;
        priced(&receipt, datatoken)?;
        Ok(Listed { nft, datatoken })
    }

    /// The grant to whoever has an order, made if there is none that stands.
    async fn grant(&self, begun: &Begun, datatoken: Address) -> Result<B256> {
        let uses = match begun.selling.used {
            Use::Access => READ,
            Use::Compute => COMPUTE,
        };
        let credential = U256::from(u64::from(SERVICE) + 1).into();
        let (asset, client) = (begun.asset, self.wallet.client());
        let page = grantsOfCall { asset, from: U256::ZERO, most: U256::from(MOST_GRANTS) };
        for id in ask(client, CONSENT, &page).await? {
            let grant = ask(client, CONSENT, &grantOfCall { grant: id }).await?;
            let Terms { kind, who, credential: for_which, uses: how, purpose, .. } = &grant.terms;
            let same = (*kind, *who, *for_which, *how) == (CREDENTIAL, datatoken, credential, uses);
            if same && *purpose == begun.selling.purpose && grant.revoked == 0 {
                return Ok(id);
            }
        }
        let terms = Terms {
            kind: CREDENTIAL,
            who: datatoken,
            credential,
            purpose: begun.selling.purpose.clone(),
            uses,
            algorithm: B256::ZERO,
            until: 0,
            limit: 0,
            half: B256::ZERO,
        };
        let granted: Granted = event(&self.wallet.call(CONSENT, &grantCall { asset, terms }).await?, CONSENT)?;
        Ok(granted.grant)
    }

    /// Publishes a document, unless it is what the NFT says already. As it was published: a sealed one has a salt.
    ///
    /// # Errors
    ///
    /// If it is not as it should be, somebody who is to read it has announced no key, or the ledger refuses.
    pub async fn describe(&self, nft: Address, mut ddo: Ddo, state: u8, to: &Audience) -> Result<Ddo> {
        fits(&ddo)?;
        match to {
            Audience::Public => ddo.unsalted(),
            Audience::To(_) | Audience::As(_) => ddo.salt(),
        }
        let ledger = |error: &dyn Display| DataError::Ledger(error.to_string());
        let bytes = ddo.to_bytes().map_err(|error| ledger(&error))?;
        let (hash, identity) = (ddo::hash(&bytes), ddo::identity(nft, self.wallet.chain_id()));
        let own = || Reading::of(self.wallet.signer(), self.wallet.chain_id());
        let (sealed, data) = match to {
            Audience::Public if ask(self.wallet.client(), nft, &metaDataHashCall {}).await? == hash => return Ok(ddo),
            Audience::Public => (false, bytes),
            Audience::To(readers) => {
                let mut keys = vec![own()?.key];
                for reader in readers.iter().filter(|reader| **reader != self.wallet.address()) {
                    keys.push(reader_key(&self.wallet, *reader).await?);
                }
                (true, Sealed::seal(identity, &bytes, &keys).map_err(|error| ledger(&error))?.to_bytes())
            }
            Audience::As(before) => {
                let sealed = before.again(identity, &bytes, &own()?.secret);
                (true, sealed.map_err(|error| ledger(&error))?.to_bytes())
            }
        };
        if sealed && !self.validators.is_empty() {
            let why = "a sealed document is for its readers alone: no validator can look at it";
            return Err(DataError::Ledger(why.into()));
        }
        let mut proofs = Vec::new();
        for url in &self.validators {
            proofs.push(validator::validated(url, &data, hash).await?);
        }
        let call = setMetaDataCall {
            state,
            decryptorUrl: String::new(),
            decryptorAddress: String::new(),
            flags: Flags { packed: false, sealed }.to_bytes().into(),
            data: data.into(),
            dataHash: hash,
            proofs,
        };
        self.wallet.call(nft, &call).await.map_err(sent)?;
        Ok(ddo)
    }

    /// Says who may order an asset, in place of what was said before: accounts or lists, everybody if none is allowed, and none of those who
    /// are denied. As the ledger has it then.
    ///
    /// # Errors
    ///
    /// If the ledger refuses.
    pub async fn admit(&self, nft: Address, allow: &[Address], deny: &[Address]) -> Result<Access> {
        let call = setAccessCall { allow: allow.to_vec(), deny: deny.to_vec() };
        self.wallet.call(nft, &call).await.map_err(sent)?;
        Access::of(self.wallet.client(), nft).await
    }

    /// Says in which state an asset is.
    ///
    /// # Errors
    ///
    /// If the ledger refuses.
    pub async fn set_state(&self, nft: Address, state: u8) -> Result<()> {
        self.wallet.call(nft, &setMetaDataStateCall { state }).await.map(drop).map_err(sent)
    }

    /// Revokes at the market what nobody who orders could use once this has ended: no order is taken any more, and none stands. To be done
    /// before, so that nobody pays in between for what he is not given. The NFTs.
    ///
    /// # Errors
    ///
    /// If there is no such grant or asset, or the ledger refuses.
    pub async fn close(&self, ends: Ends) -> Result<Vec<Address>> {
        let (client, account) = (self.wallet.client(), self.wallet.address());
        let asset = match ends {
            Ends::All(asset) => asset,
            Ends::Grant(grant) => ask(client, CONSENT, &grantOfCall { grant }).await?.asset,
        };
        let mut closed = Vec::new();
        // Whoever a grant is for may give it back; the sale is its owner's.
        if ask(client, CONSENT, &assetOfCall { asset }).await?.owner != account {
            return Ok(closed);
        }
        // The datatokens that were sold for it, and whether an order of one opens something still.
        let mut sold = BTreeMap::<Address, bool>::new();
        for (grant, is, stands) in for_orders(client, asset, u64::MAX).await? {
            let stays = stands && ends != Ends::All(asset) && ends != Ends::Grant(grant);
            *sold.entry(is.terms.who).or_default() |= stays;
        }
        for (token, _) in sold.into_iter().filter(|(_, opens)| !opens) {
            if !ask(client, FACTORY, &erc20ListCall { token }).await? {
                continue;
            }
            let nft = ask(client, token, &getERC721AddressCall {}).await?;
            let standing = ask(client, nft, &standingCall {}).await?;
            let link = ask(client, nft, &getDataCall { key: LINK }).await?;
            if standing.owner == account && sells(standing.state) && link[..] == asset[..] {
                self.set_state(nft, REVOKED).await?;
                closed.push(nft);
            }
        }
        Ok(closed)
    }

    /// Says what a datatoken costs at an exchange from now on.
    ///
    /// # Errors
    ///
    /// If the ledger refuses.
    pub async fn set_rate(&self, exchange: B256, rate: U256) -> Result<()> {
        let call = setRateCall { exchangeId: exchange, newRate: rate };
        self.wallet.call(FIXED_RATE, &call).await.map(drop).map_err(sent)
    }

    /// Has an exchange pay out what sales have brought.
    ///
    /// # Errors
    ///
    /// If the ledger refuses.
    pub async fn collect(&self, exchange: B256, amount: U256) -> Result<()> {
        let call = collectBTCall { exchangeId: exchange, amount };
        self.wallet.call(FIXED_RATE, &call).await.map(drop).map_err(sent)
    }
}

impl Price {
    /// So much of the chain's coin.
    pub const fn coins(rate: U256) -> Self {
        Self::Fixed { token: COIN, rate }
    }
}

/// Whether a document can be made of this: what would be refused at the end is refused before anything is sent.
///
/// # Errors
///
/// Which fields are not as they should be.
pub fn check(answers: &Answers, looked: &Looked, used: Use) -> Result<()> {
    let nowhere = Place { chain_id: 1, nft: Address::ZERO, datatoken: Address::ZERO, timeout: 0, now: 0 };
    fits(&Ddo::new(answers, &About::new(looked, B256::ZERO), used, nowhere))
}

/// What gives datatokens away: one to whoever has less than one. Somebody else may have given him a part of one, which must not keep him
/// from having a whole one.
fn free() -> DispenserData {
    DispenserData {
        dispenserAddress: DISPENSER,
        maxTokens: ONE,
        maxBalance: ONE + ONE - U256::ONE,
        withMint: true,
        allowedSwapper: Address::ZERO,
    }
}

/// Whether the receipt says that the datatoken has its price.
fn priced(receipt: &TransactionReceipt, datatoken: Address) -> Result<()> {
    let fixed = event::<NewFixedRate>(receipt, datatoken).is_ok();
    if fixed || event::<NewDispenser>(receipt, datatoken).is_ok() { Ok(()) } else { Err(DataError::Receipt) }
}

/// Whether a document is as it should be.
fn fits(ddo: &Ddo) -> Result<()> {
    match &ddo.check()[..] {
        [] => Ok(()),
        faults => {
            let said: Vec<_> = faults.iter().map(ToString::to_string).collect();
            Err(DataError::Ledger(format!("the document cannot be published: {}", said.join("; "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::{
            abi::IDispenser::dispenseCall,
            tests::{OWNER, datatoken_data, nft_data, rate_data, whole},
        },
        sale::node::node,
    };
    use alloy_signer_local::PrivateKeySigner;
    use stoa_contract::{coin, interfaces::IERC20};

    #[test]
    fn nobody_keeps_another_from_having_what_is_given_away_by_giving_him_a_part_of_it() {
        let (stranger, victim) = (Address::repeat_byte(0xb1), Address::repeat_byte(0xb2));
        let (_, has) = node(&[], move |ledger| {
            let call =
                createNftWithErc20WithDispenserCall { nft: nft_data(), datatoken: datatoken_data(), dispenser: free() };
            let datatoken = ledger.send(OWNER, FACTORY, &call).erc20Address;
            // However little it lacks, as any client asks for it: a whole one.
            for (from, amount) in [(stranger, U256::ONE), (stranger, ONE - U256::from(2)), (victim, ONE)] {
                ledger.send(from, DISPENSER, &dispenseCall { datatoken, amount, destination: victim });
            }
            ledger.send(stranger, datatoken, &IERC20::balanceOfCall { account: victim })
        });
        assert_eq!(has, ONE + ONE - U256::ONE);
    }

    #[tokio::test]
    async fn a_sale_does_not_go_on_with_what_somebody_else_has_made_for_it() {
        let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap();
        let (owner, thief, asset) = (signer.address(), Address::repeat_byte(0xb1), B256::repeat_byte(5));
        let (client, made) = node(&[], move |ledger| {
            [thief, owner].map(|from| {
                let nft = NftData { owner, tokenURI: Seller::uri(asset), ..nft_data() };
                let fixed = rate_data(coin::ADDRESS, 18, whole(2), 0, true);
                let call = createNftWithErc20WithFixedRateCall { nft, datatoken: datatoken_data(), fixedRate: fixed };
                ledger.send(from, FACTORY, &call).erc721Address
            })
        });
        let seller = Seller::new(Wallet::new(client, signer).await.unwrap());
        let selling = Selling {
            used: Use::Access,
            price: Price::Free,
            timeout: 0,
            purpose: String::new(),
            readers: None,
            allow: Vec::new(),
            deny: Vec::new(),
            sample: None,
        };
        let begun = Begun { asset, selling, computes: None, from: 0, listed: None };
        let listed = seller.made_before(&begun).await.unwrap().expect("its own");
        assert_eq!(listed.nft, made[1]);
    }
}
