use alloy_consensus::{Transaction as _, transaction::SignerRecoverable as _};
use alloy_primitives::{
    Address, B256,
    map::{HashMap, HashSet},
};
use commonware_runtime::telemetry::metrics::raw::Histogram;
use futures::{Stream, StreamExt as _, stream};
use rayon::prelude::*;
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use stoa_base::{Recovered, Transaction};
use stoa_consensus::{Origin, Waiting};
use stoa_ledger::{
    Committed, Ledger,
    execute::{Changes, Refusal},
};
use stoa_mempool::{Account, Pool, State};
use tokio::sync::{Notify, Semaphore, broadcast, broadcast::error::RecvError};

/// The head of the ledger, as the mempool checks transactions against it.
pub(crate) struct Head {
    pub(crate) ledger: Ledger,
    /// Whether contracts may send, as impersonated ones do on a development node.
    pub(crate) contract_senders: bool,
}

impl State for Head {
    fn chain_id(&self) -> u64 {
        self.ledger.genesis().chain_id
    }

    fn gas_limit(&self) -> u64 {
        self.ledger.head().header().gas_limit
    }

    fn account(&self, address: Address) -> Result<Account, String> {
        let state = self.ledger.state(self.ledger.head().number()).map_err(|error| error.to_string())?;
        let account = state.sender(address).map_err(|error| error.to_string())?;
        Ok(Account {
            nonce: account.nonce,
            balance: account.balance,
            has_code: account.has_code && !self.contract_senders,
        })
    }
}

/// What a node has executed since it started. Clones share the counts.
#[derive(Clone)]
pub(crate) struct Executed {
    /// Seconds that each block took, be it final or not.
    pub(crate) seconds: Histogram,
    counts: Arc<[AtomicU64; 3]>,
}

/// Bounds of seconds that blocks are told apart by.
const SECONDS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

impl Default for Executed {
    fn default() -> Self {
        Self { seconds: Histogram::new(SECONDS), counts: Arc::default() }
    }
}

impl Executed {
    /// Final blocks, their transactions, and the gas that they used.
    pub(crate) fn counts(&self) -> [u64; 3] {
        std::array::from_fn(|index| self.counts[index].load(Ordering::Relaxed))
    }

    fn add(&self, committed: &Committed) {
        let block = &committed.block;
        let each = [1, block.transactions().len() as u64, block.header().gas_used];
        for (count, more) in self.counts.iter().zip(each) {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }
}

/// The mempool, as consensus takes transactions from it.
#[derive(Clone)]
pub(crate) struct Mempool {
    pub(crate) executed: Executed,
    /// Missing until the state that it checks against has joined the ledger.
    pool: Arc<OnceLock<Pool>>,
    opened: Arc<Notify>,
    /// Messages of other validators that are being taken in, and of followers.
    taking: Arc<Semaphore>,
    taking_of_followers: Arc<Semaphore>,
}

/// How many messages of other validators are taken in at a time: what is beyond is theirs to propose.
const TAKING: usize = 32;

/// How many of followers': they send what is beyond to others, or again.
const TAKING_OF_FOLLOWERS: usize = 1;

impl Default for Mempool {
    fn default() -> Self {
        Self {
            executed: Executed::default(),
            pool: Arc::default(),
            opened: Arc::default(),
            taking: Arc::new(Semaphore::new(TAKING)),
            taking_of_followers: Arc::new(Semaphore::new(TAKING_OF_FOLLOWERS)),
        }
    }
}

impl Mempool {
    /// From now on there are transactions.
    pub(crate) fn open(&self, pool: Pool) {
        let _ = self.pool.set(pool);
        self.opened.notify_waiters();
    }

