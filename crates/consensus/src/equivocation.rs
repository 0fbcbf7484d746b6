//! Validators that contradict themselves.
//!
//! Whoever votes for two things in one view, or proposes two blocks, is dishonest, or its key runs on two machines, each of which knows
//! only what it has voted for itself. Votes come over connections that their validator's own key has opened, so nobody makes it seem as
//! if another had sent them. To third parties they prove nothing: who has enough shares of the network key can sign for anybody.
//!
//! | what is noticed | by whom |
//! |---|---|
//! | two votes for different things in one view | who heard both (`simplex` tells) |
//! | a leader's vote for another block of its view than that which became final | who heard the vote |
//! | a final block in a validator's name that it has not voted for | that validator |
//!
//! The last is how one of two that run with one key hears of the other, since nobody sends a validator its own votes. Blocks that are the
//! same on both are no contradiction, and are not noticed. Of votes that come when their view is over, `simplex` keeps too little to say
//! what contradicts what: it cuts off who has sent them, which is counted and told as well.

use crate::{application::Scheme, block::SealedBlock};
use alloy_primitives::B256;
use commonware_actor::Feedback;
use commonware_consensus::{
    CertifiableBlock as _, Epochable as _, Reporter, Viewable as _,
    simplex::types::{Activity, Attributable as _},
    types::Round,
};
use commonware_cryptography::{Digestible as _, ed25519::PublicKey, sha256::Digest};
use commonware_p2p::{BlockedSubscription, Blocker};
use commonware_utils::ordered::Set;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Of how many rounds the others' votes are remembered, and of how many this validator's own.
const REMEMBERED: usize = 64;
const REMEMBERED_OWN: usize = 1024;

/// Which validators have contradicted themselves since this one started. Cheap to clone.
#[derive(Clone)]
pub struct Equivocations(Arc<Mutex<Known>>);

struct Known {
    validators: Set<PublicKey>,
    /// This validator's place among them.
    me: Option<usize>,
    /// Which blocks it has voted for. They come in the order of their rounds, those from before a restart first.
    own: BTreeMap<Round, Digest>,
    /// Which blocks the others have voted for, by their places.
    votes: BTreeMap<(Round, usize), Digest>,
    /// The leaders of final blocks, and the blocks.
    decided: BTreeMap<Round, (usize, Digest)>,
    /// Final blocks in this validator's name that no vote of its own is known for yet.
    doubtful: BTreeSet<Round>,
    /// How often each validator has contradicted itself, and where last.
    counted: BTreeMap<usize, (u64, Option<Round>)>,
    /// How often each was cut off.
    cut_off: BTreeMap<usize, u64>,
}

impl Equivocations {
    pub(crate) fn new(validators: Set<PublicKey>, me: &PublicKey) -> Self {
        Self(Arc::new(Mutex::new(Known {
            me: validators.position(me),
            validators,
            own: BTreeMap::new(),
            votes: BTreeMap::new(),
            decided: BTreeMap::new(),
            doubtful: BTreeSet::new(),
            counted: BTreeMap::new(),
            cut_off: BTreeMap::new(),
        })))
    }

    /// How often each validator has contradicted itself, by its place in the committee: once a view at most. Those that have not are
    /// missing.
    pub fn counted(&self) -> BTreeMap<usize, u64> {
        self.0.lock().counted.iter().map(|(validator, (times, _))| (*validator, *times)).collect()
    }

    /// How often each validator was cut off for breaking the rules, by its place in the committee; those that were not are missing.
    pub fn cut_off(&self) -> BTreeMap<usize, u64> {
        self.0.lock().cut_off.clone()
    }

    /// Whether somebody else has signed with this validator's key.
    pub fn of_own_key(&self) -> bool {
        let known = self.0.lock();
        known.me.is_some_and(|me| known.counted.contains_key(&me))
    }

    /// A block is final.
    pub(crate) fn finalized(&self, block: &SealedBlock) {
        let context = block.context();
        self.decided(context.round, &context.leader, block.digest());
    }

    fn decided(&self, round: Round, leader: &PublicKey, block: Digest) {
        let mut known = self.0.lock();
        // Nobody has proposed block 0.
        if let Some(leader) = known.validators.position(leader) {
            known.decided(round, leader, block);
        }
    }
}

/// Cuts off those that break the rules, and tells of it.
#[derive(Clone)]
pub(crate) struct Telling<B> {
    pub(crate) blocker: B,
    pub(crate) told: Equivocations,
}

impl<B: Blocker<PublicKey = PublicKey>> Blocker for Telling<B> {
    type PublicKey = PublicKey;

    fn block(&mut self, peer: PublicKey) -> Feedback {
        self.told.0.lock().cut_off(&peer);
        self.blocker.block(peer)
    }

    fn blocked(&mut self) -> BlockedSubscription<PublicKey> {
        self.blocker.blocked()
    }
}

