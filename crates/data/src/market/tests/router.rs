//! The table of fees, and several purchases at once.

use super::*;

#[test]
fn the_owner_of_the_table_and_nobody_else_changes_it() {
    let mut bench = bench();
    let fees = [2, 3, 4, 5].map(|number| U256::from(ONE / 1000 * number));
    let [newSwapOceanFee, newSwapNonOceanFee, newConsumeFee, newProviderFee] = fees;
    let update = IRouter::updateOPCFeeCall { newSwapOceanFee, newSwapNonOceanFee, newConsumeFee, newProviderFee };
    let not_owner = refused("OnlyOwner: Not Authorized");
    let add = IRouter::addApprovedTokenCall { token: PLAIN };
    let collector = IRouter::updateOPCCollectorCall { collector: OTHER };
    let owner = IRouter::changeRouterOwnerCall { owner: OTHER };
    assert_eq!(send(&mut bench, OTHER, ROUTER, update.clone()).map(drop), Err(not_owner.clone()));
    assert_eq!(send(&mut bench, OTHER, ROUTER, add.clone()).map(drop), Err(not_owner.clone()));
    assert_eq!(send(&mut bench, OTHER, ROUTER, collector).map(drop), Err(not_owner.clone()));
    assert_eq!(send(&mut bench, OTHER, ROUTER, owner.clone()).map(drop), Err(not_owner));

    send(&mut bench, GOVERNOR, ROUTER, update.clone()).unwrap();
    send(&mut bench, GOVERNOR, ROUTER, add).unwrap();
    let fee = |token| IRouter::getOPCFeeCall { baseToken: token };
    assert_eq!(
        [coin::ADDRESS, PLAIN, SIX].map(|token| bench.view(ROUTER, &fee(token)).unwrap()),
        [fees[0], fees[0], fees[1]]
    );
    assert_eq!(bench.view(ROUTER, &IRouter::getApprovedTokensCall {}), Ok(vec![coin::ADDRESS, PLAIN]));
    send(&mut bench, GOVERNOR, ROUTER, IRouter::removeApprovedTokenCall { token: PLAIN }).unwrap();
    assert_eq!(bench.view(ROUTER, &fee(PLAIN)), Ok(fees[1]));
    let high = IRouter::updateOPCFeeCall { newProviderFee: U256::from(ONE / 2 + 1), ..update };
    let refusal = Failure::revert(IRouter::RouterFeeTooHigh { fee: high.newProviderFee });
    assert_eq!(send(&mut bench, GOVERNOR, ROUTER, high).map(drop), Err(refusal));
    let nobody = IRouter::changeRouterOwnerCall { owner: Address::ZERO };
    let refusal = refused("Invalid new router owner");
    assert_eq!(send(&mut bench, GOVERNOR, ROUTER, nobody).map(drop), Err(refusal));
    send(&mut bench, GOVERNOR, ROUTER, owner).unwrap();
    assert_eq!(bench.view(ROUTER, &IRouter::routerOwnerCall {}), Ok(OTHER));
}

#[test]
fn where_nobody_collects_nobody_pays_the_community() {
    let mut bench = bench();
    send(&mut bench, GOVERNOR, ROUTER, IRouter::updateOPCCollectorCall { collector: Address::ZERO }).unwrap();
    assert_eq!(bench.view(ROUTER, &IRouter::getOPCFeeCall { baseToken: PLAIN }), Ok(U256::ZERO));
    let made = publish_at(&mut bench, PLAIN, 18, whole(2), 0);
    fund(&mut bench, PLAIN, BUYER, whole(2));
    approve(&mut bench, PLAIN, BUYER, FIXED_RATE);
    buy(&mut bench, BUYER, made.exchange, whole(1), whole(2)).unwrap();
    order(&mut bench, made.token, BUYER, BUYER).unwrap();
    assert_eq!(balance(&mut bench, made.token, OWNER), whole(1));
}

#[test]
fn several_purchases_at_once_succeed_together_or_not_at_all() {
    let mut bench = bench();
    let made = publish_at(&mut bench, PLAIN, 18, whole(2), 0);
    let free = publish(&mut bench).token;
    let open = IDatatoken::createDispenserCall {
        dispenser: DISPENSER,
        maxTokens: whole(1),
        maxBalance: whole(1),
        withMint: true,
        allowedSwapper: Address::ZERO,
    };
    send(&mut bench, OWNER, free, open).unwrap();
    fund(&mut bench, PLAIN, BUYER, whole(100));
    approve(&mut bench, PLAIN, BUYER, ROUTER);
    let purchase = |most: U256| Operation {
        exchangeId: made.exchange,
        source: FIXED_RATE,
        operation: 2,
        tokenIn: PLAIN,
        amountsIn: most,
        tokenOut: made.token,
        amountsOut: whole(1),
        maxPrice: U256::ZERO,
        swapMarketFee: U256::ZERO,
        marketFeeAddress: Address::ZERO,
    };
    let gift = Operation { source: DISPENSER, operation: 3, tokenOut: free, ..purchase(U256::ZERO) };
    let costs = whole(2004) / U256::from(1000);
    let batch = |operations: Vec<Operation>| IRouter::buyDTBatchCall { operations };
    let call = batch(vec![gift.clone(), purchase(costs - U256::ONE)]);
    assert_eq!(
        send(&mut bench, BUYER, ROUTER, call).map(drop),
        Err(refused("FixedRateExchange: Too many base tokens"))
    );
    assert_eq!(balance(&mut bench, free, BUYER), U256::ZERO);
    send(&mut bench, BUYER, ROUTER, batch(vec![gift.clone(), purchase(costs)])).unwrap();
    assert_eq!([free, made.token].map(|token| balance(&mut bench, token, BUYER)), [whole(1); 2]);
    assert_eq!(balance(&mut bench, PLAIN, BUYER), whole(100) - costs);
    assert_eq!(balance(&mut bench, PLAIN, ROUTER), U256::ZERO);
    let pool = Operation { operation: 0, ..gift.clone() };
    assert_eq!(
        send(&mut bench, BUYER, ROUTER, batch(vec![pool])).map(drop),
        Err(refused("FactoryRouter: Invalid operation"))
    );
    assert_eq!(
        send(&mut bench, BUYER, ROUTER, batch(vec![gift; 51])).map(drop),
        Err(refused("FactoryRouter: Too Many Operations"))
    );
}
