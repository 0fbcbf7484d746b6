//! Finding objects among the nodes, and nodes for objects.

use super::{Network, now};
use crate::{
    Candidate, Code, Denied, Domain, Error, Fetch, Fetched, Holder, Layout, Manifest, NodeId, ObjectId, Owner, Peer,
    Report, Root, Spread, check, fetch,
    fetch::{blocking, show, transit},
    fetch_manifest, place, placement, spread,
};
use commonware_codec::Encode as _;
use futures::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{self, FuturesUnordered},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use stoa_net::PeerAddress;
use tokio::time::{Instant, timeout_at};

/// Nodes that are asked at once.
const AT_ONCE: usize = 32;

/// How long others may take to answer once enough have.
const STRAGGLERS: Duration = Duration::from_millis(300);

/// How long a node may take to show a part of what it says it has.
const SHOW: Duration = Duration::from_secs(10);

/// Room that a node is believed to have, however little the others have.
const ROOMY: u64 = 1 << 40;

/// How often other nodes are tried for pieces that some did not take.
const ROUNDS: usize = 4;

/// A node that keeps things for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it is.
    pub address: PeerAddress,
    /// What it fails together with.
    pub domain: Domain,
}

/// Who there is: the ledger's registry, as this node sees it.
pub trait Members: Send + Sync {
    /// All nodes that keep things for others.
    fn members(&self) -> BoxFuture<'_, Result<Vec<Member>, String>>;

    /// Whether a node is registered.
    fn is_member(&self, node: NodeId) -> BoxFuture<'_, bool> {
        async move { self.members().await.is_ok_and(|all| all.iter().any(|member| member.address.node() == node)) }
            .boxed()
    }
}

/// For how long nodes are to keep an object, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Who: this node's key, unless it repairs for another. This node is charged in any case.
    pub owner: Owner,
    /// Seconds since 1970.
    pub until: u64,
    /// Whether it may go out although it is not sealed.
    pub public: bool,
}

/// What came of spreading an object over the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spreading {
    /// Which node has which piece now.
    pub kept: Vec<(usize, NodeId)>,
    /// Pieces that nobody has, or could be asked to keep.
    pub missing: Vec<usize>,
    /// What nodes refused on the way.
    pub failed: Vec<(usize, NodeId, Denied)>,
    /// Nodes that were not asked, since they have less room for this node than a piece takes, and how many bytes they have.
    pub full: Vec<(NodeId, u64)>,
    /// Bytes that were handed over.
    pub bytes: u64,
    /// Whether any one failure domain may go.
    pub survives_a_domain: bool,
}

/// Where an object is.
#[derive(Clone)]
pub struct Where {
    /// What it is.
    pub manifest: Manifest,
    /// Who has which piece.
    pub holders: Vec<Holder>,
    /// Nodes that did not answer, or answered wrong.
    pub reports: Vec<Report>,
}

impl Network {
    /// The nodes, those first that an object would have been given to.
    ///
    /// # Errors
    ///
    /// If the registry cannot be read.
    pub(super) async fn members_for(&self, id: ObjectId) -> Result<Vec<Member>, Error> {
        let mut members = self.members.members().await.map_err(Error::NoMembers)?;
        let score = |member: &Member| placement::hash(id, member.address.node());
        members.sort_by_cached_key(|member| std::cmp::Reverse(score(member)));
        Ok(members)
    }

    /// Finds an object's manifest, and who has pieces of it.
    ///
    /// # Errors
    ///
    /// If nobody gives the manifest.
    pub async fn find(&self, id: ObjectId, asked: Fetch) -> Result<Where, Error> {
        self.find_with(id, asked, &[], Some(STRAGGLERS)).await
    }

