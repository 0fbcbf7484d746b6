//! The coin's votes are the balances, however they move.

use super::*;
use crate::{
    Natives, abi,
    bench::{Bench, Failure, START, Sent, assert_handles},
    interfaces::{
        IERC20, IERC20Errors::ERC20InvalidReceiver, IERC20Metadata, IERC20Permit, IERC20Votes, IERC5267, IERC6372,
        INonces::InvalidAccountNonce, IVotes,
    },
    storage::Layout,
};
use alloy_primitives::{Bytes, TxKind, bytes};
use alloy_signer::{SignerSync, k256::ecdsa::SigningKey};
use alloy_signer_local::{LocalSigner, PrivateKeySigner};
use alloy_sol_types::{SolEvent, SolStruct};
use proptest::prelude::*;
use revm::state::AccountInfo;
use std::collections::BTreeMap;

const COIN: u128 = 1_000_000_000_000_000_000;
const PROPOSER: Address = Address::repeat_byte(0xbe);

fn account(number: u8) -> Address {
    Address::repeat_byte(0xa0 + number)
}

fn bench() -> Bench {
    let accounts: Vec<_> = (0..4).map(|number| (account(number), U256::from(1000 * COIN))).collect();
    Bench::new(Natives::stoa()).with_coin(&accounts)
}

fn votes(bench: &mut Bench, account: Address) -> U256 {
    bench.view(ADDRESS, &IVotes::getVotesCall { account }).unwrap()
}

fn delegate(bench: &mut Bench, from: Address, delegatee: Address) -> Sent<IVotes::delegateReturn> {
    bench.send(from, ADDRESS, &IVotes::delegateCall { delegatee }).unwrap()
}

#[test]
fn every_function_has_a_handler() {
    assert_handles::<IERC20::IERC20Calls>(Coin);
    assert_handles::<IERC20Metadata::IERC20MetadataCalls>(Coin);
    assert_handles::<IERC20Permit::IERC20PermitCalls>(Coin);
    assert_handles::<IERC20Votes::IERC20VotesCalls>(Coin);
    assert_handles::<IVotes::IVotesCalls>(Coin);
    assert_handles::<IERC6372::IERC6372Calls>(Coin);
    assert_handles::<IERC5267::IERC5267Calls>(Coin);
}

#[test]
fn balances_are_the_accounts_own() {
    let mut bench = bench();
    let (alice, bob) = (account(0), account(9));
    let call = IERC20::transferCall { to: bob, value: U256::from(7) };
    let sent = bench.send(alice, ADDRESS, &call).unwrap();
    assert!(sent.value);
    let event = IERC20::Transfer::decode_log(&sent.logs[0]).unwrap();
    assert_eq!((event.from, event.to, event.value), (alice, bob, U256::from(7)));
    assert_eq!(bench.balance(bob), U256::from(7));

    bench.send_raw(alice, bob, U256::from(5), Bytes::new()).unwrap();
    assert_eq!(bench.view(ADDRESS, &IERC20::balanceOfCall { account: bob }), Ok(U256::from(12)));
    assert_eq!(bench.view(ADDRESS, &IERC20::totalSupplyCall {}), Ok(U256::from(4000 * COIN)));
    assert_eq!(bench.view(ADDRESS, &IERC20Metadata::symbolCall {}), Ok(SYMBOL.to_owned()));
}

#[test]
fn what_an_account_has_not_got_does_not_move() {
    let mut bench = bench();
    let (alice, bob) = (account(0), account(9));
    let call = IERC20::transferCall { to: bob, value: U256::from(1001 * COIN) };
    let error =
        ERC20InsufficientBalance { sender: alice, balance: U256::from(1000 * COIN), needed: U256::from(1001 * COIN) };
    assert_eq!(bench.send(alice, ADDRESS, &call).unwrap_err(), Failure::revert(error));
    let zero = IERC20::transferCall { to: Address::ZERO, value: U256::ONE };
    let error = ERC20InvalidReceiver { receiver: Address::ZERO };
    assert_eq!(bench.send(alice, ADDRESS, &zero).unwrap_err(), Failure::revert(error));
    // To oneself only what one has.
    let own = IERC20::transferCall { to: alice, value: U256::from(1001 * COIN) };
    assert!(bench.send(alice, ADDRESS, &own).is_err());
    bench.send(alice, ADDRESS, &IERC20::transferCall { to: alice, value: U256::from(1000 * COIN) }).unwrap();
    assert_eq!(bench.balance(alice), U256::from(1000 * COIN));
}

