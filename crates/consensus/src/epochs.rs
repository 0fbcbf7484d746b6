//! Epochs: after so many blocks the validators share the network key among themselves anew.
//!
//! The key stays the same, so that it verifies any block for ever; the shares do not, so that what is stolen from one
//! validator in one epoch is of no use with what is stolen from another in a later one. In an epoch's first half each validator
//! deals parts of its share to all; in the second half each says in a block of its own what it has dealt and who has confirmed
//! it; the last block says the outcome, and who agrees on the blocks of the next epoch. If too few have dealt, the shares stay.
//!
//! ```text
//!  last block of an epoch ──EpochInfo──▶ reshare ──scheme of the epoch──▶ Schemes
//!                                           │ fence                          │
//!                                           └──────────▶ orchestrator ◀──────┘ ──▶ simplex of the epoch
//! ```

use crate::{application::Scheme, block::SealedBlock, committee::NetworkKey, observe::Standing};
use commonware_actor::Feedback;
use commonware_consensus::{
    Automaton, CertifiableAutomaton, Handoff, Relay, Reporter,
    marshal::{core::Mailbox, standard::Standard},
    types::{Epoch, Epocher as _, FixedEpocher, Round},
};
use commonware_cryptography::{
    bls12381::primitives::variant::MinSig,
    certificate::{Provider, Scoped},
    ed25519::PublicKey,
};
use commonware_glue::dkg::{ParticipantsProvider, Registrar, SecretStore, types::SchemeInfo};
use commonware_p2p::{Address, AddressableManager, AddressableTrackedPeers, PeerSetSubscription, TrackedPeers};
use commonware_runtime::{Clock, Error as StorageError, Storage};
use commonware_utils::{
    channel::oneshot,
    ordered::{Map, Set},
    sequence::Unit,
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

/// How many epochs' schemes and votes are kept besides that which runs: for what comes late, and for a restart at a block that
/// was not known to be final.
const KEPT: u64 = 4;

/// How each epoch's votes are signed and checked. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Schemes {
    namespace: Arc<[u8]>,
    known: Arc<Mutex<BTreeMap<Epoch, Arc<Scheme>>>>,
    /// Checks certificates of any epoch.
    certificates: Scheme,
}

impl Schemes {
    pub(crate) fn new(namespace: &[u8], key: NetworkKey) -> Self {
        let certificates = Scheme::certificate_verifier(namespace, key);
        Self { namespace: namespace.into(), known: Arc::default(), certificates }
    }

    /// Checks certificates of any epoch.
    pub(crate) const fn certificates(&self) -> &Scheme {
        &self.certificates
    }

    fn add(&self, epoch: Epoch, info: SchemeInfo<MinSig, PublicKey>) {
        let namespace = &self.namespace;
        let scheme = match info {
            SchemeInfo::Signer { participants, sharing, share } => {
                Scheme::signer(namespace, participants, sharing, share)
            }
            SchemeInfo::Member { participants, sharing, public_key } => {
                Scheme::member(namespace, participants, sharing, &public_key)
            }
            SchemeInfo::Verifier { participants, sharing } => Some(Scheme::verifier(namespace, participants, sharing)),
        };
        let scheme = scheme.expect("what the validators have agreed on names this one, with the share that it has");
        let mut known = self.known.lock();
        known.insert(epoch, Arc::new(scheme));
        known.retain(|known, _| known.get() + KEPT >= epoch.get());
    }
}

impl Provider for Schemes {
    type Scope = Epoch;
    type Scheme = Scheme;

    fn scoped(&self, epoch: Epoch) -> Option<Scoped<Scheme>> {
        self.scheme(epoch).map(Scoped::scheme)
    }

    fn scheme(&self, epoch: Epoch) -> Option<Arc<Scheme>> {
        self.known.lock().get(&epoch).cloned()
    }
}

/// The name of the storage that an epoch's votes have, given that of the rest.
fn votes(partition: &str, epoch: Epoch) -> String {
    // As the orchestrator has it.
    format!("{partition}_consensus_{epoch}")
}

