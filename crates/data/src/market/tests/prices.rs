//! Exchanges and dispensers.

use super::*;
use proptest::prelude::*;
use stoa_contract::interfaces::IReentrancyGuardErrors::ReentrancyGuardReentrantCall;

fn info(bench: &mut Bench, made: Made) -> (U256, U256, U256) {
    let call = IFixedRate::getExchangeCall { exchangeId: made.exchange };
    let is = bench.view(FIXED_RATE, &call).unwrap();
    let fees = bench.view(FIXED_RATE, &IFixedRate::getFeesInfoCall { exchangeId: made.exchange }).unwrap();
    (is.btBalance, fees.marketFeeAvailable, fees.oceanFeeAvailable)
}

fn ready(bench: &mut Bench, base: Address, account: Address) {
    fund(bench, base, account, whole(1_000_000));
    approve(bench, base, account, FIXED_RATE);
}

#[test]
fn a_purchase_costs_the_rate_and_the_fees_to_the_last_unit() {
    let mut bench = bench();
    // Two PLAIN, 0.1 % to the market, 0.2 % to the community for a token that it did not approve.
    let made = publish_at(&mut bench, PLAIN, 18, whole(2), ONE / 1000);
    ready(&mut bench, PLAIN, BUYER);
    let costs = U256::from(ONE) * U256::from(2006) / U256::from(1000);
    let too_low = refused("FixedRateExchange: Too many base tokens");
    assert_eq!(buy(&mut bench, BUYER, made.exchange, whole(1), costs - U256::ONE).map(drop), Err(too_low));
    let sent = buy(&mut bench, BUYER, made.exchange, whole(1), costs).unwrap();
    let swapped = event::<IFixedRate::Swapped>(&sent.logs);
    assert_eq!((swapped.by, swapped.baseTokenSwappedAmount, swapped.tokenOutAddress), (BUYER, costs, made.token));
    assert_eq!(balance(&mut bench, PLAIN, BUYER), whole(1_000_000) - costs);
    assert_eq!(balance(&mut bench, made.token, BUYER), whole(1));
    let thousandths = |number: u128| U256::from(ONE / 1000 * number);
    assert_eq!(info(&mut bench, made), (whole(2), thousandths(2), thousandths(4)));

    // With a market that the buyer came through.
    let call = IFixedRate::buyDTCall {
        exchangeId: made.exchange,
        datatokenAmount: whole(1),
        maxBaseTokenAmount: whole(3),
        consumeMarketAddress: CONSUME_MARKET,
        consumeMarketSwapFeeAmount: U256::from(ONE / 100),
    };
    let sent = send(&mut bench, BUYER, FIXED_RATE, call).unwrap();
    assert_eq!(event::<IFixedRate::ConsumeMarketFee>(&sent.logs).amount, thousandths(20));
    assert_eq!(balance(&mut bench, PLAIN, CONSUME_MARKET), thousandths(20));

    // Anybody has it collected; it goes to whom it belongs.
    let collect = IFixedRate::collectBTCall { exchangeId: made.exchange, amount: whole(4) };
    send(&mut bench, OTHER, FIXED_RATE, collect).unwrap();
    send(&mut bench, OTHER, FIXED_RATE, IFixedRate::collectMarketFeeCall { exchangeId: made.exchange }).unwrap();
    send(&mut bench, OTHER, FIXED_RATE, IFixedRate::collectOceanFeeCall { exchangeId: made.exchange }).unwrap();
    let has = [OWNER, MARKET, COMMUNITY, FIXED_RATE].map(|account| balance(&mut bench, PLAIN, account));
    assert_eq!(has, [whole(4), thousandths(4), thousandths(8), U256::ZERO]);
    let more = IFixedRate::collectBTCall { exchangeId: made.exchange, amount: U256::ONE };
    assert!(send(&mut bench, OTHER, FIXED_RATE, more).is_err());
}

