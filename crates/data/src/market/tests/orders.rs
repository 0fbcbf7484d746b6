//! Orders: who may place them, how long they stand, who is paid.

use super::*;
use alloy_sol_types::{Panic, PanicKind};
use stoa_contract::interfaces::{
    IERC20Errors::{ERC20InsufficientAllowance, ERC20InsufficientBalance},
    IERC20Permit::{DOMAIN_SEPARATORCall, ERC2612ExpiredSignature, noncesCall, permitCall},
};

fn reuse(bench: &mut Bench, token: Address, from: Address, order: B256) -> Result<(), Failure> {
    let call = IDatatoken::reuseOrderCall { orderTxId: order, providerFee: no_quote() };
    send(bench, from, token, call).map(drop)
}

fn set_timeout(bench: &mut Bench, token: Address, from: Address, seconds: u64) -> Result<(), Failure> {
    let call = IDatatoken::setServiceTimeoutCall { serviceIndex: U256::ZERO, timeout: U256::from(seconds) };
    send(bench, from, token, call).map(drop)
}

#[test]
fn an_order_costs_one_datatoken_of_which_the_community_has_three_hundredths() {
    let mut bench = bench();
    let token = publish(&mut bench).token;
    give(&mut bench, token, BUYER, 2);
    let sent = send(&mut bench, BUYER, token, start(OTHER, no_quote())).unwrap();
    let started = event::<IDatatoken::OrderStarted>(&sent.logs);
    assert_eq!((started.consumer, started.payer, started.amount), (OTHER, BUYER, whole(1)));
    let recorded = event::<IDatatoken::OrderRecorded>(&sent.logs);
    assert_eq!(recorded.order, crate::market::order_id(token, 1));
    let expected = Order { consumer: OTHER, payer: BUYER, serviceIndex: U256::ZERO, until: U256::ZERO };
    assert_eq!(bench.view(token, &IDatatoken::orderOfCall { order: recorded.order }), Ok(expected));
    let parts = [BUYER, OWNER, COMMUNITY].map(|account| balance(&mut bench, token, account));
    assert_eq!(parts, [whole(1), whole(97) / U256::from(100), whole(3) / U256::from(100)]);
    let valid = |consumer, payer| IDatatoken::validOrderCall { consumer, payer, serviceIndex: U256::ZERO };
    assert_eq!(bench.view(token, &valid(OTHER, BUYER)), Ok(recorded.order));
    assert_eq!(bench.view(token, &valid(BUYER, BUYER)), Ok(B256::ZERO));
}

#[test]
fn who_has_no_datatoken_orders_nothing() {
    let mut bench = bench();
    let token = publish(&mut bench).token;
    let none = refused("Not enough datatokens to start Order");
    assert_eq!(order(&mut bench, token, BUYER, BUYER), Err(none.clone()));
    give(&mut bench, token, BUYER, 1);
    send(&mut bench, BUYER, token, IERC20::transferCall { to: OTHER, value: U256::ONE }).unwrap();
    assert_eq!(order(&mut bench, token, BUYER, BUYER), Err(none));
    let service = U256::from(u64::MAX);
    give(&mut bench, token, BUYER, 1);
    let call = IDatatoken::startOrderCall { serviceIndex: service, ..start(BUYER, no_quote()) };
    let invalid = Failure::revert(IDatatoken::OrderInvalidService { serviceIndex: service });
    assert_eq!(send(&mut bench, BUYER, token, call).map(drop), Err(invalid));
}

#[test]
fn orders_are_taken_in_the_states_active_and_unlisted_alone() {
    let mut bench = bench();
    let Made { asset, token, .. } = publish(&mut bench);
    give(&mut bench, token, BUYER, 6);
    for state in 0..=5 {
        send(&mut bench, OWNER, asset, INft::setMetaDataStateCall { state }).unwrap();
        let ordered = order(&mut bench, token, BUYER, BUYER).map(drop);
        match state {
            0 | 5 => assert_eq!(ordered, Ok(())),
            _ => assert_eq!(ordered, Err(Failure::revert(IDatatoken::OrderingClosed { state }))),
        }
    }
}

