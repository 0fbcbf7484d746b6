//! What a development node remembers between requests, and how its blocks come about.

use super::{Dev, clock::Clock, console::Console, failure::failure, written::Written};
use crate::{
    Context, RpcError,
    evm::{Sandbox, recorded},
};
use alloy_consensus::{Header, Transaction as _};
use alloy_primitives::{Address, B256, keccak256, map::HashSet};
use parking_lot::Mutex;
use revm::context::BlockEnv;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use stoa_base::{Account, Block, Recovered, now};
use stoa_ledger::{Committed, Ledger, Set, execute::Choices};
use stoa_mempool::{Content, PoolError};
use tokio::{
    sync::Mutex as AsyncMutex,
    task::{AbortHandle, JoinHandle},
};

/// More blocks than this at once take minutes, for which nobody waits.
const MAX_BLOCKS: u64 = 1_000_000;

/// Blocks that are asked of the chain together.
pub(crate) const CHUNK: u64 = 256;

/// Blocks that may come before a transaction that waits behind others gets its turn.
const MAX_TURNS: usize = 64;

/// What is settled of the blocks to come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Upcoming {
    pub clock: Clock,
    /// Who gets the tips from now on.
    pub coinbase: Option<Address>,
    /// Gas limit from now on.
    pub gas_limit: Option<u64>,
    /// Base fee of the next block only, wei per gas.
    pub base_fee: Option<u64>,
    /// Randomness of the next block only.
    pub prevrandao: Option<B256>,
}

impl Upcoming {
    /// Settles the next block.
    fn take(&mut self, parent: &Header, now: u64) -> Choices {
        Choices {
            timestamp: self.clock.take(parent.timestamp, now),
            beneficiary: self.coinbase.unwrap_or(parent.beneficiary),
            prevrandao: self.prevrandao.take().unwrap_or_else(|| keccak256(parent.mix_hash)),
            base_fee: self.base_fee.take(),
            gas_limit: self.gas_limit,
        }
    }

    /// The environment of the next block, if it were mined now.
    fn env(&self, ledger: &Ledger, now: u64) -> BlockEnv {
        let head = ledger.head();
        let choices = Self::take(&mut self.clone(), head.header(), now);
        let env = ledger.next_block_env();
        BlockEnv {
            timestamp: alloy_primitives::U256::from(choices.timestamp),
            beneficiary: choices.beneficiary,
            prevrandao: Some(choices.prevrandao),
            basefee: choices.base_fee.unwrap_or(env.basefee),
            gas_limit: choices.gas_limit.unwrap_or(env.gas_limit),
            ..env
        }
    }
}

struct Snapshot {
    id: u64,
    /// What was settled when it was taken, and what the clock showed.
    upcoming: Upcoming,
    time: u64,
    /// Number and hash of the newest block.
    head: (u64, B256),
}

struct Settings {
    upcoming: Upcoming,
    automine: bool,
    impersonated: HashSet<Address>,
    auto_impersonate: bool,
    snapshots: Vec<Snapshot>,
    /// Names this chain until it is reset.
    instance: B256,
    /// Whether there is code that calls the console; `None` before the first block that is mined here.
    console: Option<bool>,
}

impl Settings {
    fn new(automine: bool) -> Self {
        Self {
            upcoming: Upcoming::default(),
            automine,
            impersonated: HashSet::default(),
            auto_impersonate: false,
            snapshots: Vec::new(),
            instance: B256::random(),
            console: None,
        }
    }
}

/// A task that mines again and again after a random time between the bounds, in milliseconds.
struct Miner {
    bounds: (u64, u64),
    task: AbortHandle,
}

/// A development chain and how it is set.
pub(crate) struct Node<D> {
    dev: Arc<D>,
    /// Milliseconds between blocks, if they come by themselves unless something else is said.
    block_time: Option<u64>,
    settings: Mutex<Settings>,
    /// Held while the chain is changed; keeps the task that mines at intervals.
    turn: AsyncMutex<Option<Miner>>,
    written: Arc<AsyncMutex<Written>>,
}

impl<D: Dev> Node<D> {
    pub fn new(dev: Arc<D>, block_time: Option<u64>) -> Self {
        let settings = Mutex::new(Settings::new(block_time.is_none()));
        Self { dev, block_time, settings, turn: AsyncMutex::default(), written: Arc::default() }
    }

    pub fn dev(&self) -> &D {
        &self.dev
    }