impl Known {
    fn cut_off(&mut self, validator: &PublicKey) {
        let Some(place) = self.validators.position(validator).filter(|place| self.me != Some(*place)) else { return };
        let counted = self.cut_off.entry(place).or_default();
        *counted += 1;
        let times = *counted;
        // What was on its way is cut off for again.
        if times.is_power_of_two() {
            tracing::warn!(
                validator = %B256::from_slice(validator.as_ref()),
                times,
                "a validator is cut off, for it has broken the rules: by votes that contradict each other, or messages that cannot be right"
            );
        }
    }

    fn vote(&mut self, round: Round, validator: usize, block: Digest) {
        if self.me == Some(validator) {
            self.own.insert(round, block);
            keep(&mut self.own, REMEMBERED_OWN);
        } else {
            self.votes.insert((round, validator), block);
            keep(&mut self.votes, REMEMBERED * self.validators.len());
        }
        self.compare(round);
        self.settle();
    }

    fn decided(&mut self, round: Round, leader: usize, block: Digest) {
        self.decided.insert(round, (leader, block));
        keep(&mut self.decided, REMEMBERED);
        if self.me == Some(leader) && !self.own.contains_key(&round) {
            self.doubtful.insert(round);
            while self.doubtful.len() > REMEMBERED {
                self.doubtful.pop_first();
            }
        }
        self.compare(round);
        self.settle();
    }

    /// Looks whether the leader of a round has voted for another block than that which became final.
    fn compare(&mut self, round: Round) {
        let Some((leader, block)) = self.decided.get(&round).copied() else { return };
        let is_own = self.me == Some(leader);
        let voted = if is_own { self.own.get(&round) } else { self.votes.get(&(round, leader)) };
        if voted.is_some_and(|voted| *voted != block) {
            self.count(leader, round);
        }
    }

    /// Decides on blocks in this validator's name once a later vote of its own is known. Between two of those, one that is missing was
    /// never cast here; before the first, it may have been cast before a restart.
    fn settle(&mut self) {
        let (Some(me), Some((first, _)), Some((last, _))) =
            (self.me, self.own.first_key_value(), self.own.last_key_value())
        else {
            return;
        };
        let (first, open) = (*first, self.doubtful.split_off(last));
        for round in std::mem::replace(&mut self.doubtful, open) {
            if round > first && !self.own.contains_key(&round) {
                self.count(me, round);
            }
        }
    }

    /// Once a view, however often it is repeated.
    fn count(&mut self, validator: usize, round: Round) {
        let (times, newest) = self.counted.entry(validator).or_default();
        if *newest >= Some(round) {
            return;
        }
        (*times, *newest) = (*times + 1, Some(round));
        let key = self.validators.get(validator).map(|key| B256::from_slice(key.as_ref())).unwrap_or_default();
        let (epoch, view) = (round.epoch(), round.view());
        if self.me == Some(validator) {
            tracing::error!(
                %epoch,
                %view,
                "somebody else signs with this validator's key: it runs on another machine as well, or is stolen. Stop one of the two at \
                 once, for together they can break the network's promise that what is final stays"
            );
        } else {
            tracing::warn!(
                validator = %key,
                %epoch,
                %view,
                "a validator contradicts itself: it is dishonest, or its key runs on two machines (tell its operator)"
            );
        }
    }
}

/// Forgets the oldest of more than so many.
fn keep<K: Ord, V>(entries: &mut BTreeMap<K, V>, most: usize) {
    while entries.len() > most {
        entries.pop_first();
    }
}

