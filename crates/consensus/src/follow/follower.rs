//! A node that follows the chain.

use super::{
    Certificate, Failure, Lie, Link, Peers, Request, Verifier,
    messages::{Blocks, MOST_BLOCKS, MOST_GENESIS, Past},
    serve::WAIT,
    source::FromPeers,
};
use crate::{
    BLOCK_OVERHEAD, Committee, NetworkKey,
    application::{Waiting, recover},
    block::SealedBlock,
    floor::{Floor, says_who_agrees},
};
use alloy_primitives::B256;
use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use commonware_runtime::Handle;
use futures::{FutureExt as _, StreamExt as _, stream};
use std::{
    collections::VecDeque,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use stoa_base::{Genesis, Recovered};
use stoa_ledger::{
    Committed, Direct, InvalidBlock, Ledger, LedgerError,
    state::{Runtime, StateConfig},
};

/// How long a peer may take to answer, beyond how long it waits for a block.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long to wait before asking again where nobody may be asked.
const NOBODY: Duration = Duration::from_millis(250);

/// After how many blocks what is needed no longer is given up.
const PRUNE: u64 = 1000;

/// After how long a peer has a block that another has, unless it keeps it back.
const LATE: Duration = Duration::from_secs(30);

/// How long a peer may take to say whether it takes transactions.
const TAKING: Duration = Duration::from_secs(5);

/// How long a transaction may wait at a peer before another gets it as well: the first may have lost it, or keep it to itself.
const HANDED: Duration = Duration::from_secs(10);

/// To how many peers a transaction goes at most.
const MOST_HANDED: usize = 3;

/// Of how many messages with transactions it is remembered who has them.
const REMEMBERED: usize = 1024;

/// How many blocks before the state that is taken over are fetched: as far back as contracts can ask for hashes.
const BEFORE: u64 = 256;

/// How a follower that has nothing yet begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// By executing all blocks, so that all of them are kept.
    Blocks,
    /// By taking over the state of a block, if the chain has so many.
    State {
        /// How many.
        from: u64,
    },
}

/// What a follower runs with.
#[derive(Clone, Debug)]
pub struct Options {
    /// How to begin.
    pub start: Start,
    /// The most bytes of transactions in a block.
    pub max_bytes: usize,
}

/// Why a node cannot follow its chain any further.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The validators have signed two chains.
    #[error(
        "the validators have signed two blocks of number {number}: {ours} and {theirs}; more than a third of them are \
         dishonest or have lost their keys, and what either chain says must not be relied upon"
    )]
    Fork {
        /// At which height.
        number: u64,
        /// What this node has.
        ours: B256,
        /// What it was shown now.
        theirs: B256,
    },
    /// A quorum has signed a block that breaks the rules.
    #[error("the validators have signed block {number}, which breaks the rules ({why}); is this program up to date?")]
    Rules {
        /// Which.
        number: u64,
        /// Execution's words.
        why: String,
    },
    /// State or history fail.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A genesis file names no committee, or one that cannot be.
    #[error("no peer has a chain of which the validators with this network key have signed anything ({0})")]
    NoChain(String),
    /// Nobody has a block that is needed.
    #[error(
        "no peer has block {0}, which says who agrees on the blocks after it (name more peers, or ones that keep all)"
    )]
    NoBlock(u64),
}

/// Fetches the genesis file of the chain that a network key signs.
///
/// # Errors
///
/// [`FollowError::NoChain`] if no peer has it after `tries`.
pub async fn genesis<E: Runtime, L: Link>(
    runtime: &E,
    peers: &Peers<L>,
    key: NetworkKey,
    max_bytes: usize,
    tries: usize,
) -> Result<Genesis, FollowError> {
    let mut why = "none can be reached".to_owned();
    for attempt in 0..tries {
        if attempt > 0 {
            runtime.sleep(NOBODY).await;
        }
        if peers.status(runtime.current()).iter().all(|status| status.lie.is_some()) {
            break;
        }
        for peer in peers.usable(runtime.current(), 0) {
            match genesis_of(runtime, peers, peer, key, max_bytes).await {
                Ok(genesis) => return Ok(genesis),
                Err(Either::Failure(failure)) => why = format!("{}: {failure}", peers.name(peer)),
                Err(Either::Lie(lie)) => {
                    why = format!("{}: {lie}", peers.name(peer));
                    peers.caught(runtime.current(), peer, lie);
                }
            }
        }
    }
    Err(FollowError::NoChain(why))
}

