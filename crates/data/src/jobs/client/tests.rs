//! Beginning jobs at a node whose ledger is the contracts themselves, while another program of the account begins some as well.

use super::{grants::grant_for, start::begun, *};
use crate::{
    abi::{
        IConsent::{Terms, grantCall, registerCall, revokeCall, useGrantCall},
        TOKEN,
    },
    answering::{self, Answer, called, reverted, usual},
    jobs::{
        abi::{
            FAILED,
            IJobs::{
                Checks, JobNotOver, JobStarted, JobsBondTooLow, JobsOtherOffer, JobsTooMuchFuel, checkOfCall,
                jobsOfCall, startCall,
            },
        },
        receipt_digest,
        tests::terms,
    },
    registry::sign_digest,
};
use alloy_primitives::{Bloom, Bytes};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolError as _;
use commonware_cryptography::{Signer as _, ed25519};
use serde_json::{Value, json};
use std::collections::VecDeque;
use stoa_contract::{
    Natives,
    bench::Bench,
    interfaces::IERC20Errors::{ERC20InsufficientAllowance, ERC20InsufficientBalance},
};

const OWNER: Address = Address::repeat_byte(0xa1);
const PROGRAM: B256 = B256::repeat_byte(8);
const FUEL: u64 = 10_000_000;
/// What a job costs: a hundred, and three for each million steps.
const COST: U256 = U256::from_limbs([130, 0, 0, 0]);

fn coin(tenths: u64) -> U256 {
    U256::from(tenths) * U256::from(10).pow(U256::from(17))
}

/// How many jobs another program of the account begins: when the account's approvals are in a block, and just before a job of its own is.
#[derive(Default)]
struct Others {
    begin: Option<startCall>,
    after_approvals: VecDeque<u32>,
    before_starts: VecDeque<u32>,
}

struct Node {
    bench: Bench,
    account: Address,
    others: Others,
    /// What was estimated last, and is sent next.
    next: (Address, Bytes),
}

impl Node {
    fn others_begin(&mut self, jobs: Option<u32>) {
        for _ in 0..jobs.unwrap_or(0) {
            self.bench.send(self.account, JOBS, self.others.begin.as_ref().unwrap()).unwrap();
        }
    }

    /// A transaction of the account: what its receipt says.
    fn send(&mut self) -> Value {
        let (to, input) = self.next.clone();
        if to == JOBS {
            let jobs = self.others.before_starts.pop_front();
            self.others_begin(jobs);
        }
        let sent = self.bench.send_raw(self.account, to, U256::ZERO, input);
        if to == COIN {
            let jobs = self.others.after_approvals.pop_front();
            self.others_begin(jobs);
        }
        let placed = |inner| alloy_rpc_types_eth::Log { inner, ..alloy_rpc_types_eth::Log::default() };
        let logs: Vec<_> = sent.iter().flat_map(|sent| sent.logs.clone()).map(placed).collect();
        json!({
            "type": "0x2", "status": if sent.is_ok() { "0x1" } else { "0x0" }, "cumulativeGasUsed": "0x5208",
            "logsBloom": Bloom::ZERO, "logs": logs, "transactionHash": B256::ZERO, "transactionIndex": "0x0",
            "blockHash": B256::ZERO, "blockNumber": "0x1", "gasUsed": "0x5208", "effectiveGasPrice": "0x1",
            "from": self.account, "to": to, "contractAddress": null,
        })
    }

    /// What keeps a job from beginning now: what is allowed is too little.
    fn refusal(&mut self, to: Address) -> Option<Bytes> {
        let allowed = IERC20::allowanceCall { owner: self.account, spender: JOBS };
        let allowance = self.bench.view(COIN, &allowed).unwrap();
        let short = ERC20InsufficientAllowance { spender: JOBS, allowance, needed: COST };
        (to == JOBS && allowance < COST).then(|| short.abi_encode().into())
    }

    fn answer(&mut self, method: &str, params: &Value) -> Answer {
        Ok(match method {
            "eth_getTransactionCount" | "eth_gasPrice" => json!("0x1"),
            "eth_estimateGas" => {
                self.next = called(params);
                match self.refusal(self.next.0) {
                    Some(data) => return Err(reverted(&data)),
                    None => json!("0x100000"),
                }
            }
            "eth_sendRawTransactionSync" => self.send(),
            _ => return usual(&mut self.bench, method, params),
        })
    }
}

