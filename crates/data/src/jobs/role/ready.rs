//! What a buyer asks before he pays: whether a job that he means to begin could be done. The data are looked at last, and read only if
//! they look otherwise than when they were read before; nothing is kept.

use super::{
    super::{
        abi::{IJobs::offerOfCall, JOBS},
        data::DataSet,
        wire::{UNOFFERED, UNPUBLISHED, who_asks},
    },
    Computer, Guard, OTHERS, Outcomes, Session, full, own, refused,
};
use alloy_primitives::B256;
use stoa_base::NodeId;
use tokio::task::spawn_blocking;

impl Computer {
    /// Lets pass what could be done now: a job of the account that has signed the question, which runs this program so often on an asset
    /// that is offered with these rules. How much may still leave is told to that account of itself, and of others to nobody.
    pub(super) async fn ready(
        &self,
        (from, signature): (NodeId, [u8; 65]),
        (asset, rules): (B256, B256),
        (algorithm, runtime): (B256, u8),
        rounds: u32,
    ) -> Outcomes<()> {
        // No job says yet whose it is.
        let his = |session: &Session| NodeId::from(session.job.client) == from;
        let full = full(&self.sessions.lock(), asset, "that name this key", his);
        if let Some(why) = full {
            return refused(why);
        }
        let folder = self.folder.join(asset.to_string());
        let reading = {
            let folder = folder.clone();
            spawn_blocking(move || DataSet::rules_in(&folder))
        };
        let reading = reading.await.map_err(own)?;
        // Anybody may ask for anything: what is not here is not worth a line in a log.
        let here = match reading {
            Ok(here) if here.hash() == rules => here,
            _ => return refused(OTHERS),
        };
        let offer = self.asks(JOBS, &offerOfCall { asset }).await.map_err(own)?;
        if NodeId::from(offer.node) != self.id() || offer.rules != rules {
            return refused(UNOFFERED);
        }
        if self.runtimes.of(runtime).is_none() {
            return refused("this node runs no such programs");
        }
        if rounds > here.rounds {
            return refused(format!("the owner lets a program run {} times in a job, not {rounds}", here.rounds));
        }
        if !self.trusts(&here, algorithm).await? {
            let unpublished = if here.publishers.is_empty() { String::new() } else { format!(", {UNPUBLISHED}") };
            return refused(format!("the owner does not let this program run on these data{unpublished}"));
        }
        let Some(buyer) = who_asks(self.chain_id, from, &signature) else {
            return refused("no account has signed the question");
        };
        let (chain, spending) = (&*self.chain, &*self.spending);
        let guard = Guard { rules: &here, asset, folder: folder.clone(), buyer, patience: 0, chain, spending };
        let (left, least) = (guard.left().map_err(own)?, here.least(rounds));
        if left.least() < least {
            let rounds = if rounds == 1 { "a round counts".to_owned() } else { format!("{rounds} rounds count") };
            return refused(here.short(left, &format!("{rounds} at least {least}"), least));
        }
        match self.has(&folder, &offer).await {
            Some(_) => Ok(()),
            None => refused(OTHERS),
        }
    }
}
