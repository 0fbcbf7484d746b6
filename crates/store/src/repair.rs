//! Pieces that are gone, made anew by whoever holds others.
//!
//! Every holder of a piece has the manifest, and with it the hashes of all pieces. He watches the others by asking them for a
//! part of theirs ([`check`](crate::check)). When too few are left he fetches k pieces, **once, however many are missing**,
//! makes the missing ones, and hands them to new nodes. The owner need not be there and no key is needed: what is rebuilt are
//! pieces of what was sealed.
//!
//! *When* is lazy: a node that is silent for an hour comes back more often than not, and reading k pieces to replace one is the
//! price of the code. So a silent node counts as lost only after [`Policy::grace`], and repair begins when fewer than
//! [`Policy::floor`] pieces above k are left, or when one that is missing was shown by nobody for [`Policy::given_up`]: who comes
//! back after that is rare, and without it pieces of nodes that are gone for good would never be replaced. All that are missing
//! are made then, for it is the reading that costs.
//!
//! *Who* is decided without a word. Time is cut into rounds, by everybody's clock, and in each round one of those who have shown
//! a piece lately is drawn by a hash that all of them compute: he makes all that is missing, the others wait for the next round,
//! when another one is drawn. A repair begins in the first two thirds of a round, so that it is over when the next one begins;
//! where it takes longer, or clocks differ by more than that, two make the same pieces, which costs traffic and nothing else.

use crate::{
    Code, Denied, Domain, Error, Fetch, Fetched, Holder, Manifest, NodeId, ObjectId, Owner, Report, Root, Store,
    fetch::{blocking, fetch_into, transit},
    spread,
};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};

/// When to repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Seconds after which a silent node counts as lost.
    pub grace: u64,
    /// Seconds after which the piece of a silent node is made anew, however many others are left.
    pub given_up: u64,
    /// Repair when fewer than this many pieces above k are left.
    pub floor: usize,
    /// Seconds of a round.
    pub turn: u64,
    /// Bytes that one repair may move.
    pub traffic: u64,
}

impl Policy {
    /// For a code: half a day's grace, and repair when half of the spare pieces are gone, or one of them for a week.
    pub fn new(code: Code) -> Self {
        let (grace, given_up) = (12 * 3600, 7 * 24 * 3600);
        Self { grace, given_up, floor: code.spare().div_ceil(2), turn: 600, traffic: u64::MAX }
    }

    /// Whether so many pieces are enough for as long as those who had the others may come back.
    pub(crate) fn is_enough(&self, code: Code, left: usize) -> bool {
        left >= code.needed() + self.floor.min(code.spare())
    }
}

/// What is known of one holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Number of its piece.
    pub piece: usize,
    /// Which node.
    pub node: NodeId,
    /// What it fails together with.
    pub domain: Domain,
    /// When it last proved that it has it, in seconds since 1970.
    pub at: u64,
    /// Whether it was caught without it, or with a wrong one, since then.
    pub caught: bool,
}

/// What to do about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: enough pieces are there.
    Fine {
        /// Pieces that are there.
        left: usize,
    },
    /// It is somebody else's turn, or too late in this round; look again then.
    Wait {
        /// Seconds since 1970.
        until: u64,
    },
    /// Make these pieces.
    Repair {
        /// Their numbers.
        pieces: Vec<usize>,
        /// Bytes to fetch.
        reads: u64,
        /// Bytes to hand over.
        writes: u64,
    },
    /// Too few pieces are there to make others. Whoever comes back may change it.
    Lost {
        /// Pieces that are there.
        left: usize,
        /// Pieces that are needed.
        needed: usize,
    },
}

/// Says what `me` should do about an object at `now` (seconds since 1970), from what he has seen of its holders, himself
/// among them.
pub fn plan(id: ObjectId, manifest: &Manifest, seen: &[Seen], me: NodeId, policy: &Policy, now: u64) -> Plan {
    let Some(layout) = manifest.layout() else { return Plan::Fine { left: 1 } };
    let code = layout.code();
    let alive = |holder: &&Seen| !holder.caught && now.saturating_sub(holder.at) < policy.grace;
    let mut left: BTreeMap<usize, BTreeSet<NodeId>> = BTreeMap::new();
    for holder in seen.iter().filter(alive).filter(|holder| holder.piece < code.pieces()) {
        left.entry(holder.piece).or_default().insert(holder.node);
    }
    let pieces: Vec<_> = (0..code.pieces()).filter(|piece| !left.contains_key(piece)).collect();
    let last = |piece: &usize| seen.iter().filter(|holder| holder.piece == *piece).map(|holder| holder.at).max();
    let is_given_up = |piece: &usize| last(piece).is_some_and(|at| now.saturating_sub(at) >= policy.given_up);
    if pieces.is_empty() || policy.is_enough(code, left.len()) && !pieces.iter().any(is_given_up) {
        return Plan::Fine { left: left.len() };
    }
    if left.len() < code.needed() {
        return Plan::Lost { left: left.len(), needed: code.needed() };
    }
    let turn = policy.turn.max(1);
    let round = now / turn;
    // Who is silent for now has its piece still, but repairs nothing.
    let awake = seen.iter().filter(alive).filter(|holder| now.saturating_sub(holder.at) < turn);
    let draw = |node: &NodeId| {
        let mut hasher = blake3::Hasher::new();
        *hasher.update(&id.0).update(&node.0).update(&round.to_be_bytes()).finalize().as_bytes()
    };
    let drawn = awake.map(|holder| holder.node).min_by_key(draw);
    if drawn != Some(me) || now % turn > turn - turn / 3 {
        return Plan::Wait { until: (round + 1).saturating_mul(turn) };
    }
    let own = left.values().filter(|nodes| nodes.contains(&me)).count();
    let reads = code.needed().saturating_sub(own) as u64 * layout.piece();
    let writes = pieces.len() as u64 * layout.piece();
    Plan::Repair { pieces, reads, writes }
}

