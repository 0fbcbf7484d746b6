//! The ledger by itself, on disk, driven block by block as fast as it goes.

use alloy_primitives::{Address, B256, Bytes, U256};
use commonware_runtime::{
    Runner as _, Supervisor as _,
    tokio::{Config, Context, Runner},
};
use std::{num::NonZeroUsize, path::Path, sync::Arc, thread, time::Instant};
use stoa_base::{Account, Fees, Genesis, Recovered};
use stoa_ledger::{
    Committed, Direct, LedgerConfig,
    execute::{Choices, Refusal, Transactions},
};

use crate::{CHAIN_ID, account};

/// Bytes of the state's pages that stay in memory: what a node has by default.
const PAGE_CACHE: usize = 3 << 30;

/// A ledger, its state and its runtime.
pub type Chain = Direct<Context>;

/// The first block of a chain on which the accounts up to `accounts` have coins, and a block holds any number of
/// transactions.
pub fn genesis(accounts: u64) -> Genesis {
    let rich = Account { balance: U256::from(10).pow(U256::from(30)), ..Account::default() };
    Genesis {
        chain_id: CHAIN_ID,
        timestamp: 1,
        gas_limit: 10_000_000_000,
        fees: Fees { elasticity: 1, ..Fees::default() },
        development: true,
        epoch_length: stoa_base::EPOCH_LENGTH,
        committee: None,
        alloc: (0..accounts).map(|n| (account(n), rich.clone())).collect(),
    }
}

/// Opens a chain in this folder, or starts it, works with it and closes it. Blocks need not survive a power cut.
pub fn with<T>(folder: &Path, genesis: Genesis, work: impl AsyncFnOnce(&mut Chain) -> T) -> T {
    on(folder, genesis, async |_, chain| work(chain).await)
}

/// As [`with`], on a runtime that is passed on.
pub fn on<T>(folder: &Path, genesis: Genesis, work: impl AsyncFnOnce(&Context, &mut Chain) -> T) -> T {
    let config = Config::new().with_storage_directory(folder.join("state"));
    Runner::new(config).start(async |runtime| {
        let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let config =
            LedgerConfig { durable: false, natives: stoa_node::natives(), ..LedgerConfig::new(folder.join("history")) };
        let opened = Box::pin(Direct::open(runtime.child("chain"), genesis, config, PAGE_CACHE, threads)).await;
        let mut chain = opened.expect("the chain opens");
        let outcome = work(&runtime, &mut chain).await;
        chain.sync().await.expect("the state is written");
        outcome
    })
}

/// Mines a block of these transactions, all of which must succeed.
pub async fn mine(chain: &mut Chain, block: &[Arc<Recovered>]) -> Committed {
    mine_sealed(chain, block, Bytes::new()).await
}

/// As [`mine`], with this in the block's seal.
pub async fn mine_sealed(chain: &mut Chain, block: &[Arc<Recovered>], context: Bytes) -> Committed {
    let choices = Choices {
        timestamp: chain.ledger().head().header().timestamp + 1,
        beneficiary: Address::ZERO,
        prevrandao: B256::ZERO,
        base_fee: None,
        gas_limit: None,
    };
    let all = Box::new(All(block.iter()));
    let (committed, _) = chain.mine(&choices, context, all, block).await.expect("the block executes");
    assert!(committed.receipts.iter().all(|receipt| receipt.success), "a transaction failed");
    committed
}

/// Seconds that it takes to put so many accounts into an empty state, with its root, durably.
///
/// # Errors
///
/// If there is no folder for it.
pub fn put(accounts: u64) -> std::io::Result<f64> {
    let folder = tempfile::tempdir()?;
    let genesis = genesis(accounts);
    let start = Instant::now();
    Ok(with(folder.path(), genesis, async |_| start.elapsed().as_secs_f64()))
}

struct All<'a>(std::slice::Iter<'a, Arc<Recovered>>);

impl Transactions for All<'_> {
    fn next(&mut self, _: u64) -> Option<Arc<Recovered>> {
        self.0.next().cloned()
    }

    fn refuse(&mut self, _: &Recovered, why: Refusal) -> Result<(), Refusal> {
        Err(why)
    }
}