#[test]
fn the_coin_of_the_chain_is_a_base_token() {
    let mut bench = bench();
    let made = publish_at(&mut bench, coin::ADDRESS, 18, whole(3), 0);
    approve(&mut bench, coin::ADDRESS, BUYER, FIXED_RATE);
    // 0.1 % for the community: the coin is always approved.
    let costs = whole(3003) / U256::from(1000);
    buy(&mut bench, BUYER, made.exchange, whole(1), costs).unwrap();
    assert_eq!(bench.balance(BUYER), whole(1_000_000) - costs);
    let call = IFixedRate::collectBTCall { exchangeId: made.exchange, amount: whole(3) };
    send(&mut bench, BUYER, FIXED_RATE, call).unwrap();
    assert_eq!(bench.balance(OWNER), whole(1_000_003));
}

#[test]
fn a_price_that_changed_after_it_was_looked_up_is_refused() {
    let mut bench = bench();
    let made = publish_at(&mut bench, PLAIN, 18, whole(2), 0);
    ready(&mut bench, PLAIN, BUYER);
    let look = IFixedRate::calcBaseInGivenOutDTCall {
        exchangeId: made.exchange,
        datatokenAmount: whole(1),
        consumeMarketSwapFeeAmount: U256::ZERO,
    };
    let seen = bench.view(FIXED_RATE, &look).unwrap().baseTokenAmount;
    let raise = IFixedRate::setRateCall { exchangeId: made.exchange, newRate: whole(2) + U256::ONE };
    let not_owner = refused("FixedRateExchange: invalid exchange owner");
    assert_eq!(send(&mut bench, BUYER, FIXED_RATE, raise.clone()).map(drop), Err(not_owner));
    let low = IFixedRate::setRateCall { newRate: U256::from(9_999_999_999_u64), ..raise.clone() };
    let refusal = refused("FixedRateExchange: Invalid exchange rate value");
    assert_eq!(send(&mut bench, OWNER, FIXED_RATE, low).map(drop), Err(refusal));
    send(&mut bench, OWNER, FIXED_RATE, raise).unwrap();
    let changed = refused("FixedRateExchange: Too many base tokens");
    assert_eq!(buy(&mut bench, BUYER, made.exchange, whole(1), seen).map(drop), Err(changed));
    let seen = bench.view(FIXED_RATE, &look).unwrap().baseTokenAmount;
    buy(&mut bench, BUYER, made.exchange, whole(1), seen).unwrap();
}

#[test]
fn sold_datatokens_are_paid_with_what_purchases_brought_and_nothing_else() {
    let mut bench = bench();
    let made = publish_at(&mut bench, PLAIN, 18, whole(2), 0);
    ready(&mut bench, PLAIN, BUYER);
    // The owner allowed the exchange to take base tokens: for purchases of its own.
    ready(&mut bench, PLAIN, OWNER);
    buy(&mut bench, BUYER, made.exchange, whole(3), whole(10)).unwrap();
    approve(&mut bench, made.token, BUYER, FIXED_RATE);
    let sell = |amount: U256, least: U256| IFixedRate::sellDTCall {
        exchangeId: made.exchange,
        datatokenAmount: amount,
        minBaseTokenAmount: least,
        consumeMarketAddress: Address::ZERO,
        consumeMarketSwapFeeAmount: U256::ZERO,
    };
    // Two each, less 0.2 % for the community.
    let brings = whole(2) * U256::from(998) / U256::from(1000);
    let few = refused("FixedRateExchange: Too few base tokens");
    assert_eq!(send(&mut bench, BUYER, FIXED_RATE, sell(whole(1), brings + U256::ONE)).map(drop), Err(few));
    let before = balance(&mut bench, PLAIN, BUYER);
    send(&mut bench, BUYER, FIXED_RATE, sell(whole(1), brings)).unwrap();
    assert_eq!(balance(&mut bench, PLAIN, BUYER), before + brings);
    // The exchange has one datatoken now, and sells it before it mints.
    buy(&mut bench, BUYER, made.exchange, whole(1), whole(10)).unwrap();
    assert_eq!(bench.view(made.token, &IERC20::totalSupplyCall {}), Ok(whole(3)));
    let collect = IFixedRate::collectBTCall { exchangeId: made.exchange, amount: whole(5) };
    send(&mut bench, OTHER, FIXED_RATE, collect).unwrap();
    let none = refused("FixedRateExchange: Not enough base tokens");
    assert_eq!(send(&mut bench, BUYER, FIXED_RATE, sell(whole(1), U256::ZERO)).map(drop), Err(none));
}

