//! The block being built, which clients name `pending`: what waits, executed on the newest state as the next block would
//! execute it. The chain's next block may still be another.
//!
//! It is executed when somebody asks for it, once for all who ask meanwhile, and again only when the chain, what waits or what
//! is settled of the next block has changed. So it takes one thread at most, and what it executes has three bounds: a block's
//! gas, [`MOST`] and [`LONGEST`].

use crate::{
    Context, RpcError,
    evm::{Overlay, Sandbox},
    view::bloom,
};
use alloy_consensus::{Header, Transaction as _, Typed2718 as _};
use alloy_primitives::Bytes;
use parking_lot::Mutex;
use revm::context::{
    BlockEnv,
    result::{EVMError, InvalidTransaction},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use stoa_base::{Block, Receipt, Recovered, Seal};
use stoa_ledger::{
    Committed,
    execute::{merkle_root, receipt_digest, transactions_root, tx_env},
};
use stoa_mempool::{Pool, Status};
use tokio::sync::broadcast;

/// Waiting transactions that are tried at most.
const MOST: usize = 10_000;

/// After so long no further transaction is begun. One is, on a machine that is busy with other things as well.
const LONGEST: Duration = Duration::from_millis(200);

/// The least gas a transaction takes.
const LEAST_GAS: u64 = 21_000;

/// The block being built.
pub(crate) struct Pending {
    /// Its transactions, and what they lead to; the state's root is the parent's.
    pub committed: Committed,
    /// What they see of their block.
    pub env: BlockEnv,
    /// The state after them.
    pub state: Arc<Overlay>,
}

/// The one that was executed last.
#[derive(Default)]
pub(crate) struct Newest {
    built: Mutex<Option<Built>>,
    /// How often the state was changed outside blocks.
    changes: AtomicU64,
}

struct Built {
    pending: Arc<Pending>,
    began: Instant,
    changes: u64,
    waiting: Waiting,
}

/// What waited when it was begun.
struct Waiting {
    status: Status,
    bytes: usize,
    news: broadcast::Receiver<Arc<Recovered>>,
}

impl Waiting {
    fn of(pool: &Pool) -> Self {
        // First of all, so that nothing comes in unnoticed while the rest is read.
        let news = pool.subscribe();
        Self { status: pool.status(), bytes: pool.bytes(), news }
    }

    fn is_unchanged(&self, pool: &Pool) -> bool {
        self.news.is_empty() && self.status == pool.status() && self.bytes == pool.bytes()
    }
}

impl Newest {
    /// Has it executed anew: the state was changed outside blocks.
    pub fn forget(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// The block being built, as it is now. Blocking.
    ///
    /// # Errors
    ///
    /// If the ledger cannot read.
    pub fn get(&self, context: &Context) -> Result<Arc<Pending>, RpcError> {
        let asked = Instant::now();
        let mut newest = self.built.lock();
        let (env, head) = (context.next_block_env(), context.head());
        let changes = self.changes.load(Ordering::Acquire);
        if let Some(built) = &*newest
            && built.changes == changes
            && built.pending.env == env
            && built.pending.committed.block.header().parent_hash == head.hash()
            && (built.began >= asked || built.waiting.is_unchanged(context.pool()))
        {
            return Ok(built.pending.clone());
        }
        let (began, waiting) = (Instant::now(), Waiting::of(context.pool()));
        let pending = Arc::new(build(context, &head, env)?);
        *newest = Some(Built { pending: pending.clone(), began, changes, waiting });
        Ok(pending)
    }
}

fn build(context: &Context, head: &Block, env: BlockEnv) -> Result<Pending, RpcError> {
    let began = Instant::now();
    let parent = head.header();
    let header = Header {
        parent_hash: head.hash(),
        number: parent.number + 1,
        timestamp: env.timestamp.saturating_to(),
        gas_limit: env.gas_limit,
        base_fee_per_gas: Some(env.basefee),
        beneficiary: env.beneficiary,
        mix_hash: env.prevrandao.unwrap_or_default(),
        extra_data: Bytes::new(),
        ..parent.clone()
    };
    let mut sandbox = Sandbox::begin(context, context.ledger().state(parent.number)?, env, &header)?;
    let mut best = context.pool().best(sandbox.block.basefee);
    let (mut transactions, mut senders, mut receipts) = (Vec::new(), Vec::new(), Vec::<Receipt>::new());
    let mut used = 0;
    for tried in 0..MOST {
        let left = header.gas_limit.saturating_sub(used);
        if left < LEAST_GAS || (tried > 0 && began.elapsed() > LONGEST) {
            break;
        }
        let Some(waiting) = best.next() else { break };
        let (transaction, sender) = (waiting.inner(), waiting.signer());
        let tx = tx_env(&waiting).filter(|_| transaction.gas_limit() <= left);
        let result = match tx.map(|tx| sandbox.include(tx)) {
            Some(Ok(result)) => result,
            // A block has had it meanwhile.
            Some(Err(EVMError::Transaction(InvalidTransaction::NonceTooLow { .. }))) => continue,
            None | Some(Err(EVMError::Transaction(_))) => {
                best.mark_invalid(sender);
                continue;
            }
            Some(Err(error)) => return Err(crate::evm::refused(error, sender)),
        };
        used += result.tx_gas_used();
        receipts.push(Receipt {
            tx_type: transaction.ty(),
            success: result.is_success(),
            gas_used: result.tx_gas_used(),
            cumulative_gas_used: used,
            effective_gas_price: transaction.effective_gas_price(header.base_fee_per_gas),
            contract_address: result.created_address(),
            logs: result.into_logs(),
        });
        transactions.push(transaction.clone());
        senders.push(sender);
    }
    let header = Header {
        gas_used: used,
        transactions_root: transactions_root(transactions.iter().map(|transaction| *transaction.tx_hash())),
        receipts_root: merkle_root(receipts.iter().map(receipt_digest)),
        logs_bloom: receipts.iter().map(bloom).fold(Default::default(), |all, one| all | one),
        ..header
    };
    let block = Arc::new(Block::new(header, Seal::default(), transactions));
    let committed = Committed { block, receipts: Arc::new(receipts), senders: Arc::new(senders) };
    Ok(Pending { committed, env: sandbox.block, state: Arc::new(sandbox.db) })
}
