//! Links that repeat messages and let them overtake each other. The simulated network itself delivers each message of one
//! validator to another at most once, and in the order in which they were sent.

use super::network::good;
use commonware_actor::{Feedback, Unreliable};
use commonware_cryptography::{
    Signer as _,
    ed25519::{PrivateKey, PublicKey},
};
use commonware_p2p::{
    CheckedSender, LimitedSender, Receiver as _, Recipients, Sender,
    simulated::{Config, Network},
};
use commonware_runtime::{Clock as _, IoBuf, IoBufs, Quota, Runner as _, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::{NZU32, NZUsize};
use futures::FutureExt as _;
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// What happens to messages before the simulated network delays or loses them.
#[derive(Clone, Copy, Default)]
pub(super) struct Disorder {
    /// How likely a message is sent once more, later.
    pub(super) repeated: f64,
    /// How likely a message is held back, so that later ones overtake it.
    pub(super) held: f64,
    /// For how many milliseconds at most.
    pub(super) longest: u64,
    /// Whether nothing is sent at all.
    pub(super) silent: bool,
}

/// A validator's end of a channel whose messages come in disorder.
#[derive(Clone)]
pub(super) struct Disorderly<S> {
    inner: S,
    wire: Arc<Wire>,
}

/// What all copies of a sender share.
struct Wire {
    context: deterministic::Context,
    disorder: Disorder,
    random: Mutex<StdRng>,
}

impl<S> Disorderly<S> {
    /// Draws from the runtime what happens to which message.
    pub(super) fn new(mut context: deterministic::Context, inner: S, disorder: Disorder) -> Self {
        let random = Mutex::new(StdRng::seed_from_u64(context.random()));
        Self { inner, wire: Arc::new(Wire { context, disorder, random }) }
    }
}

impl Wire {
    /// How much later a message is sent again, and how much later it is sent at all.
    fn draw(&self) -> (Option<Duration>, Option<Duration>) {
        let Disorder { repeated, held, longest, .. } = self.disorder;
        let mut random = self.random.lock();
        let mut later = |likely| {
            let drawn = random.random_bool(likely);
            drawn.then(|| Duration::from_millis(random.random_range(1..=longest.max(1))))
        };
        (later(repeated), later(held))
    }

    fn send_later<S: Sender<PublicKey = PublicKey>>(
        &self,
        mut sender: S,
        recipients: Vec<PublicKey>,
        message: IoBuf,
        priority: bool,
        after: Duration,
    ) {
        self.context.child("late").spawn(async move |context: deterministic::Context| {
            context.sleep(after).await;
            let _ = sender.send(Recipients::Some(recipients), message, priority);
        });
    }
}

impl<S: Sender<PublicKey = PublicKey>> LimitedSender for Disorderly<S> {
    type PublicKey = PublicKey;
    type Checked<'a>
        = Checked<'a, S>
    where
        Self: 'a;

    fn check(&mut self, recipients: Recipients<PublicKey>) -> Result<Checked<'_, S>, SystemTime> {
        let (later, wire) = (self.inner.clone(), self.wire.clone());
        Ok(Checked { now: self.inner.check(recipients)?, later, wire })
    }
}

/// A message's way to those who may be sent it.
pub(super) struct Checked<'a, S: LimitedSender + 'a> {
    now: S::Checked<'a>,
    later: S,
    wire: Arc<Wire>,
}

impl<S: Sender<PublicKey = PublicKey>> CheckedSender for Checked<'_, S> {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        self.now.recipients()
    }

    fn send(self, message: impl Into<IoBufs> + Send, priority: bool) -> Unreliable<Feedback> {
        let Self { now, later, wire } = self;
        if wire.disorder.silent {
            return Unreliable::new(Feedback::Ok);
        }
        let message = message.into().coalesce();
        let (again, held) = wire.draw();
        if let Some(after) = again {
            wire.send_later(later.clone(), now.recipients(), message.clone(), priority, after);
        }
        match held {
            Some(after) => {
                wire.send_later(later, now.recipients(), message, priority, after);
                Unreliable::new(Feedback::Ok)
            }
            None => now.send(message, priority),
        }
    }
}

/// What arrives of the messages 0 to 99, sent a millisecond apart.
fn arrives(disorder: Disorder) -> Vec<u8> {
    deterministic::Runner::seeded(1).start(async move |context: deterministic::Context| {
        let [one, other] = [1, 2].map(|seed| PrivateKey::from_seed(seed).public_key());
        let config = Config {
            max_size: 1 << 10,
            max_peers_per_set: NZUsize!(2),
            disconnect_on_block: true,
            tracked_peer_sets: NZUsize!(1),
        };
        let peers = [one.clone(), other.clone()];
        let (network, oracle) = Network::new_with_peers(context.child("network"), config, peers).await;
        network.start();
        let quota = Quota::per_second(NZU32!(10_000));
        let (sender, _receiver) = oracle.control(one.clone()).register(0, quota).await.unwrap();
        let (_sender, mut receiver) = oracle.control(other.clone()).register(0, quota).await.unwrap();
        oracle.add_link(one, other.clone(), good()).await.unwrap();
        let mut sender = Disorderly::new(context.child("disorder"), sender, disorder);
        for message in 0..100_u8 {
            let sent = sender.send(Recipients::One(other.clone()), vec![message], false);
            assert_eq!(sent.len(), 1);
            context.sleep(Duration::from_millis(1)).await;
        }
        let mut arrived = Vec::new();
        loop {
            futures::select_biased! {
                received = Box::pin(receiver.recv()).fuse() => arrived.push(received.unwrap().1.as_ref()[0]),
                () = Box::pin(context.sleep(Duration::from_secs(1))).fuse() => break arrived,
            }
        }
    })
}

#[test]
fn messages_are_repeated_held_back_or_left_as_they_are() {
    let in_order = (0..100_u8).collect::<Vec<_>>();
    assert_eq!(arrives(Disorder::default()), in_order);
    let mut repeated = arrives(Disorder { repeated: 0.5, longest: 20, ..Disorder::default() });
    assert!(repeated.len() > 120, "{repeated:?}");
    let mut held = arrives(Disorder { held: 0.5, longest: 20, ..Disorder::default() });
    assert_ne!(held, in_order);
    for arrived in [&mut repeated, &mut held] {
        arrived.sort_unstable();
        arrived.dedup();
        assert_eq!(*arrived, in_order);
    }
    assert!(arrives(Disorder { silent: true, ..Disorder::default() }).is_empty());
}