/// Whichever client he comes with: Ocean's know nothing of states.
#[test]
fn nobody_gets_a_datatoken_while_no_orders_are_taken_and_whoever_has_one_sells_it_back() {
    let mut bench = bench();
    let made = publish_at(&mut bench, PLAIN, 18, whole(2), 0);
    let (exchangeId, datatoken) = (made.exchange, made.token);
    let open = IDatatoken::createDispenserCall {
        dispenser: DISPENSER,
        maxTokens: whole(1),
        maxBalance: whole(9),
        withMint: true,
        allowedSwapper: Address::ZERO,
    };
    send(&mut bench, OWNER, datatoken, open).unwrap();
    ready(&mut bench, PLAIN, BUYER);
    approve(&mut bench, PLAIN, BUYER, ROUTER);
    approve(&mut bench, datatoken, BUYER, FIXED_RATE);
    buy(&mut bench, BUYER, exchangeId, whole(6), whole(20)).unwrap();
    let purchase = Operation {
        exchangeId,
        source: FIXED_RATE,
        operation: 2,
        tokenIn: PLAIN,
        amountsIn: whole(9),
        tokenOut: datatoken,
        amountsOut: whole(1),
        maxPrice: U256::ZERO,
        swapMarketFee: U256::ZERO,
        marketFeeAddress: Address::ZERO,
    };
    let batch = IRouter::buyDTBatchCall { operations: vec![purchase] };
    let take = IDispenser::dispenseCall { datatoken, amount: whole(1), destination: OTHER };
    let sell = IFixedRate::sellDTCall {
        exchangeId,
        datatokenAmount: whole(1),
        minBaseTokenAmount: U256::ONE,
        consumeMarketAddress: Address::ZERO,
        consumeMarketSwapFeeAmount: U256::ZERO,
    };
    let supply = IFixedRate::getDTSupplyCall { exchangeId };
    for state in 0..=5 {
        send(&mut bench, OWNER, made.asset, INft::setMetaDataStateCall { state }).unwrap();
        let before = [PLAIN, datatoken].map(|token| balance(&mut bench, token, BUYER));
        let is = [
            buy(&mut bench, BUYER, exchangeId, whole(1), whole(9)).map(drop),
            send(&mut bench, BUYER, ROUTER, batch.clone()).map(drop),
            send(&mut bench, BUYER, DISPENSER, take.clone()).map(drop),
        ];
        let none = bench.view(FIXED_RATE, &supply).unwrap().is_zero();
        match state {
            0 | 5 => assert_eq!((is, none), ([Ok(()), Ok(()), Ok(())], false)),
            _ => {
                // As an order is refused.
                let closed = Failure::revert(IDatatoken::OrderingClosed { state });
                assert_eq!(closed, Failure::revert(IFixedRate::OrderingClosed { state }));
                assert_eq!(closed, Failure::revert(IDispenser::OrderingClosed { state }));
                assert_eq!((is, none), ([Err(closed.clone()), Err(closed.clone()), Err(closed)], true));
                assert_eq!([PLAIN, datatoken].map(|token| balance(&mut bench, token, BUYER)), before);
            }
        }
        send(&mut bench, BUYER, FIXED_RATE, sell.clone()).unwrap();
    }
    assert_eq!(balance(&mut bench, datatoken, OTHER), whole(2));
}

