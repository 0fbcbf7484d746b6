//! How validators make the key that they share: a distributed key generation, in which nobody learns it.

use crate::{Committee, CommitteeError, wire::Wire};
use alloy_primitives::B256;
use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use commonware_consensus::types::Epoch;
use commonware_cryptography::{
    Signer as _,
    bls12381::{
        dkg::feldman_desmedt::Reveal,
        primitives::{
            sharing::{Mode, ModeVersion},
            variant::MinSig,
        },
    },
    ed25519::PublicKey,
};
use commonware_glue::dkg::{
    SecretStore,
    bootstrap::{Config, Engine},
    network::{AddressableManager, Addresses},
};
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, buffer::paged::CacheRef};
use commonware_utils::{NZDuration, NZU16, NZU64, NZUsize, ordered::Set};
use futures::{
    FutureExt as _,
    future::{BoxFuture, FusedFuture},
};
use rand::CryptoRng;
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU64,
    pin::pin,
    time::Duration,
};
use stoa_ledger::state::Runtime;

/// How often validators say that they are there, or that they have finished.
const ROLL_CALL: Duration = Duration::from_millis(500);

/// How long a validator that has finished helps others that have not.
const HELP: Duration = Duration::from_secs(600);

/// After how long it is said for whom the others wait, and how often again.
const PATIENCE: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_secs(30);

/// What a validator that has finished says, instead of how many it hears.
const FINISHED: u32 = u32::MAX;

/// Why validators have no key.
#[derive(Debug, thiserror::Error)]
pub enum CeremonyError {
    /// The protocol did not come to an outcome.
    #[error("the validators did not generate a key; start again from empty folders, all validators at once")]
    Failed,
    /// Some were not there when the others dealt.
    #[error(
        "{0} validators did not answer while the key was generated, so that their shares had to be shown to all; start \
             again from empty folders, all validators at once"
    )]
    Revealed(usize),
    /// The outcome is no committee.
    #[error(transparent)]
    Committee(#[from] CommitteeError),
}

