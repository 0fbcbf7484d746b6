//! Native and interpreted code calling each other.

mod answers;
mod inspector;
mod lossy;

use super::*;
use crate::{
    BASE_GAS, Error, NativeContract, WORD_GAS, abi,
    bench::{Bench, DEEP, Deep, Failure, GAS_LIMIT, assert_handles},
    interfaces::{IERC20, IReentrancyGuardErrors::ReentrancyGuardReentrantCall},
    natives,
    parts::{clones, reentrancy},
    storage::Value,
};
use alloy_primitives::{Bytes, TxKind, bytes, keccak256};
use alloy_sol_types::SolCall;
use revm::context::{BlockEnv, result::InvalidTransaction};

alloy_sol_types::sol! {
    #[derive(Debug)]
    interface IProbe {
        error Refused(uint256 code);
        event Set(uint256 value);

        function get() external view returns (uint256);
        function set(uint256 value) external;
        function setAndRefuse(uint256 value) external;
        function pay() external payable returns (address, uint256);
        function forward(address to, bytes calldata data) external payable returns (bool, bytes memory);
        function forwardAndRefuse(address to, bytes calldata data) external;
        function guarded(address to, bytes calldata data) external returns (bool, bytes memory);
        function recurse(address via) external returns (uint256);
        function createClone(bytes32 salt) external returns (address);
        function spend(uint256 slots) external;
        function who() external view returns (address, address, address);
        function ask(address to) external view returns (uint256);
        function attempt(address to) external returns (bool);
        function attemptView(address to) external view returns (bool);
    }
}
use IProbe::{IProbeCalls as Calls, *};

crate::storage! {
    struct State {
        value: Value<U256>,
    }
}

struct Probe;

const PROBE: Address = natives::address(0x10);
const ALICE: Address = Address::repeat_byte(0xa1);
/// What whoever is called in an attempt may use.
const ATTEMPT_GAS: u64 = 10_000;

impl NativeContract for Probe {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        let value = State::root().value;
        let call = abi::decode_payable(cx)?.ok_or(Error::UnknownFunction)?;
        if !matches!(call, Calls::pay(_) | Calls::forward(_)) {
            abi::reject_value(cx)?;
        }
        match call {
            Calls::get(call) => abi::reply(&call, value.read(cx)),
            Calls::set(call) => {
                value.write(cx, call.value)?;
                abi::done(cx.emit(&Set { value: call.value }))
            }
            Calls::setAndRefuse(call) => {
                value.write(cx, call.value)?;
                Err(Refused { code: call.value }.into())
            }
            Calls::pay(call) => abi::reply(&call, Ok((cx.caller(), cx.value()).into())),
            Calls::forward(call) => {
                let sent = cx.value();
                let outcome = cx.call(call.to, sent, call.data.clone())?;
                abi::reply(&call, Ok((outcome.success, outcome.output).into()))
            }
            Calls::forwardAndRefuse(call) => {
                cx.call(call.to, U256::ZERO, call.data)?;
                Err(Refused { code: U256::from(7) }.into())
            }
            Calls::guarded(call) => {
                let (to, data) = (call.to, call.data.clone());
                let outcome = reentrancy::non_reentrant(cx, |cx| cx.call(to, U256::ZERO, data))?;
                abi::reply(&call, Ok((outcome.success, outcome.output).into()))
            }
            Calls::recurse(call) => {
                let inner = call.abi_encode();
                let data = if call.via.is_zero() { inner } else { [PROBE.into_word().as_slice(), &inner].concat() };
                let to = if call.via.is_zero() { PROBE } else { call.via };
                let outcome = cx.call(to, U256::ZERO, data.into())?;
                let below = match outcome.success {
                    true => recurseCall::abi_decode_returns(&outcome.output).map_err(|_| Error::EMPTY)?,
                    false => U256::ZERO,
                };
                abi::reply(&call, Ok(below + U256::ONE))
            }
            Calls::createClone(call) => {
                let clone = clones::clone_deterministic(cx, PROBE, call.salt);
                abi::reply(&call, clone)
            }
            Calls::spend(call) => {
                let (mut slot, end) = (U256::ZERO, call.slots);
                while slot < end {
                    cx.sstore(slot, U256::MAX)?;
                    slot += U256::ONE;
                }
                Ok(Bytes::new())
            }
            Calls::who(call) => abi::reply(&call, Ok((cx.caller(), cx.this(), cx.code()).into())),
            Calls::ask(call) => abi::reply(&call, cx.view_typed(call.to, &getCall {})),
            Calls::attempt(call) => {
                let outcome = cx.call_with_gas(call.to, getCall {}.abi_encode().into(), ATTEMPT_GAS)?;
                abi::reply(&call, Ok(outcome.success))
            }
            Calls::attemptView(call) => match cx.view_with_gas(call.to, &getCall {}, ATTEMPT_GAS) {
                Err(Error::Revert(_)) => abi::reply(&call, Ok(false)),
                told => abi::reply(&call, told.map(|_| true)),
            },
        }
    }
}

