//! Money held until work is done.

use super::*;
use stoa_contract::interfaces::IERC20Permit::{DOMAIN_SEPARATORCall, permitCall};

const PAYEE: Address = OTHER;

fn ready(bench: &mut Bench, token: Address) {
    fund(bench, token, BUYER, U256::from(1000));
    approve(bench, token, BUYER, ESCROW);
}

fn deposit(bench: &mut Bench, token: Address, amount: u64) -> Result<(), Failure> {
    send(bench, BUYER, ESCROW, IEscrow::depositCall { token, amount: U256::from(amount) }).map(drop)
}

fn authorize(bench: &mut Bench, token: Address, most: u64, seconds: u64, locks: u64) {
    let call = IEscrow::authorizeCall {
        token,
        payee: PAYEE,
        maxLockedAmount: U256::from(most),
        maxLockSeconds: U256::from(seconds),
        maxLockCounts: U256::from(locks),
    };
    send(bench, BUYER, ESCROW, call).unwrap();
}

fn lock(bench: &mut Bench, from: Address, job: u64, token: Address, amount: u64, seconds: u64) -> Result<(), Failure> {
    let call = IEscrow::createLockCall {
        jobId: U256::from(job),
        token,
        payer: BUYER,
        amount: U256::from(amount),
        expiry: U256::from(seconds),
    };
    send(bench, from, ESCROW, call).map(drop)
}

fn claim(bench: &mut Bench, from: Address, job: u64, token: Address, amount: u64) -> Result<(), Failure> {
    let (jobId, amount, proof) = (U256::from(job), U256::from(amount), Bytes::from(vec![1, 2, 3]));
    send(bench, from, ESCROW, IEscrow::claimLockCall { jobId, token, payer: BUYER, amount, proof }).map(drop)
}

fn cancel(bench: &mut Bench, job: u64, token: Address) -> Result<(), Failure> {
    let call = IEscrow::cancelExpiredLockCall { jobId: U256::from(job), token, payer: BUYER, payee: PAYEE };
    send(bench, MARKET, ESCROW, call).map(drop)
}

fn funds(bench: &mut Bench, payer: Address, token: Address) -> [U256; 2] {
    let Funds { available, locked } = bench.view(ESCROW, &IEscrow::getUserFundsCall { payer, token }).unwrap();
    [available, locked]
}

#[test]
fn a_job_is_paid_from_its_lock_and_the_rest_returns() {
    let mut bench = bench();
    ready(&mut bench, PLAIN);
    deposit(&mut bench, PLAIN, 1000).unwrap();
    authorize(&mut bench, PLAIN, 900, HOUR, 2);
    lock(&mut bench, PAYEE, 7, PLAIN, 800, HOUR).unwrap();
    assert_eq!(funds(&mut bench, BUYER, PLAIN), [200, 800].map(U256::from));
    let view = IEscrow::getLocksCall { token: PLAIN, payer: BUYER, payee: PAYEE };
    let expiry = U256::from(bench.time() + HOUR);
    let expected = LockedFunds { jobId: U256::from(7), payer: BUYER, amount: U256::from(800), expiry, token: PLAIN };
    assert_eq!(bench.view(ESCROW, &view), Ok(vec![expected]));
    let other = IEscrow::getLocksCall { token: SIX, payer: BUYER, payee: PAYEE };
    assert_eq!(bench.view(ESCROW, &other), Ok(vec![]), "both must be as asked for");
    let view = IEscrow::getAuthorizationsCall { token: PLAIN, payer: BUYER, payee: Address::ZERO };
    let authorized = bench.view(ESCROW, &view).unwrap();
    assert_eq!((authorized[0].currentLockedAmount, authorized[0].currentLocks), (U256::from(800), U256::ONE));

    assert_eq!(claim(&mut bench, PAYEE, 7, PLAIN, 801), Err(refused("Amount too high")));
    assert_eq!(claim(&mut bench, MARKET, 7, PLAIN, 1), Err(refused("Lock not found")));
    // 0.2 % of 500 is the community's.
    claim(&mut bench, PAYEE, 7, PLAIN, 500).unwrap();
    assert_eq!(funds(&mut bench, BUYER, PLAIN), [500, 0].map(U256::from));
    assert_eq!(funds(&mut bench, PAYEE, PLAIN), [499, 0].map(U256::from));
    assert_eq!(funds(&mut bench, COMMUNITY, PLAIN), [1, 0].map(U256::from));
    assert_eq!(claim(&mut bench, PAYEE, 7, PLAIN, 1), Err(refused("Lock not found")));
    assert_eq!(bench.view(ESCROW, &IEscrow::getUserTokensCall { user: PAYEE }), Ok(vec![PLAIN]));
    for (account, amount) in [(BUYER, 500), (PAYEE, 499), (COMMUNITY, 1)] {
        let withdraw = |amount: u64| IEscrow::withdrawCall { tokens: vec![PLAIN], amounts: vec![U256::from(amount)] };
        let more = refused("Not enough available funds");
        assert_eq!(send(&mut bench, account, ESCROW, withdraw(amount + 1)).map(drop), Err(more));
        send(&mut bench, account, ESCROW, withdraw(amount)).unwrap();
        assert_eq!(balance(&mut bench, PLAIN, account), U256::from(amount));
    }
}