#[test]
fn an_allowance_lets_another_spend() {
    let mut bench = bench();
    let (alice, bob, carol) = (account(0), account(1), account(9));
    bench.send(alice, ADDRESS, &IERC20::approveCall { spender: bob, value: U256::from(10) }).unwrap();
    bench.send(bob, ADDRESS, &IERC20::transferFromCall { from: alice, to: carol, value: U256::from(4) }).unwrap();
    assert_eq!(bench.view(ADDRESS, &IERC20::allowanceCall { owner: alice, spender: bob }), Ok(U256::from(6)));
    assert_eq!(bench.balance(carol), U256::from(4));
    let more = IERC20::transferFromCall { from: alice, to: carol, value: U256::from(7) };
    assert!(bench.send(bob, ADDRESS, &more).is_err());
}

#[test]
fn coin_cannot_be_sent_to_the_coin() {
    let mut bench = bench();
    assert_eq!(bench.send_raw(account(0), ADDRESS, U256::ONE, Bytes::new()), Err(Failure::Revert(Bytes::new())));
}

#[test]
fn storage_lies_where_solidity_would_put_it() {
    let state = State::root();
    assert_eq!(state.erc20.total_supply.place().slot, U256::from(2));
    assert_eq!(state.nonces.place().slot, U256::from(5));
    assert_eq!(state.votes.delegatee.place().slot, U256::from(6));
    assert_eq!(state.votes.total_checkpoints.place().slot, U256::from(8));
}

#[test]
fn delegated_votes_follow_plain_transfers_and_fees() {
    let mut bench = bench();
    let (alice, bob, carol) = (account(0), account(1), account(9));
    let sent = delegate(&mut bench, alice, carol);
    assert_eq!(sent.logs.len(), 2);
    assert_eq!(votes(&mut bench, carol), U256::from(1000 * COIN));
    assert_eq!(delegate_of(&bench.evm.state()[&alice].info), Some(carol));

    let sent = bench.send_raw(bob, alice, U256::from(3 * COIN), Bytes::new()).unwrap();
    assert_eq!(sent.gas, 21_000);
    let event = IVotes::DelegateVotesChanged::decode_log(&sent.logs[0]).unwrap();
    assert_eq!((event.delegate, event.newVotes), (carol, U256::from(1003 * COIN)));
    assert_eq!(votes(&mut bench, carol), U256::from(1003 * COIN));

    // A transaction that fails still pays its fee.
    bench.evm.ctx_mut().block.basefee = 10;
    bench.evm.ctx_mut().block.beneficiary = PROPOSER;
    let data = Bytes::from_static(&[1, 2, 3, 4]);
    let mut tx = bench.tx(alice, TxKind::Call(ADDRESS), U256::ZERO, data);
    (tx.gas_price, tx.gas_limit) = (12, 100_000);
    let result = bench.transact(tx);
    assert!(!result.is_success());
    assert_eq!(result.logs().len(), 1, "the votes that the fee took");
    let fee = U256::from(12 * result.tx_gas_used());
    assert_eq!(bench.balance(alice), U256::from(1003 * COIN) - fee);
    bench.evm.ctx_mut().block.basefee = 0;
    assert_eq!(votes(&mut bench, carol), U256::from(1003 * COIN) - fee);
}