#[test]
fn a_second_order_is_an_order_of_its_own_and_costs_again() {
    let mut bench = bench();
    let token = publish(&mut bench).token;
    give(&mut bench, token, BUYER, 2);
    let first = order(&mut bench, token, BUYER, BUYER).unwrap();
    let second = order(&mut bench, token, BUYER, BUYER).unwrap();
    assert_ne!(first, second);
    assert_eq!(bench.view(token, &IDatatoken::orderCountCall {}), Ok(U256::from(2)));
    assert_eq!(balance(&mut bench, token, BUYER), U256::ZERO);
    for order in [first, second] {
        reuse(&mut bench, token, BUYER, order).unwrap();
    }
    assert!(order(&mut bench, token, BUYER, BUYER).is_err());
}

#[test]
fn an_order_stands_as_long_as_the_service_said_when_it_was_placed() {
    let mut bench = bench();
    let token = publish(&mut bench).token;
    give(&mut bench, token, BUYER, 2);
    let refusal = refused("ERC20Template: NOT DEPLOYER ROLE");
    assert_eq!(set_timeout(&mut bench, token, BUYER, HOUR), Err(refusal));
    let forever = order(&mut bench, token, BUYER, BUYER).unwrap();
    set_timeout(&mut bench, token, OWNER, HOUR).unwrap();
    let until = U256::from(bench.time() + HOUR);
    let order = order(&mut bench, token, BUYER, OTHER).unwrap();
    // A shorter timeout later takes nothing from what was paid for.
    set_timeout(&mut bench, token, OWNER, 1).unwrap();
    bench.pass(HOUR - 1);
    reuse(&mut bench, token, OTHER, order).unwrap();
    let check = IDatatoken::checkOrderCall { order, account: OTHER };
    assert!(bench.view(token, &check).is_ok());
    bench.pass(1);
    let expired = Failure::revert(IDatatoken::OrderExpired { order, until });
    assert_eq!(reuse(&mut bench, token, BUYER, order), Err(expired.clone()));
    assert_eq!(bench.view(token, &check).map(drop), Err(expired));
    let valid = IDatatoken::validOrderCall { consumer: OTHER, payer: BUYER, serviceIndex: U256::ZERO };
    assert_eq!(bench.view(token, &valid), Ok(B256::ZERO));
    reuse(&mut bench, token, BUYER, forever).unwrap();
    let timeout = (1 << 40) + 1;
    let invalid = Failure::revert(IDatatoken::OrderInvalidTimeout { timeout: U256::from(timeout) });
    assert_eq!(set_timeout(&mut bench, token, OWNER, timeout), Err(invalid));
}

#[test]
fn payer_and_consumer_reuse_an_order_and_nobody_else() {
    let mut bench = bench();
    let token = publish(&mut bench).token;
    give(&mut bench, token, BUYER, 1);
    let order = order(&mut bench, token, BUYER, OTHER).unwrap();
    reuse(&mut bench, token, BUYER, order).unwrap();
    reuse(&mut bench, token, OTHER, order).unwrap();
    let stranger = Failure::revert(IDatatoken::OrderNotYours { order, caller: MARKET });
    assert_eq!(reuse(&mut bench, token, MARKET, order), Err(stranger));
    for unknown in [B256::ZERO, keccak256("a transaction"), crate::market::order_id(token, 2)] {
        let refusal = Failure::revert(IDatatoken::OrderUnknown { order: unknown });
        assert_eq!(reuse(&mut bench, token, BUYER, unknown), Err(refusal));
    }
}