/// The wallet of an account that has ten coins, at a node whose ledger is made so, and what was made.
async fn wallet<T: Send + 'static>(
    make: impl FnOnce(&mut Bench, Address) -> (T, Others) + Send + 'static,
) -> (Wallet, T) {
    let signer = PrivateKeySigner::random();
    let account = signer.address();
    let (client, what) = answering::node(move || {
        let mut bench = Bench::new(crate::natives(Natives::stoa())).with_coin(&[(account, coin(100))]);
        let (what, others) = make(&mut bench, account);
        let mut node = Node { bench, account, others, next: (Address::ZERO, Bytes::new()) };
        (move |method: &str, params: &Value| node.answer(method, params), what)
    });
    (Wallet::new(client, signer).await.unwrap(), what)
}

/// What is offered of assets.
fn offer() -> Offer {
    Offer {
        node: B256::repeat_byte(7),
        data: B256::repeat_byte(1),
        rules: B256::repeat_byte(2),
        token: COIN,
        payTo: OWNER,
        base: U256::from(100),
        price: U256::from(3),
        fuel: FUEL,
        time: 3600,
        runtimes: WASM,
        checks: Checks::default(),
    }
}

/// An asset that is offered.
fn offered(bench: &mut Bench, number: u8) -> B256 {
    let (salt, none) = (B256::repeat_byte(number), B256::ZERO);
    let register = registerCall { salt, object: none, sharing: none, needed: 0, keepers: vec![], ownerHalf: true };
    let asset = bench.send(OWNER, CONSENT, &register).unwrap().value;
    bench.send(OWNER, JOBS, &offerCall { asset, offer: offer() }).unwrap();
    asset
}

fn grant(bench: &mut Bench, asset: B256, terms: Terms) -> B256 {
    bench.send(OWNER, CONSENT, &grantCall { asset, terms }).unwrap().value
}

#[tokio::test]
async fn programs_of_one_account_that_begin_jobs_at_the_same_time_do_not_keep_each_other_from_it() {
    let node = NodeId::from(&ed25519::PrivateKey::from_seed(1).public_key());
    let (wallet, (asset, grant)) = wallet(move |bench, account| {
        let asset = offered(bench, 1);
        let grant = grant(bench, asset, terms(account));
        let (algorithm, client) = (PROGRAM, node.into());
        let begin = startCall { grant, algorithm, client, runtime: WASM, fuel: FUEL, most: COST, offer: 1 };
        // What is allowed is gone when the job is about to be sent; then while it is on its way.
        let others = Others { begin: Some(begin), after_approvals: [1].into(), before_starts: [2].into() };
        ((asset, grant), others)
    })
    .await;
    let address = PeerAddress::new(node, "127.0.0.1:1").unwrap();
    let ready = Ready { asset, grant, offer: 1, node: address, token: COIN, cost: COST };
    let wanted = Wanted { algorithm: PROGRAM, runtime: WASM, rounds: 1, fuel: FUEL, most: COST };
    let (begun, outcome) = start_all(&wallet, node, &[ready], &wanted).await;
    outcome.unwrap();
    assert_eq!((begun.len(), begun[0].asset, begun[0].held), (1, asset, COST));
    let page = jobsOfCall { asset, from: U256::ZERO, most: U256::from(10) };
    let jobs = view(wallet.client(), JOBS, &page).await.unwrap().0;
    assert!(jobs.len() == 4 && jobs[3] == begun[0].job, "{jobs:?}");
    // Each time twice as much is allowed: one job's, two, four; of the last one was taken.
    let allowed = IERC20::allowanceCall { owner: wallet.address(), spender: JOBS };
    assert_eq!(view(wallet.client(), COIN, &allowed).await.unwrap().0, U256::from(3) * COST);
}