#[test]
fn an_exchange_that_may_not_mint_sells_what_its_owner_allows() {
    let mut bench = bench();
    let call = IFactory::createNftWithErc20WithFixedRateCall {
        nft: nft_data(),
        datatoken: datatoken_data(),
        fixedRate: rate_data(SIX, 6, whole(5), 0, false),
    };
    let made = bench.send(OWNER, FACTORY, &call).unwrap().value;
    let (token, exchange) = (made.erc20Address, made.exchangeId);
    ready(&mut bench, SIX, BUYER);
    assert!(buy(&mut bench, BUYER, exchange, whole(1), whole(10)).is_err());
    give(&mut bench, token, OWNER, 2);
    approve(&mut bench, token, OWNER, FIXED_RATE);
    let supply = IFixedRate::getDTSupplyCall { exchangeId: exchange };
    assert_eq!(bench.view(FIXED_RATE, &supply), Ok(whole(2)));
    // Five units of six decimals, 0.2 % more for the community.
    let sent = buy(&mut bench, BUYER, exchange, whole(1), whole(10)).unwrap();
    assert_eq!(event::<IFixedRate::Swapped>(&sent.logs).baseTokenSwappedAmount, U256::from(5_010_000));
    assert_eq!(bench.view(FIXED_RATE, &supply), Ok(whole(1)));
    // The rounding is the exchange's: the smallest purchase costs a unit, the smallest sale brings none.
    buy(&mut bench, BUYER, exchange, U256::ONE, U256::ONE).unwrap();
    let look = |exchangeId, datatokenAmount| IFixedRate::calcBaseOutGivenInDTCall {
        exchangeId,
        datatokenAmount,
        consumeMarketSwapFeeAmount: U256::ZERO,
    };
    assert_eq!(bench.view(FIXED_RATE, &look(exchange, U256::ONE)).unwrap().baseTokenAmount, U256::ZERO);
}

#[test]
fn a_fee_for_nobody_is_not_taken() {
    let mut bench = bench();
    let mut rate = rate_data(PLAIN, 18, whole(2), ONE / 10, true);
    rate.addresses[2] = Address::ZERO;
    let call =
        IFactory::createNftWithErc20WithFixedRateCall { nft: nft_data(), datatoken: datatoken_data(), fixedRate: rate };
    let made = bench.send(OWNER, FACTORY, &call).unwrap().value;
    ready(&mut bench, PLAIN, BUYER);
    let call = IFixedRate::buyDTCall {
        exchangeId: made.exchangeId,
        datatokenAmount: whole(1),
        maxBaseTokenAmount: whole(9),
        consumeMarketAddress: Address::ZERO,
        consumeMarketSwapFeeAmount: U256::from(ONE / 10),
    };
    let sent = send(&mut bench, BUYER, FIXED_RATE, call).unwrap();
    // The community's 0.2 % alone.
    let paid = event::<IFixedRate::Swapped>(&sent.logs).baseTokenSwappedAmount;
    assert_eq!(paid, whole(2004) / U256::from(1000));
}