#[test]
fn a_revoked_asset_ends_its_orders() {
    let mut bench = bench();
    let Made { asset, token, .. } = publish(&mut bench);
    give(&mut bench, token, BUYER, 1);
    let order = order(&mut bench, token, BUYER, BUYER).unwrap();
    for (state, stands) in [(1, true), (4, true), (3, false), (0, true)] {
        send(&mut bench, OWNER, asset, INft::setMetaDataStateCall { state }).unwrap();
        assert_eq!(reuse(&mut bench, token, BUYER, order).is_ok(), stands);
        let valid = IDatatoken::validOrderCall { consumer: BUYER, payer: BUYER, serviceIndex: U256::ZERO };
        assert_eq!(bench.view(token, &valid).unwrap() == order, stands);
    }
}

#[test]
fn market_and_provider_get_their_fees_to_the_last_unit() {
    let mut bench = bench();
    let mut data = datatoken_data();
    data.addresses[2..].copy_from_slice(&[MARKET, SIX]);
    data.uints[1] = U256::from(17);
    let token = publish_with(&mut bench, data).token;
    give(&mut bench, token, BUYER, 2);
    let provider = signer(3);
    for base in [SIX, PLAIN] {
        fund(&mut bench, base, BUYER, U256::from(1000));
        approve(&mut bench, base, BUYER, token);
    }
    // A tenth of what providers ask is the community's.
    let fees = [1_000_000_000_000_000, 2_000_000_000_000_000, 0, ONE / 10].map(U256::from);
    let [newSwapOceanFee, newSwapNonOceanFee, newConsumeFee, newProviderFee] = fees;
    let call = IRouter::updateOPCFeeCall { newSwapOceanFee, newSwapNonOceanFee, newConsumeFee, newProviderFee };
    send(&mut bench, GOVERNOR, ROUTER, call).unwrap();
    let call = IDatatoken::startOrderCall {
        consumeMarketFee: MarketQuote { feeAddress: CONSUME_MARKET, feeToken: PLAIN, amount: U256::from(23) },
        ..start(BUYER, quote(&provider, PLAIN, U256::from(109), 0, b"order 1"))
    };
    let sent = send(&mut bench, BUYER, token, call).unwrap();
    assert_eq!(event::<IDatatoken::PublishMarketFee>(&sent.logs).PublishMarketFeeAmount, U256::from(17));
    assert_eq!(event::<IDatatoken::ConsumeMarketFee>(&sent.logs).consumeMarketFeeAmount, U256::from(23));
    assert_eq!(event::<IDatatoken::ProviderFee>(&sent.logs).providerFeeAmount, U256::from(109));
    let has = [(SIX, MARKET), (PLAIN, CONSUME_MARKET), (PLAIN, COMMUNITY), (PLAIN, provider.address())]
        .map(|(base, account)| balance(&mut bench, base, account));
    assert_eq!(has, [17, 23, 10, 99].map(U256::from));
    assert_eq!(balance(&mut bench, token, OWNER), whole(1));

    // Fees that cannot be paid stop the order, datatoken and all.
    send(&mut bench, BUYER, SIX, IERC20::approveCall { spender: token, value: U256::ONE }).unwrap();
    let short = ERC20InsufficientAllowance { spender: token, allowance: U256::ONE, needed: U256::from(17) };
    assert_eq!(order(&mut bench, token, BUYER, BUYER), Err(Failure::revert(short)));
    assert_eq!(balance(&mut bench, token, BUYER), whole(1));
    let change = IDatatoken::setPublishingMarketFeeCall { feeAddress: OTHER, feeToken: PLAIN, amount: U256::from(1) };
    let refusal = refused("ERC20Template: not publishMarketFeeAddress");
    assert_eq!(send(&mut bench, OWNER, token, change.clone()).map(drop), Err(refusal));
    let nobody = IDatatoken::setPublishingMarketFeeCall { feeAddress: Address::ZERO, ..change.clone() };
    let refusal = refused("Invalid _publishMarketFeeAddress address");
    assert_eq!(send(&mut bench, MARKET, token, nobody).map(drop), Err(refusal));
    let nothing = IDatatoken::setPublishingMarketFeeCall { feeToken: Address::ZERO, ..change.clone() };
    let refusal = refused("Invalid _publishMarketFeeToken address");
    assert_eq!(send(&mut bench, MARKET, token, nothing).map(drop), Err(refusal));
    send(&mut bench, MARKET, token, change).unwrap();
}

