//! What is taken, and what makes room for what.

use super::*;
use crate::Status;

#[test]
fn transactions_behind_a_gap_wait_until_it_closes() {
    let (pool, _) = roomy();
    let mut news = pool.subscribe();
    add(&pool, [tx(1, 0, 5), tx(1, 3, 5), tx(1, 2, 5)]);
    assert_eq!((pending(&pool), queued(&pool)), (vec![(1, 0)], vec![(1, 2), (1, 3)]));
    assert_eq!(pool.pending_nonce(address(1)), Some(1));
    add(&pool, [tx(1, 1, 5)]);
    assert_eq!(pool.status(), Status { pending: 4, queued: 0 });
    assert_eq!(pool.pending_nonce(address(1)), Some(4));
    assert_eq!(pool.pending_nonce(address(2)), None);
    let heard: Vec<_> = std::iter::from_fn(|| news.try_recv().ok()).collect();
    assert_eq!(places(&heard), [(1, 0), (1, 1), (1, 2), (1, 3)]);
}

#[test]
fn the_state_is_not_asked_about_senders_that_wait_already() {
    let (pool, _) = roomy();
    assert_eq!(pool.add_if_known(&tx(1, 0, 5)), None, "the account has to be read");
    assert_eq!(pool.status(), Status::default());
    add(&pool, [tx(1, 0, 5)]);
    let next = tx(1, 1, 5);
    assert_eq!(pool.add_if_known(&next), Some(Ok(*next.inner().hash())));
    assert_eq!(pool.add_if_known(&next), Some(Err(PoolError::AlreadyKnown)));
    assert_eq!(pool.status(), Status { pending: 2, queued: 0 });
}

#[test]
fn a_replacement_must_pay_a_tenth_more_in_both_fees() {
    let (pool, _) = roomy();
    add(&pool, [fees(1, 0, 1000, 100), fees(1, 1, 1000, 100)]);
    for (cap, tip) in [(1099, 200), (2000, 109), (1000, 100), (999, 99)] {
        let new = with(
            1,
            TxEip1559 {
                max_fee_per_gas: cap,
                max_priority_fee_per_gas: tip,
                value: U256::from(1),
                ..TxEip1559::default()
            },
        );
        assert_eq!(refusal(&pool, new), PoolError::ReplacementUnderpriced);
    }
    let old = *fees(1, 0, 1000, 100).inner().hash();
    let new = fees(1, 0, 1100, 110);
    add(&pool, [new.clone()]);
    assert!(pool.get(&old).is_none());
    assert_eq!(*pool.get(new.inner().hash()).unwrap(), new);
    assert_eq!(pending(&pool), [(1, 0), (1, 1)]);
}

#[test]
fn a_free_transaction_is_replaced_only_by_one_that_pays() {
    let (pool, _) = roomy();
    add(&pool, [fees(1, 0, 0, 0)]);
    let free = with(1, TxEip1559 { value: U256::from(1), ..TxEip1559::default() });
    assert_eq!(refusal(&pool, free), PoolError::ReplacementUnderpriced);
    add(&pool, [fees(1, 0, 1, 1)]);
}

#[test]
fn the_highest_fees_there_are_do_not_overflow() {
    let (pool, chain) = roomy();
    add(&pool, [fees(1, 0, u128::MAX, u128::MAX)]);
    let same = with(
        1,
        TxEip1559 {
            max_fee_per_gas: u128::MAX,
            max_priority_fee_per_gas: u128::MAX,
            value: U256::from(1),
            ..TxEip1559::default()
        },
    );
    assert_eq!(refusal(&pool, same), PoolError::ReplacementUnderpriced);
    chain.set(address(2), Account { balance: U256::MAX - U256::from(1), ..RICH });
    let all = with(2, TxEip1559 { max_fee_per_gas: u128::MAX, value: U256::MAX, ..TxEip1559::default() });
    assert!(matches!(refusal(&pool, all), PoolError::InsufficientFunds { .. }));
}