/// The name of what is there if an epoch's votes were given up. It stands beside the votes and not among the secrets, for those may be
/// replaced by what a backup has of them.
fn forgotten(partition: &str, epoch: Epoch) -> String {
    format!("{partition}_forgotten_{epoch}")
}

/// A validator's secrets, and whether it has ever voted with them. Clones share what is written.
pub trait Secrets: SecretStore + Clone {
    /// Whether this validator has votes out, or may have.
    fn has_voted(&self) -> bool;

    /// Writes down that it votes from now on.
    fn note_voting(&self);
}

/// By how many seconds the time of the block before an epoch may lie after the epoch's true begin, as this validator's clock has it: blocks
/// may be ahead of the clocks of those who agree on them (`MAX_AHEAD`), and these apart from this one's (`wire`).
const APART: u64 = 10;

/// By how many seconds the newest block may be older than a clock that is right, and twice the longest time between two blocks more.
const FRESH: u64 = 60;

/// What this machine's clock showed when the others said which block was their newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The time of that block, in seconds since 1970.
    pub newest: u64,
    /// What the clock showed, in seconds since 1970.
    pub clock: u64,
    /// Whether as many of the others said so as know of every final block.
    pub by_enough: bool,
}

impl Compared {
    const fn is_behind(self) -> bool {
        self.clock.saturating_add(APART) <= self.newest
    }

    /// Whether the clock was neither behind the block nor by more than `fresh` seconds ahead of it. That it is ahead tells nothing where
    /// no newer block can be final: no epoch has begun later, and the chain may stand still.
    const fn agrees(self, fresh: u64) -> bool {
        !self.is_behind() && (self.by_enough || self.clock <= self.newest.saturating_add(fresh))
    }
}

/// Since when a validator's storage has all the votes that the validator has out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// Since its first.
    First,
    /// Since this time, in seconds since 1970.
    Time(u64),
    /// The storage was made when there were votes already, and no clock has said when that was but one that may be wrong.
    Unknown,
}

/// How [`Since::First`] and [`Since::Unknown`] are written; a time has eight bytes.
const FIRST: &[u8] = b"first";
const UNKNOWN: &[u8] = b"unknown";

impl Since {
    /// What was written down, if anything was.
    fn read(names: &[Vec<u8>]) -> Option<Self> {
        let times = names.iter().filter_map(|name| name.as_slice().try_into().ok().map(u64::from_be_bytes));
        match times.min() {
            // The earliest counts.
            Some(time) => Some(Self::Time(time)),
            None if names.iter().any(|name| name == FIRST) => Some(Self::First),
            None => (!names.is_empty()).then_some(Self::Unknown),
        }
    }

    fn name(self) -> Vec<u8> {
        match self {
            Self::First => FIRST.to_vec(),
            Self::Time(time) => time.to_be_bytes().to_vec(),
            Self::Unknown => UNKNOWN.to_vec(),
        }
    }

    /// What holds where that needs no clock that is right, given what was known, whether a new storage would have all votes, and what the
    /// clock shows.
    const fn settled(known: Option<Self>, has_all: bool, now: u64) -> Option<Self> {
        match known {
            Some(Self::First) => known,
            Some(Self::Time(made)) if made <= now => known,
            None if has_all => Some(Self::First),
            // Where the clock was ahead when a time was written, the votes were lost before now all the same.
            _ => None,
        }
    }
}

/// Why a validator does not vote in an epoch of whose key it has a share.
const NOT_KNOWN: &str = "this validator does not know how it has voted in this epoch: it votes from the next on that begins after it started, as \
                         this machine's clock has it";
const CLOCK: &str = "this validator does not know how it has voted in this epoch, nor which epochs began after its votes were lost, for this \
                     machine's clock and the newest block that is known are too far apart: set the clock, by NTP. If it is right, the chain \
                     stood still, and too few of the others said so when this validator started: start it again when they run. It votes from \
                     the second epoch on that begins after clock and block agree";

