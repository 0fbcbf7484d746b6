//! Whatever happens, no money appears or is lost, and no contract owes more than it holds.

use super::{tokens::SINK, *};
use proptest::{prelude::*, sample::Index};

const PEOPLE: [Address; 3] = [OWNER, BUYER, OTHER];
const BASES: [(Address, u8); 4] = [(PLAIN, 18), (SIX, 6), (FEE, 18), (REENTRANT, 18)];

#[derive(Clone, Debug)]
enum Step {
    Buy {
        who: Index,
        at: Index,
        amount: u128,
        market: bool,
    },
    Sell {
        who: Index,
        at: Index,
        amount: u128,
    },
    Order {
        who: Index,
        consumer: Index,
        at: Index,
        fee: u64,
    },
    OrderBatch {
        who: Index,
        fee: u64,
    },
    Reuse {
        who: Index,
        at: Index,
        number: u64,
        fee: u64,
    },
    Dispense {
        who: Index,
        at: Index,
        amount: u128,
    },
    Collect {
        at: Index,
        kind: u8,
        amount: u128,
    },
    SetRate {
        at: Index,
        rate: u128,
    },
    Deposit {
        who: Index,
        at: Index,
        amount: u128,
    },
    Withdraw {
        who: Index,
        at: Index,
        amount: u128,
    },
    Authorize {
        who: Index,
        payee: Index,
        at: Index,
        amount: u128,
    },
    Lock {
        who: Index,
        payer: Index,
        at: Index,
        job: u64,
        amount: u128,
    },
    /// Claims so many hundredths of one of the locks that there are.
    Claim {
        which: Index,
        part: u8,
        withdraws: bool,
    },
    Cancel(Index),
    Transfer {
        who: Index,
        to: Index,
        at: Index,
    },
    Arm(Index),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    let amount = || prop_oneof![0..=20_u128, 0..=20 * ONE, (0..=20_u128).prop_map(|number| number * ONE)];
    let (job, fee) = (1..=9_u64, || prop_oneof![Just(0), 0..=1000_u64]);
    prop_oneof![
        6 => (index(), index(), amount(), any::<bool>())
            .prop_map(|(who, at, amount, market)| Step::Buy { who, at, amount, market }),
        3 => (index(), index(), amount()).prop_map(|(who, at, amount)| Step::Sell { who, at, amount }),
        4 => (index(), index(), index(), fee())
            .prop_map(|(who, consumer, at, fee)| Step::Order { who, consumer, at, fee }),
        1 => (index(), fee()).prop_map(|(who, fee)| Step::OrderBatch { who, fee }),
        2 => (index(), index(), 1..=3_u64, fee())
            .prop_map(|(who, at, number, fee)| Step::Reuse { who, at, number, fee }),
        2 => (index(), index(), amount()).prop_map(|(who, at, amount)| Step::Dispense { who, at, amount }),
        3 => (index(), 0..4_u8, amount()).prop_map(|(at, kind, amount)| Step::Collect { at, kind, amount }),
        1 => (index(), amount()).prop_map(|(at, rate)| Step::SetRate { at, rate }),
        4 => (index(), index(), amount()).prop_map(|(who, at, amount)| Step::Deposit { who, at, amount }),
        2 => (index(), index(), amount()).prop_map(|(who, at, amount)| Step::Withdraw { who, at, amount }),
        3 => (index(), index(), index(), amount())
            .prop_map(|(who, payee, at, amount)| Step::Authorize { who, payee, at, amount }),
        5 => (index(), index(), index(), job, amount())
            .prop_map(|(who, payer, at, job, amount)| Step::Lock { who, payer, at, job, amount }),
        5 => (index(), 0..=101_u8, any::<bool>())
            .prop_map(|(which, part, withdraws)| Step::Claim { which, part, withdraws }),
        2 => index().prop_map(Step::Cancel),
        1 => (index(), index(), index()).prop_map(|(who, to, at)| Step::Transfer { who, to, at }),
        3 => index().prop_map(Step::Arm),
        2 => (0..=2 * HOUR).prop_map(Step::Pass),
    ]
}

/// A market with an exchange and a dispenser for each base token, whose publishing market takes a fee in it.
struct World {
    bench: Bench,
    made: Vec<Made>,
    /// Quotes so far: each is one of its own.
    quotes: u64,
    /// Steps that went through.
    done: usize,
}