    /// Sets fields of accounts.
    ///
    /// # Errors
    ///
    /// Those of the chain.
    pub async fn set(&self, context: &Context, fields: Vec<(Address, Set)>) -> Result<(), RpcError> {
        if fields.iter().any(|(_, what)| matches!(what, Set::Code(code) if calls_console(code))) {
            self.settings.lock().console = Some(true);
        }
        let outcome = self.dev.set(fields).await;
        context.forget_pending();
        outcome
    }

    /// Sets fields of accounts, and the clock to `time` if it shows less; in seconds since 1970.
    ///
    /// # Errors
    ///
    /// Those of the chain, and -32602 beyond what the clock can show.
    pub async fn load(
        &self,
        context: &Context,
        fields: Vec<(Address, Set)>,
        time: Option<u64>,
    ) -> Result<(), RpcError> {
        let _turn = self.turn.lock().await;
        self.upcoming(|upcoming| match time {
            Some(time) if time > upcoming.clock.time(now()) => upcoming.clock.set(time, now()).map(drop),
            _ => Ok(()),
        })?;
        self.set(context, fields).await
    }

    /// The newest block, and all accounts after it.
    ///
    /// # Errors
    ///
    /// -32000 if states of blocks with transactions are no longer kept; else those of the chain.
    pub async fn dump(&self, context: &Context) -> Result<(Arc<Block>, BTreeMap<Address, Account>), RpcError> {
        let _turn = self.turn.lock().await;
        let head = context.head();
        let number = head.number();
        let names = loop {
            // The work owns what it adds to, so that nothing is lost of it if nobody waits any longer.
            let mut written = self.written.clone().lock_owned().await;
            let looked = context.execute(move |context| {
                let done = written.look(context, number)?;
                done.then(|| written.names(context, number)).transpose()
            });
            if let Some(names) = looked.await? {
                break names;
            }
        };
        Ok((head, self.dev.dump(names).await?))
    }

    pub fn next_block_env(&self, ledger: &Ledger) -> BlockEnv {
        self.settings.lock().upcoming.env(ledger, now())
    }

    /// Reads or changes what is settled of the blocks to come.
    pub fn upcoming<T>(&self, change: impl FnOnce(&mut Upcoming) -> T) -> T {
        change(&mut self.settings.lock().upcoming)
    }

    pub fn instance(&self) -> B256 {
        self.settings.lock().instance
    }

    pub fn automine(&self) -> bool {
        self.settings.lock().automine
    }

    pub fn set_automine(&self, on: bool) {
        self.settings.lock().automine = on;
    }

    pub fn impersonate(&self, address: Address) {
        self.settings.lock().impersonated.insert(address);
    }

    pub fn stop_impersonating(&self, address: Address) -> bool {
        self.settings.lock().impersonated.remove(&address)
    }

    pub fn auto_impersonate(&self, on: bool) {
        self.settings.lock().auto_impersonate = on;
    }

    pub fn is_impersonated(&self, address: Address) -> bool {
        let settings = self.settings.lock();
        settings.auto_impersonate || settings.impersonated.contains(&address)
    }

    /// Takes waiting transactions away.
    pub fn drop_all(&self, waiting: &Content) {
        for transaction in waiting.pending.iter().chain(&waiting.queued) {
            self.dev.drop_transaction(*transaction.tx_hash());
        }
    }

    /// Mines `count` blocks, the first by the clock, the others `interval` seconds after the one before (1 if unset).
    ///
    /// # Errors
    ///
    /// -32602 for too many, else those of the chain, with how many blocks came before.
    pub async fn mine(&self, ledger: &Ledger, count: u64, interval: Option<u64>) -> Result<(), RpcError> {
        if count > MAX_BLOCKS {
            return Err(RpcError::invalid_params(format!("{count} blocks are too many: at most {MAX_BLOCKS} at once")));
        }
        let _turn = self.turn.lock().await;
        let before = ledger.head().number();
        let mut left = count;
        while left > 0 {
            let chunk = left.min(CHUNK);
            let mined = self.mine_chunk(ledger, chunk, interval, left == count).await;
            mined.map_err(|error| match ledger.head().number() - before {
                0 => error,
                mined => {
                    RpcError { message: format!("after {mined} of {count} blocks: {}", error.message).into(), ..error }
                }
            })?;
            left -= chunk;
        }
        Ok(())
    }

