use crate::{
    Config, Methods, Params, RpcError,
    budget::Budget,
    filters::Filters,
    methods::Method,
    pending::{Newest, Pending},
    protocol::{self, Body, Invalid, Request},
    recent::Recent,
    subscriptions::Subscriptions,
    traffic::Traffic,
    workers::{Crashed, Workers},
};
use alloy_primitives::B256;
use alloy_signer_local::PrivateKeySigner;
use bytes::Bytes;
use revm::context::BlockEnv;
use serde_json::value::RawValue;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use stoa_base::Block;
use stoa_ledger::{Committed, Ledger, StateAt};
use stoa_mempool::Pool;
use tokio::time::Instant;

/// What says how the next block is going to be.
pub(crate) type NextBlock = Box<dyn Fn(&Ledger) -> BlockEnv + Send + Sync>;

/// What all connections share.
pub(crate) struct Node {
    pub ledger: Ledger,
    pub pool: Pool,
    pub config: Config,
    pub methods: Methods,
    pub accounts: Vec<PrivateKeySigner>,
    pub client_version: String,
    pub next_block: Option<NextBlock>,
    pub reads: Workers,
    pub executions: Workers,
    pub filters: Filters,
    pub recent: Recent,
    pub pending: Newest,
    pub traffic: Traffic,
    pub memory: Budget,
}

/// One client's connection, and what it holds of things that are counted.
pub(crate) struct Connection {
    pub filters: Arc<AtomicUsize>,
    /// Only a WebSocket has subscriptions.
    pub subscriptions: Option<Subscriptions>,
}

impl Connection {
    pub fn http() -> Self {
        Self { filters: Arc::default(), subscriptions: None }
    }

    pub fn websocket() -> Self {
        Self { filters: Arc::default(), subscriptions: Some(Subscriptions::default()) }
    }
}

/// A place in something that is counted, given back when dropped.
pub(crate) struct Slot(Arc<AtomicUsize>);

