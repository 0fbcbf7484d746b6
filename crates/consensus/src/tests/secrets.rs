//! A validator's secrets in memory, which outlive it.

use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use commonware_consensus::types::Epoch;
use commonware_cryptography::{
    PublicKey,
    bls12381::{dkg::feldman_desmedt::DealerPrivMsg, primitives::group::Share},
    transcript::Summary,
};
use commonware_glue::dkg::SecretStore;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// By epoch and dealer.
type Dealings = BTreeMap<(Epoch, Vec<u8>), Vec<u8>>;

#[derive(Clone, Default)]
pub(crate) struct Secrets {
    shares: Arc<Mutex<BTreeMap<Epoch, Share>>>,
    seeds: Arc<Mutex<BTreeMap<Epoch, Summary>>>,
    dealings: Arc<Mutex<Dealings>>,
    /// Whether it has voted.
    voted: Arc<AtomicBool>,
}

impl Secrets {
    /// Those of a validator that has been dealt a share.
    pub(crate) fn dealt(share: Share) -> Self {
        let secrets = Self::default();
        secrets.shares.lock().insert(Epoch::zero(), share);
        secrets
    }

    /// The shares that are kept.
    pub(crate) fn shares(&self) -> BTreeMap<Epoch, Share> {
        self.shares.lock().clone()
    }
}

impl SecretStore for Secrets {
    async fn put_share(&mut self, epoch: Epoch, share: Share) {
        self.shares.lock().insert(epoch, share);
    }

    async fn get_share(&mut self, epoch: Epoch) -> Option<Share> {
        self.shares.lock().get(&epoch).cloned()
    }

    async fn put_seed(&mut self, epoch: Epoch, seed: Summary) {
        self.seeds.lock().insert(epoch, seed);
    }

    async fn get_seed(&mut self, epoch: Epoch) -> Option<Summary> {
        self.seeds.lock().get(&epoch).copied()
    }

    async fn put_dealing<P: PublicKey>(&mut self, epoch: Epoch, dealer: P, private: DealerPrivMsg) {
        self.dealings.lock().insert((epoch, dealer.as_ref().to_vec()), private.encode().to_vec());
    }

    async fn get_dealing<P: PublicKey>(&mut self, epoch: Epoch, dealer: &P) -> Option<DealerPrivMsg> {
        let dealings = self.dealings.lock();
        let dealing = dealings.get(&(epoch, dealer.as_ref().to_vec()))?;
        Some(DealerPrivMsg::decode(Copying(dealing)).expect("it was encoded here"))
    }

    async fn prune(&mut self, min: Epoch) {
        self.shares.lock().retain(|epoch, _| *epoch >= min);
        self.seeds.lock().retain(|epoch, _| *epoch >= min);
        self.dealings.lock().retain(|(epoch, _), _| *epoch >= min);
    }
}

impl crate::Secrets for Secrets {
    fn has_voted(&self) -> bool {
        self.voted.load(Ordering::Relaxed)
    }

    fn note_voting(&self) {
        self.voted.store(true, Ordering::Relaxed);
    }
}
