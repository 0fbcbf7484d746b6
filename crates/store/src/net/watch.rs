//! Watching over what was promised: who still has the other pieces, and making those that are gone anew.

use super::{
    Member, Network,
    find::{at_once, domain_of},
    now,
    silent::Silent,
};
use crate::{
    BlobHash, Candidate, Denied, Error, Fetch, Holder, Layout, Manifest, NodeId, ObjectId, Owner, Plan, Policy,
    Repaired, Report, Root, Seen, check, place, plan, repair,
};
use futures::{FutureExt as _, StreamExt as _};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

/// How long a node may take to show that it has a piece.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that repairs may move in one look: what is left waits for the next. A repair that is larger is made in a look of its own.
const TRAFFIC: u64 = 16 << 30;

/// How long what a repair has fetched may wait for the next try, in seconds.
const WAIT: u64 = 24 * 3600;

/// Seconds of a round at least, however short the grace: a repair has to be over before the next one begins.
const LEAST_TURN: u64 = 20;

/// How often it is written down meanwhile who is silent, in a look that takes long.
const SAVE: Duration = Duration::from_secs(60);

/// Stands for whoever had a piece that was never shown to this node.
const NOBODY: NodeId = NodeId([0; 32]);

/// Watches over the objects whose pieces this node has promised to keep.
pub struct Watch {
    network: Network,
    me: NodeId,
    /// Seconds that a silent node has, in place of the policy's own.
    grace: Option<u64>,
    /// Seconds after which its pieces are made anew, however many others are left, in place of the policy's own.
    pub(super) given_up: Option<u64>,
    pub(super) traffic: u64,
    pub(super) least_turn: u64,
    known: Mutex<HashMap<ObjectId, Holders>>,
    silent: Mutex<Silent>,
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
    /// Repairs that wait for the next look, because this one has moved enough.
    pub postponed: usize,
    /// Bytes that repairs have fetched, those that failed as well.
    pub read: u64,
    /// Bytes that repairs have handed over, those that failed as well.
    pub written: u64,
    /// What nodes did wrong: they had not what they said they had, or gave something else to a repair.
    pub reports: Vec<Report>,
    /// When it may be this node's turn to repair what is another's now, in seconds since 1970.
    pub again: Option<u64>,
}

/// What is remembered until a look ends.
#[derive(Default)]
struct Memory {
    /// Who did not answer: not asked again, for each time would take as long.
    gone: HashSet<NodeId>,
    /// Bytes that repairs have moved, or may have.
    moved: u64,
}

/// An object that is looked at.
struct Object {
    root: Root,
    until: u64,
    manifest: Manifest,
    layout: Layout,
    blobs: Vec<(BlobHash, u64)>,
    policy: Policy,
    /// When this look at it began, in seconds since 1970.
    begun: u64,
}

/// What is known of those who have, or had, pieces of one object.
type Holders = BTreeMap<(usize, NodeId), Seen>;

/// A node that has answered, and which pieces it has shown or could not show.
type Answered = (NodeId, Vec<(usize, Result<(), Report>)>);

/// Pieces that it is this node's turn to make, and the holders of the others.
type Turn = (Vec<usize>, Vec<Seen>);

impl Looked {
    fn report(&mut self, reports: impl IntoIterator<Item = Report>) {
        for report in reports {
            if !self.reports.contains(&report) {
                self.reports.push(report);
            }
        }
    }
}

impl Watch {
    /// Watches for the node `me`. `grace` is how many seconds a node may be silent before its pieces count as lost; if not
    /// given, half a day. Those of a node that is silent for a week are made anew although enough others are left.
    pub fn new(network: Network, me: NodeId, grace: Option<u64>) -> Self {
        let silent = Mutex::new(Silent::open(network.store().place().join("silent")));
        let (traffic, least_turn, known) = (TRAFFIC, LEAST_TURN, Mutex::default());
        Self { network, me, grace, given_up: None, traffic, least_turn, known, silent }
    }

