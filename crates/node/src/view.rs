//! Asking contracts on this node's own copy of the ledger.

use alloy_primitives::{Address, B256, Bytes, LogData, TxKind};
use futures::{FutureExt as _, future::BoxFuture};
use revm::{
    context::{TxEnv, result::ExecutionResult},
    database::CacheDB,
};
use std::{
    cmp::min,
    time::{Duration, Instant},
};
use stoa_client::{At, Chain, ViewError};
use stoa_contract::Evm;
use stoa_ledger::{Ledger, LedgerError, LogFilter};

/// Gas that one question may take.
const GAS: u64 = 50_000_000;

/// Events that are read at once, at most.
const MOST_EVENTS: usize = 1_000;

/// Blocks that are looked through at once, at first and at most.
const WINDOW: u64 = 1_000;
const MOST_BLOCKS: u64 = 64_000;

/// How long one event is looked for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A node's own copy of the ledger.
#[derive(Clone)]
pub struct Own(pub Ledger);

impl Own {
    /// Blocking.
    fn ask(&self, to: Address, data: Bytes) -> Result<(Bytes, At), ViewError> {
        let unreachable = |error: &dyn std::fmt::Display| ViewError::Unreachable(error.to_string());
        let head = self.0.head();
        let number = head.number();
        let state = self.0.state(number).map_err(|error| unreachable(&error))?;
        let block = self.0.block_env(number).map_err(|error| unreachable(&error))?;
        let mut cfg = stoa_contract::cfg(self.0.genesis().chain_id);
        (cfg.disable_nonce_check, cfg.disable_block_gas_limit, cfg.tx_gas_limit_cap) = (true, true, Some(u64::MAX));
        cfg.disable_base_fee = true;
        let mut evm = Evm::new(CacheDB::new(state), block, cfg, self.0.natives().clone());
        let chain_id = Some(self.0.genesis().chain_id);
        let tx = TxEnv { chain_id, gas_limit: GAS, kind: TxKind::Call(to), data, ..TxEnv::default() };
        let at = At { number, hash: head.hash(), timestamp: head.header().timestamp };
        match evm.transact_one(tx).map_err(|error| unreachable(&error))? {
            ExecutionResult::Success { output, .. } => Ok((output.into_data(), at)),
            ExecutionResult::Revert { output, .. } => Err(ViewError::Reverted(output)),
            ExecutionResult::Halt { reason, .. } => Err(ViewError::Unreachable(format!("the call ended: {reason:?}"))),
        }
    }

    /// The newest event that a filter lets through. From the head back, so that what came before is not read. Blocking.
    fn newest(&self, filter: &LogFilter) -> Result<Option<LogData>, ViewError> {
        let (begun, mut window, mut first) = (Instant::now(), WINDOW, 0);
        // The first block that has been looked at.
        let mut end = self.0.head().number() + 1;
        while end > first {
            if begun.elapsed() > PATIENCE {
                return Err(ViewError::Unreachable(format!("events were looked for back to block {end} only")));
            }
            let (from, to) = (end.saturating_sub(window).max(first), end - 1);
            match self.0.logs(from, to, filter, MOST_EVENTS) {
                Ok(found) => {
                    if let Some(entry) = found.into_iter().next_back() {
                        return Ok(Some(entry.log.data));
                    }
                    (end, window) = (from, min(2 * window, MOST_BLOCKS));
                }
                // Before that nothing is kept.
                Err(LedgerError::NotKept { first: kept, .. }) if kept > first => first = kept,
                Err(LedgerError::TooManyLogs { .. }) if to > from => window = (to - from).div_ceil(2),
                Err(error) => return Err(ViewError::Unreachable(error.to_string())),
            }
        }
        Ok(None)
    }
}

impl Chain for Own {
    fn view(&self, to: Address, data: Bytes) -> BoxFuture<'_, Result<(Bytes, At), ViewError>> {
        let own = self.clone();
        let asked = async move {
            let asked = tokio::task::spawn_blocking(move || own.ask(to, data)).await;
            asked.unwrap_or_else(|error| Err(ViewError::Unreachable(error.to_string())))
        };
        asked.boxed()
    }

    fn last_event(
        &self,
        of: Address,
        signature: B256,
        word: B256,
    ) -> BoxFuture<'_, Result<Option<LogData>, ViewError>> {
        let own = self.clone();
        let topics = [vec![signature], vec![word], Vec::new(), Vec::new()];
        let filter = LogFilter { addresses: vec![of], topics };
        let asked = async move {
            let asked = tokio::task::spawn_blocking(move || own.newest(&filter)).await;
            asked.unwrap_or_else(|error| Err(ViewError::Unreachable(error.to_string())))
        };
        asked.boxed()
    }
}
