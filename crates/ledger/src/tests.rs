use crate::{
    Direct, LedgerConfig, LedgerError, Set,
    execute::{Choices, Refusal, Transactions},
    state::{Leaf, account_key, verify_key},
};
use alloy_consensus::{SignableTransaction, TxEip1559, transaction::Recovered as AlloyRecovered};
use alloy_primitives::{Address, B256, TxKind, U256, address, hex};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use commonware_runtime::{Runner as _, deterministic, tokio};
use commonware_utils::NZUsize;
use std::{collections::BTreeSet, sync::Arc};
use stoa_base::{Account, Genesis, Recovered};

pub(crate) const RECIPIENT: Address = address!("00000000000000000000000000000000000000aa");

pub(crate) fn signer(n: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(n + 1)).unwrap()
}

pub(crate) fn genesis(signers: u8) -> Genesis {
    let rich = Account { balance: U256::from(10).pow(U256::from(24)), ..Account::default() };
    Genesis {
        chain_id: 31337,
        timestamp: 1_700_000_000,
        gas_limit: 30_000_000,
        fees: Default::default(),
        development: true,
        epoch_length: stoa_base::EPOCH_LENGTH,
        committee: None,
        alloc: (0..signers).map(|n| (signer(n).address(), rich.clone())).collect(),
    }
}

pub(crate) fn transfer(from: &PrivateKeySigner, nonce: u64, to: Address, value: u64) -> Arc<Recovered> {
    let tx = TxEip1559 {
        chain_id: 31337,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(to),
        value: U256::from(value),
        ..TxEip1559::default()
    };
    signed(from, tx)
}

fn signed(from: &PrivateKeySigner, tx: TxEip1559) -> Arc<Recovered> {
    let signature = from.sign_hash_sync(&tx.signature_hash()).unwrap();
    Arc::new(AlloyRecovered::new_unchecked(tx.into_signed(signature).into(), from.address()))
}

/// Transactions in a row; keeps what was refused.
pub(crate) struct List<'a>(pub(crate) Vec<Arc<Recovered>>, pub(crate) &'a mut Vec<Refusal>);

impl Transactions for List<'_> {
    fn next(&mut self, _: u64) -> Option<Arc<Recovered>> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    fn refuse(&mut self, _: &Recovered, why: Refusal) -> Result<(), Refusal> {
        self.1.push(why);
        Ok(())
    }
}

fn choices(timestamp: u64) -> Choices {
    Choices { timestamp, beneficiary: Address::ZERO, prevrandao: B256::ZERO, base_fee: None, gas_limit: None }
}

async fn open<E: crate::state::Runtime>(runtime: E, folder: &std::path::Path) -> Direct<E> {
    let config = LedgerConfig::new(folder);
    Direct::open(runtime, genesis(3), config, 1 << 20, NZUsize!(1)).await.unwrap()
}

async fn mine<E: crate::state::Runtime>(chain: &mut Direct<E>, transactions: Vec<Arc<Recovered>>) -> crate::Committed {
    let mut refused = Vec::new();
    let timestamp = chain.ledger().head().header().timestamp + 1;
    let ahead = transactions.clone();
    let (block, _) = chain
        .mine(&choices(timestamp), Default::default(), Box::new(List(transactions, &mut refused)), &ahead)
        .await
        .unwrap();
    assert_eq!(refused, []);
    block
}

async fn a_chain_of_transfers<E: crate::state::Runtime>(runtime: E) -> B256 {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = open(runtime, folder.path()).await;
    let alice = signer(0);
    for nonce in 0..5 {
        let block = mine(&mut chain, vec![transfer(&alice, nonce, RECIPIENT, 7)]).await;
        assert!(block.receipts[0].success);
        assert_eq!(block.receipts[0].gas_used, 21_000);
    }
    let ledger = chain.ledger();
    for number in 0..=5 {
        assert_eq!(ledger.state(number).unwrap().balance(RECIPIENT).unwrap(), U256::from(7 * number));
        assert_eq!(ledger.state(number).unwrap().nonce(alice.address()).unwrap(), number);
    }
    for number in 0..=5 {
        proves_the_past(ledger, number, U256::from(7 * number)).await;
    }
    ledger.head().hash()
}