/// Calls the address in the first word with the rest of the data and the coin; returns or reverts with the answer.
const FORWARDER: Bytes = bytes!("602036038060205f375f5f825f345f355af13d5f5f3e601c573d5ffd5b3d5ff3");
/// The same by STATICCALL.
const STATIC_FORWARDER: Bytes = bytes!("602036038060205f375f5f825f5f355afa3d5f5f3e601b573d5ffd5b3d5ff3");
/// The same by CALL, but reverts in any case.
const REVERTER: Bytes = bytes!("602036038060205f375f5f825f345f355af13d5f5f3e503d5ffd");
/// Sets its slot 0 to 1.
const SETTER: Bytes = bytes!("60015f5500");

fn install(bench: &mut Bench, byte: u8, code: Bytes) -> Address {
    let address = Address::repeat_byte(byte);
    let info = revm::state::AccountInfo::default().with_code(revm::state::Bytecode::new_raw(code));
    bench.evm.db_mut().insert_account_info(address, info);
    address
}

fn bench() -> Bench {
    Bench::new(Natives::stoa().with(PROBE, Probe).with(DEEP, Deep)).with_coin(&[(ALICE, U256::from(1_000_000))])
}

fn via(to: Address, call: &impl SolCall) -> Bytes {
    [to.into_word().as_slice(), &call.abi_encode()].concat().into()
}

#[test]
fn every_function_of_the_probe_has_a_handler() {
    assert_handles::<Calls>(Probe);
}

#[test]
#[should_panic(expected = "without a handler")]
fn a_function_without_a_handler_is_found() {
    assert_handles::<crate::interfaces::IERC721::IERC721Calls>(Probe);
}

#[test]
fn solidity_calls_native_code_and_gets_its_answer() {
    let mut bench = bench();
    let forwarder = install(&mut bench, 0xf0, FORWARDER);
    let sent = bench.send_raw(ALICE, forwarder, U256::ZERO, via(PROBE, &setCall { value: U256::from(5) })).unwrap();
    assert_eq!(sent.logs.len(), 1);
    assert_eq!(sent.logs[0].address, PROBE);
    assert_eq!(bench.view(PROBE, &getCall {}), Ok(U256::from(5)));
    assert_eq!(bench.storage(PROBE, U256::ZERO), U256::from(5));
}

#[test]
fn a_revert_of_the_caller_undoes_native_writes_and_logs() {
    let mut bench = bench();
    let reverter = install(&mut bench, 0xf0, REVERTER);
    let failure = bench.send_raw(ALICE, reverter, U256::ZERO, via(PROBE, &setCall { value: U256::from(5) }));
    assert_eq!(failure, Err(Failure::Revert(Bytes::new())));
    assert_eq!(bench.view(PROBE, &getCall {}), Ok(U256::ZERO));

    // Seen from native code: the failed call is undone, the transaction goes on.
    let inner = via(PROBE, &setCall { value: U256::from(5) });
    let sent = bench.send(ALICE, PROBE, &forwardCall { to: reverter, data: inner }).unwrap();
    assert!(!sent.value._0);
    assert!(sent.logs.is_empty());
    assert_eq!(bench.view(PROBE, &getCall {}), Ok(U256::ZERO));
}

