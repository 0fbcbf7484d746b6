//! What a running validator lets others see of its consensus.

use crate::{application::Scheme, block::SealedBlock, equivocation::Equivocations};
use commonware_actor::Feedback;
use commonware_codec::Encode as _;
use commonware_consensus::{
    Reporter,
    marshal::{core::Mailbox, standard::Standard},
    simplex::types::{Activity, Attributable as _},
    types::{Height, Round},
};
use commonware_cryptography::sha256::Digest;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};
use stoa_ledger::Ledger;
use tokio::sync::broadcast::error::RecvError;

/// In which epoch and view each validator's last vote was heard, by its place in the committee, and how many views went by without a
/// block. Cheap to clone.
#[derive(Clone, Default)]
pub struct Votes(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    last: BTreeMap<usize, (u64, u64)>,
    skipped: u64,
    newest_skipped: Option<Round>,
}

impl Votes {
    /// Epoch and view of the last vote heard of each validator, this one included; those that were never heard are missing.
    pub fn heard(&self) -> BTreeMap<usize, (u64, u64)> {
        self.0.lock().last.clone()
    }

    /// How many views this validator has seen that a quorum gave up, as their leaders proposed nothing that could be agreed on in time.
    pub fn skipped(&self) -> u64 {
        self.0.lock().skipped
    }
}

impl Reporter for Votes {
    type Activity = Activity<Scheme, Digest>;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        let vote = match &activity {
            Activity::Notarize(vote) => Some((vote.signer(), vote.round())),
            Activity::Nullify(vote) => Some((vote.signer(), vote.round)),
            Activity::Finalize(vote) => Some((vote.signer(), vote.round())),
            _ => None,
        };
        let mut heard = self.0.lock();
        if let Some((signer, round)) = vote {
            let last = heard.last.entry(usize::from(signer)).or_default();
            *last = (round.epoch().get(), round.view().get()).max(*last);
        }
        // Told again by whoever starts again.
        if let Activity::Nullification(skipped) = &activity
            && heard.newest_skipped < Some(skipped.round)
        {
            heard.newest_skipped = Some(skipped.round);
            heard.skipped += 1;
        }
        Feedback::Ok
    }
}

/// How far back a validator that starts looks for certificates that it had no time to keep.
const LOOK_BACK: u64 = 256;

/// Keeps the certificate of every final block that has one. Blocks without are proven by those after them.
pub(crate) async fn keep_certificates(ledger: Ledger, marshal: Mailbox<Scheme, Standard<SealedBlock>>) {
    let mut blocks = ledger.subscribe();
    let head = ledger.head().number();
    let known = *ledger.newest_certified().borrow();
    for number in (known + 1).max(head.saturating_sub(LOOK_BACK))..=head {
        keep_certificate(&ledger, &marshal, number).await;
    }
    loop {
        match blocks.recv().await {
            Ok(committed) => keep_certificate(&ledger, &marshal, committed.block.number()).await,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

async fn keep_certificate(ledger: &Ledger, marshal: &Mailbox<Scheme, Standard<SealedBlock>>, number: u64) {
    let Some(certificate) = marshal.get_finalization(Height::new(number)).await else { return };
    if let Err(error) = ledger.certify(number, &certificate.encode()) {
        tracing::error!(%error, number, "the certificate of a block cannot be kept");
    }
}

/// Whether this validator votes, as far as it knows. Cheap to clone.
#[derive(Clone, Default)]
pub struct Standing(Arc<Mutex<Option<(u64, bool)>>>);

impl Standing {
    /// The newest epoch that it knows who votes in, and whether it does. `None` before the first.
    pub fn newest(&self) -> Option<(u64, bool)> {
        *self.0.lock()
    }

    pub(crate) fn note(&self, epoch: u64, votes: bool) {
        let mut newest = self.0.lock();
        if newest.is_none_or(|(known, _)| known <= epoch) {
            *newest = Some((epoch, votes));
        }
    }
}

/// What a running validator knows of the votes. Cheap to clone.
#[derive(Clone)]
pub struct Running {
    /// The votes that it hears.
    pub votes: Votes,
    /// Who has contradicted himself.
    pub equivocations: Equivocations,
    /// Whether it votes.
    pub standing: Standing,
}