impl World {
    fn new() -> Self {
        let mut bench = bench();
        let made = BASES.map(|(base, decimals)| {
            let mut data = datatoken_data();
            data.addresses[2..].copy_from_slice(&[MARKET, base]);
            data.uints[1] = U256::from(7);
            let rate = rate_data(base, decimals, U256::from(ONE / 3), ONE / 100 + 1, true);
            let call =
                IFactory::createNftWithErc20WithFixedRateCall { nft: nft_data(), datatoken: data, fixedRate: rate };
            let made = bench.send(OWNER, FACTORY, &call).unwrap().value;
            let open = IDatatoken::createDispenserCall {
                dispenser: DISPENSER,
                maxTokens: whole(2),
                maxBalance: whole(9),
                withMint: true,
                allowedSwapper: Address::ZERO,
            };
            send(&mut bench, OWNER, made.erc20Address, open).unwrap();
            Made { asset: made.erc721Address, token: made.erc20Address, exchange: made.exchangeId }
        });
        for (base, _) in BASES {
            fund(&mut bench, base, REENTRANT, whole(1000));
            for who in PEOPLE {
                fund(&mut bench, base, who, whole(1000));
                for spender in [FIXED_RATE, ESCROW, FACTORY].into_iter().chain(made.map(|made| made.token)) {
                    approve(&mut bench, base, who, spender);
                }
            }
        }
        for (payer, payee) in PEOPLE.into_iter().flat_map(|payer| PEOPLE.map(|payee| (payer, payee))) {
            let tokens = BASES.map(|(base, _)| base).to_vec();
            let call = IEscrow::authorizeMultipleCall {
                tokens,
                payees: vec![payee; 4],
                maxLockedAmounts: vec![whole(50); 4],
                maxLockSeconds: vec![U256::from(HOUR); 4],
                maxLockCounts: vec![U256::from(3); 4],
            };
            send(&mut bench, payer, ESCROW, call).unwrap();
        }
        for made in made {
            for who in PEOPLE {
                for spender in [FIXED_RATE, FACTORY] {
                    approve(&mut bench, made.token, who, spender);
                }
            }
        }
        Self { bench, made: made.to_vec(), quotes: 0, done: 0 }
    }

    fn send<C: SolCall>(&mut self, from: Address, to: Address, call: &C) {
        self.done += usize::from(self.bench.send(from, to, call).is_ok());
    }

    fn quote(&mut self, base: Address, amount: u64) -> ProviderQuote {
        self.quotes += 1;
        quote(&signer(3), base, U256::from(amount), 0, &self.quotes.to_be_bytes())
    }

    fn buy(&self, at: usize, amount: u128, market: bool) -> IFixedRate::buyDTCall {
        IFixedRate::buyDTCall {
            exchangeId: self.made[at].exchange,
            datatokenAmount: U256::from(amount),
            maxBaseTokenAmount: U256::MAX,
            consumeMarketAddress: if market { CONSUME_MARKET } else { Address::ZERO },
            consumeMarketSwapFeeAmount: U256::from(if market { ONE / 50 } else { 0 }),
        }
    }