    /// As [`mine`](Self::mine), with the turn held; `first` if no blocks of the same request came before.
    async fn mine_chunk(
        &self,
        ledger: &Ledger,
        count: u64,
        interval: Option<u64>,
        first: bool,
    ) -> Result<Vec<Committed>, RpcError> {
        let head = ledger.head();
        let (mut timestamp, mut mix_hash) = (head.header().timestamp, head.header().mix_hash);
        let mut blocks = Vec::with_capacity(count as usize);
        let upcoming = self.upcoming(|upcoming| *upcoming);
        // One time for all: between two looks at the clock a second may pass.
        let now = now();
        self.upcoming(|upcoming| {
            for position in 0..count {
                let parent = Header { timestamp, mix_hash, ..head.header().clone() };
                if let Some(interval) = interval.filter(|_| !(first && position == 0)) {
                    // Zero would stand still.
                    upcoming.clock.follow(timestamp.saturating_add(interval.max(1)), now);
                }
                let choices = upcoming.take(&parent, now);
                (timestamp, mix_hash) = (choices.timestamp, choices.prevrandao);
                blocks.push(choices);
            }
        });
        let mined = self.dev.mine(blocks).await.inspect_err(|_| self.upcoming(|now| *now = upcoming))?;
        let mut settings = self.settings.lock();
        // What came before this node was started is not looked at: there may be anything.
        let known = settings.console.unwrap_or(head.number() > 0);
        let mut sent = mined.iter().flat_map(|committed| committed.block.transactions());
        settings.console = Some(known || sent.any(|transaction| calls_console(transaction.input())));
        drop(settings);
        Ok(mined)
    }

    /// Sets a time for the next block and mines it.
    ///
    /// # Errors
    ///
    /// -32000 if the time is not after the newest block's.
    pub async fn mine_at(&self, ledger: &Ledger, timestamp: u64) -> Result<(), RpcError> {
        let _turn = self.turn.lock().await;
        self.set_next_timestamp(ledger, timestamp)?;
        self.mine_chunk(ledger, 1, None, true).await.map(drop)
    }

    /// Sets the time of the next block.
    ///
    /// # Errors
    ///
    /// -32000 if it is not after the newest block's.
    pub fn set_next_timestamp(&self, ledger: &Ledger, timestamp: u64) -> Result<(), RpcError> {
        let parent = ledger.head().header().timestamp;
        self.upcoming(|upcoming| upcoming.clock.set_next(timestamp, parent, now()))
    }

    /// Mines a block again and again after a random time between the bounds, in milliseconds, or no longer.
    pub async fn mine_at_intervals(self: &Arc<Self>, ledger: Ledger, bounds: Option<(u64, u64)>) {
        self.set_miner(&mut *self.turn.lock().await, ledger, bounds);
    }

    fn set_miner(self: &Arc<Self>, miner: &mut Option<Miner>, ledger: Ledger, bounds: Option<(u64, u64)>) {
        let new = bounds.map(|bounds| Miner { bounds, task: self.clone().spawn_miner(ledger, bounds).abort_handle() });
        if let Some(before) = std::mem::replace(miner, new) {
            before.task.abort();
        }
    }

    /// The bounds that the node starts with.
    pub fn usual_interval(&self) -> Option<(u64, u64)> {
        self.block_time.map(|time| (time, time))
    }

    /// The bounds of the time between blocks that come by themselves, in milliseconds.
    pub async fn interval(&self) -> Option<(u64, u64)> {
        self.turn.lock().await.as_ref().map(|miner| miner.bounds)
    }

    fn spawn_miner(self: Arc<Self>, ledger: Ledger, (least, most): (u64, u64)) -> JoinHandle<()> {
        // The task must not keep alive what it mines for.
        let node = Arc::downgrade(&self);
        tokio::spawn(async move {
            loop {
                let spread = u64::from_le_bytes(B256::random().0[..8].try_into().unwrap_or_default());
                let wait = least + spread % (most - least).saturating_add(1).max(1);
                tokio::time::sleep(Duration::from_millis(wait)).await;
                let Some(node) = node.upgrade() else { return };
                if let Err(error) = node.mine(&ledger, 1, None).await {
                    tracing::warn!(%error, "a block could not be mined");
                }
            }
        })
    }

