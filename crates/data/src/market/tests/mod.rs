//! The market's tests, and what they share.

mod access;
mod assets;
mod compatibility;
mod escrow;
mod gas;
mod holes;
mod lists;
mod money;
mod orders;
mod prices;
mod router;
pub(crate) mod tokens;

use self::tokens::{FEE, ITestToken, PLAIN, REENTRANT, SIX, TestToken};
use super::{Router, abi::*, natives};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolEvent, SolValue as _};
use stoa_contract::{
    Natives,
    bench::{Bench, DEEP, Deep, Failure, Sent},
    coin,
    interfaces::IERC20,
};

pub(crate) const OWNER: Address = Address::repeat_byte(0xa1);
const BUYER: Address = Address::repeat_byte(0xb1);
const OTHER: Address = Address::repeat_byte(0xb2);
const MARKET: Address = Address::repeat_byte(0xc1);
const CONSUME_MARKET: Address = Address::repeat_byte(0xc2);
const COMMUNITY: Address = Address::repeat_byte(0xc3);
const GOVERNOR: Address = Address::repeat_byte(0xd1);

const ONE: u128 = 1_000_000_000_000_000_000;
const HOUR: u64 = 3600;

/// 10^18 times a number.
pub(crate) fn whole(number: u128) -> U256 {
    U256::from(number) * U256::from(ONE)
}

pub(crate) fn bench() -> Bench {
    let router = Router { owner: GOVERNOR, collector: COMMUNITY };
    let natives = natives(Natives::stoa(), router)
        .with(PLAIN, TestToken { decimals: 18, keeps: false, calls_back: false })
        .with(SIX, TestToken { decimals: 6, keeps: false, calls_back: false })
        .with(FEE, TestToken { decimals: 18, keeps: true, calls_back: false })
        .with(REENTRANT, TestToken { decimals: 18, keeps: false, calls_back: true })
        .with(DEEP, Deep);
    let rich = [OWNER, BUYER, OTHER].map(|account| (account, whole(1_000_000)));
    Bench::new(natives).with_coin(&rich)
}

/// The refusal that Ocean's clients know.
fn refused(text: &str) -> Failure {
    Failure::revert(alloy_sol_types::Revert::from(text))
}

/// The first event of a kind in a receipt.
fn event<E: SolEvent>(logs: &[alloy_primitives::Log]) -> E {
    logs.iter().find_map(|log| E::decode_log(log).ok()).expect("the event").data
}

fn count<E: SolEvent>(logs: &[alloy_primitives::Log]) -> usize {
    logs.iter().filter(|log| E::decode_log(log).is_ok()).count()
}

pub(crate) fn nft_data() -> NftData {
    NftData {
        name: "Weather".into(),
        symbol: "WTH".into(),
        templateIndex: U256::ONE,
        tokenURI: "https://a.example/1".into(),
        transferable: true,
        owner: OWNER,
    }
}

pub(crate) fn datatoken_data() -> DatatokenData {
    DatatokenData {
        templateIndex: U256::ONE,
        strings: vec!["Access".into(), "ACC".into()],
        addresses: vec![OWNER, Address::ZERO, Address::ZERO, Address::ZERO],
        uints: vec![U256::MAX, U256::ZERO],
        bytess: vec![],
    }
}

pub(crate) fn rate_data(base: Address, decimals: u8, rate: U256, market_fee: u128, with_mint: bool) -> FixedRateData {
    FixedRateData {
        fixedPriceAddress: FIXED_RATE,
        addresses: vec![base, OWNER, MARKET, Address::ZERO],
        uints: vec![U256::from(decimals), U256::from(18), rate, U256::from(market_fee), U256::from(with_mint)],
    }
}

/// An asset with a datatoken, and perhaps an exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) asset: Address,
    pub(crate) token: Address,
    pub(crate) exchange: B256,
}

fn publish_with(bench: &mut Bench, datatoken: DatatokenData) -> Made {
    let call = IFactory::createNftWithErc20Call { nft: nft_data(), datatoken };
    let made = bench.send(OWNER, FACTORY, &call).unwrap().value;
    Made { asset: made.erc721Address, token: made.erc20Address, exchange: B256::ZERO }
}

fn publish(bench: &mut Bench) -> Made {
    publish_with(bench, datatoken_data())
}