/// Takes part in the generation of the network key, or takes up one that was interrupted; returns the committee. This
/// validator's share is put into `secrets`. What it does not finish before the process ends it goes on with from `own` and the storage.
///
/// `own` is the ceremony's alone. A validator deals anew in the first epoch, and if it dealt from the same seed as here two others could
/// compute its share from what both polynomials have in common.
///
/// The returned future lets others finish who are behind, and ends when all have: to be spawned. What is in `own` is of no use then.
///
/// # Errors
///
/// If the ceremony failed, and has to be repeated.
///
/// # Panics
///
/// If the storage cannot be opened, or the wire was used for a ceremony before.
pub async fn generate<E, S>(
    runtime: E,
    wire: &mut Wire<E>,
    mut own: S,
    mut secrets: S,
) -> Result<(Committee, BoxFuture<'static, ()>), CeremonyError>
where
    E: Runtime + CryptoRng,
    S: SecretStore + Clone,
{
    let channels = wire.ceremony.take().expect("a ceremony is held once");
    let [votes, certificates, resolver, backfill, broadcast, dkg, mut roll] =
        <[_; 7]>::try_from(channels).unwrap_or_else(|_| panic!("one pair for each channel"));
    let participants = wire.peers.keys().clone();
    let directory = Addresses::from(wire.peers.clone());
    // One of each network: signatures must not count on another.
    let namespace: &'static [u8] = Box::leak([wire.namespace.as_slice(), b"-key"].concat().into_boxed_slice());
    // Dealing takes the first half of the blocks, its outcome the second: each validator leads several of those.
    let blocks = NonZeroU64::new(4 * participants.len() as u64).unwrap_or(NZU64!(1)).max(NZU64!(64));
    let mut manager = AddressableManager::new(wire.oracle.clone());
    // So that the others can be called before the ceremony begins.
    let peers = commonware_p2p::TrackedPeers::primary(participants.clone());
    let tracked = commonware_glue::dkg::network::Manager::track(&mut manager, Epoch::zero(), peers, &directory);
    tracked.expect("the directory has all participants");
    if own.get_share(Epoch::zero()).await.is_none() {
        everybody(&runtime, &wire.key.public_key(), &participants, &mut roll).await;
    }
    let config = Config {
        signer: wire.key.clone(),
        manager,
        blocker: wire.oracle.clone(),
        secret_store: own.clone(),
        strategy: Sequential,
        namespace,
        sharing_mode: Mode::NonZeroCounter,
        reveal: Reveal::V1,
        max_supported_mode: ModeVersion::v0(),
        partition_prefix: "ceremony".into(),
        page_cache: CacheRef::new(NZU16!(4084), NZUsize!(256)),
        write_buffer: NZUsize!(1 << 16),
        replay_buffer: NZUsize!(1 << 16),
        mailbox_size: NZUsize!(1024),
        fetch_timeout: NZDuration!(Duration::from_secs(2)),
        fetch_retry_delay: Duration::from_millis(100),
        items_per_section: NZU64!(1024),
        participants,
        directory,
        blocks_per_epoch: blocks,
    };
    let engine = Engine::<_, MinSig, _, _, _, _, _>::new(runtime.child("ceremony"), config);
    let (handle, completion) = engine.start(votes, certificates, resolver, backfill, broadcast, dkg);
    let info = completion.await.ok().and_then(|completion| completion.info).ok_or(CeremonyError::Failed)?;
    let revealed = info.output.revealed().len();
    if revealed > 0 {
        return Err(CeremonyError::Revealed(revealed));
    }
    let committee = Committee::new(info.output)?;
    let share = own.get_share(Epoch::zero()).await.ok_or(CeremonyError::Failed)?;
    secrets.put_share(Epoch::zero(), share).await;
    let others = wire.peers.len() - 1;
    let help = async move {
        all_finished(&runtime, others, &mut roll).await;
        // Its chain has ended, and would go on voting for its last block.
        handle.abort();
    };
    Ok((committee, help.boxed()))
}

/// Waits until so many others say that they have finished, for some minutes at most.
async fn all_finished<E, S, R>(runtime: &E, others: usize, (sender, receiver): &mut (S, R))
where
    E: Clock,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    let until = runtime.current() + HELP;
    let mut finished = BTreeSet::new();
    let mut rounds = 2;
    while rounds > 0 && runtime.current() < until {
        let _ = sender.send(Recipients::All, FINISHED.encode(), true);
        let mut over = pin!(runtime.sleep(ROLL_CALL).fuse());
        while let Some((peer, said)) = next(&mut over, receiver).await {
            if said == FINISHED {
                finished.insert(peer);
            }
        }
        rounds -= u32::from(finished.len() >= others);
    }
}

/// The next that somebody says; `None` when the time is over.
async fn next<R>(mut over: &mut (impl FusedFuture<Output = ()> + Unpin), receiver: &mut R) -> Option<(PublicKey, u32)>
where
    R: Receiver<PublicKey = PublicKey>,
{
    loop {
        futures::select! {
            () = over => return None,
            message = receiver.recv().fuse() => {
                let Ok((peer, message)) = message else {
                    over.await;
                    return None;
                };
                if let Ok(said) = u32::decode(Copying(message.as_ref())) {
                    return Some((peer, said));
                }
            }
        }
    }
}

/// Waits until every validator hears every other one: who comes late gets a share that all have seen.
async fn everybody<E, S, R>(runtime: &E, me: &PublicKey, participants: &Set<PublicKey>, (sender, receiver): &mut (S, R))
where
    E: Clock,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    // How many each validator hears, itself included.
    let mut heard = BTreeMap::from([(me.clone(), 1)]);
    let (count, mut told, mut warn) = (participants.len(), 0, runtime.current() + PATIENCE);
    // A last time, for those that do not know yet that all are there.
    let mut rounds = 2;
    while rounds > 0 {
        let hears = heard.len() as u32;
        heard.insert(me.clone(), hears);
        if told != hears {
            told = hears;
            tracing::info!(here = hears, of = count, "validators are here to generate the network key");
        }
        if runtime.current() >= warn {
            warn = runtime.current() + AGAIN;
            warn_of_waiting(participants, &heard);
        }
        let _ = sender.send(Recipients::All, hears.encode(), true);
        let mut over = pin!(runtime.sleep(ROLL_CALL).fuse());
        while let Some((peer, hears)) = next(&mut over, receiver).await {
            heard.insert(peer, hears);
        }
        // Who has finished heard all.
        rounds -= u32::from(heard.values().filter(|hears| **hears as usize >= count).count() == count);
    }
}

