//! Watching over what was promised: who still has the other pieces, and making those that are gone anew.
//!
//! Others may want this to take for ever. A node that takes long for each answer is not asked again in the same look; a look at very
//! many objects ends after a while, and the next one goes on behind it; and whoever has his own reason to keep an object has no say in
//! whether it is made anew for others. Who takes a piece and does not keep it is not given another of the same object for a week. An object
//! that cannot be made anew, since whoever made it had others keep pieces that do not belong together, is let go of; where only some of
//! what it says of its pieces is wrong, it is kept without those.

use super::{
    Member, Network,
    find::{at_once, domain_of},
    now,
    silent::Silent,
};
use crate::{
    BlobHash, Candidate, Denied, Error, Fault, Fetch, Holder, Layout, Manifest, NodeId, ObjectId, Owner, Peer, Plan,
    Policy, Repaired, Report, Seen, check, place, plan, repair, transit,
};
use futures::{FutureExt as _, StreamExt as _};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

/// How long a node may take to show that it has a piece.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a node may take for an answer without anybody noticing, and for how long more than that, all of them together, it may keep
/// one look waiting.
const PROMPT: Duration = Duration::from_secs(1);
const WAITED: Duration = Duration::from_secs(60);

/// How long a look may take: what is left is looked at in the next.
const LONGEST: Duration = Duration::from_secs(3600);

/// Owners of one object for whom its pieces are made anew, if nodes refuse to keep them for the others.
const OWNERS: usize = 8;

/// Reports of one look: who lies about everything is known by then.
const MOST_REPORTS: usize = 1000;

/// Bytes that repairs may move in one look: what is left waits for the next. A repair that is larger is made in a look of its own.
const TRAFFIC: u64 = 16 << 30;

/// How long what a repair has fetched may wait for the next try, in seconds.
const WAIT: u64 = 24 * 3600;

/// For how many seconds at most a node is left out that did not take a piece: it may have room, or be there, later.
const PAUSE: u64 = 3600;

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
    pub(super) longest: Duration,
    known: Mutex<HashMap<ObjectId, Holders>>,
    asked: Mutex<Asked>,
    silent: Mutex<Silent<33>>,
    /// Where the next look begins.
    next: Mutex<Option<ObjectId>>,
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
    /// Objects that were let go of but for this node's own sake: their pieces, each what the manifest says, do not belong together.
    pub let_go: Vec<ObjectId>,
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
    /// For how long more than is prompt nodes have kept this one waiting.
    waited: HashMap<NodeId, Duration>,
    /// Bytes that repairs have moved, or may have.
    moved: u64,
}

impl Memory {
    /// Notes how long a node took for so many answers.
    fn took(&mut self, node: NodeId, time: Duration, answers: usize) {
        let waited = self.waited.entry(node).or_default();
        *waited += time.saturating_sub(PROMPT * answers as u32);
        if *waited > WAITED {
            self.gone.insert(node);
        }
    }
}

/// Who was asked to keep a piece of which object, and until when, in seconds since 1970, he is not asked again: that he took one, and has
/// none, is no reason to give him another.
#[derive(Default)]
struct Asked(HashMap<ObjectId, HashMap<NodeId, u64>>);

impl Asked {
    /// Notes who was asked, and what came of it.
    fn note(&mut self, id: ObjectId, done: &Repaired, policy: &Policy, now: u64) {
        let asked = self.0.entry(id).or_default();
        asked.extend(done.kept.iter().map(|(_, node)| (*node, now.saturating_add(policy.given_up))));
        for (_, node, why) in &done.failed {
            let seconds = match why {
                // He said that he had it.
                Denied::NotHere => policy.given_up,
                Denied::Refused(_) | Denied::Gone(_) => policy.grace.min(PAUSE),
            };
            asked.insert(*node, now.saturating_add(seconds));
        }
    }

    /// Whether a node is not to be asked for now.
    fn waits(&self, id: ObjectId, node: NodeId, now: u64) -> bool {
        self.0.get(&id).and_then(|asked| asked.get(&node)).is_some_and(|until| now < *until)
    }

    /// Forgets what is over, and all other objects.
    fn retain(&mut self, now: u64, is_kept: impl Fn(&ObjectId) -> bool) {
        self.0.retain(|id, asked| {
            asked.retain(|_, until| now < *until);
            is_kept(id) && !asked.is_empty()
        });
    }
}

