//! Proofs, as a node sends them to a client who does not believe it.

use crate::{CHAIN_ID, Target, signer};
use alloy_primitives::{Address, B256, Bytes, U256, address};
use commonware_runtime::{Runner as _, deterministic};
use commonware_utils::NZUsize;
use std::sync::LazyLock;
use stoa_base::{Account, Genesis};
use stoa_client::{ProofReply, ProvenAccount, SlotProof};
use stoa_ledger::{Direct, Ledger, LedgerConfig};

/// Proofs, as a node sends them to a client who does not believe it.
pub const TARGET: Target = Target { name: "proof", run, seeds };

/// Has a balance, code and a slot.
const CONTRACT: Address = address!("00000000000000000000000000000000000000cc");
/// Has nothing.
const NOBODY: Address = address!("00000000000000000000000000000000000000dd");

/// A question, its true answer, and what that shows.
struct Example {
    address: Address,
    slots: Vec<U256>,
    reply: ProofReply,
    shows: ProvenAccount,
}

/// One block, and what can be asked of it.
static EXAMPLES: LazyLock<[Example; 3]> = LazyLock::new(|| {
    let history = tempfile::tempdir().expect("there is room for temporary files");
    let rich = Account { balance: U256::from(10).pow(U256::from(24)), ..Account::default() };
    let mut alloc: std::collections::BTreeMap<_, _> = (0..20).map(|n| (signer(n).address(), rich.clone())).collect();
    let storage = [(B256::with_last_byte(1), B256::with_last_byte(42))].into();
    alloc.insert(CONTRACT, Account { code: Bytes::from_static(&[0x00]), storage, ..rich });
    let genesis = Genesis {
        chain_id: CHAIN_ID,
        timestamp: 1_700_000_000,
        gas_limit: 30_000_000,
        fees: Default::default(),
        development: true,
        epoch_length: stoa_base::EPOCH_LENGTH,
        committee: None,
        alloc,
    };
    deterministic::Runner::seeded(0).start(async |runtime| {
        let config = LedgerConfig::new(history.path());
        let direct = Direct::open(runtime, genesis, config, 1 << 20, NZUsize!(1)).await.expect("a new chain opens");
        let ledger = direct.ledger();
        [
            example(ledger, signer(0).address(), vec![]).await,
            example(ledger, CONTRACT, vec![U256::from(1), U256::from(2)]).await,
            example(ledger, NOBODY, vec![U256::ZERO]).await,
        ]
    })
});

async fn example(ledger: &Ledger, address: Address, slots: Vec<U256>) -> Example {
    let proof = ledger.prove(None, address, &slots).await.expect("the newest block is proven");
    let storage = slots.iter().zip(&proof.slots).map(|(key, proof)| SlotProof { key: *key, proof: proof.to_bytes() });
    let reply = ProofReply {
        header: alloy_rlp::encode(proof.block.header()).into(),
        block_hash: proof.block.hash(),
        block_number: U256::from(proof.block.number()),
        account_proof: proof.account.to_bytes(),
        storage_proof: storage.collect(),
    };
    let shows = reply.verify(reply.block_hash, address, &slots).expect("a true answer is believed");
    Example { address, slots, reply, shows }
}

/// The parts of an answer that can be forged: the header, the account's proof, then the slots'.
fn parts(reply: &mut ProofReply) -> Vec<&mut Bytes> {
    let ProofReply { header, account_proof, storage_proof, .. } = reply;
    [header, account_proof].into_iter().chain(storage_proof.iter_mut().map(|slot| &mut slot.proof)).collect()
}

/// Every part of every true answer.
fn places() -> impl Iterator<Item = (&'static Example, usize)> {
    EXAMPLES.iter().flat_map(|example| (0..parts(&mut example.reply.clone()).len()).map(move |part| (example, part)))
}

/// The first byte says which part of which answer the others take the place of.
fn run(bytes: &[u8]) -> bool {
    let Some((place, bytes)) = bytes.split_first() else { return false };
    let Some((example, part)) = places().nth(usize::from(*place)) else { return false };
    let mut forged = example.reply.clone();
    *parts(&mut forged)[part] = Bytes::copy_from_slice(bytes);
    let Ok(shown) = forged.verify(example.reply.block_hash, example.address, &example.slots) else { return false };
    assert_eq!(shown, example.shows, "only the truth is proven");
    true
}

fn seeds() -> Vec<Vec<u8>> {
    let seed = |(place, (example, part)): (usize, (&Example, usize))| {
        [&[place as u8], parts(&mut example.reply.clone())[part].as_ref()].concat()
    };
    places().enumerate().map(seed).collect()
}