#[test]
fn who_sold_the_asset_neither_supplies_its_exchange_nor_decides_over_its_dispenser() {
    let mut bench = bench();
    let call = IFactory::createNftWithErc20WithFixedRateCall {
        nft: nft_data(),
        datatoken: datatoken_data(),
        fixedRate: rate_data(PLAIN, 18, whole(1), 0, false),
    };
    let made = bench.send(OWNER, FACTORY, &call).unwrap().value;
    let (token, asset) = (made.erc20Address, made.erc721Address);
    let open = IDatatoken::createDispenserCall {
        dispenser: DISPENSER,
        maxTokens: whole(2),
        maxBalance: whole(3),
        withMint: true,
        allowedSwapper: Address::ZERO,
    };
    send(&mut bench, OWNER, token, open).unwrap();
    give(&mut bench, token, OWNER, 5);
    approve(&mut bench, token, OWNER, FIXED_RATE);
    ready(&mut bench, PLAIN, BUYER);
    buy(&mut bench, BUYER, made.exchangeId, whole(1), whole(9)).unwrap();
    let transfer = stoa_contract::interfaces::IERC721::transferFromCall { from: OWNER, to: OTHER, tokenId: U256::ONE };
    send(&mut bench, OWNER, asset, transfer).unwrap();
    // Its price would go to the new owner.
    let none = refused("FixedRateExchange: Not enough datatokens");
    assert_eq!(buy(&mut bench, BUYER, made.exchangeId, whole(1), whole(9)).map(drop), Err(none));
    let supply = IFixedRate::getDTSupplyCall { exchangeId: made.exchangeId };
    assert_eq!(bench.view(FIXED_RATE, &supply), Ok(U256::ZERO));
    let close = IDispenser::deactivateCall { datatoken: token };
    assert_eq!(send(&mut bench, OWNER, DISPENSER, close.clone()).map(drop), Err(refused("Invalid owner")));
    send(&mut bench, OTHER, DISPENSER, close).unwrap();
}

#[test]
fn who_decides_over_an_exchange_closes_it_and_chooses_who_swaps() {
    let mut bench = bench();
    let made = publish_at(&mut bench, PLAIN, 18, whole(1), 0);
    let exchangeId = made.exchange;
    ready(&mut bench, PLAIN, BUYER);
    let toggle = IFixedRate::toggleExchangeStateCall { exchangeId };
    assert!(send(&mut bench, BUYER, FIXED_RATE, toggle.clone()).is_err());
    send(&mut bench, OWNER, FIXED_RATE, toggle.clone()).unwrap();
    let inactive = refused("FixedRateExchange: Exchange is inactive!");
    assert_eq!(buy(&mut bench, BUYER, exchangeId, whole(1), whole(9)).map(drop), Err(inactive));
    send(&mut bench, OWNER, FIXED_RATE, toggle).unwrap();
    let only = IFixedRate::setAllowedSwapperCall { exchangeId, newAllowedSwapper: OTHER };
    send(&mut bench, OWNER, FIXED_RATE, only).unwrap();
    let not_allowed = refused("FixedRateExchange: This address is not allowed to swap");
    assert_eq!(buy(&mut bench, BUYER, exchangeId, whole(1), whole(9)).map(drop), Err(not_allowed));
    let none = refused("FixedRateExchange: Exchange does not exist!");
    assert_eq!(buy(&mut bench, BUYER, B256::ZERO, whole(1), whole(9)).map(drop), Err(none));
    let zero = refused("FixedRateExchange: zero datatoken amount");
    assert_eq!(buy(&mut bench, OTHER, exchangeId, U256::ZERO, whole(9)).map(drop), Err(zero));
    let fee =
        |newMarketFee: u128| IFixedRate::updateMarketFeeCall { exchangeId, newMarketFee: U256::from(newMarketFee) };
    let not_market = refused("not marketFeeCollector");
    assert_eq!(send(&mut bench, OWNER, FIXED_RATE, fee(ONE / 100)).map(drop), Err(not_market));
    for (said, refusal) in [(1, "SwapFee too low"), (ONE / 2 + 1, "SwapFee too high")] {
        assert_eq!(send(&mut bench, MARKET, FIXED_RATE, fee(said)).map(drop), Err(refused(refusal)));
    }
    send(&mut bench, MARKET, FIXED_RATE, fee(ONE / 100)).unwrap();
    let hand_on = IFixedRate::updateMarketFeeCollectorCall { exchangeId, newMarketCollector: OTHER };
    let nobody = IFixedRate::updateMarketFeeCollectorCall { newMarketCollector: Address::ZERO, ..hand_on.clone() };
    let refusal = refused("Invalid market fee collector");
    assert_eq!(send(&mut bench, MARKET, FIXED_RATE, nobody).map(drop), Err(refusal));
    send(&mut bench, MARKET, FIXED_RATE, hand_on).unwrap();
    let fees = bench.view(FIXED_RATE, &IFixedRate::getFeesInfoCall { exchangeId }).unwrap();
    assert_eq!((fees.marketFee, fees.marketFeeCollector), (U256::from(ONE / 100), OTHER));
}