/// An object that is looked at.
struct Object {
    id: ObjectId,
    /// For whom it is kept here, and until when, those who want it for longest first.
    terms: Vec<(Owner, Option<u64>)>,
    manifest: Manifest,
    layout: Layout,
    blobs: Vec<(BlobHash, u64)>,
    policy: Policy,
    /// When this look at it began, in seconds since 1970.
    begun: u64,
}

/// What is known of those who have, or had, pieces of one object.
type Holders = BTreeMap<(usize, NodeId), Seen>;

/// Which pieces a node has shown or could not show.
type Shown = Vec<(usize, Result<(), Report>)>;

/// A node that has answered, and what it has shown.
type Answered = (NodeId, Shown);

/// Pieces that it is this node's turn to make, and the holders of the others.
type Turn = (Vec<usize>, Vec<Seen>);

impl Looked {
    fn report(&mut self, reports: impl IntoIterator<Item = Report>) {
        for report in reports {
            if self.reports.len() < MOST_REPORTS && !self.reports.contains(&report) {
                self.reports.push(report);
            }
        }
    }
}

/// What is silent where nobody shows a piece.
fn name(id: ObjectId, piece: usize) -> [u8; 33] {
    let mut name = [piece as u8; 33];
    name[..32].copy_from_slice(&id.0);
    name
}

/// Whom to ask to keep so many pieces: who was caught without his is asked only where there are too few others. He may have lost his disk.
fn without_caught(mut able: Vec<Candidate>, pieces: usize, caught: &HashSet<NodeId>) -> Vec<Candidate> {
    if able.iter().filter(|candidate| !caught.contains(&candidate.node)).count() >= pieces {
        able.retain(|candidate| !caught.contains(&candidate.node));
    }
    able
}

/// Which pieces a node shows of those that it says it has. If it does not answer, or takes too long for one of them, it may have all of
/// them still: what is to be told of it, if anything is.
async fn shown(peer: &dyn Peer, blobs: &[(BlobHash, u64)]) -> Result<Shown, Option<Report>> {
    let has = peer.has(blobs.iter().map(|(hash, _)| *hash).collect()).await.map_err(|_| None::<Report>)?;
    let mut shown = Vec::new();
    for (piece, _) in has.into_iter().enumerate().filter(|(_, has)| *has) {
        match check(peer, blobs[piece], rand::random(), PATIENCE).await {
            Err(report) if matches!(report.fault, Fault::Slow(_) | Fault::Failed(Denied::Gone(_))) => {
                return Err(Some(report));
            }
            proof => shown.push((piece, proof)),
        }
    }
    Ok(shown)
}

impl Watch {
    /// Watches for the node `me`. `grace` is how many seconds a node may be silent before its pieces count as lost; if not
    /// given, half a day. Those of a node that is silent for a week are made anew although enough others are left.
    pub fn new(network: Network, me: NodeId, grace: Option<u64>) -> Self {
        let silent = Mutex::new(Silent::open(network.store().place().join("silent")));
        let (traffic, least_turn, longest) = (TRAFFIC, LEAST_TURN, LONGEST);
        let (known, asked, next) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { network, me, grace, given_up: None, traffic, least_turn, longest, known, asked, silent, next }
    }