#[test]
fn a_native_revert_undoes_what_solidity_did_below_it() {
    let mut bench = bench();
    let setter = install(&mut bench, 0x5e, SETTER);
    let call = forwardAndRefuseCall { to: setter, data: Bytes::new() };
    assert_eq!(bench.send(ALICE, PROBE, &call).unwrap_err(), Failure::revert(Refused { code: U256::from(7) }));
    assert_eq!(bench.storage(setter, U256::ZERO), U256::ZERO);

    let sent = bench.send(ALICE, PROBE, &forwardCall { to: setter, data: Bytes::new() }).unwrap();
    assert!(sent.value._0);
    assert_eq!(bench.storage(setter, U256::ZERO), U256::ONE);
}

#[test]
fn a_native_revert_reaches_solidity_with_its_data() {
    let mut bench = bench();
    let forwarder = install(&mut bench, 0xf0, FORWARDER);
    let data = via(PROBE, &setAndRefuseCall { value: U256::from(9) });
    let failure = bench.send_raw(ALICE, forwarder, U256::ZERO, data).unwrap_err();
    assert_eq!(failure, Failure::revert(Refused { code: U256::from(9) }));
    assert_eq!(bench.view(PROBE, &getCall {}), Ok(U256::ZERO));
}

#[test]
fn unknown_selectors_short_data_and_dirty_words_revert_without_data() {
    let mut bench = bench();
    let dirty = [&IERC20::balanceOfCall::SELECTOR[..], &[0xff; 32]].concat();
    for (to, data) in [
        (PROBE, bytes!("")),
        (PROBE, bytes!("aabbcc")),
        (PROBE, bytes!("aabbccdd")),
        (PROBE, Bytes::from(setCall::SELECTOR)),
        (coin::ADDRESS, Bytes::from(dirty)),
    ] {
        assert_eq!(bench.send_raw(ALICE, to, U256::ZERO, data), Err(Failure::Revert(Bytes::new())));
    }
    // Solidity ignores what follows the arguments.
    let longer = [&setCall { value: U256::from(3) }.abi_encode()[..], &[1, 2, 3]].concat();
    bench.send_raw(ALICE, PROBE, U256::ZERO, longer.into()).unwrap();
}

#[test]
fn coin_for_a_function_that_takes_none_comes_back() {
    let mut bench = bench();
    let set = setCall { value: U256::ONE };
    let failure = bench.send_value(ALICE, PROBE, U256::from(5), &set).unwrap_err();
    assert_eq!(failure, Failure::Revert(Bytes::new()));
    assert_eq!(bench.balance(ALICE), U256::from(1_000_000));
    let paid = bench.send_value(ALICE, PROBE, U256::from(5), &payCall {}).unwrap().value;
    assert_eq!((paid._0, paid._1), (ALICE, U256::from(5)));
    assert_eq!(bench.balance(PROBE), U256::from(5));
}

#[test]
fn coin_sent_on_by_native_code_arrives() {
    let mut bench = bench();
    let forwarder = install(&mut bench, 0xf0, FORWARDER);
    let call = forwardCall { to: forwarder, data: via(PROBE, &payCall {}) };
    let sent = bench.send_value(ALICE, PROBE, U256::from(5), &call).unwrap();
    let paid = payCall::abi_decode_returns(&sent.value._1).unwrap();
    assert_eq!((paid._0, paid._1), (forwarder, U256::from(5)));
    assert_eq!(bench.balance(PROBE), U256::from(5));
}

#[test]
fn a_static_call_forbids_native_writes_logs_and_transfers() {
    let mut bench = bench();
    let forwarder = install(&mut bench, 0xf0, STATIC_FORWARDER);
    assert!(bench.send_raw(ALICE, forwarder, U256::ZERO, via(PROBE, &getCall {})).is_ok());
    let set = via(PROBE, &setCall { value: U256::from(5) });
    assert!(bench.send_raw(ALICE, forwarder, U256::ZERO, set.clone()).is_err());
    // Also where native code stands in between.
    let call = forwardCall { to: PROBE, data: setCall { value: U256::from(5) }.abi_encode().into() };
    let through = bench.send_raw(ALICE, forwarder, U256::ZERO, via(PROBE, &call)).unwrap();
    assert!(!forwardCall::abi_decode_returns(&through.value).unwrap()._0);
    let transfer = via(coin::ADDRESS, &IERC20::transferCall { to: ALICE, value: U256::ZERO });
    assert!(bench.send_raw(ALICE, forwarder, U256::ZERO, transfer).is_err());
    assert_eq!(bench.view(PROBE, &getCall {}), Ok(U256::ZERO));
}