async fn genesis_of<E: Runtime, L: Link>(
    runtime: &E,
    peers: &Peers<L>,
    peer: usize,
    key: NetworkKey,
    max_bytes: usize,
) -> Result<Genesis, Either> {
    let bytes = peers.ask(runtime, peer, &Request::Genesis, MOST_GENESIS, PATIENCE).await?;
    let genesis = serde_json::from_slice::<Genesis>(&bytes).map_err(|_| Lie::Malformed)?;
    genesis.validate().map_err(|_| Lie::Malformed)?;
    let committee = genesis.committee.as_ref().and_then(|committee| Committee::try_from(committee).ok());
    if committee.is_none_or(|committee| committee.network_key() != key) {
        return Err(Lie::Genesis.into());
    }
    // Everything else in it is proven by what the validators have signed of its chain.
    let hashed = genesis.clone();
    let hashing = runtime.child("genesis").shared(true).spawn(async move |_| stoa_ledger::first_hash(&hashed));
    let first = hashing.await.map_err(|error| Failure::Unreachable(error.to_string()))?;
    let first = first.map_err(|error| Failure::Unreachable(error.to_string()))?;
    let tip = tip_of(runtime, peers, peer, &Verifier::new(first, key), max_bytes, PATIENCE).await;
    tip.map_err(|error| match error {
        Either::Lie(Lie::Certificate) => Lie::Genesis.into(),
        other => other,
    })?;
    Ok(genesis)
}

/// The number of the newest block that any peer has, among those that answer in time.
pub async fn newest<E: Runtime, L: Link>(
    runtime: &E,
    peers: &Peers<L>,
    verifier: &Verifier,
    max_bytes: usize,
    patience: Duration,
) -> Option<u64> {
    let tips = tips(runtime, peers, verifier, max_bytes, patience).await;
    tips.into_iter().map(|(block, _)| block.number()).max()
}

/// The newest blocks of all peers that answer in time.
async fn tips<E: Runtime, L: Link>(
    runtime: &E,
    peers: &Peers<L>,
    verifier: &Verifier,
    max_bytes: usize,
    patience: Duration,
) -> Vec<(SealedBlock, Certificate)> {
    let usable = peers.usable(runtime.current(), 0);
    let tips =
        usable.into_iter().map(async |peer| match tip_of(runtime, peers, peer, verifier, max_bytes, patience).await {
            Ok(tip) => Some((peer, tip)),
            Err(Either::Failure(_)) => None,
            Err(Either::Lie(lie)) => {
                peers.caught(runtime.current(), peer, lie);
                None
            }
        });
    let tips: Vec<(usize, (SealedBlock, Certificate))> =
        stream::iter(tips).buffer_unordered(16).filter_map(std::future::ready).collect().await;
    let newest = tips.iter().map(|(_, (block, _))| block.number()).max().unwrap_or_default();
    for (peer, (block, _)) in tips.iter().filter(|(_, (block, _))| block.number() < newest) {
        ask_later(runtime, peers, (*peer, block.number()), newest, verifier, max_bytes);
    }
    tips.into_iter().map(|(_, tip)| tip).collect()
}

