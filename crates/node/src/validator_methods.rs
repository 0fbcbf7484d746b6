//! JSON-RPC methods of nodes that take part in consensus.
//!
//! | method | parameters | answers |
//! |---|---|---|
//! | `stoa_status` | - | height, committee, votes heard, waiting transactions |
//! | `stoa_getCertificate` | block | what proves with the network key that the block is final |

use alloy_primitives::{B256, Bytes, U256};
use commonware_codec::Encode as _;
use commonware_cryptography::ed25519::PublicKey;
use std::sync::Arc;
use stoa_client::{CertificateReply, Status, ValidatorStatus};
use stoa_consensus::{Committee, Running};
use stoa_ledger::Ledger;
use stoa_rpc::{BlockId, Context, Methods, Params, RpcError};

/// How many blocks after the one asked for are looked through for a certificate: one proves all before it.
const LOOK_AHEAD: u64 = 64;

pub(crate) fn register(methods: &mut Methods, ledger: &Ledger, me: PublicKey, running: Running) {
    let key = network_key(ledger);
    let me = B256::from_slice(me.as_ref());
    let Running { certificates, votes } = running;
    let status_key = key.clone();
    methods.instant("stoa_status", move |context: &Context, params: &Params| {
        params.none()?;
        let (ledger, head) = (context.ledger(), context.ledger().head());
        let committee = ledger.genesis().committee.as_ref();
        let keys = committee.map(|committee| committee.validators.clone()).unwrap_or_default();
        let heard = votes.heard();
        let validators = keys.into_iter().enumerate().map(|(index, key)| ValidatorStatus {
            key,
            last_vote: heard.get(&index).map(|view| U256::from(*view)),
            me: key == me,
        });
        let status = context.pool().status();
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            chain_id: U256::from(ledger.genesis().chain_id),
            block_number: U256::from(head.number()),
            block_hash: head.hash(),
            timestamp: U256::from(head.header().timestamp),
            genesis_hash: ledger.first().hash(),
            network_key: status_key.clone(),
            validators: validators.collect(),
            pending: U256::from(status.pending),
            queued: U256::from(status.queued),
        })
    });
    let certificates = Arc::new(certificates);
    methods.add("stoa_getCertificate", move |context: Context, params: Params| {
        let (certificates, key) = (certificates.clone(), key.clone());
        async move {
            let at = {
                let mut reader = params.reader()?;
                let read = reader.optional::<BlockId>()?;
                reader.end()?;
                read
            };
            let head = context.head().number();
            // The newest that has a certificate, or the first from the block asked for on that has one.
            let (from, mut heights): (_, Box<dyn Iterator<Item = u64> + Send>) = match at.unwrap_or_default() {
                BlockId::Latest | BlockId::Pending => (None, Box::new((head.saturating_sub(LOOK_AHEAD)..=head).rev())),
                at => {
                    let number = context.number(at)?.ok_or_else(RpcError::header_not_found)?;
                    (Some(number), Box::new(number..=head.min(number + LOOK_AHEAD)))
                }
            };
            let (height, certificate) = loop {
                let Some(height) = heights.next() else {
                    return Err(RpcError::server("no certificate of this block is kept"));
                };
                if let Some(certificate) = certificates.of(height).await {
                    break (height, certificate);
                }
            };
            let headers = (from.unwrap_or(height)..=height).map(|number| {
                let committed = context.ledger().block(number).map_err(|error| RpcError::server(error.to_string()))?;
                let committed = committed.ok_or_else(RpcError::header_not_found)?;
                Ok(Bytes::from(alloy_rlp::encode(committed.block.header())))
            });
            Ok(CertificateReply {
                genesis_hash: context.ledger().first().hash(),
                network_key: key,
                headers: headers.collect::<Result<_, RpcError>>()?,
                certificate,
            })
        }
    });
}

fn network_key(ledger: &Ledger) -> Bytes {
    let committee = ledger.genesis().committee.as_ref().and_then(|committee| Committee::try_from(committee).ok());
    committee.map_or_else(Bytes::new, |committee| committee.network_key().encode().to_vec().into())
}
