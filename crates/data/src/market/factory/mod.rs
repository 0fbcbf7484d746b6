//! The factory: assets and datatokens as clones of the chain's own code, in one call with their price and metadata.
//!
//! Whatever calls itself an asset or a datatoken, only what is listed here is one, and only listed datatokens have an exchange or
//! a dispenser. There is one template of each, and no way to add others: they are code of the chain.
//!
//! What the factory does for somebody in one call it does as itself: assets and datatokens let it make tokens, prices and
//! metadata, and it does that in no other call than those that create them. Several orders at once are the caller's orders,
//! not the factory's, so that they can be found and reused as any other (Ocean's belong to its factory).

mod dispatch;

use crate::market::{
    abi::{
        DATATOKEN, DatatokenData, DispenserData, FACTORY, FixedRateData,
        IDatatoken::{self, getPublishingMarketFeeCall, reuseOrderForCall, startOrderForCall},
        IFactory::{NFTCreated, TokenCreated, createTokenCall},
        INft::{self, createERC20Call, setMetaDataCall},
        MetaData, NFT, NftData, ProviderQuote, ReuseOrder, Template, TokenOrder,
    },
    lock::locked,
    money::{ONE, add, approve, balance, pay, pull},
};
use alloy_primitives::{Address, B256, U256};
use std::collections::BTreeMap;
use stoa_contract::{
    Context, Error, Result,
    parts::clones,
    storage::{Mapping, Value},
};

/// The most orders at a time.
const MOST_ORDERS: usize = 50;

stoa_contract::storage! {
    /// What was made.
    struct State {
        assets: Mapping<Address, Value<bool>>,
        datatokens: Mapping<Address, Value<bool>>,
        asset_count: Value<u64>,
        datatoken_count: Value<u64>,
    }
}

/// The contract.
#[derive(Clone, Copy, Debug, Default)]
pub struct Factory;

impl Factory {
    fn state(self) -> State {
        State::root()
    }

    /// Makes an asset: `deployERC721Contract`.
    ///
    /// # Errors
    ///
    /// `ERC721DTFactory: Template index doesnt exist`; `ERC721DTFactory: address(0) cannot be owner`; the asset's.
    fn create_asset(self, cx: &mut Context<'_>, data: NftData, helpers: [Address; 2]) -> Result<Address> {
        if data.templateIndex != U256::ONE {
            return Err(Error::message("ERC721DTFactory: Template index doesnt exist"));
        }
        if data.owner.is_zero() {
            return Err(Error::message("ERC721DTFactory: address(0) cannot be owner"));
        }
        let asset = clones::clone(cx, NFT)?;
        self.state().assets.at(&asset).write(cx, true)?;
        count(cx, self.state().asset_count)?;
        let NftData { name, symbol, tokenURI, transferable, owner, .. } = data;
        cx.emit(&NFTCreated {
            newTokenAddress: asset,
            templateAddress: NFT,
            tokenName: name.clone(),
            admin: owner,
            symbol: symbol.clone(),
            tokenURI: tokenURI.clone(),
            transferable,
            creator: cx.caller(),
        })?;
        let [additionalERC20Deployer, additionalMetaDataUpdater] = helpers;
        let initialize = INft::initializeCall {
            owner,
            name,
            symbol,
            tokenFactory: FACTORY,
            additionalERC20Deployer,
            additionalMetaDataUpdater,
            tokenURI,
            transferable,
        };
        cx.call_typed(asset, U256::ZERO, &initialize)?;
        Ok(asset)
    }

