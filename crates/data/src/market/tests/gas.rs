//! What calls cost, as the docs say.

use super::*;

#[test]
fn calls_cost_what_the_docs_say() {
    let mut bench = bench();
    let call = IFactory::createNftWithErc20WithFixedRateCall {
        nft: nft_data(),
        datatoken: datatoken_data(),
        fixedRate: rate_data(PLAIN, 18, whole(2), ONE / 1000, true),
    };
    bench.send(OWNER, FACTORY, &call).unwrap();
    let created = bench.send(OWNER, FACTORY, &call).unwrap();
    let (token, exchange) = (created.value.erc20Address, created.value.exchangeId);
    fund(&mut bench, PLAIN, BUYER, whole(100));
    approve(&mut bench, PLAIN, BUYER, FIXED_RATE);
    let first_buy = buy(&mut bench, BUYER, exchange, whole(1), whole(9)).unwrap().gas;
    let next_buy = buy(&mut bench, BUYER, exchange, whole(1), whole(9)).unwrap().gas;
    let provider = signer(3);
    let mut orders = Vec::new();
    for _ in 0..2 {
        let call = start(BUYER, quote(&provider, Address::ZERO, U256::ZERO, 0, b"{}"));
        orders.push(send(&mut bench, BUYER, token, call).unwrap());
    }
    let order = event::<IDatatoken::OrderRecorded>(&orders[1].logs).order;
    let call = IDatatoken::reuseOrderCall { orderTxId: order, providerFee: no_quote() };
    let reused = send(&mut bench, BUYER, token, call).unwrap().gas;
    approve(&mut bench, PLAIN, BUYER, ESCROW);
    let deposited = send(&mut bench, BUYER, ESCROW, IEscrow::depositCall { token: PLAIN, amount: whole(1) }).unwrap();
    let authorize = IEscrow::authorizeCall {
        token: PLAIN,
        payee: OTHER,
        maxLockedAmount: whole(1),
        maxLockSeconds: U256::from(HOUR),
        maxLockCounts: U256::from(9),
    };
    let authorized = send(&mut bench, BUYER, ESCROW, authorize).unwrap().gas;
    let (jobId, amount) = (U256::ONE, whole(1));
    let lock = IEscrow::createLockCall { jobId, token: PLAIN, payer: BUYER, amount, expiry: U256::from(HOUR) };
    let locked = send(&mut bench, OTHER, ESCROW, lock).unwrap().gas;
    let claim = IEscrow::claimLockCall { jobId, token: PLAIN, payer: BUYER, amount, proof: Bytes::new() };
    let claimed = send(&mut bench, OTHER, ESCROW, claim).unwrap().gas;
    let gas = [
        created.gas,
        first_buy,
        next_buy,
        orders[0].gas,
        orders[1].gas,
        reused,
        deposited.gas,
        authorized,
        locked,
        claimed,
    ];
    let thousands = gas.map(|gas| gas.div_ceil(1000));
    assert_eq!(thousands, [668, 184, 98, 129, 95, 37, 147, 115, 234, 220]);
}