/// What a proof shows of an account's balance at a block.
async fn proven(ledger: &crate::Ledger, number: u64, address: Address) -> U256 {
    let proof = ledger.prove(Some(number), address, &[]).await.unwrap();
    match verify_key(proof.block.header().state_root, account_key(&address), &proof.account).unwrap() {
        None => U256::ZERO,
        Some(Leaf::Account(account)) => account.balance,
        Some(other) => panic!("an account's key holds {other:?}"),
    }
}

/// At block `number`, `RECIPIENT` had this balance and nothing in slot 0: there are proofs of both, and of no other block.
async fn proves_the_past(ledger: &crate::Ledger, number: u64, balance: U256) {
    assert_eq!(proven(ledger, number, RECIPIENT).await, balance);
    let proof = ledger.prove(Some(number), RECIPIENT, &[U256::ZERO]).await.unwrap();
    assert_eq!(proof.block.number(), number);
    let root = proof.block.header().state_root;
    assert!(verify_key(B256::ZERO, account_key(&RECIPIENT), &proof.account).is_err());
    if let Some(before) = number.checked_sub(1) {
        assert!(verify_key(root, account_key(&Address::ZERO), &proof.account).is_err());
        let other = ledger.block(before).unwrap().unwrap().block.header().state_root;
        assert!(verify_key(other, account_key(&RECIPIENT), &proof.account).is_err());
    }
    let key = crate::state::slot_key(&RECIPIENT, &U256::ZERO);
    assert_eq!(verify_key(root, key, &proof.slots[0]).unwrap(), None);
}

#[test]
fn the_same_blocks_come_out_of_a_real_and_a_simulated_runtime() {
    let simulated = deterministic::Runner::seeded(1).start(a_chain_of_transfers);
    let folder = tempfile::tempdir().unwrap();
    let config = tokio::Config::new().with_storage_directory(folder.path());
    let real = tokio::Runner::new(config).start(a_chain_of_transfers);
    assert_eq!(simulated, real);
}

#[test]
fn what_was_synced_is_there_after_a_restart() {
    let (storage, history) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = |first: bool| {
        let config = tokio::Config::new().with_storage_directory(storage.path());
        tokio::Runner::new(config).start(async |runtime| {
            let mut chain = open(runtime, history.path()).await;
            if first {
                mine(&mut chain, vec![transfer(&signer(0), 0, RECIPIENT, 1)]).await;
                chain.sync().await.unwrap();
                // This block is lost: nobody asked for it to be kept.
                mine(&mut chain, vec![transfer(&signer(0), 1, RECIPIENT, 1)]).await;
            }
            let head = chain.ledger().head();
            (head.number(), head.hash(), chain.ledger().state(1).unwrap().balance(RECIPIENT).unwrap())
        })
    };
    let (_, _, before) = run(true);
    let (number, _, after) = run(false);
    assert_eq!((number, after), (1, before));
}

#[test]
fn a_snapshot_brings_everything_back() {
    deterministic::Runner::seeded(1).start(async |runtime| {
        let folder = tempfile::tempdir().unwrap();
        let mut chain = open(runtime, folder.path()).await;
        mine(&mut chain, vec![transfer(&signer(0), 0, RECIPIENT, 1)]).await;
        let before = chain.ledger().head();
        let id = chain.snapshot();
        chain.set(RECIPIENT, Set::Balance(U256::from(99))).await.unwrap();
        chain.set(RECIPIENT, Set::Storage(U256::from(1), U256::from(2))).await.unwrap();
        assert_eq!(chain.ledger().state(1).unwrap().balance(RECIPIENT).unwrap(), U256::from(99));
        assert_eq!(chain.ledger().state(0).unwrap().balance(RECIPIENT).unwrap(), U256::ZERO);
        let gone = mine(&mut chain, vec![transfer(&signer(0), 1, RECIPIENT, 1)]).await;
        assert!(chain.revert(id).await.unwrap());
        assert!(!chain.revert(id).await.unwrap());
        let ledger = chain.ledger();
        assert_eq!(ledger.head(), before);
        assert_eq!(ledger.state(1).unwrap().balance(RECIPIENT).unwrap(), U256::from(1));
        assert_eq!(ledger.state(1).unwrap().storage(RECIPIENT, U256::from(1)).unwrap(), U256::ZERO);
        assert_eq!(ledger.transaction(*gone.block.transactions()[0].tx_hash()).unwrap(), None);
        let again = mine(&mut chain, vec![transfer(&signer(0), 1, RECIPIENT, 1)]).await;
        assert_eq!(again.block.number(), 2);
    });
}