#[test]
fn out_of_gas_in_the_middle_undoes_everything_and_takes_the_gas() {
    let mut bench = bench();
    let mut tx =
        bench.tx(ALICE, TxKind::Call(PROBE), U256::ZERO, spendCall { slots: U256::from(10) }.abi_encode().into());
    tx.gas_limit = 120_000;
    let result = bench.transact(tx);
    assert!(result.is_halt());
    assert_eq!(result.tx_gas_used(), 120_000);
    for slot in 0..10 {
        assert_eq!(bench.storage(PROBE, U256::from(slot)), U256::ZERO);
    }
    bench.send(ALICE, PROBE, &spendCall { slots: U256::from(10) }).unwrap();
    assert_eq!(bench.storage(PROBE, U256::from(9)), U256::MAX);
}

#[test]
fn storage_costs_what_the_evm_charges() {
    let mut bench = bench();
    let data = |value: u64| Bytes::from(setCall { value: U256::from(value) }.abi_encode());
    let intrinsic = |data: &[u8]| 21_000 + data.iter().map(|byte| if *byte == 0 { 4 } else { 16 }).sum::<u64>();
    let log = 375 + 375 + 8 * 32;
    for (value, storage) in [(5, 22_100), (6, 5_000), (6, 2_200)] {
        let data = data(value);
        let expected = intrinsic(&data) + BASE_GAS + 2 * WORD_GAS + storage + log;
        assert_eq!(bench.send_raw(ALICE, PROBE, U256::ZERO, data).unwrap().gas, expected);
    }
    // Clearing gives 4800 back.
    let clear = data(0);
    let expected = intrinsic(&clear) + BASE_GAS + 2 * WORD_GAS + 5_000 + log - 4_800;
    assert_eq!(bench.send_raw(ALICE, PROBE, U256::ZERO, clear).unwrap().gas, expected);
    let get = Bytes::from(getCall {}.abi_encode());
    let expected = intrinsic(&get) + BASE_GAS + WORD_GAS + 2_100;
    assert_eq!(bench.send_raw(ALICE, PROBE, U256::ZERO, get).unwrap().gas, expected);
}

#[test]
fn a_guarded_function_is_not_entered_again() {
    let mut bench = bench();
    let forwarder = install(&mut bench, 0xf0, FORWARDER);
    let inner = guardedCall { to: ALICE, data: Bytes::new() };
    let outer = guardedCall { to: forwarder, data: via(PROBE, &inner) };
    let sent = bench.send(ALICE, PROBE, &outer).unwrap().value;
    assert_eq!((sent._0, Failure::Revert(sent._1)), (false, Failure::revert(ReentrancyGuardReentrantCall {})));
    // Afterwards it is open again.
    assert!(bench.send(ALICE, PROBE, &inner).unwrap().value._0);
}

/// A debug build needs the most stack of all: this is the bound that MAX_NATIVE_DEPTH keeps.
#[test]
fn the_deepest_recursion_fits_the_stack_of_a_fiber() {
    for via in [Address::ZERO, Address::repeat_byte(0xf0)] {
        let deepest = std::thread::Builder::new().stack_size(512 * 1024).spawn(move || {
            let mut bench = bench();
            install(&mut bench, 0xf0, FORWARDER);
            bench.send(ALICE, PROBE, &recurseCall { via }).unwrap().value
        });
        let deepest = deepest.unwrap().join().unwrap();
        assert_eq!(deepest, U256::from(MAX_NATIVE_DEPTH));
    }
}

