//! `stoa data erase`: an asset ends, and whoever kept something of it signs that it is deleted.

mod report;

use super::{erased, notes::destroy_seeds, place, promised, published};
use crate::{note, spread::Online};
use alloy_primitives::B256;
use eyre::{Result, WrapErr as _};
use futures::{
    StreamExt as _,
    future::{join, join_all},
    stream,
};
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
use stoa_net::PeerAddress;
use stoa_store::{BlobHash, ObjectId};
use tokio::time::{Instant, timeout_at};

/// How often nodes are asked that have not seen the end of the asset yet, and how long to wait in between.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(300);

/// Objects that a node is asked for at once.
const AT_ONCE: usize = 500;

/// How long is looked for who has something of an asset, before it ends: nothing is to be in the way of that.
const LOOKED: Duration = Duration::from_secs(20);

/// Nodes that are asked at once.
const NODES_AT_ONCE: usize = 128;

/// How many of the nodes that have left the registry are asked, those that left last: anybody may join and leave as often as he likes.
const MOST_LEFT: usize = 256;

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

/// What is found of an asset before it ends.
struct Found {
    /// The nodes that have something of its objects: each keeps the manifest with its pieces.
    holders: BTreeSet<NodeId>,
    /// How many more were not heard in time.
    unheard: usize,
    /// The nodes that have left the registry since it was registered, those that left last first, if that is known.
    left: Option<Vec<NodeId>>,
}

impl Found {
    /// Asks the nodes that are registered, and those that left last, for a while. This comes before the end: whoever has signed has nothing
    /// left.
    async fn of(online: &Online, data: &Data, asset: B256, objects: &[ObjectId]) -> Result<Self> {
        let end = Instant::now() + LOOKED;
        let manifests = &objects.iter().map(|object| object.manifest()).collect::<Vec<_>>();
        // Whatever they do for others now.
        let nodes = online.registry.nodes().await?;
        let there = nodes.iter().filter_map(|node| PeerAddress::new(node.key.into(), &node.host).ok());
        let there = there.collect::<Vec<_>>();
        // At the same time, so that neither leaves the other no time.
        let gone = async {
            let left = match timeout_at(end, data.left(asset)).await {
                Ok(Ok(left)) => Some(left),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "which nodes have left the registry is not known");
                    None
                }
                Err(_) => {
                    tracing::warn!("which nodes have left the registry was not found out in time");
                    None
                }
            };
            let asked = newest(left.as_deref()).map(|node| async move {
                let found = online.registry.last_addresses([B256::from(node)]).await.ok()?;
                has(online, found.first()?, manifests).await
            });
            let heard = until(end, asked.collect()).await;
            (left, heard)
        };
        let asked = there.iter().map(|address| has(online, address, manifests)).collect();
        let ((there, unheard), (left, (gone, also))) = join(until(end, asked), gone).await;
        Ok(Self { holders: there.into_iter().chain(gone).flatten().collect(), unheard: unheard + also, left })
    }

    /// The nodes that are asked of those that have left.
    fn asked(&self) -> impl Iterator<Item = NodeId> {
        newest(self.left.as_deref())
    }

    /// How many that have left are not asked, if it is known which have.
    fn not_asked(&self, had: &Had) -> Option<usize> {
        let is_asked = |node: &NodeId| had.nodes().any(|known| known == *node);
        Some(self.left.as_ref()?.iter().skip(MOST_LEFT).filter(|node| !is_asked(node)).count())
    }
}

/// As many of the nodes that have left as are asked: those that left last, which come first.
fn newest(left: Option<&[NodeId]>) -> impl Iterator<Item = NodeId> {
    left.into_iter().flatten().take(MOST_LEFT).copied()
}

/// The node, if it has one of these manifests.
async fn has(online: &Online, address: &PeerAddress, manifests: &[BlobHash]) -> Option<NodeId> {
    let peer = online.network.peer(address);
    for some in manifests.chunks(AT_ONCE) {
        if peer.has(some.to_vec()).await.is_ok_and(|has| has.contains(&true)) {
            return Some(address.node());
        }
    }
    None
}