#[test]
fn code_that_two_accounts_share_outlives_one_of_them() {
    deterministic::Runner::seeded(1).start(async |runtime| {
        let folder = tempfile::tempdir().unwrap();
        let mut chain = open(runtime, folder.path()).await;
        let code = alloy_primitives::Bytes::from_static(&[0x60, 0x00, 0x60, 0x00, 0xf3]);
        let (first, second) = (Address::repeat_byte(1), Address::repeat_byte(2));
        chain.set(first, Set::Code(code.clone())).await.unwrap();
        mine(&mut chain, vec![transfer(&signer(0), 0, RECIPIENT, 1)]).await;
        let id = chain.snapshot();
        chain.set(second, Set::Code(code.clone())).await.unwrap();
        mine(&mut chain, vec![transfer(&signer(0), 1, RECIPIENT, 1)]).await;
        assert_eq!(chain.ledger().state(2).unwrap().code(second).unwrap(), code);
        assert!(chain.revert(id).await.unwrap());
        let state = chain.ledger().state(1).unwrap();
        assert_eq!(state.code(first).unwrap(), code);
        assert_eq!(state.code(second).unwrap(), alloy_primitives::Bytes::new());
        // The other way round: the account that the code came with goes.
        let id = chain.snapshot();
        chain.set(second, Set::Code(code.clone())).await.unwrap();
        chain.set(first, Set::Code(alloy_primitives::Bytes::new())).await.unwrap();
        assert_eq!(chain.ledger().state(1).unwrap().code(second).unwrap(), code);
        assert!(chain.revert(id).await.unwrap());
        assert_eq!(chain.ledger().state(1).unwrap().code(first).unwrap(), code);
    });
}

#[test]
fn a_proof_of_the_newest_state_is_of_the_block_that_it_belongs_to() {
    deterministic::Runner::seeded(1).start(async |runtime| {
        let folder = tempfile::tempdir().unwrap();
        let mut chain = open(runtime, folder.path()).await;
        for number in 1..4 {
            mine(&mut chain, vec![transfer(&signer(0), number - 1, RECIPIENT, 7)]).await;
            let proof = chain.ledger().prove(None, RECIPIENT, &[]).await.unwrap();
            assert_eq!(proof.block.number(), number);
            verify_key(proof.block.header().state_root, account_key(&RECIPIENT), &proof.account).unwrap();
        }
    });
}

#[test]
fn past_states_are_proven_however_long_the_log_is() {
    deterministic::Runner::seeded(1).start(async |runtime| {
        let folder = tempfile::tempdir().unwrap();
        let mut chain = open(runtime, folder.path()).await;
        // Of 400 accounts, some are paid often, some once, some never: the log outgrows its floor many times.
        let account = |n: u64| Address::left_padding_from(&(1000 + n).to_be_bytes());
        let (mut next, mut nonce) = (1_u64, 0);
        for _ in 0..80 {
            let transfers = (0..25).map(|_| {
                next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let n = (next >> 33) % 400;
                nonce += 1;
                transfer(&signer(0), nonce - 1, account(n * n / 400), 1)
            });
            let transfers = transfers.collect();
            mine(&mut chain, transfers).await;
        }
        let ledger = chain.ledger();
        assert!(ledger.head().seal().ops_start > 1000, "the floor has moved");
        for number in (0..=80).rev() {
            let state = ledger.state(number).unwrap();
            for n in (0..400).step_by(if number % 16 == 15 { 1 } else { 37 }) {
                assert_eq!(proven(ledger, number, account(n)).await, state.balance(account(n)).unwrap());
            }
        }
        // What is set by hand afterwards does not change what a block proves.
        let before = proven(ledger, 80, account(1)).await;
        chain.set(account(1), Set::Balance(U256::from(99))).await.unwrap();
        assert_eq!(proven(chain.ledger(), 80, account(1)).await, before);
    });
}