#[test]
fn a_proposer_who_delegates_votes_with_its_tips() {
    let mut bench = bench();
    bench.evm.ctx_mut().block.beneficiary = PROPOSER;
    delegate(&mut bench, PROPOSER, PROPOSER);
    let mut tx = bench.tx(account(0), TxKind::Call(account(1)), U256::ONE, Bytes::new());
    (tx.gas_price, tx.gas_limit) = (3, 21_000);
    bench.transact(tx);
    assert_eq!(votes(&mut bench, PROPOSER), U256::from(63_000));
    assert_eq!(bench.balance(PROPOSER), U256::from(63_000));
}

#[test]
fn delegating_and_moving_in_one_transaction_counts_once() {
    // A contract that delegates with the coin it has and then sends all of it away: forwarder of two calls.
    let mut bench = bench();
    let (alice, carol) = (account(0), account(9));
    let code = two_calls(
        (ADDRESS, U256::ZERO, abi_call(&IVotes::delegateCall { delegatee: carol })),
        (account(1), U256::from(5), Bytes::new()),
    );
    let contract = Address::repeat_byte(0xcc);
    let info = AccountInfo::from_balance(U256::from(8)).with_code(revm::state::Bytecode::new_raw(code));
    bench.evm.db_mut().insert_account_info(contract, info);
    bench.send_raw(alice, contract, U256::from(2), Bytes::new()).unwrap();
    assert_eq!(bench.balance(contract), U256::from(5));
    assert_eq!(votes(&mut bench, carol), U256::from(5));
    bench.send_raw(alice, contract, U256::ZERO, Bytes::new()).unwrap();
    assert_eq!(votes(&mut bench, carol), U256::ZERO);
}

fn abi_call(call: &impl alloy_sol_types::SolCall) -> Bytes {
    call.abi_encode().into()
}

/// Code that makes two calls: data by PUSH and MSTORE, word by word.
fn two_calls(first: (Address, U256, Bytes), second: (Address, U256, Bytes)) -> Bytes {
    let mut code = Vec::new();
    for (to, value, data) in [first, second] {
        for (index, chunk) in data.chunks(32).enumerate() {
            let mut word = [0; 32];
            word[..chunk.len()].copy_from_slice(chunk);
            code.push(0x7f);
            code.extend_from_slice(&word);
            code.extend_from_slice(&[0x61, (index * 32 / 256) as u8, (index * 32 % 256) as u8, 0x52]);
        }
        code.extend_from_slice(&[0x5f, 0x5f, 0x61, (data.len() / 256) as u8, (data.len() % 256) as u8, 0x5f, 0x7f]);
        code.extend_from_slice(&value.to_be_bytes::<32>());
        code.push(0x73);
        code.extend_from_slice(to.as_slice());
        code.extend_from_slice(&[0x5a, 0xf1, 0x50]);
    }
    code.push(0);
    code.into()
}

/// Init code that delegates to `delegatee` and then destroys the contract, coin to `heir`, or with it if there is none.
fn delegate_and_die(delegatee: Address, heir: Option<Address>) -> Bytes {
    let none = (Address::ZERO, U256::ZERO, Bytes::new());
    let calls = two_calls((ADDRESS, U256::ZERO, abi_call(&IVotes::delegateCall { delegatee })), none);
    let heir = heir.map_or(vec![0x30], |heir| [&[0x73], heir.as_slice()].concat());
    [&calls[..calls.len() - 1], &heir, &[0xff]].concat().into()
}

#[test]
fn a_contract_that_destroys_itself_votes_no_more() {
    let mut bench = bench();
    let (alice, carol, heir) = (account(0), account(9), account(8));
    let data = delegate_and_die(carol, Some(heir));
    let result = bench.transact(bench.tx(alice, TxKind::Create, U256::from(5), data));
    let contract = result.created_address().unwrap();
    assert!(result.is_success());
    assert_eq!(bench.balance(heir), U256::from(5));
    assert_eq!(votes(&mut bench, carol), U256::ZERO);
    assert_eq!(bench.view(ADDRESS, &IVotes::delegatesCall { account: contract }), Ok(Address::ZERO));
    // What is sent there later is nobody's vote.
    bench.send_raw(alice, contract, U256::from(5), Bytes::new()).unwrap();
    assert_eq!(votes(&mut bench, carol), U256::ZERO);
}