impl Slot {
    /// Takes a place, if fewer than `limit` are taken.
    pub fn take(count: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| (taken < limit).then_some(taken + 1))
            .is_ok()
            .then(|| Self(count.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Other clients' large bodies and answers take all the memory there is for them.
pub(crate) fn crowded() -> RpcError {
    RpcError::limit("the node is busy with large requests, try again later")
}

/// What a method gets to work with: the chain, the pool, the settings. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    pub(crate) node: Arc<Node>,
    pub(crate) connection: Arc<Connection>,
    /// Which message of the connection this is: a subscription speaks only after its own answer has been sent.
    pub(crate) message: u64,
    /// Whether the client is Hardhat: a development node answers it as Hardhat's own network does.
    pub(crate) hardhat: bool,
}

impl Context {
    /// The chain.
    pub fn ledger(&self) -> &Ledger {
        &self.node.ledger
    }

    /// The transactions that wait.
    pub fn pool(&self) -> &Pool {
        &self.node.pool
    }

    /// The bounds.
    pub fn config(&self) -> &Config {
        &self.node.config
    }

    /// The names of all methods.
    pub fn methods(&self) -> &Methods {
        &self.node.methods
    }

    /// The keys of the accounts that this node signs for, for development.
    pub fn accounts(&self) -> &[PrivateKeySigner] {
        &self.node.accounts
    }

    /// What `web3_clientVersion` answers.
    pub fn client_version(&self) -> &str {
        &self.node.client_version
    }

    /// EIP-155 chain id.
    pub fn chain_id(&self) -> u64 {
        self.node.ledger.genesis().chain_id
    }

    /// The newest block.
    pub fn head(&self) -> Arc<Block> {
        self.node.ledger.head()
    }

    /// The environment of the block that comes next, as far as it is known.
    pub fn next_block_env(&self) -> BlockEnv {
        match &self.node.next_block {
            Some(next) => next(self.ledger()),
            None => self.ledger().next_block_env(),
        }
    }

    /// Forgets what is remembered of blocks above `number`: a development node calls it when it has turned back.
    pub fn forget_after(&self, number: u64) {
        self.node.recent.forget_after(number);
        self.forget_pending();
    }

    /// Has the block being built executed anew: a development node calls it when it has changed the newest state by hand.
    pub fn forget_pending(&self) {
        self.node.pending.forget();
    }

    /// The block being built. Blocking.
    ///
    /// # Errors
    ///
    /// When the ledger cannot read.
    pub(crate) fn pending(&self) -> Result<Arc<Pending>, RpcError> {
        self.node.pending.get(self)
    }

    /// A block with its receipts, from memory if it is one of the newest. Blocking.
    ///
    /// # Errors
    ///
    /// When the ledger cannot read.
    pub fn block(&self, number: u64) -> Result<Option<Committed>, RpcError> {
        let head = self.head();
        if let Some(found) = self.node.recent.block(number, &head) {
            return Ok(Some(found));
        }
        Ok(self.node.ledger.block(number)?)
    }

    /// Where a transaction stands: its block and its position there. Blocking.
    ///
    /// # Errors
    ///
    /// When the ledger cannot read.
    pub fn transaction(&self, hash: B256) -> Result<Option<(Committed, usize)>, RpcError> {
        if let Some(found) = self.node.recent.transaction(hash, &self.head()) {
            return Ok(Some(found));
        }
        let Some((number, index)) = self.node.ledger.transaction(hash)? else { return Ok(None) };
        Ok(self.block(number)?.map(|committed| (committed, index)))
    }

    /// The number of the block that `id` names; the newest for `pending`. `None` if there is no such block. Blocking.
    ///
    /// # Errors
    ///
    /// When the ledger cannot read.
    pub fn number(&self, id: crate::BlockId) -> Result<Option<u64>, RpcError> {
        use crate::BlockId::{Hash, Latest, Number, Pending};
        let head = self.head();
        Ok(match id {
            Latest | Pending => Some(head.number()),
            Number(number) => (number <= head.number()).then_some(number),
            Hash(hash) if hash == head.hash() => Some(head.number()),
            Hash(hash) => self.node.ledger.block_number(hash)?,
        })
    }

    /// The state after the block that `id` names; the newest for `pending`. Blocking.
    ///
    /// # Errors
    ///
    /// -32000 if there is no such block or its state is no longer kept.
    pub fn state(&self, id: crate::BlockId) -> Result<StateAt, RpcError> {
        match self.number(id)? {
            Some(number) => Ok(self.node.ledger.state(number)?),
            None if matches!(id, crate::BlockId::Hash(_)) => Err(RpcError::server("header for hash not found")),
            None => Err(RpcError::header_not_found()),
        }
    }

    /// Runs blocking work that reads from disk, when a worker is free.
    ///
    /// # Errors
    ///
    /// Those of the work, and -32603 if it panics.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        self.run(&self.node.reads, work).await
    }

    /// Runs blocking work that executes contracts, when a worker is free.
    ///
    /// # Errors
    ///
    /// Those of the work, and -32603 if it panics.
    pub async fn execute<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        self.run(&self.node.executions, work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        workers: &Workers,
        work: impl FnOnce(&Self) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let context = self.clone();
        let outcome = workers.run(move || work(&context)).await;
        outcome.unwrap_or_else(|Crashed| Err(RpcError::crashed()))
    }

    /// Answers a body; `None` if it holds only notifications. The answer is counted until it has been sent.
    pub(crate) async fn answer(&self, body: Bytes) -> Option<Bytes> {
        let mut deadline = Instant::now() + self.config().request_timeout;
        let mut out = Vec::with_capacity(256);
        let mut charge = self.node.memory.charge();
        match protocol::read(&body, self.config().max_batch, self.config().max_depth) {
            Err(error) => {
                self.node.traffic.ended("", Some(error.code));
                protocol::write(&mut out, None, &Err(error));
            }
            Ok(Body::Single(request)) => {
                let (id, outcome) = self.outcome(&body, request, &mut deadline).await;
                let id = id?;
                protocol::write(&mut out, Some(id), &outcome);
                if !charge.grow_to(out.len()) {
                    out.clear();
                    protocol::write(&mut out, Some(id), &Err(crowded()));
                }
            }
            Ok(Body::Batch(requests)) => {
                let mut refused = None;
                for request in requests {
                    let (id, outcome) = match (request, &refused) {
                        (Ok(request), Some(error)) => (request.id.map(|id| id.get()), Err(RpcError::clone(error))),
                        (request, _) => self.outcome(&body, request, &mut deadline).await,
                    };
                    let Some(id) = id else { continue };
                    let before = out.len();
                    out.push(if out.is_empty() { b'[' } else { b',' });
                    protocol::write(&mut out, Some(id), &outcome);
                    if refused.is_none() {
                        let most = self.config().max_response_bytes;
                        refused = match out.len() {
                            length if length > most => Some(RpcError::response_too_large(most)),
                            length if !charge.grow_to(length) => Some(crowded()),
                            _ => None,
                        };
                        if let Some(error) = &refused {
                            out.truncate(before);
                            out.push(if out.is_empty() { b'[' } else { b',' });
                            protocol::write(&mut out, Some(id), &Err(error.clone()));
                        }
                    }
                }
                if out.is_empty() {
                    return None;
                }
                out.push(b']');
            }
        }
        Some(charge.hold(out.into()))
    }

    /// The identifier to answer under, if any, and the outcome. What takes as long as it takes moves the deadline.
    async fn outcome<'a>(
        &self,
        body: &Bytes,
        request: Result<Request<'a>, Invalid<'a>>,
        deadline: &mut Instant,
    ) -> (Option<&'a str>, Result<Vec<u8>, RpcError>) {
        let request = match request {
            Ok(request) => request,
            Err(Invalid { id, error }) => {
                self.node.traffic.ended("", Some(error.code));
                return (Some(id.map_or("null", RawValue::get)), Err(error));
            }
        };
        let _under_way = self.node.traffic.begun();
        let params = request.params.map(|json| Params::new(protocol::share(body, json.get()))).unwrap_or_default();
        let (call, begun) = (self.call(&request.method, params), Instant::now());
        let outcome = if self.node.methods.is_patient(&request.method) {
            let outcome = call.await;
            *deadline += begun.elapsed();
            outcome
        } else {
            tokio::time::timeout_at(*deadline, call).await.unwrap_or_else(|_| Err(RpcError::timeout()))
        };
        self.node.traffic.ended(&request.method, outcome.as_ref().err().map(|error| error.code));
        (request.id.map(|id| id.get()), outcome)
    }

