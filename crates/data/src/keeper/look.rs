//! What a keeper does of its own accord: it asks the others whether they are there, moves shares when a fellow is gone, gives a
//! fellow its share that has none, and fetches readers' halves that it lacks.
//!
//! At each look another of the keepers that are left is the one that moves an asset's shares, so that they do not all do it, and
//! that it does not rest with one that cannot. Its account pays for the transaction.

use super::{
    KEEPER, Keeper, MOST_ANSWER, Request, Taken, disk,
    plan::{Acceptance, Move, Plan},
};
use crate::{
    abi::IConsent::{Vote, assetOfCall, grantOfCall, moveKeepersCall},
    registry::{self, Registry},
};
use alloy_primitives::B256;
use commonware_codec::{Copying, DecodeExt as _, FixedSize as _};
use commonware_cryptography::{Signer as _, ed25519};
use futures::future::{BoxFuture, join_all};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use stoa_base::NodeId;
use stoa_client::ViewError;
use stoa_contract::nodes::INodes::Node;
use stoa_net::{Connections, Denied, Endpoint, PeerAddress, Service as _, answered, read_answer};
use stoa_privacy::{Dealing, GrantedHalf, Sharing};

/// How long a keeper may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

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
    #[error("{what}: {done} keepers did it, {needed} must; {}", .failed.join("; "))]
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

/// The nodes that keep shares of keys, as somebody asks them.
#[derive(Clone)]
pub struct Circle {
    registry: Registry,
    keepers: Connections,
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
    /// What tells the ledger of it.
    pub fn call(&self, votes: Vec<Vote>) -> moveKeepersCall {
        moveKeepersCall {
            asset: self.moved.asset().0,
            sharing: self.sharing.digest(),
            needed: self.moved.plan.needed,
            keepers: self.sharing.keepers().iter().map(|key| NodeId::from(key).into()).collect(),
            votes,
        }
    }
}

impl Circle {
    /// Those of this registry, asked from this endpoint.
    pub fn new(registry: Registry, endpoint: &Endpoint) -> Self {
        Self { registry, keepers: Connections::new(endpoint, KEEPER), own: None }
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

    async fn of(&self, keys: &[ed25519::PublicKey]) -> Result<Vec<PeerAddress>, ViewError> {
        self.registry.addresses(keys.iter().map(|key| NodeId::from(key).into())).await
    }

    /// Asks several at once; what each said, as it is read.
    async fn all<T>(
        &self,
        of: &[PeerAddress],
        request: &Request,
        read: impl Fn(&PeerAddress, &[u8]) -> Option<T>,
    ) -> (Vec<T>, Vec<String>) {
        let asked = join_all(of.iter().map(|keeper| self.ask(keeper, request))).await;
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for (keeper, outcome) in of.iter().zip(asked) {
            match outcome.map(|bytes| read(keeper, &bytes)) {
                Ok(Some(value)) => done.push(value),
                Ok(None) => failed.push(format!("{}: its answer is false", keeper.node())),
                Err(why) => failed.push(format!("{}: {why}", keeper.node())),
            }
        }
        (done, failed)
    }

    /// Has the old keepers deal their shares, and the new ones take them. What new ones find false is left out, with who dealt it.
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
        let (old, new) = (self.of(from.keepers()).await?, self.of(&plan.keepers).await?);
        let deal = Request::Deal(from.asset().0, plan.clone(), signature);
        let read = |keeper: &PeerAddress, bytes: &[u8]| {
            let dealing = Dealing::decode(Copying(bytes)).ok()?;
            (NodeId::from(dealing.dealer()) == keeper.node() && handover.check(&dealing).is_ok()).then_some(dealing)
        };
        let (mut dealings, mut failed) = self.all(&old, &deal, read).await;
        loop {
            if dealings.len() < needed {
                let (what, done) = ("dealing their shares to the next", dealings.len());
                return Err(MovingError::TooFew { what, done, needed, failed });
            }
            let moved = Move { from: from.clone(), plan: plan.clone(), dealings: dealings[..needed].to_vec() };
            let sharing = moved.sharing()?;
            let read = |keeper: &PeerAddress, bytes: &[u8]| match Taken::from_bytes(bytes)? {
                Taken::Accepted(acceptance) => {
                    let own = NodeId::from(&acceptance.keeper) == keeper.node() && acceptance.holds(&sharing);
                    own.then_some(Taken::Accepted(acceptance))
                }
                taken => Some(taken),
            };
            let (taken, refused) = self.all(&new, &Request::Take(Box::new(moved.clone())), read).await;
            let (mut acceptances, mut liars) = (Vec::new(), BTreeSet::new());
            for taken in taken {
                match taken {
                    Taken::Accepted(acceptance) => acceptances.push(*acceptance),
                    Taken::False(dealers) => liars.extend(dealers),
                }
            }
            if acceptances.len() >= plan.enough() {
                return Ok(Moving { moved, sharing, acceptances });
            }
            let before = dealings.len();
            dealings.retain(|dealing| !liars.contains(&NodeId::from(dealing.dealer())));
            failed.extend(liars.iter().map(|liar| format!("{liar}: it is said to have dealt false parts")));
            if dealings.len() == before {
                let (what, done) = ("taking their shares", acceptances.len());
                return Err(MovingError::TooFew { what, done, needed: plan.enough(), failed: refused });
            }
        }
    }