#[test]
fn what_is_said_of_a_new_exchange_must_be_true() {
    let mut bench = bench();
    let token = publish(&mut bench).token;
    let create = |data: FixedRateData| IDatatoken::createFixedRateCall {
        fixedPriceAddress: data.fixedPriceAddress,
        addresses: data.addresses,
        uints: data.uints,
    };
    let good = rate_data(SIX, 6, whole(1), 0, true);
    let not_deployer = refused("ERC20Template: NOT DEPLOYER ROLE");
    assert_eq!(send(&mut bench, OTHER, token, create(good.clone())).map(drop), Err(not_deployer));
    let said = U256::from(18);
    let wrong = Failure::revert(IFixedRate::ExchangeWrongDecimals { token: SIX, said });
    assert_eq!(send(&mut bench, OWNER, token, create(rate_data(SIX, 18, whole(1), 0, true))).map(drop), Err(wrong));
    let mut six = good.clone();
    six.uints[1] = U256::from(6);
    let wrong = Failure::revert(IFixedRate::ExchangeWrongDecimals { token, said: U256::from(6) });
    assert_eq!(send(&mut bench, OWNER, token, create(six)).map(drop), Err(wrong));
    let low = refused("FixedRateExchange: Invalid exchange rate value");
    let data = rate_data(SIX, 6, U256::from(9_999_999_999_u64), 0, true);
    assert_eq!(send(&mut bench, OWNER, token, create(data)).map(drop), Err(low));
    let zero = refused("FixedRateExchange: Invalid baseToken,  zero address");
    let data = rate_data(Address::ZERO, 6, whole(1), 0, true);
    assert_eq!(send(&mut bench, OWNER, token, create(data)).map(drop), Err(zero));
    let itself = refused("FixedRateExchange: Invalid datatoken,  equals baseToken");
    let data = rate_data(token, 18, whole(1), 0, true);
    assert_eq!(send(&mut bench, OWNER, token, create(data)).map(drop), Err(itself));
    let other = refused("FACTORY ROUTER: Invalid FixedPriceContract");
    let data = FixedRateData { fixedPriceAddress: OTHER, ..good.clone() };
    assert_eq!(send(&mut bench, OWNER, token, create(data)).map(drop), Err(other));
    send(&mut bench, OWNER, token, create(good.clone())).unwrap();
    let twice = refused("FixedRateExchange: Exchange already exists!");
    assert_eq!(send(&mut bench, OWNER, token, create(good)).map(drop), Err(twice));
    assert_eq!(bench.view(token, &IDatatoken::getFixedRatesCall {}).unwrap().len(), 1);
    // What the factory did not make has no exchange.
    let FixedRateData { addresses, uints, .. } = rate_data(SIX, 6, whole(1), 0, true);
    let call = IFixedRate::createWithDecimalsCall { datatoken: OTHER, addresses, uints };
    assert_eq!(send(&mut bench, OTHER, FIXED_RATE, call).map(drop), Err(refused("FixedRateExchange: only router")));
}

#[test]
fn a_base_token_that_keeps_a_part_is_refused() {
    let mut bench = bench();
    let made = publish_at(&mut bench, FEE, 18, whole(1), 0);
    ready(&mut bench, FEE, BUYER);
    let low = refused("Transfer amount is too low");
    assert_eq!(buy(&mut bench, BUYER, made.exchange, whole(1), whole(9)).map(drop), Err(low));
    assert_eq!(info(&mut bench, made), (U256::ZERO, U256::ZERO, U256::ZERO));
}