#[test]
fn a_job_on_another_offer_than_was_looked_at_is_not_taken_for_the_one_that_was_wanted() {
    let node = NodeId::from(&ed25519::PrivateKey::from_seed(1).public_key());
    let (asset, grant) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let node = PeerAddress::new(node, "127.0.0.1:1").unwrap();
    let ready = Ready { asset, grant, offer: 2, node, token: COIN, cost: COST };
    let job = B256::repeat_byte(3);
    let started = |offer| JobStarted { job, asset, offer, locked: COST, ..JobStarted::default() };
    let one = begun(&started(2), &ready).unwrap();
    assert_eq!((one.job, one.asset, one.held), (job, asset, COST));
    let why = begun(&started(3), &ready).unwrap_err().to_string();
    assert!(why.contains("began on offer 3") && why.contains("offer 2 of asset"), "{why}");
    let changed = IJobsErrors::JobsOtherOffer(JobsOtherOffer { asset, offer: 2, present: 3 });
    assert!(words(&changed, COIN).contains("has changed since it was looked at"), "{}", words(&changed, COIN));
}

#[tokio::test]
async fn a_buyer_has_those_drawn_who_check_his_jobs_as_soon_as_that_can_be() {
    let (wallet, [job, late, open]) = wallet(|bench, account| {
        let key = ed25519::PrivateKey::from_seed(1);
        let checks = Checks { auditors: vec![B256::repeat_byte(5)], drawn: 1, chance: 10_000, ..Checks::default() };
        let asset = offered(bench, 1);
        let offer = Offer { node: NodeId::from(&key.public_key()).into(), checks, ..offer() };
        bench.send(OWNER, JOBS, &offerCall { asset, offer }).unwrap();
        bench.send(account, COIN, &IERC20::approveCall { spender: JOBS, value: U256::MAX }).unwrap();
        bench.send(account, JOBS, &bondCall { asset, token: COIN, amount: U256::from(3) * COST }).unwrap();
        let grant = grant(bench, asset, terms(account));
        let (algorithm, client) = (PROGRAM, B256::repeat_byte(9));
        let begin = startCall { grant, algorithm, client, runtime: WASM, fuel: FUEL, most: COST, offer: 2 };
        let jobs = [(); 3].map(|()| bench.send(account, JOBS, &begin).unwrap().value);
        for job in &jobs[..2] {
            let receipt = Receipt { data: B256::repeat_byte(1), fuel: FUEL, ..Receipt::default() };
            let signature = sign_digest(&key, receipt_digest(31337, *job, &receipt)).to_vec().into();
            // When the third block after the first one's receipt is there, that of the second one's is not.
            (0..2).for_each(|_| bench.pass(1));
            bench.send(account, JOBS, &finishCall { job: *job, receipt, signature }).unwrap();
        }
        bench.pass(1);
        (jobs, Others::default())
    })
    .await;
    let stands = async |job| view(wallet.client(), JOBS, &checkOfCall { job }).await.unwrap().0.state;
    for (job, drawn, state) in [(job, true, DRAWN), (late, false, WAITING), (open, false, WAITING), (job, true, DRAWN)]
    {
        assert_eq!((draw(&wallet, job).await.unwrap(), stands(job).await), (drawn, state));
    }
    draw_soon(&wallet, [job]).await.unwrap();
}

#[tokio::test]
async fn whom_no_grant_lets_have_a_program_run_hears_what_is_wrong_with_his() {
    let (wallet, assets) = wallet(|bench, account| {
        let [others, own] = [OWNER, account].map(terms);
        let holders = Terms { kind: TOKEN, ..terms(CONSENT) };
        let program = Terms { algorithm: B256::repeat_byte(9), ..own.clone() };
        let granted = [
            vec![],
            vec![others.clone()],
            vec![others, holders.clone()],
            vec![program.clone(), holders],
            vec![own.clone(), program],
        ];
        let mut assets = Vec::new();
        for (number, granted) in (0..).zip(granted) {
            let asset = offered(bench, number);
            for terms in granted {
                grant(bench, asset, terms);
            }
            assets.push(asset);
        }
        let asset = offered(bench, 9);
        let revoked = grant(bench, asset, own);
        bench.send(OWNER, CONSENT, &revokeCall { grant: revoked }).unwrap();
        assets.push(asset);
        // He holds coins, and no credential.
        let asset = offered(bench, 10);
        let used = grant(bench, asset, Terms { kind: TOKEN, limit: 1, ..terms(COIN) });
        bench.send(account, CONSENT, &useGrantCall { grant: used, kind: COMPUTE, algorithm: PROGRAM }).unwrap();
        grant(bench, asset, Terms { kind: TOKEN, algorithm: B256::repeat_byte(9), ..terms(COIN) });
        grant(bench, asset, Terms { kind: CREDENTIAL, credential: B256::with_last_byte(1), ..terms(CONSENT) });
        assets.push(asset);
        (assets, Others::default())
    })
    .await;
    grant_for(&wallet, assets[4], PROGRAM).await.unwrap();
    let wants = [
        (0, ""),
        (1, ""),
        (2, "is for who holds a token of"),
        (3, "is for another algorithm"),
        (5, "was revoked in block"),
        (6, " was for 1 use, and is used up"),
    ];
    for (number, want) in wants {
        let asset = assets[number];
        let said = grant_for(&wallet, asset, PROGRAM).await.unwrap_err().to_string();
        let none = format!("no grant of asset {asset} lets {} have this program run", wallet.address());
        let rest = said.strip_prefix(&none).unwrap_or_else(|| panic!("{said}"));
        assert!(rest.contains(want) && rest.is_empty() == want.is_empty(), "{said}");
    }
    // Of each that is for him it is said, and of no other.
    let said = grant_for(&wallet, assets[6], PROGRAM).await.unwrap_err().to_string();
    assert!(said.contains("is for another algorithm; grant ") && !said.contains("credential"), "{said}");
}