impl Reporter for Equivocations {
    type Activity = Activity<Scheme, Digest>;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        let round = Round::new(activity.epoch(), activity.view());
        let mut known = self.0.lock();
        match &activity {
            Activity::Notarize(vote) => known.vote(round, usize::from(vote.signer()), vote.proposal.payload),
            Activity::ConflictingNotarize(votes) => known.count(usize::from(votes.signer()), round),
            Activity::ConflictingFinalize(votes) => known.count(usize::from(votes.signer()), round),
            Activity::NullifyFinalize(votes) => known.count(usize::from(votes.signer()), round),
            _ => {}
        }
        Feedback::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Committee, Identity};
    use commonware_consensus::{
        simplex::types::{
            ConflictingFinalize, ConflictingNotarize, Finalize, Notarize, Nullify, NullifyFinalize, Proposal,
        },
        types::{Epoch, View},
    };
    use commonware_utils::NZU32;
    use rand::{SeedableRng as _, rngs::StdRng};

    /// Four validators of which the first looks.
    struct Four {
        identities: Vec<Identity>,
        schemes: Vec<Scheme>,
        seen: Equivocations,
    }

    fn round(view: u64) -> Round {
        Round::new(Epoch::zero(), View::new(view))
    }

    fn proposal(view: u64, block: u8) -> Proposal<Digest> {
        Proposal::new(round(view), View::new(view - 1), Digest([block; 32]))
    }

    impl Four {
        fn new() -> Self {
            let (committee, identities) = Committee::deal(&mut StdRng::seed_from_u64(3), NZU32!(4));
            let scheme = |identity| committee.signer(b"test", identity).expect("it is one of them");
            let schemes = identities.iter().map(scheme).collect();
            let seen = Equivocations::new(committee.validators().clone(), &identities[0].public());
            Self { identities, schemes, seen }
        }

        fn notarize(&self, validator: usize, view: u64, block: u8) -> Notarize<Scheme, Digest> {
            Notarize::sign(&self.schemes[validator], proposal(view, block)).expect("it has a share")
        }

        fn finalize(&self, validator: usize, view: u64, block: u8) -> Finalize<Scheme, Digest> {
            Finalize::sign(&self.schemes[validator], proposal(view, block)).expect("it has a share")
        }

        fn report(&self, activity: Activity<Scheme, Digest>) {
            self.seen.clone().report(activity);
        }

        fn votes(&self, validator: usize, view: u64, block: u8) {
            self.report(Activity::Notarize(self.notarize(validator, view, block)));
        }

        fn decided(&self, view: u64, leader: usize, block: u8) {
            self.seen.decided(round(view), &self.identities[leader].public(), Digest([block; 32]));
        }

        fn counted(&self) -> Vec<(usize, u64)> {
            self.seen.counted().into_iter().collect()
        }
    }

    #[test]
    fn two_votes_for_different_things_in_a_view_count_once() {
        let four = Four::new();
        let nullify = |view| Nullify::sign::<Digest>(&four.schemes[3], round(view)).expect("it has a share");
        let two = ConflictingNotarize::new(four.notarize(1, 5, 1), four.notarize(1, 5, 2));
        four.report(Activity::ConflictingNotarize(two.clone()));
        four.report(Activity::ConflictingNotarize(two));
        assert_eq!(four.counted(), [(1, 1)]);
        let two = ConflictingFinalize::new(four.finalize(2, 5, 1), four.finalize(2, 5, 2));
        four.report(Activity::ConflictingFinalize(two));
        for view in [5, 6] {
            let two = NullifyFinalize::new(nullify(view), four.finalize(3, view, 1));
            four.report(Activity::NullifyFinalize(two));
        }
        assert_eq!(four.counted(), [(1, 1), (2, 1), (3, 2)]);
        assert!(!four.seen.of_own_key());
    }

    #[test]
    fn a_leader_that_voted_for_another_block_than_the_final_one_has_proposed_two() {
        let four = Four::new();
        // In either order, and those who voted for what the leader showed to them are not to blame.
        four.votes(1, 5, 1);
        four.votes(2, 5, 1);
        four.votes(0, 5, 1);
        four.decided(5, 1, 2);
        assert_eq!(four.counted(), [(1, 1)]);
        four.decided(6, 2, 3);
        four.votes(2, 6, 4);
        assert_eq!(four.counted(), [(1, 1), (2, 1)]);
        four.votes(3, 7, 5);
        four.decided(7, 3, 5);
        assert_eq!(four.counted(), [(1, 1), (2, 1)]);
    }

    #[test]
    fn a_final_block_in_ones_own_name_that_one_has_not_voted_for_is_somebody_elses() {
        let four = Four::new();
        // Before the first vote that is known it may have been voted for before a restart.
        four.decided(3, 0, 1);
        four.votes(0, 4, 2);
        // What is proposed here is voted for here, and a block may become final before that is known.
        four.decided(6, 0, 3);
        four.votes(0, 6, 3);
        four.votes(0, 7, 4);
        assert!(!four.seen.of_own_key());
        four.decided(8, 0, 5);
        assert!(!four.seen.of_own_key(), "the vote may be on its way");
        four.votes(0, 9, 6);
        assert!(four.seen.of_own_key());
        assert_eq!(four.counted(), [(0, 1)]);
    }

    #[test]
    fn another_block_than_ones_own_in_ones_own_name_is_noticed_at_once() {
        let four = Four::new();
        four.votes(0, 5, 1);
        four.decided(5, 0, 2);
        assert!(four.seen.of_own_key());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let four = Four::new();
        let mut known = four.seen.0.lock();
        for view in 1..3000 {
            (0..4).for_each(|validator| known.vote(round(view), validator, Digest([1; 32])));
            known.decided(round(view), view as usize % 4, Digest([1; 32]));
        }
        assert_eq!(
            (known.own.len(), known.votes.len(), known.decided.len()),
            (REMEMBERED_OWN, 4 * REMEMBERED, REMEMBERED)
        );
        assert!(known.doubtful.is_empty() && known.counted.is_empty());
    }
}
