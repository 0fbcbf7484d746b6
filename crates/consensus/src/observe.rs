//! What a running validator lets others see of its consensus.

use crate::application::Scheme;
use alloy_primitives::Bytes;
use commonware_actor::Feedback;
use commonware_codec::Encode as _;
use commonware_consensus::{
    Reporter, Viewable as _,
    marshal::{core::Mailbox, standard::Standard},
    simplex::types::{Activity, Attributable as _},
    types::Height,
};
use commonware_cryptography::sha256::Digest;
use futures::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

use crate::block::SealedBlock;

/// In which view each validator's last vote was heard, by its place in the committee. Cheap to clone.
#[derive(Clone, Default)]
pub struct Votes(Arc<Mutex<BTreeMap<usize, u64>>>);

impl Votes {
    /// The view of the last vote heard of each validator; those that were never heard are missing.
    pub fn heard(&self) -> BTreeMap<usize, u64> {
        self.0.lock().clone()
    }
}

impl Reporter for Votes {
    type Activity = Activity<Scheme, Digest>;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        let vote = match &activity {
            Activity::Notarize(vote) => Some((vote.signer(), vote.view())),
            Activity::Nullify(vote) => Some((vote.signer(), vote.view())),
            Activity::Finalize(vote) => Some((vote.signer(), vote.view())),
            _ => None,
        };
        if let Some((signer, view)) = vote {
            let mut heard = self.0.lock();
            let last = heard.entry(usize::from(signer)).or_default();
            *last = view.get().max(*last);
        }
        Feedback::Ok
    }
}

/// The certificates of final blocks. Cheap to clone.
#[derive(Clone)]
pub struct Certificates(Arc<dyn Fn(u64) -> BoxFuture<'static, Option<Bytes>> + Send + Sync>);

impl Certificates {
    pub(crate) fn new(marshal: Mailbox<Scheme, Standard<SealedBlock>>) -> Self {
        Self(Arc::new(move |height| {
            let marshal = marshal.clone();
            async move {
                let certificate = marshal.get_finalization(Height::new(height)).await?;
                Some(Bytes::from(certificate.encode().to_vec()))
            }
            .boxed()
        }))
    }

    /// The certificate of the block at a height: a `Finalization` of `commonware-consensus`, encoded. `None` where only a later
    /// block has one, or it is no longer kept.
    pub async fn of(&self, height: u64) -> Option<Bytes> {
        self.0(height).await
    }
}

/// A running validator.
pub struct Running {
    /// The certificates that it has.
    pub certificates: Certificates,
    /// The votes that it hears.
    pub votes: Votes,
}