#[test]
fn a_fee_in_a_token_that_keeps_a_part_is_refused() {
    let mut bench = bench();
    let token = publish(&mut bench).token;
    give(&mut bench, token, BUYER, 1);
    fund(&mut bench, FEE, BUYER, U256::from(1000));
    approve(&mut bench, FEE, BUYER, token);
    let call = start(BUYER, quote(&signer(3), FEE, U256::from(500), 0, b""));
    let low = refused("Transfer amount is too low");
    assert_eq!(send(&mut bench, BUYER, token, call).map(drop), Err(low));
}

#[test]
fn several_orders_at_once_are_the_callers_own() {
    let mut bench = bench();
    let mut data = datatoken_data();
    data.addresses[2..].copy_from_slice(&[MARKET, PLAIN]);
    data.uints[1] = U256::from(5);
    let tokens = [publish_with(&mut bench, data).token, publish(&mut bench).token];
    let provider = signer(3);
    fund(&mut bench, PLAIN, BUYER, U256::from(1000));
    approve(&mut bench, PLAIN, BUYER, FACTORY);
    for token in tokens {
        give(&mut bench, token, BUYER, 1);
        approve(&mut bench, token, BUYER, FACTORY);
    }
    let orders = tokens.map(|token| TokenOrder {
        token,
        consumer: OTHER,
        serviceIndex: U256::ZERO,
        providerFee: quote(&provider, PLAIN, U256::from(11), 0, b"both"),
        consumeMarketFee: MarketQuote { feeAddress: CONSUME_MARKET, feeToken: PLAIN, amount: U256::from(3) },
    });
    let sent = send(&mut bench, BUYER, FACTORY, IFactory::startMultipleTokenOrderCall { orders: orders.to_vec() });
    assert_eq!(count::<IDatatoken::OrderStarted>(&sent.unwrap().logs), 2);
    let has = [MARKET, CONSUME_MARKET, provider.address(), BUYER, FACTORY];
    let has = has.map(|account| balance(&mut bench, PLAIN, account));
    assert_eq!(has, [5, 6, 22, 1000 - 33, 0].map(U256::from));
    let ids = tokens.map(|token| crate::market::order_id(token, 1));
    for (token, id) in tokens.into_iter().zip(ids) {
        let is = bench.view(token, &IDatatoken::orderOfCall { order: id }).unwrap();
        assert_eq!((is.payer, is.consumer), (BUYER, OTHER));
    }
    let again = |order: B256| ReuseOrder {
        token: tokens[0],
        orderTxId: order,
        providerFee: quote(&provider, PLAIN, U256::from(7), 0, b"again"),
    };
    let call = IFactory::reuseMultipleTokenOrderCall { orders: vec![again(ids[0])] };
    assert!(send(&mut bench, MARKET, FACTORY, call.clone()).is_err());
    send(&mut bench, BUYER, FACTORY, call).unwrap();
    assert_eq!(balance(&mut bench, PLAIN, provider.address()), U256::from(29));
    let call = IFactory::reuseMultipleTokenOrderCall { orders: vec![again(ids[1])] };
    assert!(send(&mut bench, BUYER, FACTORY, call).is_err(), "an order of another datatoken");
    // Who is no factory orders for nobody else.
    let call = IDatatoken::startOrderForCall {
        payer: BUYER,
        consumer: OTHER,
        serviceIndex: U256::ZERO,
        providerFee: no_quote(),
        consumeMarketFee: no_market(),
    };
    assert_eq!(send(&mut bench, OTHER, tokens[0], call).map(drop), Err(Failure::Revert(Bytes::new())));
    let many = vec![orders[0].clone(); 51];
    let too_many = refused("ERC721Factory: Too Many Orders");
    let call = IFactory::startMultipleTokenOrderCall { orders: many };
    assert_eq!(send(&mut bench, BUYER, FACTORY, call).map(drop), Err(too_many));
}