/// Takes in what an epoch's votes are signed with, and gives up the votes of those long over.
pub(crate) struct Registered<E, K> {
    pub(crate) runtime: E,
    pub(crate) schemes: Schemes,
    pub(crate) partition: String,
    pub(crate) secrets: K,
    pub(crate) key: PublicKey,
    /// Is told whether this validator votes.
    pub(crate) standing: Standing,
    /// Knows the blocks between two epochs.
    pub(crate) marshal: Mailbox<Scheme, Standard<SealedBlock>>,
    pub(crate) epocher: FixedEpocher,
    /// The time of block 0, in seconds since 1970.
    pub(crate) first: u64,
    /// How this machine's clock stood to the others' newest block when it started, if any of them said so.
    pub(crate) compared: Option<Compared>,
    /// The longest time between two blocks.
    pub(crate) block_time: Duration,
}

impl<E: Clock + Storage, K: Secrets> Registered<E, K> {
    /// Since when this validator's storage has all its votes: not since the first if it had voted before the storage was made, be it that
    /// the storage was damaged and removed, or that the validator was restored from a backup. One that has `lost` its secrets does not know
    /// whether it had. `epoch` is the newest that has begun, as far as is known here.
    async fn since(&self, epoch: Epoch, lost: bool) -> Since {
        let partition = format!("{}_since", self.partition);
        let names = self.runtime.scan(&partition).await.unwrap_or_default();
        let now = self.runtime.current().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (known, has_all) = (Since::read(&names), !lost && !self.secrets.has_voted());
        let since = match Since::settled(known, has_all, now) {
            Some(since) => since,
            None if self.is_right(epoch, now).await => Since::Time(now),
            // A clock that is behind would say too early a time, as if epochs that had begun had not.
            None => known.unwrap_or(Since::Unknown),
        };
        let name = since.name();
        if !names.contains(&name) {
            let made = self.runtime.open(&partition, &name).await;
            drop(made.expect("it cannot be written down since when the storage holds the votes"));
        }
        for old in names.iter().filter(|old| **old != name) {
            let _ = self.runtime.remove(&partition, Some(old)).await;
        }
        since
    }

    /// Whether a clock that shows `now` is right, as far as can be told from the newest block that is known of.
    async fn is_right(&self, epoch: Epoch, now: u64) -> bool {
        let fresh = FRESH + 2 * self.block_time.as_secs();
        let (began, others) = (self.began(epoch).await, self.compared.map(|compared| compared.newest));
        let here = Compared { newest: began.max(others).unwrap_or(self.first), clock: now, by_enough: false };
        // An epoch may have begun long ago, and the others have been asked before the chain was taken over from them.
        here.agrees(fresh) || !here.is_behind() && self.compared.is_some_and(|compared| compared.agrees(fresh))
    }

    /// When the block before an epoch was made, in seconds since 1970.
    async fn began(&self, epoch: Epoch) -> Option<u64> {
        let last = self.epocher.last(epoch.previous()?)?;
        let block = self.marshal.get_block(last).await?;
        Some(block.inner().header().timestamp)
    }

