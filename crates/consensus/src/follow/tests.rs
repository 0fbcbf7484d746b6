mod handing;
mod serving;
mod slow;

use super::*;
use crate::{
    Committee, Identity, Scheme,
    block::{Context, encode_seal},
    tests::{List, RECIPIENT, genesis as genesis_of, signer, transfer, with_stack},
    validator::namespace_of,
};
use alloy_primitives::{Address, B256, U256};
use commonware_codec::Encode as _;
use commonware_consensus::{
    simplex::types::{Finalize, Proposal},
    types::{Epoch, Round, View},
};
use commonware_cryptography::sha256::Digest;
use commonware_parallel::Sequential;
use commonware_runtime::{Clock as _, Runner as _, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::{NZU32, NZUsize, non_empty};
use futures::{FutureExt as _, future::BoxFuture};
use rand::{SeedableRng as _, rngs::StdRng};
use std::{sync::Arc, time::Duration};
use stoa_base::{Genesis, Recovered};
use stoa_ledger::{
    Direct, Ledger, LedgerConfig, LedgerError,
    execute::{Choices, Refusal, Transactions},
    state,
};
use tempfile::TempDir;

const MAX_BYTES: usize = 1 << 20;

/// Longer than anything takes.
const LONG: Duration = Duration::from_secs(600);

type Runtime = deterministic::Context;

/// A chain whose blocks its validators sign.
struct Chain {
    direct: Direct<Runtime>,
    committee: Committee,
    signers: Vec<Scheme>,
    _folder: TempDir,
}

/// Transactions in a row.
struct All(Vec<Arc<Recovered>>);

impl Transactions for All {
    fn next(&mut self, _: u64) -> Option<Arc<Recovered>> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    fn refuse(&mut self, _: &Recovered, why: Refusal) -> Result<(), Refusal> {
        Err(why)
    }
}

fn committee(seed: u64) -> (Committee, Vec<Identity>) {
    Committee::deal(&mut StdRng::seed_from_u64(seed), NZU32!(4))
}

fn config(folder: &TempDir) -> LedgerConfig {
    LedgerConfig { durable: false, ..LedgerConfig::new(folder.path()) }
}

impl Chain {
    /// One whose storage is called `name`, with a committee dealt from a seed.
    async fn open(runtime: &Runtime, name: &'static str, seed: u64) -> Self {
        let (committee, identities) = committee(seed);
        let folder = tempfile::tempdir().unwrap();
        let layout = state::config(runtime, name, 1 << 20, NZUsize!(1));
        let genesis = genesis_of(&committee, 1);
        let ledger = Ledger::open(runtime.child(name), genesis, config(&folder), layout.clone()).await.unwrap();
        let direct = Direct::reopen(runtime.child(name), ledger, layout).await.unwrap();
        let namespace = namespace_of(direct.ledger().first().hash());
        let signers = identities.iter().map(|identity| committee.signer(&namespace, identity).unwrap()).collect();
        Self { direct, committee, signers, _folder: folder }
    }

    fn ledger(&self) -> &Ledger {
        self.direct.ledger()
    }

    fn certificate(&self, hash: B256, number: u64) -> Certificate {
        let round = Round::new(Epoch::zero(), View::new(number));
        let proposal = Proposal { round, parent: View::new(number - 1), payload: Digest(hash.0) };
        let votes = self.signers.iter().map(|signer| Finalize::sign(signer, proposal.clone()).unwrap());
        let votes = votes.collect::<Vec<_>>();
        Certificate::from_finalizes(&self.signers[0], non_empty![@votes.iter()], &Sequential).unwrap()
    }

    /// Adds a block with a transfer; `beneficiary` makes it differ from another of the same height.
    async fn grow(&mut self, beneficiary: Address, certified: bool) {
        let head = self.ledger().head();
        let number = head.number() + 1;
        let context = Context {
            round: Round::new(Epoch::zero(), View::new(number)),
            leader: self.committee.validators()[0].clone(),
            parent: (View::zero(), Digest(head.hash().0)),
        };
        let choices = Choices {
            timestamp: head.header().timestamp + 1,
            beneficiary,
            prevrandao: B256::ZERO,
            base_fee: None,
            gas_limit: None,
        };
        let transfers = vec![transfer(number - 1)];
        let (committed, _) =
            self.direct.mine(&choices, encode_seal(&context, None, None), Box::new(All(transfers)), &[]).await.unwrap();
        if certified {
            let certificate = self.certificate(committed.block.hash(), number);
            self.ledger().certify(number, &certificate.encode()).unwrap();
        }
    }

    /// Adds so many blocks, of which every third has no certificate of its own.
    async fn grow_by(&mut self, count: u64) {
        for left in (0..count).rev() {
            self.grow(Address::ZERO, left % 3 != 2).await;
        }
    }
}

type Ask = Arc<dyn Fn(Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, String>> + Send + Sync>;

/// Peers in the same process.
#[derive(Clone)]
struct Here(Arc<Vec<Ask>>);

impl Link for Here {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn name(&self, peer: usize) -> String {
        peer.to_string()
    }

    fn ask(
        &self,
        peer: usize,
        request: Vec<u8>,
        most: usize,
    ) -> impl Future<Output = Result<Vec<u8>, String>> + Send + use<> {
        let answer = (self.0[peer])(request);
        async move {
            let answer = answer.await?;
            if answer.len() > most { Err("it is too large".into()) } else { Ok(answer) }
        }
    }
}

fn honest(runtime: &Runtime, ledger: &Ledger, waiting: List) -> Ask {
    let server = Server::new(runtime.child("server"), ledger.clone(), waiting);
    Arc::new(move |request| {
        let server = server.clone();
        async move { Ok(server.answer(&request, true).await) }.boxed()
    })
}

/// A peer that changes what an honest one would answer to requests of this kind.
fn lying(honest: Ask, kind: u8, lie: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Ask {
    let lie = Arc::new(lie);
    Arc::new(move |request| {
        let (asked, lie) = (request.first() == Some(&kind), lie.clone());
        let answer = honest(request);
        async move {
            let answer = answer.await?;
            Ok(if asked { lie(answer) } else { answer })
        }
        .boxed()
    })
}

/// A follower, with the folder of its history.
struct Following {
    follower: Follower<Runtime, Here, List>,
    peers: Peers<Here>,
}

async fn follow(
    runtime: &Runtime,
    name: &'static str,
    genesis: Genesis,
    folder: &TempDir,
    peers: Vec<Ask>,
    start: Start,
) -> Result<Following, FollowError> {
    let layout = state::config(runtime, name, 1 << 20, NZUsize!(1));
    let ledger = Ledger::open(runtime.child(name), genesis, config(folder), layout.clone()).await?;
    let peers = Peers::new(Here(Arc::new(peers)));
    let options = Options { start, max_bytes: MAX_BYTES };
    let follower = Follower::open(runtime.child(name), ledger, layout, peers.clone(), List::default(), options).await?;
    Ok(Following { follower, peers })
}

/// Runs on the deterministic runtime, with a stack that unoptimized futures fit on.
fn simulate<T: Send>(test: impl AsyncFnOnce(Runtime) -> T + Send) -> T {
    with_stack(|| deterministic::Runner::default().start(async |runtime| Box::pin(test(runtime)).await))
}

fn lies(peers: &Peers<Here>, runtime: &Runtime) -> Vec<Option<Lie>> {
    peers.status(runtime.current()).into_iter().map(|status| status.lie).collect()
}

#[test]
fn a_follower_executes_all_blocks_and_serves_another() {
    simulate(async |runtime| {
        let mut chain = Chain::open(&runtime, "validators", 1).await;
        chain.grow_by(20).await;
        let (genesis, folders) = (chain.ledger().genesis().clone(), [tempfile::tempdir(), tempfile::tempdir()]);
        let [first, second] = folders.map(Result::unwrap);
        let peers = vec![honest(&runtime, chain.ledger(), List::default())];
        let following = follow(&runtime, "first", genesis.clone(), &first, peers, Start::Blocks).await.unwrap();
        let ledger = following.follower.ledger().clone();
        runtime.child("follower").spawn(move |_| following.follower.run().map(drop));
        let peers = vec![honest(&runtime, &ledger, List::default())];
        let following = follow(&runtime, "second", genesis, &second, peers, Start::Blocks).await.unwrap();
        let far = following.follower.ledger().clone();
        runtime.child("follower").spawn(move |_| following.follower.run().map(drop));
        // Blocks go on to come; the last has a certificate.
        for _ in 0..5 {
            chain.grow_by(1).await;
            runtime.sleep(Duration::from_secs(1)).await;
        }
        for ledger in [&ledger, &far] {
            assert_eq!(ledger.head().hash(), chain.ledger().head().hash());
            assert_eq!(ledger.state(25).unwrap().balance(RECIPIENT).unwrap(), U256::from(25));
            let receipts = ledger.block(7).unwrap().unwrap().receipts;
            assert_eq!(receipts, chain.ledger().block(7).unwrap().unwrap().receipts);
            assert_eq!(ledger.certificate_from(25).unwrap(), chain.ledger().certificate_from(25).unwrap());
        }
    });
}

#[test]
fn a_new_node_takes_over_the_state_and_goes_on() {
    simulate(async |runtime| {
        let mut chain = Chain::open(&runtime, "validators", 1).await;
        chain.grow_by(300).await;
        let genesis = chain.ledger().genesis().clone();
        let folders = [tempfile::tempdir(), tempfile::tempdir()].map(Result::unwrap);
        let start = Start::State { from: 100 };
        let source = honest(&runtime, chain.ledger(), List::default());
        let mut following =
            follow(&runtime, "first", genesis.clone(), &folders[0], vec![source.clone()], start).await.unwrap();
        let ledger = following.follower.ledger().clone();
        assert_eq!(ledger.head().hash(), chain.ledger().head().hash());
        assert_eq!(ledger.state(300).unwrap().balance(RECIPIENT).unwrap(), U256::from(300));
        // Contracts may ask for the hashes of 256 blocks: these are here with all else, the others are not.
        let past = ledger.block(44).unwrap().unwrap();
        assert_eq!(past.receipts, chain.ledger().block(44).unwrap().unwrap().receipts);
        assert_eq!(ledger.transaction(*transfer(43).tx_hash()).unwrap(), Some((44, 0)));
        assert!(matches!(ledger.block(43), Err(LedgerError::NotKept { asked: 43, first: 44 })));
        assert!(matches!(ledger.logs(0, 300, &Default::default(), 10), Err(LedgerError::NotKept { .. })));
        assert!(matches!(ledger.state(299), Err(LedgerError::Pruned { .. })));

        chain.grow_by(4).await;
        following.follower.catch_up(304, LONG).await.unwrap();
        assert_eq!(ledger.state(304).unwrap().balance(RECIPIENT).unwrap(), U256::from(304));
        assert_eq!(ledger.state(301).unwrap().balance(RECIPIENT).unwrap(), U256::from(301));
        let proof = ledger.prove(None, signer(0).address(), &[]).await.unwrap();
        assert_eq!(proof.block.header().state_root, chain.ledger().head().header().state_root);

        // One that starts from this one.
        let peers = vec![honest(&runtime, &ledger, List::default())];
        let other = follow(&runtime, "second", genesis.clone(), &folders[1], peers, start).await.unwrap();
        assert_eq!(other.follower.ledger().head().hash(), ledger.head().hash());

        // After a restart it goes on where it was.
        drop((following, other, ledger));
        chain.grow_by(1).await;
        let mut following = follow(&runtime, "first", genesis, &folders[0], vec![source], start).await.unwrap();
        assert_eq!(following.follower.ledger().head().number(), 304);
        following.follower.catch_up(305, LONG).await.unwrap();
        assert_eq!(following.follower.ledger().head().hash(), chain.ledger().head().hash());
    });
}

#[test]
fn a_take_over_that_was_interrupted_is_finished_by_the_next_start() {
    simulate(async |runtime| {
        let mut chain = Chain::open(&runtime, "validators", 1).await;
        chain.grow_by(60).await;
        let (genesis, folder) = (chain.ledger().genesis().clone(), tempfile::tempdir().unwrap());
        let source = honest(&runtime, chain.ledger(), List::default());
        // Gives the state's log, and is gone before the blocks are asked for.
        let gone = lying(source.clone(), 3, |_| Vec::new());
        let start = Start::State { from: 10 };
        let stopped = futures::select_biased! {
            done = Box::pin(follow(&runtime, "first", genesis.clone(), &folder, vec![gone], start)).fuse() => done.is_ok(),
            () = Box::pin(runtime.sleep(Duration::from_secs(5))).fuse() => false,
        };
        assert!(!stopped, "nobody gave it the blocks");
        chain.grow_by(3).await;
        // Whatever is asked for now: what was begun has to be finished.
        let following = follow(&runtime, "first", genesis, &folder, vec![source], Start::Blocks).await.unwrap();
        assert_eq!(following.follower.ledger().head().hash(), chain.ledger().head().hash());
    });
}

/// Copies a folder.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

#[test]
fn a_history_that_lacks_what_the_state_has_is_made_good_by_the_peers() {
    simulate(async |runtime| {
        let mut chain = Chain::open(&runtime, "validators", 1).await;
        chain.grow_by(10).await;
        let genesis = chain.ledger().genesis().clone();
        let folders = [tempfile::tempdir(), tempfile::tempdir()].map(Result::unwrap);
        let source = || vec![honest(&runtime, chain.ledger(), List::default())];
        let mut following =
            follow(&runtime, "first", genesis.clone(), &folders[0], source(), Start::Blocks).await.unwrap();
        following.follower.catch_up(10, LONG).await.unwrap();
        drop(following);
        // The history as it was before the last blocks, beside the state as it is after them.
        copy(folders[0].path(), folders[1].path());
        chain.grow_by(6).await;
        let source = || vec![honest(&runtime, chain.ledger(), List::default())];
        let mut following =
            follow(&runtime, "first", genesis.clone(), &folders[0], source(), Start::Blocks).await.unwrap();
        following.follower.catch_up(16, LONG).await.unwrap();
        drop(following);
        let following = follow(&runtime, "first", genesis, &folders[1], source(), Start::Blocks).await.unwrap();
        let ledger = following.follower.ledger();
        assert_eq!(ledger.head().hash(), chain.ledger().head().hash());
        assert_eq!(ledger.state(16).unwrap().balance(RECIPIENT).unwrap(), U256::from(16));
        assert_eq!(ledger.block(12).unwrap().unwrap().receipts, chain.ledger().block(12).unwrap().unwrap().receipts);
    });
}

#[test]
fn whoever_waits_for_a_block_in_vain_is_answered_all_the_same() {
    simulate(async |runtime| {
        let mut chain = Chain::open(&runtime, "validators", 1).await;
        chain.grow_by(3).await;
        let peer = honest(&runtime, chain.ledger(), List::default());
        for from in [4, 5, 1 << 40, u64::MAX] {
            let answer = peer(Request::Blocks { from }.encode()).await.unwrap();
            let answer = messages::decode_answer(&answer).unwrap().unwrap();
            assert!(messages::Blocks::read(answer, MAX_BYTES).unwrap().0.is_empty());
        }
        for request in [Request::Past { to: u64::MAX, count: u64::MAX }, Request::Past { to: 4, count: 1 }] {
            let answer = peer(request.encode()).await.unwrap();
            assert!(messages::decode_answer(&answer).unwrap().is_err());
        }
    });
}

#[test]
fn who_has_no_certificate_yet_says_so() {
    simulate(async |runtime| {
        let chain = Chain::open(&runtime, "validators", 1).await;
        let peer = honest(&runtime, chain.ledger(), List::default());
        let answer = peer(Request::Tip.encode()).await.unwrap();
        let why = messages::decode_answer(&answer).unwrap().unwrap_err();
        assert_eq!(why, "it has no certificate yet");
    });
}

#[test]
fn peers_that_lie_are_noticed_and_left() {
    // What the liar makes of an answer, given also that of another chain; and what it is caught with.
    type Case = (u8, fn(Vec<u8>, &[u8]) -> Vec<u8>, fn(&Lie) -> bool);
    let cases: [Case; 7] = [
        (2, |_, _| vec![7, 7, 7], |lie| *lie == Lie::Malformed),
        (2, |_, _| vec![0, 0xc1], |lie| *lie == Lie::Malformed),
        // Another chain's blocks, signed by others.
        (2, |_, other| other.to_vec(), |lie| *lie == Lie::Certificate),
        // A certificate that was damaged.
        (
            2,
            |mut answer, _| {
                let last = answer.len() - 1;
                answer[last] ^= 1;
                answer
            },
            |lie| matches!(lie, Lie::Malformed | Lie::Certificate),
        ),
        // The first block is missing.
        (
            2,
            |answer, _| {
                let (blocks, certificate) = messages::Blocks::read(&answer[1..], 2 * MAX_BYTES).unwrap();
                let blocks = messages::Blocks::new(&blocks[1..], certificate.unwrap().encode().to_vec().into());
                messages::encode_answer(Ok(messages::encode(&blocks)))
            },
            |lie| *lie == Lie::Chain(1),
        ),
        // More blocks than one certificate is to prove.
        (
            2,
            |answer, _| {
                let (blocks, certificate) = messages::Blocks::read(&answer[1..], 2 * MAX_BYTES).unwrap();
                let many = vec![blocks[0].clone(); REACH as usize + 2];
                let many = messages::Blocks::new(&many, certificate.unwrap().encode().to_vec().into());
                messages::encode_answer(Ok(messages::encode(&many)))
            },
            |lie| *lie == Lie::Malformed,
        ),
        // An old certificate under newer blocks.
        (
            2,
            |answer, _| {
                let (blocks, certificate) = messages::Blocks::read(&answer[1..], 2 * MAX_BYTES).unwrap();
                let shorter = &blocks[..blocks.len() - 1];
                let shorter = messages::Blocks::new(shorter, certificate.unwrap().encode().to_vec().into());
                messages::encode_answer(Ok(messages::encode(&shorter)))
            },
            |lie| *lie == Lie::OtherBlock,
        ),
    ];
    for (kind, lie, caught) in cases {
        simulate(async move |runtime| {
            let mut chain = Chain::open(&runtime, "validators", 1).await;
            chain.grow_by(10).await;
            let mut other = Chain::open(&runtime, "others", 2).await;
            other.grow_by(10).await;
            let theirs = honest(&runtime, other.ledger(), List::default())(Request::Blocks { from: 1 }.encode());
            let theirs = theirs.await.unwrap();
            let (genesis, folder) = (chain.ledger().genesis().clone(), tempfile::tempdir().unwrap());
            let good = honest(&runtime, chain.ledger(), List::default());
            let peers = vec![lying(good.clone(), kind, move |answer| lie(answer, &theirs)), good];
            let mut following = follow(&runtime, "first", genesis, &folder, peers, Start::Blocks).await.unwrap();
            following.follower.catch_up(10, LONG).await.unwrap();
            assert_eq!(following.follower.ledger().head().hash(), chain.ledger().head().hash());
            let lies = lies(&following.peers, &runtime);
            assert!(lies[0].as_ref().is_some_and(caught), "{lies:?}");
            assert_eq!(lies[1], None);
        });
    }
}

#[test]
fn a_newest_block_with_the_highest_number_that_there_is_is_a_lie_as_any_other() {
    simulate(async |runtime| {
        let mut chain = Chain::open(&runtime, "validators", 1).await;
        chain.grow_by(3).await;
        let head = chain.ledger().head();
        let mut header = head.header().clone();
        header.number = u64::MAX;
        let block = stoa_base::Block::new(header, head.seal().clone(), head.transactions().to_vec());
        let block = crate::SealedBlock::new(Arc::new(block)).unwrap();
        let certificate = chain.certificate(head.hash(), 3).encode().to_vec();
        let forged = messages::encode(&messages::Blocks::new(&[block], certificate.into()));
        let forged = messages::encode_answer(Ok(forged));
        let peers = vec![lying(honest(&runtime, chain.ledger(), List::default()), 1, move |_| forged.clone())];
        let peers = Peers::new(Here(Arc::new(peers)));
        let verifier = Verifier::of(chain.ledger()).unwrap();
        assert_eq!(newest(&runtime, &peers, &verifier, MAX_BYTES, LONG).await, None);
        assert_eq!(lies(&peers, &runtime), [Some(Lie::OtherBlock)]);
    });
}

#[test]
fn a_block_with_the_transactions_of_another_is_the_peers_lie_and_not_the_validators() {
    simulate(async |runtime| {
        let mut chain = Chain::open(&runtime, "validators", 1).await;
        chain.grow_by(3).await;
        let (genesis, folder) = (chain.ledger().genesis().clone(), tempfile::tempdir().unwrap());
        let good = honest(&runtime, chain.ledger(), List::default());
        let swap = |answer: Vec<u8>| {
            let (blocks, certificate) = messages::Blocks::read(&answer[1..], 2 * MAX_BYTES).unwrap();
            let swapped = |block: &crate::SealedBlock| {
                let block = block.block();
                let transactions = vec![transfer(99).inner().clone()];
                let block = stoa_base::Block::new(block.header().clone(), block.seal().clone(), transactions);
                crate::SealedBlock::new(Arc::new(block)).unwrap()
            };
            let blocks = blocks.iter().map(swapped).collect::<Vec<_>>();
            let blocks = messages::Blocks::new(&blocks, certificate.unwrap().encode().to_vec().into());
            messages::encode_answer(Ok(messages::encode(&blocks)))
        };
        let peers = vec![lying(good.clone(), 2, swap), good];
        let mut following = follow(&runtime, "first", genesis, &folder, peers, Start::Blocks).await.unwrap();
        following.follower.catch_up(3, LONG).await.unwrap();
        assert_eq!(lies(&following.peers, &runtime), [Some(Lie::Contents(1)), None]);
    });
}

#[test]
fn a_peer_that_keeps_blocks_back_is_noticed() {
    simulate(async |runtime| {
        let mut chain = Chain::open(&runtime, "validators", 1).await;
        chain.grow_by(10).await;
        let (genesis, folder) = (chain.ledger().genesis().clone(), tempfile::tempdir().unwrap());
        let good = honest(&runtime, chain.ledger(), List::default());
        // The chain's time is long past: whoever says now that there is no block lies.
        runtime.sleep(Duration::from_secs(60)).await;
        let nothing = messages::encode_answer(Ok(messages::encode(&messages::Blocks::new(&[], Default::default()))));
        let peers = vec![lying(good.clone(), 2, move |_| nothing.clone()), good];
        let mut following = follow(&runtime, "first", genesis, &folder, peers, Start::Blocks).await.unwrap();
        following.follower.catch_up(10, LONG).await.unwrap();
        assert_eq!(lies(&following.peers, &runtime), [None, None], "it may have been late");
        runtime.sleep(Duration::from_secs(60)).await;
        assert_eq!(lies(&following.peers, &runtime), [Some(Lie::Withheld(1)), None]);
    });
}

#[test]
fn a_peer_that_had_no_block_while_none_became_final_is_not_left() {
    simulate(async |runtime| {
        let mut chain = Chain::open(&runtime, "validators", 1).await;
        chain.grow_by(3).await;
        let (genesis, folder) = (chain.ledger().genesis().clone(), tempfile::tempdir().unwrap());
        let peers = vec![honest(&runtime, chain.ledger(), List::default())];
        let mut following = follow(&runtime, "first", genesis, &folder, peers, Start::Blocks).await.unwrap();
        following.follower.catch_up(4, Duration::from_secs(60)).await.unwrap();
        assert_eq!(following.follower.ledger().head().number(), 3, "there is no other yet");
        // It was made long ago, and is final now.
        chain.grow_by(1).await;
        following.follower.catch_up(4, LONG).await.unwrap();
        assert_eq!(following.follower.ledger().head().hash(), chain.ledger().head().hash());
        for _ in 0..60 {
            assert_eq!(lies(&following.peers, &runtime), [None]);
            runtime.sleep(Duration::from_secs(1)).await;
        }
    });
}

#[test]
fn a_part_of_the_state_that_is_not_committed_to_is_noticed() {
    simulate(async |runtime| {
        let mut chain = Chain::open(&runtime, "validators", 1).await;
        chain.grow_by(60).await;
        let (genesis, folder) = (chain.ledger().genesis().clone(), tempfile::tempdir().unwrap());
        let good = honest(&runtime, chain.ledger(), List::default());
        let damage = |mut answer: Vec<u8>| {
            // In the value of an operation: it can still be read.
            let last = answer.len() - 5;
            answer[last] ^= 1;
            answer
        };
        let peers = vec![lying(good.clone(), 4, damage), good];
        let start = Start::State { from: 10 };
        let following = follow(&runtime, "first", genesis, &folder, peers, start).await.unwrap();
        assert_eq!(following.follower.ledger().head().hash(), chain.ledger().head().hash());
        let lies = lies(&following.peers, &runtime);
        assert!(matches!(lies[..], [Some(Lie::State | Lie::Malformed), None]), "{lies:?}");
    });
}

#[test]
fn two_chains_that_the_validators_have_signed_are_a_fork() {
    simulate(async |runtime| {
        let mut one = Chain::open(&runtime, "one", 1).await;
        let mut two = Chain::open(&runtime, "two", 1).await;
        one.grow_by(3).await;
        for _ in 0..5 {
            two.grow(Address::repeat_byte(9), true).await;
        }
        let (genesis, folder) = (one.ledger().genesis().clone(), tempfile::tempdir().unwrap());
        let peers = vec![honest(&runtime, one.ledger(), List::default())];
        let mut following = follow(&runtime, "first", genesis.clone(), &folder, peers, Start::Blocks).await.unwrap();
        following.follower.catch_up(3, LONG).await.unwrap();
        drop(following);
        let peers = vec![honest(&runtime, two.ledger(), List::default())];
        let mut following = follow(&runtime, "first", genesis, &folder, peers, Start::Blocks).await.unwrap();
        let error = following.follower.catch_up(5, LONG).await.unwrap_err();
        let (ours, theirs) = (one.ledger().head().hash(), two.ledger().block(3).unwrap().unwrap().block.hash());
        assert!(
            matches!(error, FollowError::Fork { number: 3, ours: a, theirs: b } if (a, b) == (ours, theirs)),
            "{error}"
        );
        assert_eq!(following.follower.ledger().head().number(), 3);
    });
}

#[test]
fn a_signed_block_that_breaks_the_rules_stops_the_follower() {
    simulate(async |runtime| {
        let mut chain = Chain::open(&runtime, "validators", 1).await;
        chain.grow_by(1).await;
        let (genesis, folder) = (chain.ledger().genesis().clone(), tempfile::tempdir().unwrap());
        let block = chain.ledger().head();
        let mut header = block.header().clone();
        header.state_root = B256::repeat_byte(1);
        let block = stoa_base::Block::new(header, block.seal().clone(), block.transactions().to_vec());
        let certificate = chain.certificate(block.hash(), 1).encode().to_vec();
        let block = crate::SealedBlock::new(Arc::new(block)).unwrap();
        let forged = messages::encode(&messages::Blocks::new(&[block], certificate.into()));
        let forged = messages::encode_answer(Ok(forged));
        let peers = vec![lying(honest(&runtime, chain.ledger(), List::default()), 2, move |_| forged.clone())];
        let mut following = follow(&runtime, "first", genesis, &folder, peers, Start::Blocks).await.unwrap();
        let error = following.follower.catch_up(1, LONG).await.unwrap_err();
        assert!(matches!(error, FollowError::Rules { number: 1, .. }), "{error}");
        assert_eq!(following.follower.ledger().head().number(), 0);
    });
}

#[test]
fn the_genesis_file_is_that_of_the_chain_that_the_network_key_signs() {
    simulate(async |runtime| {
        let mut chain = Chain::open(&runtime, "validators", 1).await;
        chain.grow_by(3).await;
        let mut other = Chain::open(&runtime, "others", 2).await;
        other.grow_by(3).await;
        let good = honest(&runtime, chain.ledger(), List::default());
        // One with the right committee, in which somebody has more coins.
        let richer = lying(good.clone(), 0, |answer| {
            let mut genesis = serde_json::from_slice::<Genesis>(&answer[1..]).unwrap();
            genesis.alloc.entry(Address::repeat_byte(0x66)).or_default().balance = U256::from(1);
            messages::encode_answer(Ok(serde_json::to_vec(&genesis).unwrap()))
        });
        let peers = vec![honest(&runtime, other.ledger(), List::default()), richer, good];
        let peers = Peers::new(Here(Arc::new(peers)));
        let found = genesis(&runtime, &peers, chain.committee.network_key(), MAX_BYTES, 1).await.unwrap();
        assert_eq!(found, *chain.ledger().genesis());
        assert_eq!(lies(&peers, &runtime), [Some(Lie::Genesis), Some(Lie::Genesis), None]);
        let nobody = Peers::new(Here(Arc::new(Vec::new())));
        let error = genesis(&runtime, &nobody, chain.committee.network_key(), MAX_BYTES, 1).await.unwrap_err();
        assert!(matches!(error, FollowError::NoChain(_)), "{error}");
    });
}

#[test]
fn a_followers_transactions_reach_those_that_it_follows() {
    simulate(async |runtime| {
        let chain = Chain::open(&runtime, "validators", 1).await;
        let (genesis, folder) = (chain.ledger().genesis().clone(), tempfile::tempdir().unwrap());
        let taken = List::default();
        let peers = Peers::new(Here(Arc::new(vec![honest(&runtime, chain.ledger(), taken.clone())])));
        let layout = state::config(&runtime, "first", 1 << 20, NZUsize!(1));
        let ledger = Ledger::open(runtime.child("first"), genesis, config(&folder), layout.clone()).await.unwrap();
        let given = List::new((0..3).map(transfer).collect());
        let options = Options { start: Start::Blocks, max_bytes: MAX_BYTES };
        let follower = Follower::open(runtime.child("first"), ledger, layout, peers, given, options).await.unwrap();
        runtime.child("follower").spawn(move |_| follower.run().map(drop));
        runtime.sleep(Duration::from_secs(1)).await;
        let best = crate::Waiting::best(&taken, 0, u64::MAX, &Default::default());
        let hashes =
            |list: &[Arc<Recovered>]| list.iter().map(|transaction| *transaction.tx_hash()).collect::<Vec<_>>();
        assert_eq!(hashes(&best), hashes(&(0..3).map(transfer).collect::<Vec<_>>()));
    });
}

#[test]
fn requests_are_read_as_they_were_written_and_nothing_else_is() {
    let requests = [
        Request::Genesis,
        Request::Tip,
        Request::Blocks { from: 7 },
        Request::Past { to: 7, count: 3 },
        Request::Transactions(vec![transfer(0).inner().clone()]),
    ];
    for request in requests {
        let bytes = request.encode();
        assert_eq!(Request::decode(&bytes).unwrap().encode(), bytes);
        for cut in 0..bytes.len() {
            assert!(Request::decode(&bytes[..cut]).is_none_or(|other| other.encode() == bytes[..cut]));
        }
    }
    for bytes in [&[][..], &[9], &[0, 0], &[2, 1], &[4, 1], &[5, 0x81]] {
        assert!(Request::decode(bytes).is_none(), "{bytes:?}");
    }
}