#[test]
fn a_transaction_that_breaks_a_rule_is_left_out_of_a_built_block() {
    deterministic::Runner::seeded(1).start(async |runtime| {
        let folder = tempfile::tempdir().unwrap();
        let mut chain = open(runtime, folder.path()).await;
        let list = vec![
            transfer(&signer(0), 3, RECIPIENT, 1),
            transfer(&signer(9), 0, RECIPIENT, 1),
            transfer(&signer(0), 0, RECIPIENT, 1),
        ];
        let mut refused = Vec::new();
        let (block, _) = chain
            .mine(&choices(1_700_000_001), Default::default(), Box::new(List(list, &mut refused)), &[])
            .await
            .unwrap();
        assert_eq!(block.receipts.len(), 1);
        assert_eq!(refused.len(), 2);
    });
}

#[test]
fn a_block_tells_of_every_account_that_it_changed_and_of_no_other() {
    deterministic::Runner::seeded(1).start(async |runtime| {
        let folder = tempfile::tempdir().unwrap();
        let mut chain = open(runtime, folder.path()).await;
        // Passes on what it is given: CALL(GAS, RECIPIENT, CALLVALUE, 0, 0, 0, 0).
        let forwarder = Address::repeat_byte(0xcc);
        let code = [&hex!("5f5f5f5f3473")[..], RECIPIENT.as_slice(), &hex!("5af100")].concat();
        chain.set(forwarder, Set::Code(code.into())).await.unwrap();
        let (alice, beneficiary) = (signer(0), Address::repeat_byte(0xbb));
        let sent = TxEip1559 {
            chain_id: 31337,
            gas_limit: 100_000,
            max_fee_per_gas: 2_000_000_000,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(forwarder),
            value: U256::from(7),
            ..TxEip1559::default()
        };
        let (mut refused, choices) = (Vec::new(), Choices { beneficiary, ..choices(1_700_000_001) });
        let list = Box::new(List(vec![signed(&alice, sent)], &mut refused));
        let (_, changes) = chain.mine(&choices, Default::default(), list, &[]).await.unwrap();
        assert_eq!(refused, []);
        let told = changes.accounts().iter().map(|(address, ..)| *address).collect::<BTreeSet<_>>();
        assert_eq!(told, BTreeSet::from([alice.address(), RECIPIENT, beneficiary]));
        assert!(changes.accounts().contains(&(RECIPIENT, 0, U256::from(7))));
        for (address, nonce, balance) in changes.accounts() {
            let Some(Leaf::Account(account)) = &changes.get(&account_key(address)).unwrap().new else {
                panic!("{address}")
            };
            assert_eq!((account.nonce, account.balance), (*nonce, *balance));
        }
    });
}

#[test]
fn states_that_are_no_longer_kept_say_so() {
    deterministic::Runner::seeded(1).start(async |runtime| {
        let folder = tempfile::tempdir().unwrap();
        let config = LedgerConfig { history: 2, ..LedgerConfig::new(folder.path()) };
        let mut chain = Direct::open(runtime, genesis(1), config, 1 << 20, NZUsize!(1)).await.unwrap();
        for nonce in 0..5 {
            mine(&mut chain, vec![transfer(&signer(0), nonce, RECIPIENT, 1)]).await;
        }
        let ledger = chain.ledger();
        assert_eq!(ledger.state(3).unwrap().balance(RECIPIENT).unwrap(), U256::from(3));
        assert!(matches!(ledger.state(2), Err(LedgerError::Pruned { asked: 2, oldest: 3 })));
        assert!(matches!(ledger.state(6), Err(LedgerError::Unknown { asked: 6, head: 5 })));
        // Giving up what is beyond them leaves those that are kept.
        chain.sync().await.unwrap();
        chain.prune().await.unwrap();
        for number in 3..=5 {
            assert_eq!(proven(chain.ledger(), number, RECIPIENT).await, U256::from(number));
        }
        mine(&mut chain, vec![transfer(&signer(0), 5, RECIPIENT, 1)]).await;
        assert_eq!(proven(chain.ledger(), 6, RECIPIENT).await, U256::from(6));
    });
}

