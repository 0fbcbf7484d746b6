//! What nodes have signed that they deleted of an asset: those that are registered, and those that have left the registry since, which
//! may run on and have what they had.

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
use std::collections::BTreeSet;
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
    /// Whether it has left the network's registry.
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
    /// All who are registered and do something for others, and these as well, wherever they are.
    async fn of(registry: &Registry, also: &BTreeSet<NodeId>) -> std::result::Result<Vec<Self>, ViewError> {
        let nodes = registry.nodes().await?;
        let there: BTreeSet<_> = nodes.iter().map(|node| NodeId::from(node.key)).collect();
        let asked = nodes.iter().filter(|node| node.roles > 0 || also.contains(&NodeId::from(node.key)));
        let address = |address: PeerAddress| Self { node: address.node(), address: Ok(address), left: false };
        let mut whom: Vec<_> = asked.filter_map(registry::address).map(address).collect();
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
    if left { format!("it has left the network's registry, and {why}") } else { why }
}

impl Data {
    /// The nodes that have left the registry since an asset was registered, and are not registered now. They may have kept pieces of it:
    /// the ledger does not say who does.
    ///
    /// # Errors
    ///
    /// If there is no such asset, or the ledger cannot be asked.
    pub async fn left(&self, asset: B256) -> Result<BTreeSet<NodeId>> {
        let client = self.wallet.client();
        let (is, at) = view(client, CONSENT, &assetOfCall { asset }).await?;
        let filter = Filter::new().address(ADDRESS).event_signature(NodeRemoved::SIGNATURE_HASH);
        let logs = paged(is.registered, at.number, async |from, to| {
            client.call::<Vec<Log>>("eth_getLogs", (filter.clone().from_block(from).to_block(to),)).await
        });
        let logs = logs.await.map_err(|error| DataError::Ledger(error.to_string()))?;
        let removed = logs.iter().filter(|log| log.address() == ADDRESS);
        let removed = removed.filter_map(|log| NodeRemoved::decode_log(&log.inner).ok());
        let mut left: BTreeSet<_> = removed.map(|removed| NodeId::from(removed.key)).collect();
        for node in self.circle.registry().nodes().await?.iter() {
            left.remove(&NodeId::from(node.key));
        }
        Ok(left)
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
        let [stays, leaves, does_nothing, also_nothing] =
            [(1, KEEPER), (2, KEEPER), (3, 0), (4, 0)].map(|(seed, roles)| join(&ledger, seed, roles));
        ledger.attempt(OPERATOR, ADDRESS, INodes::leaveCall { key: leaves.into() }).unwrap();
        let never = NodeId([9; 32]);
        let also = BTreeSet::from([stays, leaves, also_nothing, never]);
        let whom = Whom::of(&Registry::new(ledger), &also).await.unwrap();
        let mut asked: Vec<_> = whom.iter().map(|whom| (whom.node, whom.left)).collect();
        asked.sort_unstable();
        let mut wanted = vec![(stays, false), (leaves, true), (also_nothing, false), (never, true)];
        wanted.sort_unstable();
        assert_eq!(asked, wanted);
        assert!(!also.contains(&does_nothing));
        let address = |node: NodeId| whom.iter().find(|whom| whom.node == node).unwrap().address.clone();
        assert_eq!(address(stays).unwrap().host, "127.0.0.1:9001");
        assert_eq!(address(never).unwrap_err(), "where it is is not known");
    }

    #[test]
    fn that_a_node_has_left_is_part_of_why_it_signed_nothing() {
        let said = |left| silent(left, "was not asked: where it is is not known".into());
        assert_eq!(said(true), "it has left the network's registry, and was not asked: where it is is not known");
        assert!(!said(false).contains("left"));
    }
}