    /// Calls a method by name; the result is JSON text.
    ///
    /// # Errors
    ///
    /// Those of the method, and -32601 if there is none of that name.
    pub async fn call(&self, name: &str, params: Params) -> Result<Vec<u8>, RpcError> {
        let Some(method) = self.node.methods.get(name) else { return Err(RpcError::no_such_method(name)) };
        match method {
            Method::Instant(handler) => handler(self, &params),
            Method::Asynchronous(handler) => handler(self.clone(), params).await,
            Method::Read(handler) => {
                let handler = handler.clone();
                self.read(move |context| handler(context, &params)).await
            }
            Method::Execute(handler) => {
                let handler = handler.clone();
                self.execute(move |context| handler(context, &params)).await
            }
        }
    }

    /// How long a call may wait for a receipt: `asked`, or what the node allows.
    pub(crate) fn sync_timeout(&self, asked: Option<u64>) -> Duration {
        let most = self.config().sync_timeout;
        asked.map_or(most, |milliseconds| Duration::from_millis(milliseconds).min(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_bounded_and_given_back() {
        let count = Arc::default();
        let first = Slot::take(&count, 2).unwrap();
        let _second = Slot::take(&count, 2).unwrap();
        assert!(Slot::take(&count, 2).is_none());
        drop(first);
        assert!(Slot::take(&count, 2).is_some());
    }
}