#[test]
fn what_the_account_forbids_is_refused_with_the_numbers() {
    let (pool, chain) = roomy();
    chain.set(address(1), Account { nonce: 7, balance: U256::from(50_000), has_code: false });
    assert_eq!(refusal(&pool, tx(1, 6, 1)).to_string(), "nonce too low: next nonce 7, tx nonce 6");
    let said = refusal(&pool, tx(1, 7, 3)).to_string();
    assert_eq!(said, "insufficient funds for gas * price + value: balance 50000, tx cost 63000, overshot 13000");
    chain.set(address(2), Account { has_code: true, ..RICH });
    assert_eq!(refusal(&pool, tx(2, 0, 1)), PoolError::SenderNotEoa(address(2)));
    assert_eq!(pool.status(), Status::default());
}

#[test]
fn a_sender_must_afford_all_that_waits_together() {
    let (pool, chain) = roomy();
    chain.set(address(1), Account { balance: U256::from(50_000), ..RICH });
    add(&pool, [tx(1, 0, 1), tx(1, 1, 1)]);
    assert_eq!(
        refusal(&pool, tx(1, 2, 1)).to_string(),
        "insufficient funds for gas * price + value: balance 50000, queued cost 42000, tx cost 21000, overshot 13000"
    );
    // A replacement frees what it replaces, but not more.
    assert!(matches!(refusal(&pool, tx(1, 1, 2)), PoolError::QueueOverdraft { .. }));
}

#[test]
fn the_same_transaction_is_known() {
    let (pool, _) = roomy();
    add(&pool, [tx(1, 0, 1)]);
    assert_eq!(refusal(&pool, tx(1, 0, 1)).to_string(), "already known");
}

#[test]
fn raw_bytes_are_taken_in_under_their_signer() {
    let (pool, _) = roomy();
    let transaction =
        TxEip1559 { chain_id: 31337, gas_limit: 21_000, to: TxKind::Call(address(9)), ..TxEip1559::default() };
    let transaction = signed(&signer(3), transaction);
    let raw = alloy_eips::eip2718::Encodable2718::encoded_2718(&transaction);
    assert_eq!(pool.add_raw(&raw).unwrap(), *transaction.hash());
    assert_eq!(pool.content_from(signer(3).address()).pending.len(), 1);
}

#[test]
fn one_sender_is_bounded_in_all_and_behind_gaps() {
    let (pool, _) = pool(Config { max_per_sender: 4, max_queued_per_sender: 2, ..Config::default() });
    add(&pool, [tx(1, 0, 1), tx(1, 2, 1), tx(1, 3, 1)]);
    assert_eq!(refusal(&pool, tx(1, 4, 1)), PoolError::AccountLimit { waiting: 2, limit: 2 });
    add(&pool, [tx(1, 1, 1)]);
    assert_eq!(refusal(&pool, tx(1, 4, 1)), PoolError::AccountLimit { waiting: 4, limit: 4 });
    add(&pool, [tx(1, 3, 2)]);
}

fn small(max_transactions: usize, share_per_sender: usize) -> (Pool, Arc<Chain>) {
    pool(Config { max_transactions, share_per_sender, ..Config::default() })
}

#[test]
fn a_full_pool_gives_up_the_cheapest_for_a_better_one() {
    let (pool, _) = small(3, 8);
    add(&pool, [tx(1, 0, 5), tx(2, 0, 3), tx(3, 0, 4)]);
    assert_eq!(refusal(&pool, tx(4, 0, 3)).to_string(), "transaction underpriced");
    add(&pool, [tx(4, 0, 6)]);
    assert_eq!(pending(&pool), [(1, 0), (3, 0), (4, 0)]);
}

#[test]
fn what_is_queued_goes_before_what_can_run() {
    let (pool, _) = small(3, 8);
    add(&pool, [tx(1, 0, 1), tx(2, 1, 100), tx(3, 0, 1)]);
    add(&pool, [tx(4, 0, 1)]);
    assert_eq!((pending(&pool).len(), queued(&pool).len()), (3, 0));
    assert_eq!(refusal(&pool, tx(5, 1, 100)).to_string(), "txpool is full");
}

