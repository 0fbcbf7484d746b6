//! JSON-RPC methods of nodes of a network.
//!
//! | method | parameters | answers |
//! |---|---|---|
//! | `stoa_status` | - | roles, height, committee and votes heard, whether it votes and alone, peers, waiting transactions |
//! | `stoa_getCertificate` | block | what proves with the network key that the block is final |
//! | `net_peerCount` | - | how many nodes it is connected to |
//! | `eth_syncing` | - | how far it has caught up with others |

use crate::{connected, elsewhere::Elsewhere, health, quic::Served, syncing::Progress};
use alloy_primitives::{B256, Bytes, U64, U256};
use std::{sync::Arc, time::Duration};
use stoa_base::now;
use stoa_client::{CertificateReply, PeerStatus, Status, ValidatorStatus, Vote};
use stoa_consensus::follow;
use stoa_ledger::Ledger;
use stoa_net::PeerAddress;
use stoa_rpc::{BlockId, Context, Methods, RpcError};

/// What a node says of itself.
pub(crate) struct About {
    pub(crate) roles: Vec<&'static str>,
    /// What it knows of the votes, if it is a validator.
    pub(crate) validator: Option<Validator>,
    /// How it stands with the peers that it follows, or with the other validators.
    pub(crate) peers: Arc<dyn Fn() -> Vec<follow::PeerStatus> + Send + Sync>,
    /// How far others are that it catches up with.
    pub(crate) progress: Arc<Progress>,
    /// Where it can be followed.
    pub(crate) address: Option<PeerAddress>,
    /// What it does for followers, if it serves them.
    pub(crate) served: Option<Served>,
    /// After how long blocks come, as far as that is known.
    pub(crate) block_time: Duration,
}

/// What a validator knows of the votes.
pub(crate) struct Validator {
    pub(crate) key: B256,
    /// Its place in the committee.
    pub(crate) place: usize,
    pub(crate) consensus: stoa_consensus::Running,
    /// Whether its key is in use elsewhere.
    pub(crate) elsewhere: Elsewhere,
}

impl Validator {
    /// Whether it votes in its epoch.
    pub(crate) fn votes(&self) -> bool {
        self.consensus.standing.newest().is_some_and(|(_, votes)| votes)
    }

    /// The newest epoch and view that a vote was heard of, its own included.
    pub(crate) fn newest_vote(&self) -> Option<(u64, u64)> {
        self.consensus.votes.heard().into_values().max()
    }

    /// Epoch and view of its own last vote.
    pub(crate) fn own_vote(&self) -> Option<(u64, u64)> {
        self.consensus.votes.heard().get(&self.place).copied()
    }
}

impl About {
    /// Whether its key is in use elsewhere as well; never of one that does not vote.
    pub(crate) fn key_elsewhere(&self) -> bool {
        self.validator.as_ref().is_some_and(|validator| validator.elsewhere.is_used())
    }

    /// How many nodes it is connected to: those that it follows or votes with, and those that follow it.
    fn connections(&self) -> usize {
        connected::count(&(self.peers)()) + self.served.as_ref().map_or(0, Served::followers)
    }

    /// What it does for agreement, in words.
    pub(crate) fn voting(&self) -> String {
        let Some(validator) = &self.validator else { return "it follows, and does not vote".into() };
        let voted = match validator.own_vote() {
            Some((epoch, view)) => format!("it voted last in epoch {epoch}, view {view}"),
            None => "it has not voted since it started".into(),
        };
        match validator.consensus.standing.newest() {
            Some((epoch, false)) => format!("it has no vote in epoch {epoch}; {voted}"),
            _ => voted,
        }
    }
}

pub(crate) fn register(methods: &mut Methods, ledger: &Ledger, about: Arc<About>) {
    let key = crate::network_key(ledger.genesis()).unwrap_or_default();
    let status_key = key.clone();
    let [counted, progressing] = [about.clone(), about.clone()];
    methods.read("net_peerCount", move |_, params| {
        params.none()?;
        Ok(U64::from(counted.connections()))
    });
    methods.instant("eth_syncing", move |context, params| {
        params.none()?;
        Ok(progressing.progress.syncing(context.head().number()))
    });
    // The peers of a validator are told from its metrics, and the pace of others' blocks from the blocks.
    methods.read("stoa_status", move |context, params| {
        params.none()?;
        Ok(status(context, &about, &status_key))
    });
    methods.read("stoa_getCertificate", move |context, params| {
        let mut reader = params.reader()?;
        let at = reader.optional::<BlockId>()?;
        reader.end()?;
        certificate(context, at.unwrap_or_default(), &key)
    });
}

