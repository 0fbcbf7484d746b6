//! What a keeper does of its own accord: it asks the others whether they are there, moves shares when a fellow is gone, gives a
//! fellow its share that has none, and fetches readers' halves that it lacks.
//!
//! At each look another of the keepers is the one that moves an asset's shares, so that they do not all do it, and
//! that it does not rest with one that cannot. Its account pays for the transaction. A move that it has begun it goes on with at its next
//! turn. A fellow that takes long for each answer is passed over for the rest of a look, and halves are fetched for a minute of it: an
//! owner may name many that nobody has. Which assets come first, and which halves, is drawn anew each time.

use super::{
    KEEPER, Keeper, MOST_ANSWER, Request, Taken, disk,
    moving::{IN_TIME, VOTE},
    plan::{Acceptance, Move, Plan},
};
use crate::{
    abi::IConsent::{Vote, assetOfCall, grantOfCall, moveKeepersCall},
    contract::Consent,
    patience::patiently,
    registry::{self, Registry},
};
use alloy_primitives::B256;
use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::{Signer as _, ed25519};
use futures::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use rand::seq::SliceRandom as _;
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use stoa_base::{NodeId, since_1970};
use stoa_client::{ViewError, counted};
use stoa_contract::nodes::INodes::Node;
use stoa_net::{Connections, Denied, Endpoint, PeerAddress, Service as _, answered, read_answer};
use stoa_privacy::{Dealing, GrantedHalf, Sharing};

/// How long a keeper may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one may take for an answer without anybody noticing, and for how long more than that, all of them together, it may keep one
/// look waiting.
const PROMPT: Duration = Duration::from_secs(1);
const WAITED: Duration = Duration::from_secs(60);

/// For how long one look fetches readers' halves.
const FETCHING: Duration = Duration::from_secs(60);

/// Keepers that are asked at once whether they are there.
const AT_ONCE: usize = 32;

