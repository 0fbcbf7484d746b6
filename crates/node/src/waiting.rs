use alloy_consensus::{Transaction as _, transaction::SignerRecoverable as _};
use alloy_primitives::{Address, B256, map::HashMap};
use commonware_runtime::telemetry::metrics::raw::Histogram;
use futures::{Stream, StreamExt as _, stream};
use rayon::prelude::*;
use std::{
    sync::{
        Arc, LazyLock, OnceLock,
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
    /// Whether this is a development node: contracts may send, as impersonated ones do, and the gas limit is checked against the
    /// next block's before a transaction comes here.
    pub(crate) development: bool,
}

impl State for Head {
    fn chain_id(&self) -> u64 {
        self.ledger.genesis().chain_id
    }

    fn gas_limit(&self) -> u64 {
        if self.development { u64::MAX } else { self.ledger.head().header().gas_limit }
    }

    fn account(&self, address: Address) -> Result<Account, String> {
        let state = self.ledger.state(self.ledger.head().number()).map_err(|error| error.to_string())?;
        let account = state.sender(address).map_err(|error| error.to_string())?;
        Ok(Account { nonce: account.nonce, balance: account.balance, has_code: account.has_code && !self.development })
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
    /// Messages of other validators that are being taken in, of followers that are known, and of others.
    taking: Arc<Semaphore>,
    taking_of_followers: Arc<Semaphore>,
    taking_of_strangers: Arc<Semaphore>,
}

/// How many messages of other validators are taken in at a time: what is beyond is theirs to propose.
const TAKING: usize = 32;

/// How many of followers' that are known, and of others': they send what is beyond to others, or again.
const TAKING_OF_FOLLOWERS: usize = 1;

/// Checks signatures of what other validators have sent: blocks are checked on other threads, and never wait for that.
static CHECKING: LazyLock<rayon::ThreadPool> =
    LazyLock::new(|| rayon::ThreadPoolBuilder::new().build().expect("threads can be started"));

impl Default for Mempool {
    fn default() -> Self {
        Self {
            executed: Executed::default(),
            pool: Arc::default(),
            opened: Arc::default(),
            taking: Arc::new(Semaphore::new(TAKING)),
            taking_of_followers: Arc::new(Semaphore::new(TAKING_OF_FOLLOWERS)),
            taking_of_strangers: Arc::new(Semaphore::new(TAKING_OF_FOLLOWERS)),
        }
    }
}

impl Mempool {
    /// From now on there are transactions.
    pub(crate) fn open(&self, pool: Pool) {
        let _ = self.pool.set(pool);
        self.opened.notify_waiters();
    }

    /// Tells the pool what a block changed: of all accounts, since contracts move balances, and authorizations nonces, of others than
    /// those who send and receive.
    pub(crate) fn on_block(&self, committed: &Committed, changes: &Changes) {
        let Some(pool) = self.pool.get() else { return };
        let included = committed.block.transactions().iter().map(|transaction| *transaction.tx_hash());
        pool.on_block(changes.accounts().iter().copied(), included);
    }
}

/// Adds what another node was given, if it can wait here.
fn add(pool: &Pool, transaction: Transaction, from: Origin) {
    let hash = *transaction.tx_hash();
    // What waits long is sent again: its signature is not checked again.
    if pool.get(&hash).is_some() {
        return;
    }
    let taken = match transaction.try_into_recovered() {
        Ok(recovered) => match from {
            Origin::Validator => pool.add_from_peer(recovered).map_err(|error| error.to_string()),
            Origin::Follower | Origin::Stranger => pool.add(recovered).map_err(|error| error.to_string()),
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
            Origin::Stranger => &self.taking_of_strangers,
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::debug!(count = transactions.len(), "too many transactions of other nodes at once");
            return false;
        };
        // The state is read for senders that are not known.
        tokio::task::spawn_blocking(move || {
            let _place = place;
            let add = |transaction| add(&pool, transaction, from);
            match from {
                Origin::Validator => CHECKING.install(|| transactions.into_par_iter().for_each(add)),
                // On this thread alone: whoever follows must not take all cores from those who vote.
                Origin::Follower | Origin::Stranger => transactions.into_iter().for_each(add),
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{SignableTransaction as _, TxLegacy};
    use alloy_primitives::{TxKind, U256};
    use alloy_signer::SignerSync as _;
    use alloy_signer_local::PrivateKeySigner;
    use std::{sync::Barrier, thread, time::Instant};

    /// All are rich.
    struct Rich;

    impl State for Rich {
        fn chain_id(&self) -> u64 {
            31337
        }

        fn gas_limit(&self) -> u64 {
            30_000_000
        }

        fn account(&self, _: Address) -> Result<Account, String> {
            Ok(Account { balance: U256::from(1_u128 << 100), ..Account::default() })
        }
    }

    fn transfer() -> Transaction {
        let signer = PrivateKeySigner::random();
        let tx = TxLegacy {
            chain_id: Some(31337),
            gas_limit: 21_000,
            gas_price: 2_000_000_000,
            to: TxKind::Call(signer.address()),
            ..TxLegacy::default()
        };
        let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
        tx.into_signed(signature).into()
    }

    fn mempool() -> Mempool {
        let mempool = Mempool::default();
        mempool.open(Pool::new(stoa_mempool::Config::default(), Arc::new(Rich)));
        mempool
    }

    fn wait_for(mempool: &Mempool, transaction: &Transaction) {
        let until = Instant::now() + Duration::from_secs(60);
        while mempool.sender(transaction.tx_hash()).is_none() {
            assert!(Instant::now() < until, "it is not taken in");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[tokio::test]
    async fn what_validators_send_is_checked_beside_blocks_and_not_before_or_after_them() {
        // All threads are busy on which blocks are checked.
        let threads = rayon::current_num_threads();
        let over = Arc::new(Barrier::new(threads + 1));
        for _ in 0..threads {
            let over = over.clone();
            rayon::spawn(move || _ = over.wait());
        }
        let (mempool, transaction) = (mempool(), transfer());
        assert!(mempool.take(vec![transaction.clone()], Origin::Validator));
        wait_for(&mempool, &transaction);
        over.wait();
    }

    #[tokio::test]
    async fn strangers_leave_known_followers_a_place_for_what_they_hand_on() {
        let (mempool, transaction) = (mempool(), transfer());
        let _busy = mempool.taking_of_strangers.clone().try_acquire_many_owned(TAKING_OF_FOLLOWERS as u32).unwrap();
        assert!(!mempool.take(vec![transfer()], Origin::Stranger));
        assert!(mempool.take(vec![transaction.clone()], Origin::Follower));
        wait_for(&mempool, &transaction);
    }
}