    /// Looks at everything once: ends promises that have run out, asks the other holders for a part of their pieces, and
    /// repairs what it is this node's turn to repair, until 16 GiB were moved or an hour has passed. What is left waits for the
    /// next look. An object whose repair moves more than that is repaired as the first of a look, and nothing else in it.
    ///
    /// # Errors
    ///
    /// If the store or the registry cannot be read.
    pub async fn look(&self) -> Result<Looked, Error> {
        let store = self.network.store();
        store.collect(now())?;
        let mut objects: BTreeMap<ObjectId, Vec<(u64, Owner)>> = BTreeMap::new();
        for root in store.roots() {
            let (root, kept) = root?;
            if [Owner::LOCAL, Owner::TRANSIT].contains(&root.owner) {
                continue;
            }
            let owners = objects.entry(root.object).or_default();
            owners.push((kept.until.unwrap_or(u64::MAX), root.owner));
            owners.sort_unstable_by(|one, other| other.cmp(one));
            owners.truncate(OWNERS);
        }
        self.known.lock().retain(|id, _| objects.contains_key(id));
        self.asked.lock().retain(now(), |id| objects.contains_key(id));
        store.pass_over_only(|id| objects.contains_key(id));
        let is_kept = |name: &[u8; 33]| name.first_chunk().is_some_and(|id| objects.contains_key(&ObjectId(*id)));
        self.silent.lock().retain(is_kept);
        let (mut looked, mut memory) = (Looked::default(), Memory::default());
        let (begun, mut saved) = (Instant::now(), Instant::now());
        let first = self.next.lock().take().unwrap_or(ObjectId([0; 32]));
        let order: Vec<_> = objects.range(first..).chain(objects.range(..first)).map(|(id, _)| *id).collect();
        for (at, id) in order.iter().enumerate() {
            looked.objects += 1;
            if let Err(error) = self.look_at(*id, &objects[id], &mut memory, &mut looked).await {
                looked.failed.push((*id, error.to_string()));
            }
            if saved.elapsed() > SAVE {
                self.silent.lock().save();
                saved = Instant::now();
            }
            if begun.elapsed() >= self.longest
                && let Some(next) = order.get(at + 1)
            {
                *self.next.lock() = Some(*next);
                break;
            }
        }
        self.silent.lock().save();
        Ok(looked)
    }