    /// As many votes of old keepers as the ledger wants for a move.
    ///
    /// # Errors
    ///
    /// If too few agree.
    pub async fn votes(&self, moving: &Moving) -> Result<Vec<Vote>, MovingError> {
        let from = &moving.moved.from;
        let needed = usize::from(from.threshold().required());
        let vote = Request::Vote(Box::new(moving.moved.clone()), moving.acceptances.clone());
        let read = |keeper: &PeerAddress, bytes: &[u8]| {
            let is_one = bytes.len() == ed25519::Signature::SIZE;
            is_one.then(|| Vote { keeper: keeper.node().into(), signature: bytes.to_vec().into() })
        };
        let (mut votes, failed) = self.all(&self.of(from.keepers()).await?, &vote, read).await;
        if votes.len() < needed {
            let (what, done) = ("agreeing to the move", votes.len());
            return Err(MovingError::TooFew { what, done, needed, failed });
        }
        votes.truncate(needed);
        Ok(votes)
    }
}

/// Sends a call of the consent contract from the node's account; an error is in words.
pub type Sender = Box<dyn Fn(moveKeepersCall) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// A keeper that looks after what it keeps.
pub struct Look {
    keeper: Arc<Keeper>,
    circle: Circle,
    send: Sender,
    every: Duration,
}

impl Look {
    /// Of a keeper, `every` so often, from this endpoint.
    pub fn new(keeper: Arc<Keeper>, endpoint: &Endpoint, send: Sender, every: Duration) -> Self {
        let own = Some(keeper.clone());
        let circle = Circle { own, ..Circle::new(keeper.registry.clone(), endpoint) };
        Self { keeper, circle, send, every }
    }

    /// Looks at all that is kept. What cannot be done is logged, and done another time.
    ///
    /// # Errors
    ///
    /// If the disk cannot be read.
    pub async fn all(&self) -> Result<(), Denied> {
        for asset in self.keeper.shelf.assets().map_err(disk)? {
            if let Err(error) = self.at(asset).await {
                tracing::warn!(%asset, %error, "what is kept of a key could not be looked at");
            }
        }
        Ok(())
    }

    async fn at(&self, asset: B256) -> Result<(), Denied> {
        self.keeper.sweep(asset).await?;
        let Some((sharing, _)) = self.keeper.share(asset)? else { return Ok(()) };
        self.listen(asset).await?;
        if let Some(plan) = self.keeper.follows(&sharing).await?
            && self.is_its_turn(&sharing, &plan)
            && self.are_enough_there(&plan)
        {
            match self.move_on(&sharing, &plan).await {
                Ok(()) => tracing::info!(%asset, "the shares of its key have moved to the next keepers"),
                Err(why) => tracing::warn!(%asset, why, "the shares of its key could not be moved"),
            }
            return self.keeper.sweep(asset).await;
        }
        self.give_next(&sharing).await?;
        self.fetch_halves(&sharing).await
    }