/// Asks a peer for its newest block again, after a while: it was at a block before block `newest` of another, which may
/// happen, and should not be any more.
fn ask_later<E: Runtime, L: Link>(
    runtime: &E,
    peers: &Peers<L>,
    (peer, was): (usize, u64),
    newest: u64,
    verifier: &Verifier,
    max_bytes: usize,
) {
    let (peers, verifier) = (peers.clone(), verifier.clone());
    runtime.child("later").spawn(async move |runtime| {
        runtime.sleep(LATE).await;
        let lie = match tip_of(&runtime, &peers, peer, &verifier, max_bytes, PATIENCE).await {
            // One that is catching up has later ones.
            Ok((block, _)) if block.number() <= was => Lie::Withheld(newest),
            Err(Either::Lie(lie)) => lie,
            _ => return,
        };
        peers.caught(runtime.current(), peer, lie);
    });
}

/// Asks a peer again, after a while, for a block that it said there was not, which another gave as one of long ago: it may not
/// have been final for as long as too few validators were there, and should be everywhere by then.
fn ask_again<E: Runtime, L: Link>(runtime: &E, peers: &Peers<L>, peer: usize, number: u64, max_bytes: usize) {
    let peers = peers.clone();
    runtime.child("again").spawn(async move |runtime| {
        runtime.sleep(LATE).await;
        let request = Request::Blocks { from: number };
        let Ok(bytes) = peers.ask(&runtime, peer, &request, MOST_BLOCKS * 2, WAIT + PATIENCE).await else { return };
        let lie = match Blocks::read(&bytes, max_bytes + BLOCK_OVERHEAD) {
            Some((blocks, _)) if blocks.is_empty() => Lie::Withheld(number),
            Some(_) => return,
            None => Lie::Malformed,
        };
        peers.caught(runtime.current(), peer, lie);
    });
}

/// Why an answer is of no use.
enum Either {
    Failure(Failure),
    Lie(Lie),
}

impl From<Failure> for Either {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Lie> for Either {
    fn from(lie: Lie) -> Self {
        Self::Lie(lie)
    }
}

async fn tip_of<E: Runtime, L: Link>(
    runtime: &E,
    peers: &Peers<L>,
    peer: usize,
    verifier: &Verifier,
    max_bytes: usize,
    patience: Duration,
) -> Result<(SealedBlock, Certificate), Either> {
    let most = max_bytes + BLOCK_OVERHEAD;
    let bytes = peers.ask(runtime, peer, &Request::Tip, most + 4096, patience).await?;
    let (mut blocks, certificate) = Blocks::read(&bytes, most).ok_or(Lie::Malformed)?;
    let (block, certificate) = blocks.pop().zip(certificate).ok_or(Lie::Malformed)?;
    verifier.check_chain(block.number(), std::slice::from_ref(&block), &certificate)?;
    Ok((block, certificate))
}

/// What a peer has given: blocks that a quorum has signed, or none yet.
type Batch = (Vec<SealedBlock>, Option<Certificate>);

/// A node that follows the chain: it trusts the network key, and nobody else.
pub struct Follower<E: Runtime, L, W> {
    runtime: E,
    direct: Direct<E>,
    peers: Peers<L>,
    verifier: Verifier,
    waiting: W,
    options: Options,
    /// The peer that is asked first.
    first: usize,
}

impl<E: Runtime, L: Link, W: Waiting> Follower<E, L, W> {
    /// Opens the chain in a ledger and the runtime's storage, and takes its state over from the peers if it has none.
    ///
    /// # Errors
    ///
    /// If state or history fail, or the genesis file's committee has no key.
    pub async fn open(
        runtime: E,
        ledger: Ledger,
        state: StateConfig,
        peers: Peers<L>,
        waiting: W,
        options: Options,
    ) -> Result<Self, FollowError> {
        let verifier =
            Verifier::of(&ledger).ok_or_else(|| FollowError::NoChain("the genesis file names no committee".into()))?;
        let from = match options.start {
            _ if ledger.is_syncing()? => Some(0),
            Start::State { from } if ledger.newest_recorded()? == 0 => Some(from),
            _ => None,
        };
        let opening = Opening { runtime: &runtime, ledger: &ledger, peers: &peers, verifier: &verifier };
        let taken = match from {
            Some(from) => opening.take_over(state.clone(), from, options.max_bytes).await?,
            None => None,
        };
        let join = async |state| Direct::join(runtime.child("chain"), ledger.clone(), state).await;
        let direct = match taken {
            Some(state) => join(state).await?,
            None => match Direct::reopen(runtime.child("chain"), ledger.clone(), state.clone()).await {
                // A power cut may leave the state ahead of the history.
                Err(LedgerError::Damaged(why)) => {
                    tracing::warn!(why, "state and history do not belong together: the state is taken over anew");
                    let taken = opening.take_over(state, 1, options.max_bytes).await?;
                    join(taken.ok_or(LedgerError::Damaged(why))?).await?
                }
                opened => opened?,
            },
        };
        Ok(Self { runtime, direct, peers, verifier, waiting, options, first: 0 })
    }