    /// Tells the pool what a block changed.
    pub(crate) fn on_block(&self, committed: &Committed, changes: &Changes) {
        let Some(pool) = self.pool.get() else { return };
        let block = &committed.block;
        let recipients = block.transactions().iter().filter_map(|transaction| transaction.to());
        let addresses = committed.senders.iter().copied().chain(recipients).collect::<HashSet<_>>();
        let changed = addresses.into_iter().filter_map(|address| {
            let (nonce, balance) = changes.account(&address)?;
            Some((address, nonce, balance))
        });
        let included = block.transactions().iter().map(|transaction| *transaction.tx_hash());
        pool.on_block(changed, included);
    }
}

/// Adds what another node was given, if it can wait here.
fn add(pool: &Pool, transaction: Transaction, from: Origin) {
    let hash = *transaction.tx_hash();
    let taken = match transaction.try_into_recovered() {
        Ok(recovered) => match from {
            Origin::Validator => pool.add_from_peer(recovered).map_err(|error| error.to_string()),
            Origin::Follower => pool.add(recovered).map_err(|error| error.to_string()),
        },
        Err(_) => Err("its signature is no signature".to_owned()),
    };
    if let Err(why) = taken {
        tracing::debug!(%hash, why, "a transaction of another node is not taken in");
    }
}

impl Waiting for Mempool {
    fn best(&self, base_fee: u64, gas: u64, used: &HashMap<Address, u64>) -> Vec<Arc<Recovered>> {
        let mut left = gas;
        let mut best = Vec::new();
        let waiting = self.pool.get().into_iter().flat_map(|pool| pool.best_after(base_fee, used));
        for transaction in waiting {
            // What executes uses less than its limit: half as much again fills a block more often.
            left = left.saturating_sub(transaction.gas_limit() / 2);
            best.push(transaction);
            if left == 0 {
                break;
            }
        }
        best
    }

    fn is_empty(&self, used: &HashMap<Address, u64>) -> bool {
        self.pool.get().is_none_or(|pool| pool.is_empty_after(used))
    }

    fn arrived(&self) -> impl Future<Output = ()> + Send + use<> {
        let opened = self.opened.clone().notified_owned();
        let mut events = self.pool.get().map(Pool::subscribe);
        async move {
            match &mut events {
                Some(events) => drop(events.recv().await),
                None => opened.await,
            }
        }
    }

    fn given(&self) -> impl Stream<Item = Arc<Recovered>> + Send + use<> {
        let (pool, opened) = (self.pool.clone(), self.opened.clone().notified_owned());
        let open = async move {
            if pool.get().is_none() {
                opened.await;
            }
            pool.get().map(Pool::given)
        };
        // Those that came in too fast to be sent wait here for this node's turn.
        let next = |given: Option<broadcast::Receiver<Arc<Recovered>>>| async {
            let mut given = given?;
            loop {
                match given.recv().await {
                    Ok(transaction) => return Some((transaction, Some(given))),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        };
        stream::once(open).flat_map(move |given| stream::unfold(given, next))
    }

    fn take(&self, transactions: Vec<Transaction>, from: Origin) -> bool {
        let Some(pool) = self.pool.get().cloned() else { return false };
        let places = match from {
            Origin::Validator => &self.taking,
            Origin::Follower => &self.taking_of_followers,
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::debug!(count = transactions.len(), "too many transactions of other nodes at once");
            return false;
        };
        // The state is read for senders that are not known.
        tokio::task::spawn_blocking(move || {
            let _place = place;
            match from {
                Origin::Validator => transactions.into_par_iter().for_each(|transaction| add(&pool, transaction, from)),
                // On this thread alone: whoever follows must not take all cores from those who vote.
                Origin::Follower => transactions.into_iter().for_each(|transaction| add(&pool, transaction, from)),
            }
        });
        true
    }

    fn sender(&self, hash: &B256) -> Option<Address> {
        Some(self.pool.get()?.get(hash)?.signer())
    }

    fn refused(&self, transaction: &Recovered, why: &Refusal) {
        tracing::debug!(hash = %transaction.tx_hash(), %why, "a waiting transaction cannot be included");
    }

    fn finalized(&self, committed: &Committed, changes: &Changes) {
        self.executed.add(committed);
        self.on_block(committed, changes);
    }

    fn executed(&self, time: Duration) {
        self.executed.seconds.observe(time.as_secs_f64());
    }
}
