//! What nodes have signed that they deleted of an asset: those that are registered, whatever they do for others now, and those that have
//! left the registry since, which may run on and have what they had.

use super::{Data, DataError, Result};
use crate::{
    abi::{CONSENT, IConsent::assetOfCall},
    keeper::Request,
    record::paged,
    registry::{self, Registry},
};
use alloy_primitives::B256;
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::SolEvent as _;
use commonware_codec::{Copying, DecodeExt as _, FixedSize as _};
use futures::future::join_all;
use std::{cmp::Reverse, collections::BTreeSet};
use stoa_base::NodeId;
use stoa_client::{ViewError, view};
use stoa_contract::nodes::{ADDRESS, INodes::NodeRemoved};
use stoa_net::{Denied, PeerAddress};
use stoa_privacy::DeletionReceipt;

/// What a keeper or holder has deleted, or why it did not say.
#[derive(Clone, Debug)]
pub struct Deletions {
    /// Which node.
    pub node: NodeId,
    /// Where it is asked, if that is known.
    pub address: Option<PeerAddress>,
    /// Whether it is not registered (any more).
    pub left: bool,
    /// Its signed receipts, checked.
    pub receipts: std::result::Result<Vec<DeletionReceipt>, String>,
}

/// A node that is to be asked.
struct Whom {
    node: NodeId,
    /// Where, or why that is not known.
    address: std::result::Result<PeerAddress, String>,
    left: bool,
}

impl Whom {
    /// All who are registered, and these as well, wherever they are. Who does nothing for others any more may have what it had.
    async fn of(registry: &Registry, also: &BTreeSet<NodeId>) -> std::result::Result<Vec<Self>, ViewError> {
        let nodes = registry.nodes().await?;
        let there: BTreeSet<_> = nodes.iter().map(|node| NodeId::from(node.key)).collect();
        let address = |address: PeerAddress| Self { node: address.node(), address: Ok(address), left: false };
        let mut whom: Vec<_> = nodes.iter().filter_map(registry::address).map(address).collect();
        let known: BTreeSet<_> = whom.iter().map(|whom| whom.node).collect();
        let others: Vec<_> = also.difference(&known).copied().collect();
        let (found, why) = match registry.last_addresses(others.iter().map(|node| B256::from(*node))).await {
            Ok(found) => (found, "where it is is not known".to_owned()),
            Err(error) => (Vec::new(), error.to_string()),
        };
        whom.extend(others.into_iter().map(|node| {
            let address = found.iter().find(|address| address.node() == node).cloned();
            Self { node, address: address.ok_or_else(|| why.clone()), left: !there.contains(&node) }
        }));
        Ok(whom)
    }
}

/// Why a node has signed nothing, if that is so.
fn silent(left: bool, why: String) -> String {
    if left { format!("it is not registered (any more), and {why}") } else { why }
}

/// The nodes that these events remove from the registry, the last first.
fn removed(mut logs: Vec<Log>) -> Vec<NodeId> {
    logs.sort_by_key(|log| Reverse((log.block_number, log.log_index)));
    let events = logs.into_iter().filter(|log| log.address() == ADDRESS);
    let nodes = events.filter_map(|log| Some(NodeId::from(NodeRemoved::decode_log(&log.inner).ok()?.key)));
    let mut known = BTreeSet::new();
    nodes.filter(|node| known.insert(*node)).collect()
}

impl Data {
    /// The nodes that have left the registry since an asset was registered, and are not registered now, those that left last first. They
    /// may have kept pieces of it: the ledger does not say who does. Anybody may join and leave, so there may be any number of them.
    ///
    /// # Errors
    ///
    /// If there is no such asset, or the ledger cannot be asked.
    pub async fn left(&self, asset: B256) -> Result<Vec<NodeId>> {
        let client = self.wallet.client();
        let (is, at) = view(client, CONSENT, &assetOfCall { asset }).await?;
        let filter = Filter::new().address(ADDRESS).event_signature(NodeRemoved::SIGNATURE_HASH);
        let logs = paged(is.registered, at.number, async |from, to| {
            client.call::<Vec<Log>>("eth_getLogs", (filter.clone().from_block(from).to_block(to),)).await
        });
        let logs = logs.await.map_err(|error| DataError::Ledger(error.to_string()))?;
        let nodes = self.circle.registry().nodes().await?;
        let there: BTreeSet<_> = nodes.iter().map(|node| NodeId::from(node.key)).collect();
        Ok(removed(logs).into_iter().filter(|node| !there.contains(node)).collect())
    }

    /// What all nodes have signed that they deleted of an asset: its keepers, and whoever kept pieces. These are asked and told of as
    /// well, whether they are registered or not.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked.
    pub async fn deletions(&self, asset: B256, also: &BTreeSet<NodeId>) -> Result<Vec<Deletions>> {
        let whom = Whom::of(self.circle.registry(), also).await?;
        let ask = |Whom { node, address, left }: Whom| async move {
            let (address, receipts) = match address {
                Ok(address) => {
                    let receipts = self.receipts(asset, &address, left).await;
                    (Some(address), receipts)
                }
                Err(why) => (None, Err(silent(left, format!("was not asked: {why}")))),
            };
            Deletions { node, address, left, receipts }
        };
        Ok(join_all(whom.into_iter().map(ask)).await)
    }