    /// The chain.
    pub const fn ledger(&self) -> &Ledger {
        self.direct.ledger()
    }

    /// Where the follower is, for a validator that goes on from here. `None` at block 0. Waits for a peer that says who agrees in
    /// this epoch, for `patience` at most.
    ///
    /// # Errors
    ///
    /// If the disk fails, or no peer says it.
    pub async fn floor(&self, patience: Duration) -> Result<Option<Floor>, FollowError> {
        let (ledger, head) = (self.ledger(), self.ledger().head());
        let Some((_, certificate)) = ledger.certificate_within(head.number(), head.number())? else { return Ok(None) };
        let number = head.number();
        let damaged = |error| LedgerError::Damaged(format!("block {number} or its certificate: {error}"));
        let certificate = Certificate::decode(Copying(&certificate)).map_err(damaged)?;
        let said = says_who_agrees(number, ledger.genesis().epoch_length);
        let (here, until) = (ledger.block(said), self.runtime.current() + patience);
        let said = match here {
            Ok(Some(here)) => SealedBlock::new(here.block).map_err(damaged)?,
            _ => self.fetch(said, until).await?,
        };
        let floor = Floor::new(SealedBlock::new(head).map_err(damaged)?, certificate, &said);
        Ok(Some(floor.ok_or_else(|| FollowError::Rules {
            number: said.number(),
            why: "it does not say who agrees in the epoch after it".into(),
        })?))
    }

    /// A block that a quorum has signed, from any peer that has it.
    async fn fetch(&self, number: u64, until: SystemTime) -> Result<SealedBlock, FollowError> {
        let mut turn = self.first;
        while self.runtime.current() < until {
            let Some(asked) = self.ask_peer(number, turn) else {
                self.runtime.sleep(NOBODY).await;
                continue;
            };
            turn = asked.peer + 1;
            if let Some((blocks, Some(_))) = asked.answer.await.ok().flatten()
                && let Some(block) = blocks.into_iter().next()
            {
                return Ok(block);
            }
        }
        Err(FollowError::NoBlock(number))
    }

    /// Follows the chain until something is wrong with it.
    ///
    /// # Errors
    ///
    /// Always: see [`FollowError`].
    pub async fn run(mut self) -> Result<std::convert::Infallible, FollowError> {
        let passing = pass_on(self.runtime.child("pass"), self.waiting.clone(), self.peers.clone());
        self.runtime.child("transactions").spawn(move |_| passing);
        let mut asked = None;
        loop {
            asked = self.step(asked).await?;
        }
    }

    /// Follows the chain up to block `number`, or until no block has come for `patience`.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub async fn catch_up(&mut self, number: u64, patience: Duration) -> Result<(), FollowError> {
        let mut asked = None;
        let (mut head, mut since) = (self.ledger().head().number(), self.runtime.current());
        while head < number && self.runtime.current() < since + patience {
            asked = self.step(asked).await?;
            let now = self.ledger().head().number();
            if now > head {
                (head, since) = (now, self.runtime.current());
            }
        }
        Ok(())
    }

