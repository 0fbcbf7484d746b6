//! What contracts say: asked of a node over JSON-RPC, or of the copy of the ledger that the asker's own process has.

use crate::{Client, ClientError};
use alloy_primitives::{Address, B256, Bytes, LogData, U64, hex};
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::{SolCall, SolInterface};
use futures::{FutureExt as _, future::BoxFuture};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

/// Blocks that a node is asked for at once, at most.
const PAGE: u64 = 10_000;

/// How often a node is asked for one event, at most, and for how long.
const MOST_PAGES: usize = 64;
const PATIENCE: Duration = Duration::from_secs(10);

/// The block on whose state a contract was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Height.
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// Seconds since 1970.
    pub timestamp: u64,
}

/// Why a contract did not say what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// It reverted, with this data.
    #[error("the contract refuses: {0}")]
    Reverted(Bytes),
    /// It said something else than its interface says.
    #[error("the contract's answer cannot be understood")]
    Malformed,
    /// It could not be asked.
    #[error("{0}")]
    Unreachable(String),
}

impl ViewError {
    /// The custom error that a contract of this interface reverted with.
    pub fn reason<I: SolInterface>(&self) -> Option<I> {
        match self {
            Self::Reverted(data) => I::abi_decode(data).ok(),
            Self::Malformed | Self::Unreachable(_) => None,
        }
    }
}

/// A copy of the ledger that can be asked.
pub trait Chain: Send + Sync {
    /// Calls a contract on the newest state, and says which that was.
    fn view(&self, to: Address, data: Bytes) -> BoxFuture<'_, Result<(Bytes, At), ViewError>>;

    /// The newest event of a contract with this signature and this first indexed word; nothing if there is none. It is looked for from the
    /// newest block back, and not without end: where that takes too long it is an error.
    fn last_event(&self, of: Address, signature: B256, word: B256)
    -> BoxFuture<'_, Result<Option<LogData>, ViewError>>;
}

/// Calls a contract with its interface's types.
///
/// # Errors
///
/// See [`ViewError`].
pub async fn view<C: SolCall>(chain: &dyn Chain, to: Address, call: &C) -> Result<(C::Return, At), ViewError> {
    let (output, at) = chain.view(to, call.abi_encode().into()).await?;
    let value = C::abi_decode_returns_validate(&output).map_err(|_| ViewError::Malformed)?;
    Ok((value, at))
}

#[derive(Deserialize)]
struct Head {
    number: U64,
    hash: B256,
    timestamp: U64,
}

impl From<ClientError> for ViewError {
    fn from(error: ClientError) -> Self {
        let reverted = match &error {
            ClientError::Refused { code: 3, data: Some(Value::String(data)), .. } => hex::decode(data).ok(),
            _ => None,
        };
        reverted.map_or_else(|| Self::Unreachable(error.to_string()), |data| Self::Reverted(data.into()))
    }
}

impl Chain for Client {
    fn view(&self, to: Address, data: Bytes) -> BoxFuture<'_, Result<(Bytes, At), ViewError>> {
        async move {
            let head: Head = self.call("eth_getBlockByNumber", ("latest", false)).await?;
            let at = json!({ "blockHash": head.hash });
            let output = self.call("eth_call", (json!({ "to": to, "input": data }), at)).await?;
            Ok((output, At { number: head.number.to(), hash: head.hash, timestamp: head.timestamp.to() }))
        }
        .boxed()
    }

    fn last_event(
        &self,
        of: Address,
        signature: B256,
        word: B256,
    ) -> BoxFuture<'_, Result<Option<LogData>, ViewError>> {
        let filter = Filter::new().address(of).event_signature(signature).topic1(word);
        async move {
            let late = || ViewError::Unreachable("the node takes too long to look through its events".into());
            timeout(PATIENCE, self.newest(filter)).await.unwrap_or_else(|_| Err(late()))
        }
        .boxed()
    }
}

impl Client {
    /// The newest event that a filter lets through, so far back as may be asked for.
    async fn newest(&self, filter: Filter) -> Result<Option<LogData>, ViewError> {
        let head: Head = self.call("eth_getBlockByNumber", ("latest", false)).await?;
        let mut page = PAGE;
        // The first block that has been looked at.
        let mut end = head.number.to::<u64>().saturating_add(1);
        for _ in 0..MOST_PAGES {
            if end == 0 {
                return Ok(None);
            }
            let (from, to) = (end.saturating_sub(page), end - 1);
            let filter = filter.clone().from_block(from).to_block(to);
            match self.call::<Vec<Log>>("eth_getLogs", (filter,)).await {
                Ok(mut logs) => {
                    if let Some(log) = logs.pop() {
                        return Ok(Some(log.inner.data));
                    }
                    end = from;
                }
                // Too many blocks, or too many events: how many is the node's own rule.
                Err(ClientError::Refused { .. }) if to > from => page = (to - from).div_ceil(2),
                Err(error) => return Err(error.into()),
            }
        }
        match end {
            0 => Ok(None),
            _ => Err(ViewError::Unreachable(format!("events were looked for back to block {end} only"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revert_is_known_by_its_code_and_has_what_the_contract_returned() {
        let error = |code, data| ViewError::from(ClientError::Refused { code, message: String::new(), data });
        let reverted = ViewError::Reverted(vec![0xab].into());
        assert_eq!(error(3, Some(json!("0xab"))), reverted);
        for (code, data) in [(3, None), (3, Some(json!({ "data": "0xab" }))), (-32603, Some(json!("0xab")))] {
            assert!(matches!(error(code, data), ViewError::Unreachable(_)));
        }
    }
}