#[test]
fn coin_that_is_destroyed_votes_no_more() {
    let mut bench = bench();
    let carol = account(9);
    let result = bench.transact(bench.tx(account(0), TxKind::Create, U256::from(5), delegate_and_die(carol, None)));
    assert!(result.is_success());
    assert_eq!(votes(&mut bench, carol), U256::ZERO);
}

#[test]
fn a_simulation_at_any_time_has_a_result() {
    let mut bench = bench();
    let (alice, carol) = (account(0), account(9));
    delegate(&mut bench, alice, carol);
    for time in [0, 1, START - 1, 1 << 48, u64::MAX] {
        bench.evm.ctx_mut().block.timestamp = U256::from(time);
        bench.send_raw(alice, account(1), U256::ONE, Bytes::new()).unwrap();
        bench.send(alice, ADDRESS, &IERC20::transferCall { to: account(1), value: U256::ONE }).unwrap();
        bench.view(ADDRESS, &IERC6372::clockCall {}).unwrap();
        bench.evm.end_block((U256::ZERO, U256::ONE)).unwrap();
    }
    assert_eq!(votes(&mut bench, carol), U256::from(1000 * COIN - 10));
}

#[test]
fn past_votes_and_supply_are_those_of_their_time() {
    let mut bench = bench();
    let (alice, bob, carol) = (account(0), account(1), account(9));
    delegate(&mut bench, alice, carol);
    bench.pass(10);
    bench.send_raw(bob, alice, U256::from(COIN), Bytes::new()).unwrap();
    bench.evm.end_block((U256::ZERO, U256::from(COIN))).unwrap();
    bench.pass(10);
    let past_votes = |bench: &mut Bench, time: u64| {
        bench.view(ADDRESS, &IVotes::getPastVotesCall { account: carol, timepoint: U256::from(time) })
    };
    assert_eq!(past_votes(&mut bench, START - 1), Ok(U256::ZERO));
    assert_eq!(past_votes(&mut bench, START + 9), Ok(U256::from(1000 * COIN)));
    assert_eq!(past_votes(&mut bench, START + 10), Ok(U256::from(1001 * COIN)));
    assert!(past_votes(&mut bench, START + 20).is_err());
    let past_supply = |bench: &mut Bench, time: u64| {
        bench.view(ADDRESS, &IVotes::getPastTotalSupplyCall { timepoint: U256::from(time) })
    };
    assert_eq!(past_supply(&mut bench, START), Ok(U256::from(4000 * COIN)));
    assert_eq!(past_supply(&mut bench, START + 10), Ok(U256::from(3999 * COIN)));
    assert_eq!(bench.view(ADDRESS, &IERC20::totalSupplyCall {}), Ok(U256::from(3999 * COIN)));
    assert_eq!(bench.view(ADDRESS, &IERC6372::CLOCK_MODECall {}), Ok("mode=timestamp".to_owned()));
    assert_eq!(bench.view(ADDRESS, &IERC20Votes::numCheckpointsCall { account: carol }), Ok(2));
}

fn signer(number: u8) -> LocalSigner<SigningKey> {
    PrivateKeySigner::from_slice(&[number; 32]).unwrap()
}

fn sign(bench: &mut Bench, signer: &PrivateKeySigner, data: &impl SolStruct) -> (u8, [u8; 32], [u8; 32]) {
    let (domain, _) = bench.evm.system(ADDRESS, |cx| Coin.domain(cx)).unwrap();
    let signature = signer.sign_hash_sync(&data.eip712_signing_hash(&domain)).unwrap();
    (27 + u8::from(signature.v()), signature.r().to_be_bytes(), signature.s().to_be_bytes())
}