    /// Asks for the blocks from `from` on, beside what else is done.
    fn ask(&self, from: u64) -> Option<Asked> {
        self.ask_peer(from, self.first)
    }

    /// The same of the first usable peer from `first` on.
    fn ask_peer(&self, from: u64, first: usize) -> Option<Asked> {
        let peer = self.peers.usable(self.runtime.current(), first).first().copied()?;
        let (peers, verifier, max_bytes) = (self.peers.clone(), self.verifier.clone(), self.options.max_bytes);
        let asking = self.runtime.child("ask").spawn(async move |runtime| {
            // Asked for so many seconds before the answer, at least.
            let at = runtime.current();
            let bytes =
                peers.ask(&runtime, peer, &Request::Blocks { from }, MOST_BLOCKS * 2, WAIT + PATIENCE).await.ok()?;
            let checked = match Blocks::read(&bytes, max_bytes + BLOCK_OVERHEAD) {
                Some((blocks, Some(certificate))) => {
                    let checked = verifier.check_chain(from, &blocks, &certificate);
                    checked.map(|()| (blocks, Some(certificate)))
                }
                Some(nothing) => Ok(nothing),
                None => Err(Lie::Malformed),
            };
            match checked {
                Ok(batch) => {
                    if batch.0.is_empty() && runtime.current() < at + WAIT / 2 {
                        // It did not even wait.
                        runtime.sleep(NOBODY).await;
                    }
                    Some(batch)
                }
                Err(lie) => {
                    peers.caught(runtime.current(), peer, lie);
                    None
                }
            }
        });
        Some(Asked { from, peer, answer: asking })
    }

    /// Takes in what was asked for, or asks. Returns what was asked for meanwhile.
    async fn step(&mut self, asked: Option<Asked>) -> Result<Option<Asked>, FollowError> {
        let head = self.ledger().head();
        let from = head.number() + 1;
        let Some(asked) = asked.filter(|asked| asked.from == from).or_else(|| self.ask(from)) else {
            self.runtime.sleep(NOBODY).await;
            return Ok(None);
        };
        let peer = asked.peer;
        let Some((blocks, certificate)) = asked.answer.await.ok().flatten() else {
            self.first = peer + 1;
            return Ok(None);
        };
        let (Some(first), Some(last), Some(certificate)) = (blocks.first(), blocks.last(), certificate) else {
            // Another may have one.
            self.peers.denied(self.runtime.current(), peer, from);
            self.first = peer + 1;
            return Ok(None);
        };
        if first.header().parent_hash != head.hash() {
            return Err(FollowError::Fork {
                number: head.number(),
                ours: head.hash(),
                theirs: first.header().parent_hash,
            });
        }
        let made = UNIX_EPOCH + Duration::from_secs(first.header().timestamp);
        for doubtful in self.peers.made(from, made) {
            ask_again(&self.runtime, &self.peers, doubtful, from, self.options.max_bytes);
        }
        self.first = peer;
        let last = last.number();
        let next = self.ask(last + 1);
        self.take_in(blocks, last, &certificate).await?;
        Ok(next)
    }

    /// Executes blocks that a quorum has signed.
    async fn take_in(
        &mut self,
        blocks: Vec<SealedBlock>,
        last: u64,
        certificate: &Certificate,
    ) -> Result<(), FollowError> {
        let mut known = Vec::with_capacity(blocks.len());
        for block in &blocks {
            let senders = recover(block, &|hash| self.waiting.sender(hash));
            let senders = senders.ok_or_else(|| FollowError::Rules {
                number: block.number(),
                why: "a transaction's signature is none".into(),
            })?;
            known.push((block.block().clone(), senders));
        }
        let (waiting, began) = (self.waiting.clone(), self.runtime.current());
        let joined = move |committed: &Committed, changes: &_| waiting.finalized(committed, changes);
        self.direct.replay(known, joined).await.map_err(|error| match error {
            InvalidBlock::Ledger(error) => FollowError::Ledger(error),
            other => FollowError::Rules { number: self.direct.ledger().head().number() + 1, why: other.to_string() },
        })?;
        // One is executed while another is written: they took so long on the average.
        let count = u32::try_from(blocks.len()).unwrap_or(u32::MAX).max(1);
        let each = self.runtime.current().duration_since(began).unwrap_or_default() / count;
        blocks.iter().for_each(|_| self.waiting.executed(each));
        self.ledger().certify(last, &certificate.encode())?;
        self.direct.sync().await?;
        if last / PRUNE != (last - blocks.len() as u64) / PRUNE {
            self.direct.prune().await?;
        }
        Ok(())
    }
}

