use super::*;
use crate::execute::Change;
use alloy_consensus::{SignableTransaction as _, TxLegacy};
use alloy_primitives::{Address, LogData, Signature, U256, map::HashMap};
use commonware_cryptography::sha256::Digest;
use proptest::prelude::*;
use stoa_base::{Block, Receipt, Seal};

/// Small, so that a few blocks are enough to be indexed.
const LIMITS: Limits = Limits { entries: 40, blocks: 6 };

#[derive(Clone, Debug)]
enum Step {
    /// Appends a block that sets keys to values.
    Append(Vec<(u8, Option<u8>)>),
    /// Forgets this many of the newest blocks.
    Truncate(u64),
    /// Closes and opens again.
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let append = proptest::collection::vec((0..12u8, proptest::option::of(1..255u8)), 0..8).prop_map(Step::Append);
    let step = prop_oneof![12 => append, 1 => (1..12u64).prop_map(Step::Truncate), 1 => Just(Step::Reopen)];
    proptest::collection::vec(step, 1..60)
}

/// Keys of which some begin alike.
fn key(n: u8) -> Key {
    let mut bytes = [n / 2; 32];
    bytes[31] = n;
    Digest(bytes)
}

fn leaf(value: u8) -> Leaf {
    Leaf::Slot(U256::from(value))
}

/// The chain as the model has it: each block with the state after it.
#[derive(Default)]
struct Model {
    blocks: Vec<(Committed, HashMap<u8, u8>)>,
    made: u64,
}

impl Model {
    fn append(&mut self, sets: &[(u8, Option<u8>)]) -> (Committed, Arc<Changes>) {
        let mut state = self.blocks.last().map(|(_, state)| state.clone()).unwrap_or_default();
        let mut changes = HashMap::new();
        for (at, value) in sets {
            let old = state.get(at).copied();
            let change = changes.entry(key(*at)).or_insert_with(|| Change { old: old.map(leaf), new: None });
            change.new = value.map(leaf);
            match value {
                Some(value) => state.insert(*at, *value),
                None => state.remove(at),
            };
        }
        self.made += 1;
        let number = self.blocks.len() as u64;
        let transaction = TxLegacy { nonce: self.made, ..TxLegacy::default() };
        let transaction = transaction.into_signed(Signature::test_signature()).into();
        let address = Address::repeat_byte((self.made % 5) as u8);
        let log = alloy_primitives::Log { address, data: LogData::default() };
        let mut logs_bloom = alloy_primitives::Bloom::ZERO;
        logs_bloom.accrue_log(&log);
        let receipt = Receipt {
            tx_type: 0,
            success: true,
            gas_used: 21_000,
            cumulative_gas_used: 21_000,
            effective_gas_price: 1,
            logs: vec![log],
            contract_address: None,
        };
        let header = Header { number, logs_bloom, extra_data: self.made.to_be_bytes().into(), ..Header::default() };
        let committed = Committed {
            block: Arc::new(Block::new(header, Seal::default(), vec![transaction])),
            receipts: Arc::new(vec![receipt]),
            senders: Arc::new(vec![Address::ZERO]),
        };
        self.blocks.push((committed.clone(), state));
        (committed, Arc::new(changes.into_iter().collect()))
    }
}

fn check(history: &History, model: &Model, window: u64, highest: u64) {
    let newest = model.blocks.len() as u64 - 1;
    assert_eq!(history.newest().unwrap(), Some(newest));
    let current = &model.blocks[newest as usize].1;
    for (number, (committed, state)) in (0..).zip(&model.blocks) {
        let kept = history.block(number).unwrap().expect("every block is there");
        assert_eq!(kept.block, committed.block);
        assert_eq!(kept.receipts, committed.receipts);
        assert_eq!(history.header(number).unwrap().as_ref(), Some(committed.block.header()));
        assert_eq!(history.block_number(committed.block.hash()).unwrap(), Some(number));
        let hash = *committed.block.transactions()[0].tx_hash();
        assert!(history.transaction(hash).unwrap().contains(&(number, 0)));
        let filter = LogFilter { addresses: vec![committed.receipts[0].logs[0].address], ..LogFilter::default() };
        let found = history.blocks_with_logs_while(0, newest, &filter, &|| true).unwrap();
        assert!(found.expect("it says something").contains(&number));
        if number + window >= highest {
            assert!(number >= history.oldest_state());
            for at in 0..12 {
                let past = history.value_after(&key(at), number).unwrap();
                let past = past.unwrap_or_else(|| current.get(&at).copied().map(leaf));
                assert_eq!(past, state.get(&at).copied().map(leaf), "key {at} after block {number}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn history_tells_every_past_value_through_indexing_truncation_and_restarts(
        steps in steps(),
        window in prop_oneof![Just(5), Just(u64::MAX)],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let open = || History::open_with(folder.path(), 1 << 20, window, LIMITS).unwrap();
        let mut history = Some(open());
        let mut model = Model::default();
        let mut highest = 0;
        for (at, step) in std::iter::once(Step::Append(vec![])).chain(steps).enumerate() {
            let open_history = history.as_ref().expect("it is open");
            match step {
                Step::Append(sets) => {
                    let (committed, changes) = model.append(&sets);
                    highest = committed.block.number().max(highest);
                    open_history.append(&committed, &changes, at % 16 == 0).unwrap();
                }
                Step::Truncate(count) => {
                    // No further than the old values reach that a ledger would need to go back.
                    let count = count.min(window).min(model.blocks.len() as u64 - 1);
                    model.blocks.truncate(model.blocks.len() - count as usize);
                    open_history.truncate(model.blocks.len() as u64 - 1).unwrap();
                }
                Step::Reopen => {
                    drop(history.take());
                    history = Some(open());
                }
            }
        }
        let history = history.expect("it is open");
        history.settle().unwrap();
        check(&history, &model, window.min(1 << 32), highest);
    }
}

#[test]
fn the_chain_of_another_genesis_file_is_not_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(folder.path(), 1 << 20, 5).unwrap();
    for _ in 0..2 {
        history.check_genesis(&crate::tests::genesis(1)).unwrap();
    }
    let other = history.check_genesis(&crate::tests::genesis(2));
    assert!(matches!(other, Err(LedgerError::OtherGenesis)), "{other:?}");
}

#[test]
fn after_a_way_back_beyond_what_is_kept_old_values_are_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let open = || History::open_with(folder.path(), 1 << 20, 5, LIMITS).unwrap();
    let append = |history: &History, model: &mut Model, count: u8| {
        for n in 0..count {
            let (committed, changes) = model.append(&[(n % 12, Some(n + 1))]);
            history.append(&committed, &changes, false).unwrap();
        }
        history.settle().unwrap();
    };
    let (history, mut model) = (open(), Model::default());
    append(&history, &mut model, 40);
    assert!(history.oldest_state() > 1);
    model.blocks.truncate(1);
    history.truncate(0).unwrap();
    append(&history, &mut model, 4);
    check(&history, &model, 5, 4);
    drop(history);
    check(&open(), &model, 5, 4);
}

#[test]
fn blocks_that_are_taken_in_together_replace_those_that_never_joined_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let open = || History::open_with(folder.path(), 1 << 20, 5, LIMITS).unwrap();
    let (history, mut model) = (open(), Model::default());
    for round in 1..=2 {
        model.blocks.truncate(2);
        let blocks = (0..3).map(|at| model.append(&[(at, Some(round))])).collect::<Vec<_>>();
        history.extend(&blocks, false).unwrap();
    }
    history.settle().unwrap();
    check(&history, &model, 5, 4);
    drop(history);
    check(&open(), &model, 5, 4);
}