fn publish_at(bench: &mut Bench, base: Address, decimals: u8, rate: U256, market_fee: u128) -> Made {
    let call = IFactory::createNftWithErc20WithFixedRateCall {
        nft: nft_data(),
        datatoken: datatoken_data(),
        fixedRate: rate_data(base, decimals, rate, market_fee, true),
    };
    let made = bench.send(OWNER, FACTORY, &call).unwrap().value;
    Made { asset: made.erc721Address, token: made.erc20Address, exchange: made.exchangeId }
}

fn fund(bench: &mut Bench, token: Address, account: Address, amount: U256) {
    bench.send(OTHER, token, &ITestToken::mintCall { account, value: amount }).unwrap();
}

fn approve(bench: &mut Bench, token: Address, owner: Address, spender: Address) {
    bench.send(owner, token, &IERC20::approveCall { spender, value: U256::MAX }).unwrap();
}

fn balance(bench: &mut Bench, token: Address, account: Address) -> U256 {
    bench.view(token, &IERC20::balanceOfCall { account }).unwrap()
}

/// Gives somebody datatokens, by their minter.
fn give(bench: &mut Bench, token: Address, account: Address, number: u128) {
    bench.send(OWNER, token, &IDatatoken::mintCall { account, value: whole(number) }).unwrap();
}

pub(crate) fn no_quote() -> ProviderQuote {
    ProviderQuote {
        feeAddress: Address::ZERO,
        feeToken: Address::ZERO,
        amount: U256::ZERO,
        v: 0,
        r: B256::ZERO,
        s: B256::ZERO,
        validUntil: U256::ZERO,
        data: Bytes::new(),
    }
}

pub(crate) fn no_market() -> MarketQuote {
    MarketQuote { feeAddress: Address::ZERO, feeToken: Address::ZERO, amount: U256::ZERO }
}

fn signer(seed: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(seed)).unwrap()
}

/// A signature as wallets make it over a hash, in its parts.
fn sign(signer: &PrivateKeySigner, hash: B256) -> (u8, B256, B256) {
    let signature = signer.sign_message_sync(hash.as_slice()).unwrap();
    (27 + u8::from(signature.v()), signature.r().into(), signature.s().into())
}

/// The same in 65 bytes.
fn sign_bytes(signer: &PrivateKeySigner, hash: B256) -> Bytes {
    let (v, r, s) = sign(signer, hash);
    [r.as_slice(), s.as_slice(), &[v]].concat().into()
}

/// What a provider asks, signed.
fn quote(provider: &PrivateKeySigner, token: Address, amount: U256, valid_until: u64, data: &[u8]) -> ProviderQuote {
    let (fee_address, until, data) = (provider.address(), U256::from(valid_until), Bytes::copy_from_slice(data));
    let hash = keccak256((&data, fee_address, token, amount, until).abi_encode_packed());
    let (v, r, s) = sign(provider, hash);
    ProviderQuote { feeAddress: fee_address, feeToken: token, amount, v, r, s, validUntil: until, data }
}

pub(crate) fn start(consumer: Address, quote: ProviderQuote) -> IDatatoken::startOrderCall {
    IDatatoken::startOrderCall { consumer, serviceIndex: U256::ZERO, providerFee: quote, consumeMarketFee: no_market() }
}

/// Orders, and says which order it is.
fn order(bench: &mut Bench, token: Address, from: Address, consumer: Address) -> Result<B256, Failure> {
    let sent = bench.send(from, token, &start(consumer, no_quote()))?;
    Ok(event::<IDatatoken::OrderRecorded>(&sent.logs).order)
}

fn buy(
    bench: &mut Bench,
    from: Address,
    exchange: B256,
    amount: U256,
    most: U256,
) -> Result<Sent<IFixedRate::buyDTReturn>, Failure> {
    let call = IFixedRate::buyDTCall {
        exchangeId: exchange,
        datatokenAmount: amount,
        maxBaseTokenAmount: most,
        consumeMarketAddress: Address::ZERO,
        consumeMarketSwapFeeAmount: U256::ZERO,
    };
    bench.send(from, FIXED_RATE, &call)
}

fn send<C: SolCall>(bench: &mut Bench, from: Address, to: Address, call: C) -> Result<Sent<C::Return>, Failure> {
    bench.send(from, to, &call)
}
