//! Which nodes there are, and what each does: the ledger's registry.

use alloy_primitives::{B256, U256};
use alloy_sol_types::SolEvent as _;
use commonware_codec::EncodeFixed as _;
use commonware_cryptography::{Signer as _, ed25519};
use ed25519_dalek::SigningKey;
use futures::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use stoa_base::NodeId;
use stoa_client::{Chain, SendError, ViewError, Wallet, view};
use stoa_contract::nodes::{
    ADDRESS, INodes,
    INodes::{INodesErrors, Node, NodeSet, listCall, noncesCall},
    operator_digest,
};
pub use stoa_contract::nodes::{KEEPER, STORE};
use stoa_net::PeerAddress;
use stoa_store::{Domain, Member, Members};
use zeroize::Zeroizing;

/// Nodes that one question brings, and how many are asked at most: whoever registers nodes without end hides later ones only, and a node
/// that answers without end is asked no more.
const PAGE: u64 = 100;
const MOST_PAGES: u64 = 1000;

/// The most bytes of a host and of a domain, as the ledger has them.
const MOST_HOST: usize = 255;
const MOST_DOMAIN: usize = 64;

/// How long an answer is good for.
const FRESH: Duration = Duration::from_secs(5);

/// For how long it is not looked up again where a node was of which that could not be found: anybody may name such keys.
const MISSED: Duration = Duration::from_secs(300);

/// Why a node was not asked that is not registered, and of which this copy of the ledger does not have where it was.
pub(crate) const UNKNOWN: &str = "it is not registered, and where it was is not known here";

/// All nodes, and when they were asked for.
type Known = (Instant, Arc<Vec<Node>>);

/// When a node was looked for in vain, and what was in the way, if anything was.
type Missed = (Instant, Option<ViewError>);

/// The registry as a copy of the ledger has it. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    chain: Arc<dyn Chain>,
    known: Arc<Mutex<Option<Known>>>,
    /// Where each node was when it was seen last, whether or not it is registered still.
    seen: Arc<Mutex<BTreeMap<B256, PeerAddress>>>,
    missed: Arc<Mutex<BTreeMap<B256, Missed>>>,
}

impl Registry {
    /// That of this copy of the ledger.
    pub fn new(chain: Arc<dyn Chain>) -> Self {
        Self { chain, known: Arc::default(), seen: Arc::default(), missed: Arc::default() }
    }

    /// All nodes, as they were some seconds ago at most.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked.
    pub async fn nodes(&self) -> Result<Arc<Vec<Node>>, ViewError> {
        let known = self.known.lock().clone();
        if let Some((at, nodes)) = known
            && at.elapsed() < FRESH
        {
            return Ok(nodes);
        }
        let (mut nodes, mut keys) = (Vec::new(), BTreeSet::new());
        for at in 0..MOST_PAGES {
            let call = listCall { from: U256::from(at * PAGE), most: U256::from(PAGE) };
            let (page, _) = view(&*self.chain, ADDRESS, &call).await?;
            if !is_page(&page) {
                return Err(ViewError::Malformed);
            }
            let (is_last, known) = ((page.len() as u64) < PAGE, keys.len());
            // One may have left and come again since the last page; not all of them.
            nodes.extend(page.into_iter().filter(|node| keys.insert(node.key)));
            if is_last {
                break;
            }
            if keys.len() == known {
                return Err(ViewError::Malformed);
            }
        }
        let seen = nodes.iter().filter_map(|node| Some((node.key, address(node)?)));
        self.seen.lock().extend(seen);
        let nodes = Arc::new(nodes);
        *self.known.lock() = Some((Instant::now(), nodes.clone()));
        Ok(nodes)
    }

    /// Forgets what it knew: the next answer is the ledger's.
    pub fn forget(&self) {
        *self.known.lock() = None;
        self.seen.lock().clear();
        self.missed.lock().clear();
    }

    /// Where these nodes are, so far as they are registered.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked.
    pub async fn addresses(&self, keys: impl IntoIterator<Item = B256>) -> Result<Vec<PeerAddress>, ViewError> {
        let nodes = self.nodes().await?;
        let find = |key: B256| nodes.iter().find(|node| node.key == key).and_then(address);
        Ok(keys.into_iter().filter_map(find).collect())
    }

