//! `stoa data erase`: an asset ends, and whoever kept something of it signs that it is deleted.

use super::{erased, notes::destroy_seeds, place, promised, published};
use crate::{note, spread::Online};
use alloy_primitives::B256;
use eyre::{Result, WrapErr as _};
use futures::future::join_all;
use serde_json::{Value, json};
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
use stoa_privacy::{Deleted, DeletionReceipt};
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

/// The nodes that have something of these objects: each keeps the manifest with its pieces.
async fn holders(online: &Online, objects: &[ObjectId]) -> Result<BTreeSet<NodeId>> {
    let members = online.registry.members().await.map_err(eyre::Report::msg)?;
    let manifests = &objects.iter().map(|object| object.manifest()).collect::<Vec<_>>();
    let asked = members.iter().map(|member| async move {
        let peer = online.network.peer(&member.address);
        for some in manifests.chunks(AT_ONCE) {
            if peer.has(some.to_vec()).await.is_ok_and(|has| has.contains(&true)) {
                return Some(peer.id());
            }
        }
        None
    });
    Ok(join_all(asked).await.into_iter().flatten().collect())
}

/// Whether a node has signed that nothing of the asset is left with it.
fn has_signed(node: &Deletions) -> bool {
    let whole = |receipt: &DeletionReceipt| receipt.deleted() == Deleted::Asset;
    node.receipts.as_ref().is_ok_and(|all| all.iter().any(whole))
}

/// Asks all nodes what they have deleted, until those that are known to have had something have signed, or do not answer.
async fn collected(data: &Data, asset: B256, had: &BTreeSet<NodeId>) -> Result<Vec<Deletions>> {
    let mut deletions = data.deletions(asset).await?;
    for _ in 0..TRIES {
        if deletions.iter().all(|node| !had.contains(&node.node) || node.receipts.is_err() || has_signed(node)) {
            break;
        }
        // Nodes see the block when they have followed it.
        tokio::time::sleep(PAUSE).await;
        deletions = data.deletions(asset).await?;
    }
    Ok(deletions)
}

fn names<'a>(nodes: impl IntoIterator<Item = &'a NodeId>) -> Vec<String> {
    nodes.into_iter().map(ToString::to_string).collect()
}

/// What a node signed, for programs.
fn receipts(deletions: &Deletions) -> Value {
    match &deletions.receipts {
        Ok(receipts) => {
            let one = |receipt: &DeletionReceipt| {
                let what = match receipt.deleted() {
                    Deleted::Grant(id) => json!({ "grant": id.0 }),
                    Deleted::Sharing(digest) => json!({ "sharing": digest }),
                    Deleted::Asset => json!("asset"),
                };
                let bytes = alloy_primitives::hex::encode_prefixed(commonware_codec::Encode::encode(receipt));
                json!({ "deleted": what, "block": receipt.seen().number, "receipt": bytes })
            };
            json!({ "node": deletions.node.to_string(), "receipts": receipts.iter().map(one).collect::<Vec<_>>() })
        }
        Err(why) => json!({ "node": deletions.node.to_string(), "silent": why }),
    }
}