    /// The same without those who have lied, and without waiting for longer than this for others once enough have answered.
    async fn find_with(
        &self,
        id: ObjectId,
        asked: Fetch,
        faults: &[Report],
        stragglers: Option<Duration>,
    ) -> Result<Where, Error> {
        let members = self.members_for(id).await?;
        let mut peers: Vec<_> = members.iter().map(|member| self.peer(&member.address)).collect();
        let mut reports = Vec::new();
        let manifest = if self.store().has(id.manifest())? {
            self.store().manifest(id)?
        } else {
            self.manifest(id, &peers, asked, &mut reports).await?
        };
        // Who lied is not asked again.
        let lied = |peer: &Arc<dyn Peer>| {
            reports.iter().chain(faults).any(|report| report.node == peer.id() && report.fault.is_lie())
        };
        peers.retain(|peer| !lied(peer));
        let holders = self.holders(&manifest, &peers, stragglers).await;
        Ok(Where { manifest, holders, reports })
    }

    /// An object's manifest, from the first who gives it: whoever says that he has it is asked at once, and the others if none of these
    /// gives it.
    async fn manifest(
        &self,
        id: ObjectId,
        peers: &[Arc<dyn Peer>],
        asked: Fetch,
        reports: &mut Vec<Report>,
    ) -> Result<Manifest, Error> {
        let give = |peer: Arc<dyn Peer>| async move { fetch_manifest(id, &[peer], asked).await }.boxed();
        let (mut asking, mut giving) = (self.each(peers, vec![id.manifest()]), FuturesUnordered::new());
        let mut others = Vec::new();
        loop {
            tokio::select! {
                Some((peer, has)) = asking.next() => match has {
                    Ok(has) if has == [true] => giving.push(give(peer)),
                    _ => others.push(peer),
                },
                Some(given) = giving.next() => if let Some(manifest) = manifest_in(given, reports)? {
                    return Ok(manifest);
                },
                else => break,
            }
        }
        let mut giving = at_once(others.into_iter().map(give).collect());
        while let Some(given) = giving.next().await {
            if let Some(manifest) = manifest_in(given, reports)? {
                return Ok(manifest);
            }
        }
        Err(Error::NotFetched { id, why: "nobody gave its manifest".into(), reports: reports.clone() })
    }