/// Says who is not here yet or, if all are, who does not hear all of them yet.
fn warn_of_waiting(participants: &Set<PublicKey>, heard: &BTreeMap<PublicKey, u32>) {
    let (missing, deaf) = awaited(participants, heard);
    if missing.is_empty() {
        let waiting_for = deaf.join(", ");
        tracing::warn!(waiting_for, "the network key waits for validators that are not connected to all others yet");
    } else {
        let waiting_for = missing.join(", ");
        tracing::warn!(
            waiting_for,
            "the network key waits for validators that are not connected (do they run, are their ports open, do all clocks agree \
             to within 5 seconds, and do all have the same genesis.json, whose hash `stoa node check` prints?)"
        );
    }
}

/// The validators that are not heard, and those that hear too few, by key.
fn awaited(participants: &Set<PublicKey>, heard: &BTreeMap<PublicKey, u32>) -> (Vec<String>, Vec<String>) {
    let (mut missing, mut deaf) = (Vec::new(), Vec::new());
    for peer in participants.iter() {
        let key = B256::from_slice(peer.as_ref()).to_string();
        match heard.get(peer) {
            None => missing.push(key),
            Some(hears) if (*hears as usize) < participants.len() => deaf.push(key),
            Some(_) => {}
        }
    }
    (missing, deaf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::secrets::Secrets;
    use commonware_cryptography::ed25519::PrivateKey;
    use commonware_runtime::{Runner as _, Supervisor as _, deterministic};

    #[test]
    fn what_the_key_was_generated_from_is_not_dealt_from_again() {
        deterministic::Runner::timed(Duration::from_secs(600)).start(async |context| {
            let key = PrivateKey::from_seed(1);
            let (me, listen) = (key.public_key(), ([127, 0, 0, 1], 9000).into());
            let peers = crate::peers([(me.clone(), "127.0.0.1:9000".to_owned())]).unwrap();
            let mut wire = crate::connect(context.child("wire"), key, b"test", listen, peers, 1 << 20).unwrap();
            let (mut own, mut secrets) = (Secrets::default(), Secrets::default());
            let ceremony = generate(context.child("ceremony"), &mut wire, own.clone(), secrets.clone());
            let (committee, _) = ceremony.await.unwrap();
            assert_eq!(committee.validators().len(), 1);
            let epoch = Epoch::zero();
            assert!(own.get_seed(epoch).await.is_some());
            assert!(secrets.get_seed(epoch).await.is_none() && secrets.get_dealing(epoch, &me).await.is_none());
            assert_eq!(secrets.shares(), own.shares());
            assert_eq!(secrets.shares().len(), 1);
        });
    }

    #[test]
    fn whoever_is_not_here_yet_is_named() {
        let keys = [1, 2, 3].map(|seed| PrivateKey::from_seed(seed).public_key());
        let name = |key: &PublicKey| vec![B256::from_slice(key.as_ref()).to_string()];
        let participants = Set::from_iter_dedup(keys.clone());
        let mut heard = BTreeMap::from([(keys[0].clone(), 2), (keys[1].clone(), 3)]);
        assert_eq!(awaited(&participants, &heard), (name(&keys[2]), name(&keys[0])));
        heard.insert(keys[2].clone(), FINISHED);
        assert_eq!(awaited(&participants, &heard), (Vec::new(), name(&keys[0])));
        heard.insert(keys[0].clone(), 3);
        assert_eq!(awaited(&participants, &heard), (Vec::new(), Vec::new()));
    }
}