fn status(context: &Context, about: &About, network_key: &Bytes) -> Status {
    let (ledger, head) = (context.ledger(), context.ledger().head());
    let committee = ledger.genesis().committee.as_ref();
    let keys = committee.map(|committee| committee.validators.clone()).unwrap_or_default();
    let known = about.validator.as_ref().map(|validator| &validator.consensus);
    let heard = known.map(|known| known.votes.heard()).unwrap_or_default();
    let equivocations = known.map(|known| known.equivocations.counted()).unwrap_or_default();
    let validators = keys.into_iter().enumerate().map(|(index, key)| ValidatorStatus {
        key,
        last_vote: heard.get(&index).map(|(epoch, view)| Vote { epoch: U256::from(*epoch), view: U256::from(*view) }),
        me: about.validator.as_ref().is_some_and(|validator| validator.key == key),
        equivocations: U256::from(equivocations.get(&index).copied().unwrap_or_default()),
    });
    let peers = (about.peers)().into_iter().map(|peer| PeerStatus {
        address: peer.name,
        used: peer.used,
        left_for: peer.lie.map(|lie| lie.to_string()),
    });
    let waiting = context.pool().status();
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        roles: about.roles.iter().map(|role| (*role).to_owned()).collect(),
        chain_id: U256::from(ledger.genesis().chain_id),
        block_number: U256::from(head.number()),
        block_hash: head.hash(),
        catching_up_to: about.progress.ahead(head.number()).map(U256::from),
        timestamp: U256::from(head.header().timestamp),
        clock: Some(U256::from(now())),
        patience: U256::from(health::patience(ledger, about).as_secs()),
        epoch: U256::from(head.number() / ledger.genesis().epoch_length),
        genesis_hash: ledger.first().hash(),
        network_key: network_key.clone(),
        follow_at: about.address.as_ref().map(ToString::to_string),
        votes: about.validator.as_ref().map(Validator::votes),
        key_elsewhere: about.key_elsewhere(),
        validators: validators.collect(),
        peers: peers.collect(),
        pending: U256::from(waiting.pending),
        queued: U256::from(waiting.queued),
    }
}

