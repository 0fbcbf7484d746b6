//! Watching over what was promised: who still has the other pieces, and making those that are gone anew.

use super::{Member, Network, find::at_once, now};
use crate::{
    Candidate, Domain, Error, Fetch, Holder, NodeId, ObjectId, Owner, Plan, Policy, Repaired, Report, Root, Seen,
    check, place, plan, repair,
};
use futures::{FutureExt as _, StreamExt as _};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// How long a node may take to show that it has a piece.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that may be moved in one look: what is left waits for the next.
const TRAFFIC: u64 = 16 << 30;

/// How long what a repair has fetched may wait for the next try, in seconds.
const WAIT: u64 = 24 * 3600;

/// What is known of one object's other holders.
#[derive(Default)]
struct Known {
    seen: BTreeMap<(usize, NodeId), Seen>,
    /// When this node looked first, in seconds since 1970: who was silent since then is silent since then.
    since: u64,
}

/// Watches over the objects whose pieces this node has promised to keep.
pub struct Watch {
    network: Network,
    me: NodeId,
    /// Seconds that a silent node has, in place of the policy's own.
    grace: Option<u64>,
    known: Mutex<HashMap<ObjectId, Known>>,
}

/// What one look at everything has brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Objects that were looked at.
    pub objects: usize,
    /// Objects that lack more pieces than can be made anew.
    pub lost: Vec<ObjectId>,
    /// What was repaired.
    pub repaired: Vec<(ObjectId, Repaired)>,
    /// What could not be, and why.
    pub failed: Vec<(ObjectId, String)>,
    /// Nodes that said they had what they did not have.
    pub reports: Vec<Report>,
}

impl Watch {
    /// Watches for the node `me`. `grace` is how many seconds a node may be silent before its pieces count as lost; if not
    /// given, half a day.
    pub fn new(network: Network, me: NodeId, grace: Option<u64>) -> Self {
        Self { network, me, grace, known: Mutex::default() }
    }

    /// Looks at everything once: ends promises that have run out, asks the other holders for a part of their pieces, and
    /// repairs what it is this node's turn to repair, until some gibibytes were moved.
    ///
    /// # Errors
    ///
    /// If the store or the registry cannot be read.
    pub async fn look(&self) -> Result<Looked, Error> {
        let store = self.network.store();
        store.collect(now())?;
        let mut objects: HashMap<ObjectId, (Owner, u64)> = HashMap::new();
        for root in store.roots() {
            let (root, kept) = root?;
            if [Owner::LOCAL, Owner::TRANSIT].contains(&root.owner) {
                continue;
            }
            let until = kept.until.unwrap_or(u64::MAX);
            let longest = objects.entry(root.object).or_insert((root.owner, until));
            if longest.1 < until {
                *longest = (root.owner, until);
            }
        }
        self.known.lock().retain(|id, _| objects.contains_key(id));
        let mut looked = Looked { objects: objects.len(), ..Looked::default() };
        for (id, (owner, until)) in objects {
            let moved: u64 = looked.repaired.iter().map(|(_, repaired)| repaired.read + repaired.written).sum();
            if moved > TRAFFIC {
                break;
            }
            if let Err(error) = self.look_at(Root { object: id, owner }, until, &mut looked).await {
                looked.failed.push((id, error.to_string()));
            }
        }
        Ok(looked)
    }