#[test]
fn a_queue_loses_its_end_never_its_middle() {
    let (pool, _) = small(4, 8);
    // The second is the cheapest, but the third depends on it.
    add(&pool, [tx(1, 0, 9), tx(1, 1, 1), tx(1, 2, 9), tx(2, 0, 5)]);
    add(&pool, [tx(3, 0, 6)]);
    assert_eq!(pending(&pool), [(1, 0), (1, 1), (2, 0), (3, 0)]);
    // What comes behind a cheap one is worth no more than that.
    assert_eq!(refusal(&pool, tx(1, 2, 100)), PoolError::Underpriced);
}

#[test]
fn a_sender_of_many_makes_room_for_senders_of_few() {
    let (pool, _) = small(10, 2);
    add(&pool, (0..10).map(|nonce| tx(1, nonce, 100)));
    for sender in 2..=9 {
        add(&pool, [tx(sender, 0, 1)]);
    }
    assert_eq!(pool.content_from(address(1)).pending.len(), 2);
    assert_eq!(refusal(&pool, tx(10, 0, 1)), PoolError::Underpriced);
    // With many of its own it can't come back at the others' cost, whatever it pays.
    assert_eq!(refusal(&pool, tx(1, 2, 1000)), PoolError::Underpriced);
}

#[test]
fn bytes_are_bounded_and_a_refused_giant_moves_nobody() {
    let (pool, _) = pool(Config { max_bytes: 2000, ..Config::default() });
    add(&pool, (0..10).map(|sender| tx(sender, 0, 1 + u128::from(sender))));
    let before = pool.content();
    let giant = |price| {
        with(
            50,
            TxEip1559 {
                gas_limit: 100_000,
                max_fee_per_gas: price,
                max_priority_fee_per_gas: price,
                input: vec![0; 1500].into(),
                ..TxEip1559::default()
            },
        )
    };
    assert_eq!(refusal(&pool, giant(3)), PoolError::Underpriced);
    assert_eq!(pool.content(), before);
    add(&pool, [giant(300)]);
    assert!(pool.status().pending < 10);
    let huge = with(
        51,
        TxEip1559 {
            gas_limit: 200_000,
            max_fee_per_gas: 900,
            max_priority_fee_per_gas: 900,
            input: vec![0; 2500].into(),
            ..TxEip1559::default()
        },
    );
    let before = pool.content();
    assert_eq!(refusal(&pool, huge), PoolError::Underpriced);
    assert_eq!(pool.content(), before);
}

#[test]
fn a_state_that_cannot_be_read_is_said() {
    let (pool, chain) = roomy();
    *chain.broken.lock() = true;
    assert_eq!(refusal(&pool, tx(1, 0, 1)).to_string(), "the state cannot be read: no disk");
}

#[test]
fn a_block_between_reading_an_account_and_using_it_is_noticed() {
    /// Answers, the first time, with an account that a block changes at once.
    struct Racing(Mutex<Option<Pool>>);
    impl State for Racing {
        fn chain_id(&self) -> u64 {
            31337
        }
        fn gas_limit(&self) -> u64 {
            30_000_000
        }
        fn account(&self, address: Address) -> Result<Account, String> {
            let Some(pool) = self.0.lock().take() else { return Ok(Account { nonce: 1, ..RICH }) };
            pool.on_block([(address, 1, U256::MAX)], []);
            Ok(RICH)
        }
    }
    let state = Arc::new(Racing(Mutex::new(None)));
    let pool = Pool::new(Config::default(), state.clone());
    *state.0.lock() = Some(pool.clone());
    assert_eq!(refusal(&pool, tx(1, 0, 1)), PoolError::NonceTooLow { next: 1, nonce: 0 });
}

#[test]
fn many_threads_add_at_once() {
    let (pool, _) = roomy();
    std::thread::scope(|scope| {
        for sender in 0..8 {
            let pool = &pool;
            scope.spawn(move || {
                for nonce in 0..200 {
                    pool.add(tx(sender, nonce, 1)).unwrap();
                }
            });
        }
    });
    pool.table().assert_consistent();
    assert_eq!(pool.status(), Status { pending: 1600, queued: 0 });
}