/// What was asked for.
struct Asked {
    from: u64,
    peer: usize,
    answer: Handle<Option<Batch>>,
}

struct Opening<'a, E, L> {
    runtime: &'a E,
    ledger: &'a Ledger,
    peers: &'a Peers<L>,
    verifier: &'a Verifier,
}

impl<E: Runtime, L: Link> Opening<'_, E, L> {
    /// The newest block that any peer has. Waits until one answers.
    async fn newest(&self, max_bytes: usize) -> (SealedBlock, Certificate) {
        loop {
            let tips = tips(self.runtime, self.peers, self.verifier, max_bytes, PATIENCE).await;
            if let Some(newest) = tips.into_iter().max_by_key(|(block, _)| block.number()) {
                return newest;
            }
            self.runtime.sleep(NOBODY).await;
        }
    }

    /// Takes over the state of the newest block, if its number is `from` or more. Tries until it succeeds.
    async fn take_over(
        &self,
        config: StateConfig,
        from: u64,
        max_bytes: usize,
    ) -> Result<Option<stoa_ledger::state::State<E>>, FollowError> {
        loop {
            let (block, certificate) = self.newest(max_bytes).await;
            let number = block.number();
            if number < from || number == 0 {
                return Ok(None);
            }
            tracing::info!(number, "taking over the state");
            // Meanwhile: neither needs the other.
            let (peers, last) = (self.peers.clone(), block.clone());
            let blocks = self.runtime.child("before").spawn(move |runtime| before(runtime, peers, last, max_bytes));
            let blocks = blocks.abort_on_drop();
            let source = FromPeers::new(self.runtime.child("source"), self.peers.clone());
            let synced = self.ledger.sync_state(self.runtime.child("state"), config.clone(), &block, source).await;
            let synced = match synced {
                Ok(synced) => synced,
                // Another may have what this one no longer has, and everybody has a newer one.
                Err(LedgerError::Storage(why)) => {
                    tracing::warn!(why, "the state of block {number} could not be taken over, trying a newer one");
                    self.runtime.sleep(NOBODY).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let blocks = blocks.join().await.map_err(|error| LedgerError::Storage(error.to_string()))?;
            self.ledger.restart(blocks)?;
            self.ledger.certify(number, &certificate.encode())?;
            tracing::info!(number, "the state is taken over");
            return Ok(Some(synced));
        }
    }
}

/// A block and those before it as far as contracts can ask for hashes, with their receipts. Asks until it has them.
async fn before<E: Runtime, L: Link>(
    runtime: E,
    peers: Peers<L>,
    block: SealedBlock,
    max_bytes: usize,
) -> Vec<Committed> {
    let oldest = block.number().saturating_sub(BEFORE).max(1);
    let mut blocks = Vec::new();
    let (mut number, mut hash, mut turn) = (block.number(), block.hash(), 0);
    while number >= oldest {
        let Some(peer) = peers.usable(runtime.current(), turn).first().copied() else {
            runtime.sleep(NOBODY).await;
            continue;
        };
        turn = peer + 1;
        let request = Request::Past { to: number, count: number - oldest + 1 };
        let Ok(bytes) = peers.ask(&runtime, peer, &request, MOST_BLOCKS * 2, PATIENCE).await else { continue };
        match read_past(&bytes, number, hash, max_bytes) {
            Ok(read) => {
                for committed in read {
                    (number, hash) = (number - 1, committed.block.header().parent_hash);
                    blocks.push(committed);
                }
            }
            Err(lie) => peers.caught(runtime.current(), peer, lie),
        }
    }
    blocks.reverse();
    blocks
}

/// Reads blocks from the one with this number and hash downwards.
fn read_past(bytes: &[u8], mut number: u64, mut hash: B256, max_bytes: usize) -> Result<Vec<Committed>, Lie> {
    let past = Past::read(bytes, max_bytes + BLOCK_OVERHEAD).ok_or(Lie::Malformed)?;
    if past.is_empty() {
        return Err(Lie::Malformed);
    }
    let mut blocks = Vec::with_capacity(past.len());
    for (block, receipts) in past {
        if block.hash() != hash || block.number() != number || number == 0 {
            return Err(Lie::Chain(number));
        }
        let senders = recover(&block, &|_| None).ok_or(Lie::Contents(number))?;
        let committed = Committed {
            block: block.block().clone(),
            receipts: Arc::new(receipts),
            senders: Arc::new(senders.iter().map(|transaction| transaction.signer()).collect()),
        };
        committed.check().map_err(|_| Lie::Contents(number))?;
        (number, hash) = (number - 1, block.header().parent_hash);
        blocks.push(committed);
    }
    Ok(blocks)
}

/// Transactions that clients gave to this node.
struct Handed {
    transactions: Vec<Arc<Recovered>>,
    /// How many peers were to take them.
    times: usize,
    /// The peer that is asked next.
    next: usize,
    /// When another is asked to take those that still wait then.
    again: SystemTime,
}

/// Passes what clients give to this node on to a peer, which does the same or sends it to all validators: to one, for each would
/// send it to all.
async fn pass_on<E: Runtime, L: Link, W: Waiting>(runtime: E, waiting: W, peers: Peers<L>) {
    // Those that come in meanwhile go together.
    let mut given = pin!(waiting.given().ready_chunks(128).fuse());
    let mut handed = VecDeque::<Handed>::new();
    loop {
        let due = handed.front().map_or_else(|| runtime.current() + HANDED, |oldest| oldest.again);
        let next = futures::select_biased! {
            () = Box::pin(runtime.sleep_until(due)).fuse() => handed.pop_front().map(|mut handed| {
                handed.transactions.retain(|transaction| waiting.sender(transaction.tx_hash()).is_some());
                handed
            }),
            transactions = given.select_next_some() => Some(Handed { transactions, times: 0, next: 0, again: due }),
        };
        let Some(next) = next.filter(|next| !next.transactions.is_empty()) else { continue };
        let taken = hand(&runtime, &peers, &next).await;
        let next = Handed {
            times: next.times + 1,
            next: taken.map_or(next.next, |peer| peer + 1),
            again: runtime.current() + HANDED,
            ..next
        };
        if next.times < MOST_HANDED {
            handed.push_back(next);
        }
        if handed.len() > REMEMBERED {
            handed.pop_front();
        }
    }
}

/// How often all peers are asked to take transactions, with pauses that grow.
const ROUNDS: u32 = 8;

/// Gives transactions to a peer that takes them, and says which; `None` if nobody does for some seconds.
async fn hand<E: Runtime, L: Link>(runtime: &E, peers: &Peers<L>, handed: &Handed) -> Option<usize> {
    let transactions = handed.transactions.iter().map(|transaction| transaction.inner().clone()).collect();
    let request = Request::Transactions(transactions);
    for round in 1..=ROUNDS {
        for peer in peers.usable(runtime.current(), handed.next) {
            if peers.ask(runtime, peer, &request, 1024, TAKING).await.is_ok() {
                return Some(peer);
            }
        }
        runtime.sleep(NOBODY * round).await;
    }
    None
}