#[test]
fn a_clone_runs_native_code_on_its_own_storage() {
    let mut bench = bench();
    let salt = keccak256("first");
    let clone = bench.send(ALICE, PROBE, &createCloneCall { salt }).unwrap().value;
    assert_eq!(clone, clones::predict_deterministic_address(PROBE, salt, PROBE));
    let sent = bench.send(ALICE, clone, &setCall { value: U256::from(5) }).unwrap();
    assert_eq!(sent.logs[0].address, clone);
    assert_eq!(bench.view(clone, &getCall {}), Ok(U256::from(5)));
    assert_eq!(bench.view(PROBE, &getCall {}), Ok(U256::ZERO));
    let who = bench.send(ALICE, clone, &whoCall {}).unwrap().value;
    assert_eq!((who._0, who._1, who._2), (ALICE, clone, PROBE));

    let code = bench.evm.state()[&clone].info.code.clone().unwrap().original_bytes();
    assert_eq!(clones::implementation(&code), Some(PROBE));
    assert_eq!(clones::implementation(&FORWARDER), None);
    // A second one with the same salt has no room.
    assert!(bench.send(ALICE, PROBE, &createCloneCall { salt }).is_err());
}

#[test]
fn the_coin_refuses_to_run_for_a_clone() {
    let mut bench = bench();
    let clone = bench.deploy(ALICE, clones::init_code(coin::ADDRESS));
    assert_eq!(bench.view(clone, &IERC20::totalSupplyCall {}), Err(Failure::Revert(Bytes::new())));
}

#[test]
fn an_account_that_delegates_its_code_to_a_native_address_runs_nothing() {
    let mut bench = bench();
    let account = Address::repeat_byte(0x77);
    let info = revm::state::AccountInfo::default().with_code(revm::state::Bytecode::new_eip7702(PROBE));
    bench.evm.db_mut().insert_account_info(account, info);
    let failure = bench.send(ALICE, account, &setCall { value: U256::ONE }).unwrap_err();
    assert!(matches!(failure, Failure::Halt(_)), "{failure:?}");
}

#[test]
fn code_at_native_addresses_is_visible() {
    let genesis = Natives::stoa().with(PROBE, Probe).genesis(U256::from(10), 5);
    let addresses = genesis.iter().map(|account| account.address).collect::<Vec<_>>();
    assert_eq!(addresses, [coin::ADDRESS, crate::randomness::ADDRESS, crate::nodes::ADDRESS, PROBE]);
    assert!(genesis.iter().all(|account| account.code.as_ref() == natives::CODE));
    assert_eq!(genesis[0].storage.len(), 3);
    assert!(Natives::stoa().get(&Address::repeat_byte(0x0c)).is_none());
}

#[test]
fn an_invalid_transaction_leaves_the_journal_as_it_was() {
    let mut bench = bench();
    bench.send(ALICE, PROBE, &setCall { value: U256::from(5) }).unwrap();
    let mut tx = bench.tx(ALICE, TxKind::Call(PROBE), U256::from(2_000_000), Bytes::new());
    tx.gas_price = 1;
    let error = bench.evm.transact_one(tx).unwrap_err();
    assert!(matches!(error, EVMError::Transaction(InvalidTransaction::LackOfFundForMaxFee { .. })), "{error:?}");
    assert_eq!(bench.view(PROBE, &getCall {}), Ok(U256::from(5)));
    let state = bench.evm.finalize();
    assert_eq!(state[&PROBE].storage[&U256::ZERO].present_value(), U256::from(5));
    assert_eq!(state[&ALICE].info.balance, U256::from(1_000_000));
}

#[test]
fn system_code_sees_nothing_of_the_transaction_before() {
    let mut bench = bench();
    bench.send(ALICE, PROBE, &setCall { value: U256::from(5) }).unwrap();
    assert_eq!(bench.evm.system(PROBE, |cx| Ok((cx.origin(), cx.caller()))).unwrap().0, (PROBE, PROBE));
}

#[test]
fn system_code_that_fails_leaves_nothing() {
    let mut bench = bench();
    let write = |value: u64| move |cx: &mut Context<'_>| State::root().value.write(cx, U256::from(value));
    bench.evm.system(PROBE, write(1)).unwrap();
    let failed = bench.evm.system(PROBE, |cx| {
        write(2)(cx)?;
        Err::<(), _>(Error::message("no"))
    });
    assert!(failed.is_err());
    assert_eq!(bench.view(PROBE, &getCall {}), Ok(U256::ONE));
}

