//! Random sequences: whatever happens, the pool's indexes agree, its limits hold, and what runs is a chain of nonces.

use super::*;
use alloy_consensus::Transaction as _;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Add { sender: u8, nonce: u64, price: u128, bytes: usize },
    Block { count: usize },
    Balance { sender: u8, balance: u64 },
    Remove { index: usize },
    Time { passed: u64 },
    Back { sender: u8, nonce: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..6_u8, 0..12_u64, 1..40_u128, 0..200_usize)
            .prop_map(|(sender, nonce, price, bytes)| Step::Add { sender, nonce, price, bytes }),
        2 => (0..6_usize).prop_map(|count| Step::Block { count }),
        1 => (0..6_u8, 0..9_000_000_u64).prop_map(|(sender, balance)| Step::Balance { sender, balance }),
        1 => (0..40_usize).prop_map(|index| Step::Remove { index }),
        1 => (0..800_u64).prop_map(|passed| Step::Time { passed }),
        1 => (0..6_u8, 0..8_u64).prop_map(|(sender, nonce)| Step::Back { sender, nonce }),
    ]
}

fn account(chain: &Chain, sender: u8) -> Account {
    chain.account(address(sender)).unwrap()
}

/// Checks what callers may rely on.
fn check(pool: &Pool, chain: &Chain) -> Result<(), TestCaseError> {
    pool.table().assert_consistent();
    let content = pool.content();
    let all: Vec<_> = content.pending.iter().chain(&content.queued).collect();
    let status = pool.status();
    prop_assert_eq!((status.pending, status.queued), (content.pending.len(), content.queued.len()));
    for tx in &all {
        let found = pool.get(tx.inner().hash());
        prop_assert_eq!(found.as_ref(), Some(*tx));
    }
    for sender in 0..6 {
        let Account { nonce, balance, .. } = account(chain, sender);
        let own = pool.content_from(address(sender));
        let nonces: Vec<_> = own.pending.iter().map(|tx| tx.nonce()).collect();
        prop_assert_eq!(&nonces, &(nonce..nonce + nonces.len() as u64).collect::<Vec<_>>());
        let cost = own.pending.iter().map(|tx| U256::from(tx.gas_limit()) * U256::from(tx.max_fee_per_gas()));
        prop_assert!(cost.sum::<U256>() <= balance);
        let next = (!nonces.is_empty()).then(|| nonce + nonces.len() as u64);
        prop_assert_eq!(pool.pending_nonce(address(sender)), next);
    }
    // Everything pending comes out of `best`, in order of nonces, and each tip is the best of those that may come next.
    let best: Vec<_> = pool.best(0).collect();
    prop_assert_eq!(best.len(), content.pending.len());
    for (at, tx) in best.iter().enumerate() {
        let mut rest = best[at..].iter();
        let earlier = |other: &&Arc<Recovered>| other.signer() == tx.signer() && other.nonce() < tx.nonce();
        prop_assert!(!rest.any(|other| earlier(&other)));
        let could = best[at..].iter().filter(|other| {
            !best[at..].iter().any(|before| before.signer() == other.signer() && before.nonce() < other.nonce())
        });
        prop_assert_eq!(could.map(|other| other.max_fee_per_gas()).max(), Some(tx.max_fee_per_gas()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_use_keeps_every_promise(steps in prop::collection::vec(step(), 1..120)) {
        let config = Config {
            max_transactions: 16,
            max_bytes: 4000,
            max_per_sender: 8,
            max_queued_per_sender: 4,
            share_per_sender: 3,
            queued_lifetime: 1000,
            ..Config::default()
        };
        let (pool, chain) = pool(config);
        for sender in 0..6 {
            chain.set(address(sender), Account { nonce: 0, balance: U256::from(9_000_000), has_code: false });
        }
        let mut now = 0;
        for step in steps {
            match step {
                Step::Add { sender, nonce, price, bytes } => {
                    let transaction = with(sender, TxEip1559 {
                        nonce,
                        gas_limit: 30_000,
                        max_fee_per_gas: price,
                        max_priority_fee_per_gas: price,
                        input: vec![0; bytes].into(),
                        ..TxEip1559::default()
                    });
                    let before = pool.content();
                    let own = pool.content_from(address(sender));
                    let old = own.pending.iter().chain(&own.queued).find(|tx| tx.nonce() == nonce);
                    let hash = *transaction.inner().hash();
                    match pool.add(transaction) {
                        Ok(added) => {
                            prop_assert_eq!(added, hash);
                            prop_assert!(pool.get(&hash).is_some());
                            if let Some(old) = old {
                                prop_assert!(price * 10 >= old.max_fee_per_gas() * 11);
                            }
                        }
                        Err(_) => prop_assert_eq!(pool.content(), before),
                    }
                }
                Step::Block { count } => {
                    let block: Vec<_> = pool.best(0).take(count).collect();
                    for tx in &block {
                        let sender = tx.signer()[19];
                        chain.set(tx.signer(), Account { nonce: tx.nonce() + 1, ..account(&chain, sender) });
                    }
                    let changed: Vec<_> = block.iter().map(|tx| {
                        let Account { nonce, balance, .. } = account(&chain, tx.signer()[19]);
                        (tx.signer(), nonce, balance)
                    }).collect();
                    pool.on_block(changed, block.iter().map(|tx| *tx.inner().hash()));
                    for tx in block {
                        prop_assert!(pool.get(tx.inner().hash()).is_none());
                    }
                }
                Step::Balance { sender, balance } => {
                    let old = account(&chain, sender);
                    let balance = U256::from(balance);
                    chain.set(address(sender), Account { balance, ..old });
                    pool.on_block([(address(sender), old.nonce, balance)], []);
                }
                Step::Remove { index } => {
                    let all = pool.content();
                    if let Some(tx) = all.pending.iter().chain(&all.queued).nth(index) {
                        prop_assert!(pool.remove(tx.inner().hash()).is_some());
                    }
                }
                Step::Time { passed } => {
                    now += passed;
                    pool.maintain(now).unwrap();
                }
                Step::Back { sender, nonce } => {
                    chain.set(address(sender), Account { nonce, ..account(&chain, sender) });
                    pool.refresh().unwrap();
                }
            }
            check(&pool, &chain)?;
        }
    }
}
