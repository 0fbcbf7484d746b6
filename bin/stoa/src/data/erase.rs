//! `stoa data erase`: an asset ends, and whoever kept something of it signs that it is deleted.

mod report;

use super::{erased, notes::destroy_seeds, place, promised, published};
use crate::{note, spread::Online};
use alloy_primitives::B256;
use eyre::{Result, WrapErr as _};
use futures::future::join_all;
use report::{Had, Half, Report};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
    time::Duration,
};
use stoa_base::NodeId;
use stoa_client::{Wallet, view};
use stoa_data::{
    abi::{COMPUTE, READ},
    client::{Data, Deletions, Published},
    jobs::abi::{IJobs::offerOfCall, JOBS},
    record::Record,
    sale::{Ends, Seller},
};
use stoa_store::{Members as _, ObjectId};

/// How often nodes are asked that have not seen the end of the asset yet, and how long to wait in between.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(300);

/// Objects that a node is asked for at once.
const AT_ONCE: usize = 500;

/// Overwrites a file in its place and removes it. What a disk may keep of it all the same is told in `docs/data.md`.
pub(super) fn destroy(file: &Path) -> io::Result<()> {
    // Not cut off first: what is written then may go elsewhere on the disk, and leave the old bytes where they were.
    let mut open = File::options().write(true).open(file)?;
    let length = open.metadata()?.len();
    io::copy(&mut io::repeat(0).take(length), &mut open)?;
    open.sync_all()?;
    fs::remove_file(file)?;
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// The nodes that have something of these objects, of those that are registered and of these that were: each keeps the manifest with its
/// pieces.
async fn holders(online: &Online, objects: &[ObjectId], left: &BTreeSet<NodeId>) -> Result<BTreeSet<NodeId>> {
    let members = online.registry.members().await.map_err(eyre::Report::msg)?;
    let left = online.registry.last_addresses(left.iter().map(|node| B256::from(*node))).await?;
    let manifests = &objects.iter().map(|object| object.manifest()).collect::<Vec<_>>();
    let asked = members.iter().map(|member| &member.address).chain(&left).map(|address| async move {
        let peer = online.network.peer(address);
        for some in manifests.chunks(AT_ONCE) {
            if peer.has(some.to_vec()).await.is_ok_and(|has| has.contains(&true)) {
                return Some(peer.id());
            }
        }
        None
    });
    Ok(join_all(asked).await.into_iter().flatten().collect())
}

/// Asks all nodes what they have deleted, these as well that have left the registry, until those that are known to have had something
/// have signed, or do not answer.
async fn collected(data: &Data, asset: B256, had: &Had, left: BTreeSet<NodeId>) -> Result<Vec<Deletions>> {
    let also: BTreeSet<_> = left.into_iter().chain(had.nodes()).collect();
    let mut deletions = data.deletions(asset, &also).await?;
    for _ in 0..TRIES {
        let awaited: Vec<_> = deletions.iter_mut().filter(|of| had.is_awaited(of)).collect();
        if awaited.is_empty() {
            break;
        }
        // Nodes see the block when they have followed it.
        tokio::time::sleep(PAUSE).await;
        join_all(awaited.into_iter().map(|of| data.ask_again(asset, of))).await;
    }
    Ok(deletions)
}

/// Has nodes let go of what they keep of these objects for this wallet: how many pieces, and who did not say whether it did.
async fn let_go(online: &Online, objects: Vec<ObjectId>) -> Result<(usize, Vec<(NodeId, String)>)> {
    let (mut let_go, mut silent) = (0, Vec::new());
    for object in objects {
        for (node, answer) in online.network.let_go(object).await? {
            match answer {
                Ok(had) => let_go += usize::from(had),
                Err(why) => silent.push((node, why.to_string())),
            }
        }
    }
    Ok((let_go, silent))
}

pub(super) async fn erase(
    dir: &Path,
    online: &Online,
    data: &Data,
    account: &Wallet,
    asset: B256,
    json: bool,
) -> Result<()> {
    let known = published(dir, asset).ok();
    // What was destroyed before, here: the objects are asked for again.
    let erased = erased(dir, asset);
    let before: Option<Published> = note::read(&erased);
    let of = known.iter().chain(&before).next();
    let mut objects: Vec<_> = of.into_iter().flat_map(|known| &known.objects).map(|id| ObjectId(id.0)).collect();
    // Nothing is to be in the way of the end of the asset.
    let left = data.left(asset).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "which nodes have left the registry is not known: of those only keepers of the key are asked");
        BTreeSet::new()
    });
    // Asked before: whoever signs has nothing left.
    let holders = holders(online, &objects, &left).await?;
    // First, so that nobody pays for what is not there any more if this is cut off in between.
    let closed = Seller::new(account.clone()).close(Ends::All(asset)).await?;
    data.erase(asset).await?;
    // From here on nobody opens the data any more who has not done so.
    if let Some(known) = &known {
        note::write(&erased, &Published { half: None, ..known.clone() })?;
    }
    // The half follows from these as well.
    let mut destroyed = destroy_seeds(dir, asset)?;
    let file = place(dir, asset);
    // Also if it is damaged.
    if file.exists() {
        destroy(&file).wrap_err_with(|| format!("cannot destroy {}", file.display()))?;
        destroyed = true;
    }
    note::remove(&promised(dir, asset))?;
    let record = Record::read(account.client(), asset, |_, _| ()).await?;
    let half = Half::of(record.asset.ownerHalf, destroyed, before.is_some());
    let had = Had::of(&record, &holders);
    let deletions = collected(data, asset, &had, left).await?;
    // Only now, for who has let go of all that he had signs nothing: a node that has not seen the end of the asset still lets go
    // of what it kept for this wallet.
    if objects.is_empty() {
        objects.push(ObjectId(record.asset.object.0));
    }
    let (let_go, silent) = match known.is_none() || deletions.iter().any(|of| had.is_awaited(of)) {
        true => let_go(online, objects).await?,
        false => (0, Vec::new()),
    };
    let [read, computed] = [READ, COMPUTE].map(|kind| record.users(kind).into_iter().collect::<Vec<_>>());
    let sealed = record.asset.keepers > 0;
    let computes = match sealed {
        true => None,
        false => {
            Some(view(account.client(), JOBS, &offerOfCall { asset }).await?.0.node).filter(|node| !node.is_zero())
        }
    };
    let report =
        Report { asset, sealed, half, computes, holders, had, deletions, let_go, silent, read, computed, closed };
    match json {
        true => println!("{}", report.json()),
        false => report.lines().iter().for_each(|line| println!("{line}")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_destroyed_is_overwritten_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (file, same) = (folder.path().join("asset.json"), folder.path().join("same"));
        fs::write(&file, [7_u8; 5000]).unwrap();
        // Another name for the same place on the disk.
        fs::hard_link(&file, &same).unwrap();
        destroy(&file).unwrap();
        assert!(!file.exists());
        assert_eq!(fs::read(&same).unwrap(), [0; 5000]);
    }
}