#[test]
fn plain_transactions_cost_and_do_what_they_do_in_plain_revm() {
    use revm::{ExecuteEvm, MainBuilder, MainContext};
    let mut bench = bench();
    let setter = install(&mut bench, 0x5e, SETTER);
    let db = bench.evm.db_mut().clone();
    let block =
        BlockEnv { basefee: 7, beneficiary: Address::repeat_byte(0xbe), gas_limit: GAS_LIMIT, ..BlockEnv::default() };
    let mut plain = revm::Context::mainnet().with_db(db).with_block(block.clone()).with_cfg(cfg(31337)).build_mainnet();
    bench.evm.ctx_mut().block = block;
    for (nonce, to) in [Address::repeat_byte(0xb0), setter].into_iter().enumerate() {
        let mut tx = bench.tx(ALICE, TxKind::Call(to), U256::from(nonce), Bytes::new());
        (tx.nonce, tx.gas_price, tx.gas_limit) = (nonce as u64, 7, 60_000);
        let theirs = plain.transact_one(tx.clone()).unwrap();
        assert_eq!(bench.transact(tx), theirs);
    }
    assert_eq!(bench.evm.finalize(), plain.finalize());
}

#[test]
fn large_call_data_is_paid_for_by_the_word() {
    // Calls `to` with so many words of memory.
    let gas = |to: Address, words: u16| {
        let mut bench = bench();
        install(&mut bench, 0x57, bytes!("00"));
        let len = (words * 32).to_be_bytes();
        let code = [&[0x5f, 0x5f, 0x61], &len[..], &[0x5f, 0x5f, 0x73], to.as_slice(), &[0x5a, 0xf1, 0x50, 0x00]];
        let caller = install(&mut bench, 0xca, code.concat().into());
        bench.send_raw(ALICE, caller, U256::ZERO, Bytes::new()).unwrap().gas
    };
    let plain = Address::repeat_byte(0x57);
    let (native, interpreted) = (gas(PROBE, 1000) - gas(PROBE, 1), gas(plain, 1000) - gas(plain, 1));
    assert_eq!(native, interpreted + 999 * WORD_GAS);
}

#[test]
fn solidity_that_system_code_calls_can_call_on() {
    let mut bench = bench();
    let forwarder = install(&mut bench, 0xf0, FORWARDER);
    let data = [forwarder.into_word().as_slice(), &via(PROBE, &setCall { value: U256::from(5) })].concat();
    let (outcome, logs) = bench.evm.system(PROBE, |cx| cx.call(forwarder, U256::ZERO, data.into())).unwrap();
    assert!(outcome.success);
    assert_eq!(logs.len(), 1);
    assert_eq!(bench.view(PROBE, &getCall {}), Ok(U256::from(5)));
}

#[test]
fn native_code_reads_another_account_as_that_accounts_code_would() {
    let mut bench = bench();
    let other = install(&mut bench, 0x5e, SETTER);
    let Ok(()) = bench.evm.db_mut().insert_account_storage(other, U256::ZERO, U256::from(5));
    let read = |cx: &mut Context<'_>| -> Result<_> {
        let before = cx.gas_left();
        let told = cx.view_native(other, |cx| Ok((cx.this(), State::root().value.read(cx)?)))?;
        Ok((told, before - cx.gas_left()))
    };
    let code = |cx: &mut Context<'_>| -> Result<_> {
        let (first, again) = (read(cx)?, read(cx)?);
        let refused = cx.view_native(other, |cx| State::root().value.write(cx, U256::ONE));
        State::root().value.write(cx, U256::from(9))?;
        Ok((first, again, refused))
    };
    let ((first, again, refused), _) = bench.evm.system(PROBE, code).unwrap();
    // Account and slot, both cold and then warm.
    assert_eq!(first, ((other, U256::from(5)), 2_600 + 2_100));
    assert_eq!(again, ((other, U256::from(5)), 100 + 100));
    let halted = Error::Halt(revm::interpreter::InstructionResult::StateChangeDuringStaticCall);
    assert_eq!(refused, Err(halted));
    assert_eq!([PROBE, other].map(|account| bench.storage(account, U256::ZERO)), [9, 5].map(U256::from));
}
