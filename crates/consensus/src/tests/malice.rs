//! Validators that break the rules by more than what they propose.

use super::network::{Config, Noticed};
use crate::{Identity, application::Malice, engine, namespace};
use alloy_primitives::Address;
use commonware_consensus::simplex::mocks::conflicter::{self, Conflicter};
use commonware_cryptography::{Sha256, ed25519::PublicKey};
use commonware_glue::simulate::engine::ChannelPair;
use commonware_p2p::{
    Recipients, Sender as _,
    simulated::{SplitOrigin, SplitTarget},
    utils::mux::Muxer,
};
use commonware_runtime::{Clock as _, Supervisor as _, deterministic};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::time::Duration;
use tempfile::TempDir;

/// The most milliseconds that a clock may be off without anybody waiting for it: no two differ by two seconds then.
pub(super) const TOLERATED_SKEW: i64 = 900;

impl Malice {
    /// Whether it follows the chain at all.
    pub(super) const fn follows(&self) -> bool {
        !(self.conflicting_votes || self.twins || self.withholds || self.floods)
    }

    /// Whether clients can rely on it: others agree to the blocks that it proposes.
    pub(super) const fn is_honest(&self) -> bool {
        self.follows() && self.forge.is_none() && self.skew.abs() <= TOLERATED_SKEW
    }
}

/// A second validator with the same key.
pub(super) struct Twin {
    pub(super) config: Config,
    /// Those that the first talks to; it talks to the others.
    pub(super) first_half: Vec<PublicKey>,
    /// Its history.
    pub(super) folder: TempDir,
    /// Whether the first only listens: it hears all that anybody votes and proposes, and nobody hears what it does.
    pub(super) overhears: bool,
}

/// Votes in the first epoch for whatever others vote for, and for something else as well.
pub(super) async fn vote_for_everything(
    context: deterministic::Context,
    config: Config,
    channels: Vec<ChannelPair<PublicKey>>,
) {
    let (sender, receiver) = channels.into_iter().next().expect("the first channel is that of the votes");
    let (muxer, mut epochs) = Muxer::new(context.child("muxer"), sender, receiver);
    muxer.start();
    let votes = epochs.register(0).await.expect("the first epoch is asked for once");
    let secret = config.secrets.shares().into_values().next().expect("it was dealt one");
    let identity = Identity { key: config.key, share: secret };
    let scheme = config.committee.signer(&namespace(&config.ledger), &identity).expect("it is one of them");
    let conflicter = Conflicter::<_, _, Sha256>::new(context.child("conflicter"), conflicter::Config { scheme });
    drop(conflicter.start(votes).await);
}

/// Sends as much as it may on every channel, for ever.
pub(super) async fn flood(context: deterministic::Context, channels: Vec<ChannelPair<PublicKey>>) {
    let flooding = channels.into_iter().enumerate().map(|(at, (mut sender, _receiver))| {
        let context = context.child("channel");
        async move {
            let mut random = StdRng::seed_from_u64(at as u64);
            loop {
                let length = random.random_range(0..4096_usize);
                let junk = (0..length).map(|_| random.random::<u8>()).collect::<Vec<_>>();
                let _ = sender.send(Recipients::All, junk, random.random());
                context.sleep(Duration::from_millis(2)).await;
            }
        }
    });
    futures::future::join_all(flooding).await;
}

/// The channels on which votes, certificates and blocks come without being asked for.
const TOLD: [usize; 3] = [0, 1, 4];

/// Runs two validators with one key, each of which hears one part of the others and is heard by it; what the first notices is noted.
pub(super) async fn run_twins(
    context: deterministic::Context,
    mut one: Config,
    twin: Twin,
    channels: Vec<ChannelPair<PublicKey>>,
    noticed: Noticed,
) {
    let Twin { config: other, first_half, folder: _folder, overhears } = twin;
    if overhears {
        // What the two propose differs, whatever they know.
        one.beneficiary = Address::repeat_byte(0xee);
    }
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for (channel, (sender, receiver)) in channels.into_iter().enumerate() {
        let told = overhears && TOLD.contains(&channel);
        let half = first_half.clone();
        let all = other.committee.validators().clone();
        let forward = move |origin, recipients: &Recipients<PublicKey>, _: &_| {
            let wanted = match recipients {
                Recipients::All => all.iter().cloned().collect(),
                Recipients::Some(some) => some.clone(),
                Recipients::One(one) => vec![one.clone()],
            };
            let first = matches!(origin, SplitOrigin::Primary);
            if told {
                return (!first).then_some(Recipients::Some(wanted));
            }
            Some(Recipients::Some(wanted.into_iter().filter(|key| half.contains(key) == first).collect()))
        };
        let half = first_half.clone();
        let route = move |(from, _): &(PublicKey, _)| match half.contains(from) {
            _ if told => SplitTarget::Both,
            true => SplitTarget::Primary,
            false => SplitTarget::Secondary,
        };
        let (senders, receivers) = (sender.split_with(forward), receiver.split_with(context.child("split"), route));
        ones.push((senders.0, receivers.0));
        others.push((senders.1, receivers.1));
    }
    let one = Box::pin(engine::start(context.child("one"), one, ones)).await;
    *noticed.lock() = Some(one);
    let _other = Box::pin(engine::start(context.child("other"), other, others)).await;
    futures::future::pending::<()>().await;
}