    /// Asks one of them again.
    pub async fn ask_again(&self, asset: B256, of: &mut Deletions) {
        if let Some(address) = &of.address {
            of.receipts = self.receipts(asset, address, of.left).await;
        }
    }

    /// What a node has signed, checked.
    async fn receipts(
        &self,
        asset: B256,
        node: &PeerAddress,
        left: bool,
    ) -> std::result::Result<Vec<DeletionReceipt>, String> {
        let answer = self.circle.ask(node, &Request::Receipts(asset)).await;
        let said = |why: Denied| if left { format!("has not answered ({why})") } else { why.to_string() };
        let bytes = answer.map_err(|why| silent(left, said(why)))?;
        let all = bytes.chunks(DeletionReceipt::SIZE).map(|bytes| {
            let receipt = DeletionReceipt::decode(Copying(bytes)).ok()?;
            let own = *receipt.keeper().as_ref() == node.node().0 && receipt.asset().0 == asset;
            (own && receipt.verify().is_ok()).then_some(receipt)
        });
        all.collect::<Option<Vec<_>>>().ok_or_else(|| "its receipts are none".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{keeper::tests::Ledger, registry::sign_digest};
    use alloy_primitives::{Address, U256};
    use commonware_cryptography::{Signer as _, ed25519};
    use std::sync::Arc;
    use stoa_contract::nodes::{INodes, KEEPER, operator_digest};

    const CHAIN: u64 = 31337;
    const OPERATOR: Address = Address::repeat_byte(0xa1);

    /// Registers a node, which may do nothing for others.
    fn join(ledger: &Ledger, seed: u64, roles: u8) -> NodeId {
        let secret = ed25519::PrivateKey::from_seed(seed);
        let node = NodeId::from(&secret.public_key());
        let signature = sign_digest(&secret, operator_digest(CHAIN, node.into(), OPERATOR, U256::ZERO)).into();
        let (host, domain) = (format!("127.0.0.1:{}", 9000 + seed), String::new());
        let call = INodes::joinCall { key: node.into(), signature, host, domain, capacity: 0, roles };
        ledger.attempt(OPERATOR, ADDRESS, call).unwrap();
        node
    }

    #[tokio::test]
    async fn who_has_left_the_registry_is_asked_or_told_of_all_the_same() {
        let ledger = Arc::new(Ledger::new());
        let [stays, leaves, does_nothing] =
            [(1, KEEPER), (2, KEEPER), (3, 0)].map(|(seed, roles)| join(&ledger, seed, roles));
        ledger.attempt(OPERATOR, ADDRESS, INodes::leaveCall { key: leaves.into() }).unwrap();
        let never = NodeId([9; 32]);
        let also = BTreeSet::from([stays, leaves, never]);
        let whom = Whom::of(&Registry::new(ledger), &also).await.unwrap();
        let mut asked: Vec<_> = whom.iter().map(|whom| (whom.node, whom.left)).collect();
        asked.sort_unstable();
        let mut wanted = vec![(stays, false), (leaves, true), (does_nothing, false), (never, true)];
        wanted.sort_unstable();
        assert_eq!(asked, wanted);
        let address = |node: NodeId| whom.iter().find(|whom| whom.node == node).unwrap().address.clone();
        assert_eq!(address(stays).unwrap().host, "127.0.0.1:9001");
        assert_eq!(address(never).unwrap_err(), "where it is is not known");
    }

    #[test]
    fn that_a_node_is_not_registered_is_part_of_why_it_signed_nothing() {
        let said = |left| silent(left, "was not asked: where it is is not known".into());
        assert_eq!(said(true), "it is not registered (any more), and was not asked: where it is is not known");
        assert!(!said(false).contains("registered"));
    }

    #[test]
    fn who_left_last_comes_first_and_once_and_only_the_registry_says_so() {
        let log = |address: Address, number: u64, index: u64, node: u8| {
            let removed = NodeRemoved { key: B256::repeat_byte(node), operator: OPERATOR };
            let inner = alloy_primitives::Log { address, data: removed.encode_log_data() };
            Log { inner, block_number: Some(number), log_index: Some(index), ..Log::default() }
        };
        let logs =
            [(2, 0, 1), (2, 1, 2), (3, 0, 3), (9, 0, 1)].map(|(number, at, node)| log(ADDRESS, number, at, node));
        let logs = logs.into_iter().chain([log(OPERATOR, 10, 0, 4)]).collect();
        assert_eq!(removed(logs), [1, 3, 2].map(|node| NodeId([node; 32])));
    }
}