#[test]
fn a_payee_locks_what_the_payer_authorized_and_no_more() {
    let mut bench = bench();
    ready(&mut bench, PLAIN);
    assert_eq!(lock(&mut bench, PAYEE, 1, PLAIN, 0, 1), Err(refused("No auth found")));
    assert_eq!(deposit(&mut bench, Address::ZERO, 1), Err(refused("Invalid token address")));
    for (token, payee, refusal) in
        [(Address::ZERO, PAYEE, "Invalid token address"), (PLAIN, Address::ZERO, "Invalid payee")]
    {
        let [maxLockedAmount, maxLockSeconds, maxLockCounts] = [U256::ONE; 3];
        let call = IEscrow::authorizeCall { token, payee, maxLockedAmount, maxLockSeconds, maxLockCounts };
        assert_eq!(send(&mut bench, BUYER, ESCROW, call).map(drop), Err(refused(refusal)));
    }
    authorize(&mut bench, PLAIN, 500, HOUR, 2);
    assert_eq!(lock(&mut bench, PAYEE, 1, PLAIN, 1, 1), Err(refused("Payer does not have enough funds")));
    deposit(&mut bench, PLAIN, 1000).unwrap();
    assert_eq!(lock(&mut bench, MARKET, 1, PLAIN, 1, 1), Err(refused("No auth found")));
    assert_eq!(lock(&mut bench, BUYER, 1, PLAIN, 1, 1), Err(refused("Payeer cannot be payee")));
    assert_eq!(lock(&mut bench, PAYEE, 0, PLAIN, 1, 1), Err(refused("Invalid jobId")));
    assert_eq!(lock(&mut bench, PAYEE, 1, Address::ZERO, 1, 1), Err(refused("Invalid token address")));
    assert_eq!(lock(&mut bench, PAYEE, 1, PLAIN, 1, HOUR + 1), Err(refused("Expiry too high")));
    assert_eq!(lock(&mut bench, PAYEE, 1, PLAIN, 501, HOUR), Err(refused("Exceeds maxLockedAmount")));
    lock(&mut bench, PAYEE, 1, PLAIN, 300, HOUR).unwrap();
    assert_eq!(lock(&mut bench, PAYEE, 2, PLAIN, 201, HOUR), Err(refused("Exceeds maxLockedAmount")));
    assert_eq!(lock(&mut bench, PAYEE, 1, PLAIN, 1, HOUR), Err(refused("JobId already exists")));
    lock(&mut bench, PAYEE, 2, PLAIN, 1, HOUR).unwrap();
    assert_eq!(lock(&mut bench, PAYEE, 3, PLAIN, 1, HOUR), Err(refused("Exceeds maxLockCounts")));
    // What is locked cannot be withdrawn.
    let call = IEscrow::withdrawCall { tokens: vec![PLAIN], amounts: vec![U256::from(700)] };
    assert_eq!(send(&mut bench, BUYER, ESCROW, call).map(drop), Err(refused("Not enough available funds")));
    // Less may be authorized later; what is locked stays.
    authorize(&mut bench, PLAIN, 0, 0, 0);
    claim(&mut bench, PAYEE, 1, PLAIN, 300).unwrap();
    assert_eq!(lock(&mut bench, PAYEE, 4, PLAIN, 1, 0), Err(refused("Exceeds maxLockedAmount")));
}