    fn step(&mut self, step: Step) {
        let person = |index: Index| PEOPLE[index.index(PEOPLE.len())];
        let place = |index: Index| index.index(BASES.len());
        match step {
            Step::Buy { who, at, amount, market } => {
                let call = self.buy(place(at), amount, market);
                self.send(person(who), FIXED_RATE, &call);
            }
            Step::Sell { who, at, amount } => {
                let call = IFixedRate::sellDTCall {
                    exchangeId: self.made[place(at)].exchange,
                    datatokenAmount: U256::from(amount),
                    minBaseTokenAmount: U256::ZERO,
                    consumeMarketAddress: Address::ZERO,
                    consumeMarketSwapFeeAmount: U256::ZERO,
                };
                self.send(person(who), FIXED_RATE, &call);
            }
            Step::Order { who, consumer, at, fee } => {
                let quote = self.quote(BASES[place(at)].0, fee);
                let token = self.made[place(at)].token;
                self.send(person(who), token, &start(person(consumer), quote));
            }
            Step::OrderBatch { who, fee } => {
                let orders = (0..2).map(|at| TokenOrder {
                    token: self.made[at].token,
                    consumer: person(who),
                    serviceIndex: U256::ONE,
                    providerFee: self.quote(BASES[at].0, fee),
                    consumeMarketFee: MarketQuote {
                        feeAddress: CONSUME_MARKET,
                        feeToken: PLAIN,
                        amount: U256::from(fee),
                    },
                });
                let call = IFactory::startMultipleTokenOrderCall { orders: orders.collect() };
                self.send(person(who), FACTORY, &call);
            }
            Step::Reuse { who, at, number, fee } => {
                let providerFee = self.quote(BASES[place(at)].0, fee);
                let token = self.made[place(at)].token;
                let call =
                    IDatatoken::reuseOrderCall { orderTxId: crate::market::order_id(token, number), providerFee };
                self.send(person(who), token, &call);
            }
            Step::Dispense { who, at, amount } => {
                let datatoken = self.made[place(at)].token;
                let call = IDispenser::dispenseCall { datatoken, amount: U256::from(amount), destination: person(who) };
                self.send(OTHER, DISPENSER, &call);
            }
            Step::Collect { at, kind, amount } => {
                let (exchangeId, amount) = (self.made[place(at)].exchange, U256::from(amount));
                match kind {
                    0 => self.send(OTHER, FIXED_RATE, &IFixedRate::collectBTCall { exchangeId, amount }),
                    1 => self.send(OTHER, FIXED_RATE, &IFixedRate::collectDTCall { exchangeId, amount }),
                    2 => self.send(OTHER, FIXED_RATE, &IFixedRate::collectMarketFeeCall { exchangeId }),
                    _ => self.send(OTHER, FIXED_RATE, &IFixedRate::collectOceanFeeCall { exchangeId }),
                }
            }
            Step::SetRate { at, rate } => {
                let exchangeId = self.made[place(at)].exchange;
                self.send(OWNER, FIXED_RATE, &IFixedRate::setRateCall { exchangeId, newRate: U256::from(rate) });
            }
            Step::Deposit { who, at, amount } => {
                let call = IEscrow::depositCall { token: BASES[place(at)].0, amount: U256::from(amount) };
                self.send(person(who), ESCROW, &call);
            }
            Step::Withdraw { who, at, amount } => {
                let (tokens, amounts) = (vec![BASES[place(at)].0], vec![U256::from(amount)]);
                self.send(person(who), ESCROW, &IEscrow::withdrawCall { tokens, amounts });
            }
            Step::Authorize { who, payee, at, amount } => {
                let call = IEscrow::authorizeCall {
                    token: BASES[place(at)].0,
                    payee: person(payee),
                    maxLockedAmount: U256::from(amount),
                    maxLockSeconds: U256::from(HOUR),
                    maxLockCounts: U256::from(2),
                };
                self.send(person(who), ESCROW, &call);
            }
            Step::Lock { who, payer, at, job, amount } => {
                let call = IEscrow::createLockCall {
                    jobId: U256::from(job),
                    token: BASES[place(at)].0,
                    payer: person(payer),
                    amount: U256::from(amount),
                    expiry: U256::from(HOUR),
                };
                self.send(person(who), ESCROW, &call);
            }
            Step::Claim { which, part, withdraws } => {
                let Some((payee, lock)) = self.lock(which) else { return };
                let LockedFunds { jobId, token, payer, .. } = lock;
                let (amount, proof) = (lock.amount * U256::from(part) / U256::from(100), Bytes::new());
                if withdraws {
                    let call = IEscrow::claimLockAndWithdrawCall { jobId, token, payer, amount, proof };
                    self.send(payee, ESCROW, &call);
                } else {
                    let call = IEscrow::claimLockCall { jobId, token, payer, amount, proof };
                    self.send(payee, ESCROW, &call);
                }
            }
            Step::Cancel(which) => {
                let Some((payee, lock)) = self.lock(which) else { return };
                let LockedFunds { jobId, token, payer, .. } = lock;
                self.send(OTHER, ESCROW, &IEscrow::cancelExpiredLockCall { jobId, token, payer, payee });
            }
            Step::Transfer { who, to, at } => {
                let call = stoa_contract::interfaces::IERC721::transferFromCall {
                    from: person(who),
                    to: person(to),
                    tokenId: U256::ONE,
                };
                let asset = self.made[place(at)].asset;
                self.send(person(who), asset, &call);
            }
            Step::Arm(what) => {
                let (made, amount) = (self.made[3], whole(1));
                let calls = [
                    (FIXED_RATE, self.buy(3, ONE, false).abi_encode()),
                    (FIXED_RATE, IFixedRate::collectBTCall { exchangeId: made.exchange, amount }.abi_encode()),
                    (FIXED_RATE, IFixedRate::collectMarketFeeCall { exchangeId: made.exchange }.abi_encode()),
                    (ESCROW, IEscrow::depositCall { token: REENTRANT, amount }.abi_encode()),
                    (ESCROW, IEscrow::withdrawCall { tokens: vec![REENTRANT], amounts: vec![amount] }.abi_encode()),
                    (made.token, start(REENTRANT, no_quote()).abi_encode()),
                    (Address::ZERO, Vec::new()),
                ];
                let (target, data) = calls[what.index(calls.len())].clone();
                self.send(OTHER, REENTRANT, &ITestToken::armCall { target, data: data.into() });
            }
            Step::Pass(seconds) => self.bench.pass(seconds),
        }
    }