/// The newest block that has a certificate, or a block with those after it up to the first that has one.
fn certificate(context: &Context, at: BlockId, network_key: &Bytes) -> Result<CertificateReply, RpcError> {
    let ledger = context.ledger();
    let failed = |error: stoa_ledger::LedgerError| RpcError::server(error.to_string());
    let (from, found) = match at {
        BlockId::Latest | BlockId::Pending => {
            let newest = ledger.certificate_within(0, u64::MAX).map_err(failed)?;
            (newest.as_ref().map_or(0, |(number, _)| *number), newest)
        }
        at => {
            let number = context.number(at)?.ok_or_else(RpcError::header_not_found)?;
            (number, ledger.certificate_from(number).map_err(failed)?)
        }
    };
    let found = found.filter(|(number, _)| number - from <= follow::REACH);
    let (number, certificate) =
        found.ok_or_else(|| RpcError::server("there is no certificate of this block here yet"))?;
    let headers = (from..=number).map(|number| {
        if !context.is_awaited() {
            return Err(RpcError::timeout());
        }
        let header = ledger.header(number)?.ok_or_else(RpcError::header_not_found)?;
        Ok(Bytes::from(alloy_rlp::encode(header)))
    });
    Ok(CertificateReply {
        genesis_hash: ledger.first().hash(),
        network_key: network_key.clone(),
        headers: headers.collect::<Result<_, RpcError>>()?,
        certificate,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waiting::Head;
    use alloy_primitives::{Address, keccak256};
    use alloy_signer_local::PrivateKeySigner;
    use commonware_runtime::{Runner as _, tokio as runtime};
    use parking_lot::Mutex;
    use serde_json::{Value, json};
    use std::{num::NonZeroUsize, path::Path, sync::mpsc};
    use stoa_client::Client;
    use stoa_ledger::{Direct, LedgerConfig, execute::Choices};
    use stoa_mempool::Pool;
    use stoa_rpc::{Handle, Server};

    /// Serves a chain of so many blocks, the last of which has a certificate, with one thread that reads.
    async fn serve(
        runtime: runtime::Context,
        folder: &Path,
        blocks: u64,
        add: impl FnOnce(&mut Methods),
    ) -> (Ledger, Handle, Client) {
        let rich = PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap();
        let genesis = crate::development::genesis(31337, &[rich], 1_700_000_000);
        let config =
            LedgerConfig { durable: false, natives: crate::natives(), ..LedgerConfig::new(folder.join("history")) };
        let opening = Direct::open(runtime, genesis, config, 1 << 20, NonZeroUsize::MIN);
        let mut direct = Box::pin(opening).await.unwrap();
        let choices = |number| Choices {
            timestamp: 1_700_000_000 + number,
            beneficiary: Address::ZERO,
            prevrandao: B256::ZERO,
            base_fee: None,
            gas_limit: None,
        };
        direct.mine_empty(&(1..=blocks).map(choices).collect::<Vec<_>>()).await.unwrap();
        let ledger = direct.ledger().clone();
        ledger.certify(blocks, b"signed").unwrap();
        let about = About {
            roles: vec!["follower"],
            validator: None,
            peers: Arc::new(Vec::<follow::PeerStatus>::new),
            progress: Arc::default(),
            address: None,
            served: None,
            block_time: Duration::ZERO,
        };
        let state = Arc::new(Head { ledger: ledger.clone(), development: true });
        let rpc = Server::builder(ledger.clone(), Pool::new(stoa_mempool::Config::default(), state))
            .config(stoa_rpc::Config { read_workers: 1, ..stoa_rpc::Config::default() })
            .methods(crate::stoa_methods::register)
            .methods(|methods| register(methods, &ledger, Arc::new(about)))
            .methods(add)
            .bind(([127, 0, 0, 1], 0).into())
            .await
            .unwrap();
        let client = Client::new(rpc.local_addr().to_string());
        (ledger, rpc, client)
    }

    fn run(test: impl AsyncFnOnce(runtime::Context, &Path)) {
        let folder = tempfile::tempdir().unwrap();
        let storage = runtime::Config::new().with_storage_directory(folder.path().join("state"));
        runtime::Runner::new(storage).start(async |context| Box::pin(test(context, folder.path())).await);
    }

    #[test]
    fn what_reads_waits_for_a_thread_that_may_block() {
        run(async |context, folder| {
            let (begin, mut begun) = tokio::sync::mpsc::unbounded_channel();
            let (end, ended) = mpsc::channel::<()>();
            let ended = Mutex::new(ended);
            let add = move |methods: &mut Methods| {
                methods.read("test_busy", move |_, _| {
                    let _ = begin.send(());
                    let _ = ended.lock().recv();
                    Ok(true)
                });
            };
            let (ledger, rpc, client) = serve(context, folder, 1, add).await;
            let busy = client.clone();
            let busy = tokio::spawn(async move { busy.call::<bool>("test_busy", ()).await });
            begun.recv().await.unwrap();
            let asked = [
                ("stoa_status", json!([])),
                ("stoa_genesis", json!([])),
                ("stoa_getCertificate", json!(["0x1"])),
                ("stoa_getProof", json!([Address::ZERO, [], ledger.head().hash()])),
            ];
            for (method, params) in &asked {
                let answer = client.call::<Value>(method, params);
                let answer = tokio::time::timeout(Duration::from_millis(300), answer).await;
                assert!(answer.is_err(), "{method} is answered by a thread that must not block");
            }
            end.send(()).unwrap();
            assert!(busy.await.unwrap().unwrap());
            for (method, params) in &asked {
                client.call::<Value>(method, params).await.unwrap();
            }
            rpc.shutdown().await;
        });
    }

    #[test]
    fn a_block_is_proven_by_a_certificate_as_far_off_as_followers_keep_them_and_by_none_beyond() {
        run(async |context, folder| {
            let (first, last) = (4, 4 + follow::REACH);
            let (ledger, rpc, client) = serve(context, folder, last, |_| {}).await;
            let reply = client.certificate(Some(first)).await.unwrap();
            assert_eq!((&reply.certificate[..], reply.headers.len() as u64), (&b"signed"[..], follow::REACH + 1));
            let hash = |number| ledger.block(number).unwrap().unwrap().block.hash();
            let ends = [reply.headers.first(), reply.headers.last()].map(Option::unwrap);
            assert_eq!(ends.map(keccak256), [first, last].map(hash));
            let refused = client.certificate(Some(first - 1)).await.unwrap_err().to_string();
            assert!(refused.contains("no certificate of this block here yet"), "{refused}");
            rpc.shutdown().await;
        });
    }
}
