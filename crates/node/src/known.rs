//! Which nodes a node knows. For these it keeps places that strangers cannot take.

use crate::view::Own;
use alloy_primitives::B256;
use futures::FutureExt as _;
use std::sync::Arc;
use stoa_client::Chain;
use stoa_data::registry::Registry;
use stoa_ledger::Ledger;
use stoa_net::Known;
use tokio::sync::Mutex;

/// The chain's validators, and whoever stands in its registry.
pub(crate) fn known(ledger: &Ledger) -> Known {
    let committee = ledger.genesis().committee.as_ref();
    let validators = committee.map(|committee| committee.validators.clone()).unwrap_or_default();
    either(validators, Arc::new(Own(ledger.clone())))
}

fn either(validators: Vec<B256>, chain: Arc<dyn Chain>) -> Known {
    // Those who come at the same time wait for one look into the registry.
    let registry = Arc::new(Mutex::new(Registry::new(chain)));
    Arc::new(move |node| {
        let (key, registry) = (B256::from(node), registry.clone());
        let is_validator = validators.contains(&key);
        async move {
            if is_validator {
                return true;
            }
            let nodes = registry.lock().await.nodes().await;
            nodes.is_ok_and(|nodes| nodes.iter().any(|node| node.key == key))
        }
        .boxed()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, Bytes, LogData};
    use alloy_sol_types::SolCall as _;
    use futures::future::{BoxFuture, join_all};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use stoa_base::NodeId;
    use stoa_client::{At, ViewError};
    use stoa_contract::nodes::INodes::{Node, listCall};

    /// A registry with one node in it, and how often it was asked.
    #[derive(Default)]
    struct One(AtomicUsize);

    impl Chain for One {
        fn view(&self, _: Address, _: Bytes) -> BoxFuture<'_, Result<(Bytes, At), ViewError>> {
            let (key, operator, host) = (B256::repeat_byte(2), Address::ZERO, "a.example:9000".to_owned());
            let node = Node { key, operator, host, domain: String::new(), capacity: 0, roles: 0 };
            async move {
                self.0.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                let at = At { number: 1, hash: B256::ZERO, timestamp: 1 };
                Ok((listCall::abi_encode_returns(&vec![node]).into(), at))
            }
            .boxed()
        }

        fn last_event(&self, _: Address, _: B256, _: B256) -> BoxFuture<'_, Result<Option<LogData>, ViewError>> {
            async { Ok(None) }.boxed()
        }
    }

    #[tokio::test]
    async fn validators_and_registered_nodes_are_known_and_strangers_do_not_have_the_registry_read_again_and_again() {
        let chain = Arc::new(One::default());
        let known = either(vec![B256::repeat_byte(1)], chain.clone());
        assert!(known(NodeId([1; 32])).await);
        assert_eq!(chain.0.load(Ordering::Relaxed), 0, "the genesis file says it");
        let strangers = join_all((3..100).map(|stranger| known(NodeId([stranger; 32])))).await;
        assert!(strangers.iter().all(|known| !known));
        assert!(known(NodeId([2; 32])).await);
        assert_eq!(chain.0.load(Ordering::Relaxed), 1);
    }
}