    /// Remembers the chain and what is settled of the blocks to come.
    ///
    /// # Errors
    ///
    /// Those of the chain.
    pub async fn snapshot(&self, ledger: &Ledger) -> Result<u64, RpcError> {
        let _turn = self.turn.lock().await;
        let id = self.dev.snapshot().await?;
        let head = ledger.head();
        let mut settings = self.settings.lock();
        let (upcoming, head) = (settings.upcoming, (head.number(), head.hash()));
        settings.snapshots.push(Snapshot { id, upcoming, time: upcoming.clock.time(now()), head });
        Ok(id)
    }

    /// The snapshots that there are, with number and hash of the newest block at each.
    pub fn snapshots(&self) -> Vec<(u64, (u64, B256))> {
        self.settings.lock().snapshots.iter().map(|snapshot| (snapshot.id, snapshot.head)).collect()
    }

    /// Goes back to a snapshot; time goes on from where it was taken.
    ///
    /// # Errors
    ///
    /// Those of the chain.
    pub async fn revert(&self, context: &Context, id: u64) -> Result<bool, RpcError> {
        let _turn = self.turn.lock().await;
        if !self.dev.revert(id).await? {
            return Ok(false);
        }
        self.forget_after(context, context.head().number()).await;
        let mut settings = self.settings.lock();
        if let Some(at) = settings.snapshots.iter().position(|snapshot| snapshot.id == id) {
            let Snapshot { upcoming, time, .. } = settings.snapshots[at];
            settings.snapshots.truncate(at);
            settings.upcoming = upcoming;
            settings.upcoming.clock.follow(time, now());
        }
        Ok(true)
    }

    /// Goes back to the first block, and to how the node was set when it started.
    ///
    /// # Errors
    ///
    /// Those of the chain.
    pub async fn reset(self: &Arc<Self>, context: &Context) -> Result<(), RpcError> {
        let mut turn = self.turn.lock().await;
        self.dev.reset().await?;
        self.forget_after(context, 0).await;
        self.set_miner(&mut turn, context.ledger().clone(), self.usual_interval());
        *self.settings.lock() = Settings::new(self.block_time.is_none());
        Ok(())
    }

    async fn forget_after(&self, context: &Context, number: u64) {
        context.forget_after(number);
        self.written.lock().await.forget_after(number);
    }

    /// Takes a transaction in, and mines it at once unless automining is off or others have to come before it, and with it
    /// those that waited for it. It is made when no other is on its way, for its nonce may be the next one.
    ///
    /// # Errors
    ///
    /// Says why it is not made or not taken; to Hardhat, if it was mined and failed, how.
    pub async fn deliver(
        &self,
        context: &Context,
        make: impl FnOnce(&Context) -> Result<Recovered, RpcError> + Send + 'static,
    ) -> Result<B256, RpcError> {
        let _turn = self.turn.lock().await;
        let automine = self.automine();
        let BlockEnv { basefee, gas_limit, .. } = self.next_block_env(context.ledger());
        // Not with the threads that execute: those may all be busy for long.
        let taken = context.read(move |context| {
            let transaction = make(context)?;
            let (hash, sender) = (*transaction.inner().hash(), transaction.signer());
            let nonce = transaction.inner().nonce();
            // The pool does not know what is settled of the next block.
            if transaction.inner().gas_limit() > gas_limit {
                return Err(RpcError::server(PoolError::BlockGasLimit.to_string()));
            }
            admit(context, transaction, automine.then_some(basefee))?;
            Ok((hash, sender, nonce))
        });
        let (hash, sender, nonce) = taken.await?;
        if automine && context.pool().pending_nonce(sender).is_some_and(|next| nonce < next) {
            let ended = self.include(context, hash).await;
            self.mine_waiting(context).await?;
            ended?;
        }
        Ok(hash)
    }

    /// Mines what waits and can run, as far as it can be paid for.
    async fn mine_waiting(&self, context: &Context) -> Result<(), RpcError> {
        for _ in 0..MAX_TURNS {
            if context.pool().status().pending == 0 {
                break;
            }
            let mined = self.mine_chunk(context.ledger(), 1, None, true).await?;
            if mined.iter().all(|committed| committed.block.transactions().is_empty()) {
                break;
            }
        }
        Ok(())
    }