    /// Asks nodes which of these blobs they have; the answers come as they come.
    fn each<'a>(
        &'a self,
        peers: &'a [Arc<dyn Peer>],
        blobs: Vec<crate::BlobHash>,
    ) -> impl futures::Stream<Item = (Arc<dyn Peer>, Result<Vec<bool>, Denied>)> + Unpin + 'a {
        let ask = |peer: &'a Arc<dyn Peer>| {
            let blobs = blobs.clone();
            async move { (peer.clone(), peer.has(blobs).await) }.boxed()
        };
        at_once(peers.iter().map(ask).collect())
    }

    /// Who has which piece. When enough pieces are found, each at another node, those who have not answered are waited for only so
    /// long: one node's word that it has them all is not enough.
    async fn holders(&self, manifest: &Manifest, peers: &[Arc<dyn Peer>], stragglers: Option<Duration>) -> Vec<Holder> {
        let blobs: Vec<_> = manifest.blobs().into_iter().map(|(hash, _)| hash).collect();
        let (needed, all) = manifest.layout().map_or((1, 1), |layout| (layout.code().needed(), layout.code().pieces()));
        let (mut holders, mut pieces, mut nodes, mut deadline) = (Vec::new(), BTreeSet::new(), 0, None);
        let mut asking = self.each(peers, blobs);
        loop {
            let next = match deadline {
                Some(deadline) => timeout_at(deadline, asking.next()).await.unwrap_or(None),
                None => asking.next().await,
            };
            let Some((peer, has)) = next else { return holders };
            let has = has.unwrap_or_default();
            nodes += usize::from(has.contains(&true));
            for (piece, _) in has.into_iter().enumerate().filter(|(_, has)| *has) {
                pieces.insert(piece);
                holders.push(Holder { piece, peer: peer.clone() });
            }
            let Some(stragglers) = stragglers else { continue };
            if pieces.len().min(nodes) == all {
                return holders;
            }
            if pieces.len().min(nodes) >= needed && deadline.is_none() {
                deadline = Some(Instant::now() + stragglers);
            }
        }
    }

    /// Brings enough of an object here to read it.
    ///
    /// # Errors
    ///
    /// As [`fetch`]; what came waits for the next try.
    pub async fn fetch(&self, id: ObjectId, asked: Fetch) -> Result<Fetched, Error> {
        if self.store().has(id.manifest())? && self.store().is_complete(id)? {
            return Ok(Fetched::default());
        }
        let found = self.find(id, asked).await?;
        let (store, manifest) = (self.store().clone(), found.manifest.encode());
        blocking(move || store.keep_manifest(transit(id), Some(asked.until), &manifest)).await?;
        let (mut fetched, mut reports) = (fetch(self.store(), id, &found.holders, asked).await, found.reports);
        if let Err(Error::NotFetched { reports: faults, .. }) = &fetched {
            // Somebody went meanwhile, lied, or was too slow to be noticed before: now all are waited for.
            reports.extend_from_slice(faults);
            let found = self.find_with(id, asked, &reports, None).await?;
            fetched = fetch(self.store(), id, &found.holders, asked).await;
            reports.extend(found.reports);
        }
        let mut fetched = fetched?;
        fetched.reports.splice(0..0, reports);
        Ok(fetched)
    }

    /// Those of these nodes that say how much room they have, as far as it is believed.
    pub(super) async fn candidates(&self, members: Vec<Member>) -> Vec<(Member, Candidate)> {
        let ask = |member: Member| {
            let asked = async move {
                let free = self.remote(&member.address).room().await.ok()?;
                let candidate = Candidate { node: member.address.node(), free, domain: member.domain.clone() };
                Some((member, candidate))
            };
            asked.boxed()
        };
        let answers = at_once(members.into_iter().map(ask).collect());
        let mut all: Vec<(Member, Candidate)> = answers.filter_map(std::future::ready).collect().await;
        let most = most_room(all.iter().map(|(_, candidate)| candidate.free).collect());
        all.iter_mut().for_each(|(_, candidate)| candidate.free = candidate.free.min(most));
        all
    }

    /// Hands pieces of an object that are here to nodes that are apart from each other, and tries others where some refuse.
    /// Where there are fewer nodes than pieces, some get none, and the outcome says so.
    ///
    /// # Errors
    ///
    /// If the object is not here, in pieces, sealed or public; or the registry cannot be read.
    pub async fn spread(&self, id: ObjectId, pieces: &[usize], terms: Terms) -> Result<Spreading, Error> {
        let manifest = self.store().manifest(id)?;
        let layout = manifest.layout().ok_or(Error::NotCoded(id))?;
        let all = self.candidates(self.members_for(id).await?).await;
        let known: Vec<_> = all.iter().map(|(member, _)| self.peer(&member.address)).collect();
        // Where an earlier try ended: who holds which piece, some maybe twice.
        let mut there = self.holders_of_all(&manifest, &known).await;
        let mut outcome = Spreading { kept: one_each(&there), ..Spreading::default() };
        let domain = |node: &NodeId| domain_of(all.iter().map(|(member, _)| member), *node);
        let root = Root { object: id, owner: terms.owner };
        let rooms = all.iter().map(|(_, candidate)| (candidate.node, candidate.free));
        let is_full = |(node, free): &(NodeId, u64)| *free < layout.piece() && there.iter().all(|(_, has)| has != node);
        outcome.full = rooms.filter(is_full).collect();
        let mut refused = BTreeSet::new();
        for _ in 0..ROUNDS {
            let has = |piece: &usize| outcome.kept.iter().any(|(kept, _)| kept == piece);
            let mut missing: Vec<_> = pieces.iter().copied().filter(|piece| !has(piece)).collect();
            let holders: Vec<_> = there.iter().map(|(_, node)| (*node, domain(node))).collect();
            let able = |candidate: &&Candidate| {
                candidate.free >= layout.piece()
                    && !refused.contains(&candidate.node)
                    && !holders.iter().any(|(node, _)| *node == candidate.node)
            };
            let candidates: Vec<_> = all.iter().map(|(_, candidate)| candidate).filter(able).cloned().collect();
            missing.truncate(candidates.len());
            if missing.is_empty() {
                break;
            }
            let placed = place(id, layout.code(), layout.piece(), &missing, &candidates, &holders)?;
            let to = placed.nodes.iter().map(|(piece, node)| {
                let member = all.iter().find(|(_, candidate)| candidate.node == *node);
                let (member, _) = member.expect("what was placed was a candidate");
                Holder { piece: *piece, peer: self.peer(&member.address) }
            });
            let Spread { kept, failed, bytes } =
                spread(self.store(), root, Some(terms.until), &to.collect::<Vec<_>>(), terms.public).await?;
            outcome.bytes += bytes;
            there.extend(&kept);
            outcome.kept.extend(kept);
            refused.extend(failed.iter().map(|(_, node, _)| *node));
            outcome.failed.extend(failed);
        }
        let has = |piece: &usize| outcome.kept.iter().any(|(kept, _)| kept == piece);
        outcome.missing = pieces.iter().copied().filter(|piece| !has(piece)).collect();
        outcome.kept.sort_unstable();
        let held: Vec<_> = there.iter().map(|(piece, node)| (*piece, domain(node))).collect();
        outcome.survives_a_domain = placement::survives_a_domain(layout.code(), &held);
        Ok(outcome)
    }

    /// The pieces that nodes have already, and show a part of.
    async fn holders_of_all(&self, manifest: &Manifest, peers: &[Arc<dyn Peer>]) -> Vec<(usize, NodeId)> {
        let ask = |peer: &Arc<dyn Peer>| {
            let (peer, blobs) = (peer.clone(), manifest.blobs());
            let asked = async move {
                let has = peer.has(blobs.iter().map(|(hash, _)| *hash).collect()).await.unwrap_or_default();
                let mut shown = Vec::new();
                for (piece, _) in has.into_iter().enumerate().filter(|(_, has)| *has) {
                    // Saying so is not enough. Who cannot show one that he says he has could take as long for each.
                    if check(&*peer, blobs[piece], rand::random(), SHOW).await.is_err() {
                        break;
                    }
                    shown.push((piece, peer.id()));
                }
                shown
            };
            asked.boxed()
        };
        at_once(peers.iter().map(ask).collect()).concat().await
    }

    /// Asks all who have a piece of an object to keep it until the later of when they do anyway and when these terms say, and to show a
    /// part of it. Nothing is handed over: pieces that nobody has are for the nodes themselves to make anew.
    ///
    /// # Errors
    ///
    /// If nobody gives the manifest, or the registry cannot be read.
    pub async fn extend(&self, id: ObjectId, terms: Terms, asked: Fetch) -> Result<(Manifest, Spreading), Error> {
        let manifest = self.find(id, asked).await?.manifest;
        let members = self.members_for(id).await?;
        let peers: Vec<_> = members.iter().map(|member| self.peer(&member.address)).collect();
        let blobs = manifest.blobs();
        let (root, own) = (Root { object: id, owner: terms.owner }, (id.manifest(), manifest.encode().len() as u64));
        let mut outcome = Spreading::default();
        let ask = |peer: &Arc<dyn Peer>| {
            let (peer, blobs) = (peer.clone(), blobs.clone());
            let asked = async move {
                let has = peer.has(blobs.iter().map(|(hash, _)| *hash).collect()).await.unwrap_or_default();
                let mut answers = Vec::new();
                for (piece, _) in has.into_iter().enumerate().filter(|(_, has)| *has) {
                    let kept = peer.keep(root, Some(terms.until), vec![own, blobs[piece]]).await;
                    let kept = if kept.is_ok() { show(&*peer, blobs[piece]).await } else { kept };
                    let is_kept = kept.is_ok();
                    answers.push((piece, peer.id(), kept));
                    // Who does not do so with one that he says he has could take as long for each.
                    if !is_kept {
                        break;
                    }
                }
                answers
            };
            asked.boxed()
        };
        for (piece, node, kept) in at_once(peers.iter().map(ask).collect()).concat().await {
            match kept {
                Ok(()) => outcome.kept.push((piece, node)),
                Err(why) => outcome.failed.push((piece, node, why)),
            }
        }
        let has = |piece: &usize| outcome.kept.iter().any(|(kept, _)| kept == piece);
        outcome.missing = (0..blobs.len()).filter(|piece| !has(piece)).collect();
        outcome.kept.sort_unstable();
        let held: Vec<_> = outcome.kept.iter().map(|(piece, node)| (*piece, domain_of(&members, *node))).collect();
        let survives = |layout: Layout| placement::survives_a_domain(layout.code(), &held);
        outcome.survives_a_domain = manifest.layout().is_some_and(survives);
        Ok((manifest, outcome))
    }

    /// Asks all who keep an object for this node's owner to do so no longer; who did.
    ///
    /// # Errors
    ///
    /// If the registry cannot be read.
    pub async fn let_go(&self, id: ObjectId) -> Result<Vec<(NodeId, Result<bool, Denied>)>, Error> {
        self.let_go_with(id, &[]).await
    }

    /// The same, of these nodes as well, which need not be registered.
    ///
    /// # Errors
    ///
    /// If the registry cannot be read.
    pub async fn let_go_with(
        &self,
        id: ObjectId,
        also: &[PeerAddress],
    ) -> Result<Vec<(NodeId, Result<bool, Denied>)>, Error> {
        let mut asked: Vec<_> = self.members_for(id).await?.into_iter().map(|member| member.address).collect();
        let known: BTreeSet<_> = asked.iter().map(PeerAddress::node).collect();
        asked.extend(also.iter().filter(|address| !known.contains(&address.node())).cloned());
        let ask =
            |address: PeerAddress| async move { (address.node(), self.remote(&address).let_go(id).await) }.boxed();
        Ok(at_once(asked.into_iter().map(ask).collect()).collect().await)
    }
}