/// What a repair has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Bytes that were fetched.
    pub read: u64,
    /// Bytes that were handed over.
    pub written: u64,
    /// Pieces that are there again, and who has them.
    pub kept: Vec<(usize, NodeId)>,
    /// Pieces that the new nodes did not take, and why.
    pub failed: Vec<(usize, NodeId, Denied)>,
    /// Pieces that are not made, and not read any more, since what the manifest says of them is wrong. The object can be read without
    /// them.
    pub wrong: Vec<usize>,
    /// What nodes did wrong on the way.
    pub reports: Vec<Report>,
}

/// Fetches k pieces, makes those that are missing, and hands them to the nodes that are to have them.
///
/// `terms` are what the new nodes are asked to promise: to the first owner, until then. A node that refuses that is asked for the
/// next one: it may mind these terms alone, such as a time that is too long by its clock. In whoever's name it is, whoever repairs is
/// charged for it. If it breaks off, what was fetched waits until `fetch.until` and the next try goes on from there. What was done
/// before it failed stands in `done` as well.
///
/// # Errors
///
/// [`Error::TooMuchTraffic`] before anything is moved; [`Error::Inconsistent`] if k pieces, each what the manifest says, make neither
/// another that it names nor the content that it says, which nobody can bring about but who made the manifest; or fewer than k pieces
/// can be had, or there is no room for them here.
pub async fn repair(
    store: &Store,
    (id, terms): (ObjectId, &[(Owner, Option<u64>)]),
    holders: &[Holder],
    to: &[Holder],
    asked: Fetch,
    policy: &Policy,
    done: &mut Repaired,
) -> Result<(), Error> {
    let manifest = store.manifest(id)?;
    let Some(layout) = manifest.layout() else { return Err(Error::NotCoded(id)) };
    let here = store.count_pieces(id, &manifest)?;
    let moved = layout.code().needed().saturating_sub(here) + to.len();
    let needed = layout.piece().saturating_mul(moved as u64);
    if needed > policy.traffic {
        return Err(Error::TooMuchTraffic { needed, allowed: policy.traffic });
    }
    let fetched = Mutex::default();
    let came = fetch_into(store, id, holders, asked, &fetched).await;
    Fetched { bytes: done.read, reports: done.reports } = fetched.into_inner();
    came?;
    let wanted: BTreeSet<_> = to.iter().map(|holder| holder.piece).collect();
    let mut wanted: Vec<_> = wanted.into_iter().filter(|piece| *piece < layout.code().pieces()).collect();
    let make = |wanted: Vec<usize>| {
        let making = store.clone();
        blocking(move || making.rebuild(id, transit(id), Some(asked.until), &wanted))
    };
    let mut made = make(wanted.clone()).await;
    // Memory that failed once looks the same, and whoever made the manifest is not to be blamed for that.
    if matches!(made, Err(Error::Inconsistent(_) | Error::WrongPieces { .. })) {
        made = make(wanted.clone()).await;
    }
    if let Err(Error::WrongPieces { pieces, .. }) = made {
        store.pass_over(id, &pieces);
        wanted.retain(|piece| !pieces.contains(piece));
        done.wrong = pieces;
        made = if wanted.is_empty() { Ok(()) } else { make(wanted).await };
    }
    made?;
    let (mut left, mut refused) = (to.to_vec(), Vec::new());
    left.retain(|holder| !done.wrong.contains(&holder.piece));
    for (owner, until) in terms {
        // Whether it may be read by strangers was decided when it was spread first.
        let spread = spread(store, Root { object: id, owner: *owner }, *until, &left, true).await?;
        done.written += spread.bytes;
        done.kept.extend(spread.kept);
        let is_no = |(_, _, why): &(usize, NodeId, Denied)| matches!(why, Denied::Refused(_));
        let (no, failed): (Vec<_>, Vec<_>) = spread.failed.into_iter().partition(is_no);
        done.failed.extend(failed);
        left.retain(|holder| no.iter().any(|(piece, node, _)| (*piece, *node) == (holder.piece, holder.peer.id())));
        refused = no;
        if left.is_empty() {
            break;
        }
    }
    done.failed.extend(refused);
    if done.failed.is_empty() {
        store.release(transit(id))?;
    }
    Ok(())
}