    /// Whether this validator knows all the votes that it has out in an epoch, or why it must not vote. One whose storage is new could vote
    /// otherwise than it did in each epoch that had begun by then. One that is `alone` has nobody to disagree with.
    async fn may_vote(&self, epoch: Epoch, alone: bool) -> Result<(), &'static str> {
        match self.since(epoch, false).await {
            _ if alone => {}
            Since::First => {}
            Since::Time(made) if self.began(epoch).await.is_some_and(|began| began >= made + APART) => {}
            Since::Time(_) => return Err(NOT_KNOWN),
            Since::Unknown => return Err(CLOCK),
        }
        let forgotten = match self.runtime.scan(&forgotten(&self.partition, epoch)).await {
            Ok(names) => !names.is_empty(),
            Err(error) => !matches!(error, StorageError::PartitionMissing(_)),
        };
        if forgotten {
            return Err(NOT_KNOWN);
        }
        self.secrets.note_voting();
        Ok(())
    }

    /// Gives up this validator's own votes, which nobody without the share can go on with: it has lost that. Should the share come back
    /// in this epoch, it is not voted with.
    async fn forget_votes(&self, epoch: Epoch) {
        // If the votes of before are not here, it counts from now on.
        self.since(epoch, true).await;
        let noted = self.runtime.open(&forgotten(&self.partition, epoch), b"votes").await;
        drop(noted.expect("it cannot be written down that votes are given up"));
        // Mostly there are none.
        let _ = self.runtime.remove(&votes(&self.partition, epoch), None).await;
    }
}

impl<E: Clock + Storage, K: Secrets> Registrar for Registered<E, K> {
    type Variant = MinSig;
    type PublicKey = PublicKey;

    async fn register(&self, epoch: Epoch, info: SchemeInfo<MinSig, PublicKey>) {
        // A validator that has taken over the others' state is told of its epoch twice.
        let is_told = self.standing.newest() == Some((epoch.get(), false));
        let info = match info {
            SchemeInfo::Signer { participants, sharing, share } => {
                match self.may_vote(epoch, participants.len() == 1).await {
                    Ok(()) => SchemeInfo::Signer { participants, sharing, share },
                    Err(why) => {
                        if !is_told {
                            tracing::warn!(%epoch, "{why}");
                        }
                        SchemeInfo::Member { participants, sharing, public_key: self.key.clone() }
                    }
                }
            }
            SchemeInfo::Member { .. } => {
                if !is_told {
                    tracing::warn!(
                        %epoch,
                        "this validator has no share of the key in this epoch: it votes from the next on in which it has one"
                    );
                }
                self.forget_votes(epoch).await;
                info
            }
            SchemeInfo::Verifier { .. } => info,
        };
        self.standing.note(epoch.get(), matches!(info, SchemeInfo::Signer { .. }));
        self.schemes.add(epoch, info);
        if let Some(old) = epoch.get().checked_sub(KEPT) {
            // None are there where the node has not been before.
            for gone in [votes, forgotten] {
                let _ = self.runtime.remove(&gone(&self.partition, Epoch::new(old)), None).await;
            }
        }
    }
}

/// Those who are to have shares of the key: the genesis file's validators, in all epochs.
pub(crate) struct Founders(pub(crate) Set<PublicKey>);

impl ParticipantsProvider for Founders {
    type PublicKey = PublicKey;
    type Directory = Unit;

    async fn participants(&mut self, _: Epoch) -> Set<PublicKey> {
        self.0.clone()
    }

    async fn directory(&mut self, _: Epoch, _: Set<PublicKey>) -> Unit {
        Unit
    }
}

/// Tells which peers there are in an epoch: those whose addresses are known here.
#[derive(Clone, Debug)]
pub(crate) struct Known<O> {
    pub(crate) oracle: O,
    pub(crate) addresses: Map<PublicKey, Address>,
}

impl<O: AddressableManager<PublicKey = PublicKey>> commonware_p2p::Provider for Known<O> {
    type PublicKey = PublicKey;

    async fn peer_set(&mut self, id: u64) -> Option<TrackedPeers<PublicKey>> {
        self.oracle.peer_set(id).await
    }

    async fn subscribe(&mut self) -> PeerSetSubscription<PublicKey> {
        self.oracle.subscribe().await
    }
}

impl<O: AddressableManager<PublicKey = PublicKey>> commonware_p2p::Manager for Known<O> {
    fn track<R>(&mut self, id: u64, peers: R) -> Feedback
    where
        R: Into<TrackedPeers<PublicKey>> + Send,
    {
        let TrackedPeers { primary, secondary } = peers.into();
        let known = |peers: &Set<PublicKey>| {
            let known = peers.iter().filter_map(|peer| Some((peer.clone(), self.addresses.get_value(peer)?.clone())));
            Map::from_iter_dedup(known)
        };
        let peers = AddressableTrackedPeers::new(known(&primary), known(&secondary));
        self.oracle.track(id, peers)
    }
}