/// What comes of these questions until a moment, not all of which are under way at once, and of how many nothing has come.
async fn until<T>(end: Instant, asked: Vec<impl Future<Output = T>>) -> (Vec<T>, usize) {
    let (all, mut answers) = (asked.len(), Vec::new());
    let mut asking = stream::iter(asked).buffer_unordered(NODES_AT_ONCE);
    while let Ok(Some(answer)) = timeout_at(end, asking.next()).await {
        answers.push(answer);
    }
    let open = all - answers.len();
    (answers, open)
}

/// Asks all nodes what they have deleted, these as well that have left the registry, until those that are known to have had something
/// have signed, or do not answer.
async fn collected(data: &Data, asset: B256, had: &Had, found: &Found) -> Result<Vec<Deletions>> {
    let also: BTreeSet<_> = found.asked().chain(had.nodes()).collect();
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

/// Has nodes let go of what they keep of these objects for this wallet, these as well that need not be registered: how many pieces, and who
/// did not say whether it did.
async fn let_go(
    online: &Online,
    objects: Vec<ObjectId>,
    also: &[PeerAddress],
) -> Result<(usize, Vec<(NodeId, String)>)> {
    let (mut let_go, mut silent) = (0, Vec::new());
    for object in objects {
        for (node, answer) in online.network.let_go_with(object, also).await? {
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
    let found = Found::of(online, data, asset, &objects).await?;
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
    let had = Had::of(&record, &found.holders);
    let deletions = collected(data, asset, &had, &found).await?;
    // Only now, for who has let go of all that he had signs nothing: a node that has not seen the end of the asset still lets go
    // of what it kept for this wallet.
    if objects.is_empty() {
        objects.push(ObjectId(record.asset.object.0));
    }
    let awaited: Vec<_> = deletions.iter().filter(|of| had.is_awaited(of)).collect();
    let (let_go, silent) = match known.is_none() || !awaited.is_empty() {
        true => {
            let also: Vec<_> = awaited.iter().filter_map(|of| of.address.clone()).collect();
            let_go(online, objects, &also).await?
        }
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
    let not_asked = found.not_asked(&had);
    let Found { holders, unheard, .. } = found;
    let report = Report {
        asset,
        sealed,
        half,
        computes,
        holders,
        unheard,
        not_asked,
        had,
        deletions,
        let_go,
        silent,
        read,
        computed,
        closed,
    };
    match json {
        true => println!("{}", report.json()),
        false => report.lines().iter().for_each(|line| println!("{line}")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, future::pending};

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

    #[tokio::test]
    async fn nodes_that_do_not_answer_are_waited_for_until_a_moment_however_many_they_are() {
        let ask = |number: usize| async move {
            match number % 2 {
                0 => number,
                _ => pending().await,
            }
        };
        let end = Instant::now() + Duration::from_millis(50);
        let (answers, open) = until(end, (0..10).map(ask).collect()).await;
        assert_eq!((answers.into_iter().collect::<BTreeSet<_>>(), open), (BTreeSet::from([0, 2, 4, 6, 8]), 5));
        // More than are asked at once: those behind them are not heard either.
        let silent = |_: usize| pending::<usize>();
        let (answers, open) = until(Instant::now(), (0..3 * NODES_AT_ONCE).map(silent).collect()).await;
        assert_eq!((answers.len(), open), (0, 3 * NODES_AT_ONCE));
    }

    #[test]
    fn the_newest_that_left_are_asked_and_the_others_counted() {
        let node = |number: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            NodeId(key)
        };
        let left = Some((0..MOST_LEFT + 9).map(node).collect());
        let found = Found { holders: BTreeSet::new(), unheard: 0, left };
        assert_eq!(found.asked().collect::<Vec<_>>(), (0..MOST_LEFT).map(node).collect::<Vec<_>>());
        // One of the others is asked, for it was named as a keeper of the key.
        let had = Had::new(&BTreeMap::new(), &[node(MOST_LEFT + 1).into()], &found.holders);
        assert_eq!(found.not_asked(&had), Some(8));
        let unknown = Found { left: None, ..found };
        assert_eq!((unknown.asked().count(), unknown.not_asked(&had)), (0, None));
    }
}
