//! What a proposer gets, and what a block leaves.

use super::*;
use crate::Status;
use alloy_primitives::map;

#[test]
fn the_best_tip_comes_first_and_nonces_stay_in_order() {
    let (pool, _) = roomy();
    add(&pool, [tx(1, 0, 1), tx(1, 1, 9), tx(2, 0, 5), tx(3, 0, 5), tx(2, 1, 7), tx(4, 1, 99)]);
    let order: Vec<_> = pool.best(0).collect();
    assert_eq!(places(&order), [(2, 0), (2, 1), (3, 0), (1, 0), (1, 1)]);
}

#[test]
fn the_tip_is_what_the_base_fee_leaves() {
    let (pool, _) = roomy();
    add(&pool, [fees(1, 0, 12, 12), fees(2, 0, 100, 3), fees(3, 0, 9, 9), fees(4, 0, 50, 50), fees(4, 1, 5, 5)]);
    let order: Vec<_> = pool.best(10).collect();
    assert_eq!(places(&order), [(4, 0), (2, 0), (1, 0)]);
}

#[test]
fn the_rest_of_a_sender_is_passed_over_when_one_fails() {
    let (pool, _) = roomy();
    add(&pool, [tx(1, 0, 9), tx(1, 1, 9), tx(2, 0, 1)]);
    let mut best = pool.best(0);
    assert_eq!(places(&best.next()), [(1, 0)]);
    best.mark_invalid(address(1));
    assert_eq!(places(&best.collect::<Vec<_>>()), [(2, 0)]);
}

#[test]
fn blocks_that_are_not_final_yet_are_built_upon() {
    let (pool, _) = roomy();
    add(&pool, (0..4).map(|nonce| tx(1, nonce, 1)));
    add(&pool, [tx(2, 0, 1)]);
    let used = map::HashMap::from_iter([(address(1), 3), (address(2), 1)]);
    assert_eq!(places(&pool.best_after(0, &used).collect::<Vec<_>>()), [(1, 3)]);
}

#[test]
fn the_pool_may_change_while_a_block_is_built() {
    let (pool, _) = roomy();
    add(&pool, [tx(1, 0, 9), tx(1, 1, 9), tx(2, 0, 8), tx(3, 0, 7)]);
    let mut best = pool.best(5);
    assert_eq!(places(&best.next()), [(1, 0)]);
    add(&pool, [tx(1, 2, 9)]);
    pool.remove(tx(2, 0, 8).inner().hash());
    assert_eq!(places(&best.next()), [(1, 1)]);
    assert_eq!(places(&best.next()), [(1, 2)]);
    assert_eq!(places(&best.collect::<Vec<_>>()), [(3, 0)]);
}

#[test]
fn a_block_takes_away_what_it_included() {
    let (pool, _) = roomy();
    add(&pool, (0..5).map(|nonce| tx(1, nonce, 1)));
    add(&pool, [tx(2, 0, 1), tx(2, 2, 1)]);
    pool.on_block([(address(1), 3, U256::MAX), (address(7), 1, U256::ZERO)], [*tx(2, 0, 1).inner().hash()]);
    pool.table().assert_consistent();
    assert_eq!((pending(&pool), queued(&pool)), (vec![(1, 3), (1, 4)], vec![(2, 2)]));
    // Another transaction of the sender was included: the gap has closed.
    pool.on_block([(address(2), 2, U256::MAX)], []);
    pool.table().assert_consistent();
    assert_eq!(pool.status(), Status { pending: 3, queued: 0 });
    // An older block that comes late does not bring a nonce back.
    pool.on_block([(address(1), 1, U256::MAX)], []);
    assert_eq!(pool.pending_nonce(address(1)), Some(5));
    assert_eq!(refusal(&pool, tx(1, 2, 50)), PoolError::NonceTooLow { next: 3, nonce: 2 });
}

#[test]
fn a_poorer_account_keeps_what_it_can_still_pay_for() {
    let (pool, _) = roomy();
    add(&pool, [tx(1, 0, 1), tx(1, 1, 2), tx(1, 2, 1)]);
    pool.on_block([(address(1), 0, U256::from(50_000))], []);
    pool.table().assert_consistent();
    // 21,000 and 42,000 are too much together: the second waits, and the third with it.
    assert_eq!((pending(&pool), queued(&pool)), (vec![(1, 0)], vec![(1, 1), (1, 2)]));
    pool.on_block([(address(1), 0, U256::from(30_000))], []);
    pool.table().assert_consistent();
    assert_eq!((pending(&pool), queued(&pool)), (vec![(1, 0)], vec![(1, 2)]));
    pool.on_block([(address(1), 0, U256::ZERO)], []);
    assert_eq!(pool.status(), Status::default());
    assert!(pool.get(tx(1, 0, 1).inner().hash()).is_none());
}

#[test]
fn what_waits_behind_a_gap_too_long_is_dropped() {
    let (pool, _) = pool(Config { queued_lifetime: 1000, ..Config::default() });
    pool.maintain(5000).unwrap();
    add(&pool, [tx(1, 0, 1), tx(1, 2, 1)]);
    pool.maintain(5999).unwrap();
    add(&pool, [tx(1, 4, 1)]);
    pool.maintain(6000).unwrap();
    pool.table().assert_consistent();
    assert_eq!((pending(&pool), queued(&pool)), (vec![(1, 0)], vec![(1, 4)]));
}

#[test]
fn a_removed_transaction_leaves_a_gap() {
    let (pool, _) = roomy();
    add(&pool, (0..3).map(|nonce| tx(1, nonce, 1)));
    let hash = *tx(1, 1, 1).inner().hash();
    assert_eq!(places(&pool.remove(&hash)), [(1, 1)]);
    assert!(pool.remove(&hash).is_none());
    pool.table().assert_consistent();
    assert_eq!((pending(&pool), queued(&pool)), (vec![(1, 0)], vec![(1, 2)]));
    add(&pool, [tx(1, 1, 2)]);
    assert_eq!(pool.status(), Status { pending: 3, queued: 0 });
}

#[test]
fn a_chain_that_was_set_back_is_read_again() {
    let (pool, chain) = roomy();
    chain.set(address(1), Account { nonce: 3, ..RICH });
    add(&pool, [tx(1, 3, 1)]);
    chain.set(address(1), Account { nonce: 1, ..RICH });
    pool.refresh().unwrap();
    pool.table().assert_consistent();
    assert_eq!(queued(&pool), [(1, 3)]);
    add(&pool, [tx(1, 1, 1), tx(1, 2, 1)]);
    assert_eq!(pool.status(), Status { pending: 3, queued: 0 });
    pool.clear().unwrap();
    pool.table().assert_consistent();
    assert_eq!(pool.status(), Status::default());
}