#[test]
fn what_clients_write_with_decimals_is_shown_as_they_wrote_it() {
    let mut bench = bench();
    let call = IEscrow::authorizeCall {
        token: PLAIN,
        payee: PAYEE,
        maxLockedAmount: whole(50),
        maxLockSeconds: whole(3600),
        maxLockCounts: whole(2),
    };
    send(&mut bench, BUYER, ESCROW, call).unwrap();
    let view = IEscrow::getAuthorizationsCall { token: PLAIN, payer: BUYER, payee: PAYEE };
    let shown = bench.view(ESCROW, &view).unwrap();
    assert_eq!([shown[0].maxLockSeconds, shown[0].maxLockCounts], [whole(3600), whole(2)]);
}

#[test]
fn an_expired_lock_returns_whoever_ends_it() {
    let mut bench = bench();
    ready(&mut bench, PLAIN);
    deposit(&mut bench, PLAIN, 1000).unwrap();
    authorize(&mut bench, PLAIN, 1000, HOUR, 2);
    lock(&mut bench, PAYEE, 1, PLAIN, 400, HOUR).unwrap();
    lock(&mut bench, PAYEE, 2, PLAIN, 600, HOUR).unwrap();
    bench.pass(HOUR - 1);
    assert_eq!(cancel(&mut bench, 1, PLAIN), Err(refused("Lock is not expired")));
    bench.pass(1);
    cancel(&mut bench, 1, PLAIN).unwrap();
    assert_eq!(cancel(&mut bench, 1, PLAIN), Err(refused("Lock not found")));
    // A claim that comes too late claims nothing.
    claim(&mut bench, PAYEE, 2, PLAIN, 600).unwrap();
    assert_eq!(funds(&mut bench, BUYER, PLAIN), [1000, 0].map(U256::from));
    assert_eq!(funds(&mut bench, PAYEE, PLAIN), [0, 0].map(U256::from));
}

#[test]
fn plural_forms_do_all_or_nothing() {
    let mut bench = bench();
    for token in [PLAIN, SIX] {
        ready(&mut bench, token);
    }
    let tokens = vec![PLAIN, SIX];
    let amounts = [100, 100].map(U256::from).to_vec();
    let both = IEscrow::depositMultipleCall { tokens: tokens.clone(), amounts: amounts.clone() };
    send(&mut bench, BUYER, ESCROW, both).unwrap();
    let odd = IEscrow::depositMultipleCall { tokens: tokens.clone(), amounts: vec![U256::ONE] };
    assert_eq!(send(&mut bench, BUYER, ESCROW, odd).map(drop), Err(refused("Invalid input")));
    let hour = vec![U256::from(HOUR); 2];
    let call = IEscrow::authorizeMultipleCall {
        tokens: tokens.clone(),
        payees: vec![PAYEE; 2],
        maxLockedAmounts: amounts.clone(),
        maxLockSeconds: hour.clone(),
        maxLockCounts: amounts.clone(),
    };
    send(&mut bench, BUYER, ESCROW, call).unwrap();
    let jobs = [1, 1].map(U256::from).to_vec();
    let locks = |amounts: Vec<U256>| IEscrow::createLocksCall {
        jobIds: jobs.clone(),
        tokens: tokens.clone(),
        payers: vec![BUYER; 2],
        amounts,
        expiries: hour.clone(),
    };
    assert!(send(&mut bench, PAYEE, ESCROW, locks([100, 101].map(U256::from).to_vec())).is_err());
    assert_eq!(funds(&mut bench, BUYER, PLAIN), [100, 0].map(U256::from));
    send(&mut bench, PAYEE, ESCROW, locks(amounts.clone())).unwrap();
    let call = IEscrow::claimLocksAndWithdrawCall {
        jobIds: jobs.clone(),
        tokens: tokens.clone(),
        payers: vec![BUYER; 2],
        amounts: [60, 100].map(U256::from).to_vec(),
        proofs: vec![Bytes::new(); 2],
    };
    send(&mut bench, PAYEE, ESCROW, call).unwrap();
    // 0.2 % of so little is nothing.
    assert_eq!([PLAIN, SIX].map(|token| balance(&mut bench, token, PAYEE)), [60, 100].map(U256::from));
    let call = IEscrow::cancelExpiredLocksCall { jobIds: jobs, tokens, payers: vec![BUYER; 2], payees: vec![PAYEE; 2] };
    assert_eq!(send(&mut bench, MARKET, ESCROW, call).map(drop), Err(refused("Lock not found")));
}