#[test]
fn votes_are_delegated_by_signature_without_coin_or_nonce() {
    let mut bench = bench();
    let (signer, carol) = (signer(5), account(9));
    let data = crate::parts::votes::Delegation { delegatee: carol, nonce: U256::ZERO, expiry: U256::MAX };
    let (v, r, s) = sign(&mut bench, &signer, &data);
    let call = IVotes::delegateBySigCall {
        delegatee: carol,
        nonce: U256::ZERO,
        expiry: U256::MAX,
        v,
        r: r.into(),
        s: s.into(),
    };
    bench.send(account(0), ADDRESS, &call).unwrap();
    let again = bench.send(account(0), ADDRESS, &call).unwrap_err();
    let error = InvalidAccountNonce { account: signer.address(), currentNonce: U256::ONE };
    assert_eq!(again, Failure::revert(error));
    // The account holds nothing, but is not forgotten.
    bench.send_raw(account(0), signer.address(), U256::from(3), Bytes::new()).unwrap();
    assert_eq!(votes(&mut bench, carol), U256::from(3));
}

#[test]
fn an_allowance_is_given_by_signature() {
    let mut bench = bench();
    let (signer, bob) = (signer(6), account(1));
    let (value, deadline) = (U256::from(5), U256::from(START));
    let data =
        crate::parts::erc20::Permit { owner: signer.address(), spender: bob, value, nonce: U256::ZERO, deadline };
    let (v, r, s) = sign(&mut bench, &signer, &data);
    let call = IERC20Permit::permitCall {
        owner: signer.address(),
        spender: bob,
        value,
        deadline,
        v,
        r: r.into(),
        s: s.into(),
    };
    bench.send(account(0), ADDRESS, &call).unwrap();
    assert_eq!(bench.view(ADDRESS, &IERC20::allowanceCall { owner: signer.address(), spender: bob }), Ok(value));
    assert_eq!(bench.view(ADDRESS, &IERC20Permit::noncesCall { owner: signer.address() }), Ok(U256::ONE));
    assert!(bench.send(account(0), ADDRESS, &call).is_err());
}

#[test]
fn the_ledger_keeps_the_delegatee_alone() {
    let mut info = AccountInfo::from_balance(U256::from(5));
    assert_eq!(delegate_of(&info), None);
    set_delegate(&mut info, Some(PROPOSER));
    assert_eq!(delegate_of(&info), Some(PROPOSER));
    assert!(!info.is_empty());
    set_delegate(&mut info, None);
    assert_eq!(info, AccountInfo::from_balance(U256::from(5)));
}

#[test]
fn interface_ids_are_those_of_the_ercs() {
    assert_eq!(abi::interface_id::<IERC20::IERC20Calls>(), bytes!("36372b07")[..]);
    assert_eq!(abi::interface_id::<crate::interfaces::IERC721::IERC721Calls>(), bytes!("80ac58cd")[..]);
    assert_eq!(abi::interface_id::<crate::interfaces::IERC165::IERC165Calls>(), bytes!("01ffc9a7")[..]);
    assert_eq!(abi::interface_id::<IERC6372::IERC6372Calls>(), bytes!("da287a1d")[..]);
}

