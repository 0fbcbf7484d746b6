//! Holes of Ocean's contracts and nodes that a ledger can close, each with a test that it is closed here.

use super::*;

/// Ocean's node takes orders in the states at the indexes 0 and 1, its contracts in all.
#[test]
fn hole_1_states_are_compared_by_value_and_by_the_ledger() {
    let mut bench = bench();
    let Made { asset, token, .. } = publish(&mut bench);
    give(&mut bench, token, BUYER, 6);
    let taken = (0..=5).filter(|state| {
        send(&mut bench, OWNER, asset, INft::setMetaDataStateCall { state: *state }).unwrap();
        order(&mut bench, token, BUYER, BUYER).is_ok()
    });
    assert_eq!(taken.collect::<Vec<_>>(), [0, 5]);
}

/// In Ocean, an order of a free asset opens a dear one: `reuseOrder` believes any transaction.
#[test]
fn hole_2_an_order_of_a_free_asset_is_no_order_of_a_dear_one() {
    let mut bench = bench();
    let dear = publish(&mut bench).token;
    let free = bench
        .send(
            BUYER,
            FACTORY,
            &IFactory::createNftWithErc20Call {
                nft: NftData { owner: BUYER, ..nft_data() },
                datatoken: datatoken_data(),
            },
        )
        .unwrap()
        .value
        .erc20Address;
    send(&mut bench, BUYER, free, IDatatoken::mintCall { account: BUYER, value: whole(1) }).unwrap();
    let bought = order(&mut bench, free, BUYER, BUYER).unwrap();
    // The dear one has an order of the same number.
    give(&mut bench, dear, OTHER, 1);
    let order = order(&mut bench, dear, OTHER, OTHER).unwrap();
    let quote = quote(&signer(3), Address::ZERO, U256::ZERO, 0, b"a quote for the dear one");
    let call = IDatatoken::reuseOrderCall { orderTxId: bought, providerFee: quote };
    let unknown = Failure::revert(IDatatoken::OrderUnknown { order: bought });
    assert_eq!(send(&mut bench, BUYER, dear, call).map(drop), Err(unknown));
    // Nor may a stranger use what somebody else ordered.
    let call = IDatatoken::reuseOrderCall { orderTxId: order, providerFee: no_quote() };
    let stranger = Failure::revert(IDatatoken::OrderNotYours { order, caller: BUYER });
    assert_eq!(send(&mut bench, BUYER, dear, call).map(drop), Err(stranger));
}

/// In Ocean, the payer of several orders at once is the factory, and no node finds them.
#[test]
fn hole_8_an_order_of_several_is_found_as_any_other() {
    let mut bench = bench();
    let token = publish(&mut bench).token;
    give(&mut bench, token, BUYER, 1);
    approve(&mut bench, token, BUYER, FACTORY);
    let one = TokenOrder {
        token,
        consumer: BUYER,
        serviceIndex: U256::from(3),
        providerFee: no_quote(),
        consumeMarketFee: no_market(),
    };
    let call = IFactory::startMultipleTokenOrderCall { orders: vec![one] };
    let sent = send(&mut bench, BUYER, FACTORY, call).unwrap();
    assert_eq!(event::<IDatatoken::OrderStarted>(&sent.logs).payer, BUYER);
    let order = event::<IDatatoken::OrderRecorded>(&sent.logs).order;
    let valid =
        |service: u64| IDatatoken::validOrderCall { consumer: BUYER, payer: BUYER, serviceIndex: U256::from(service) };
    assert_eq!(bench.view(token, &valid(3)), Ok(order));
    assert_eq!(bench.view(token, &valid(0)), Ok(B256::ZERO));
    let call = IDatatoken::reuseOrderCall { orderTxId: order, providerFee: no_quote() };
    send(&mut bench, BUYER, token, call).unwrap();
}

/// In Ocean, a provider's quote never ends and serves anyone again and again.
#[test]
fn hole_12_a_quote_of_a_provider_ends_and_is_paid_once() {
    let mut bench = bench();
    let token = publish(&mut bench).token;
    let provider = signer(3);
    for buyer in [BUYER, OTHER] {
        give(&mut bench, token, buyer, 3);
        fund(&mut bench, PLAIN, buyer, U256::from(1000));
        approve(&mut bench, PLAIN, buyer, token);
    }
    let until = bench.time() + HOUR;
    let good = quote(&provider, PLAIN, U256::from(10), until, b"job");
    // What was not signed so is not a quote.
    for forged in [
        ProviderQuote { amount: U256::from(9), ..good.clone() },
        ProviderQuote { validUntil: U256::from(until + 1), ..good.clone() },
        ProviderQuote { data: Bytes::new(), ..good.clone() },
        ProviderQuote { feeAddress: OTHER, ..good.clone() },
    ] {
        let invalid = refused("Invalid provider fee");
        assert_eq!(send(&mut bench, BUYER, token, start(BUYER, forged)).map(drop), Err(invalid));
    }
    bench.pass(HOUR);
    let sent = send(&mut bench, BUYER, token, start(BUYER, good.clone())).unwrap();
    let bought = event::<IDatatoken::OrderRecorded>(&sent.logs).order;
    for from in [BUYER, OTHER] {
        let failure = send(&mut bench, from, token, start(from, good.clone())).map(drop).unwrap_err();
        let Failure::Revert(data) = failure else { panic!("a revert") };
        assert!(data.starts_with(&<IDatatoken::ProviderFeeSpent as alloy_sol_types::SolError>::SELECTOR));
    }
    let again = IDatatoken::reuseOrderCall { orderTxId: bought, providerFee: good };
    assert!(send(&mut bench, BUYER, token, again).is_err());
    let late = quote(&provider, PLAIN, U256::from(10), until, b"another job");
    bench.pass(1);
    let expired = Failure::revert(IDatatoken::ProviderFeeExpired { validUntil: U256::from(until) });
    assert_eq!(send(&mut bench, BUYER, token, start(BUYER, late)).map(drop), Err(expired));
    assert_eq!(balance(&mut bench, PLAIN, provider.address()), U256::from(10));
}