#[test]
fn the_factory_keeps_nothing_of_what_it_passes_on() {
    let mut bench = bench();
    let token = publish(&mut bench).token;
    fund(&mut bench, PLAIN, BUYER, U256::from(10));
    give(&mut bench, token, BUYER, 1);
    for base in [PLAIN, token] {
        approve(&mut bench, base, BUYER, FACTORY);
    }
    // A fee for the factory itself is nobody's.
    let one = TokenOrder {
        token,
        consumer: BUYER,
        serviceIndex: U256::ZERO,
        providerFee: no_quote(),
        consumeMarketFee: MarketQuote { feeAddress: FACTORY, feeToken: PLAIN, amount: U256::from(10) },
    };
    send(&mut bench, BUYER, FACTORY, IFactory::startMultipleTokenOrderCall { orders: vec![one] }).unwrap();
    assert_eq!([BUYER, FACTORY].map(|account| balance(&mut bench, PLAIN, account)), [10, 0].map(U256::from));
    let allowance = IERC20::allowanceCall { owner: FACTORY, spender: token };
    assert_eq!(bench.view(PLAIN, &allowance), Ok(U256::ZERO));
    let strange = TokenOrder {
        token: PLAIN,
        consumer: BUYER,
        serviceIndex: U256::ZERO,
        providerFee: no_quote(),
        consumeMarketFee: no_market(),
    };
    let refusal = refused("ERC721Factory: not a datatoken");
    let call = IFactory::startMultipleTokenOrderCall { orders: vec![strange] };
    assert_eq!(send(&mut bench, BUYER, FACTORY, call).map(drop), Err(refusal));
}

#[test]
fn an_executed_order_bears_both_signatures() {
    let mut bench = bench();
    let token = publish(&mut bench).token;
    let (provider, consumer) = (signer(3), signer(4));
    give(&mut bench, token, BUYER, 1);
    let order = order(&mut bench, token, BUYER, consumer.address()).unwrap();
    let (provider_data, consumer_data) = (Bytes::from(vec![1, 2]), Bytes::from(vec![3]));
    let call = IDatatoken::orderExecutedCall {
        orderTxId: order,
        providerData: provider_data.clone(),
        providerSignature: sign_bytes(&provider, keccak256([order.as_slice(), &provider_data].concat())),
        consumerData: consumer_data.clone(),
        consumerSignature: sign_bytes(&consumer, keccak256(&consumer_data)),
        consumerAddress: consumer.address(),
    };
    let sent = send(&mut bench, provider.address(), token, call.clone()).unwrap();
    assert_eq!(event::<IDatatoken::OrderExecuted>(&sent.logs).orderTxId, order);
    let cases = [
        (OTHER, call.clone(), refused("Provider signature check failed")),
        (consumer.address(), call.clone(), refused("Provider cannot be the consumer")),
        (
            provider.address(),
            IDatatoken::orderExecutedCall { consumerSignature: Bytes::new(), ..call.clone() },
            refused("Consumer signature check failed"),
        ),
        (
            provider.address(),
            IDatatoken::orderExecutedCall { orderTxId: B256::ZERO, ..call.clone() },
            Failure::revert(IDatatoken::OrderUnknown { order: B256::ZERO }),
        ),
        (
            provider.address(),
            IDatatoken::orderExecutedCall { consumerAddress: OTHER, ..call },
            Failure::revert(IDatatoken::OrderNotYours { order, caller: OTHER }),
        ),
    ];
    for (from, call, refusal) in cases {
        assert_eq!(send(&mut bench, from, token, call).map(drop), Err(refusal));
    }
}