/// One thing that happens to the coin.
#[derive(Clone, Debug)]
enum Step {
    Plain { from: u8, to: u8, value: u64 },
    Token { from: u8, to: u8, value: u64 },
    Delegate { from: u8, to: u8 },
    Inner { from: u8, value: u64 },
    Die { from: u8, delegatee: u8, heir: u8, value: u64 },
    SetBalance { account: u8, value: u64 },
    NextBlock,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = || 0..6u8;
    let value = || 0..3_000u64;
    let step = prop_oneof![
        3 => (who(), who(), value()).prop_map(|(from, to, value)| Step::Plain { from, to, value }),
        3 => (who(), who(), value()).prop_map(|(from, to, value)| Step::Token { from, to, value }),
        4 => (who(), 0..7u8).prop_map(|(from, to)| Step::Delegate { from, to }),
        2 => (who(), value()).prop_map(|(from, value)| Step::Inner { from, value }),
        1 => (who(), who(), who(), value())
            .prop_map(|(from, delegatee, heir, value)| Step::Die { from, delegatee, heir, value }),
        1 => (who(), value()).prop_map(|(account, value)| Step::SetBalance { account, value }),
        2 => Just(Step::NextBlock),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn votes_are_the_balances_and_no_coin_is_made_or_lost(steps in steps()) {
        let unit = U256::from(COIN);
        let mut bench = bench();
        bench.evm.ctx_mut().block.beneficiary = account(3);
        // Six accounts, one of them the proposer, one of them a contract that delegates and pays on.
        let contract = account(5);
        let code = two_calls(
            (ADDRESS, U256::ZERO, abi_call(&IVotes::delegateCall { delegatee: account(1) })),
            (account(2), U256::from(700) * unit / U256::from(1000), Bytes::new()),
        );
        let info = AccountInfo::default().with_code(revm::state::Bytecode::new_raw(code));
        bench.evm.db_mut().insert_account_info(contract, info);
        let mut supply = U256::from(4000) * unit;
        let (mut added, mut burnt) = (U256::ZERO, U256::ZERO);

        for step in steps {
            let milli = |value: u64| U256::from(value) * unit / U256::from(1000);
            let base_fee = 1_000_000_007u64;
            bench.evm.ctx_mut().block.basefee = base_fee;
            let (from, kind, value, data) = match step {
                Step::Plain { from, to, value } => (from, TxKind::Call(account(to)), milli(value), Bytes::new()),
                Step::Token { from, to, value } => {
                    let call = IERC20::transferCall { to: account(to), value: milli(value) };
                    (from, TxKind::Call(ADDRESS), U256::ZERO, abi_call(&call))
                }
                Step::Delegate { from, to } => {
                    let delegatee = if to == 6 { Address::ZERO } else { account(to) };
                    (from, TxKind::Call(ADDRESS), U256::ZERO, abi_call(&IVotes::delegateCall { delegatee }))
                }
                Step::Inner { from, value } => (from, TxKind::Call(contract), milli(value), Bytes::new()),
                Step::Die { from, delegatee, heir, value } => {
                    (from, TxKind::Create, milli(value), delegate_and_die(account(delegatee), Some(account(heir))))
                }
                Step::SetBalance { account: number, value } => {
                    let (old, new) = (bench.balance(account(number)), milli(value));
                    bench.evm.set_balance(account(number), new).unwrap();
                    added += new.saturating_sub(old);
                    burnt += old.saturating_sub(new);
                    (u8::MAX, TxKind::Create, U256::ZERO, Bytes::new())
                }
                Step::NextBlock => {
                    bench.evm.end_block((added, burnt)).unwrap();
                    supply = supply + added - burnt;
                    (added, burnt) = (U256::ZERO, U256::ZERO);
                    bench.pass(3);
                    (u8::MAX, TxKind::Create, U256::ZERO, Bytes::new())
                }
            };
            // Contracts sign nothing.
            if from < 5 {
                let mut tx = bench.tx(account(from), kind, value, data);
                (tx.gas_price, tx.gas_limit) = (u128::from(base_fee) + 3, 1_000_000);
                if let Ok(result) = bench.evm.transact_one(tx) {
                    burnt += U256::from(base_fee) * U256::from(result.tx_gas_used());
                }
            }
            bench.evm.ctx_mut().block.basefee = 0;

            let mut expected: BTreeMap<Address, U256> = BTreeMap::new();
            let mut sum = U256::ZERO;
            for number in 0..6 {
                let balance = bench.balance(account(number));
                sum += balance;
                let delegatee = bench.view(ADDRESS, &IVotes::delegatesCall { account: account(number) }).unwrap();
                *expected.entry(delegatee).or_default() += balance;
            }
            prop_assert_eq!(sum, supply + added - burnt);
            prop_assert_eq!(bench.view(ADDRESS, &IERC20::totalSupplyCall {}), Ok(supply));
            for number in 0..6 {
                let delegatee = account(number);
                prop_assert_eq!(votes(&mut bench, delegatee), expected.get(&delegatee).copied().unwrap_or_default());
            }
        }
    }
}