#[test]
fn a_deposit_may_come_with_a_permit() {
    let mut bench = bench();
    let token = publish(&mut bench).token;
    let payer = signer(6);
    give(&mut bench, token, payer.address(), 2);
    let separator = bench.view(token, &DOMAIN_SEPARATORCall {}).unwrap();
    let (value, deadline) = (whole(1), U256::from(bench.time()));
    let permit = |nonce: u64| {
        let kind = keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        let data = (kind, payer.address(), ESCROW, value, U256::from(nonce), deadline).abi_encode_params();
        let digest = keccak256([&[0x19, 0x01], separator.as_slice(), keccak256(data).as_slice()].concat());
        let signature = payer.sign_hash_sync(&digest).unwrap();
        let (v, r, s) = (27 + u8::from(signature.v()), B256::from(signature.r()), B256::from(signature.s()));
        permitCall { owner: payer.address(), spender: ESCROW, value, deadline, v, r, s }
    };
    let deposit = |permit: &permitCall| IEscrow::depositWithPermitCall {
        token,
        amount: value,
        deadline,
        v: permit.v,
        r: permit.r,
        s: permit.s,
    };
    send(&mut bench, payer.address(), ESCROW, deposit(&permit(0))).unwrap();
    // Somebody who saw it used the permit: it has done its work.
    let seen = permit(1);
    send(&mut bench, OTHER, token, seen.clone()).unwrap();
    send(&mut bench, payer.address(), ESCROW, deposit(&seen)).unwrap();
    assert_eq!(funds(&mut bench, payer.address(), token), [whole(2), U256::ZERO]);
    assert!(send(&mut bench, payer.address(), ESCROW, deposit(&seen)).is_err());
}

#[test]
fn tokens_that_keep_a_part_or_call_back_gain_nothing() {
    let mut bench = bench();
    ready(&mut bench, FEE);
    assert_eq!(deposit(&mut bench, FEE, 500), Err(refused("Transfer amount is too low")));
    ready(&mut bench, REENTRANT);
    fund(&mut bench, REENTRANT, REENTRANT, U256::from(100));
    deposit(&mut bench, REENTRANT, 100).unwrap();
    let again = IEscrow::depositCall { token: REENTRANT, amount: U256::from(50) }.abi_encode();
    let arm = ITestToken::armCall { target: ESCROW, data: again.into() };
    send(&mut bench, MARKET, REENTRANT, arm).unwrap();
    // With what arrives in between, a deposit would be measured too high.
    deposit(&mut bench, REENTRANT, 100).unwrap();
    assert_eq!(bench.view(REENTRANT, &ITestToken::callsCall {}), Ok(U256::ZERO));
    assert_eq!(funds(&mut bench, BUYER, REENTRANT), [200, 0].map(U256::from));
    assert_eq!(balance(&mut bench, REENTRANT, ESCROW), U256::from(200));
}