#[test]
fn a_base_token_that_calls_back_gains_nothing() {
    let mut bench = bench();
    let made = publish_at(&mut bench, REENTRANT, 18, whole(1), 0);
    ready(&mut bench, REENTRANT, BUYER);
    fund(&mut bench, REENTRANT, REENTRANT, whole(100));
    buy(&mut bench, BUYER, made.exchange, whole(5), whole(9)).unwrap();
    let again = IFixedRate::collectBTCall { exchangeId: made.exchange, amount: whole(1) }.abi_encode();
    let arm = ITestToken::armCall { target: FIXED_RATE, data: again.into() };
    send(&mut bench, OTHER, REENTRANT, arm).unwrap();
    buy(&mut bench, BUYER, made.exchange, whole(1), whole(9)).unwrap();
    let collect = IFixedRate::collectBTCall { exchangeId: made.exchange, amount: whole(6) };
    send(&mut bench, OTHER, FIXED_RATE, collect).unwrap();
    assert_eq!(bench.view(REENTRANT, &ITestToken::callsCall {}), Ok(U256::ZERO));
    assert_eq!(balance(&mut bench, REENTRANT, OWNER), whole(6));
    // The lock is what refused it; it is gone with the call.
    let shown = ReentrancyGuardReentrantCall {};
    assert_ne!(buy(&mut bench, BUYER, made.exchange, whole(1), whole(9)).map(drop), Err(Failure::revert(shown)));
}

