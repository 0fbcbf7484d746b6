use alloy_primitives::{Address, B256};
use std::sync::Arc;
use stoa_base::Recovered;
use stoa_mempool as mempool;
use stoa_rpc::{PoolContent, PoolError};
use tokio::sync::broadcast;

/// The mempool, as clients reach it through JSON-RPC.
pub(crate) struct RpcPool(pub(crate) mempool::Pool);

impl stoa_rpc::Pool for RpcPool {
    fn add(&self, transaction: Recovered) -> Result<(), PoolError> {
        self.0.add(transaction).map(drop).map_err(|error| match error {
            mempool::PoolError::AlreadyKnown => PoolError::AlreadyKnown,
            mempool::PoolError::NonceTooLow { next, nonce } => PoolError::NonceTooLow { next, nonce },
            mempool::PoolError::ReplacementUnderpriced => PoolError::ReplacementUnderpriced,
            mempool::PoolError::InsufficientFunds { balance, cost } => PoolError::InsufficientFunds { balance, cost },
            mempool::PoolError::Full => PoolError::Full,
            // The mempool's words are geth's already.
            other => PoolError::Invalid(other.to_string()),
        })
    }

    fn get(&self, hash: &B256) -> Option<Arc<Recovered>> {
        self.0.get(hash)
    }

    fn next_nonce(&self, sender: Address) -> Option<u64> {
        self.0.pending_nonce(sender)
    }

    fn counts(&self) -> (usize, usize) {
        let status = self.0.status();
        (status.pending, status.queued)
    }

    fn content(&self, sender: Option<Address>) -> PoolContent {
        let content = match sender {
            Some(sender) => self.0.content_from(sender),
            None => self.0.content(),
        };
        PoolContent { pending: content.pending, queued: content.queued }
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<Recovered>> {
        self.0.subscribe()
    }
}
