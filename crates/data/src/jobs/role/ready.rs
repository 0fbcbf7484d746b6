//! What a buyer asks before he pays: whether a job that he means to begin could be done. Nothing is read of the data for that, and
//! nothing is kept.

use super::{
    super::{data::DataSet, wire::UNPUBLISHED},
    Computer, Outcomes, Session, full, own, refused,
};
use alloy_primitives::B256;
use stoa_base::NodeId;
use tokio::task::spawn_blocking;

impl Computer {
    /// Lets pass what could be done now: a job that runs this program so often on an asset that is offered with these rules.
    pub(super) async fn ready(
        &self,
        from: NodeId,
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
        let reading = spawn_blocking(move || DataSet::rules_in(&folder)).await.map_err(own)?;
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
        if self.trusts(&here, algorithm).await? {
            return Ok(());
        }
        let unpublished = if here.publishers.is_empty() { String::new() } else { format!(", {UNPUBLISHED}") };
        refused(format!("the owner does not let this program run on these data{unpublished}"))
    }
}