#[test]
fn a_permit_counts_once_and_ends_by_the_clock() {
    let mut bench = bench();
    let token = publish(&mut bench).token;
    let owner = signer(5);
    let separator = bench.view(token, &DOMAIN_SEPARATORCall {}).unwrap();
    let permit = |nonce: u64, deadline: u64| {
        let kind = keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        let (value, nonce, deadline) = (U256::from(9), U256::from(nonce), U256::from(deadline));
        let data = keccak256((kind, owner.address(), BUYER, value, nonce, deadline).abi_encode_params());
        let digest = keccak256([&[0x19, 0x01], separator.as_slice(), data.as_slice()].concat());
        let signature = owner.sign_hash_sync(&digest).unwrap();
        let (v, r, s) = (27 + u8::from(signature.v()), signature.r().into(), signature.s().into());
        permitCall { owner: owner.address(), spender: BUYER, value, deadline, v, r, s }
    };
    let now = bench.time();
    // Seconds, not blocks: a deadline that is far off as a block has long passed as a time.
    let (late, good) = (permit(0, now - 1), permit(0, now));
    let expired = Failure::revert(ERC2612ExpiredSignature { deadline: U256::from(now - 1) });
    assert_eq!(send(&mut bench, OTHER, token, late).map(drop), Err(expired));
    send(&mut bench, OTHER, token, good.clone()).unwrap();
    let allowance = IERC20::allowanceCall { owner: owner.address(), spender: BUYER };
    assert_eq!(bench.view(token, &allowance), Ok(U256::from(9)));
    assert_eq!(bench.view(token, &noncesCall { owner: owner.address() }), Ok(U256::ONE));
    assert!(send(&mut bench, OTHER, token, good).is_err());
}

#[test]
fn an_order_lies_in_storage_as_in_solidity() {
    let mut bench = bench();
    let token = publish(&mut bench).token;
    give(&mut bench, token, BUYER, 1);
    set_timeout(&mut bench, token, OWNER, HOUR).unwrap();
    let until = bench.time() + HOUR;
    order(&mut bench, token, BUYER, OTHER).unwrap();
    let word = |address: Address| U256::from_be_slice(address.as_slice());
    // address asset; uint64 orders; uint8 has.
    let asset = bench.view(token, &IDatatoken::getERC721AddressCall {}).unwrap();
    let head = word(asset) | (U256::ONE << 160) | (U256::from(8) << 224);
    assert_eq!(bench.storage(token, U256::from(5)), head);
    // mapping(uint64 => Placed) placed, at slot 14: address consumer; uint32 service; uint56 until; bool gift | address payer.
    let base = U256::from_be_bytes(keccak256((U256::ONE, U256::from(14)).abi_encode_params()).0);
    let first = word(OTHER) | (U256::from(until) << 192) | (U256::ONE << 248);
    assert_eq!([0, 1].map(|at| bench.storage(token, base + U256::from(at))), [first, word(BUYER)]);
}