    /// `createToken`, by an asset.
    ///
    /// # Errors
    ///
    /// `ERC721Factory: ONLY ERC721 INSTANCE FROM ERC721FACTORY` for everybody else; `ERC20Factory: Template index doesnt
    /// exist`; `ERC20Factory: zero cap is not allowed`; without data where there are too few arguments.
    fn create_token(self, cx: &mut Context<'_>, call: &createTokenCall) -> Result<Address> {
        let asset = cx.caller();
        if !self.state().assets.at(&asset).read(cx)? {
            return Err(Error::message("ERC721Factory: ONLY ERC721 INSTANCE FROM ERC721FACTORY"));
        }
        if call.templateIndex != U256::ONE {
            return Err(Error::message("ERC20Factory: Template index doesnt exist"));
        }
        let ([name, symbol, ..], [cap, ..]) = (&call.strings[..], &call.uints[..]) else { return Err(Error::EMPTY) };
        if cap.is_zero() {
            return Err(Error::message("ERC20Factory: zero cap is not allowed"));
        }
        let token = clones::clone(cx, DATATOKEN)?;
        self.state().datatokens.at(&token).write(cx, true)?;
        count(cx, self.state().datatoken_count)?;
        cx.emit(&TokenCreated {
            newTokenAddress: token,
            templateAddress: DATATOKEN,
            name: name.clone(),
            symbol: symbol.clone(),
            cap: *cap,
            creator: asset,
        })?;
        let initialize = IDatatoken::initializeCall {
            strings: call.strings.clone(),
            addresses: call.addresses.clone(),
            factoryAddresses: vec![asset],
            uints: call.uints.clone(),
            bytess: call.bytess.clone(),
        };
        cx.call_typed(token, U256::ZERO, &initialize)?;
        Ok(token)
    }

    /// An asset with a datatoken: `createNftWithErc20`.
    ///
    /// # Errors
    ///
    /// As [`Factory::create_asset`] and [`Factory::create_token`].
    fn create_both(self, cx: &mut Context<'_>, asset: NftData, token: DatatokenData) -> Result<(Address, Address)> {
        let asset = self.create_asset(cx, asset, [Address::ZERO; 2])?;
        let DatatokenData { templateIndex, strings, addresses, uints, bytess } = token;
        let create = createERC20Call { templateIndex, strings, addresses, uints, bytess };
        Ok((asset, cx.call_typed(asset, U256::ZERO, &create)?))
    }

    /// `createNftWithErc20WithFixedRate`.
    ///
    /// # Errors
    ///
    /// As [`Factory::create_both`]; the exchange's.
    fn create_with_rate(
        self,
        cx: &mut Context<'_>,
        asset: NftData,
        token: DatatokenData,
        rate: FixedRateData,
    ) -> Result<(Address, Address, B256)> {
        let (asset, token) = self.create_both(cx, asset, token)?;
        let FixedRateData { fixedPriceAddress, addresses, uints } = rate;
        let create = IDatatoken::createFixedRateCall { fixedPriceAddress, addresses, uints };
        Ok((asset, token, cx.call_typed(token, U256::ZERO, &create)?))
    }

    /// `createNftWithErc20WithDispenser`.
    ///
    /// # Errors
    ///
    /// As [`Factory::create_both`]; the dispenser's.
    fn create_with_dispenser(
        self,
        cx: &mut Context<'_>,
        asset: NftData,
        token: DatatokenData,
        dispenser: DispenserData,
    ) -> Result<(Address, Address)> {
        let (asset, token) = self.create_both(cx, asset, token)?;
        let DispenserData { dispenserAddress: dispenser, maxTokens, maxBalance, withMint, allowedSwapper } = dispenser;
        let create = IDatatoken::createDispenserCall { dispenser, maxTokens, maxBalance, withMint, allowedSwapper };
        cx.call_typed(token, U256::ZERO, &create)?;
        Ok((asset, token))
    }

    /// `createNftWithMetaData`.
    ///
    /// # Errors
    ///
    /// As [`Factory::create_asset`]; the asset's.
    fn create_with_metadata(self, cx: &mut Context<'_>, asset: NftData, metadata: MetaData) -> Result<Address> {
        let asset = self.create_asset(cx, asset, [Address::ZERO; 2])?;
        let MetaData { state, decryptorUrl, decryptorAddress, flags, data, dataHash, proofs } = metadata;
        let set = setMetaDataCall { state, decryptorUrl, decryptorAddress, flags, data, dataHash, proofs };
        cx.call_typed(asset, U256::ZERO, &set)?;
        Ok(asset)
    }

