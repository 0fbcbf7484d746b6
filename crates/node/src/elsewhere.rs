//! Whether a validator's key is used by another process as well.
//!
//! The others look for a validator at one address. Whoever answers there and shows its key is this process, or another that was
//! started with the same key: of two such one is there and the other is not, and that one notices it by asking. What only blocks show is
//! noticed by [`Equivocations`].

use crate::{follower::new_identity, silence};
use eyre::Result;
use futures::{FutureExt as _, future::BoxFuture};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use stoa_base::NodeId;
use stoa_consensus::Equivocations;
use stoa_net::{Answers, Connections, Endpoint, PeerAddress, Service, iroh::protocol::RouterBuilder};
use tokio::time::timeout;

/// The protocol in which a validator says which process it is.
const INSTANCE: &[u8] = b"stoa/instance/1";

/// How often it is asked who answers where this validator should.
const LOOK: Duration = Duration::from_secs(60);

/// How long whoever is there may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a process is told apart by: drawn when it starts.
type Name = [u8; 16];

/// Says which process it is.
struct Says(Name);

impl Service for Says {
    const MOST_REQUEST: usize = 0;

    fn answer(&self, _: NodeId, _: Vec<u8>) -> BoxFuture<'_, Vec<u8>> {
        let name = self.0.to_vec();
        async move { name }.boxed()
    }
}

/// Whether a validator's key is in use elsewhere, as far as it knows. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Elsewhere {
    name: Name,
    answers: Arc<AtomicBool>,
    equivocations: Equivocations,
}

/// Lets a validator say which process it is.
pub(crate) fn add(router: RouterBuilder) -> (RouterBuilder, Name) {
    let name = rand::random::<Name>();
    (router.accept(INSTANCE, Answers::new(Arc::new(Says(name)))), name)
}

impl Elsewhere {
    /// Of the process of this name.
    pub(crate) fn new(name: Name, equivocations: Equivocations) -> Self {
        Self { name, answers: Arc::default(), equivocations }
    }

    /// Whether another process answers in its stead, or has signed with its key since it started.
    pub(crate) fn is_used(&self) -> bool {
        self.answers.load(Ordering::Relaxed) || self.equivocations.of_own_key()
    }

    /// Asks again and again who is at the validator's own address.
    pub(crate) async fn watch(self, own: PeerAddress) {
        let (mut every, mut lasted) = (tokio::time::interval(LOOK), 0);
        loop {
            every.tick().await;
            // Where nobody answers, nobody is known.
            let is_other = other(&own, self.name).await.unwrap_or_else(|error| {
                tracing::debug!(%error, address = %own, "nobody answers where the others look for this validator");
                false
            });
            self.answers.store(is_other, Ordering::Relaxed);
            lasted = if is_other { lasted + 1 } else { 0 };
            if silence::is_due(lasted) {
                tracing::error!(
                    address = %own,
                    "another process runs with this validator's key, where the others look for it: stop one of the two at once, for \
                     together they can break the network's promise that what is final stays"
                );
            }
        }
    }
}

/// Whether another process than the one of this name is at an address, with the key of the address.
async fn other(at: &PeerAddress, name: Name) -> Result<bool> {
    let address = at.clone();
    // Looking up a host's name blocks.
    let from = tokio::task::spawn_blocking(move || PeerAddress::toward([&address])).await?;
    // Nobody is let in under the key that he asks for: this has one of its own.
    let endpoint = Endpoint::bind(&new_identity()?, from).await?;
    let answer = timeout(PATIENCE, Connections::new(&endpoint, INSTANCE).ask(at, &[], name.len())).await;
    endpoint.close().await;
    Ok(answer?? != name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn another_process_with_the_same_key_is_told_from_ones_own() {
        let there = Endpoint::bind(&new_identity().unwrap(), ([127, 0, 0, 1], 0).into()).await.unwrap();
        let (router, name) = add(there.router());
        let (router, address) = (router.spawn(), there.address().unwrap());
        assert!(!other(&address, name).await.unwrap(), "it is this process");
        assert!(other(&address, [7; 16]).await.unwrap(), "it is another");
        router.shutdown().await.unwrap();
        assert!(other(&address, name).await.is_err(), "nobody is there");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_has_another_key_at_the_address_is_nobody() {
        let there = Endpoint::bind(&new_identity().unwrap(), ([127, 0, 0, 1], 0).into()).await.unwrap();
        let (router, name) = add(there.router());
        let _router = router.spawn();
        let stranger = Endpoint::bind(&new_identity().unwrap(), ([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = PeerAddress { key: stranger.address().unwrap().key, ..there.address().unwrap() };
        assert!(other(&address, name).await.is_err());
    }
}