#[test]
fn the_last_order_of_ones_own_lies_above_the_balance_and_is_no_part_of_it() {
    let mut bench = bench();
    let token = publish(&mut bench).token;
    give(&mut bench, token, BUYER, 5);
    give(&mut bench, token, OTHER, 1);
    approve(&mut bench, token, BUYER, FACTORY);
    let valid = |bench: &mut Bench, payer, service: u64| {
        let call = IDatatoken::validOrderCall { consumer: BUYER, payer, serviceIndex: U256::from(service) };
        bench.view(token, &call).unwrap()
    };
    // mapping(address => uint256) balances, at slot 0: uint192 balance; uint64 last.
    let slot = U256::from_be_bytes(keccak256((BUYER, U256::ZERO).abi_encode_params()).0);
    let first = order(&mut bench, token, BUYER, BUYER).unwrap();
    assert_eq!(bench.storage(token, slot), (U256::ONE << 192) | whole(4));
    assert_eq!(balance(&mut bench, token, BUYER), whole(4));
    let short = ERC20InsufficientBalance { sender: BUYER, balance: whole(4), needed: whole(5) };
    let call = IERC20::transferCall { to: OTHER, value: whole(5) };
    assert_eq!(send(&mut bench, BUYER, token, call).map(drop), Err(Failure::revert(short)));
    // Of another service, and paid by somebody else: neither is in its place.
    let call = IDatatoken::startOrderCall { serviceIndex: U256::ONE, ..start(BUYER, no_quote()) };
    let sent = send(&mut bench, BUYER, token, call).unwrap();
    let second = event::<IDatatoken::OrderRecorded>(&sent.logs).order;
    let third = order(&mut bench, token, OTHER, BUYER).unwrap();
    let asked = [(BUYER, 0), (BUYER, 1), (OTHER, 0), (OTHER, 1)];
    let told = asked.map(|(payer, service)| valid(&mut bench, payer, service));
    assert_eq!(told, [first, second, third, B256::ZERO]);
    // One that the factory places for him is.
    let one = TokenOrder {
        token,
        consumer: BUYER,
        serviceIndex: U256::ZERO,
        providerFee: no_quote(),
        consumeMarketFee: no_market(),
    };
    send(&mut bench, BUYER, FACTORY, IFactory::startMultipleTokenOrderCall { orders: vec![one] }).unwrap();
    assert_eq!(valid(&mut bench, BUYER, 0), crate::market::order_id(token, 4));
    // What is given and taken leaves it there, to the last unit.
    send(&mut bench, BUYER, token, IERC20::transferCall { to: OTHER, value: whole(2) }).unwrap();
    assert_eq!([BUYER, OTHER].map(|account| balance(&mut bench, token, account)), [U256::ZERO, whole(2)]);
    assert_eq!(valid(&mut bench, BUYER, 0), crate::market::order_id(token, 4));
    give(&mut bench, token, BUYER, 1);
    assert_eq!((balance(&mut bench, token, BUYER), valid(&mut bench, BUYER, 1)), (whole(1), second));
    assert_eq!(bench.storage(token, slot), (U256::from(4) << 192) | whole(1));
}

#[test]
fn there_are_no_more_datatokens_than_a_balance_has_room_for() {
    let mut bench = bench();
    let token = publish(&mut bench).token;
    let most = U256::MAX >> 64;
    let mint = |value| IDatatoken::mintCall { account: BUYER, value };
    let overflow = Failure::revert(Panic::from(PanicKind::UnderOverflow));
    for too_many in [U256::MAX, most + U256::ONE] {
        assert_eq!(send(&mut bench, OWNER, token, mint(too_many)).map(drop), Err(overflow.clone()));
    }
    send(&mut bench, OWNER, token, mint(most)).unwrap();
    assert_eq!(send(&mut bench, OWNER, token, mint(U256::ONE)).map(drop), Err(overflow));
    let order = order(&mut bench, token, BUYER, BUYER).unwrap();
    assert_eq!(balance(&mut bench, token, BUYER), most - whole(1));
    let valid = IDatatoken::validOrderCall { consumer: BUYER, payer: BUYER, serviceIndex: U256::ZERO };
    assert_eq!(bench.view(token, &valid), Ok(order));
}