    async fn look_at(&self, root: Root, until: u64, looked: &mut Looked) -> Result<(), Error> {
        let (id, store) = (root.object, self.network.store());
        // A promise whose bytes are still on their way.
        if !store.has(id.manifest())? {
            return Ok(());
        }
        let manifest = store.manifest(id)?;
        let Some(layout) = manifest.layout() else { return Ok(()) };
        let members = self.network.members_for(id).await?;
        let blobs = manifest.blobs();
        let ask = |member: &Member| {
            let (peer, blobs) = (self.network.peer(&member.address), blobs.clone());
            let asked = async move {
                let has = peer.has(blobs.iter().map(|(hash, _)| *hash).collect()).await;
                let mut proven = Vec::new();
                for (piece, has) in has.as_deref().unwrap_or_default().iter().enumerate() {
                    if *has {
                        proven.push((piece, check(&*peer, blobs[piece], rand::random(), PATIENCE).await));
                    }
                }
                (peer.id(), has.is_ok(), proven)
            };
            asked.boxed()
        };
        let others = members.iter().filter(|member| member.address.node() != self.me);
        let answers: Vec<_> = at_once(others.map(ask).collect()).collect().await;

        let (now, domain) = (now(), |node: NodeId| {
            let member = members.iter().find(|member| member.address.node() == node);
            member.map_or(Domain(node.to_string()), |member| member.domain.clone())
        });
        let seen: Vec<_> = {
            let mut known = self.known.lock();
            let known = known.entry(id).or_insert_with(|| Known { since: now, ..Known::default() });
            for (node, answered, proven) in answers {
                let has: Vec<_> = proven.iter().filter(|(_, proof)| proof.is_ok()).map(|(piece, _)| *piece).collect();
                for ((piece, of), holder) in &mut known.seen {
                    // It answers, and has it no longer.
                    if *of == node && answered && !has.contains(piece) && !holder.caught {
                        (holder.caught, holder.at) = (true, now);
                    }
                }
                for piece in has {
                    let holder = Seen { piece, node, domain: domain(node), at: now, caught: false };
                    known.seen.insert((piece, node), holder);
                }
                looked.reports.extend(proven.into_iter().filter_map(|(_, proof)| proof.err()));
            }
            for (piece, (hash, _)) in blobs.iter().enumerate() {
                if store.has(*hash)? {
                    let holder = Seen { piece, node: self.me, domain: domain(self.me), at: now, caught: false };
                    known.seen.insert((piece, self.me), holder);
                } else {
                    known.seen.remove(&(piece, self.me));
                }
                // Who has it may only be silent for now.
                if !known.seen.keys().any(|(seen, _)| *seen == piece) {
                    let nobody = NodeId([0; 32]);
                    let holder = Seen { piece, node: nobody, domain: domain(nobody), at: known.since, caught: false };
                    known.seen.insert((piece, nobody), holder);
                }
            }
            known.seen.values().cloned().collect()
        };

        let mut policy = Policy::new(layout.code());
        if let Some(grace) = self.grace {
            (policy.grace, policy.turn) = (grace, grace.min(policy.turn));
        }
        match plan(id, &manifest, &seen, self.me, &policy, now) {
            Plan::Fine { .. } | Plan::Wait { .. } => Ok(()),
            Plan::Lost { .. } => {
                looked.lost.push(id);
                Ok(())
            }
            Plan::Repair { pieces, .. } => {
                let alive: Vec<_> =
                    seen.iter().filter(|holder| !holder.caught && now - holder.at < policy.grace).collect();
                let holders: Vec<_> = alive.iter().map(|holder| (holder.node, holder.domain.clone())).collect();
                let candidates = self.network.candidates(id).await?;
                let able: Vec<Candidate> = candidates.iter().map(|(_, candidate)| candidate.clone()).collect();
                let fits = |candidate: &&Candidate| {
                    candidate.free >= layout.piece() && !holders.iter().any(|(node, _)| *node == candidate.node)
                };
                let room = able.iter().filter(fits).count();
                if room == 0 {
                    return Err(Error::NoRoom(id));
                }
                let pieces = &pieces[..pieces.len().min(room)];
                let placed = place(id, layout.code(), layout.piece(), pieces, &able, &holders)?;
                let peer = |node: NodeId| {
                    let member = members.iter().find(|member| member.address.node() == node);
                    member.map(|member| self.network.peer(&member.address))
                };
                let holder = |(piece, node): (usize, NodeId)| peer(node).map(|peer| Holder { piece, peer });
                let to: Vec<_> = placed.nodes.into_iter().filter_map(holder).collect();
                let from = alive.iter().filter(|holder| holder.node != self.me);
                let from: Vec<_> = from.filter_map(|seen| holder((seen.piece, seen.node))).collect();
                let done = repair(store, (root, Some(until)), &from, &to, Fetch::until(now + WAIT), &policy).await?;
                looked.repaired.push((id, done));
                Ok(())
            }
        }
    }
}