/// What becomes of data that have no key, for they lie as they are where programs run on them.
fn never_sealed(asset: B256, node: Option<B256>) -> String {
    match node {
        Some(node) => format!(
            "It has no key, and was not spread. A copy of it lies as it is in the folder of data of node {node} (stoa follow --data DIR), in \
             DIR/{asset}/files, and in that of each node that checks its jobs. They delete it as soon as no job needs it, at their next \
             start if they do not run now, and sign nothing: look whether yours has. Other copies and backups are yours to find."
        ),
        None => "It has no key, and no node keeps anything of it.".to_owned(),
    }
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
    // Asked before: whoever signs has nothing left.
    let holders = holders(online, &objects).await?;
    // First, so that nobody pays for what is not there any more if this is cut off in between.
    let closed = Seller::new(account.clone()).close(Ends::All(asset)).await?;
    data.erase(asset).await?;
    // From here on nobody opens the data any more who has not done so.
    if let Some(known) = &known {
        note::write(&erased, &Published { half: None, ..known.clone() })?;
    }
    // The half follows from these as well.
    let mut had_half = destroy_seeds(dir, asset)?;
    let file = place(dir, asset);
    // Also if it is damaged.
    if file.exists() {
        destroy(&file).wrap_err_with(|| format!("cannot destroy {}", file.display()))?;
        had_half = true;
    }
    note::remove(&promised(dir, asset))?;
    let record = Record::read(account.client(), asset, |_, _| ()).await?;
    let keepers = record.keepers.iter().map(|keeper| NodeId::from(*keeper));
    let had: BTreeSet<_> = keepers.chain(holders.iter().copied()).collect();
    let deletions = collected(data, asset, &had).await?;
    let unsigned: Vec<_> =
        deletions.iter().filter(|node| had.contains(&node.node) && !has_signed(node)).map(|node| node.node).collect();
    // Only now, for who has let go of all that he had signs nothing: a node that has not seen the end of the asset still lets go
    // of what it kept for this wallet.
    let (mut let_go, mut silent) = (0, Vec::new());
    if objects.is_empty() {
        objects.push(ObjectId(record.asset.object.0));
    }
    if known.is_none() || deletions.iter().any(|node| unsigned.contains(&node.node) && node.receipts.is_ok()) {
        for object in objects {
            for (node, answer) in online.network.let_go(object).await? {
                match answer {
                    Ok(had) => let_go += usize::from(had),
                    Err(why) => silent.push(json!({ "node": node.to_string(), "why": why.to_string() })),
                }
            }
        }
    }
    let [read, computed] = [READ, COMPUTE].map(|kind| record.users(kind).into_iter().collect::<Vec<_>>());
    let sealed = record.asset.keepers > 0;
    let node = match sealed {
        true => None,
        false => {
            Some(view(account.client(), JOBS, &offerOfCall { asset }).await?.0.node).filter(|node| !node.is_zero())
        }
    };
    let signed = deletions.iter().filter(|node| node.receipts.as_ref().is_ok_and(|all| !all.is_empty())).count();
    if json {
        let said = json!({
            "asset": asset,
            "ownHalfDestroyed": had_half || before.is_some(),
            "destroyedBefore": !had_half && before.is_some(),
            "computes": node,
            "holders": names(&holders),
            "nodes": deletions.iter().map(receipts).collect::<Vec<_>>(),
            "unsigned": names(&unsigned),
            "piecesLetGo": let_go,
            "piecesSilent": silent,
            "hadRead": read,
            "hadComputed": computed,
            "closed": closed,
        });
        println!("{said}");
        return Ok(());
    }
    println!("Erased: no grant of {asset} stands any more, and none can be made.");
    for nft in &closed {
        println!("{nft} is revoked at the market: no order is taken any more, and none stands.");
    }
    match had_half {
        _ if !sealed => println!("{}", never_sealed(asset, node)),
        true => println!(
            "Your half of its key is overwritten and removed on this machine. Copies and backups of the folder are yours to \
             find, and what the disk itself keeps of it (journals, snapshots, spare blocks of an SSD)."
        ),
        false if before.is_some() => {
            println!("Your half of its key was overwritten and removed on this machine before.")
        }
        false => println!("This machine had no half of its key: destroy it where it was published."),
    }
    // Of what was never spread nodes have nothing to sign.
    if sealed {
        println!("{signed} nodes have signed that they deleted what they had.");
        if let_go > 0 {
            println!("{let_go} pieces were let go by nodes that have signed nothing yet.");
        }
        for node in &deletions {
            match &node.receipts {
                Err(_) => println!(
                    "Node {} did not answer: what it has it may still have. Ask again with the same command.",
                    node.node
                ),
                Ok(_) if unsigned.contains(&node.node) => {
                    println!(
                        "Node {} had something of it and has not signed. Ask again with the same command.",
                        node.node
                    );
                }
                Ok(_) => {}
            }
        }
    }
    match read.is_empty() && computed.is_empty() {
        true if sealed => println!("Nobody had read it."),
        true if node.is_some() => println!("Nobody had programs run on it."),
        _ => {}
    }
    for (accounts, what) in [
        (read, "What cannot be taken back: these accounts had read it, and may have kept it:"),
        (computed, "What cannot be taken back: these accounts had programs run on it, and have what left of it:"),
    ] {
        if !accounts.is_empty() {
            println!("{what}");
            accounts.iter().for_each(|account| println!("  {account}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_data_that_programs_ran_on_it_is_said_where_they_lie_and_no_key_is_told_of() {
        let [asset, node] = [1, 2].map(B256::repeat_byte);
        let said = never_sealed(asset, Some(node));
        for part in [format!("DIR/{asset}/files"), node.to_string(), "It has no key".to_owned()] {
            assert!(said.contains(&part), "{part} is not in {said}");
        }
        assert!(!never_sealed(asset, None).contains("DIR"));
    }

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