    /// Where these nodes are, or were when they were registered last, so far as the ledger tells: who has left goes on with what it has of
    /// others until they have it elsewhere.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked.
    pub async fn last_addresses(&self, keys: impl IntoIterator<Item = B256>) -> Result<Vec<PeerAddress>, ViewError> {
        self.nodes().await?;
        let found = join_all(keys.into_iter().map(|key| self.last_address(key))).await;
        Ok(found.into_iter().flatten().collect())
    }

    /// Why a node is none of the [`last_addresses`](Self::last_addresses) that was asked for.
    pub(crate) fn unknown(&self, key: B256) -> String {
        match self.missed.lock().get(&key) {
            Some((_, Some(error))) => format!("{UNKNOWN}: {error}"),
            _ => UNKNOWN.into(),
        }
    }

    /// Where a node is or was. What happened in blocks that the ledger's copy does not keep is not known.
    async fn last_address(&self, key: B256) -> Option<PeerAddress> {
        let seen = self.seen.lock().get(&key).cloned();
        if seen.is_some() || self.missed.lock().get(&key).is_some_and(|(at, _)| at.elapsed() < MISSED) {
            return seen;
        }
        let found = self.chain.last_event(ADDRESS, NodeSet::SIGNATURE_HASH, key).await;
        let address = found.as_ref().ok().and_then(Option::as_ref).and_then(|event| {
            let set = NodeSet::decode_log_data(event).ok().filter(|set| set.key == key)?;
            PeerAddress::new(key.into(), &set.host).ok()
        });
        match &address {
            Some(address) => {
                self.seen.lock().insert(key, address.clone());
            }
            None => {
                let mut missed = self.missed.lock();
                missed.retain(|_, (at, _)| at.elapsed() < MISSED);
                missed.insert(key, (Instant::now(), found.err()));
            }
        }
        address
    }

    /// Where the nodes are that keep shares of keys.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked.
    pub async fn keepers(&self) -> Result<Vec<Member>, ViewError> {
        self.with(KEEPER).await
    }

    async fn with(&self, role: u8) -> Result<Vec<Member>, ViewError> {
        let nodes = self.nodes().await?;
        let has = nodes.iter().filter(|node| node.roles & role != 0);
        Ok(has.filter_map(member).collect())
    }
}

/// Whether these can be nodes of one block: not more than were asked for, each with another key.
fn is_page(page: &[Node]) -> bool {
    let keys: BTreeSet<_> = page.iter().map(|node| node.key).collect();
    let fits = |node: &Node| node.host.len() <= MOST_HOST && node.domain.len() <= MOST_DOMAIN;
    page.len() as u64 <= PAGE && keys.len() == page.len() && page.iter().all(fits)
}

/// Where a node is; nothing if its key is none.
pub(crate) fn address(node: &Node) -> Option<PeerAddress> {
    PeerAddress::new(node.key.into(), &node.host).ok()
}

fn member(node: &Node) -> Option<Member> {
    let address = address(node)?;
    // Who names no domain fails alone.
    let domain = if node.domain.is_empty() { node.key.to_string() } else { node.domain.clone() };
    Some(Member { address, domain: Domain(domain) })
}

impl Members for Registry {
    fn members(&self) -> BoxFuture<'_, Result<Vec<Member>, String>> {
        async { self.with(STORE).await.map_err(|error| error.to_string()) }.boxed()
    }
}

/// What an operator says of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Host and UDP port where it answers.
    pub host: String,
    /// What it fails together with; alone if empty.
    pub domain: String,
    /// Bytes that it offers to keep.
    pub capacity: u64,
    /// What it does: [`STORE`], [`KEEPER`].
    pub roles: u8,
}

/// Registers a node with the wallet as its operator, or changes what stands of it.
///
/// # Errors
///
/// If the ledger refuses it.
pub async fn join(wallet: &Wallet, key: &ed25519::PrivateKey, listing: Listing) -> Result<(), SendError> {
    let Listing { host, domain, capacity, roles } = listing;
    let public = B256::from(NodeId::from(&key.public_key()));
    // What it signed before is good no more.
    let (nonce, _) = view(wallet.client(), ADDRESS, &noncesCall { key: public }).await?;
    let signature = sign_digest(key, operator_digest(wallet.chain_id(), public, wallet.address(), nonce)).into();
    let key = public;
    wallet.call(ADDRESS, &INodes::joinCall { key, signature, host, domain, capacity, roles }).await.map(drop)
}