#[test]
fn a_pinned_first_block_is_gone_back_to_when_its_state_is_no_longer_kept() {
    deterministic::Runner::seeded(1).start(async |runtime| {
        let folder = tempfile::tempdir().unwrap();
        let config = LedgerConfig { history: 2, ..LedgerConfig::new(folder.path()) };
        let mut chain = Direct::open(runtime, genesis(1), config, 1 << 20, NZUsize!(1)).await.unwrap();
        chain.set(RECIPIENT, Set::Nonce(9)).await.unwrap();
        chain.pin_first().unwrap();
        for _ in 0..2 {
            chain.set(RECIPIENT, Set::Storage(U256::from(1), U256::from(2))).await.unwrap();
            for nonce in 0..5 {
                mine(&mut chain, vec![transfer(&signer(0), nonce, RECIPIENT, 1)]).await;
            }
            assert!(matches!(chain.ledger().state(0), Err(LedgerError::Pruned { .. })));
            chain.reset().await.unwrap();
            let state = chain.ledger().state(0).unwrap();
            assert_eq!((state.balance(RECIPIENT).unwrap(), state.nonce(RECIPIENT).unwrap()), (U256::ZERO, 0));
            assert_eq!(state.storage(RECIPIENT, U256::from(1)).unwrap(), U256::ZERO);
        }
    });
}

#[test]
fn known_blocks_are_executed_again_and_a_false_one_is_refused() {
    let known = deterministic::Runner::seeded(1).start(async |runtime| {
        let folder = tempfile::tempdir().unwrap();
        let mut chain = open(runtime, folder.path()).await;
        let mut known = Vec::new();
        for nonce in 0..6 {
            let list = vec![transfer(&signer(0), nonce, RECIPIENT, 7)];
            known.push((mine(&mut chain, list.clone()).await.block, list));
        }
        known
    });
    deterministic::Runner::seeded(2).start(async |runtime| {
        let folder = tempfile::tempdir().unwrap();
        let mut chain = open(runtime, folder.path()).await;
        chain.replay(known[..2].to_vec(), |_, _| {}).await.unwrap();
        // The fourth pays somebody else than its block says.
        let mut forged = known[2..].to_vec();
        forged[1].1 = vec![transfer(&signer(0), 3, Address::repeat_byte(0xbb), 7)];
        let refused = chain.replay(forged, |_, _| {}).await.unwrap_err();
        assert!(matches!(refused, crate::InvalidBlock::Mismatch { .. }), "{refused}");
        assert_eq!(chain.ledger().head(), known[2].0);
        chain.replay(known[3..].to_vec(), |_, _| {}).await.unwrap();
        assert_eq!(chain.ledger().head(), known[5].0);
        for number in 0..=6 {
            proves_the_past(chain.ledger(), number, U256::from(7 * number)).await;
        }
    });
}

#[test]
fn a_history_whose_state_is_gone_is_damaged_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    deterministic::Runner::seeded(1).start(async |runtime| {
        let mut chain = open(runtime, folder.path()).await;
        mine(&mut chain, vec![transfer(&signer(0), 0, RECIPIENT, 1)]).await;
    });
    // Each simulation has storage of its own.
    deterministic::Runner::seeded(2).start(async |runtime| {
        let config = LedgerConfig::new(folder.path());
        let opened = Direct::open(runtime, genesis(3), config, 1 << 20, NZUsize!(1)).await;
        assert!(matches!(opened, Err(LedgerError::Damaged(_))));
    });
    deterministic::Runner::seeded(3).start(async |runtime| {
        let state = crate::state::config(&runtime, "stoa", 1 << 20, NZUsize!(1));
        let ledger = crate::Ledger::open(runtime, genesis(3), LedgerConfig::new(folder.path()), state).await.unwrap();
        assert_eq!(ledger.newest_recorded().unwrap(), 1);
    });
}