#[test]
fn a_dispenser_gives_within_its_bounds() {
    let mut bench = bench();
    let token = publish(&mut bench).token;
    let open = |with_mint: bool| IDatatoken::createDispenserCall {
        dispenser: DISPENSER,
        maxTokens: whole(2),
        maxBalance: whole(3),
        withMint: with_mint,
        allowedSwapper: Address::ZERO,
    };
    assert!(send(&mut bench, OTHER, token, open(true)).is_err());
    // Where there is none there is nothing to open again.
    let activate = IDispenser::activateCall { datatoken: token, maxTokens: whole(1), maxBalance: whole(1) };
    assert_eq!(send(&mut bench, OWNER, DISPENSER, activate).map(drop), Err(refused("Invalid owner")));
    let nowhere = IDispenser::statusCall { datatoken: Address::ZERO };
    assert_eq!(bench.view(DISPENSER, &nowhere).map(drop), Err(refused("Invalid token contract address")));
    let other = IDatatoken::createDispenserCall { dispenser: OTHER, ..open(true) };
    let refusal = refused("FACTORY ROUTER: Invalid DispenserContract");
    assert_eq!(send(&mut bench, OWNER, token, other).map(drop), Err(refusal));
    let sent = send(&mut bench, OWNER, token, open(true)).unwrap();
    assert_eq!(event::<IDispenser::DispenserCreated>(&sent.logs).owner, OWNER);
    let twice = refused("Datatoken already created");
    assert_eq!(send(&mut bench, OWNER, token, open(true)).map(drop), Err(twice));
    let take = |amount: U256| IDispenser::dispenseCall { datatoken: token, amount, destination: OTHER };
    let many = refused("Amount too high");
    assert_eq!(send(&mut bench, BUYER, DISPENSER, take(whole(2) + U256::ONE)).map(drop), Err(many));
    let sent = send(&mut bench, BUYER, DISPENSER, take(whole(2))).unwrap();
    assert_eq!(event::<IDispenser::TokensDispensed>(&sent.logs).userAddress, OTHER);
    let rich = refused("Caller balance too high");
    assert_eq!(send(&mut bench, BUYER, DISPENSER, take(whole(1) + U256::ONE)).map(drop), Err(rich));
    send(&mut bench, BUYER, DISPENSER, take(whole(1))).unwrap();

    let strangers = refused("Invalid owner");
    let close = IDispenser::deactivateCall { datatoken: token };
    assert_eq!(send(&mut bench, OTHER, DISPENSER, close.clone()).map(drop), Err(strangers.clone()));
    send(&mut bench, OWNER, DISPENSER, close).unwrap();
    let closed = refused("Dispenser not active");
    assert_eq!(send(&mut bench, BUYER, DISPENSER, take(U256::ZERO)).map(drop), Err(closed));
    let again = IDispenser::activateCall { datatoken: token, maxTokens: whole(9), maxBalance: whole(99) };
    send(&mut bench, OWNER, DISPENSER, again).unwrap();
    let only = IDispenser::setAllowedSwapperCall { datatoken: token, newAllowedSwapper: BUYER };
    send(&mut bench, OWNER, DISPENSER, only).unwrap();
    let not_allowed = refused("This address is not allowed to request DT");
    assert_eq!(send(&mut bench, MARKET, DISPENSER, take(whole(1))).map(drop), Err(not_allowed));

    // What it was sent it gives first, and its owner may take back; without leave to mint that is all.
    send(&mut bench, OWNER, token, IDatatoken::removeMinterCall { minter: DISPENSER }).unwrap();
    let short = refused("Not enough reserves");
    assert_eq!(send(&mut bench, BUYER, DISPENSER, take(whole(1))).map(drop), Err(short));
    give(&mut bench, token, DISPENSER, 5);
    send(&mut bench, BUYER, DISPENSER, take(whole(1))).unwrap();
    let withdraw = IDispenser::ownerWithdrawCall { datatoken: token };
    assert_eq!(send(&mut bench, OTHER, DISPENSER, withdraw.clone()).map(drop), Err(strangers));
    send(&mut bench, OWNER, DISPENSER, withdraw).unwrap();
    assert_eq!([OWNER, OTHER].map(|account| balance(&mut bench, token, account)), [whole(4); 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Against the formula in other words: a fraction of integers, compared by multiplying out.
    #[test]
    fn prices_are_the_rate_and_round_for_the_exchange(
        amount in 1..=1_000_000_000_000_000_000_000_u128,
        rate in 10_000_000_000..=1_000_000_000_000_000_000_000_u128,
        market_fee in prop_oneof![Just(0), ONE / 10_000..=ONE / 2],
        six in any::<bool>(),
    ) {
        let mut bench = bench();
        let (base, decimals) = if six { (SIX, 6) } else { (PLAIN, 18) };
        let made = publish_at(&mut bench, base, decimals, U256::from(rate), market_fee);
        let look = IFixedRate::calcBaseInGivenOutDTCall {
            exchangeId: made.exchange,
            datatokenAmount: U256::from(amount),
            consumeMarketSwapFeeAmount: U256::ZERO,
        };
        let is = bench.view(FIXED_RATE, &look).unwrap();
        let cost = is.baseTokenAmount - is.oceanFeeAmount - is.publishMarketFeeAmount;
        let exact = U256::from(amount) * U256::from(rate) * U256::from(10).pow(U256::from(decimals));
        let unit = whole(1) * whole(1);
        prop_assert!(cost * unit >= exact && (cost - U256::ONE) * unit < exact);
        prop_assert_eq!(is.publishMarketFeeAmount, cost * U256::from(market_fee) / whole(1));
        prop_assert_eq!(is.oceanFeeAmount, cost * U256::from(2) / U256::from(1000));
        let look = IFixedRate::calcBaseOutGivenInDTCall {
            exchangeId: made.exchange,
            datatokenAmount: U256::from(amount),
            consumeMarketSwapFeeAmount: U256::ZERO,
        };
        let is = bench.view(FIXED_RATE, &look).unwrap();
        let brings = is.baseTokenAmount + is.oceanFeeAmount + is.publishMarketFeeAmount;
        prop_assert!(brings * unit <= exact && (brings + U256::ONE) * unit > exact);
    }
}