/// Why shares do not move.
#[derive(Debug, thiserror::Error)]
pub enum MovingError {
    /// The registry cannot be read.
    #[error("the registry of nodes cannot be read: {0}")]
    Registry(#[from] ViewError),
    /// The keepers cannot be.
    #[error(transparent)]
    Handover(#[from] stoa_privacy::HandoverError),
    /// Too few keepers did what they were asked.
    #[error("{what}: {} did it, {needed} must{}", counted(*.done as u64, "keeper"), listed(.failed))]
    TooFew {
        /// What they were asked.
        what: &'static str,
        /// How many did.
        done: usize,
        /// How many must.
        needed: usize,
        /// What the others said.
        failed: Vec<String>,
    },
}

/// What those said who did not do it.
fn listed(failed: &[String]) -> String {
    failed.iter().map(|why| format!("; {why}")).collect()
}

/// The nodes that keep shares of keys, as somebody asks them.
#[derive(Clone)]
pub struct Circle {
    registry: Registry,
    keepers: Connections,
    /// Who asks.
    node: NodeId,
    /// The keeper that asks, if it is one: no node calls itself.
    own: Option<Arc<Keeper>>,
}

/// A move that enough of the new keepers have taken their shares of.
#[derive(Clone, Debug)]
pub struct Moving {
    moved: Move,
    sharing: Sharing,
    acceptances: Vec<Acceptance>,
}

impl Moving {
    /// What tells the ledger of it; the ledger's time, in seconds since 1970, was `begun` when those who follow took it, or before. They
    /// let go of what the ledger has not named a day after that: half a day after it the ledger does not take it any more.
    pub fn call(&self, votes: Vec<Vote>, begun: u64) -> moveKeepersCall {
        moveKeepersCall {
            asset: self.moved.asset().0,
            from: self.moved.from.digest(),
            sharing: self.sharing.digest(),
            needed: self.moved.plan.needed,
            keepers: self.sharing.keepers().iter().map(|key| NodeId::from(key).into()).collect(),
            until: begun.saturating_add(IN_TIME),
            votes,
        }
    }
}

impl Circle {
    /// Those of this registry, asked from this endpoint.
    pub fn new(registry: Registry, endpoint: &Endpoint) -> Self {
        Self { registry, keepers: Connections::new(endpoint, KEEPER), node: endpoint.node(), own: None }
    }

    /// Who asks.
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// The registry.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Asks one of them.
    ///
    /// # Errors
    ///
    /// What it denies, or that it does not answer.
    pub async fn ask(&self, keeper: &PeerAddress, request: &Request) -> Result<Vec<u8>, Denied> {
        let request = request.to_bytes();
        match &self.own {
            Some(own) if own.id() == keeper.node() => {
                read_answer(&own.answer(own.id(), request).await).map(<[u8]>::to_vec)
            }
            _ => answered(PATIENCE, self.keepers.ask(keeper, &request, MOST_ANSWER)).await,
        }
    }

    /// The same; with patience, again if it may have to see a block first.
    async fn ask_again(&self, keeper: &PeerAddress, request: &Request, patient: bool) -> Result<Vec<u8>, Denied> {
        let behind = |why: &Denied| patient && matches!(why, Denied::Refused(_) | Denied::NotHere);
        patiently(|| self.ask(keeper, request), behind).await
    }

    /// Where these keepers are, or were before they left.
    async fn of(&self, keys: &[ed25519::PublicKey]) -> Result<Vec<PeerAddress>, ViewError> {
        self.registry.last_addresses(keys.iter().map(|key| NodeId::from(key).into())).await
    }

    /// Asks several at once; what each said, as it is read, and who failed, with those whose address nobody knows. With patience one that
    /// may have to see a block first is asked again.
    async fn all<T>(
        &self,
        keys: &[ed25519::PublicKey],
        request: &Request,
        patient: bool,
        read: impl Fn(&PeerAddress, &[u8]) -> Option<T>,
    ) -> Result<(Vec<T>, Vec<String>), ViewError> {
        let of = self.of(keys).await?;
        let asked = join_all(of.iter().map(|keeper| self.ask_again(keeper, request, patient))).await;
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for (keeper, outcome) in of.iter().zip(asked) {
            match outcome.map(|bytes| read(keeper, &bytes)) {
                Ok(Some(value)) => done.push(value),
                Ok(None) => failed.push(format!("{}: its answer is false", keeper.node())),
                Err(why) => failed.push(format!("{}: {why}", keeper.node())),
            }
        }
        let unknown = keys.iter().map(NodeId::from).filter(|node| !of.iter().any(|keeper| keeper.node() == *node));
        failed.extend(unknown.map(|node| format!("{node}: {}", self.registry.unknown(node.into()))));
        Ok((done, failed))
    }

    /// Has the old keepers deal their shares, and the new ones take them. What new ones find false is left out, with who dealt it, as long
    /// as others have dealt: of several ways the one that most can take. For the owner, who has signed, keepers are waited for that have
    /// not seen the last move yet; a keeper's own look comes again.
    ///
    /// # Errors
    ///
    /// If too few deal or take.
    pub async fn hand_over(
        &self,
        from: &Sharing,
        plan: &Plan,
        signature: Option<[u8; 65]>,
    ) -> Result<Moving, MovingError> {
        let handover = plan.handover(from)?;
        let needed = usize::from(from.threshold().required());
        let patient = signature.is_some();
        let deal = Request::Deal(from.asset().0, plan.clone(), signature);
        let read = |keeper: &PeerAddress, bytes: &[u8]| {
            let dealing = Dealing::decode(Copying(bytes)).ok()?;
            (NodeId::from(dealing.dealer()) == keeper.node() && handover.check(&dealing).is_ok()).then_some(dealing)
        };
        let (mut dealings, mut failed) = self.all(from.keepers(), &deal, patient, read).await?;
        let mut best = None;
        loop {
            if dealings.len() < needed {
                let (what, done) = ("dealing their shares to the next", dealings.len());
                return best.ok_or(MovingError::TooFew { what, done, needed, failed });
            }
            let moved = Move { from: from.clone(), plan: plan.clone(), dealings: dealings[..needed].to_vec() };
            let Given { moving, accused, refused } = self.give(moved, signature).await?;
            let (what, done) = ("taking their shares", moving.acceptances.len());
            best = better(best, moving);
            let dealers = dealings[..needed].iter().map(|dealing| NodeId::from(dealing.dealer())).collect();
            let liars = most_accused(&accused, &dealers);
            if liars.is_empty() {
                return best.ok_or(MovingError::TooFew { what, done, needed: plan.enough(), failed: refused });
            }
            dealings.retain(|dealing| !liars.contains(&NodeId::from(dealing.dealer())));
            failed.extend(liars.iter().map(|liar| format!("{liar}: it is said to have dealt false parts")));
        }
    }

    /// Has the new keepers take their shares of moves that were begun before; nothing if too few do.
    async fn resume(&self, begun: Vec<Move>) -> Result<Option<Moving>, MovingError> {
        let mut best = None;
        for moved in begun {
            best = better(best, self.give(moved, None).await?.moving);
        }
        Ok(best)
    }

    /// Gives a move to those who follow.
    async fn give(&self, moved: Move, signature: Option<[u8; 65]>) -> Result<Given, MovingError> {
        let sharing = moved.sharing()?;
        let read = |keeper: &PeerAddress, bytes: &[u8]| match Taken::from_bytes(bytes)? {
            Taken::Accepted(acceptance) => {
                let own = NodeId::from(&acceptance.keeper) == keeper.node() && acceptance.holds(&sharing);
                own.then_some(Taken::Accepted(acceptance))
            }
            taken => Some(taken),
        };
        let take = Request::Take(Box::new(moved.clone()), signature);
        let (taken, refused) = self.all(&moved.plan.keepers, &take, signature.is_some(), read).await?;
        let (mut acceptances, mut accused) = (Vec::new(), Vec::new());
        for taken in taken {
            match taken {
                Taken::Accepted(acceptance) => acceptances.push(*acceptance),
                Taken::False(dealers) => accused.push(dealers),
            }
        }
        Ok(Given { moving: Moving { moved, sharing, acceptances }, accused, refused })
    }

    /// As many votes of old keepers as the ledger wants for a move, of those that are good: one that is not would spoil all.
    async fn votes(&self, moving: &Moving, is_good: impl Fn(&Vote) -> bool) -> Result<Vec<Vote>, MovingError> {
        let from = &moving.moved.from;
        let needed = usize::from(from.threshold().required());
        let vote = Request::Vote(Box::new(moving.moved.clone()), moving.acceptances.clone());
        let read = |keeper: &PeerAddress, bytes: &[u8]| {
            Some(Vote { keeper: keeper.node().into(), signature: bytes.to_vec().into() }).filter(&is_good)
        };
        let (mut votes, failed) = self.all(from.keepers(), &vote, false, read).await?;
        if votes.len() < needed {
            let (what, done) = ("agreeing to the move", votes.len());
            return Err(MovingError::TooFew { what, done, needed, failed });
        }
        votes.truncate(needed);
        Ok(votes)
    }
}

/// A move that the new keepers were given: who has accepted, whom each of the others accuses, and what they said who refused.
struct Given {
    moving: Moving,
    accused: Vec<Vec<NodeId>>,
    refused: Vec<String>,
}

/// Of two moves the one that more of the new keepers can take, if enough can.
fn better(best: Option<Moving>, moving: Moving) -> Option<Moving> {
    let count = moving.acceptances.len();
    let is_better =
        count >= moving.moved.plan.enough() && best.as_ref().is_none_or(|best| count > best.acceptances.len());
    if is_better { Some(moving) } else { best }
}

/// Those dealers of a move whom most of the new keepers accuse. Not all who are accused: one new keeper could name all of them, and it is
/// left out only if others do without it.
fn most_accused(accused: &[Vec<NodeId>], dealers: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
    let mut counts = BTreeMap::<NodeId, usize>::new();
    for by_one in accused {
        let by_one: BTreeSet<_> = by_one.iter().filter(|dealer| dealers.contains(*dealer)).collect();
        by_one.into_iter().for_each(|dealer| *counts.entry(*dealer).or_default() += 1);
    }
    let most = counts.values().copied().max();
    counts.into_iter().filter(|(_, count)| Some(*count) == most).map(|(dealer, _)| dealer).collect()
}

/// Sends a call of the consent contract from the node's account; an error is in words.
pub type Sender = Box<dyn Fn(moveKeepersCall) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// A keeper that looks after what it keeps.
pub struct Look {
    keeper: Arc<Keeper>,
    circle: Circle,
    send: Sender,
    every: Duration,
    /// For how long a look fetches halves, and for how long this one has.
    pub(super) fetching: Duration,
    fetched: Mutex<Duration>,
    /// For how long more than is prompt each fellow has kept this look waiting.
    waited: Mutex<BTreeMap<NodeId, Duration>>,
}

impl Look {
    /// Of a keeper, `every` so often, from this endpoint.
    pub fn new(keeper: Arc<Keeper>, endpoint: &Endpoint, send: Sender, every: Duration) -> Self {
        let own = Some(keeper.clone());
        let circle = Circle { own, ..Circle::new(keeper.registry.clone(), endpoint) };
        let (fetched, waited) = (Mutex::default(), Mutex::default());
        Self { keeper, circle, send, every, fetching: FETCHING, fetched, waited }
    }

    /// Looks at all that is kept. What cannot be done is logged, and done another time.
    ///
    /// # Errors
    ///
    /// If the disk cannot be read.
    pub async fn all(&self) -> Result<(), Denied> {
        self.waited.lock().clear();
        *self.fetched.lock() = Duration::ZERO;
        let mut assets = self.keeper.shelf.assets().map_err(disk)?;
        assets.shuffle(&mut rand::rng());
        for asset in assets {
            if let Err(error) = self.at(asset).await {
                tracing::warn!(%asset, %error, "what is kept of a key could not be looked at");
            }
        }
        Ok(())
    }

    async fn at(&self, asset: B256) -> Result<(), Denied> {
        let now = self.keeper.sweep(asset).await?.timestamp;
        let Some((sharing, _)) = self.keeper.share(asset)? else { return Ok(()) };
        self.listen(asset, now).await?;
        if let Some(plan) = self.keeper.follows(&sharing, now).await?
            && self.is_its_turn(&sharing)
            && self.are_enough_there(&plan)
        {
            match self.move_on(&sharing, &plan).await {
                Ok(()) => tracing::info!(%asset, "the shares of its key have moved to the next keepers"),
                Err(why) => tracing::warn!(%asset, why, "the shares of its key could not be moved"),
            }
            return self.keeper.sweep(asset).await.map(drop);
        }
        self.give(&sharing).await?;
        self.fetch_halves(&sharing).await
    }

    /// Asks a fellow, unless it has kept this look waiting for too long.
    async fn ask(&self, keeper: &PeerAddress, request: &Request) -> Result<Vec<u8>, Denied> {
        let node = keeper.node();
        if self.waited.lock().get(&node).is_some_and(|waited| *waited > WAITED) {
            return Err(Denied::Gone("it takes too long for each answer".into()));
        }
        let begun = Instant::now();
        let answer = self.circle.ask(keeper, request).await;
        *self.waited.lock().entry(node).or_default() += begun.elapsed().saturating_sub(PROMPT);
        answer
    }

    /// Asks all other keepers about an asset, if that is due, and notes which of them say nothing at all. Those that keep no share of
    /// its key as well: they may have to follow one that does.
    async fn listen(&self, asset: B256, now: u64) -> Result<(), Denied> {
        if !self.keeper.silent.lock().is_due(now) {
            return Ok(());
        }
        let own = B256::from(self.keeper.id());
        let nodes = self.circle.registry().nodes().await.map_err(|error| Denied::Gone(error.to_string()))?;
        let is_other = |node: &&Node| node.roles & registry::KEEPER != 0 && node.key != own;
        let others: Vec<&Node> = nodes.iter().filter(is_other).collect();
        let (request, mut answers) = (Request::Sharing(asset), Vec::with_capacity(others.len()));
        for others in others.chunks(AT_ONCE) {
            answers.extend(join_all(others.iter().map(|node| self.answers(node, &request))).await);
        }
        self.keeper.silent.lock().note(&answers, now);
        Ok(())
    }

    /// Whether a node answers, whatever it says.
    async fn answers(&self, node: &Node, request: &Request) -> (B256, bool) {
        let answers = match registry::address(node) {
            Some(address) => !matches!(self.circle.ask(&address, request).await, Err(Denied::Gone(_))),
            None => false,
        };
        (node.key, answers)
    }

    /// Whether this keeper is the one that moves the shares now. Those that have left have their turns as well: were one that stays the only
    /// one, nothing would move where it cannot.
    fn is_its_turn(&self, sharing: &Sharing) -> bool {
        let turn = since_1970().as_millis() / self.every.as_millis().max(1);
        let rank = |key: &ed25519::PublicKey| {
            Sha256::new().chain_update(sharing.digest()).chain_update(turn.to_be_bytes()).chain_update(key).finalize()
        };
        sharing.keepers().iter().min_by_key(|key| rank(key)) == Some(&self.keeper.key.public_key())
    }

    /// Whether so many of those who follow answer as have to take their shares. What is dealt in vain stays with the others.
    fn are_enough_there(&self, plan: &Plan) -> bool {
        let silent = self.keeper.silent.lock();
        let answers = plan.keepers.iter().filter(|key| !silent.is_silent(&B256::from(NodeId::from(*key))));
        answers.count() >= plan.enough()
    }

    /// Moves the shares, or goes on with that: what was dealt is taken by others, who keep it until the ledger names something else.
    async fn move_on(&self, sharing: &Sharing, plan: &Plan) -> Result<(), String> {
        let moving = self.moving(sharing, plan).await.map_err(|error| error.to_string())?;
        let asset = sharing.asset().0;
        let (is, at) = self.keeper.asks(&assetOfCall { asset }).await.map_err(|error| error.to_string())?;
        let digest = self.keeper.move_digest(&is, &moving.sharing);
        // It takes a while until the ledger sees them.
        let then = at.timestamp.saturating_add(VOTE / 2);
        let is_good = |vote: &Vote| Consent::is_vote(vote.keeper, digest, &vote.signature, then);
        let votes = self.circle.votes(&moving, is_good).await.map_err(|error| error.to_string())?;
        (self.send)(moving.call(votes, at.timestamp)).await
    }

    async fn moving(&self, sharing: &Sharing, plan: &Plan) -> Result<Moving, MovingError> {
        match self.circle.resume(self.keeper.begun(sharing, plan).await.unwrap_or_default()).await? {
            Some(moving) => Ok(moving),
            None => self.circle.hand_over(sharing, plan, None).await,
        }
    }

    /// The other keepers of a key, so far as it is known where they are.
    async fn fellows(&self, sharing: &Sharing) -> Result<Vec<PeerAddress>, Denied> {
        let own = self.keeper.key.public_key();
        let others: Vec<_> = sharing.keepers().iter().filter(|key| **key != own).cloned().collect();
        self.circle.of(&others).await.map_err(|error| Denied::Gone(error.to_string()))
    }

    /// Gives the fellows that have no share what they need of the last move. Each looks after all: one that says something false would
    /// else be in the way of the one after it.
    async fn give(&self, sharing: &Sharing) -> Result<(), Denied> {
        let asset = sharing.asset().0;
        if !self.keeper.has_moved(asset, sharing.digest()) {
            return Ok(());
        }
        let (fellows, mut without) = (self.fellows(sharing).await?, Vec::new());
        for some in fellows.chunks(AT_ONCE) {
            let are = join_all(some.iter().map(|fellow| self.is_without(fellow, sharing))).await;
            without.extend(some.iter().zip(are).filter(|(_, is)| *is).map(|(fellow, _)| fellow));
        }
        if without.is_empty() {
            return Ok(());
        }
        let Some(moved) = self.keeper.moved(asset, sharing.digest()).await? else { return Ok(()) };
        let moved = Request::Take(Box::new(moved), None);
        for some in without.chunks(AT_ONCE) {
            join_all(some.iter().map(|fellow| self.give_to(fellow, asset, &moved))).await;
        }
        Ok(())
    }

    /// Whether a fellow is there, and has no share of this sharing.
    async fn is_without(&self, fellow: &PeerAddress, sharing: &Sharing) -> bool {
        match self.ask(fellow, &Request::Sharing(sharing.asset().0)).await {
            Err(Denied::Gone(_)) => false,
            said => said.ok().and_then(|bytes| Sharing::decode(Copying(&bytes[..])).ok()).as_ref() != Some(sharing),
        }
    }

    async fn give_to(&self, fellow: &PeerAddress, asset: B256, moved: &Request) {
        let given = self.ask(fellow, moved).await.is_ok();
        tracing::info!(%asset, keeper = %fellow.node(), given, "a keeper had no share of a key");
    }

    /// Fetches the readers' halves that this keeper lacks: of grants that were made while it was away, or before the key moved to it. Those
    /// from whom it moved may be the only ones that have some.
    async fn fetch_halves(&self, sharing: &Sharing) -> Result<(), Denied> {
        let asset = sharing.asset().0;
        let has: BTreeSet<_> = self.keeper.shelf.halves(asset).map_err(disk)?.into_iter().collect();
        let mut missing = Vec::new();
        for grant in self.keeper.grants(asset, usize::MAX).await?.into_iter().filter(|grant| !has.contains(grant)) {
            let (is, _) = self.keeper.asks(&grantOfCall { grant }).await?;
            if is.revoked == 0 && !is.terms.half.is_zero() {
                missing.push(grant);
            }
        }
        // Where others are that have left takes a look at the ledger's events.
        if missing.is_empty() {
            return Ok(());
        }
        let mut fellows = self.fellows(sharing).await?;
        if let Some(moved) = self.keeper.moved(asset, sharing.digest()).await? {
            let before = self.fellows(&moved.from).await?;
            let before: Vec<_> = before.into_iter().filter(|keeper| !fellows.contains(keeper)).collect();
            fellows.extend(before);
        }
        missing.shuffle(&mut rand::rng());
        for grant in missing {
            if *self.fetched.lock() >= self.fetching {
                break;
            }
            let begun = Instant::now();
            self.fetch_half(&fellows, grant).await;
            *self.fetched.lock() += begun.elapsed();
        }
        Ok(())
    }

    async fn fetch_half(&self, fellows: &[PeerAddress], grant: B256) {
        for fellow in fellows {
            let half = self.ask(fellow, &Request::HalfOf(grant)).await.ok();
            let half = half.and_then(|bytes| GrantedHalf::decode(Copying(&bytes[..])).ok());
            if let Some(half) = half.filter(|half| half.grant.id.0 == grant)
                && self.keeper.keep_half(&half).await.is_ok()
            {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_new_keeper_that_accuses_everybody_takes_no_dealers_from_those_who_accuse_the_liar() {
        let [one, two, three, stranger] = [1, 2, 3, 9].map(|byte| NodeId([byte; 32]));
        let dealers = BTreeSet::from([one, two, three]);
        let accused = |accused: &[&[NodeId]]| {
            let accused: Vec<_> = accused.iter().map(|by_one| by_one.to_vec()).collect();
            most_accused(&accused, &dealers).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(accused(&[&[two], &[one, two, three], &[two]]), [two]);
        // Who stands twice in one answer is accused once, and who has not dealt is not meant.
        assert_eq!(accused(&[&[one, one, one, stranger], &[three], &[three, stranger]]), [three]);
        assert_eq!(accused(&[&[stranger], &[stranger]]), []);
        // Alone its word counts: it may be true.
        assert_eq!(accused(&[&[one, three]]), [one, three]);
    }
}