    /// Looks at everything once: ends promises that have run out, asks the other holders for a part of their pieces, and
    /// repairs what it is this node's turn to repair, until 16 GiB were moved. What is left waits for the next look. An object
    /// whose repair moves more than that is repaired as the first of a look, and nothing else in it.
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
        self.silent.lock().retain(|id| objects.contains_key(id));
        let (mut looked, mut memory) = (Looked { objects: objects.len(), ..Looked::default() }, Memory::default());
        let mut saved = Instant::now();
        for (id, (owner, until)) in objects {
            if let Err(error) = self.look_at(Root { object: id, owner }, until, &mut memory, &mut looked).await {
                looked.failed.push((id, error.to_string()));
            }
            if saved.elapsed() > SAVE {
                self.silent.lock().save();
                saved = Instant::now();
            }
        }
        self.silent.lock().save();
        Ok(looked)
    }

    async fn look_at(&self, root: Root, until: u64, memory: &mut Memory, looked: &mut Looked) -> Result<(), Error> {
        let (id, store) = (root.object, self.network.store());
        // A promise whose bytes are still on their way.
        if !store.has(id.manifest())? {
            return Ok(());
        }
        let manifest = store.manifest(id)?;
        let Some(layout) = manifest.layout() else { return Ok(()) };
        let mut policy = Policy::new(layout.code());
        if let Some(grace) = self.grace {
            (policy.grace, policy.turn) = (grace, grace.clamp(self.least_turn, policy.turn));
        }
        policy.given_up = self.given_up.unwrap_or(policy.given_up);
        // Whose turn it is goes by when this look began: nodes that are gone are waited for, and must not take it away.
        let object = Object { root, until, blobs: manifest.blobs(), manifest, layout, policy, begun: now() };
        let mut members = self.network.members_for(id).await?;
        members.retain(|member| member.address.node() != self.me);
        if self.see(&object, &members, memory, looked).await?.is_none() {
            return Ok(());
        }
        if memory.moved >= self.traffic {
            looked.postponed += 1;
            return Ok(());
        }
        members.retain(|member| !memory.gone.contains(&member.address.node()));
        let able = self.network.candidates(members.clone()).await;
        let able: Vec<_> = able.into_iter().map(|(_, candidate)| candidate).collect();
        // Somebody else may have made them meanwhile.
        match self.see(&object, &members, memory, looked).await? {
            Some(turn) => self.repair(&object, turn, &members, &able, memory, looked).await,
            None => Ok(()),
        }
    }

    /// Asks nodes for what they have of an object. What is to be made anew, if that is for this node to do.
    async fn see(
        &self,
        object: &Object,
        members: &[Member],
        memory: &mut Memory,
        looked: &mut Looked,
    ) -> Result<Option<Turn>, Error> {
        let ask = |member: &Member| {
            let (peer, blobs) = (self.network.peer(&member.address), object.blobs.clone());
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
        let asked = members.iter().filter(|member| !memory.gone.contains(&member.address.node()));
        let mut answers = at_once(asked.map(ask).collect());
        let mut answered = Vec::new();
        while let Some((node, came, proven)) = answers.next().await {
            match came {
                true => answered.push((node, proven)),
                false => drop(memory.gone.insert(node)),
            }
        }
        let (now, id, grace) = (now(), object.root.object, object.policy.grace);
        let mut seen = self.note(object, members, answered, now, looked)?;
        match plan(id, &object.manifest, &seen, self.me, &object.policy, object.begun) {
            Plan::Fine { .. } => {}
            Plan::Wait { until } => looked.again = Some(looked.again.map_or(until, |again| again.min(until))),
            Plan::Lost { .. } => looked.lost.push(id),
            Plan::Repair { pieces, .. } => {
                seen.retain(|holder| !holder.caught && now.saturating_sub(holder.at) < grace);
                return Ok(Some((pieces, seen)));
            }
        }
        Ok(None)
    }

    /// Remembers what nodes have shown. What is known of all holders now.
    fn note(
        &self,
        object: &Object,
        members: &[Member],
        answered: Vec<Answered>,
        now: u64,
        looked: &mut Looked,
    ) -> Result<Vec<Seen>, Error> {
        let (id, store) = (object.root.object, self.network.store());
        let (mut known, mut silent) = (self.known.lock(), self.silent.lock());
        let known = known.entry(id).or_default();
        let shown =
            |piece: usize, node: NodeId| Seen { piece, node, domain: domain_of(members, node), at: now, caught: false };
        for (node, proven) in answered {
            let has: Vec<_> = proven.iter().filter(|(_, proof)| proof.is_ok()).map(|(piece, _)| *piece).collect();
            for ((piece, of), holder) in known.iter_mut() {
                // It answers, and has it no longer.
                if *of == node && !has.contains(piece) && !holder.caught {
                    (holder.caught, holder.at) = (true, now);
                }
            }
            known.extend(has.into_iter().map(|piece| ((piece, node), shown(piece, node))));
            looked.report(proven.into_iter().filter_map(|(_, proof)| proof.err()));
        }
        for (piece, (hash, _)) in object.blobs.iter().enumerate() {
            if store.has(*hash)? {
                known.insert((piece, self.me), shown(piece, self.me));
            } else {
                known.remove(&(piece, self.me));
            }
        }
        let known = &*known;
        let mut seen: Vec<_> = known.values().cloned().collect();
        for piece in 0..object.blobs.len() {
            let holders = || known.values().filter(move |holder| holder.piece == piece);
            if holders().any(|holder| holder.at == now && !holder.caught) {
                silent.shown(id, piece);
                continue;
            }
            let last = holders().map(|holder| holder.at).max();
            let at = silent.since(id, piece, last.unwrap_or(now), now);
            // Who has it may only be silent for now.
            if last.is_none() {
                seen.push(Seen { piece, node: NOBODY, domain: domain_of(members, NOBODY), at, caught: false });
            }
        }
        Ok(seen)
    }

    /// Makes pieces anew, for nodes that have room for them.
    async fn repair(
        &self,
        object: &Object,
        (pieces, alive): Turn,
        members: &[Member],
        able: &[Candidate],
        memory: &mut Memory,
        looked: &mut Looked,
    ) -> Result<(), Error> {
        let Object { root, until, layout, mut policy, .. } = *object;
        let (id, piece_len) = (root.object, layout.piece());
        let holders: Vec<_> = alive.iter().map(|holder| (holder.node, holder.domain.clone())).collect();
        let fits = |candidate: &&Candidate| {
            candidate.free >= piece_len && !holders.iter().any(|(node, _)| *node == candidate.node)
        };
        let room = able.iter().filter(fits).count();
        if room == 0 {
            // In a network of as many nodes as there are pieces nobody can take the place of one that is gone.
            let enough = policy.is_enough(layout.code(), layout.code().pieces() - pieces.len());
            return if enough { Ok(()) } else { Err(Error::NoRoom(id)) };
        }
        let pieces = &pieces[..pieces.len().min(room)];
        let placed = place(id, layout.code(), piece_len, pieces, able, &holders)?;
        let holder = |(piece, node): (usize, NodeId)| {
            let member = members.iter().find(|member| member.address.node() == node)?;
            Some(Holder { piece, peer: self.network.peer(&member.address) })
        };
        let to: Vec<_> = placed.nodes.into_iter().filter_map(holder).collect();
        let from = alive.iter().filter(|holder| holder.node != self.me);
        let from: Vec<_> = from.filter_map(|seen| holder((seen.piece, seen.node))).collect();
        policy.traffic = if memory.moved == 0 { u64::MAX } else { self.traffic.saturating_sub(memory.moved) };
        let (terms, asked, mut done) = ((root, Some(until)), Fetch::until(now() + WAIT), Repaired::default());
        let outcome = repair(self.network.store(), terms, &from, &to, asked, &policy, &mut done).await;
        // Who went away while it took its piece may have had all of it.
        let gone = done.failed.iter().filter(|(_, _, why)| matches!(why, Denied::Gone(_))).count() as u64;
        memory.moved += done.read + done.written + gone * piece_len;
        looked.read += done.read;
        looked.written += done.written;
        looked.report(done.reports.iter().cloned());
        match outcome {
            Ok(()) => looked.repaired.push((id, done)),
            Err(Error::TooMuchTraffic { .. }) => looked.postponed += 1,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