/// Removes a node of the wallet's from the registry.
///
/// # Errors
///
/// If the ledger refuses it.
pub async fn leave(wallet: &Wallet, key: B256) -> Result<(), SendError> {
    wallet.call(ADDRESS, &INodes::leaveCall { key }).await.map(drop)
}

/// A refusal of the registry in words.
pub(crate) fn words(reason: &INodesErrors) -> String {
    use INodesErrors as E;
    match reason {
        E::NodeUnknown(error) => format!("node {} is not registered", error.key),
        E::NodeNotOperator(error) => format!("{} did not register node {}", error.caller, error.key),
        E::NodeInvalidSignature(error) => {
            format!("node {} did not sign that {} operates it", error.key, error.operator)
        }
        E::NodeInvalidHost(_) => "this cannot be a node's host: want HOST:PORT, of 255 plain characters at most".into(),
        E::NodeInvalidDomain(_) => "a domain has at most 64 bytes".into(),
        E::NodeInvalidRoles(error) => format!("there are no such roles: {}", error.roles),
    }
}

/// A node's signature as contracts check it: plain ed25519 over a digest.
pub(crate) fn sign_digest(key: &ed25519::PrivateKey, digest: B256) -> [u8; 64] {
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(key.encode_fixed());
    ed25519_dalek::Signer::sign(&SigningKey::from_bytes(&seed), digest.as_slice()).to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answering::{called, node};
    use alloy_primitives::{Address, Bytes};
    use alloy_rpc_types_eth::{Filter, Log};
    use alloy_sol_types::SolCall as _;
    use commonware_codec::{Copying, DecodeExt as _};
    use serde::Deserialize as _;
    use serde_json::{Value, json};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Blocks of which the node tells events at once.
    const MOST: u64 = 4000;

    /// Of what the contract says of a node, what is looked at.
    fn listed(number: usize) -> Node {
        Node { key: B256::from(U256::from(number + 1)), host: "a.example:9000".into(), ..empty() }
    }

    fn empty() -> Node {
        Node {
            key: B256::ZERO,
            operator: Address::ZERO,
            host: String::new(),
            domain: String::new(),
            capacity: 0,
            roles: 0,
        }
    }

    /// A registry of a node that answers the question for nodes from one on, and how often it was asked.
    fn registry(list: impl Fn(usize) -> Vec<Node> + Send + 'static) -> (Registry, Arc<AtomicUsize>) {
        let (client, asked) = node(|| {
            let asked = Arc::new(AtomicUsize::new(0));
            let count = asked.clone();
            let answer = move |method: &str, params: &Value| match method {
                "eth_getBlockByNumber" => Ok(json!({ "number": "0x1", "hash": B256::ZERO, "timestamp": "0x1" })),
                "eth_call" => {
                    count.fetch_add(1, Ordering::Relaxed);
                    let call = listCall::abi_decode(&called(params).1).unwrap();
                    Ok(json!(Bytes::from(listCall::abi_encode_returns(&list(call.from.to())))))
                }
                other => panic!("{other} is not answered"),
            };
            (answer, asked)
        });
        (Registry::new(Arc::new(client)), asked)
    }

    #[tokio::test]
    async fn all_nodes_are_asked_for_and_one_that_moved_meanwhile_is_there_once() {
        let (page, all) = (PAGE as usize, 2 * PAGE as usize + 1);
        let (registry, asked) =
            registry(move |from| (from..all.min(from + page)).map(|at| listed(at % (all - 1))).collect());
        let nodes = registry.nodes().await.unwrap();
        assert!(nodes.iter().enumerate().all(|(at, node)| node.key == listed(at).key));
        assert_eq!((nodes.len(), asked.load(Ordering::Relaxed)), (all - 1, 3));
    }

    #[tokio::test]
    async fn a_node_that_lists_nodes_without_end_is_not_asked_without_end() {
        type List = Box<dyn Fn(usize) -> Vec<Node> + Send>;
        let page = PAGE as usize;
        let too_many = move |from: usize| (from..=from + page).map(listed).collect::<Vec<_>>();
        let twice = move |_: usize| vec![listed(0); 2];
        let long = |_: usize| vec![Node { host: "a".repeat(MOST_HOST + 1), ..empty() }];
        let again = move |_: usize| (0..page).map(listed).collect::<Vec<_>>();
        let lists: [List; 4] = [Box::new(too_many), Box::new(twice), Box::new(long), Box::new(again)];
        for (questions, list) in [1, 1, 1, 2].into_iter().zip(lists) {
            let (registry, asked) = registry(list);
            assert_eq!(registry.nodes().await, Err(ViewError::Malformed));
            assert_eq!(asked.load(Ordering::Relaxed), questions);
        }
    }

    #[tokio::test]
    async fn where_a_node_was_before_it_left_is_looked_up_in_the_ledgers_events() {
        let key = ed25519::PrivateKey::decode(Copying(&[7_u8; 32])).unwrap().public_key();
        let key = B256::from(NodeId::from(&key));
        let set = |number: u64, host: &str| {
            let (operator, host, domain) = (Address::ZERO, host.to_owned(), String::new());
            let set = NodeSet { key, operator, host, domain, capacity: 0, roles: KEEPER };
            let inner = alloy_primitives::Log { address: ADDRESS, data: set.encode_log_data() };
            Log { inner, block_number: Some(number), ..Log::default() }
        };
        let logs = [set(2, "before.example:9000"), set(3, "last.example:9000")];
        let (client, ()) = node(move || {
            let answer = move |method: &str, params: &Value| match method {
                "eth_getBlockByNumber" => Ok(json!({ "number": "0x61a8", "hash": B256::ZERO, "timestamp": "0x1" })),
                // Nobody is registered now.
                "eth_call" => Ok(json!(Bytes::from(listCall::abi_encode_returns(&Vec::new())))),
                "eth_getLogs" => {
                    let filter = Filter::deserialize(&params[0]).unwrap();
                    let (from, to) = (filter.get_from_block().unwrap(), filter.get_to_block().unwrap());
                    if to - from >= MOST {
                        return Err(json!({ "code": -32005, "message": "too many blocks" }));
                    }
                    let within = |log: &&Log| log.block_number.is_some_and(|number| (from..=to).contains(&number));
                    let found = logs.iter().filter(within).filter(|log| filter.matches(&log.inner));
                    Ok(json!(found.collect::<Vec<_>>()))
                }
                other => panic!("{other} is not answered"),
            };
            (answer, ())
        });
        let registry = Registry::new(Arc::new(client));
        assert_eq!(registry.addresses([key]).await.unwrap(), []);
        // Of a node that never was registered there is nothing.
        let found = registry.last_addresses([key, B256::repeat_byte(9)]).await.unwrap();
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert!(found.len() == 1 && found[0].ends_with("@last.example:9000"), "{found:?}");
        assert_eq!(registry.unknown(B256::repeat_byte(9)), UNKNOWN);
    }

    #[tokio::test]
    async fn a_key_that_never_was_registered_is_looked_for_not_without_end_and_not_again_at_once() {
        let (client, asked) = node(|| {
            let asked = Arc::new(AtomicUsize::new(0));
            let count = asked.clone();
            let answer = move |method: &str, _: &Value| match method {
                // The node says that there are as many blocks as there can be.
                "eth_getBlockByNumber" => {
                    Ok(json!({ "number": "0xffffffffffffffff", "hash": B256::ZERO, "timestamp": "0x1" }))
                }
                "eth_call" => Ok(json!(Bytes::from(listCall::abi_encode_returns(&Vec::new())))),
                "eth_getLogs" => {
                    count.fetch_add(1, Ordering::Relaxed);
                    Ok(json!([]))
                }
                other => panic!("{other} is not answered"),
            };
            (answer, asked)
        });
        let (registry, key) = (Registry::new(Arc::new(client)), B256::repeat_byte(9));
        assert_eq!(registry.last_addresses([key]).await.unwrap(), []);
        let once = asked.load(Ordering::Relaxed);
        assert!((1..=100).contains(&once), "{once}");
        let why = registry.unknown(key);
        assert!(why.starts_with(UNKNOWN) && why.len() > UNKNOWN.len(), "{why}");
        assert_eq!(registry.last_addresses([key]).await.unwrap(), []);
        assert_eq!(asked.load(Ordering::Relaxed), once);
        registry.forget();
        assert_eq!(registry.last_addresses([key]).await.unwrap(), []);
        assert!(asked.load(Ordering::Relaxed) > once);
    }
}