#[test]
fn consent_can_be_for_whoever_has_an_order_that_stands() {
    use crate::abi::ICredentials::hasCredentialCall;
    let mut bench = bench();
    let Made { asset, token, .. } = publish(&mut bench);
    give(&mut bench, token, BUYER, 2);
    set_timeout(&mut bench, token, OWNER, HOUR).unwrap();
    let has = |bench: &mut Bench, holder, credential: U256| {
        bench.view(token, &hasCredentialCall { holder, credential: credential.into() }).unwrap()
    };
    // Of service 0; service 1 is 2, and 0 is none.
    assert!(!has(&mut bench, BUYER, U256::ONE));
    order(&mut bench, token, BUYER, BUYER).unwrap();
    order(&mut bench, token, BUYER, OTHER).unwrap();
    assert!(has(&mut bench, BUYER, U256::ONE));
    for other in [U256::ZERO, U256::from(2), U256::from(1_u64 << 33), U256::MAX] {
        assert!(!has(&mut bench, BUYER, other));
    }
    // What somebody else paid for is nothing that one has said yes to, until one does.
    assert!(!has(&mut bench, OTHER, U256::ONE));
    send(&mut bench, OWNER, asset, INft::setMetaDataStateCall { state: 3 }).unwrap();
    assert!(!has(&mut bench, BUYER, U256::ONE));
    send(&mut bench, OWNER, asset, INft::setMetaDataStateCall { state: 0 }).unwrap();
    bench.pass(HOUR);
    assert!(!has(&mut bench, BUYER, U256::ONE));
}

#[test]
fn an_order_that_somebody_else_paid_is_ones_own_once_one_accepts_it() {
    use crate::abi::ICredentials::hasCredentialCall;
    let mut bench = bench();
    let token = publish(&mut bench).token;
    give(&mut bench, token, BUYER, 4);
    let has = |bench: &mut Bench| {
        bench.view(token, &hasCredentialCall { holder: OTHER, credential: U256::ONE.into() }).unwrap()
    };
    let accept = |bench: &mut Bench, from: Address, order: B256| {
        send(bench, from, token, IDatatoken::acceptOrderCall { order }).map(|sent| sent.logs)
    };
    set_timeout(&mut bench, token, OWNER, HOUR).unwrap();
    let gift = order(&mut bench, token, BUYER, OTHER).unwrap();
    // Not by whoever paid, nor by a stranger.
    for caller in [BUYER, MARKET] {
        let refusal = Failure::revert(IDatatoken::OrderNotYours { order: gift, caller });
        assert_eq!(accept(&mut bench, caller, gift).map(drop), Err(refusal));
    }
    assert!(!has(&mut bench));
    let logs = accept(&mut bench, OTHER, gift).unwrap();
    let accepted = event::<IDatatoken::OrderAccepted>(&logs);
    assert_eq!((accepted.order, accepted.consumer, accepted.payer), (gift, OTHER, BUYER));
    assert!(has(&mut bench));
    for payer in [BUYER, OTHER] {
        let valid = IDatatoken::validOrderCall { consumer: OTHER, payer, serviceIndex: U256::ZERO };
        assert_eq!(bench.view(token, &valid), Ok(gift));
    }
    assert_eq!(bench.view(token, &IDatatoken::orderOfCall { order: gift }).unwrap().payer, BUYER);
    // Once, and none that would end before the one that is there.
    let stands = Failure::revert(IDatatoken::OrderStandsAlready { order: gift });
    assert_eq!(accept(&mut bench, OTHER, gift).map(drop), Err(stands.clone()));
    set_timeout(&mut bench, token, OWNER, 60).unwrap();
    let short = order(&mut bench, token, BUYER, OTHER).unwrap();
    assert_eq!(accept(&mut bench, OTHER, short).map(drop), Err(stands));
    set_timeout(&mut bench, token, OWNER, 0).unwrap();
    let forever = order(&mut bench, token, BUYER, OTHER).unwrap();
    accept(&mut bench, OTHER, forever).unwrap();
    bench.pass(HOUR);
    assert!(has(&mut bench));
    // One that is over cannot be accepted.
    let until = U256::from(bench.time() - HOUR + 60);
    let expired = Failure::revert(IDatatoken::OrderExpired { order: short, until });
    assert_eq!(accept(&mut bench, OTHER, short).map(drop), Err(expired));
}