/// What each epoch's engine runs: proposes with one part, spreads with another, and reports to a third.
#[derive(Clone)]
pub(crate) struct Voting<A, B, C> {
    pub(crate) automaton: A,
    pub(crate) relay: B,
    pub(crate) reporter: C,
}

impl<A: CertifiableAutomaton<Context: Send>, B: Relay, C: Reporter> Automaton for Voting<A, B, C> {
    type Context = A::Context;
    type Digest = A::Digest;

    async fn propose(&mut self, context: A::Context) -> oneshot::Receiver<A::Digest> {
        self.automaton.propose(context).await
    }

    async fn verify(&mut self, context: A::Context, payload: A::Digest) -> oneshot::Receiver<bool> {
        self.automaton.verify(context, payload).await
    }
}

impl<A: CertifiableAutomaton<Context: Send>, B: Relay, C: Reporter> CertifiableAutomaton for Voting<A, B, C> {
    async fn prepare(&mut self, context: A::Context) -> oneshot::Receiver<Handoff<A::Digest>> {
        self.automaton.prepare(context).await
    }

    async fn certify(&mut self, round: Round, payload: A::Digest) -> oneshot::Receiver<bool> {
        self.automaton.certify(round, payload).await
    }
}

impl<A: CertifiableAutomaton, B: Relay, C: Reporter> Relay for Voting<A, B, C> {
    type Digest = B::Digest;
    type PublicKey = B::PublicKey;
    type Plan = B::Plan;

    fn broadcast(&mut self, payload: B::Digest, plan: B::Plan) -> Feedback {
        self.relay.broadcast(payload, plan)
    }
}

impl<A: CertifiableAutomaton, B: Relay, C: Reporter> Reporter for Voting<A, B, C> {
    type Activity = C::Activity;

    fn report(&mut self, activity: C::Activity) -> Feedback {
        self.reporter.report(activity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_right_that_is_not_behind_the_newest_block_and_not_far_ahead_of_it() {
        let agrees = |clock, by_enough| Compared { newest: 1000, clock, by_enough }.agrees(FRESH);
        let (right, ahead) = ([1000 - APART + 1, 1000, 1000 + FRESH], [1001 + FRESH, u64::MAX]);
        assert!(right.into_iter().all(|clock| agrees(clock, false) && agrees(clock, true)));
        // The chain stands still, if there is no newer block.
        assert!(ahead.into_iter().all(|clock| !agrees(clock, false) && agrees(clock, true)));
        assert!([0, 1000 - APART].into_iter().all(|clock| !agrees(clock, false) && !agrees(clock, true)));
    }

    #[test]
    fn since_when_a_storage_has_all_votes_stays_as_it_was_written_down() {
        for since in [Since::First, Since::Time(7), Since::Unknown] {
            assert_eq!(Since::read(&[since.name()]), Some(since));
        }
        assert_eq!(Since::read(&[]), None);
        let both = [Since::Unknown, Since::Time(7), Since::Time(8)].map(Since::name);
        assert_eq!(Since::read(&both), Some(Since::Time(7)), "as a crash leaves it");

        let settled = |known, has_all| Since::settled(known, has_all, 7);
        assert_eq!([None, Some(Since::First)].map(|known| settled(known, true)), [Some(Since::First); 2]);
        assert_eq!(settled(Some(Since::Time(7)), false), Some(Since::Time(7)));
        // All else takes a clock that is right.
        assert_eq!(settled(None, false), None);
        let later = [Since::Unknown, Since::Time(8)].map(Some);
        assert!(later.into_iter().all(|known| [true, false].map(|has_all| settled(known, has_all)) == [None; 2]));
    }
}
