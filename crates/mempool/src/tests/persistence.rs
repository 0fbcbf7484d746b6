//! What is left after the end of the process.

use super::*;
use crate::Status;
use std::{fs, path::Path};

fn open(path: &Path, chain: &Arc<Chain>) -> Pool {
    let config = Config { journal_slack: 2000, ..Config::default() };
    Pool::open(path, config, chain.clone()).unwrap()
}

#[test]
fn accepted_transactions_are_back_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let chain = Arc::new(Chain::default());
    let pool = open(&path, &chain);
    add(&pool, [tx(1, 0, 1), tx(1, 1, 1), tx(1, 3, 1), tx(2, 0, 1), tx(2, 0, 2), tx(3, 0, 1)]);
    refusal(&pool, tx(2, 0, 2));
    pool.remove(tx(3, 0, 1).inner().hash());
    let before = pool.content();
    // No farewell: what stands in the file is what the process has handed over.
    std::mem::forget(pool);
    let pool = open(&path, &chain);
    pool.table().assert_consistent();
    assert_eq!(pool.content(), before);
    // What a block has included meanwhile is not taken in again.
    chain.set(address(1), Account { nonce: 1, ..RICH });
    assert_eq!(pending(&open(&path, &chain)), [(1, 1), (2, 0)]);
}

#[test]
fn a_damaged_end_costs_only_the_last_transaction_and_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let chain = Arc::new(Chain::default());
    let all: Vec<_> = (0..3)
        .map(|number| {
            let tx =
                TxEip1559 { chain_id: 31337, gas_limit: 21_000, to: TxKind::Call(address(0)), ..TxEip1559::default() };
            Recovered::new_unchecked(signed(&signer(number), tx), signer(number).address())
        })
        .collect();
    add(&open(&path, &chain), all.clone());
    let length = fs::metadata(&path).unwrap().len();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
    let pool = open(&path, &chain);
    assert_eq!(pool.status(), Status { pending: 2, queued: 0 });
    assert!(pool.get(all[2].inner().hash()).is_none());
    // The file is whole again: what is added now is found next time.
    add(&pool, [all[2].clone()]);
    assert_eq!(fs::metadata(&path).unwrap().len(), length);
    assert_eq!(open(&path, &chain).status(), Status { pending: 3, queued: 0 });
}

#[test]
fn a_journal_that_has_outgrown_its_content_is_rewritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let chain = Arc::new(Chain::default());
    let pool = open(&path, &chain);
    add(&pool, (0..100).map(|nonce| tx(1, nonce, 1)));
    pool.maintain(0).unwrap();
    let full = fs::metadata(&path).unwrap().len();
    chain.set(address(1), Account { nonce: 99, ..RICH });
    pool.on_block([(address(1), 99, U256::MAX)], []);
    pool.maintain(1).unwrap();
    assert!(fs::metadata(&path).unwrap().len() < full / 50);
    add(&pool, [tx(1, 100, 1)]);
    assert_eq!(pending(&open(&path, &chain)), [(1, 99), (1, 100)]);
    pool.clear().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
}

#[test]
fn a_state_that_cannot_be_read_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let chain = Arc::new(Chain::default());
    add(&open(&path, &chain), [tx(1, 0, 1)]);
    *chain.broken.lock() = true;
    assert!(Pool::open(&path, Config::default(), chain.clone()).is_err());
    *chain.broken.lock() = false;
    assert_eq!(pending(&open(&path, &chain)), [(1, 0)]);
}

#[test]
fn a_transaction_that_cannot_be_kept_is_not_taken() {
    // A file that every write to fails.
    let full = Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let journal = crate::journal::Journal::writing_to(full);
    assert!(journal.append(b"record").is_err());
    assert_eq!(journal.length(), 0);
}