    async fn look_at(
        &self,
        id: ObjectId,
        owners: &[(u64, Owner)],
        memory: &mut Memory,
        looked: &mut Looked,
    ) -> Result<(), Error> {
        let store = self.network.store();
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
        let terms = owners.iter().map(|(until, owner)| (*owner, Some(*until))).collect();
        let object = Object { id, terms, blobs: manifest.blobs(), manifest, layout, policy, begun: now() };
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
                let begun = Instant::now();
                let shown = shown(&*peer, &blobs).await;
                (peer.id(), begun.elapsed(), shown)
            };
            asked.boxed()
        };
        let asked = members.iter().filter(|member| !memory.gone.contains(&member.address.node()));
        let mut answers = at_once(asked.map(ask).collect());
        let mut answered = Vec::new();
        while let Some((node, time, shown)) = answers.next().await {
            match shown {
                Ok(shown) => {
                    memory.took(node, time, 1 + shown.len());
                    answered.push((node, shown));
                }
                Err(report) => {
                    memory.gone.insert(node);
                    looked.report(report);
                }
            }
        }
        let (now, id, grace) = (now(), object.id, object.policy.grace);
        let mut seen = self.note(object, members, answered, now, looked)?;
        let wrong = self.network.store().wrong(id);
        seen.retain(|holder| !wrong.contains(&holder.piece));
        match plan(id, &object.manifest, &seen, self.me, &object.policy, object.begun) {
            Plan::Fine { .. } => {}
            Plan::Wait { until } => looked.again = Some(looked.again.map_or(until, |again| again.min(until))),
            Plan::Lost { .. } => looked.lost.push(id),
            Plan::Repair { mut pieces, .. } => {
                pieces.retain(|piece| !wrong.contains(piece));
                if pieces.is_empty() {
                    return Ok(None);
                }
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
        let (id, store) = (object.id, self.network.store());
        let (mut known, mut silent) = (self.known.lock(), self.silent.lock());
        silent.listen(now);
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
        for (piece, blob) in object.blobs.iter().enumerate() {
            // What it has made for others is theirs, and goes if none of them takes it.
            if store.keeps(*blob)? {
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
                silent.heard(&name(id, piece));
                continue;
            }
            let last = holders().map(|holder| holder.at).max();
            let at = silent.unheard(name(id, piece), last.unwrap_or(now));
            // Who has it may only be silent for now.
            if last.is_none() {
                seen.push(Seen { piece, node: NOBODY, domain: domain_of(members, NOBODY), at, caught: false });
            }
        }
        Ok(seen)
    }

    /// Those who may be asked to keep so many pieces of an object: they have room, have none of it, and have not been asked lately.
    fn fit(&self, object: &Object, pieces: usize, alive: &[Seen], able: &[Candidate]) -> Vec<Candidate> {
        let (now, asked, id) = (now(), self.asked.lock(), object.id);
        let fits = |candidate: &&Candidate| {
            candidate.free >= object.layout.piece()
                && !alive.iter().any(|holder| holder.node == candidate.node)
                && !asked.waits(id, candidate.node, now)
        };
        let lately = |holder: &&Seen| holder.caught && now.saturating_sub(holder.at) < object.policy.given_up;
        let known = self.known.lock();
        let caught = known.get(&id).into_iter().flat_map(|holders| holders.values().filter(lately));
        let caught = caught.map(|holder| holder.node).collect();
        without_caught(able.iter().filter(fits).cloned().collect(), pieces, &caught)
    }

    /// Lets go of an object that nobody can make anew, but for what this node keeps for itself.
    fn let_go(&self, id: ObjectId) -> Result<(), Error> {
        let store = self.network.store();
        for root in store.holders(id.manifest()).collect::<Result<Vec<_>, _>>()? {
            if root.object == id && root.owner != Owner::LOCAL {
                store.release(root)?;
            }
        }
        // What was fetched to repair it as well.
        store.release(transit(id))?;
        Ok(())
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
        let Object { id, ref terms, layout, mut policy, .. } = *object;
        let piece_len = layout.piece();
        let holders: Vec<_> = alive.iter().map(|holder| (holder.node, holder.domain.clone())).collect();
        let able = self.fit(object, pieces.len(), &alive, able);
        if able.is_empty() {
            // In a network of as many nodes as there are pieces nobody can take the place of one that is gone.
            let enough = policy.is_enough(layout.code(), layout.code().pieces() - pieces.len());
            return if enough { Ok(()) } else { Err(Error::NoRoom(id)) };
        }
        let pieces = &pieces[..pieces.len().min(able.len())];
        let placed = place(id, layout.code(), piece_len, pieces, &able, &holders)?;
        let holder = |(piece, node): (usize, NodeId)| {
            let member = members.iter().find(|member| member.address.node() == node)?;
            Some(Holder { piece, peer: self.network.peer(&member.address) })
        };
        let to: Vec<_> = placed.nodes.into_iter().filter_map(holder).collect();
        let from = alive.iter().filter(|holder| holder.node != self.me);
        let from: Vec<_> = from.filter_map(|seen| holder((seen.piece, seen.node))).collect();
        policy.traffic = if memory.moved == 0 { u64::MAX } else { self.traffic.saturating_sub(memory.moved) };
        let (asked, mut done) = (Fetch::until(now() + WAIT), Repaired::default());
        let outcome = repair(self.network.store(), (id, &terms[..]), &from, &to, asked, &policy, &mut done).await;
        self.asked.lock().note(id, &done, &policy, now());
        let gone = done.failed.iter().filter(|(_, _, why)| matches!(why, Denied::Gone(_))).map(|(_, node, _)| *node);
        let gone: Vec<_> = gone.collect();
        // Who went away while it took its piece may have had all of it.
        memory.moved += done.read + done.written + gone.len() as u64 * piece_len;
        // It may have kept this look waiting for long.
        memory.gone.extend(gone);
        looked.read += done.read;
        looked.written += done.written;
        looked.report(done.reports.iter().cloned());
        match outcome {
            Ok(()) => looked.repaired.push((id, done)),
            Err(Error::TooMuchTraffic { .. }) => looked.postponed += 1,
            // Its manifest is a lie, which would be found out again and again at the cost of as many pieces.
            Err(Error::Inconsistent(_)) => {
                self.let_go(id)?;
                looked.let_go.push(id);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Answer;
    use futures::future::BoxFuture;
    use std::ops::Range;
    use tokio::io::{DuplexStream, duplex};

    /// Says that it has everything, and never shows it.
    #[derive(Default)]
    struct Stalls(Mutex<Vec<DuplexStream>>);

    impl Peer for Stalls {
        fn id(&self) -> NodeId {
            NodeId([1; 32])
        }

        fn manifest(&self, _: ObjectId) -> BoxFuture<'_, Result<Answer, Denied>> {
            async { Err(Denied::NotHere) }.boxed()
        }

        fn get(&self, _: BlobHash, _: Range<u64>) -> BoxFuture<'_, Result<Answer, Denied>> {
            async {
                let (ours, theirs) = duplex(1);
                self.0.lock().push(ours);
                Ok(Box::new(theirs) as Answer)
            }
            .boxed()
        }

        fn has(&self, blobs: Vec<BlobHash>) -> BoxFuture<'_, Result<Vec<bool>, Denied>> {
            async move { Ok(vec![true; blobs.len()]) }.boxed()
        }

        fn keep(&self, _: crate::Root, _: Option<u64>, _: Vec<(BlobHash, u64)>) -> BoxFuture<'_, Result<(), Denied>> {
            async { Err(Denied::NotHere) }.boxed()
        }
    }

    #[test]
    fn who_takes_too_long_for_one_piece_is_not_asked_for_the_others() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let peer = Stalls::default();
            let report = shown(&peer, &[(BlobHash([1; 32]), 100); 255]).await.unwrap_err().unwrap();
            assert_eq!((report.fault, peer.0.lock().len()), (Fault::Slow(PATIENCE), 1));
        });
    }

    #[test]
    fn who_takes_long_for_each_answer_is_not_asked_again_in_a_look_and_who_has_much_to_answer_is() {
        let (mut memory, slow, busy) = (Memory::default(), NodeId([1; 32]), NodeId([2; 32]));
        for _ in 0..6 {
            memory.took(slow, PATIENCE, 1);
            memory.took(busy, PATIENCE, 11);
            assert!(memory.gone.is_empty());
        }
        for _ in 0..1000 {
            memory.took(slow, PATIENCE, 1);
            memory.took(busy, PATIENCE, 11);
        }
        assert_eq!(memory.gone, HashSet::from([slow]));
    }

    #[test]
    fn who_was_asked_to_keep_a_piece_is_left_out_for_as_long_as_what_came_of_it_says() {
        let (id, other, node) = (ObjectId([1; 32]), ObjectId([2; 32]), |number: u8| NodeId([number; 32]));
        let policy = Policy::new(crate::Code::default());
        let mut asked = Asked::default();
        let failed = vec![
            (1, node(1), Denied::NotHere),
            (2, node(2), Denied::Refused("it is full".into())),
            (3, node(3), Denied::Gone("no route".into())),
        ];
        asked.note(id, &Repaired { kept: vec![(0, node(0))], failed, ..Repaired::default() }, &policy, 100);
        let left_out = |asked: &Asked, now: u64| [0, 1, 2, 3, 4].map(|number| asked.waits(id, node(number), now));
        assert_eq!(left_out(&asked, 100 + PAUSE - 1), [true, true, true, true, false]);
        assert!(!asked.waits(other, node(1), 100));
        let week = 100 + policy.given_up;
        for now in [100 + PAUSE, week - 1] {
            assert_eq!(left_out(&asked, now), [true, true, false, false, false]);
            asked.retain(now, |kept| *kept == id);
            assert_eq!(asked.0[&id].len(), 2, "what is over is forgotten");
        }
        assert_eq!(left_out(&asked, week), [false; 5]);
        asked.retain(week, |_| true);
        assert!(asked.0.is_empty());
        asked.note(id, &Repaired { kept: vec![(0, node(0))], ..Repaired::default() }, &policy, week);
        asked.retain(week, |kept| *kept == other);
        assert!(asked.0.is_empty(), "it is kept no longer");
    }

    #[test]
    fn who_was_caught_without_a_piece_gets_one_only_where_there_are_too_few_others() {
        let able = |nodes: &[u8]| -> Vec<_> {
            let domain = || crate::Domain("one".into());
            nodes.iter().map(|node| Candidate { node: NodeId([*node; 32]), free: 1, domain: domain() }).collect()
        };
        let caught = HashSet::from([NodeId([1; 32]), NodeId([2; 32])]);
        let cases: [(&[u8], usize, &[u8]); 4] = [
            (&[1, 3, 2, 4], 2, &[3, 4]),
            (&[1, 3, 2, 4], 3, &[1, 3, 2, 4]),
            (&[1, 2], 1, &[1, 2]),
            (&[3, 4], 9, &[3, 4]),
        ];
        for (nodes, pieces, left) in cases {
            assert_eq!(without_caught(able(nodes), pieces, &caught), able(left));
        }
    }

    #[test]
    fn reports_of_one_look_are_bounded() {
        let mut looked = Looked::default();
        let report = |number: u64| {
            let blob = BlobHash(*blake3::hash(&number.to_be_bytes()).as_bytes());
            Report { node: NodeId([1; 32]), blob, fault: Fault::Wrong("other bytes".into()) }
        };
        looked.report((0..10).chain(0..10).map(report));
        assert_eq!(looked.reports.len(), 10);
        looked.report((0..5_000).map(report));
        assert_eq!(looked.reports.len(), MOST_REPORTS);
    }
}