    /// One of the locks that there are, with its payee.
    fn lock(&mut self, which: Index) -> Option<(Address, LockedFunds)> {
        let mut all = Vec::new();
        for payee in PEOPLE {
            let call = IEscrow::getLocksCall { token: Address::ZERO, payer: Address::ZERO, payee };
            let locks = self.bench.view(ESCROW, &call).unwrap();
            all.extend(locks.into_iter().map(|lock| (payee, lock)));
        }
        (!all.is_empty()).then(|| all.swap_remove(which.index(all.len())))
    }

    fn sum(&mut self, token: Address) -> U256 {
        let contracts = [FIXED_RATE, DISPENSER, ESCROW, FACTORY, ROUTER, REENTRANT];
        let others = [MARKET, CONSUME_MARKET, COMMUNITY, SINK, signer(3).address()];
        let made: Vec<_> = self.made.iter().flat_map(|made| [made.asset, made.token]).collect();
        let all = PEOPLE.into_iter().chain(contracts).chain(others).chain(made);
        all.fold(U256::ZERO, |sum, account| sum + balance(&mut self.bench, token, account))
    }

    fn check(&mut self) {
        for (at, (base, _)) in BASES.into_iter().enumerate() {
            let made = self.made[at];
            for token in [base, made.token] {
                let supply = self.bench.view(token, &IERC20::totalSupplyCall {}).unwrap();
                assert_eq!(self.sum(token), supply, "what there is of {token}");
            }
            let exchangeId = made.exchange;
            let is = self.bench.view(FIXED_RATE, &IFixedRate::getExchangeCall { exchangeId }).unwrap();
            let fees = self.bench.view(FIXED_RATE, &IFixedRate::getFeesInfoCall { exchangeId }).unwrap();
            let owed = is.btBalance + fees.marketFeeAvailable + fees.oceanFeeAvailable;
            assert_eq!(balance(&mut self.bench, base, FIXED_RATE), owed, "what the exchange owes in {base}");
            assert_eq!(balance(&mut self.bench, made.token, FIXED_RATE), is.dtBalance);
            let owners = PEOPLE.into_iter().chain([COMMUNITY, REENTRANT]);
            let owed = owners.fold(U256::ZERO, |sum, payer| {
                let funds = self.bench.view(ESCROW, &IEscrow::getUserFundsCall { payer, token: base }).unwrap();
                sum + funds.available + funds.locked
            });
            assert_eq!(balance(&mut self.bench, base, ESCROW), owed, "what the escrow owes in {base}");
            for contract in [FACTORY, ROUTER, DISPENSER, made.token, made.asset] {
                assert_eq!(balance(&mut self.bench, base, contract), U256::ZERO, "nothing stays on the way");
            }
        }
        for payee in PEOPLE {
            let call = IEscrow::getLocksCall { token: Address::ZERO, payer: Address::ZERO, payee };
            let locks = self.bench.view(ESCROW, &call).unwrap();
            assert!(locks.iter().all(|lock| lock.payer != payee));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_happens_money_is_conserved_and_nobody_owes_more_than_it_holds(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check();
        }
    }
}

#[test]
fn a_long_life_of_a_market_goes_through() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let (mut world, mut runner) = (World::new(), TestRunner::deterministic());
    for _ in 0..400 {
        let next = step().new_tree(&mut runner).unwrap().current();
        world.step(next);
    }
    world.check();
    // The random calls are not all refused, which would prove nothing.
    assert!(world.done > 120, "{}", world.done);
}