    /// Mines until a transaction that waits is in a block, and says to Hardhat how it failed if it did.
    async fn include(&self, context: &Context, hash: B256) -> Result<(), RpcError> {
        for _ in 0..MAX_TURNS {
            let mined = self.mine_chunk(context.ledger(), 1, None, true).await?;
            for committed in mined {
                let position = committed.block.transactions().iter().position(|found| *found.hash() == hash);
                if let Some(index) = position {
                    let console = self.settings.lock().console == Some(true);
                    return outcome(context, committed, index, console).await;
                }
                if committed.block.transactions().is_empty() {
                    self.dev.drop_transaction(hash);
                    return Err(RpcError::server(format!("Transaction {hash} could not be mined")));
                }
            }
        }
        Err(RpcError::server(format!("Transaction {hash} waits behind too many others")))
    }
}

/// Whether code, or what it is deployed with, calls the console: the end of its address is in it, as compilers push it.
fn calls_console(code: &[u8]) -> bool {
    const NAME: &[u8] = b"console.log";
    code.windows(NAME.len()).any(|bytes| bytes == NAME)
}

/// How a mined transaction ended, for Hardhat: others look at its receipt. Prints what it said on the `console`, if it can have
/// said anything there.
async fn outcome(context: &Context, committed: Committed, index: usize, console: bool) -> Result<(), RpcError> {
    let succeeded = committed.receipts.get(index).is_some_and(|receipt| receipt.success);
    let transaction = &committed.block.transactions()[index];
    let fine = succeeded || !context.hardhat;
    if fine && (!console || transaction.input().is_empty()) {
        return Ok(());
    }
    let hash = *transaction.hash();
    // Receipts don't keep what a contract returned, nor what it said on the console.
    let again = context.execute(move |context| {
        let mut sandbox = Sandbox::replay(context, &committed, index)?;
        let (traced, Console) = sandbox.inspect(recorded(&committed, index)?, Console)?;
        Ok(traced.result)
    });
    let again = again.await;
    if fine {
        return Ok(());
    }
    Err(failure(&again?, Some(hash)).unwrap_or_else(|| RpcError::server(format!("Transaction {hash} failed"))))
}

/// Checks a transaction and hands it to the pool. `base_fee` is the next block's, if it is mined at once. Blocking.
fn admit(context: &Context, transaction: Recovered, base_fee: Option<u64>) -> Result<(), RpcError> {
    let (hash, nonce) = (*transaction.inner().hash(), transaction.inner().nonce());
    let refused = |error: PoolError| {
        RpcError::server(if context.hardhat { in_hardhats_words(&error, hash, nonce) } else { error.to_string() })
    };
    let why = match check_fee(context, &transaction, base_fee) {
        Err(why) => why,
        Ok(()) => match context.pool().add(transaction) {
            Ok(_) => return Ok(()),
            Err(error) => refused(error),
        },
    };
    // That it is known says more. The history is asked last, for it is on the disk.
    let known = context.pool().get(&hash).is_some() || context.transaction(hash)?.is_some();
    Err(if known { refused(PoolError::AlreadyKnown) } else { why })
}

/// Whether a transaction can be in a block with this base fee.
fn check_fee(context: &Context, transaction: &Recovered, base_fee: Option<u64>) -> Result<(), RpcError> {
    let most = transaction.inner().max_fee_per_gas();
    let Some(base_fee) = base_fee.filter(|base_fee| most < u128::from(*base_fee)) else { return Ok(()) };
    let sender = transaction.signer();
    let field = if transaction.inner().is_dynamic_fee() { "maxFeePerGas" } else { "gasPrice" };
    Err(RpcError::server(if context.hardhat {
        format!("Transaction {field} ({most}) is too low for the next block, which has a baseFeePerGas of {base_fee}")
    } else {
        format!("max fee per gas less than block base fee: address {sender}, maxFeePerGas: {most}, baseFee: {base_fee}")
    }))
}

/// What Hardhat's network says of a transaction of this hash and nonce that is not taken.
fn in_hardhats_words(error: &PoolError, hash: B256, nonce: u64) -> String {
    match error {
        PoolError::AlreadyKnown => format!("Known transaction: {hash}"),
        PoolError::NonceTooLow { next, nonce } => {
            format!("Nonce too low. Expected nonce to be at least {next} but got {nonce}.")
        }
        PoolError::InsufficientFunds { balance, cost } => format!(
            "Sender doesn't have enough funds to send tx. The max upfront cost is: {cost} and the sender's balance is: \
             {balance}."
        ),
        PoolError::ReplacementUnderpriced => {
            format!("Replacement transaction underpriced. It would replace the one with nonce {nonce}.")
        }
        other => other.to_string(),
    }
}
