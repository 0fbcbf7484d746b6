//! JSON-RPC methods of nodes of a network.
//!
//! | method | parameters | answers |
//! |---|---|---|
//! | `stoa_status` | - | roles, height, committee and votes heard, peers, waiting transactions |
//! | `stoa_getCertificate` | block | what proves with the network key that the block is final |

use alloy_primitives::{B256, Bytes, U256};
use std::sync::Arc;
use stoa_client::{CertificateReply, PeerStatus, Status, ValidatorStatus, Vote};
use stoa_consensus::{Votes, follow};
use stoa_ledger::Ledger;
use stoa_net::PeerAddress;
use stoa_rpc::{BlockId, Context, Methods, Params, RpcError};

/// How many headers lead from a block to one with a certificate, at most.
const HEADERS: u64 = 1024;

/// What a node says of itself.
pub(crate) struct About {
    pub(crate) roles: Vec<&'static str>,
    /// Its key, if it is a validator.
    pub(crate) me: Option<B256>,
    pub(crate) votes: Votes,
    /// How it stands with the peers that it follows, or with the other validators.
    pub(crate) peers: Arc<dyn Fn() -> Vec<follow::PeerStatus> + Send + Sync>,
    /// Where it can be followed.
    pub(crate) address: Option<PeerAddress>,
}

pub(crate) fn register(methods: &mut Methods, ledger: &Ledger, about: About) {
    let key = crate::network_key(ledger.genesis()).unwrap_or_default();
    let status_key = key.clone();
    methods.instant("stoa_status", move |context: &Context, params: &Params| {
        params.none()?;
        Ok(status(context, &about, &status_key))
    });
    methods.add("stoa_getCertificate", move |context: Context, params: Params| {
        let key = key.clone();
        async move {
            let at = {
                let mut reader = params.reader()?;
                let read = reader.optional::<BlockId>()?;
                reader.end()?;
                read
            };
            certificate(&context, at.unwrap_or_default(), key)
        }
    });
}

fn status(context: &Context, about: &About, network_key: &Bytes) -> Status {
    let (ledger, head) = (context.ledger(), context.ledger().head());
    let committee = ledger.genesis().committee.as_ref();
    let keys = committee.map(|committee| committee.validators.clone()).unwrap_or_default();
    let heard = about.votes.heard();
    let validators = keys.into_iter().enumerate().map(|(index, key)| ValidatorStatus {
        key,
        last_vote: heard.get(&index).map(|(epoch, view)| Vote { epoch: U256::from(*epoch), view: U256::from(*view) }),
        me: about.me == Some(key),
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
        timestamp: U256::from(head.header().timestamp),
        epoch: U256::from(head.number() / ledger.genesis().epoch_length),
        genesis_hash: ledger.first().hash(),
        network_key: network_key.clone(),
        follow_at: about.address.as_ref().map(ToString::to_string),
        validators: validators.collect(),
        peers: peers.collect(),
        pending: U256::from(waiting.pending),
        queued: U256::from(waiting.queued),
    }
}

/// The newest block that has a certificate, or a block with those after it up to the first that has one.
fn certificate(context: &Context, at: BlockId, network_key: Bytes) -> Result<CertificateReply, RpcError> {
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
    let found = found.filter(|(number, _)| number - from < HEADERS);
    let (number, certificate) =
        found.ok_or_else(|| RpcError::server("there is no certificate of this block here yet"))?;
    let headers = (from..=number).map(|number| {
        let committed = ledger.block(number)?.ok_or_else(RpcError::header_not_found)?;
        Ok(Bytes::from(alloy_rlp::encode(committed.block.header())))
    });
    let genesis_hash = ledger.first().hash();
    Ok(CertificateReply { genesis_hash, network_key, headers: headers.collect::<Result<_, RpcError>>()?, certificate })
}