    /// `startMultipleTokenOrder`: takes the datatokens and fees of all orders from the caller, then places them for it.
    ///
    /// # Errors
    ///
    /// `ERC721Factory: Too Many Orders` above 50; `ERC721Factory: not a datatoken`; the errors of an order;
    /// `ReentrancyGuardReentrantCall`.
    fn start_orders(self, cx: &mut Context<'_>, orders: Vec<TokenOrder>) -> Result<()> {
        check_count(orders.len())?;
        locked(cx, |cx| {
            for TokenOrder { token, consumer, serviceIndex, providerFee, consumeMarketFee } in orders {
                self.only_datatoken(cx, token)?;
                let fee = cx.view_typed(token, &getPublishingMarketFeeCall {})?;
                let mut dues = dues(&providerFee);
                if !fee.feeAddress.is_zero() {
                    due(&mut dues, fee.feeToken, fee.amount)?;
                }
                if !consumeMarketFee.feeAddress.is_zero() {
                    due(&mut dues, consumeMarketFee.feeToken, consumeMarketFee.amount)?;
                }
                let (payer, this) = (cx.caller(), cx.this());
                pull(cx, token, payer, this, ONE)?;
                self.with_money(cx, token, dues, |cx| {
                    let start = startOrderForCall { payer, consumer, serviceIndex, providerFee, consumeMarketFee };
                    cx.call_typed(token, U256::ZERO, &start).map(drop)
                })?;
            }
            Ok(())
        })
    }

    /// `reuseMultipleTokenOrder`: takes the fees of all from the caller, then reuses the orders for it.
    ///
    /// # Errors
    ///
    /// `ERC721Factory: Too Many Orders` above 50; `ERC721Factory: not a datatoken`; the errors of a reuse;
    /// `ReentrancyGuardReentrantCall`.
    fn reuse_orders(self, cx: &mut Context<'_>, orders: Vec<ReuseOrder>) -> Result<()> {
        check_count(orders.len())?;
        locked(cx, |cx| {
            for ReuseOrder { token, orderTxId: order, providerFee } in orders {
                self.only_datatoken(cx, token)?;
                let (caller, dues) = (cx.caller(), dues(&providerFee));
                self.with_money(cx, token, dues, |cx| {
                    let reuse = reuseOrderForCall { caller, order, providerFee };
                    cx.call_typed(token, U256::ZERO, &reuse).map(drop)
                })?;
            }
            Ok(())
        })
    }

    fn only_datatoken(self, cx: &mut Context<'_>, token: Address) -> Result<()> {
        match self.state().datatokens.at(&token).read(cx)? {
            true => Ok(()),
            false => Err(Error::message("ERC721Factory: not a datatoken")),
        }
    }

    /// Takes money from the caller, lets a datatoken spend it while `run` runs, and gives back what it did not spend.
    fn with_money(
        self,
        cx: &mut Context<'_>,
        spender: Address,
        dues: BTreeMap<Address, U256>,
        run: impl FnOnce(&mut Context<'_>) -> Result<()>,
    ) -> Result<()> {
        let (caller, this) = (cx.caller(), cx.this());
        let mut before = Vec::new();
        for (token, amount) in dues {
            before.push((token, balance(cx, token, this)?));
            pull(cx, token, caller, this, amount)?;
            approve(cx, token, spender, amount)?;
        }
        run(cx)?;
        for (token, before) in before {
            let left = balance(cx, token, this)?.saturating_sub(before);
            if !left.is_zero() {
                approve(cx, token, spender, U256::ZERO)?;
                pay(cx, token, caller, left)?;
            }
        }
        Ok(())
    }
}

/// Amounts by token. A map in order: what happens first must be the same everywhere.
fn dues(quote: &ProviderQuote) -> BTreeMap<Address, U256> {
    let asks = !quote.feeAddress.is_zero() && !quote.feeToken.is_zero() && !quote.amount.is_zero();
    if asks { BTreeMap::from([(quote.feeToken, quote.amount)]) } else { BTreeMap::new() }
}

fn due(dues: &mut BTreeMap<Address, U256>, token: Address, amount: U256) -> Result<()> {
    if token.is_zero() || amount.is_zero() {
        return Ok(());
    }
    let sum = dues.entry(token).or_default();
    *sum = add(*sum, amount)?;
    Ok(())
}

fn check_count(orders: usize) -> Result<()> {
    if orders > MOST_ORDERS { Err(Error::message("ERC721Factory: Too Many Orders")) } else { Ok(()) }
}

fn count(cx: &mut Context<'_>, counter: Value<u64>) -> Result<()> {
    let count = counter.read(cx)?;
    counter.write(cx, count.saturating_add(1))
}

fn template(index: U256, address: Address) -> Result<Template> {
    match index == U256::ONE {
        true => Ok(Template { templateAddress: address, isActive: true }),
        false => Err(Error::message("ERC20DTFactory: Template index doesnt exist")),
    }
}
