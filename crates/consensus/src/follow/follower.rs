//! A node that follows the chain.

use super::{
    Certificate, FollowError, LATE, Lie, Link, NOBODY, PATIENCE, Peers, Request, Verifier,
    messages::{Blocks, MOST_BLOCKS},
    pass_on::pass_on,
    serve::{REACH, WAIT},
    take_over::TakeOver,
};
use crate::{
    BLOCK_OVERHEAD,
    application::{Waiting, recover},
    block::SealedBlock,
    floor::{Floor, says_who_agrees},
};
use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use commonware_runtime::Handle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stoa_ledger::{
    Committed, Direct, InvalidBlock, Ledger, LedgerError,
    state::{Runtime, StateConfig},
};

/// After how many blocks what is needed no longer is given up.
const PRUNE: u64 = 1000;

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
        let max_bytes = options.max_bytes;
        let take_over = TakeOver { runtime: &runtime, ledger: &ledger, peers: &peers, verifier: &verifier, max_bytes };
        let taken = match from {
            Some(from) => take_over.run(state.clone(), from).await?,
            None => None,
        };
        let join = async |state| Direct::join(runtime.child("chain"), ledger.clone(), state).await;
        let direct = match taken {
            Some(state) => join(state).await?,
            None => match Direct::reopen(runtime.child("chain"), ledger.clone(), state.clone()).await {
                // A power cut may leave the state ahead of the history.
                Err(LedgerError::Damaged(why)) => {
                    tracing::warn!(why, "state and history do not belong together: the state is taken over anew");
                    let taken = take_over.run(state, 1).await?;
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
                // Nobody would ever be given the first of them, or a proof of it, by who has no other certificate.
                Some((blocks, _)) if blocks.len() as u64 > REACH + 1 => Err(Lie::Malformed),
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

/// What a peer has given: blocks that a quorum has signed, or none yet.
type Batch = (Vec<SealedBlock>, Option<Certificate>);

/// What was asked for.
struct Asked {
    from: u64,
    peer: usize,
    answer: Handle<Option<Batch>>,
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
