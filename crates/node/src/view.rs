//! Asking contracts on this node's own copy of the ledger.

use alloy_primitives::{Address, B256, Bytes, LogData, TxKind};
use futures::{FutureExt as _, future::BoxFuture};
use revm::{
    context::{TxEnv, result::ExecutionResult},
    database::CacheDB,
};
use stoa_client::{At, Chain, ViewError};
use stoa_contract::Evm;
use stoa_ledger::{Ledger, LedgerError, LogFilter};

/// Gas that one question may take.
const GAS: u64 = 50_000_000;

/// Events of one kind that are looked through, at most.
const MOST_EVENTS: usize = 10_000;

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

    /// Blocking.
    fn newest(&self, filter: &LogFilter) -> Result<Option<LogData>, ViewError> {
        let head = self.0.head().number();
        let found = match self.0.logs(0, head, filter, MOST_EVENTS) {
            Err(LedgerError::NotKept { first, .. }) => self.0.logs(first, head, filter, MOST_EVENTS),
            found => found,
        };
        let found = found.map_err(|error| ViewError::Unreachable(error.to_string()))?;
        Ok(found.into_iter().next_back().map(|entry| entry.log.data))
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
