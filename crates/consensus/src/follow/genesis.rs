//! The genesis file, from peers that nobody trusts.

use super::{
    Failure, FollowError, Lie, Link, NOBODY, PATIENCE, Peers, Request, Verifier,
    messages::MOST_GENESIS,
    tip::{Useless, tip_of},
};
use crate::{Committee, NetworkKey};
use stoa_base::Genesis;
use stoa_ledger::state::Runtime;

/// Fetches the genesis file of the chain that a network key signs.
///
/// # Errors
///
/// [`FollowError::NoChain`] if no peer has it after `tries`.
pub async fn genesis<E: Runtime, L: Link>(
    runtime: &E,
    peers: &Peers<L>,
    key: NetworkKey,
    max_bytes: usize,
    tries: usize,
) -> Result<Genesis, FollowError> {
    let mut why = "none can be reached".to_owned();
    for attempt in 0..tries {
        if attempt > 0 {
            runtime.sleep(NOBODY).await;
        }
        if peers.status(runtime.current()).iter().all(|status| status.lie.is_some()) {
            break;
        }
        for peer in peers.usable(runtime.current(), 0) {
            match genesis_of(runtime, peers, peer, key, max_bytes).await {
                Ok(genesis) => return Ok(genesis),
                Err(Useless::Failure(failure)) => why = format!("{}: {failure}", peers.name(peer)),
                Err(Useless::Lie(lie)) => {
                    why = format!("{}: {lie}", peers.name(peer));
                    peers.caught(runtime.current(), peer, lie);
                }
            }
        }
    }
    Err(FollowError::NoChain(why))
}

async fn genesis_of<E: Runtime, L: Link>(
    runtime: &E,
    peers: &Peers<L>,
    peer: usize,
    key: NetworkKey,
    max_bytes: usize,
) -> Result<Genesis, Useless> {
    let bytes = peers.ask(runtime, peer, &Request::Genesis, MOST_GENESIS, PATIENCE).await?;
    let genesis = serde_json::from_slice::<Genesis>(&bytes).map_err(|_| Lie::Malformed)?;
    genesis.validate().map_err(|_| Lie::Malformed)?;
    let committee = genesis.committee.as_ref().and_then(|committee| Committee::try_from(committee).ok());
    if committee.is_none_or(|committee| committee.network_key() != key) {
        return Err(Lie::Genesis.into());
    }
    // Everything else in it is proven by what the validators have signed of its chain.
    let hashed = genesis.clone();
    let hashing = runtime.child("genesis").shared(true).spawn(async move |_| stoa_ledger::first_hash(&hashed));
    let first = hashing.await.map_err(|error| Failure::Unreachable(error.to_string()))?;
    let first = first.map_err(|error| Failure::Unreachable(error.to_string()))?;
    let tip = tip_of(runtime, peers, peer, &Verifier::new(first, key), max_bytes, PATIENCE).await;
    tip.map_err(|error| match error {
        Useless::Lie(Lie::Certificate) => Lie::Genesis.into(),
        other => other,
    })?;
    Ok(genesis)
}