/// What one node has given, if it has, and what it did wrong otherwise.
fn manifest_in(
    given: Result<(Manifest, Vec<u8>, Vec<Report>), Error>,
    reports: &mut Vec<Report>,
) -> Result<Option<Manifest>, Error> {
    match given {
        Ok((manifest, ..)) => Ok(Some(manifest)),
        Err(Error::NotFetched { reports: faults, .. }) => {
            reports.extend(faults);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The most that is believed of what nodes say of their room: who claims much more than others would be given a piece of everything.
fn most_room(mut said: Vec<u64>) -> u64 {
    said.retain(|free| *free > 0);
    said.sort_unstable();
    let middle = said.get(said.len().saturating_sub(1) / 2).copied().unwrap_or_default();
    middle.saturating_mul(4).max(ROOMY)
}

/// What a node fails together with: if it is not known, with itself.
pub(super) fn domain_of<'a>(members: impl IntoIterator<Item = &'a Member>, node: NodeId) -> Domain {
    let member = members.into_iter().find(|member| member.address.node() == node);
    member.map_or_else(|| Domain(node.to_string()), |member| member.domain.clone())
}

/// One node for each piece.
fn one_each(holders: &[(usize, NodeId)]) -> Vec<(usize, NodeId)> {
    holders.iter().copied().collect::<BTreeMap<_, _>>().into_iter().collect()
}

/// What comes of many questions, some of which are under way at a time, as it comes.
pub(super) fn at_once<'a, T: 'a>(asked: Vec<BoxFuture<'a, T>>) -> impl futures::Stream<Item = T> + Send + Unpin + 'a {
    stream::iter(asked).buffer_unordered(AT_ONCE)
}

/// Which code suits so many nodes: 4 of 10 where there are as many, else one that loses as large a share.
pub fn code_for(nodes: usize) -> Option<Code> {
    let pieces = nodes.min(10) as u8;
    Code::new((pieces * 4).div_ceil(10).max(1), pieces)
}

/// When an object that was put now for so many days is kept until.
pub fn days_from_now(days: u64) -> u64 {
    now() + days * 24 * 3600
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_claims_to_have_very_much_room_is_believed_to_have_somewhat_more_than_others() {
        let gib = |count: u64| count << 30;
        assert_eq!(most_room(vec![u64::MAX, gib(100), gib(90), 0, 0, 0, 0]), ROOMY);
        assert_eq!(most_room(vec![gib(5000), u64::MAX, gib(4000)]), gib(20_000));
        assert_eq!(most_room(vec![gib(5000), u64::MAX]), gib(20_000));
        assert_eq!(most_room(vec![0]), ROOMY);
        assert_eq!(most_room(vec![]), ROOMY);
    }
}
