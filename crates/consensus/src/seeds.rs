//! The validators' randomness: the threshold signature that comes with the certificate of every round.

use crate::{application::Scheme, block::Context};
use alloy_primitives::{B256, keccak256};
use commonware_actor::Feedback;
use commonware_codec::Encode as _;
use commonware_consensus::{
    Reporter,
    simplex::{
        scheme::bls12381_threshold::vrf::{Seed, Seedable as _},
        types::Activity,
    },
    types::Round,
};
use commonware_cryptography::{
    bls12381::primitives::variant::{MinSig, Variant},
    sha256::Digest,
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::Notify;

/// A threshold signature: the only one there is of its message.
pub(crate) type Signature = <MinSig as Variant>::Signature;

/// Of how many rounds the signature is remembered.
const REMEMBERED: usize = 256;

/// Signatures of the latest rounds, as they become known. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Seeds {
    known: Arc<Mutex<BTreeMap<Round, Signature>>>,
    arrived: Arc<Notify>,
}

/// The round whose randomness a block uses: that in which its parent was agreed on. `None` for the first block of an epoch,
/// whose parent may have been agreed on in any of several rounds of the epoch before.
pub(crate) fn round_of_parent(context: &Context) -> Option<Round> {
    let view = context.parent.0;
    (!view.is_zero()).then(|| Round::new(context.round.epoch(), view))
}

/// A block's `prevrandao`, given its parent's. What the first block of an epoch has is known a block earlier, and is nobody's
/// choice either.
pub(crate) fn randomness(parent: B256, seed: Option<&Signature>) -> B256 {
    seed.map_or_else(|| keccak256(parent), |signature| keccak256(signature.encode()))
}

impl Seeds {
    fn add(&self, seed: Seed<MinSig>) {
        let mut known = self.known.lock();
        known.insert(seed.round, seed.signature);
        while known.len() > REMEMBERED {
            known.pop_first();
        }
        drop(known);
        self.arrived.notify_waiters();
    }

    /// Waits for the signature of a round.
    pub(crate) async fn of(&self, round: Round) -> Signature {
        loop {
            // Before looking, so that what comes in while looking is not missed.
            let arrived = self.arrived.notified();
            if let Some(signature) = self.known.lock().get(&round) {
                return *signature;
            }
            arrived.await;
        }
    }

    /// Whether the signature is that of the round.
    pub(crate) fn verify(&self, scheme: &Scheme, round: Round, signature: &Signature) -> bool {
        let known = self.known.lock().get(&round).copied();
        known.map_or_else(|| Seed::new(round, *signature).verify(scheme), |known| known == *signature)
    }
}

impl Reporter for Seeds {
    type Activity = Activity<Scheme, Digest>;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        match activity {
            Activity::Notarization(certificate) | Activity::Certification(certificate) => self.add(certificate.seed()),
            Activity::Finalization(certificate) => self.add(certificate.seed()),
            _ => {}
        }
        Feedback::Ok
    }
}