#[test]
fn who_could_not_pay_or_was_overtaken_is_told_so_in_words() {
    let why = short(Address::ZERO, coin(2), coin(6), COIN);
    assert!(why.contains("has 0.2 STOA, and 0.6 STOA are needed"), "{why}");
    let refused = |data: Vec<u8>| SendError::from(ViewError::Reverted(data.into()));
    let short = ERC20InsufficientAllowance { spender: JOBS, allowance: coin(2), needed: coin(6) };
    assert!(may_go_well(&refused(short.abi_encode())) && may_go_well(&SendError::Reverted(B256::ZERO)));
    let why = said_of(refused(short.abi_encode()), COIN).to_string();
    assert!(why.starts_with("the contract of jobs may take 0.2 STOA of the account, and 0.6 STOA are needed"), "{why}");
    let poor = ERC20InsufficientBalance { sender: OWNER, balance: coin(2), needed: coin(6) };
    assert!(!may_go_well(&refused(poor.abi_encode())));
    let why = said_of(refused(poor.abi_encode()), COIN).to_string();
    assert_eq!(why, format!("{OWNER} has 0.2 STOA, and 0.6 STOA are needed"));
}

#[test]
fn how_many_steps_and_until_when_is_told_as_it_is_typed_and_read() {
    let much = IJobsErrors::JobsTooMuchFuel(JobsTooMuchFuel { fuel: 100_001_000_000, most: 100_000_000_000 });
    let why = words(&much, COIN);
    assert!(why.starts_with("100001 million steps are asked for, and 100000 million are offered"), "{why}");
    let early = IJobsErrors::JobNotOver(JobNotOver { job: B256::ZERO, until: 1_796_124_445 });
    assert!(words(&early, COIN).ends_with("has time until 2026-12-01 11:27:25 UTC"), "{}", words(&early, COIN));
}

#[test]
fn an_owner_who_wants_too_much_of_his_bond_back_is_not_told_to_add_to_it() {
    let [free, needed] = [coin(2), coin(6)];
    let low = JobsBondTooLow { asset: B256::ZERO, free, needed }.abi_encode();
    let refused = || SendError::from(ViewError::Reverted(low.clone().into()));
    let why = bound(refused(), COIN).to_string();
    assert!(why.starts_with("0.6 STOA of the bond of asset 0x") && why.contains("0.2 STOA of it are free"), "{why}");
    assert!(!why.contains("add to it"), "{why}");
    assert!(said_of(refused(), COIN).to_string().contains("add to it"));
}

#[test]
fn what_a_program_printed_does_not_stand_within_the_sentence_that_says_how_it_failed() {
    let said = over(FAILED, "the program failed (with code 1)\nthere is no column\nbye\n", 2, B256::ZERO);
    let first = format!("the program failed (with code 1) in round 2 on asset {}", B256::ZERO);
    assert_eq!(said, format!("{first}\nthere is no column\nbye"));
    let said = over(LIMITED, &format!("{OUT_OF_STEPS} (its steps)\nhello\n"), 1, B256::ZERO);
    assert!(said.ends_with("(`--steps` allows more)\nhello"), "{said}");
}
