//! What a buyer asks before he pays: whether a job that he means to begin could be done. Nothing is read of the data for that, and
//! nothing is kept.

use super::{
    super::{data::DataSet, wire::UNPUBLISHED},
    Computer, Guard, Outcomes, Session, full, own, refused,
};
use alloy_primitives::{Address, B256};
use stoa_base::NodeId;
use tokio::task::spawn_blocking;

impl Computer {
    /// Lets pass what could be done now: a job of this buyer that runs this program so often on an asset that is offered with these rules.
    pub(super) async fn ready(
        &self,
        (from, buyer): (NodeId, Address),
        (asset, rules): (B256, B256),
        (algorithm, runtime): (B256, u8),
        rounds: u32,
    ) -> Outcomes<()> {
        // No job says yet whose it is.
        let his = |session: &Session| NodeId::from(session.job.client) == from;
        let full = full(&self.sessions.lock(), "that name this key", his);
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
            _ => return refused("the data or rules that were offered are not those that are here"),
        };
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
        let (chain, spending) = (&*self.chain, &*self.spending);
        let left = Guard { rules: &here, asset, folder, buyer, patience: 0, chain, spending }.left().map_err(own)?;
        let least = here.least(rounds);
        if left < least {
            let rounds = if rounds == 1 { "a round counts".to_owned() } else { format!("{rounds} rounds count") };
            return refused(format!("{}, and {rounds} {least} at least", here.used_up(left)));
        }
        Ok(())
    }
}