    /// Asks all other keepers about an asset, if that is due, and notes which of them say nothing at all. Those that keep no share of
    /// its key as well: they may have to follow one that does.
    async fn listen(&self, asset: B256) -> Result<(), Denied> {
        let (_, at) = self.keeper.asks(&assetOfCall { asset }).await?;
        if !self.keeper.silent.lock().is_due(at.timestamp) {
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
        self.keeper.silent.lock().note(&answers, at.timestamp);
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

    /// Whether this keeper is the one of those that are left which moves the shares now.
    fn is_its_turn(&self, sharing: &Sharing, plan: &Plan) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let turn = now.as_millis() / self.every.as_millis().max(1);
        let rank = |key: &ed25519::PublicKey| {
            Sha256::new().chain_update(sharing.digest()).chain_update(turn.to_be_bytes()).chain_update(key).finalize()
        };
        let left = plan.keepers.iter().filter(|key| sharing.keepers().contains(key));
        left.min_by_key(|key| rank(key)) == Some(&self.keeper.key.public_key())
    }

    /// Whether so many of those who follow answer as have to take their shares. What is dealt in vain stays with the others.
    fn are_enough_there(&self, plan: &Plan) -> bool {
        let silent = self.keeper.silent.lock();
        let answers = plan.keepers.iter().filter(|key| !silent.is_silent(&B256::from(NodeId::from(*key))));
        answers.count() >= plan.enough()
    }

    async fn move_on(&self, sharing: &Sharing, plan: &Plan) -> Result<(), String> {
        let moving = self.circle.hand_over(sharing, plan, None).await.map_err(|error| error.to_string())?;
        let votes = self.circle.votes(&moving).await.map_err(|error| error.to_string())?;
        (self.send)(moving.call(votes)).await
    }

    /// Gives the next keeper in the circle what it needs of the last move, if it has no share.
    async fn give_next(&self, sharing: &Sharing) -> Result<(), Denied> {
        let asset = sharing.asset().0;
        let Some(moved) = self.keeper.moved(asset, sharing.digest())? else { return Ok(()) };
        let own = sharing.keepers().iter().position(|key| *key == self.keeper.key.public_key());
        let circle = sharing.keepers().iter().cycle().skip(own.map_or(0, |own| own + 1));
        let next: Vec<_> = circle.take(sharing.keepers().len() - 1).cloned().collect();
        let addresses = self.circle.of(&next).await.map_err(|error| Denied::Gone(error.to_string()))?;
        for keeper in &addresses {
            let said = match self.circle.ask(keeper, &Request::Sharing(asset)).await {
                // One that is gone looks after nobody: the one after it is this keeper's business.
                Err(Denied::Gone(_)) => continue,
                said => said.ok().and_then(|bytes| Sharing::decode(Copying(&bytes[..])).ok()),
            };
            if said.as_ref() != Some(sharing) {
                let given = self.circle.ask(keeper, &Request::Take(Box::new(moved))).await;
                tracing::info!(%asset, keeper = %keeper.node(), given = given.is_ok(), "a keeper had no share of a key");
            }
            break;
        }
        Ok(())
    }

    /// Fetches the readers' halves that this keeper lacks: of grants that were made while it was away, or before the key moved to it.
    async fn fetch_halves(&self, sharing: &Sharing) -> Result<(), Denied> {
        let asset = sharing.asset().0;
        let has: BTreeSet<_> = self.keeper.shelf.halves(asset).map_err(disk)?.into_iter().collect();
        let own = self.keeper.id();
        let fellows = self.circle.of(sharing.keepers()).await.map_err(|error| Denied::Gone(error.to_string()))?;
        for grant in self.keeper.grants(asset, usize::MAX).await?.into_iter().filter(|grant| !has.contains(grant)) {
            let (is, _) = self.keeper.asks(&grantOfCall { grant }).await?;
            if is.revoked > 0 || is.terms.half.is_zero() {
                continue;
            }
            for fellow in fellows.iter().filter(|fellow| fellow.node() != own) {
                let half = self.circle.ask(fellow, &Request::HalfOf(grant)).await.ok();
                let half = half.and_then(|bytes| GrantedHalf::decode(Copying(&bytes[..])).ok());
                if let Some(half) = half.filter(|half| half.grant.id.0 == grant)
                    && self.keeper.keep_half(&half).await.is_ok()
                {
                    break;
                }
            }
        }
        Ok(())
    }
}
